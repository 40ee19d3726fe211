//! Everyone who uses the factory during a drill: [`Load`].

use std::{
    thread,
    time::{Duration, Instant},
};

use switchmaster::Factory;

use super::{
    keys::Keys,
    operation::{Duty, Track},
    shape::Shape,
    worker::Worker,
};
use crate::failure::Failure;

/// Operations of each worker before the fault.
const WARM: usize = 20;
/// How long the warm-up may take.
const WARM_UP: Duration = Duration::from_secs(20);
/// How long workers may take to end.
const END: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(2);

pub(crate) struct Load {
    workers: Vec<Worker>,
    /// Ends after the others, since those who block need it to end.
    feeder: Option<Worker>,
}

impl Load {
    pub(crate) fn start(factory: &Factory, keys: &Keys, shape: Shape) -> Result<Load, Failure> {
        let start = |duty, index| Worker::start(duty, index, shape, factory, keys);
        let mut load = Load { workers: Vec::new(), feeder: None };
        if shape.blocked > 0 {
            load.feeder = Some(start(Duty::Feed, 0)?);
        }
        let duties = [
            (Duty::Write, shape.writers),
            (Duty::Read, shape.readers),
            (Duty::Block, shape.blocked),
        ];
        for (duty, count) in duties {
            for index in 0..count {
                load.workers.push(start(duty, index)?);
            }
        }
        Ok(load)
    }

    fn all(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().chain(&self.feeder)
    }

    /// Waits until every worker has done its first operations.
    pub(crate) fn warm_up(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + WARM_UP;
        while !self.all().all(|worker| worker.look(|track| track.done().take(WARM).count() >= WARM))
        {
            if Instant::now() > deadline {
                let mut tracks = self.all().map(Worker::track);
                let trouble = tracks.find_map(|track| {
                    track.failed().last().map(|(_, trouble)| format!(": {}", trouble.message))
                });
                let trouble = trouble.unwrap_or_default();
                return Err(Failure::new(format!(
                    "not every worker did {WARM} operations within {WARM_UP:?}, before any fault; \
                     try fewer workers, or mend the deployment{trouble}"
                )));
            }
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// Waits until every worker has done an operation that began after `since`.
    pub(crate) fn wait_through(&self, since: Instant, deadline: Instant) -> bool {
        let through = |track: &Track| {
            track.operations.iter().rev().any(|done| done.trouble.is_none() && done.began > since)
        };
        loop {
            if self.all().all(|worker| worker.look(through)) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(STEP);
        }
    }

    /// Asks the workers to end, without waiting for them.
    pub(crate) fn wind_down(&self) {
        self.workers.iter().for_each(Worker::stop);
    }

    /// Ends the workers and gives what they did. One that does not end is left to itself.
    pub(crate) fn stop(&self) -> Vec<Track> {
        end(&self.workers);
        end(self.feeder.as_slice());
        self.all().map(Worker::track).collect()
    }
}

impl Drop for Load {
    /// Nobody may use the keys any more when they are removed.
    fn drop(&mut self) {
        self.stop();
    }
}

fn end(workers: &[Worker]) {
    let deadline = Instant::now() + END;
    workers.iter().for_each(Worker::stop);
    while !workers.iter().all(Worker::is_finished) && Instant::now() < deadline {
        thread::sleep(STEP);
    }
}
