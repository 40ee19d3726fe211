//! Events on their way to the users: every receiver of `Factory::events()` gets every event.

use std::{collections::VecDeque, time::Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;

use crate::{
    event::{Event, Source},
    trace,
};

/// The most events in a receiver's channel, and the most behind it. The channel itself is unbounded: a
/// bounded channel allocates all of its places at once. A dropped receiver keeps its events until the next
/// one, since a channel shows the drop only to a send.
const IN_CHANNEL: usize = 256;
const BEHIND: usize = 768;

/// Sends events to any number of receivers and never blocks: a slow reader loses the oldest of
/// those that do not fit its channel, and is told how many.
pub(crate) struct Broadcast {
    /// The name of the service that they are about.
    service: String,
    /// None once it is closed.
    listeners: Mutex<Option<Vec<Listener>>>,
}

/// What a listener is called by.
type Bell = Box<dyn Fn() + Send>;

struct Listener {
    channel: Sender<Event>,
    behind: VecDeque<Event>,
    lost: u64,
    bell: Option<Bell>,
    /// The generation that was there when it began to listen.
    generation: u64,
}

impl Broadcast {
    /// Of events about this service.
    pub(crate) fn of(service: &str) -> Broadcast {
        Broadcast { service: service.to_owned(), listeners: Mutex::new(Some(Vec::new())) }
    }

    /// A receiver of what happens from now on, while this is the generation. A switch is in force
    /// before it is told, so the one that led to this generation may be told after this; whoever
    /// begins to listen knows it already.
    pub(crate) fn subscribe(&self, generation: u64) -> Receiver<Event> {
        self.subscribe_with(generation, None)
    }

    /// As [`Broadcast::subscribe`]; the bell is rung whenever there is something to receive.
    pub(crate) fn subscribe_with(&self, generation: u64, bell: Option<Bell>) -> Receiver<Event> {
        let (channel, receiver) = crossbeam_channel::unbounded();
        let behind = VecDeque::new();
        // Without a sender the stream is at its end.
        if let Some(listeners) = &mut *self.listeners.lock() {
            listeners.push(Listener { channel, behind, lost: 0, bell, generation });
        }
        receiver
    }

    pub(crate) fn send(&self, event: &Event) {
        trace::event(&self.service, event);
        self.keep(|listener| {
            if listener.knows(event) {
                return true;
            }
            if listener.behind.len() == BEHIND {
                listener.behind.pop_front();
                listener.lost += 1;
            }
            listener.behind.push_back(event.clone());
            listener.flush(IN_CHANNEL)
        });
    }

    /// Moves what waits behind full channels on. The watch calls it whenever time passed.
    pub(crate) fn flush(&self) {
        self.keep(|listener| listener.flush(IN_CHANNEL));
    }

    fn keep(&self, stays: impl FnMut(&mut Listener) -> bool) {
        if let Some(listeners) = &mut *self.listeners.lock() {
            listeners.retain_mut(stays);
        }
    }

    /// Ends every receiver's stream, after the events that wait, and the streams of those to come.
    pub(crate) fn close(&self) {
        let Some(mut listeners) = self.listeners.lock().take() else { return };
        for listener in &mut listeners {
            listener.flush(usize::MAX);
        }
    }
}

impl Listener {
    /// Whether it began to listen after this happened.
    fn knows(&self, event: &Event) -> bool {
        matches!(event, Event::Switched { generation, .. } if *generation <= self.generation)
    }

    fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell();
        }
    }

    /// Fills the channel up to `most` events. Returns false when the receiver was dropped.
    fn flush(&mut self, most: usize) -> bool {
        if self.lost > 0 {
            let missed =
                Event::Missed { at: Instant::now(), source: Source::Factory, count: self.lost };
            match self.put(missed, most) {
                Put::Done => self.lost = 0,
                Put::Full(_) => return true,
                Put::Dropped => return false,
            }
        }
        while let Some(event) = self.behind.pop_front() {
            match self.put(event, most) {
                Put::Done => {}
                Put::Full(event) => {
                    self.behind.push_front(event);
                    return true;
                }
                Put::Dropped => return false,
            }
        }
        true
    }

    fn put(&self, event: Event, most: usize) -> Put {
        if self.channel.len() >= most {
            return Put::Full(event);
        }
        match self.channel.send(event) {
            Ok(()) => {
                self.ring();
                Put::Done
            }
            Err(_) => Put::Dropped,
        }
    }
}

/// The result of putting an event into a channel.
enum Put {
    Done,
    Full(Event),
    Dropped,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Evidence;

    fn switched(generation: u64) -> Event {
        Event::Switched {
            at: Instant::now(),
            source: Source::Factory,
            generation,
            from: None,
            to: "b:2".parse().unwrap(),
            epoch: None,
            evidence: Evidence::Confirmation { sentinel: "a:1".parse().unwrap() },
        }
    }

    /// The generations that were told of, in order; 0 stands for another event.
    fn told(receiver: &Receiver<Event>) -> Vec<u64> {
        let number = |event: Event| match event {
            Event::Switched { generation, .. } => generation,
            _ => 0,
        };
        receiver.try_iter().map(number).collect()
    }

    fn missed(count: u64) -> Event {
        Event::Missed { at: Instant::now(), source: Source::Factory, count }
    }

    #[test]
    fn a_stream_that_is_opened_after_the_end_ends_at_once() {
        let broadcast = Broadcast::of("cache");
        broadcast.close();
        let late = broadcast.subscribe(1);
        assert_eq!(late.try_recv().err(), Some(crossbeam_channel::TryRecvError::Disconnected));
        broadcast.send(&switched(2));
        assert_eq!(late.try_recv().err(), Some(crossbeam_channel::TryRecvError::Disconnected));
    }

    #[test]
    fn the_end_delivers_what_waits_and_reports_what_was_lost() {
        let broadcast = Broadcast::of("cache");
        let slow = broadcast.subscribe(0);
        let kept = (IN_CHANNEL + BEHIND) as u64;
        for generation in 1..=kept {
            broadcast.send(&switched(generation));
        }
        let slower = broadcast.subscribe(0);
        for generation in 1..=kept + 10 {
            broadcast.send(&switched(generation));
        }
        broadcast.close();
        let numbers = told(&slower);
        let first: Vec<_> = (1..=IN_CHANNEL as u64).collect();
        let newest: Vec<_> = (IN_CHANNEL as u64 + 11..=kept + 10).collect();
        assert_eq!(numbers, [first, vec![0], newest].concat());
        let missed = slow.try_iter().find_map(|event| match event {
            Event::Missed { count, .. } => Some(count),
            _ => None,
        });
        assert_eq!(missed, Some(kept + 10));
    }

    #[test]
    fn receivers_that_were_dropped_are_forgotten_at_the_next_event() {
        let broadcast = Broadcast::of("cache");
        let listeners = || broadcast.listeners.lock().as_ref().map_or(0, Vec::len);
        let kept = broadcast.subscribe(0);
        let unread = broadcast.subscribe(0);
        for _ in 0..2 * (IN_CHANNEL + BEHIND) {
            broadcast.send(&missed(1));
        }
        drop(unread);
        drop(broadcast.subscribe(0));
        assert_eq!(listeners(), 3);
        broadcast.flush();
        assert_eq!(listeners(), 2, "the one with events behind it is noticed without another");
        broadcast.send(&missed(1));
        assert_eq!(listeners(), 1);
        assert_eq!(kept.try_iter().count(), IN_CHANNEL);
    }

    #[test]
    fn a_switch_is_not_told_to_those_who_came_when_it_was_in_force() {
        let broadcast = Broadcast::of("cache");
        let (first, later) = (broadcast.subscribe(1), broadcast.subscribe(2));
        broadcast.send(&switched(2));
        broadcast.send(&missed(1));
        broadcast.send(&switched(3));
        assert_eq!(told(&first), [2, 0, 3]);
        assert_eq!(told(&later), [0, 3]);
    }
}
