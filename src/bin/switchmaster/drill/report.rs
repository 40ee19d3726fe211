//! What a drill found, in milliseconds: [`Report`].

use std::{collections::BTreeMap, time::Instant};

use serde_json::{Value, json};
use switchmaster::Outcome;

use super::{
    contract,
    exercise::Record,
    fault::Fault,
    figure::{self, FIGURES},
    operation::{Duty, Track},
};

/// A thread that goes on this much later than it could is stuck.
pub(crate) const STUCK: f64 = 100.0;
/// Messages of errors that are quoted, each kind once.
const QUOTED: usize = 5;

/// Times are milliseconds after the promotion, or after the fault where nobody saw the promotion.
pub(crate) struct Report {
    pub(crate) fault: Fault,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) zero: Instant,
    pub(crate) struck: f64,
    pub(crate) promotion: Option<f64>,
    pub(crate) announcement: Option<f64>,
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
    pub(crate) threads: usize,
    /// Errors by outcome and kind.
    pub(crate) errors: BTreeMap<(&'static str, &'static str), usize>,
    pub(crate) messages: Vec<String>,
    /// Every error: the worker, when its operation began and when it ended, and what it was.
    pub(crate) each: Vec<Value>,
    pub(crate) acknowledged: usize,
    pub(crate) lost: Vec<String>,
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
        let mut errors = BTreeMap::new();
        let mut messages: BTreeMap<&str, &str> = BTreeMap::new();
        let mut each = Vec::new();
        for track in &record.tracks {
            for (operation, trouble) in track.failed() {
                *errors.entry((trouble.outcome.as_str(), trouble.kind)).or_default() += 1;
                messages.entry(trouble.kind).or_insert(&trouble.message);
                each.push(json!({
                    "worker": track.name(),
                    "began_ms": figure::rounded(at(operation.began)),
                    "ended_ms": figure::rounded(at(operation.ended)),
                    "outcome": trouble.outcome.as_str(),
                    "kind": trouble.kind,
                }));
            }
        }
        Report {
            fault: record.fault,
            zero,
            struck: at(record.struck),
            promotion: record.promotion.map(at),
            announcement: record.announcement.map(at),
            switch: record.switch.map(at),
            first_write: writers.iter().flatten().min().copied().map(at),
            last_writer: last_writer.and_then(|all| all.into_iter().max()).map(at),
            served: blocked.iter().flatten().count(),
            blocked: blocked.len(),
            waits: waits.collect(),
            threads: record.tracks.len(),
            errors,
            messages: messages.into_values().take(QUOTED).map(str::to_owned).collect(),
            each,
            acknowledged: record
                .tracks
                .iter()
                .filter(|track| track.duty == Duty::Write)
                .map(|track| track.done().count())
                .sum(),
            stuck: stuck(&record),
            stopped: at(record.stopped),
            from: record.from,
            to: record.to,
            lost: record.lost,
            stale: record.stale,
            tracks: record.tracks,
        }
    }

    pub(crate) fn errors(&self) -> usize {
        self.errors.values().sum()
    }

    fn errors_with(&self, outcome: Outcome) -> usize {
        let with = self.errors.iter().filter(|((of, _), _)| *of == outcome.as_str());
        with.map(|(_, count)| count).sum()
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
            "from": self.from,
            "to": self.to,
            "times_after": if self.promotion.is_some() { "promotion" } else { "fault" },
            "figures": figures,
            "waits_ms": named(&self.waits),
            "threads": self.threads,
            "blocked": { "served": self.served, "of": self.blocked },
            "errors": {
                "not_sent": self.errors_with(Outcome::NotSent),
                "unknown": self.errors_with(Outcome::Unknown),
                "replied": self.errors_with(Outcome::Replied),
                "messages": self.messages,
                "each": self.each,
            },
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

fn longest_wait(track: &Track, record: &Record) -> f64 {
    let before = track.done().rev().find(|done| done.ended <= record.struck);
    let mut last = before.map_or(record.struck, |done| done.ended);
    let mut longest = 0.0_f64;
    let after = track.done().map(|done| done.ended).filter(|ended| *ended > record.struck);
    for ended in after.chain([record.stopped]) {
        longest = longest.max(millis(last, ended));
        last = ended;
    }
    longest
}

/// The workers that went on later after the announcement than they could have.
fn stuck(record: &Record) -> Vec<(String, f64)> {
    let Some(announcement) = record.announcement else { return Vec::new() };
    let late = |track: &Track| {
        let ended = track.operations.iter().map(|done| (done.began, done.ended));
        let running = track.running.map(|began| (began, record.stopped));
        ended
            .chain(running)
            .filter_map(|(began, ended)| {
                let could = match track.duty {
                    Duty::Block => fed(record, track.index, began)?,
                    _ => began,
                };
                Some(millis(could.max(announcement), ended))
            })
            .fold(0.0, f64::max)
    };
    let all = record.tracks.iter().map(|track| (track.name(), late(track)));
    all.filter(|(_, ms)| *ms > STUCK).collect()
}

/// When, from `began` on, the list of a blocked reader first got something on the new master.
fn fed(record: &Record, list: usize, began: Instant) -> Option<Instant> {
    let feeder = record.tracks.iter().find(|track| track.duty == Duty::Feed)?;
    let mut meals = feeder.done().filter(|meal| {
        meal.number == list as u64 && meal.generation > record.generation && meal.ended >= began
    });
    meals.next().map(|meal| meal.ended)
}
