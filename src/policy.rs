//! What a factory makes of what it learns: [`SwitchOn`] and [`OnLostMajority`].

use std::time::Duration;

/// What it takes to switch to another master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SwitchOn {
    /// The promoted replica accepts writes, and the sentinels' own state proves that it was chosen:
    /// a majority of the known sentinels voted for the one that leads the failover, or the failover
    /// was ordered and every known sentinel was asked. Where that proof is not to be had, as
    /// [`SwitchOn::Confirmation`].
    #[default]
    Promotion,
    /// One sentinel names the new master (`SENTINEL GET-MASTER-ADDR-BY-NAME`), about 0.8 s later.
    Confirmation,
    /// A majority of the known sentinels names the new master.
    Announcement,
}

/// What to do when fewer than a majority of the known sentinels can be heard.
///
/// The majority may then be replacing the master, and what this one still acknowledges is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnLostMajority {
    /// Go on with the master. What it ran since then is told by
    /// [`Event::Overruled`](crate::Event::Overruled) if it turns out to have been replaced, also if
    /// the silence ended before it was noticed, which takes 1 to 2 s.
    #[default]
    Serve,
    /// Commands wait, and fail at their deadline with [`Outcome::NotSent`](crate::Outcome::NotSent),
    /// until a majority is heard again and names the master that is served, or another one that is
    /// then switched to.
    Fence {
        /// How long a majority may be silent first: less than the sentinels'
        /// `down-after-milliseconds`, for a master is replaced at the earliest that long after a
        /// partition began. Every sentinel is asked four times in this time.
        after: Duration,
    },
}
