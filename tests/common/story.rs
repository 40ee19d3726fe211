//! What a factory told, in order.

use std::{fmt::Write as _, time::Instant};

use crossbeam_channel::Receiver;
use switchmaster::{Event, Evidence, Factory, FenceReason};

use super::PATIENCE;

/// The events of a factory from [`Story::of`] on.
pub struct Story {
    begun: Instant,
    events: Receiver<Event>,
    told: Vec<Event>,
}

impl Story {
    pub fn of(factory: &Factory) -> Story {
        Story { begun: Instant::now(), events: factory.events(), told: Vec::new() }
    }

    /// Everything that was told so far.
    pub fn so_far(&mut self) -> &[Event] {
        self.told.extend(self.events.try_iter());
        &self.told
    }

    /// Forgets what was told so far.
    pub fn begin_anew(&mut self) {
        self.so_far();
        self.told.clear();
        self.begun = Instant::now();
    }

    /// The first event of this kind, waiting for it when it was not told yet.
    pub fn wait(&mut self, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        let mut looked_at = 0;
        loop {
            if let Some(found) = self.told[looked_at..].iter().find(|event| is_it(event)) {
                return found.clone();
            }
            looked_at = self.told.len();
            match self.events.recv_deadline(deadline) {
                Ok(event) => self.told.push(event),
                Err(_) => panic!("no event tells that {what}:\n{}", self.text()),
            }
        }
    }

    /// Where the first event of this kind stands among those told so far.
    pub fn position(&mut self, is_it: impl Fn(&Event) -> bool) -> Option<usize> {
        self.so_far().iter().position(is_it)
    }

    pub fn count(&mut self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.so_far().iter().filter(|event| is_it(event)).count()
    }

    /// The switch to this generation, and what proved it.
    pub fn switched(&mut self, to: u64) -> (Event, Evidence) {
        let is_it = |event: &Event| matches!(event, Event::Switched { generation, .. } if *generation == to);
        let event = self.wait(&format!("generation {to} began"), is_it);
        let Event::Switched { evidence, .. } = &event else { unreachable!("it is one") };
        (event.clone(), evidence.clone())
    }

    /// The confirmation of this generation, and how many commands had run by then.
    pub fn confirmed(&mut self, of: u64) -> (Event, u64) {
        let is_it = |event: &Event| matches!(event, Event::Confirmed { generation, .. } if *generation == of);
        let event = self.wait(&format!("generation {of} was confirmed"), is_it);
        let Event::Confirmed { commands, .. } = event else { unreachable!("it is one") };
        (event, commands)
    }

    /// How many commands ran in doubt: those that are safe, and those that may be lost.
    pub fn commands(&mut self) -> (u64, u64) {
        let (mut safe, mut lost) = (0, 0);
        for event in self.so_far() {
            match event {
                Event::Confirmed { commands, .. } => safe += commands,
                Event::Overruled { commands, .. } => lost += commands,
                _ => {}
            }
        }
        (safe, lost)
    }

    /// All of it, a line each, with the milliseconds since it began.
    pub fn text(&mut self) -> String {
        let begun = self.begun;
        let mut text = String::new();
        for event in self.so_far() {
            let millis = event.at().saturating_duration_since(begun).as_millis();
            let _ = writeln!(text, "{millis:>7} {event}");
        }
        text
    }
}

/// The fence went up because a successor was chosen.
pub fn is_replacing(event: &Event) -> bool {
    matches!(event, Event::FenceRaised { reason: FenceReason::Replacing { .. }, .. })
}

pub fn is_unconfirmed(event: &Event) -> bool {
    matches!(event, Event::FenceRaised { reason: FenceReason::Unconfirmed, .. })
}

pub fn is_fence(event: &Event) -> bool {
    matches!(event, Event::FenceRaised { .. })
}

pub fn is_switch(event: &Event) -> bool {
    matches!(event, Event::Switched { .. })
}
