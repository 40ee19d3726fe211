//! The volume that a peer may send: [`Allowance`].
//!
//! Both bounds refill with time, so a burst, such as hundreds of services that fail over at once, is
//! no flood, and a peer that sends without end is one within a fraction of a second.

use std::time::Instant;

/// The volume that the peer of one link may send.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    unasked: Bucket,
    bytes: Bucket,
}

#[derive(Clone, Debug)]
struct Bucket {
    capacity: f64,
    per_second: f64,
    level: f64,
    filled: Option<Instant>,
}

/// Bytes of asked and unasked values together: one answer for each of a thousand services takes
/// about 6 MiB, and they are asked once a second while a fault is known.
const BYTES: Bucket = Bucket::new((64 << 20) as f64, (16 << 20) as f64);

impl Allowance {
    /// For a sentinel. It publishes about 25 messages for each service that fails over.
    pub(crate) fn of_sentinel() -> Allowance {
        Allowance { unasked: Bucket::new(65_536.0, 4_096.0), bytes: BYTES }
    }

    /// For a node, which has no reason to send anything that is not asked for.
    pub(crate) fn of_node() -> Allowance {
        Allowance { unasked: Bucket::new(1_024.0, 16.0), bytes: BYTES }
    }

    /// Takes one value that was not asked for; `false` when that is one too many.
    pub(crate) fn takes_unasked(&mut self, now: Instant) -> bool {
        self.unasked.takes(1.0, now)
    }

    /// Takes so many bytes; `false` when those are too many.
    pub(crate) fn takes_bytes(&mut self, bytes: usize, now: Instant) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "a share of a turn is far below 2^52")]
        self.bytes.takes(bytes as f64, now)
    }
}

impl Bucket {
    const fn new(capacity: f64, per_second: f64) -> Bucket {
        Bucket { capacity, per_second, level: capacity, filled: None }
    }

    fn takes(&mut self, amount: f64, now: Instant) -> bool {
        let since = self.filled.replace(now).unwrap_or(now);
        let refill = now.saturating_duration_since(since).as_secs_f64() * self.per_second;
        self.level = (self.level + refill).min(self.capacity) - amount;
        self.level >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_passes_and_an_endless_stream_does_not() {
        let now = Instant::now();
        let mut allowance = Allowance::of_sentinel();
        let taken = (0..1_000_000).take_while(|_| allowance.takes_unasked(now)).count();
        assert_eq!(taken, 65_536);
        let later = now + Duration::from_secs(60);
        assert!((0..30_000).all(|_| allowance.takes_unasked(later)), "it has refilled");
    }

    #[test]
    fn a_steady_rate_below_the_refill_passes_for_ever() {
        let mut now = Instant::now();
        let mut allowance = Allowance::of_sentinel();
        for _ in 0..600 {
            now += Duration::from_millis(100);
            assert!(allowance.takes_bytes(1 << 20, now));
            assert!((0..400).all(|_| allowance.takes_unasked(now)));
        }
    }
}
