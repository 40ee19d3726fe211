//! Who says when the promotion and its announcement were: [`Witness`].

use std::time::{Duration, Instant};

use switchmaster_sandbox::Probe;

use super::listener::Listener;

/// An observer that does not use the library.
pub(crate) enum Witness {
    /// Writes to the replicas of a sandbox until one accepts it, and listens to its sentinels.
    Probe(Probe),
    /// Listens to the sentinels of a deployment, and leaves its nodes alone.
    Listener(Listener),
}

impl Witness {
    /// When a replica first accepted a write; `None` as well where nobody tries.
    pub(crate) fn promotion(&self, timeout: Duration) -> Option<Instant> {
        match self {
            Witness::Probe(probe) => probe.promotion(timeout).map(|promotion| promotion.at),
            Witness::Listener(_) => None,
        }
    }

    /// When the first `+switch-master` came.
    pub(crate) fn announcement(&self, timeout: Duration) -> Option<Instant> {
        match self {
            Witness::Probe(probe) => {
                probe.announcement(timeout).map(|announcement| announcement.at)
            }
            Witness::Listener(listener) => listener.announcement(timeout),
        }
    }
}
