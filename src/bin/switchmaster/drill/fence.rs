//! When commands were held: [`Fence`].

use std::time::{Duration, Instant};

use switchmaster::Event;

use super::operation::Track;

/// A fence is up this long after it is told at the latest, and down this long before it is told at
/// the earliest.
const SLACK: Duration = Duration::from_millis(20);

pub(crate) struct Fence {
    pub(crate) raised: Instant,
    pub(crate) lifted: Instant,
    /// Why it was raised, and why it was lifted.
    pub(crate) why: String,
}

impl Fence {
    /// All of them; one that was not lifted stands until `end`.
    pub(crate) fn all(events: &[Event], end: Instant) -> Vec<Fence> {
        let mut fences: Vec<Fence> = Vec::new();
        let mut open: Option<(Instant, String)> = None;
        for event in events {
            match event {
                Event::FenceRaised { at, reason, .. } if open.is_none() => {
                    open = Some((*at, reason.to_string()));
                }
                Event::FenceLifted { at, end, .. } => {
                    if let Some((raised, why)) = open.take() {
                        fences.push(Fence { raised, lifted: *at, why: format!("{why}; {end}") });
                    }
                }
                _ => {}
            }
        }
        let standing = open.map(|(raised, why)| Fence { raised, lifted: end.max(raised), why });
        fences.extend(standing);
        fences
    }

    /// How many operations were begun and done all the same while it stood.
    pub(crate) fn leaks(&self, tracks: &[Track]) -> usize {
        let (from, to) = (self.raised + SLACK, self.lifted.checked_sub(SLACK));
        let inside = |track: &Track| {
            let done = track.done();
            done.filter(|done| done.began > from && to.is_some_and(|to| done.ended < to)).count()
        };
        tracks.iter().map(inside).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::operation::{Duty, Operation};

    #[test]
    fn what_is_done_while_commands_are_held_is_found() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let fence = Fence { raised: at(1000), lifted: at(2000), why: String::new() };
        let leaks = |began, ended| {
            let operation = Operation {
                began: at(began),
                ended: at(ended),
                generation: 1,
                number: 0,
                count: 1,
                trouble: None,
            };
            let operations = vec![operation];
            fence.leaks(&[Track { duty: Duty::Write, index: 0, operations, running: None }])
        };
        assert_eq!(leaks(1500, 1501), 1);
        // On its way before, held until the end, or so near to either that nobody can tell.
        for (began, ended) in [(990, 1500), (1500, 2001), (1010, 1011), (1985, 1990)] {
            assert_eq!(leaks(began, ended), 0, "{began} to {ended}");
        }
    }
}
