//! The pauses between attempts to subscribe: none after a connection that lasted, and longer ones
//! while attempts fail.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

/// The first pause, which doubles up to the longest.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pause {
    length: Duration,
    until: Instant,
    /// The generation that the attempts were for.
    generation: u64,
}

impl Pause {
    pub(super) fn new() -> Pause {
        Pause { length: FIRST, until: Instant::now(), generation: 0 }
    }

    /// When the next attempt may be made with the master of this generation. Another master than
    /// that of the last one is tried at once.
    pub(super) fn until(&mut self, generation: u64) -> Instant {
        if self.generation != generation {
            *self = Pause { generation, ..Pause::new() };
        }
        self.until
    }

    /// All was well for some time.
    pub(super) fn end(&mut self) {
        *self = Pause { generation: self.generation, ..Pause::new() };
    }

    /// An attempt failed. Up to a quarter is taken off the pause, so that many subscriptions do not
    /// come back at one time.
    pub(super) fn lengthen(&mut self) {
        let random = RandomState::new().hash_one(0_u8) as u32;
        let less = self.length.mul_f64(0.25 * f64::from(random) / f64::from(u32::MAX));
        self.until = Instant::now() + (self.length - less);
        self.length = (2 * self.length).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_another_master_ends_them() {
        let mut pause = Pause::new();
        assert!(pause.until(1) <= Instant::now());
        for _ in 0..10 {
            pause.lengthen();
        }
        let left = pause.until(1).saturating_duration_since(Instant::now());
        assert!(left <= LONGEST && left >= LONGEST / 2, "{left:?}");
        assert!(pause.until(2) <= Instant::now());
        pause.lengthen();
        let left = pause.until(2).saturating_duration_since(Instant::now());
        assert!(left <= FIRST, "it begins anew: {left:?}");
        pause.end();
        assert!(pause.until(2) <= Instant::now());
    }
}
