//! A thread that uses the factory: [`Worker`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use redis::{Commands, RedisResult};
use switchmaster::{Factory, Handle};

use super::{
    keys::Keys,
    operation::{Duty, Operation, Track},
    shape::Shape,
    value,
};
use crate::failure::Failure;

/// After an error, so that one that comes at once does not become a busy loop. What is measured
/// contains it, so it is short.
const AFTER_ERROR: Duration = Duration::from_millis(1);
/// Between two rounds of the feeder.
const FEED: Duration = Duration::from_millis(10);

pub(crate) struct Worker {
    log: Arc<Mutex<Track>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(
        duty: Duty,
        index: usize,
        shape: Shape,
        factory: &Factory,
        keys: &Keys,
    ) -> Result<Worker, Failure> {
        let track = Track { duty, index, operations: Vec::new(), running: None };
        let work = Work {
            duty,
            index,
            shape,
            factory: factory.clone(),
            keys: keys.clone(),
            log: Arc::new(Mutex::new(track)),
            stop: Arc::new(AtomicBool::new(false)),
        };
        let (log, stop) = (work.log.clone(), work.stop.clone());
        let thread = thread::Builder::new()
            .name(format!("{} {index}", duty.as_str()))
            .spawn(move || work.go_on())
            .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
        Ok(Worker { log, stop, thread })
    }

    /// Asks it to end after its present operation.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// What it did so far.
    pub(crate) fn track(&self) -> Track {
        self.log.lock().clone()
    }

    /// Looks at what it did so far, without a copy.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Track) -> T) -> T {
        look(&self.log.lock())
    }
}

struct Work {
    duty: Duty,
    index: usize,
    shape: Shape,
    factory: Factory,
    keys: Keys,
    log: Arc<Mutex<Track>>,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn go_on(&self) {
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            match self.duty {
                Duty::Feed => {
                    let lists = 0..self.shape.blocked as u64;
                    lists.for_each(|list| self.operate(list, Duration::ZERO));
                    thread::sleep(FEED);
                }
                Duty::Block => self.operate(number, Duration::ZERO),
                Duty::Write | Duty::Read => self.operate(number, self.shape.pace),
            }
            number += u64::from(self.commands());
        }
    }

    /// How many commands an operation is.
    fn commands(&self) -> u32 {
        if self.duty == Duty::Write { self.shape.pipeline } else { 1 }
    }

    /// Does it once, and pauses: as it is told after a success, shortly after an error.
    fn operate(&self, number: u64, pace: Duration) {
        let began = Instant::now();
        self.log.lock().running = Some(began);
        let (generation, result) = self.attempt(number);
        let ended = Instant::now();
        let trouble = result.err().map(Into::into);
        let mut log = self.log.lock();
        log.running = None;
        let pause = if trouble.is_some() { AFTER_ERROR } else { pace };
        let count = self.commands();
        log.operations.push(Operation { began, ended, generation, number, count, trouble });
        drop(log);
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }

    fn attempt(&self, number: u64) -> (u64, RedisResult<()>) {
        let mut handle = match self.factory.get() {
            Ok(handle) => handle,
            Err(error) => return (0, Err(error.into())),
        };
        let result = match self.duty {
            Duty::Write => self.write(&mut handle, number),
            Duty::Read => handle.get::<_, Option<String>>(self.keys.read()).map(drop),
            Duty::Block => handle
                .blpop::<_, Option<(String, String)>>(self.keys.list(self.index), 0.0)
                .map(drop),
            Duty::Feed => handle.rpush(self.keys.list(number as usize), "food"),
        };
        (handle.generation(), result)
    }

    fn write(&self, handle: &mut Handle, number: u64) -> RedisResult<()> {
        let key = self.keys.written_by(self.index);
        let value = |number| value::of(number, self.shape.value_size);
        if self.commands() == 1 {
            return handle.rpush(key, value(number));
        }
        let mut pipeline = redis::pipe();
        for number in number..number + u64::from(self.commands()) {
            pipeline.rpush(&key, value(number)).ignore();
        }
        pipeline.query(handle)
    }
}
