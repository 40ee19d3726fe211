//! What was done in each slice of time: [`Throughput`].

use std::time::Instant;

use crate::drill::{
    millis::millis,
    operation::{Duty, Track},
};

/// The length of a slice, in milliseconds.
pub(crate) const SLICE: f64 = 10.0;

/// Acknowledged writes and answered reads of each slice.
pub(crate) struct Throughput {
    pub(crate) writes: Vec<u32>,
    pub(crate) reads: Vec<u32>,
}

impl Throughput {
    /// Of the slices between these times, which are milliseconds after `zero`.
    pub(crate) fn of(tracks: &[Track], zero: Instant, from: f64, to: f64) -> Throughput {
        let slices = ((to - from) / SLICE).ceil().max(1.0) as usize;
        let (mut writes, mut reads) = (vec![0; slices], vec![0; slices]);
        for track in tracks {
            let counts = match track.duty {
                Duty::Write | Duty::Feed => &mut writes,
                Duty::Read | Duty::Block => &mut reads,
            };
            for done in track.done() {
                let slice = (millis(zero, done.ended) - from) / SLICE;
                if slice >= 0.0
                    && let Some(count) = counts.get_mut(slice as usize)
                {
                    *count += done.count;
                }
            }
        }
        Throughput { writes, reads }
    }

    pub(crate) fn most(&self) -> u32 {
        self.writes.iter().chain(&self.reads).copied().max().unwrap_or(0).max(1)
    }
}
