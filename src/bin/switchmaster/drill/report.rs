//! What a drill found of one side, in milliseconds: [`Report`].

use std::time::Instant;

use serde_json::{Value, json};

use super::{
    arguments::SwitchOn,
    contract,
    delay::{self, longest_pause, longest_wait, stuck},
    errors::Errors,
    exercise::Record,
    fault::Fault,
    figure::{self, FIGURES},
    operation::{Duty, Track},
};

/// Times are milliseconds after the promotion, or after the fault where nobody saw the promotion.
pub(crate) struct Report {
    pub(crate) fault: Fault,
    pub(crate) switch_on: SwitchOn,
    pub(crate) subscribe_denied: bool,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) zero: Instant,
    pub(crate) struck: f64,
    pub(crate) promotion: Option<f64>,
    pub(crate) announcement: Option<f64>,
    /// When this side could know of the new master.
    pub(crate) knowable: Option<f64>,
    pub(crate) switch: Option<f64>,
    /// The first write that the new master acknowledged.
    pub(crate) first_write: Option<f64>,
    /// The last writer's first such write; `None` also when one has none.
    pub(crate) last_writer: Option<f64>,
    pub(crate) blocked: usize,
    /// Blocked readers that the new master served.
    pub(crate) served: usize,
    /// The longest time of each worker without a success, from just before the fault on.
    pub(crate) waits: Vec<(String, f64)>,
    /// The longest of the writers' times between two acknowledged writes.
    pub(crate) pause: Option<f64>,
    pub(crate) threads: usize,
    pub(crate) errors: Errors,
    pub(crate) acknowledged: usize,
    pub(crate) lost: Vec<String>,
    /// From the first to the last acknowledgement of a write that was lost.
    pub(crate) lost_over: f64,
    /// Threads that went on too late, and how late.
    pub(crate) stuck: Vec<(String, f64)>,
    pub(crate) stale: Option<String>,
    pub(crate) stopped: f64,
    pub(crate) tracks: Vec<Track>,
}

impl Report {
    pub(crate) fn of(record: Record) -> Report {
        let zero = record.promotion.unwrap_or(record.struck);
        let at = |instant: Instant| millis(zero, instant);
        let firsts = |duty: Duty| {
            let tracks = record.tracks.iter().filter(move |track| track.duty == duty);
            tracks.map(|track| first_on_new(track, record.generation)).collect::<Vec<_>>()
        };
        let writers = firsts(Duty::Write);
        let blocked = firsts(Duty::Block);
        let last_writer: Option<Vec<Instant>> = writers.iter().copied().collect();
        let waits = record.tracks.iter().map(|track| (track.name(), longest_wait(track, &record)));
        let lost = record.lost.iter().map(|lost| lost.at);
        let lost_over = lost.clone().min().zip(lost.max()).map(|(first, last)| millis(first, last));
        Report {
            fault: record.fault,
            switch_on: record.switch_on,
            subscribe_denied: record.subscribe_denied,
            zero,
            struck: at(record.struck),
            promotion: record.promotion.map(at),
            announcement: record.announcement.map(at),
            knowable: delay::knowable(&record).map(at),
            switch: record.switch.map(at),
            first_write: writers.iter().flatten().min().copied().map(at),
            last_writer: last_writer.and_then(|all| all.into_iter().max()).map(at),
            served: blocked.iter().flatten().count(),
            blocked: blocked.len(),
            waits: waits.collect(),
            pause: longest_pause(&record),
            threads: record.tracks.len(),
            errors: Errors::of(&record.tracks, zero),
            acknowledged: record
                .tracks
                .iter()
                .filter(|track| track.duty == Duty::Write)
                .map(|track| track.done().count())
                .sum(),
            stuck: stuck(&record),
            stopped: at(record.stopped),
            lost_over: lost_over.unwrap_or(0.0),
            lost: record
                .lost
                .iter()
                .map(|lost| format!("{}: {}", lost.writer, lost.number))
                .collect(),
            from: record.from,
            to: record.to,
            stale: record.stale,
            tracks: record.tracks,
        }
    }

    /// A time as part of the time that passes until the first `+switch-master`.
    pub(crate) fn part_of_announcement(&self, ms: Option<f64>) -> Option<f64> {
        self.promotion?;
        let announcement = self.announcement.filter(|ms| *ms > 0.0)?;
        Some(ms? / announcement)
    }

    pub(crate) fn to_json(&self) -> Value {
        let figures: serde_json::Map<String, Value> = FIGURES
            .iter()
            .map(|figure| (figure.key.to_owned(), json!((figure.of)(self).map(figure::rounded))))
            .collect();
        let named = |pairs: &[(String, f64)]| -> serde_json::Map<String, Value> {
            pairs.iter().map(|(name, ms)| (name.clone(), json!(figure::rounded(*ms)))).collect()
        };
        json!({
            "fault": self.fault.as_str(),
            "switch_on": self.switch_on.as_str(),
            "from": self.from,
            "to": self.to,
            "times_after": if self.promotion.is_some() { "promotion" } else { "fault" },
            "figures": figures,
            "waits_ms": named(&self.waits),
            "threads": self.threads,
            "blocked": { "served": self.served, "of": self.blocked },
            "errors": self.errors.to_json(),
            "writes": { "acknowledged": self.acknowledged, "lost": self.lost },
            "stuck_ms": named(&self.stuck),
            "broken": contract::broken(self),
        })
    }
}

/// Milliseconds from one instant to another, negative when the other was before.
pub(crate) fn millis(from: Instant, to: Instant) -> f64 {
    let after = to.saturating_duration_since(from).as_nanos() as f64;
    let before = from.saturating_duration_since(to).as_nanos() as f64;
    (after - before) / 1e6
}

fn first_on_new(track: &Track, old: u64) -> Option<Instant> {
    track.done().find(|done| done.generation > old).map(|done| done.ended)
}
