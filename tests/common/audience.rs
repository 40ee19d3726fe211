//! Who publishes numbers through a factory, and who hears them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use redis::{Commands, RedisError};
use switchmaster::{Closer, Delivery, Factory, Gap, Message, Refusal, Subscription};
use switchmaster_sandbox::{Node, wait_until};

use super::{NAME, PATIENCE};

/// The channel of the numbers.
pub const NUMBERS: &str = "numbers";

/// The pause of the publisher between two numbers.
const PAUSE: Duration = Duration::from_millis(1);

/// A number that a master took, and in which generation.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub number: u64,
    pub generation: u64,
    /// How many heard it, as that master counts.
    pub reached: u64,
}

/// Publishes 0, 1, 2 … on [`NUMBERS`], each once, whatever becomes of it.
pub struct Publisher {
    stop: Arc<AtomicBool>,
    published: Arc<Mutex<Vec<Published>>>,
    thread: JoinHandle<()>,
}

impl Publisher {
    pub fn begin(factory: &Factory) -> Publisher {
        let stop = Arc::new(AtomicBool::new(false));
        let published = Arc::<Mutex<Vec<Published>>>::default();
        let thread = thread::spawn({
            let (factory, stop, published) = (factory.clone(), stop.clone(), published.clone());
            move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // One that fails may have been published, and is not repeated.
                    let taken = factory.get().map_err(RedisError::from).and_then(|mut redis| {
                        let reached = redis.publish(NUMBERS, number)?;
                        Ok(Published { number, generation: redis.generation(), reached })
                    });
                    published.lock().extend(taken);
                    thread::sleep(PAUSE);
                }
            }
        });
        Publisher { stop, published, thread }
    }

    /// Waits until a master has taken so many more.
    pub fn wait_for(&self, more: usize) {
        let enough = self.published.lock().len() + more;
        let taken = wait_until(PATIENCE, || self.published.lock().len() >= enough);
        assert!(taken, "no {more} numbers more were published");
    }

    /// Ends it; what was published with success.
    pub fn end(self) -> Vec<Published> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the publisher does not panic");
        std::mem::take(&mut *self.published.lock())
    }
}

/// A thread that takes everything that a subscription yields.
pub struct Listener {
    heard: Arc<Mutex<Vec<Delivery>>>,
    closer: Closer,
    thread: JoinHandle<()>,
}

impl Listener {
    pub fn begin(mut subscription: Subscription) -> Listener {
        let heard = Arc::<Mutex<Vec<Delivery>>>::default();
        let closer = subscription.closer();
        let thread = thread::spawn({
            let heard = heard.clone();
            move || {
                for delivery in &mut subscription {
                    heard.lock().push(delivery);
                }
            }
        });
        Listener { heard, closer, thread }
    }

    pub fn heard(&self) -> Vec<Delivery> {
        self.heard.lock().clone()
    }

    pub fn gaps(&self) -> Vec<Gap> {
        self.heard().into_iter().filter_map(Delivery::gap).collect()
    }

    /// Waits until this was heard.
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&[Delivery]) -> bool) {
        let heard = wait_until(PATIENCE, || is_it(&self.heard.lock()));
        assert!(heard, "not heard: {what}; {:?}", self.heard.lock().iter().rev().take(5));
    }

    pub fn wait_for_gap(&self) {
        self.wait_for("a gap", |heard| heard.iter().any(|own| matches!(own, Delivery::Gap(_))));
    }

    /// Waits until this number was heard.
    pub fn wait_for_number(&self, number: u64) {
        self.wait_for(&format!("number {number}"), |heard| {
            heard
                .iter()
                .rev()
                .any(|own| own.clone().message().is_some_and(|own| of(&own) == number))
        });
    }

    pub fn is_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it.
    pub fn end(self) -> Vec<Delivery> {
        self.closer.close();
        self.thread.join().expect("the listener does not panic");
        std::mem::take(&mut *self.heard.lock())
    }
}

fn of(message: &Message) -> u64 {
    message.payload().expect("a number")
}

/// No number is missing but where a gap is, none was heard twice, and all came in their order. Gives
/// the numbers between the gaps.
pub fn assert_complete(published: &[Published], heard: &[Delivery]) -> Vec<Vec<u64>> {
    let mut stretches = vec![Vec::new()];
    for delivery in heard {
        match delivery {
            Delivery::Message(message) => stretches.last_mut().unwrap().push(of(message)),
            Delivery::Gap(_) => stretches.push(Vec::new()),
            Delivery::Refused(refusal) => panic!("{refusal}"),
        }
    }
    let all = stretches.concat();
    assert!(all.is_sorted_by(|one, next| one < next), "{all:?}");
    for stretch in &stretches {
        let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else { continue };
        let within = published.iter().filter(|own| (*first..=*last).contains(&own.number));
        let missing: Vec<_> =
            within.filter(|own| stretch.binary_search(&own.number).is_err()).collect();
        assert!(missing.is_empty(), "missing between {first} and {last}: {missing:?}");
    }
    stretches
}

/// The client ids of the subscriptions of this crate at a node; those of its sentinels are no part.
pub fn subscribers(node: &Node) -> Vec<String> {
    let clients = node.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]).expect("CLIENT LIST").text();
    let own = clients.lines().filter(|line| line.contains(&format!(" name={NAME} ")));
    own.filter_map(|line| Some(line.split(' ').next()?.strip_prefix("id=")?.to_owned())).collect()
}

/// The next item, waiting for it no longer than for anything else.
pub fn next(subscription: &mut Subscription) -> Delivery {
    let begun = Instant::now();
    let next = subscription.next_timeout(PATIENCE).expect("it is open");
    next.unwrap_or_else(|| panic!("nothing came for {:?}: {subscription:?}", begun.elapsed()))
}

/// The next item, which is a message.
pub fn next_text(subscription: &mut Subscription) -> String {
    match next(subscription) {
        Delivery::Message(message) => message.payload().expect("text"),
        Delivery::Gap(gap) => panic!("a gap where a message was expected: {gap}"),
        Delivery::Refused(refusal) => panic!("a refusal where a message was expected: {refusal}"),
    }
}

/// The next item, which is a gap.
pub fn next_gap(subscription: &mut Subscription) -> Gap {
    match next(subscription) {
        Delivery::Gap(gap) => gap,
        other => panic!("no gap, but {other:?}"),
    }
}

/// The next item, which is a refusal.
pub fn next_refusal(subscription: &mut Subscription) -> Refusal {
    match next(subscription) {
        Delivery::Refused(refusal) => refusal,
        other => panic!("no refusal, but {other:?}"),
    }
}
