//! What proved a new master: [`Evidence`].

use std::fmt;

use crate::address::Address;

/// What proved that an address is the master of the service. Whatever proved it, the address also
/// said of itself, in reply to `ROLE`, that it is a master.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The first master of this factory: so many of the known sentinels named it, with the highest
    /// configuration epoch heard.
    #[non_exhaustive]
    Start {
        /// How many sentinels named it.
        sentinels: usize,
        /// How many sentinels are known.
        of: usize,
    },
    /// It says of itself that it was promoted, and the state of the sentinels at that moment proves
    /// that it was chosen: most of them voted for the one that leads the failover, and that one
    /// chose it.
    #[non_exhaustive]
    Promotion {
        /// The sentinel that leads the failover.
        leader: Address,
        /// How many sentinels voted for it, itself included.
        votes: usize,
        /// How many sentinels are known.
        of: usize,
    },
    /// As [`Evidence::Promotion`], in a failover that was ordered (`SENTINEL FAILOVER`), about which
    /// nobody votes: every known sentinel was asked, and no other one leads a failover.
    #[non_exhaustive]
    Ordered {
        /// The sentinel that leads the failover.
        leader: Address,
        /// How many sentinels are known.
        of: usize,
    },
    /// One sentinel named it with a higher configuration epoch than the master before.
    #[non_exhaustive]
    Confirmation {
        /// The sentinel that was first.
        sentinel: Address,
    },
    /// A majority of the known sentinels named it, with an epoch that is not lower.
    #[non_exhaustive]
    Announcement {
        /// How many sentinels named it.
        sentinels: usize,
        /// How many sentinels are known.
        of: usize,
    },
    /// A majority of the known sentinels named it for some seconds, though its epoch is lower (the
    /// service was removed and is monitored anew), or though it was just left at the same epoch.
    #[non_exhaustive]
    Insistence {
        /// How many sentinels named it.
        sentinels: usize,
        /// How many sentinels are known.
        of: usize,
    },
    /// One sentinel that may not tell its epochs (its ACL allows no `SENTINEL MASTER`) named it
    /// while the master before was in trouble.
    #[non_exhaustive]
    Unnumbered {
        /// The sentinel that named it.
        sentinel: Address,
    },
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Start { sentinels, of } => write!(f, "start, {sentinels} of {of} sentinels"),
            Evidence::Promotion { leader, votes, of } => {
                write!(f, "promoted by {leader}, elected by {votes} of {of} sentinels")
            }
            Evidence::Ordered { leader, of } => {
                write!(f, "promoted by {leader} on an order, none other of {of} sentinels leads")
            }
            Evidence::Confirmation { sentinel } => write!(f, "confirmed by {sentinel}"),
            Evidence::Announcement { sentinels, of } => {
                write!(f, "announced by {sentinels} of {of} sentinels")
            }
            Evidence::Insistence { sentinels, of } => {
                write!(f, "insisted on by {sentinels} of {of} sentinels")
            }
            Evidence::Unnumbered { sentinel } => {
                write!(f, "named without an epoch by {sentinel} while the master was in trouble")
            }
        }
    }
}
