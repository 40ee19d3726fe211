//! When commands were held: [`Fence`].

use std::time::Instant;

use switchmaster::Event;

use super::operation::Track;
use std::time::Duration;

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
