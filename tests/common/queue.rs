//! Threads that wait in the server for elements of a list, and one that pushes them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use redis::{Commands, RedisError, RedisResult};
use switchmaster::Factory;
use switchmaster_sandbox::{Node, wait_until};

use super::{PATIENCE, load::Failure};

const QUEUE: &str = "queue";
/// Tells one reader to leave.
const LEAVE: &str = "leave";
/// The pause of the feeder between two elements.
const PAUSE: Duration = Duration::from_millis(3);

/// Threads that wait for elements for as long as it takes.
pub struct Readers {
    threads: Vec<JoinHandle<(Vec<String>, Vec<Failure>)>>,
}

impl Readers {
    pub fn begin(factory: &Factory, count: usize) -> Readers {
        let threads = (0..count).map(|_| {
            let factory = factory.clone();
            thread::spawn(move || {
                let (mut taken, mut failures) = (Vec::new(), Vec::new());
                let mut redis = factory.get().unwrap();
                loop {
                    match redis.blpop::<_, Option<(String, String)>>(QUEUE, 0.0) {
                        Ok(Some((_, element))) if element == LEAVE => break,
                        Ok(element) => taken.extend(element.map(|(_, element)| element)),
                        Err(error) => failures.push(Failure::of(&error)),
                    }
                }
                (taken, failures)
            })
        });
        Readers { threads: threads.collect() }
    }

    /// Waits until all of them wait at this node.
    pub fn wait_until_blocked(&self, master: &Node) {
        let expected = self.threads.len().to_string();
        let blocked = || master.info("clients", "blocked_clients").is_ok_and(|n| n == expected);
        assert!(wait_until(PATIENCE, blocked), "they do not wait in the server");
    }

    /// What they took, together, and how they failed.
    pub fn end(self, factory: &Factory) -> (Vec<String>, Vec<Failure>) {
        let mut redis = factory.get().unwrap();
        for _ in &self.threads {
            redis.rpush::<_, _, u64>(QUEUE, LEAVE).unwrap();
        }
        let mut all = (Vec::new(), Vec::new());
        for thread in self.threads {
            let (taken, failures) = thread.join().unwrap();
            all.0.extend(taken);
            all.1.extend(failures);
        }
        all
    }
}

/// Pushes an element that some reader takes, and returns it.
pub fn push(factory: &Factory, element: String) -> RedisResult<String> {
    let mut redis = factory.get().map_err(RedisError::from)?;
    redis.rpush::<_, _, u64>(QUEUE, &element).map(|_| element)
}

/// Waits until everything that was pushed is taken.
pub fn wait_until_taken(factory: &Factory) {
    let empty = || factory.get().unwrap().llen(QUEUE) == Ok(0u64);
    assert!(wait_until(PATIENCE, empty), "not everything is taken");
}

/// A thread that pushes an element every few milliseconds.
pub struct Feeder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Vec<String>, Vec<Failure>)>,
}

impl Feeder {
    pub fn begin(factory: &Factory) -> Feeder {
        let stop = Arc::new(AtomicBool::new(false));
        let (factory, stopped) = (factory.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let (mut pushed, mut failures) = (Vec::new(), Vec::new());
            for number in 0u64.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                match push(&factory, format!("fed:{number}")) {
                    Ok(element) => pushed.push(element),
                    Err(error) => failures.push(Failure::of(&error)),
                }
                thread::sleep(PAUSE);
            }
            (pushed, failures)
        });
        Feeder { stop, thread }
    }

    /// What it pushed, once somebody has taken all of it, and how it failed.
    pub fn end(self, factory: &Factory) -> (Vec<String>, Vec<Failure>) {
        self.stop.store(true, Ordering::Relaxed);
        let done = self.thread.join().unwrap();
        wait_until_taken(factory);
        done
    }
}

/// Every element was taken, and taken once.
pub fn assert_taken(pushed: &[String], taken: &[String]) {
    let mut times: BTreeMap<&str, i32> = BTreeMap::new();
    pushed.iter().for_each(|element| *times.entry(element).or_default() += 1);
    taken.iter().for_each(|element| *times.entry(element).or_default() -= 1);
    let odd: Vec<_> = times.iter().filter(|(_, left)| **left != 0).collect();
    assert!(odd.is_empty(), "taken too rarely (> 0) or too often (< 0): {odd:?}");
}
