//! Threads that write through a factory, and what became of every write.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use redis::{Commands, RedisError};
use switchmaster::{Error, ErrorKind, Factory, Outcome};
use switchmaster_sandbox::{Node, wait_until};

use super::PATIENCE;

/// The pause of a writer between two writes.
const PAUSE: Duration = Duration::from_millis(2);

/// A write that the factory acknowledged.
#[derive(Clone, Debug)]
pub struct Write {
    pub value: String,
    /// The generation that it ran in.
    pub generation: u64,
    pub at: Instant,
}

/// A write, or the wait for a handle, that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    pub kind: Option<ErrorKind>,
    pub outcome: Outcome,
    pub text: String,
    pub at: Instant,
}

impl Failure {
    pub fn of(error: &RedisError) -> Failure {
        Failure {
            kind: Error::from_redis(error).map(Error::kind),
            outcome: Outcome::of(error),
            text: error.to_string(),
            at: Instant::now(),
        }
    }
}

/// Writers, each of which pushes values that nobody else pushes to a list of its own.
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    writers: Vec<JoinHandle<Tally>>,
    name: String,
}

impl Load {
    /// Writers that have all written once when this returns. Their lists are those of no other load.
    pub fn begin(factory: &Factory, writers: usize) -> Load {
        static LOADS: AtomicU64 = AtomicU64::new(0);
        let name = format!("load:{}", LOADS.fetch_add(1, Ordering::Relaxed));
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let begun = Arc::new(AtomicU64::new(0));
        let threads = (0..writers).map(|writer| {
            let (factory, stop) = (factory.clone(), stop.clone());
            let (acknowledged, begun) = (acknowledged.clone(), begun.clone());
            let list = list(&name, writer);
            thread::spawn(move || {
                let mut tally = Tally::default();
                for number in 0u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    if tally.write(&factory, &list, format!("{list}:{number}")) {
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                        begun.fetch_add(u64::from(tally.writes.len() == 1), Ordering::Relaxed);
                    }
                    thread::sleep(PAUSE);
                }
                tally
            })
        });
        let threads = threads.collect();
        let all = || begun.load(Ordering::Relaxed) >= writers as u64;
        let load = Load { stop, acknowledged, writers: threads, name };
        assert!(wait_until(PATIENCE, all), "not every writer could write");
        load
    }

    /// How many writes were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more writes were acknowledged.
    pub fn wait_for(&self, more: u64) {
        let enough = self.acknowledged() + more;
        let written = wait_until(PATIENCE, || self.acknowledged() >= enough);
        assert!(written, "no {more} writes more were acknowledged");
    }

    /// Ends the writers, and tells what they did.
    pub fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        let count = self.writers.len();
        for writer in self.writers {
            let tally = writer.join().expect("a writer does not panic");
            all.writes.extend(tally.writes);
            all.failures.extend(tally.failures);
        }
        all.lists = (0..count).map(|writer| list(&self.name, writer)).collect();
        all.writes.sort_by_key(|write| write.at);
        all
    }
}

fn list(name: &str, writer: usize) -> String {
    format!("{name}:{writer}")
}

/// What writers did.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// In the order of their acknowledgements.
    pub writes: Vec<Write>,
    pub failures: Vec<Failure>,
    lists: Vec<String>,
}

impl Tally {
    /// Says whether it was acknowledged.
    fn write(&mut self, factory: &Factory, list: &str, value: String) -> bool {
        let written = factory.get().map_err(RedisError::from).and_then(|mut redis| {
            redis.rpush::<_, _, u64>(list, &value)?;
            Ok(redis.generation())
        });
        match written {
            Ok(generation) => {
                self.writes.push(Write { value, generation, at: Instant::now() });
                true
            }
            Err(error) => {
                self.failures.push(Failure::of(&error));
                false
            }
        }
    }

    /// The acknowledged writes that this node does not have. Each of those that it has, it has once,
    /// and those that it has beyond them are of writes with an unknown outcome.
    pub fn lost(&self, node: &Node) -> Vec<Write> {
        let mut there: HashMap<String, usize> = HashMap::new();
        for list in &self.lists {
            let found = node.ask(&["LRANGE", list, "0", "-1"]).expect("the lists are readable");
            for item in found.items() {
                *there.entry(item.text()).or_default() += 1;
            }
        }
        let twice: Vec<_> = there.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "written more than once: {twice:?}");
        let kept = self.writes.iter().filter(|write| there.contains_key(&write.value)).count();
        let unknown = self.failures.iter().filter(|failure| failure.outcome == Outcome::Unknown);
        let (more, unknown) = (there.len() - kept, unknown.count());
        assert!(more <= unknown, "{more} values that failed, and {unknown} failed as unknown");
        self.writes.iter().filter(|write| !there.contains_key(&write.value)).cloned().collect()
    }

    /// How many writes were acknowledged in each of the generations.
    pub fn by_generation(&self, generation: u64) -> usize {
        self.writes.iter().filter(|write| write.generation == generation).count()
    }

    /// Lost writes in a few words, for a panic.
    pub fn describe(&self, lost: &[Write]) -> String {
        let mut text = format!("{} of {} writes are lost", lost.len(), self.writes.len());
        let mut generations: Vec<u64> = lost.iter().map(|write| write.generation).collect();
        generations.dedup();
        for generation in generations {
            let mut all = self.writes.iter().filter(|write| write.generation == generation);
            let mut own = lost.iter().filter(|write| write.generation == generation);
            let (Some(begin), Some(first)) = (all.next(), own.next()) else { continue };
            let (end, last) = (all.next_back().unwrap_or(begin), own.next_back().unwrap_or(first));
            let (from, to) = (first.at - begin.at, last.at - begin.at);
            let length = end.at - begin.at;
            let _ =
                write!(text, "; {from:?} to {to:?} of the {length:?} of generation {generation}");
        }
        text
    }

    /// The failures in a few lines, for a panic.
    pub fn failures(&self) -> String {
        let mut text = String::new();
        for failure in self.failures.iter().take(10) {
            let _ = writeln!(text, "{}: {}", failure.outcome, failure.text);
        }
        text
    }
}
