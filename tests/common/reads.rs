//! Threads that read from replicas while another one writes, and how old what they read was.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use redis::{Commands, RedisError};
use switchmaster::{Address, Factory, ReadFrom};
use switchmaster_sandbox::wait_until;

use super::{PATIENCE, load::Failure};

/// The key that rising numbers are written to.
pub const MARKER: &str = "marker";

/// A value that is written to where nobody may read.
pub const POISON: &str = "poison";

const PAUSE: Duration = Duration::from_millis(2);

/// A number that was read.
#[derive(Clone, Debug)]
pub struct Read {
    pub from: Address,
    pub value: String,
    pub begun: Instant,
    pub took: Duration,
}

/// A writer and some readers.
pub struct Reads {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    writer: JoinHandle<Vec<(u64, Instant)>>,
    readers: Vec<JoinHandle<(Vec<Read>, Vec<Failure>)>>,
}

/// What they did.
pub struct Account {
    /// What was acknowledged, and when.
    pub written: Vec<(u64, Instant)>,
    pub reads: Vec<Read>,
    pub failures: Vec<Failure>,
}

impl Reads {
    pub fn begin(factory: &Factory, from: ReadFrom, readers: usize) -> Reads {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        factory.get().unwrap().set::<_, _, ()>(MARKER, 0).unwrap();
        let writer = {
            let (factory, stop) = (factory.clone(), stop.clone());
            thread::spawn(move || {
                let mut written = Vec::new();
                for number in 1u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let done = factory
                        .get()
                        .map_err(RedisError::from)
                        .and_then(|mut redis| redis.set::<_, _, ()>(MARKER, number));
                    if done.is_ok() {
                        written.push((number, Instant::now()));
                    }
                    thread::sleep(PAUSE);
                }
                written
            })
        };
        let readers = (0..readers)
            .map(|_| {
                let (factory, stop, done) = (factory.clone(), stop.clone(), done.clone());
                thread::spawn(move || {
                    let (mut reads, mut failures) = (Vec::new(), Vec::new());
                    while !stop.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        match read(&factory, from) {
                            Ok((from, value)) => {
                                reads.push(Read { from, value, begun, took: begun.elapsed() });
                                done.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => failures.push(Failure::of(&error)),
                        }
                        thread::sleep(PAUSE);
                    }
                    (reads, failures)
                })
            })
            .collect();
        let reads = Reads { stop, done, writer, readers };
        reads.wait_for(100);
        reads
    }

    /// Waits until so many more reads were answered.
    pub fn wait_for(&self, more: u64) {
        let enough = self.done.load(Ordering::Relaxed) + more;
        let read = wait_until(PATIENCE, || self.done.load(Ordering::Relaxed) >= enough);
        assert!(read, "no {more} reads more were answered");
    }

    pub fn end(self) -> Account {
        self.stop.store(true, Ordering::Relaxed);
        let written = self.writer.join().unwrap();
        let (mut reads, mut failures) = (Vec::new(), Vec::new());
        for reader in self.readers {
            let (read, failed) = reader.join().unwrap();
            reads.extend(read);
            failures.extend(failed);
        }
        reads.sort_by_key(|read| read.begun);
        Account { written, reads, failures }
    }
}

/// Where it was read, and what.
pub fn read(factory: &Factory, from: ReadFrom) -> Result<(Address, String), RedisError> {
    let mut redis = factory.get_from(from)?;
    let value: Option<String> = redis.get(MARKER)?;
    let address = redis.address().expect("it has just answered").clone();
    Ok((address, value.unwrap_or_default()))
}

impl Account {
    /// How often was read from each node after that time.
    pub fn nodes_since(&self, at: Instant) -> BTreeMap<Address, usize> {
        let mut nodes = BTreeMap::new();
        for read in self.reads.iter().filter(|read| read.begun >= at) {
            *nodes.entry(read.from.clone()).or_default() += 1;
        }
        nodes
    }

    /// Nothing that was read is older than the bound, or is from where nobody may read. Of writes that
    /// were acknowledged in a time in `lost` some may be lost.
    pub fn assert_fresh(&self, bound: Duration, lost: Option<(Instant, Instant)>) {
        let kept = |at: Instant| lost.is_none_or(|(from, to)| at < from || at > to);
        let written: Vec<_> = self.written.iter().filter(|(_, at)| kept(*at)).collect();
        for read in &self.reads {
            assert_ne!(read.value, POISON, "{read:?}");
            // A replica may not have had the first one yet.
            let value: u64 = match &*read.value {
                "" => 0,
                value => value.parse().unwrap_or_else(|_| panic!("{read:?}")),
            };
            let Some(limit) = read.begun.checked_sub(bound) else { continue };
            let known = written.partition_point(|(_, at)| *at <= limit);
            let Some((due, at)) = known.checked_sub(1).map(|last| written[last]) else { continue };
            let age = read.begun - *at;
            assert!(value >= *due, "{read:?}, and {due} was acknowledged {age:?} before");
        }
    }

    /// The longest time between the beginnings of two reads that were answered.
    pub fn longest_pause(&self) -> Duration {
        let ends: Vec<Instant> = self.reads.iter().map(|read| read.begun + read.took).collect();
        let mut ends = ends;
        ends.sort();
        ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// The failures in a few lines, for a panic.
    pub fn failures(&self) -> String {
        let texts = self.failures.iter().take(10);
        texts.map(|failure| format!("{}: {}\n", failure.outcome, failure.text)).collect()
    }
}
