//! What a drill found of one side, in milliseconds: [`Report`].

use std::time::Instant;

use switchmaster::Event;

use super::{
    arguments::SwitchOn,
    delay::{longest_pause, longest_wait, stuck},
    errors::Errors,
    fault::Fault,
    fence::Fence,
    millis::millis,
    operation::{Duty, Track},
    record::Record,
    turn::{self, Turn},
};

/// Times are milliseconds after the first promotion, or after the fault where nobody saw that; those
/// of a turn are after its own.
pub(crate) struct Report {
    pub(crate) fault: Fault,
    pub(crate) switch_on: SwitchOn,
    pub(crate) subscribe_denied: bool,
    pub(crate) zero: Instant,
    /// When the first thing was done.
    pub(crate) began: f64,
    /// The failovers in their order, one at least.
    pub(crate) turns: Vec<Turn>,
    pub(crate) steps: Vec<Happening>,
    pub(crate) events: Vec<Happening>,
    pub(crate) fences: Vec<Span>,
    /// Operations that were done while commands were held.
    pub(crate) leaks: usize,
    /// How often the factory switched.
    pub(crate) switches: usize,
    /// Of how many commands the factory told that they may be lost.
    pub(crate) overruled: u64,
    pub(crate) blocked: usize,
    /// The longest time of each worker without a success, from just before the fault on.
    pub(crate) waits: Vec<(String, f64)>,
    /// The longest of the writers' times between two acknowledged writes.
    pub(crate) pause: Option<f64>,
    pub(crate) threads: usize,
    pub(crate) errors: Errors,
    pub(crate) acknowledged: usize,
    pub(crate) lost: Vec<Missing>,
    /// From the first to the last acknowledgement of a write that was lost.
    pub(crate) lost_over: f64,
    /// Threads that went on too late, and how late.
    pub(crate) stuck: Vec<(String, f64)>,
    pub(crate) stale: Option<String>,
    pub(crate) stopped: f64,
    pub(crate) tracks: Vec<Track>,
}

/// Something that happened.
pub(crate) struct Happening {
    pub(crate) at: f64,
    pub(crate) text: String,
}

/// Something that lasted.
pub(crate) struct Span {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) text: String,
}

/// A write that was acknowledged and is lost.
pub(crate) struct Missing {
    pub(crate) text: String,
    pub(crate) at: f64,
    /// Whether the master acknowledged it that was there at the beginning.
    pub(crate) by_first: bool,
}

impl Report {
    pub(crate) fn of(record: Record) -> Report {
        let zero = record.failovers.first().map_or(record.began, turn::zero);
        let at = |instant: Instant| millis(zero, instant);
        let first = record.failovers.first().map_or(0, |failover| failover.generation);
        let waits = record.tracks.iter().map(|track| (track.name(), longest_wait(track, &record)));
        let lost = record.lost.iter().map(|lost| lost.at);
        let lost_over = lost.clone().min().zip(lost.max()).map(|(first, last)| millis(first, last));
        let fences = Fence::all(&record.events, record.stopped);
        let of_duty = |duty: Duty| record.tracks.iter().filter(move |track| track.duty == duty);
        Report {
            fault: record.fault,
            switch_on: record.switch_on,
            subscribe_denied: record.subscribe_denied,
            zero,
            began: at(record.began),
            turns: record
                .failovers
                .iter()
                .map(|failover| Turn::of(&record, failover, zero))
                .collect(),
            steps: record
                .steps
                .iter()
                .map(|step| Happening { at: at(step.at), text: step.text.clone() })
                .collect(),
            events: record
                .events
                .iter()
                .map(|event| Happening { at: at(event.at()), text: event.to_string() })
                .collect(),
            leaks: fences.iter().map(|fence| fence.leaks(&record.tracks)).sum(),
            fences: fences
                .into_iter()
                .map(|fence| Span { from: at(fence.raised), to: at(fence.lifted), text: fence.why })
                .collect(),
            switches: record
                .events
                .iter()
                .filter(|event| matches!(event, Event::Switched { .. }))
                .count(),
            overruled: record.events.iter().map(overruled).sum(),
            blocked: of_duty(Duty::Block).count(),
            waits: waits.collect(),
            pause: longest_pause(&record),
            threads: record.tracks.len(),
            errors: Errors::of(&record.tracks, zero),
            acknowledged: of_duty(Duty::Write)
                .flat_map(Track::done)
                .map(|done| done.count as usize)
                .sum(),
            stuck: stuck(&record),
            stopped: at(record.stopped),
            lost_over: lost_over.unwrap_or(0.0),
            lost: record
                .lost
                .iter()
                .map(|lost| Missing {
                    text: format!("{}: {}", lost.writer, lost.number),
                    at: at(lost.at),
                    by_first: lost.generation <= first,
                })
                .collect(),
            stale: record.stale,
            tracks: record.tracks,
        }
    }

    /// The largest value of all failovers; `None` when one has none.
    pub(crate) fn worst(&self, of: impl Fn(&Turn) -> Option<f64>) -> Option<f64> {
        let all: Option<Vec<f64>> = self.turns.iter().map(of).collect();
        all?.into_iter().reduce(f64::max)
    }

    /// The smallest value of all failovers.
    pub(crate) fn least(&self, of: impl Fn(&Turn) -> f64) -> Option<f64> {
        self.turns.iter().map(of).reduce(f64::min)
    }

    pub(crate) fn sees_promotions(&self) -> bool {
        self.turns.iter().all(|turn| turn.promotion.is_some())
    }

    /// All masters in their order.
    pub(crate) fn path(&self) -> String {
        let first = self.turns.first().map(|turn| turn.from.as_str());
        let path: Vec<&str> =
            first.into_iter().chain(self.turns.iter().map(|turn| turn.to.as_str())).collect();
        path.join(" -> ")
    }

    /// Blocked readers that every new master served.
    pub(crate) fn served(&self) -> usize {
        self.turns.iter().map(|turn| turn.served).min().unwrap_or(0)
    }
}

fn overruled(event: &Event) -> u64 {
    match event {
        Event::Overruled { commands, .. } => *commands,
        _ => 0,
    }
}
