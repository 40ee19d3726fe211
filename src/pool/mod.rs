//! From an accepted master to a handle: generations, each with an r2d2 pool, and before them all one
//! shelf, where connections lie between two checkouts, with one queue.
//!
//! r2d2 makes connections and throws away those that are worn. One that it gave stays out of its
//! hands while it goes from the shelf to a handle and back; r2d2 is asked when the shelf is empty.
//!
//! A switch publishes the next generation first and retires the old one then, so whoever is woken
//! by the retirement finds the new master. This module never asks a sentinel anything.

mod generation;
mod handle;
mod leaks;
mod lease;
mod manager;
mod moment;
mod replicas;
mod shelf;
mod tally;
mod waiting;

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, RwLock};

use generation::Found;
pub(crate) use generation::{Candidate, Generation};
pub use handle::Handle;
pub(crate) use lease::Lease;
use lease::Leased;
use manager::Target;
use moment::Moment;
pub(crate) use replicas::Replicas;
use shelf::Shelf;
pub(crate) use tally::Place;
use tally::Tallies;

use crate::{
    address::Address,
    address_map::{AddressMap, Route},
    connection::{Gate, Settings},
    credentials::Listener,
    error::{Error, ErrorKind},
    metrics::{Counters, Stats},
    policy::ReadFrom,
    trace,
    trouble::Trouble,
    workers::Workers,
};

/// How a generation, named by its number, tells the watch of trouble.
pub(crate) type Alarm = Arc<dyn Fn(u64, Trouble) + Send + Sync>;

/// What the pools of all generations have in common.
#[derive(Clone)]
pub(crate) struct PoolSettings {
    pub(crate) node: Arc<Settings>,
    pub(crate) max_size: u32,
    pub(crate) min_idle: u32,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) leak_after: Option<Duration>,
    pub(crate) get_timeout: Duration,
    /// Weak: handles that are out keep the pool alive, and must not keep threads alive.
    pub(crate) workers: Weak<Workers>,
}

/// Shelves that no pool uses. They are never freed, so that a handle needs no reference to be
/// counted when it is given back: there are never more than there were pools at one time.
static SPARE: Mutex<Vec<&'static Shelf<Leased>>> = Mutex::new(Vec::new());

/// The pool of one factory through all its generations; or of one replica, for one stay among those
/// that are read from.
pub(crate) struct Pool {
    target: Target,
    settings: PoolSettings,
    current: RwLock<Option<Arc<Generation>>>,
    /// The number of the current generation; 0 before the first.
    number: AtomicU64,
    published: (Mutex<()>, Condvar),
    /// What lies there holds the pool, until it is closed.
    shelf: &'static Shelf<Leased>,
    /// Of all pools of the factory.
    tallies: Arc<Tallies>,
    /// The factory is closed: the pools of its replicas share it.
    closed: Arc<AtomicBool>,
    /// The replica is no longer read from.
    over: AtomicBool,
    /// Where handles go that read from replicas, once anybody may.
    replicas: OnceLock<Weak<Replicas>>,
    /// Why there is no master: the watch's words, for errors.
    reason: Mutex<Option<Error>>,
    counters: Arc<Counters>,
}

impl Pool {
    /// A pool for the masters of a factory.
    pub(crate) fn new(settings: PoolSettings, counters: Arc<Counters>) -> Arc<Pool> {
        let (tallies, closed) = (Arc::default(), Arc::default());
        Pool::of(Target::Master, settings, counters, tallies, closed).shared()
    }

    /// A pool for a replica of the same factory.
    fn beside(&self, replicas: Weak<Replicas>) -> Arc<Pool> {
        let (settings, counters) = (self.settings.clone(), self.counters.clone());
        let (tallies, closed) = (self.tallies.clone(), self.closed.clone());
        let pool = Pool::of(Target::Replica, settings, counters, tallies, closed);
        let _ = pool.replicas.set(replicas);
        pool.shared()
    }

    fn shared(self) -> Arc<Pool> {
        let pool = Arc::new(self);
        if let Some(source) = &pool.settings.node.credentials {
            let listener: Weak<Pool> = Arc::downgrade(&pool);
            source.notify(listener);
        }
        pool
    }

    fn of(
        target: Target,
        settings: PoolSettings,
        counters: Arc<Counters>,
        tallies: Arc<Tallies>,
        closed: Arc<AtomicBool>,
    ) -> Pool {
        Pool {
            target,
            shelf: shelf(settings.max_size as usize),
            tallies,
            settings,
            current: RwLock::new(None),
            number: AtomicU64::new(0),
            published: (Mutex::new(()), Condvar::new()),
            closed,
            over: AtomicBool::new(false),
            replicas: OnceLock::new(),
            reason: Mutex::new(None),
            counters,
        }
    }

    /// A generation for the node at `address`, reached through `map`; nothing is dialled yet.
    pub(crate) fn candidate(
        &self,
        address: Address,
        map: AddressMap,
        alarm: Alarm,
    ) -> Arc<Candidate> {
        Arc::new(Candidate::new(
            address.clone(),
            manager::Manager::new(
                self.target,
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
                pool.shelf.room().call();
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
            self.shelf.begin(next.era());
            (next.clone(), current.replace(next))
        };
        if self.target == Target::Master {
            self.counters.switches.add(1);
        }
        for _ in 0..self.shelf.room().len().min(self.settings.max_size as usize) {
            published.grow();
        }
        if let Some(previous) = previous {
            previous.retire(promoted);
        }
        self.shelf.sweep();
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

    /// Has everybody who waits for a generation look whether there is still a reason to.
    pub(crate) fn stir(&self) {
        drop(self.published.0.lock());
        self.published.1.notify_all();
    }

    /// Blocks until a generation later than `after` is there, at most until `deadline`.
    pub(crate) fn wait_for_generation(&self, after: u64, deadline: Instant) -> Option<u64> {
        self.wait_for_generation_unless(|| false, after, deadline)
    }

    /// As [`Pool::wait_for_generation`], and no longer than until `given_up` holds: whoever makes it
    /// hold calls [`Pool::stir`] then.
    pub(crate) fn wait_for_generation_unless(
        &self,
        given_up: impl Fn() -> bool,
        after: u64,
        deadline: Instant,
    ) -> Option<u64> {
        let mut lock = self.published.0.lock();
        loop {
            let number = self.number();
            if number > after {
                return Some(number);
            }
            if self.closed.load(Ordering::SeqCst)
                || given_up()
                || self.published.1.wait_until(&mut lock, deadline).timed_out()
            {
                let number = self.number();
                return (number > after).then_some(number);
            }
        }
    }

    #[inline]
    pub(crate) fn shelf(&self) -> &'static Shelf<Leased> {
        self.shelf
    }

    pub(crate) fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// A connection to the current master. Waits its turn for at most `timeout`.
    #[inline]
    pub(crate) fn checkout(
        self: &Arc<Pool>,
        timeout: Duration,
        place: Place,
    ) -> Result<Lease, Error> {
        match self.at_hand(place) {
            Ok(lease) => Ok(lease),
            Err(doubtful) => self.look_further(doubtful, after(timeout), place),
        }
    }

    /// As [`Pool::checkout`], until `deadline`.
    pub(crate) fn checkout_until(
        self: &Arc<Pool>,
        deadline: Instant,
        place: Place,
    ) -> Result<Lease, Error> {
        self.at_hand(place).or_else(|doubtful| self.look_further(doubtful, deadline, place))
    }

    /// The way that nearly every checkout goes: a connection from the shelf, with no look at the
    /// exact clock, no lock, and nothing written that other threads write. With the return 18 ns,
    /// where r2d2 takes 132, and no more in four threads at once.
    ///
    /// `Err` when nothing lies there or somebody waits, and with a connection that needs a closer
    /// look.
    #[inline]
    fn at_hand(&self, place: Place) -> Result<Lease, Option<Box<Leased>>> {
        if !self.shelf.room().is_empty() {
            return Err(None);
        }
        let now = Moment::now();
        match self.take() {
            Some(leased) if leased.is_at_hand(now) => Ok(leased.lend(now, place)),
            doubtful => Err(doubtful),
        }
    }

    #[inline]
    fn take(&self) -> Option<Box<Leased>> {
        let begin = lease::place();
        let mut at = begin;
        let leased = self.shelf.take(&mut at);
        if at != begin {
            lease::keep_to(at);
        }
        leased
    }

    #[cold]
    fn look_further(
        self: &Arc<Pool>,
        doubtful: Option<Box<Leased>>,
        deadline: Instant,
        place: Place,
    ) -> Result<Lease, Error> {
        self.check_open()?;
        if let Some(lease) = doubtful.and_then(|leased| self.examined(leased, place, deadline)) {
            return Ok(lease);
        }
        if self.shelf.room().is_empty()
            && let Some(lease) = self.find(Generation::take, place, deadline)
        {
            return Ok(lease);
        }
        let _told = trace::wait(place);
        let begun = Instant::now();
        if let Some(lease) = self.wait_in_turn(deadline, deadline, place)? {
            self.counters.waited.add(begun.elapsed());
            return Ok(lease);
        }
        self.check_open()?;
        self.counters.timeouts.add(1);
        Err(self.why_not(begun.elapsed()))
    }

    /// Waits for a connection behind those who came before, until `until`, or until the replica is no
    /// longer read from. The server's answers about connections in doubt may take until `deadline`.
    fn wait_in_turn(
        self: &Arc<Pool>,
        until: Instant,
        deadline: Instant,
        place: Place,
    ) -> Result<Option<Lease>, Error> {
        let ticket = self.shelf.room().enter();
        // Each that waits asks for a connection, so that several are dialled side by side.
        if let Some(generation) = self.current() {
            generation.grow();
        }
        while ticket.wait_until(until) {
            if let Some(lease) = self.find(Generation::take_or_grow, place, deadline) {
                return Ok(Some(lease));
            }
            // After the look at the shelf: whoever closes it comes to its places before, and then
            // this is seen, or after, and then this thread is called.
            self.check_open()?;
            if self.over.load(Ordering::SeqCst) {
                break;
            }
        }
        Ok(None)
    }

    /// A connection for a handle that lost its own, of the kind that it is for.
    pub(crate) fn checkout_again(
        self: &Arc<Pool>,
        from: ReadFrom,
        deadline: Instant,
        place: Place,
    ) -> Result<Lease, Error> {
        if from == ReadFrom::Master {
            return self.checkout_until(deadline, place);
        }
        let replicas = self.replicas.get().and_then(Weak::upgrade).ok_or_else(closed)?;
        replicas.checkout_until(from, deadline, place)
    }

    /// A connection, if one is idle. Never waits.
    pub(crate) fn try_checkout(self: &Arc<Pool>, place: Place) -> Result<Option<Lease>, Error> {
        self.try_checkout_until(Instant::now(), place)
    }

    /// A connection, if one is idle. Waits for nothing but the server's answer about a connection in
    /// doubt: at most for the dial timeout, and not beyond `deadline`.
    fn try_checkout_until(
        self: &Arc<Pool>,
        deadline: Instant,
        place: Place,
    ) -> Result<Option<Lease>, Error> {
        let doubtful = match self.at_hand(place) {
            Ok(lease) => return Ok(Some(lease)),
            Err(doubtful) => doubtful,
        };
        self.check_open()?;
        if let Some(lease) = doubtful.and_then(|leased| self.examined(leased, place, deadline)) {
            return Ok(Some(lease));
        }
        if !self.shelf.room().is_empty() {
            return Ok(None);
        }
        Ok(self.find(Generation::take_or_grow, place, deadline))
    }

    /// A connection from the shelf, or one that r2d2 has, of those that are fit for use.
    fn find(
        self: &Arc<Pool>,
        ask: fn(&Generation, Instant) -> Option<Found>,
        place: Place,
        deadline: Instant,
    ) -> Option<Lease> {
        while let Some(leased) = self.take() {
            if let Some(lease) = self.examined(leased, place, deadline) {
                return Some(lease);
            }
        }
        let generation = self.current()?;
        loop {
            let leased = |slot| Leased::new(slot, &generation, self, place);
            match ask(&generation, deadline)? {
                Found::Fit(slot) => return Some(leased(slot).lend(Moment::now(), place)),
                Found::Doubtful(slot) => self.ask_elsewhere(leased(slot)),
            }
        }
    }

    /// This connection, if it is fit for use. If not, it is over, and whoever waits may have another
    /// one made. When the server has to be asked and there is no time for that before `deadline`,
    /// another thread asks.
    fn examined(&self, mut leased: Box<Leased>, place: Place, deadline: Instant) -> Option<Lease> {
        if leased.would_ask() && !leased.generation.manager().has_time_to_ask(deadline) {
            self.ask_elsewhere(leased);
            return None;
        }
        let now = Moment::now();
        if leased.is_fit(now) {
            return Some(leased.lend(now, place));
        }
        drop(leased);
        self.shelf.room().call();
        None
    }

    /// Makes another thread check this connection with the server. A fit connection returns to the shelf.
    /// Never blocks.
    fn ask_elsewhere(&self, mut leased: Box<Leased>) {
        let Some(workers) = self.settings.workers.upgrade() else { return };
        workers.probe(move || {
            let pool = leased.pool.clone();
            let fit = leased.is_fit(Moment::now());
            let homeless = if fit && !leased.is_worn() {
                pool.shelf.lay(lease::place(), leased)
            } else {
                Some(leased)
            };
            if homeless.is_some() {
                drop(homeless);
                pool.shelf.room().call();
            }
        });
    }

    /// Nobody uses the node of this generation because it could not be reached: finds out whether it
    /// can be now.
    fn revive(&self, generation: &Generation) {
        if let Some(leased) = self.take()
            && !leased.is_worn()
        {
            drop(self.shelf.lay(lease::place(), leased));
        }
        generation.revive();
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Relaxed) { Err(closed()) } else { Ok(()) }
    }

    /// Ends it: handles that are out fail from now on, and every thread that waits wakes.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.end();
        drop(self.published.0.lock());
        self.published.1.notify_all();
    }

    /// The replica is no longer read from: handles that are out move to another one with their next
    /// command, and every thread that waits or reads wakes.
    fn dissolve(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.end();
    }

    fn end(&self) {
        let last = {
            let mut current = self.current.write();
            self.shelf.begin(0);
            current.take()
        };
        if let Some(generation) = last {
            generation.retire(None);
        }
        self.shelf.sweep();
    }

    /// The stats of the factory, asked of the pool for its masters.
    pub(crate) fn stats(&self) -> Stats {
        let (total, idle) = self.present_size();
        let replicas = self.replicas.get().and_then(Weak::upgrade);
        let replicas = replicas.map(|replicas| replicas.size()).unwrap_or_default();
        let totals = self.tallies.totals();
        Stats {
            total,
            idle,
            in_use: total - idle,
            replica_total: replicas.total,
            replica_idle: replicas.idle,
            replica_in_use: replicas.total - replicas.idle,
            waiting: self.shelf.room().len() as u32 + replicas.waiting,
            max: self.settings.max_size,
            min: self.settings.min_idle,
            checkouts: totals.checkouts,
            used: totals.used,
            ..self.counters.totals()
        }
    }

    /// Returns the number of connections of the current generation, and the number of idle ones.
    fn present_size(&self) -> (u32, u32) {
        self.current().map_or((0, 0), |generation| self.size(&generation))
    }

    /// How many connections of this generation there are, and how many of them lie idle.
    fn size(&self, generation: &Generation) -> (u32, u32) {
        let (out, total) = (self.tallies.out(generation.era()), generation.size());
        (total, total.saturating_sub(out))
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
        let (total, idle) = self.size(&generation);
        let waiting = self.shelf.room().len();
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
                total - idle,
                self.settings.max_size,
            ),
        )
    }
}

impl Listener for Pool {
    /// Idle connections log in again, on a shared thread; each checkout until then sees to its own.
    fn credentials_changed(self: Arc<Pool>) {
        let Some(generation) = self.current() else { return };
        generation.note_breakage();
        // All are taken before the first comes back.
        let idle: Vec<_> = std::iter::from_fn(|| self.take()).collect();
        idle.into_iter().for_each(|leased| self.ask_elsewhere(leased));
        if let Some(workers) = self.settings.workers.upgrade() {
            workers.probe(move || generation.look_at_idle());
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Nothing lies there that could keep its place: it would hold this pool.
        self.shelf.begin(0);
        SPARE.lock().push(self.shelf);
    }
}

/// A shelf for so many, which nobody uses.
fn shelf(size: usize) -> &'static Shelf<Leased> {
    let mut spare = SPARE.lock();
    let fitting = |shelf: &&Shelf<Leased>| shelf.places() == Shelf::<Leased>::places_for(size);
    match spare.iter().position(fitting) {
        Some(found) => spare.swap_remove(found),
        None => Box::leak(Box::new(Shelf::new(size))),
    }
}

/// A deadline; a timeout too long for the clock is a very long one.
pub(crate) fn after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 24 * 3600))
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the factory is closed; open a new one")
}
