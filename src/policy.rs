//! What a factory makes of what it learns: [`SwitchOn`], [`OnLostMajority`] and [`ReadFrom`].

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

/// Which nodes a handle leads to: [`Factory::get_from`](crate::Factory::get_from).
///
/// # Which replicas are read from
/// One that the sentinels list, that says over a link of the factory's own that it is a replica of
/// the master that is served, that is in sync with it, and that is known to have everything that the
/// master had acknowledged [`Builder::max_lag`](crate::Builder::max_lag) ago. A master that was
/// replaced is not read from before it is such a replica of the new one. All nodes are asked for that
/// (`ROLE`) every fifth of `max_lag`, but at least once a second and at most fifty times, from the first
/// call that reads from replicas on.
///
/// While the master is away and until it is replaced, replicas that have lost it go on being read from
/// within `max_lag`. After the switch each is read from again when it follows the new master, about
/// a second later: until then what it has may come from the master that was replaced, and be lost.
/// [`ReadFrom::Replica`] waits for that, [`ReadFrom::PreferReplica`] and [`ReadFrom::LowestLatency`] read from
/// the new master meanwhile.
///
/// # What it does not promise
/// A replica gets what the master wrote a little later, so a read may miss a write that was
/// acknowledged just before, and two reads from different replicas may go back in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReadFrom {
    /// The master, as with [`Factory::get`](crate::Factory::get).
    #[default]
    Master,
    /// Replicas in turn, and never the master.
    Replica,
    /// As [`ReadFrom::Replica`], and the master while no replica may be read from or reached.
    PreferReplica,
    /// Of the master and the replicas those that answer soonest, in turn: all whose round trip, smoothed,
    /// is at most a quarter or 0.5 ms longer than the shortest. What is measured is the `ROLE` that is asked
    /// anyway. While the master is being replaced, the replicas alone.
    LowestLatency,
}
