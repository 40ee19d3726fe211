//! A generation: everything that belongs to one accepted master.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    connection::Gate,
    error::{Error, ErrorKind},
    origin::{ORIGIN, Origin},
    pool::{
        PoolSettings,
        manager::{Live, Manager, Slot},
    },
    trouble::Trouble,
    workers::Workers,
};

/// A connection that lay idle for longer is looked at (one `recv` with MSG_PEEK, 0.4 µs) before it
/// is handed out: firewalls and servers with a `timeout` close idle connections without a word.
const PEEK_AFTER: Duration = Duration::from_millis(500);

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

/// One accepted master: its number, its address, its connections, and the gate before them.
pub(crate) struct Generation {
    number: u64,
    address: Address,
    manager: Arc<Manager>,
    pool: r2d2::Pool<Shared>,
    births: Arc<Births>,
}

/// r2d2 owns its manager, and the generation needs it too.
pub(crate) struct Shared(Arc<Manager>);

impl r2d2::ManageConnection for Shared {
    type Connection = Slot;
    type Error = Error;

    fn connect(&self) -> Result<Slot, Error> {
        Manager::connect(&self.0)
    }

    fn is_valid(&self, slot: &mut Slot) -> Result<(), Error> {
        // r2d2 asks this at every checkout only when told to, and it is not: a round trip a
        // checkout would double the latency of every command. Generation::fit looks instead.
        let _ = slot;
        Ok(())
    }

    fn has_broken(&self, slot: &mut Slot) -> bool {
        self.0.has_broken(slot)
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

/// A connection taken out of a generation's pool.
pub(crate) struct Lease {
    pub(crate) generation: Arc<Generation>,
    slot: r2d2::PooledConnection<Shared>,
}

impl Lease {
    /// The connection. Tombstones never become leases, so it is there.
    pub(crate) fn live(&mut self) -> &mut Live {
        match &mut *self.slot {
            Slot::Live(live) => live,
            Slot::Tombstone => unreachable!("Generation::take throws tombstones away"),
        }
    }
}

impl Lease {
    /// Whether a connection that a handle has kept is as good as it was: asked before each command,
    /// and a look at two counters while nothing has broken.
    pub(crate) fn is_trusted(&mut self) -> bool {
        match &mut *self.slot {
            Slot::Live(live) => self.generation.trusts(live),
            Slot::Tombstone => false,
        }
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
    /// switch need not wait for a dial; tells where its data come from. Blocks for at most twice the
    /// dial timeout.
    pub(crate) fn dial(&self) -> Result<Origin, Error> {
        let mut live = self.manager.dial()?;
        let mut packed = Vec::with_capacity(64);
        for section in ORIGIN {
            redis::cmd("INFO").arg(section).write_packed_command(&mut packed);
        }
        let deadline = Instant::now() + self.manager.settings.dial_timeout;
        let replies =
            live.connection.request_many(&packed, 0, ORIGIN.len(), Some(deadline))?.values;
        self.manager.lay_in(live);
        Ok(Origin::read(&replies))
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
        let generation = Generation {
            number,
            address: self.address.clone(),
            manager: self.manager.clone(),
            pool,
            births,
        };
        generation.grow();
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

    /// The address that the sentinels announced.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.manager.gate
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

    /// How many connections there are, and how many of them lie idle.
    pub(crate) fn size(&self) -> (u32, u32) {
        let state = self.pool.state();
        (state.connections, state.idle_connections)
    }

    /// Takes an idle connection that is fit for use. Waits for the server's answer to a PING, at most
    /// the dial timeout, when another connection has broken since this one was last used.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Lease> {
        let now = Instant::now();
        while let Some(slot) = self.pool.try_get() {
            let mut lease = Lease { generation: self.clone(), slot };
            if self.fit(&mut lease.slot, now) {
                return Some(lease);
            }
        }
        None
    }

    /// As [`Generation::take`], and has r2d2 dial another connection when there is none and the
    /// size allows. What it dials is announced through the `call` given to
    /// [`Candidate::open`].
    pub(crate) fn take_or_grow(self: &Arc<Self>) -> Option<Lease> {
        if let Some(lease) = self.take() {
            return Some(lease);
        }
        if self.is_birth_under_way() {
            match self.pool.get_timeout(BIRTH_PATIENCE) {
                Ok(slot) => {
                    let mut lease = Lease { generation: self.clone(), slot };
                    if self.fit(&mut lease.slot, Instant::now()) {
                        return Some(lease);
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
        self.take()
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

    /// Is this connection worth handing out? Looks closer only when there is a reason to.
    fn fit(&self, slot: &mut Slot, now: Instant) -> bool {
        match slot {
            Slot::Live(live) => self.is_fit(live, now),
            Slot::Tombstone => false,
        }
    }

    fn is_fit(&self, live: &mut Live, now: Instant) -> bool {
        if live.born_after != self.manager.silences() {
            return false;
        }
        let breakages = self.manager.breakages();
        if live.seen_breakages != breakages && !self.manager.gate.is_open() {
            // Behind the fence no question is answered; the next look after it asks.
            live.dead = !live.connection.is_fresh();
        } else if live.seen_breakages != breakages {
            // A server that dies closes its sockets one after another, so a look at this one might
            // come too early. An answer settles it, and costs nobody's command.
            live.seen_breakages = breakages;
            live.dead = !live.connection.is_fresh() || !self.manager.answers(live);
        } else if now.saturating_duration_since(live.idle_since) >= PEEK_AFTER {
            live.dead = !live.connection.is_fresh();
        }
        !live.dead
    }

    fn trusts(&self, live: &mut Live) -> bool {
        let news = live.seen_breakages != self.manager.breakages()
            || live.born_after != self.manager.silences();
        !news || self.is_fit(live, live.idle_since)
    }

    /// A connection of this generation broke: whatever lies idle is looked at before it is handed
    /// out, so that a dead master costs an error for each command in flight and no more.
    pub(crate) fn note_breakage(&self) {
        self.manager.note_breakage();
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
        Error::new(
            ErrorKind::Switched,
            format!(
                "the master {} was replaced while this handle held state (MULTI, WATCH, a \
                 subscription or another database); take a new handle and start over",
                self.address
            ),
        )
    }
}
