//! The few threads that everything in the process shares: r2d2 dials on some, the watch verifies
//! masters and resolves names on others, and one looks after servers that do not answer.
//!
//! They are apart because a master that is frozen or gone keeps whoever dials it busy for a dial
//! timeout at a time, and the one that is to replace it, or that another factory uses, must not
//! wait behind that.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use scheduled_thread_pool::{OnPoolDropBehavior, ScheduledThreadPool};

/// How many threads dial for the pools, work for the watches, and probe. Every job is bounded by a
/// dial timeout, and retirement ends the dials of a generation, so a few suffice for many services.
const DIALLING: usize = 2;
const WATCHING: usize = 2;
const PROBING: usize = 1;

/// How long the end of the workers waits for their start, if it comes so soon.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// The pool of the process, while anybody uses it.
static SHARED: Mutex<Weak<Workers>> = Mutex::new(Weak::new());

/// A share in the worker threads. The threads end with the last share.
pub(crate) struct Workers {
    dialling: Arc<ScheduledThreadPool>,
    watching: Arc<ScheduledThreadPool>,
    probing: Arc<ScheduledThreadPool>,
    alive: Arc<Alive>,
    roll_calls: [Arc<RollCall>; 3],
}

/// Each thread of a pool signs in once; nobody leaves the call before all have come.
struct RollCall {
    of: usize,
    come: Mutex<usize>,
    complete: Condvar,
}

impl RollCall {
    fn come(&self) {
        let mut come = self.come.lock();
        *come += 1;
        self.complete.notify_all();
        while *come < self.of {
            self.complete.wait(&mut come);
        }
    }

    fn wait(&self, until: Instant) {
        let mut come = self.come.lock();
        while *come < self.of && !self.complete.wait_until(&mut come, until).timed_out() {}
    }
}

impl Drop for Workers {
    /// A pool throws away what it has not begun when it is dropped. A part of the roll call among
    /// that would leave those who came waiting for ever.
    fn drop(&mut self) {
        let until = Instant::now() + START_PATIENCE;
        self.roll_calls.iter().for_each(|call| call.wait(until));
    }
}

/// Counts the threads that have not ended, because a thread pool that only *asks* its threads to
/// end cannot keep the promise that `close()` leaves none behind.
struct Alive {
    count: Mutex<usize>,
    changed: Condvar,
}

struct Presence(Arc<Alive>);

impl Drop for Presence {
    fn drop(&mut self) {
        *self.0.count.lock() -= 1;
        self.0.changed.notify_all();
    }
}

thread_local! {
    static PRESENCE: std::cell::RefCell<Option<Presence>> = const { std::cell::RefCell::new(None) };
}

impl Workers {
    /// The shared workers; the first caller starts them.
    pub(crate) fn shared() -> Arc<Workers> {
        let mut shared = SHARED.lock();
        if let Some(workers) = shared.upgrade() {
            return workers;
        }
        let workers = Arc::new(Workers::start());
        *shared = Arc::downgrade(&workers);
        workers
    }

    fn start() -> Workers {
        let alive = Arc::new(Alive { count: Mutex::new(0), changed: Condvar::new() });
        let (dialling, first) = threads(DIALLING, "switchmaster-dial-{}", &alive);
        let (watching, second) = threads(WATCHING, "switchmaster-worker-{}", &alive);
        let (probing, third) = threads(PROBING, "switchmaster-probe-{}", &alive);
        Workers {
            dialling: Arc::new(dialling),
            watching: Arc::new(watching),
            probing: Arc::new(probing),
            alive,
            roll_calls: [first, second, third],
        }
    }

    /// The threads in the form in which r2d2 takes them.
    pub(crate) fn for_r2d2(&self) -> Arc<ScheduledThreadPool> {
        self.dialling.clone()
    }

    /// Runs a job of a watch soon. A job that panics is the end of that job only.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.watching.execute(job);
    }

    /// Runs a job of a watch after `pause`, and again after each pause that it asks for. One that
    /// panics is not run again.
    pub(crate) fn run_again(
        &self,
        pause: Duration,
        job: impl FnMut() -> Option<Duration> + Send + 'static,
    ) {
        self.watching.execute_with_dynamic_delay(pause, job);
    }

    /// Runs a job that looks whether a server that did not answer does so again.
    pub(crate) fn probe(&self, job: impl FnOnce() + Send + 'static) {
        self.probing.execute(job);
    }

    /// Gives a share back. Whoever gives the last one waits for the threads to end, at most for
    /// `patience`; `false` when some had not ended by then.
    pub(crate) fn leave(self: Arc<Self>, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let pools = [&self.dialling, &self.watching, &self.probing].map(Arc::downgrade);
        let alive = self.alive.clone();
        drop(self);
        if pools.iter().any(|pool| pool.strong_count() > 0) {
            return true;
        }
        let mut count = alive.count.lock();
        while *count > 0 {
            if alive.changed.wait_until(&mut count, until).timed_out() {
                return *count == 0;
            }
        }
        true
    }
}

/// Starts threads and waits for none of them.
fn threads(count: usize, names: &str, alive: &Arc<Alive>) -> (ScheduledThreadPool, Arc<RollCall>) {
    let pool = ScheduledThreadPool::builder()
        .num_threads(count)
        .thread_name_pattern(names)
        .on_drop_behavior(OnPoolDropBehavior::DiscardPendingScheduled)
        .build();
    let call = Arc::new(RollCall { of: count, come: Mutex::new(0), complete: Condvar::new() });
    for _ in 0..count {
        let (alive, call) = (alive.clone(), call.clone());
        pool.execute(move || {
            // The thread-local value signs out when the thread ends.
            *alive.count.lock() += 1;
            PRESENCE.set(Some(Presence(alive)));
            call.come();
        });
    }
    (pool, call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_leave_finds_every_thread_ended() {
        // A pool of its own: the shared one belongs to whatever other test runs beside this one.
        let workers = Arc::new(Workers::start());
        let alive = workers.alive.clone();
        let (done, finished) = crossbeam_channel::bounded(1);
        workers.run(move || done.send(()).unwrap());
        finished.recv_timeout(Duration::from_secs(5)).unwrap();
        let second = workers.clone();
        assert!(second.leave(Duration::ZERO), "others still hold a share: nothing to wait for");
        assert!(workers.leave(Duration::from_secs(5)));
        assert_eq!(*alive.count.lock(), 0);
    }

    #[test]
    fn they_end_also_when_they_have_hardly_begun() {
        for _ in 0..50 {
            assert!(Arc::new(Workers::start()).leave(Duration::from_secs(5)));
        }
    }

    #[test]
    fn a_job_that_panics_takes_no_thread_with_it() {
        let workers = Arc::new(Workers::start());
        for _ in 0..2 * WATCHING {
            workers.run(|| panic!("a job's own fault"));
        }
        let (done, finished) = crossbeam_channel::bounded(1);
        workers.run(move || done.send(()).unwrap());
        finished.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(workers.leave(Duration::from_secs(5)));
    }
}
