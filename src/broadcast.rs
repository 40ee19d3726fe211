//! Events on their way to the users: every receiver of `Factory::events()` gets every event.

use std::{collections::VecDeque, time::Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use parking_lot::Mutex;

use crate::{
    event::{Event, Source},
    trace,
};

/// How many events wait in a receiver's channel, and how many more behind it.
const IN_CHANNEL: usize = 256;
const BEHIND: usize = 768;

/// Sends events to any number of receivers and never blocks: a slow reader loses the oldest of
/// those that do not fit its channel, and is told how many.
pub(crate) struct Broadcast {
    /// The name of the service that they are about.
    service: String,
    listeners: Mutex<Vec<Listener>>,
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
        Broadcast { service: service.to_owned(), listeners: Mutex::default() }
    }

    /// A receiver of what happens from now on, while this is the generation. A switch is in force
    /// before it is told, so the one that led to this generation may be told after this; whoever
    /// begins to listen knows it already.
    pub(crate) fn subscribe(&self, generation: u64) -> Receiver<Event> {
        self.subscribe_with(generation, None)
    }

    /// As [`Broadcast::subscribe`]; the bell is rung whenever there is something to receive.
    pub(crate) fn subscribe_with(&self, generation: u64, bell: Option<Bell>) -> Receiver<Event> {
        let (channel, receiver) = crossbeam_channel::bounded(IN_CHANNEL);
        let behind = VecDeque::new();
        self.listeners.lock().push(Listener { channel, behind, lost: 0, bell, generation });
        receiver
    }

    pub(crate) fn send(&self, event: &Event) {
        trace::event(&self.service, event);
        self.listeners.lock().retain_mut(|listener| {
            if listener.knows(event) {
                return true;
            }
            if listener.behind.len() == BEHIND {
                listener.behind.pop_front();
                listener.lost += 1;
            }
            listener.behind.push_back(event.clone());
            listener.flush()
        });
    }

    /// Moves what waits behind full channels on. The watch calls it whenever time passed.
    pub(crate) fn flush(&self) {
        self.listeners.lock().retain_mut(Listener::flush);
    }

    /// Ends every receiver's stream, after the events that it holds.
    pub(crate) fn close(&self) {
        self.listeners.lock().clear();
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

    /// Fills the channel. `false`: nobody holds the receiver any more.
    fn flush(&mut self) -> bool {
        if self.lost > 0 {
            let missed =
                Event::Missed { at: Instant::now(), source: Source::Factory, count: self.lost };
            match self.channel.try_send(missed) {
                Ok(()) => {
                    self.lost = 0;
                    self.ring();
                }
                Err(TrySendError::Full(_)) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        while let Some(event) = self.behind.pop_front() {
            match self.channel.try_send(event) {
                Ok(()) => self.ring(),
                Err(TrySendError::Full(event)) => {
                    self.behind.push_front(event);
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        true
    }
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

    #[test]
    fn a_switch_is_not_told_to_those_who_came_when_it_was_in_force() {
        let broadcast = Broadcast::of("cache");
        let (first, later) = (broadcast.subscribe(1), broadcast.subscribe(2));
        broadcast.send(&switched(2));
        broadcast.send(&Event::Missed { at: Instant::now(), source: Source::Factory, count: 1 });
        broadcast.send(&switched(3));
        assert_eq!(told(&first), [2, 0, 3]);
        assert_eq!(told(&later), [0, 3]);
    }
}
