//! What a handle or a dial met that may mean the master was replaced.

/// The sentinels are asked at once when one of these is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A connection broke or could not be made.
    Lost,
    /// No reply came in time.
    Silent,
    /// The server says that it is not a writable master (READONLY, or a ROLE other than master).
    NotMaster,
    /// The server cannot serve now (MASTERDOWN, LOADING, NOREPLICAS …).
    Unavailable,
}
