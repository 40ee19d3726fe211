//! One failover of a drill, in milliseconds: [`Turn`].

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    delay,
    millis::{millis, rounded},
    operation::{Duty, Track},
    record::{Failover, Record},
};

/// Times are milliseconds after its promotion, or after its fault where nobody saw the promotion.
#[derive(Clone)]
pub(crate) struct Turn {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Its own beginning of time in that of the report, which is that of the first failover.
    pub(crate) offset: f64,
    pub(crate) struck: f64,
    pub(crate) promotion: Option<f64>,
    pub(crate) announcement: Option<f64>,
    pub(crate) healed: Option<f64>,
    /// When this side could know of the new master.
    pub(crate) knowable: Option<f64>,
    pub(crate) switch: Option<f64>,
    /// The first write that the new master acknowledged.
    pub(crate) first_write: Option<f64>,
    /// The last writer's first such write; `None` also when one has none.
    pub(crate) last_writer: Option<f64>,
    /// Blocked readers that the new master served.
    pub(crate) served: usize,
}

/// The instant that the times of a failover are counted from.
pub(crate) fn zero(failover: &Failover) -> Instant {
    failover.promotion.unwrap_or(failover.struck)
}

impl Turn {
    pub(crate) fn of(record: &Record, failover: &Failover, zero_of_all: Instant) -> Turn {
        let zero = zero(failover);
        let at = |instant: Instant| millis(zero, instant);
        let firsts = |duty: Duty| {
            let tracks = record.tracks.iter().filter(move |track| track.duty == duty);
            tracks.map(|track| first_on(track, failover.next)).collect::<Vec<_>>()
        };
        let writers = firsts(Duty::Write);
        let last_writer: Option<Vec<Instant>> = writers.iter().copied().collect();
        Turn {
            from: failover.from.clone(),
            to: failover.to.clone(),
            offset: millis(zero_of_all, zero),
            struck: at(failover.struck),
            promotion: failover.promotion.map(at),
            announcement: failover.announcement.map(at),
            healed: failover.healed.map(at),
            knowable: delay::knowable(record, failover).map(at),
            switch: failover.switch.map(at),
            first_write: writers.iter().flatten().min().copied().map(at),
            last_writer: last_writer.and_then(|all| all.into_iter().max()).map(at),
            served: firsts(Duty::Block).iter().flatten().count(),
        }
    }

    /// A time as part of the time that passes until the first `+switch-master`.
    pub(crate) fn part_of_announcement(&self, ms: Option<f64>) -> Option<f64> {
        self.promotion?;
        let announcement = self.announcement.filter(|ms| *ms > 0.0)?;
        Some(ms? / announcement)
    }

    pub(crate) fn to_json(&self) -> Value {
        let known = |ms: Option<f64>| ms.map(rounded);
        json!({
            "from": self.from,
            "to": self.to,
            "at_ms": rounded(self.offset),
            "fault_ms": rounded(self.struck),
            "promotion_ms": known(self.promotion),
            "switch_ms": known(self.switch),
            "announcement_ms": known(self.announcement),
            "healed_ms": known(self.healed),
            "first_write_ms": known(self.first_write),
            "last_writer_ms": known(self.last_writer),
        })
    }
}

/// The first operation that was done on the master of this generation, or on a later one.
fn first_on(track: &Track, generation: u64) -> Option<Instant> {
    track.done().find(|done| done.generation >= generation).map(|done| done.ended)
}
