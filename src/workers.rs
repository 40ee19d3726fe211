//! The few threads that everything in the process shares: r2d2 dials on some, the watch verifies
//! answering masters on others, and [`patient`] ones wait for servers that may not answer.
//!
//! They are apart because a master that is frozen or gone keeps a thread that dials it busy for a
//! dial timeout at a time, and the one that is to replace it, or that another factory uses, must not
//! wait behind that.

mod patient;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::error::{Error, ErrorKind};
use parking_lot::{Condvar, Mutex};
use patient::Patient;
use scheduled_thread_pool::{OnPoolDropBehavior, ScheduledThreadPool};

/// The numbers of threads that dial for the pools and work for the watches. Every job is bounded by a dial
/// timeout, and retirement ends the dials of a generation, so a few suffice for many services.
const DIALLING: usize = 2;
const WATCHING: usize = 2;

/// How long the end of the workers waits for their start, if it comes so soon.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// The turn of the probes among the services, whose numbers begin at 1.
const PROBES: u64 = 0;

/// The pool of the process, while anybody uses it.
static SHARED: Mutex<Weak<Workers>> = Mutex::new(Weak::new());

/// The process that started the shared workers last, and how many workers are in use.
static OWNER: AtomicU32 = AtomicU32::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Returns true in the child of a process that had workers, and thus a factory, when it forked. The
/// child has a copy of their memory, their sockets, and none of their threads.
pub(crate) fn are_of_another_process() -> bool {
    let owner = OWNER.load(Ordering::SeqCst);
    owner != 0 && LIVE.load(Ordering::SeqCst) > 0 && owner != std::process::id()
}

type Job = Box<dyn FnOnce() + Send>;

/// A job that may have to wait for a server. It is in one queue, or in two, and runs once.
#[derive(Clone)]
pub(crate) struct Ticket(Arc<Mutex<Option<Job>>>);

impl Ticket {
    fn new(job: Job) -> Ticket {
        Ticket(Arc::new(Mutex::new(Some(job))))
    }

    /// Runs the job, unless it has begun.
    fn run(&self) {
        let job = self.0.lock().take();
        if let Some(job) = job {
            job();
        }
    }

    fn has_begun(&self) -> bool {
        self.0.lock().is_none()
    }
}

/// A share in the worker threads. The threads end with the last share.
pub(crate) struct Workers {
    dialling: Arc<ScheduledThreadPool>,
    watching: Arc<ScheduledThreadPool>,
    patient: Arc<Patient>,
    /// True while one of the watching threads runs a job for a server that probably answers.
    hoping: Arc<AtomicBool>,
    alive: Arc<Alive>,
    roll_calls: [Arc<RollCall>; 2],
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
        LIVE.fetch_sub(1, Ordering::SeqCst);
        self.patient.end();
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

impl Presence {
    fn begin(alive: &Arc<Alive>) -> Presence {
        *alive.count.lock() += 1;
        Presence(alive.clone())
    }
}

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
    ///
    /// # Errors
    /// [`ErrorKind::Forked`] in the child of a process that had them when it forked.
    pub(crate) fn shared() -> Result<Arc<Workers>, Error> {
        // Before the lock, which a thread that the child does not have may have held at the fork.
        if are_of_another_process() {
            return Err(Error::new(
                ErrorKind::Forked,
                "this process was forked while its parent had a factory open, and has none of the \
                 factory's threads; open factories after the fork, or exec",
            ));
        }
        let mut shared = SHARED.lock();
        if let Some(workers) = shared.upgrade() {
            return Ok(workers);
        }
        let workers = Arc::new(Workers::start());
        OWNER.store(std::process::id(), Ordering::SeqCst);
        *shared = Arc::downgrade(&workers);
        Ok(workers)
    }

    fn start() -> Workers {
        LIVE.fetch_add(1, Ordering::SeqCst);
        let alive = Arc::new(Alive { count: Mutex::new(0), changed: Condvar::new() });
        let (dialling, first) = threads(DIALLING, "switchmaster-dial-{}", &alive);
        let (watching, second) = threads(WATCHING, "switchmaster-worker-{}", &alive);
        Workers {
            dialling: Arc::new(dialling),
            watching: Arc::new(watching),
            patient: Patient::new(alive.clone()),
            hoping: Arc::default(),
            alive,
            roll_calls: [first, second],
        }
    }

    /// The threads in the form in which r2d2 takes them.
    pub(crate) fn for_r2d2(&self) -> Arc<ScheduledThreadPool> {
        self.dialling.clone()
    }

    /// Runs a job of a watch whose server has just answered, soon. A job that panics is the end of that
    /// job only.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.watching.execute(job);
    }

    /// Runs a job that may have to wait for a server: never before a short one, and in turn with
    /// those of other services.
    pub(crate) fn run_patiently(
        &self,
        service: u64,
        job: impl FnOnce() + Send + 'static,
    ) -> Ticket {
        let ticket = Ticket::new(Box::new(job));
        let own = ticket.clone();
        if self.patient.put(service, Box::new(move || own.run())) {
            grow_later(&self.watching, Arc::downgrade(&self.watching), self.patient.clone());
        }
        ticket
    }

    /// Runs a job for a server that probably answers at once: with the short jobs, as long as it is
    /// the only such one there, so that it never keeps them waiting; otherwise as
    /// [`Workers::run_patiently`].
    pub(crate) fn run_hopefully(
        &self,
        service: u64,
        job: impl FnOnce() + Send + 'static,
    ) -> Ticket {
        if self.hoping.swap(true, Ordering::AcqRel) {
            return self.run_patiently(service, job);
        }
        let ended = Hoping(self.hoping.clone());
        let ticket = Ticket::new(Box::new(move || {
            let _ended = ended;
            job();
        }));
        let own = ticket.clone();
        self.run(move || own.run());
        ticket
    }

    /// The server that this job is for has answered meanwhile: it runs with the short jobs, unless it
    /// has begun.
    pub(crate) fn hurry(&self, ticket: &Ticket) {
        if !ticket.has_begun() {
            let own = ticket.clone();
            self.run(move || own.run());
        }
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
        self.run_patiently(PROBES, job);
    }

    /// Gives a share back. Whoever gives the last one waits for the threads to end, at most for
    /// `patience`; `false` when some had not ended by then.
    pub(crate) fn leave(self: Arc<Self>, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let pools = [&self.dialling, &self.watching].map(Arc::downgrade);
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

/// The turn of a job of [`Workers::run_hopefully`], until it is dropped.
struct Hoping(Arc<AtomicBool>);

impl Drop for Hoping {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Starts another patient thread unless one is free by then. It is weak: the timer is not to keep
/// its own threads alive.
fn grow_later(timer: &ScheduledThreadPool, weak: Weak<ScheduledThreadPool>, patient: Arc<Patient>) {
    timer.execute_after(patient::STEP, move || {
        if patient.grow()
            && let Some(timer) = weak.upgrade()
        {
            grow_later(&timer, weak, patient);
        }
    });
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
            PRESENCE.set(Some(Presence::begin(&alive)));
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
    fn jobs_that_wait_for_dead_servers_delay_no_short_job_and_no_other_service() {
        const SERVICES: u64 = 20;
        let workers = Arc::new(Workers::start());
        let (release, held) = crossbeam_channel::bounded::<()>(0);
        // Each of these services dials its master and two replicas in vain.
        for service in 1..=SERVICES {
            for _ in 0..3 {
                let held = held.clone();
                workers.run_patiently(service, move || {
                    let _ = held.recv();
                });
            }
        }
        let (done, finished) = crossbeam_channel::bounded(1);
        let short = done.clone();
        workers.run(move || short.send("short").unwrap());
        assert_eq!(finished.recv_timeout(Duration::from_secs(5)), Ok("short"));
        // One of them may wait among the short ones, and the others do not follow it there.
        for service in 1..=SERVICES {
            let held = held.clone();
            workers.run_hopefully(service, move || {
                let _ = held.recv();
            });
        }
        let short = done.clone();
        workers.run(move || short.send("short").unwrap());
        assert_eq!(finished.recv_timeout(Duration::from_secs(5)), Ok("short"));
        // They have grown to their bound, and not beyond it.
        let until = Instant::now() + Duration::from_secs(5);
        while workers.patient.threads() < patient::THREADS && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(workers.patient.threads(), patient::THREADS);
        assert!(*workers.alive.count.lock() <= DIALLING + WATCHING + patient::THREADS);
        // A job whose server answers does not wait for them, and runs once.
        let answered = done.clone();
        let ticket =
            workers.run_patiently(SERVICES + 2, move || answered.send("answered").unwrap());
        workers.hurry(&ticket);
        workers.hurry(&ticket);
        assert_eq!(finished.recv_timeout(Duration::from_secs(5)), Ok("answered"));
        // One that has to wait as well has its turn before the others' third ones.
        workers.run_patiently(SERVICES + 1, move || done.send("in turn").unwrap());
        for _ in 0..3 * SERVICES {
            release.send(()).unwrap();
        }
        assert_eq!(finished.recv_timeout(Duration::from_secs(5)), Ok("in turn"));
        drop(release);
        assert!(workers.leave(Duration::from_secs(5)));
    }

    #[test]
    fn patient_threads_end_when_there_is_nothing_to_wait_for() {
        let workers = Arc::new(Workers::start());
        let (done, finished) = crossbeam_channel::bounded(1);
        workers.run_patiently(1, || panic!("a job's own fault"));
        workers.run_patiently(1, move || done.send(()).unwrap());
        finished.recv_timeout(Duration::from_secs(5)).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while workers.patient.threads() > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(workers.patient.threads(), 0);
        assert!(workers.leave(Duration::from_secs(5)));
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
