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
    /// When the replica that was announced first accepted a write; `None` as well where nobody tries.
    pub(crate) fn promotion(&self) -> Option<Instant> {
        let Witness::Probe(probe) = self else { return None };
        let promotions = probe.promotions();
        let announced = probe.announcement(Duration::ZERO).map(|announcement| announcement.new);
        let of_it = promotions.iter().find(|promotion| Some(promotion.address) == announced);
        of_it.or(promotions.first()).map(|promotion| promotion.at)
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
