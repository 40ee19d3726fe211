//! Jobs that may wait long for a server that does not answer: [`Patient`].
//!
//! Each job may take a dial timeout. They have threads of their own, started when a job has waited
//! for [`STEP`] and ended when there is nothing to do, up to [`THREADS`]; and the services take turns,
//! so one service with many unreachable nodes does not keep the others waiting. Services whose last job
//! was slow leave [`RESERVED`] threads to the others.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{Alive, Job, Presence};

/// The most threads that wait for servers at the same time.
pub(super) const THREADS: usize = 16;

/// The threads that services do not use whose last job was slow: it took longer than this.
const RESERVED: usize = 4;
const SLOW: Duration = Duration::from_millis(100);

/// A job that has waited for so long gets a thread more.
pub(super) const STEP: Duration = Duration::from_millis(5);

/// A thread without a job ends after this long.
const IDLE: Duration = Duration::from_secs(1);

pub(super) struct Patient {
    lane: Mutex<Lane>,
    changed: Condvar,
    alive: Arc<Alive>,
}

#[derive(Default)]
struct Lane {
    jobs: BTreeMap<u64, VecDeque<Job>>,
    /// The services that have jobs, in the order of their turns.
    turns: VecDeque<u64>,
    /// The services whose last job was slow, and how many of their jobs run now.
    slow: BTreeSet<u64>,
    slow_jobs: usize,
    threads: usize,
    idle: usize,
    ended: bool,
}

impl Lane {
    /// The next job and its service: of one whose last job was not slow, if there is one.
    fn next(&mut self) -> Option<(u64, Job)> {
        let quick = self.turns.iter().position(|service| !self.slow.contains(service));
        let turn = quick.or((self.slow_jobs < THREADS - RESERVED).then_some(0))?;
        let service = self.turns.remove(turn)?;
        let jobs = self.jobs.get_mut(&service)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            self.jobs.remove(&service);
        } else {
            self.turns.push_back(service);
        }
        Some((service, job))
    }

    /// The number of jobs that wait for a thread, and for nothing else.
    fn waiting(&self) -> usize {
        let count = |slow: bool| -> usize {
            let jobs = self.jobs.iter().filter(|(service, _)| self.slow.contains(service) == slow);
            jobs.map(|(_, jobs)| jobs.len()).sum()
        };
        count(false) + count(true).min((THREADS - RESERVED).saturating_sub(self.slow_jobs))
    }

    /// Returns true when a job waits for which no thread is idle or starting.
    fn is_short(&self) -> bool {
        self.waiting() > self.idle && self.threads < THREADS && !self.ended
    }
}

impl Patient {
    pub(super) fn new(alive: Arc<Alive>) -> Arc<Patient> {
        Arc::new(Patient { lane: Mutex::default(), changed: Condvar::new(), alive })
    }

    /// Puts a job into its service's queue. Returns whether [`Patient::grow`] is to be called after
    /// [`STEP`], because all threads are busy.
    #[must_use]
    pub(super) fn put(self: &Arc<Self>, service: u64, job: Job) -> bool {
        let mut lane = self.lane.lock();
        if lane.ended {
            return false;
        }
        let jobs = lane.jobs.entry(service).or_default();
        jobs.push_back(job);
        if jobs.len() == 1 {
            lane.turns.push_back(service);
        }
        self.changed.notify_one();
        if lane.threads == 0 {
            self.start(&mut lane);
            return false;
        }
        lane.is_short()
    }

    /// Starts a thread for each job that has waited since [`Patient::put`], as far as their number is
    /// allowed. Returns whether to call again after [`STEP`].
    #[must_use]
    pub(super) fn grow(self: &Arc<Self>) -> bool {
        let mut lane = self.lane.lock();
        for _ in lane.idle..lane.waiting() {
            if !lane.is_short() || !self.start(&mut lane) {
                break;
            }
        }
        lane.is_short()
    }

    /// Throws away the jobs that have not begun; the threads end.
    pub(super) fn end(&self) {
        let mut lane = self.lane.lock();
        lane.ended = true;
        lane.turns.clear();
        let jobs = std::mem::take(&mut lane.jobs);
        drop(lane);
        self.changed.notify_all();
        drop(jobs);
    }

    /// Without a thread the job waits for the next one.
    fn start(self: &Arc<Self>, lane: &mut Lane) -> bool {
        let presence = Presence::begin(&self.alive);
        let own = self.clone();
        let started =
            thread::Builder::new().name("switchmaster-patient".to_owned()).spawn(move || {
                let presence = presence;
                own.run();
                // The values that `run` holds are dropped before the thread counts as ended.
                drop(own);
                drop(presence);
            });
        lane.threads += usize::from(started.is_ok());
        started.is_ok()
    }

    fn run(&self) {
        let mut lane = self.lane.lock();
        loop {
            if lane.ended {
                break;
            }
            if let Some((service, job)) = lane.next() {
                let was_slow = lane.slow.contains(&service);
                lane.slow_jobs += usize::from(was_slow);
                drop(lane);
                let begun = Instant::now();
                // A job that panics is the end of that job only; the panic was reported where it was.
                let _ = catch_unwind(AssertUnwindSafe(job));
                lane = self.lane.lock();
                lane.slow_jobs -= usize::from(was_slow);
                if begun.elapsed() > SLOW {
                    lane.slow.insert(service);
                } else {
                    lane.slow.remove(&service);
                }
                continue;
            }
            lane.idle += 1;
            let late = self.changed.wait_for(&mut lane, IDLE).timed_out();
            lane.idle -= 1;
            if late && lane.turns.is_empty() {
                break;
            }
        }
        lane.threads -= 1;
        if lane.threads == 0 {
            lane.slow.clear();
        }
    }

    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.lane.lock().threads
    }
}
