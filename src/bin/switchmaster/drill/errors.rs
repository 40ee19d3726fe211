//! The errors of a drill, by who had them: [`Errors`].

use std::{collections::BTreeMap, time::Instant};

use serde_json::{Value, json};
use switchmaster::Outcome;

use super::{
    millis::{millis, rounded},
    operation::{Duty, Track, Trouble},
};

/// Messages of errors that are quoted, each kind once.
const QUOTED: usize = 5;

/// The errors that the workers of one side had.
///
/// A blocked reader has been promised an error: whoever waits in BLPOP on a master that is
/// replaced is woken by it. That is counted apart.
#[derive(Default)]
pub(crate) struct Errors {
    /// By duty, outcome and kind.
    pub(crate) counts: BTreeMap<(Duty, &'static str, &'static str), usize>,
    /// Ends of a BLPOP by an error.
    pub(crate) woken: usize,
    messages: Vec<String>,
    /// Every one, those who were woken included: the worker, when its operation began and when it
    /// ended, and what it was.
    each: Vec<Value>,
}

impl Errors {
    pub(crate) fn of(tracks: &[Track], zero: Instant) -> Errors {
        let mut errors = Errors::default();
        let mut messages: BTreeMap<&str, &str> = BTreeMap::new();
        for track in tracks {
            for (operation, trouble) in track.failed() {
                messages.entry(trouble.kind).or_insert(&trouble.message);
                errors.each.push(json!({
                    "worker": track.name(),
                    "began_ms": rounded(millis(zero, operation.began)),
                    "ended_ms": rounded(millis(zero, operation.ended)),
                    "outcome": trouble.outcome.as_str(),
                    "kind": trouble.kind,
                }));
                errors.count(track.duty, trouble);
            }
        }
        errors.messages = messages.into_values().take(QUOTED).map(str::to_owned).collect();
        errors
    }

    fn count(&mut self, duty: Duty, trouble: &Trouble) {
        // Whoever was not sent had no handle, and was not waiting in BLPOP.
        if duty == Duty::Block && trouble.outcome != Outcome::NotSent {
            self.woken += 1;
            return;
        }
        *self.counts.entry((duty, trouble.outcome.as_str(), trouble.kind)).or_default() += 1;
    }

    /// All of them, without those who were woken.
    pub(crate) fn total(&self) -> usize {
        self.counts.values().sum()
    }

    fn by_duty(&self, duty: Duty) -> usize {
        let of_it = self.counts.iter().filter(|((of, _, _), _)| *of == duty);
        of_it.map(|(_, count)| count).sum()
    }

    /// Those whose command may have run, or was answered; a blocked reader that is woken counts, too.
    pub(crate) fn sent(&self) -> usize {
        self.total() + self.woken - self.with(Outcome::NotSent)
    }

    fn with(&self, outcome: Outcome) -> usize {
        let with = self.counts.iter().filter(|((_, of, _), _)| *of == outcome.as_str());
        with.map(|(_, count)| count).sum()
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "not_sent": self.with(Outcome::NotSent),
            "unknown": self.with(Outcome::Unknown),
            "replied": self.with(Outcome::Replied),
            "writers": self.by_duty(Duty::Write),
            "readers": self.by_duty(Duty::Read),
            "blocked": self.by_duty(Duty::Block),
            "feeder": self.by_duty(Duty::Feed),
            "woken": self.woken,
            "messages": self.messages,
            "each": self.each,
        })
    }
}
