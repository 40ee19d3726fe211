//! Who told it: [`Source`].

use std::fmt;

use crate::address::Address;

/// Who told what an [`Event`](crate::Event) reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A sentinel said so, in a reply or in a message it published.
    Sentinel(Address),
    /// A data server said so itself.
    Node(Address),
    /// The factory's own conclusion.
    Factory,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Sentinel(address) => write!(f, "sentinel {address}"),
            Source::Node(address) => write!(f, "node {address}"),
            Source::Factory => f.write_str("factory"),
        }
    }
}
