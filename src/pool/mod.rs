//! From an accepted master to a handle: generations, each with an r2d2 pool, and one waiting room
//! before them all.
//!
//! A switch publishes the next generation first and retires the old one then, so whoever is woken
//! by the retirement finds the new master. This module never asks a sentinel anything.

mod generation;
mod handle;
mod manager;
mod waiting;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, RwLock};

pub(crate) use generation::{Candidate, Generation, Lease};
pub use handle::Handle;
use waiting::WaitingRoom;

use crate::{
    address::Address,
    address_map::{AddressMap, Route},
    connection::{Gate, Settings},
    error::{Error, ErrorKind},
    metrics::{Counters, Stats},
    trouble::Trouble,
    workers::Workers,
};

/// How a generation, named by its number, tells the watch of trouble.
pub(crate) type Alarm = Arc<dyn Fn(u64, Trouble) + Send + Sync>;

/// What the pools of all generations have in common.
pub(crate) struct PoolSettings {
    pub(crate) node: Arc<Settings>,
    pub(crate) max_size: u32,
    pub(crate) min_idle: u32,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) get_timeout: Duration,
    /// Weak: handles that are out keep the pool alive, and must not keep threads alive.
    pub(crate) workers: Weak<Workers>,
}

/// The pool of one factory through all its generations.
pub(crate) struct Pool {
    settings: PoolSettings,
    current: RwLock<Option<Arc<Generation>>>,
    /// The number of the current generation; 0 before the first.
    number: AtomicU64,
    published: (Mutex<()>, Condvar),
    waiting: WaitingRoom,
    closed: AtomicBool,
    /// Why there is no master: the watch's words, for errors.
    reason: Mutex<Option<Error>>,
    counters: Arc<Counters>,
}

impl Pool {
    pub(crate) fn new(settings: PoolSettings, counters: Arc<Counters>) -> Arc<Pool> {
        Arc::new(Pool {
            settings,
            current: RwLock::new(None),
            number: AtomicU64::new(0),
            published: (Mutex::new(()), Condvar::new()),
            waiting: WaitingRoom::default(),
            closed: AtomicBool::new(false),
            reason: Mutex::new(None),
            counters,
        })
    }

    /// A generation for the master at `address`, reached through `map`; nothing is dialled yet.
    pub(crate) fn candidate(
        &self,
        address: Address,
        map: AddressMap,
        alarm: Alarm,
    ) -> Arc<Candidate> {
        Arc::new(Candidate::new(
            address.clone(),
            manager::Manager::new(
                Route { announced: address, map },
                self.settings.node.clone(),
                self.settings.max_lifetime,
                Arc::new(Gate::new()),
                self.counters.clone(),
                alarm,
                self.settings.workers.clone(),
            ),
        ))
    }

    /// The switch: from now on every handle leads to `candidate`, and the generation before it is
    /// over. With a `fence`, which says why, its commands wait from the start. `promoted` is when the
    /// new master became one, where it is known.
    pub(crate) fn publish(
        self: &Arc<Self>,
        number: u64,
        candidate: Arc<Candidate>,
        fence: Option<&'static str>,
        promoted: Option<Instant>,
    ) {
        let pool: Weak<Pool> = Arc::downgrade(self);
        // Without workers the factory is closed, and nobody needs the candidate.
        let Some(workers) = self.settings.workers.upgrade() else { return candidate.abandon() };
        let next = candidate.open(number, &self.settings, &workers, move || {
            if let Some(pool) = pool.upgrade() {
                pool.waiting.call();
            }
        });
        if let Some(why) = fence {
            next.gate().raise(why);
        }
        let (published, previous) = {
            let mut current = self.current.write();
            if self.closed.load(Ordering::SeqCst) {
                drop(current);
                next.retire(None);
                return;
            }
            self.number.store(number, Ordering::SeqCst);
            (next.clone(), current.replace(next))
        };
        self.counters.switches.add(1);
        for _ in 0..self.waiting.len().min(self.settings.max_size as usize) {
            published.grow();
        }
        if let Some(previous) = previous {
            previous.retire(promoted);
        }
        self.waiting.call();
        drop(self.published.0.lock());
        self.published.1.notify_all();
    }

    /// Commands wait from now on, and this is why.
    pub(crate) fn raise(&self, why: &'static str) {
        if let Some(generation) = self.current() {
            generation.gate().raise(why);
        }
    }

    /// Commands wait no longer.
    pub(crate) fn lift(&self) {
        if let Some(generation) = self.current() {
            generation.gate().lift();
        }
    }

    /// The connections to the current master that wait in a blocking command behind the fence's
    /// back, by their client ids.
    pub(crate) fn blocked(&self) -> Vec<i64> {
        self.current().map_or(Vec::new(), |generation| generation.gate().blocked())
    }

    /// How many commands ran on the current master so far.
    pub(crate) fn commands(&self) -> u64 {
        self.current().map_or(0, |generation| generation.gate().commands())
    }

    /// How connections to nodes are made.
    pub(crate) fn node_settings(&self) -> &Arc<Settings> {
        &self.settings.node
    }

    /// What the watch knows about why there is no master; an error shows it.
    pub(crate) fn explain(&self, reason: Option<Error>) {
        *self.reason.lock() = reason;
    }

    /// The current generation.
    pub(crate) fn current(&self) -> Option<Arc<Generation>> {
        self.current.read().clone()
    }

    /// The number of the current generation; 0 before the first.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::SeqCst)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The database that connections are bound to.
    pub(crate) fn db(&self) -> i64 {
        self.settings.node.db
    }

    pub(crate) fn get_timeout(&self) -> Duration {
        self.settings.get_timeout
    }

    /// Blocks until a generation later than `after` is there, at most until `deadline`.
    pub(crate) fn wait_for_generation(&self, after: u64, deadline: Instant) -> Option<u64> {
        let mut lock = self.published.0.lock();
        loop {
            let number = self.number();
            if number > after {
                return Some(number);
            }
            if self.closed.load(Ordering::SeqCst)
                || self.published.1.wait_until(&mut lock, deadline).timed_out()
            {
                let number = self.number();
                return (number > after).then_some(number);
            }
        }
    }

    /// A connection to the current master. Waits its turn until `deadline`.
    pub(crate) fn checkout(&self, deadline: Instant) -> Result<Lease, Error> {
        self.check_open()?;
        if self.waiting.is_empty()
            && let Some(lease) = self.current().and_then(|generation| generation.take())
        {
            self.counters.checkouts.add(1);
            return Ok(lease);
        }
        let begun = Instant::now();
        let ticket = self.waiting.enter();
        // Each that waits asks for a connection, so that several are dialled side by side.
        if let Some(generation) = self.current() {
            generation.grow();
        }
        while ticket.wait_until(deadline) {
            self.check_open()?;
            if let Some(lease) = self.current().and_then(|generation| generation.take_or_grow()) {
                self.counters.checkouts.add(1);
                self.counters.waits.add(1);
                self.counters.wait_micros.add(begun.elapsed().as_micros() as u64);
                return Ok(lease);
            }
        }
        drop(ticket);
        self.check_open()?;
        self.counters.timeouts.add(1);
        Err(self.why_not(begun.elapsed()))
    }

    /// A connection, if one is idle. Never waits.
    pub(crate) fn try_checkout(&self) -> Result<Option<Lease>, Error> {
        self.check_open()?;
        if !self.waiting.is_empty() {
            return Ok(None);
        }
        let lease = self.current().and_then(|generation| generation.take_or_grow());
        if lease.is_some() {
            self.counters.checkouts.add(1);
        }
        Ok(lease)
    }

    /// Takes a connection back and calls the next who waits for one.
    pub(crate) fn give_back(&self, lease: Lease) {
        drop(lease);
        self.waiting.call();
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Relaxed) { Err(closed()) } else { Ok(()) }
    }

    /// Ends it: handles that are out fail from now on, and every thread that waits wakes.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let last = self.current.write().take();
        if let Some(generation) = last {
            generation.retire(None);
        }
        self.waiting.call();
        drop(self.published.0.lock());
        self.published.1.notify_all();
    }

    pub(crate) fn stats(&self) -> Stats {
        let (total, idle) = self.current().map_or((0, 0), |generation| generation.size());
        Stats {
            total,
            idle,
            in_use: total.saturating_sub(idle),
            waiting: self.waiting.len() as u32,
            ..self.counters.totals()
        }
    }

    /// Why a wait was in vain: the master is away, or all handles are in use.
    pub(crate) fn why_no_master(&self, waited: Duration) -> Error {
        self.why_not(waited)
    }

    fn why_not(&self, waited: Duration) -> Error {
        let Some(generation) = self.current() else {
            return self.reason.lock().clone().unwrap_or_else(|| {
                Error::new(
                    ErrorKind::NoMaster,
                    format!("no sentinel has named a master within {waited:.1?}"),
                )
            });
        };
        let (total, idle) = generation.size();
        let waiting = self.waiting.len();
        if let Some(cause) = generation.failure() {
            return Error::with(
                ErrorKind::NoMaster,
                cause.outcome(),
                format!(
                    "the master {} could not be reached for {waited:.1?} and the sentinels named no \
                     other: {cause}",
                    generation.address()
                ),
                Some(Box::new(cause)),
            );
        }
        Error::new(
            ErrorKind::PoolTimeout,
            format!(
                "no handle to {} became free within {waited:.1?}: {} in use, {idle} idle, at most \
                 {}, {waiting} others waiting; raise max_size or give handles back sooner",
                generation.address(),
                total.saturating_sub(idle),
                self.settings.max_size,
            ),
        )
    }
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the factory is closed; open a new one")
}
