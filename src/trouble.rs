//! What a handle or a dial met that may mean the master was replaced: the sentinels are asked at
//! once.

/// The kinds of trouble, after the replies and failures that they are named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// `-READONLY`: the server is a replica.
    ReadOnly,
    /// `-MASTERDOWN`: a replica that has lost its master.
    MasterDown,
    /// `-LOADING`: the server has just been started, or synchronises.
    Loading,
    /// `-NOREPLICAS`: a master that has lost its replicas.
    NoReplicas,
    /// `-MISCONF`: sentinels count such a master as down.
    Misconfigured,
    /// `-UNBLOCKED`: a master became a replica while a command was blocked in it.
    Unblocked,
    /// The connection broke, or could not be made.
    Disconnected,
    /// No reply came in time.
    TimedOut,
    /// `ROLE` says something other than master.
    NotMaster,
    /// Another server answers at the master's address, whose data do not continue the master's.
    OtherHistory,
}

impl Trouble {
    /// Whether a reply told that the server serves nobody as it should, whichever connection is asked.
    pub(crate) fn is_of_the_server(self) -> bool {
        matches!(
            self,
            Trouble::ReadOnly | Trouble::MasterDown | Trouble::Loading | Trouble::Unblocked
        )
    }

    /// True when a server's reply to a command reported it.
    pub(crate) fn is_a_reply(self) -> bool {
        self.is_of_the_server() || matches!(self, Trouble::NoReplicas | Trouble::Misconfigured)
    }
}
