//! Durations, counted by their size: [`Histogram`].

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The first bucket counts what is shorter than 1 µs, each further one what is shorter than twice
/// that, the last everything from 18 min on.
const BUCKETS: usize = 32;

/// How long something took, each time: durations counted in buckets, each twice as wide as the one
/// before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    nanos: u64,
}

impl Histogram {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// The average; zero when there is none.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.nanos.checked_div(self.count()).unwrap_or(0))
    }

    /// What this share of them (0.5: half, 0.99: all but one in a hundred) is shorter than: the
    /// upper bound of a bucket, so up to twice too long. Zero when there is none;
    /// [`Duration::MAX`] for the last bucket, which has no bound.
    pub fn quantile(&self, share: f64) -> Duration {
        let count = self.count();
        let wanted = ((share.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        for (bound, counted) in self.buckets() {
            seen += counted;
            if seen >= wanted {
                return bound;
            }
        }
        Duration::ZERO
    }

    /// Each bucket: the bound that its durations are shorter than, and how many they are. The last
    /// bound is [`Duration::MAX`].
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.counts.into_iter().enumerate().map(|(n, count)| match n {
            n if n + 1 < BUCKETS => (Duration::from_micros(1 << n), count),
            _ => (Duration::MAX, count),
        })
    }

    /// Takes another one's durations in.
    pub(crate) fn add(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.nanos += other.nanos;
    }
}

/// A histogram that is being written.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    counts: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Buckets {
    /// Counts a duration.
    pub(crate) fn add(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// As [`Buckets::add`], where nobody else writes: no exchange with other processors.
    #[inline]
    pub(crate) fn add_alone(&self, nanos: u64) {
        let count = &self.counts[bucket(nanos)];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        if nanos > 0 {
            self.nanos.store(self.nanos.load(Ordering::Relaxed) + nanos, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> Histogram {
        Histogram {
            counts: std::array::from_fn(|n| self.counts[n].load(Ordering::Relaxed)),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

#[inline]
fn bucket(nanos: u64) -> usize {
    ((u64::BITS - (nanos / 1000).leading_zeros()) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Histogram {
        let buckets = Buckets::default();
        micros.into_iter().for_each(|n| buckets.add(Duration::from_micros(n)));
        buckets.read()
    }

    #[test]
    fn each_duration_is_shorter_than_the_bound_of_its_bucket_and_no_shorter_than_the_one_before() {
        for micros in (0..2000).chain([1 << 30, (1 << 30) - 1, u64::MAX / 1000]) {
            let one = of([micros]);
            let mut least = Duration::ZERO;
            let duration = Duration::from_micros(micros);
            for (bound, count) in one.buckets() {
                assert_eq!(count == 1, least <= duration && duration < bound, "{micros} µs");
                least = bound;
            }
            assert_eq!((one.count(), one.total()), (1, duration));
        }
    }

    #[test]
    fn quantiles_are_bounds_that_hold_for_the_share() {
        let hundred = of(1..=100);
        assert_eq!(hundred.mean(), Duration::from_nanos(50_500));
        assert_eq!(hundred.quantile(0.5), Duration::from_micros(64));
        assert_eq!(hundred.quantile(1.0), Duration::from_micros(128));
        assert_eq!(hundred.quantile(0.0), Duration::from_micros(2));
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
        assert_eq!(Histogram::default().mean(), Duration::ZERO);
    }

    #[test]
    fn both_ways_to_count_come_to_the_same() {
        let (shared, own) = (Buckets::default(), Buckets::default());
        for nanos in [0, 1, 999, 1000, 123_456, 10_u64.pow(12)] {
            shared.add(Duration::from_nanos(nanos));
            own.add_alone(nanos);
        }
        assert_eq!(shared.read(), own.read());
        let mut twice = shared.read();
        twice.add(&own.read());
        assert_eq!((twice.count(), twice.total()), (12, 2 * own.read().total()));
    }
}
