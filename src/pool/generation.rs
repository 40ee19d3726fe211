//! A generation: everything that belongs to one accepted master.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    connection::{Connection, Gate},
    error::{Error, ErrorKind},
    origin::Origin,
    pool::{
        PoolSettings,
        manager::{Manager, Slot, Target},
        moment::Moment,
    },
    trouble::Trouble,
    workers::Workers,
};

/// r2d2 puts a connection into its pool within microseconds after it announced it. This bounds the
/// wait of whoever was called in between.
const BIRTH_PATIENCE: Duration = Duration::from_millis(5);

/// r2d2 pauses between failed dials of a slot for at most half of this. It bounds nothing else:
/// nobody waits inside r2d2.
const R2D2_PATIENCE: Duration = Duration::from_millis(500);

/// A generation that is not published yet: its gate and its first connections, no pool.
pub(crate) struct Candidate {
    address: Address,
    manager: Arc<Manager>,
}

/// One accepted master, or one replica: its number, its address, its connections, and the gate before them.
pub(crate) struct Generation {
    number: u64,
    era: u64,
    address: Address,
    manager: Arc<Manager>,
    pool: r2d2::Pool<Shared>,
    births: Arc<Births>,
}

/// r2d2 owns its manager, and the generation needs it too.
pub(crate) struct Shared(Arc<Manager>);

/// A connection out of r2d2's hands.
pub(crate) type Taken = r2d2::PooledConnection<Shared>;

/// A connection that r2d2 had.
pub(crate) enum Found {
    Fit(Taken),
    /// The server has to be asked first, and there is no time to wait for its answer.
    Doubtful(Taken),
}

impl r2d2::ManageConnection for Shared {
    type Connection = Slot;
    type Error = Error;

    fn connect(&self) -> Result<Slot, Error> {
        Manager::connect(&self.0)
    }

    fn is_valid(&self, slot: &mut Slot) -> Result<(), Error> {
        // r2d2 asks this at every checkout only when told to, and it is not: a round trip a
        // checkout would double the latency of every command. Manager::is_fit looks instead.
        let _ = slot;
        Ok(())
    }

    fn has_broken(&self, slot: &mut Slot) -> bool {
        self.0.is_worn(slot, Moment::now())
    }
}

/// Tells the waiting room of connections that r2d2 made.
struct Births {
    /// Connections that r2d2 said it made, and that it said it let go.
    made: AtomicUsize,
    gone: AtomicUsize,
    call: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Births {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Births")
    }
}

#[derive(Debug)]
struct BirthBell(Arc<Births>);

impl r2d2::HandleEvent for BirthBell {
    fn handle_acquire(&self, _event: r2d2::event::AcquireEvent) {
        self.0.made.fetch_add(1, Ordering::SeqCst);
        (self.0.call)();
    }

    fn handle_release(&self, _event: r2d2::event::ReleaseEvent) {
        self.0.gone.fetch_add(1, Ordering::SeqCst);
    }
}

impl Candidate {
    pub(crate) fn new(address: Address, manager: Manager) -> Candidate {
        Candidate { address, manager: Arc::new(manager) }
    }

    /// The address that the sentinels announced.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Dials and verifies one connection and lays it in, so that the first command after the
    /// switch need not wait for a dial; reports the origin of its data. Blocks for at most the dial
    /// timeout.
    pub(crate) fn dial(&self) -> Result<Origin, Error> {
        let live = self.manager.dial()?;
        let origin = live.connection.greeting().origin.clone();
        self.manager.lay_in(live);
        Ok(origin)
    }

    /// The generation of this number. r2d2 takes the connection that was laid in, and dials more
    /// as they are asked for; `call` is called for each.
    pub(crate) fn open(
        self: Arc<Self>,
        number: u64,
        settings: &PoolSettings,
        workers: &Workers,
        call: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Generation> {
        self.manager.published(number);
        let births = Arc::new(Births {
            made: AtomicUsize::new(0),
            gone: AtomicUsize::new(0),
            call: Box::new(call),
        });
        // Unchecked: a pool that cannot fill itself yet is no error; it goes on trying.
        // No lifetimes and no idle timeout: they would start r2d2's reaper. Expiry is has_broken's.
        let pool = r2d2::Pool::builder()
            .max_size(settings.max_size)
            .min_idle(Some(settings.min_idle))
            .test_on_check_out(false)
            .max_lifetime(None)
            .idle_timeout(None)
            .connection_timeout(R2D2_PATIENCE)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .event_handler(Box::new(BirthBell(births.clone())))
            .thread_pool(workers.for_r2d2())
            .build_unchecked(Shared(self.manager.clone()));
        static ERAS: AtomicU64 = AtomicU64::new(1);
        let generation = Generation {
            number,
            era: ERAS.fetch_add(1, Ordering::Relaxed),
            address: self.address.clone(),
            manager: self.manager.clone(),
            pool,
            births,
        };
        // Else r2d2 has begun to. Once more would be a dial for each service that fails over, in the
        // moment of the switch.
        if settings.min_idle == 0 {
            generation.grow();
        }
        Arc::new(generation)
    }

    /// Gives up: wakes a thread that is still dialling.
    pub(crate) fn abandon(&self) {
        self.manager.gate.retire();
    }
}

impl Generation {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A number that no other generation of the process has.
    #[inline]
    pub(crate) fn era(&self) -> u64 {
        self.era
    }

    /// The address that the sentinels announced.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn manager(&self) -> &Arc<Manager> {
        &self.manager
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.manager.gate
    }

    /// A connection to this master that the pool knows nothing of, verified as the pool's own are.
    /// Blocks for at most the dial timeout; the end of the generation ends it at once.
    pub(crate) fn dial_beside(&self) -> Result<Connection, Error> {
        Ok(self.manager.dial()?.connection)
    }

    /// Why the master cannot be dialled, while it cannot.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.manager.failure()
    }

    /// Tells the watch that something is wrong with this master.
    pub(crate) fn raise_alarm(&self, trouble: Trouble) {
        // What one connection was told holds for the others, which look well.
        if trouble.is_of_the_server() {
            self.manager.note_breakage();
        }
        self.manager.raise_alarm(trouble);
    }

    /// How many connections there are.
    pub(crate) fn size(&self) -> u32 {
        self.pool.state().connections
    }

    /// Checks the idle connections of r2d2 now. Waits for the server's answers, each at most for the
    /// dial timeout.
    pub(crate) fn look_at_idle(&self) {
        // None goes back before the last was looked at, so each is looked at once.
        let idle: Vec<_> = (0..self.size()).map_while(|_| self.pool.try_get()).collect();
        for mut slot in idle {
            self.manager.is_fit(&mut slot, true);
        }
    }

    /// Takes a connection that is idle in r2d2 and fit for use. When another connection has
    /// broken since it was made, it waits for the server's answer to a PING, at most for the dial
    /// timeout; without that much time before `deadline` the connection is doubtful.
    pub(crate) fn take(&self, deadline: Instant) -> Option<Found> {
        while let Some(slot) = self.pool.try_get() {
            // How long it has lain there r2d2 does not tell: a look costs less than its lock.
            if let Some(found) = self.examined(slot, true, deadline) {
                return Some(found);
            }
        }
        None
    }

    fn examined(&self, mut slot: Taken, peeks: bool, deadline: Instant) -> Option<Found> {
        if self.manager.would_ask(&slot) && !self.manager.has_time_to_ask(deadline) {
            return Some(Found::Doubtful(slot));
        }
        self.manager.is_fit(&mut slot, peeks).then_some(Found::Fit(slot))
    }

    /// As [`Generation::take`], and has r2d2 dial another connection when there is none and the
    /// size allows. What it dials is announced through the `call` given to
    /// [`Candidate::open`].
    pub(crate) fn take_or_grow(&self, deadline: Instant) -> Option<Found> {
        if let Some(found) = self.take(deadline) {
            return Some(found);
        }
        if self.is_birth_under_way() {
            let patience = deadline.saturating_duration_since(Instant::now()).min(BIRTH_PATIENCE);
            match self.pool.get_timeout(patience) {
                Ok(slot) => {
                    if let Some(found) = self.examined(slot, false, deadline) {
                        return Some(found);
                    }
                }
                // The thread that makes it has lost its processor between its announcement and its
                // next line. It will not announce it again, so whoever is first looks again.
                Err(_) => {
                    (self.births.call)();
                    return None;
                }
            }
        }
        self.grow();
        self.take(deadline)
    }

    /// Has r2d2 announced a connection that it has not put into its pool yet? It announces first,
    /// and who was called by that may find nothing there.
    fn is_birth_under_way(&self) -> bool {
        let gone = self.births.gone.load(Ordering::SeqCst);
        let there = self.pool.state().connections as usize;
        self.births.made.load(Ordering::SeqCst) > gone + there
    }

    /// Has r2d2 make one more connection in the background, unless it has as many as it may.
    pub(crate) fn grow(&self) {
        // The one way in which r2d2 dials on demand is that somebody waits; nobody waits long.
        drop(self.pool.get_timeout(Duration::ZERO));
    }

    /// Has the node dialled again that could not be: nobody else asks for a connection to it.
    pub(crate) fn revive(&self) {
        // What is worn makes room for what is new.
        drop(self.pool.try_get());
        self.grow();
    }

    /// A connection of this generation broke: whatever lies idle is looked at before it is handed
    /// out, so that a dead master costs an error for each command in flight and no more.
    pub(crate) fn note_breakage(&self) {
        self.manager.note_breakage();
    }

    /// The server has begun another history and is the master nevertheless: connections to it are made
    /// again. Idle ones are checked before they are handed out.
    pub(crate) fn accept(&self, origin: Origin) {
        self.manager.accept(origin);
        self.note_breakage();
        self.grow();
    }

    /// A command of this generation got no reply in time: the next commands wait until a handshake
    /// proved that the server answers, instead of each running into the same silence.
    pub(crate) fn note_silence(&self) {
        self.manager.note_silence();
    }

    /// Ends the generation: nothing is sent any more, every reader and dialler wakes, and what
    /// lies idle is dropped. `replaced` is when the master was, where it is known.
    pub(crate) fn retire(&self, replaced: Option<Instant>) {
        self.manager.gate.retire_since(replaced);
        // As many as there are now; r2d2 may put tombstones in their place for ever.
        for _ in 0..self.pool.state().idle_connections {
            drop(self.pool.try_get());
        }
    }

    /// The error for a command on a handle of this generation, once it is over.
    pub(crate) fn over(&self) -> Error {
        let what = match self.manager.target {
            Target::Master => "was replaced",
            Target::Replica => "could no longer be read from",
        };
        Error::new(
            ErrorKind::Switched,
            format!(
                "the {} {} {what} while this handle held state (MULTI, WATCH, a subscription or \
                 another database); take a new handle and start over",
                self.manager.target.as_str(),
                self.address
            ),
        )
    }
}
