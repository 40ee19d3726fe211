//! Why commands wait, and why they go on: [`FenceReason`] and [`FenceEnd`].

use std::fmt;

use crate::address::Address;

/// Why commands wait behind the fence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FenceReason {
    /// The sentinels chose a successor for the master that is served. What it acknowledges from
    /// now on may be missing there.
    #[non_exhaustive]
    Replacing {
        /// The replica that was chosen.
        by: Address,
    },
    /// The factory switched at a promotion, and no sentinel has confirmed it: the one that led the
    /// failover is lost, or gave up, or `confirm_within` is over.
    Unconfirmed,
    /// The sentinel that promoted the master without cutting its connections (Valkey's
    /// `SENTINEL FAILOVER … COORDINATED`) is about to cut them now: it does so when it asks the new
    /// master for its role, which it does every second, and whatever is under way then is lost.
    Cut,
    /// Fewer than a majority of the known sentinels can be heard
    /// ([`OnLostMajority::Fence`](crate::OnLostMajority::Fence)).
    LostMajority,
}

impl fmt::Display for FenceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FenceReason::Replacing { by } => write!(f, "{by} was chosen as the next master"),
            FenceReason::Unconfirmed => f.write_str("no sentinel has confirmed the master"),
            FenceReason::Cut => f.write_str("its connections are about to be cut"),
            FenceReason::LostMajority => f.write_str("a majority of the sentinels is not heard"),
        }
    }
}

/// Why commands need not wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FenceEnd {
    /// The factory switched: they go on with the new master.
    Switched,
    /// The failover was given up: they go on with the master as before.
    Aborted,
    /// `fence_timeout` is over, and no majority of the sentinels names another master: they go on
    /// with the master as before.
    Deadline,
    /// A sentinel named the master.
    Confirmed,
    /// The connections were cut: they go on with new ones. Or no cut came.
    Cut,
    /// A majority of the sentinels is heard again and names the master.
    MajorityBack,
}

impl FenceEnd {
    /// The word for it: `switched`, `aborted` …
    pub fn as_str(self) -> &'static str {
        match self {
            FenceEnd::Switched => "switched",
            FenceEnd::Aborted => "aborted",
            FenceEnd::Deadline => "deadline",
            FenceEnd::Confirmed => "confirmed",
            FenceEnd::Cut => "cut",
            FenceEnd::MajorityBack => "majority back",
        }
    }
}

impl fmt::Display for FenceEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
