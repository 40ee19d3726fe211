//! A lease: a connection that is out, and what comes back with it.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    os::fd::RawFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    Pool,
    generation::{Generation, Shared},
    manager::{Live, Manager, Slot},
    moment::Moment,
    shelf::Dated,
    tally::{Place, Tally},
};
use crossbeam_utils::CachePadded;

use crate::{
    config::Protocol,
    connection::{Distress, Gate},
};

/// A connection that lay idle for longer is looked at (one `recv` with MSG_PEEK, 0.4 µs) before it
/// is handed out: firewalls and servers with a `timeout` close idle connections without a word.
const PEEK_AFTER: Duration = Duration::from_millis(500);

/// A connection that r2d2 made, with everything that a checkout or a return looks at: what counts
/// references once for each connection has nothing to count for each checkout.
pub(crate) struct Leased {
    slot: r2d2::PooledConnection<Shared>,
    pub(crate) generation: Arc<Generation>,
    manager: Arc<Manager>,
    gate: Arc<Gate>,
    tally: Arc<CachePadded<Tally>>,
    /// When it was given back last, or made.
    idle_since: Moment,
    /// Where it was taken last, or made.
    pub(crate) place: Place,
    /// Last: a pool outlives what is counted in it.
    pub(crate) pool: Arc<Pool>,
}

/// A connection that is out. Dropped, it goes back.
pub(crate) struct Lease(Option<Box<Leased>>);

impl Dated for Leased {
    #[inline]
    fn era(&self) -> u64 {
        self.generation.era()
    }
}

impl Leased {
    /// A connection that r2d2 gave.
    pub(super) fn new(
        slot: r2d2::PooledConnection<Shared>,
        generation: &Arc<Generation>,
        pool: &Arc<Pool>,
        place: Place,
    ) -> Box<Leased> {
        let manager = generation.manager().clone();
        Box::new(Leased {
            slot,
            generation: generation.clone(),
            gate: manager.gate.clone(),
            manager,
            tally: pool.tallies().enter(generation),
            idle_since: Moment::now(),
            place,
            pool: pool.clone(),
        })
    }

    /// The connection.
    #[inline]
    pub(crate) fn live(&mut self) -> &mut Live {
        match &mut *self.slot {
            Slot::Live(live) => live,
            Slot::Tombstone => unreachable!("Generation::take throws tombstones away"),
        }
    }

    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        match &*self.slot {
            Slot::Live(live) => Some(live.connection.descriptor()),
            Slot::Tombstone => None,
        }
    }

    /// The protocol that the handshake agreed on.
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        match &*self.slot {
            Slot::Live(live) => Some(live.connection.greeting().protocol),
            Slot::Tombstone => None,
        }
    }

    /// Whether it may be handed out as it is. If not, it is not bad yet: [`Leased::is_fit`] looks
    /// closer.
    #[inline]
    pub(super) fn is_at_hand(&self, now: Moment) -> bool {
        self.gate.is_open() && self.has_no_news() && now.since(self.idle_since) < PEEK_AFTER
    }

    /// Looks closer. Waits for the server's answer to a PING, at most the dial timeout, when another
    /// connection has broken since this one was last used.
    pub(super) fn is_fit(&mut self, now: Moment) -> bool {
        let idle = now.since(self.idle_since) >= PEEK_AFTER;
        let Leased { slot, manager, .. } = self;
        manager.is_fit(slot, idle)
    }

    /// Whether a connection that a handle has kept is as good as it was: asked before each command,
    /// and a look at two counters while nothing has broken.
    pub(crate) fn is_trusted(&mut self) -> bool {
        self.has_no_news() || self.manager.is_fit(&mut self.slot, false)
    }

    /// The last reply since the previous call that said that the server is not the master that takes
    /// writes.
    #[inline]
    pub(crate) fn take_distress(&mut self) -> Option<Distress> {
        match &mut *self.slot {
            Slot::Live(live) => self.manager.take_distress(live),
            Slot::Tombstone => None,
        }
    }

    /// True when [`Leased::is_fit`] would ask the server, and wait for its answer.
    pub(super) fn would_ask(&self) -> bool {
        self.manager.would_ask(&self.slot)
    }

    /// Whether nothing has happened to the generation since the connection was last looked at.
    #[inline]
    pub(crate) fn has_no_news(&self) -> bool {
        match &*self.slot {
            Slot::Live(live) => {
                live.born_after == self.manager.silences()
                    && live.seen_breakages == self.manager.breakages()
            }
            Slot::Tombstone => false,
        }
    }

    /// Whether it is not to be handed out again.
    pub(super) fn is_worn(&self) -> bool {
        self.manager.is_worn(&self.slot, Moment::now())
    }

    /// Hands it out.
    #[inline]
    pub(super) fn lend(mut self: Box<Leased>, now: Moment, place: Place) -> Lease {
        self.tally.lend(now, place);
        self.place = place;
        Lease(Some(self))
    }

    /// Takes it back: onto the shelf if it is as good as new, else to r2d2, which knows what to do
    /// with it. Then whoever waits for one is called.
    #[inline]
    fn give_back(mut self: Box<Leased>) {
        let now = Moment::now();
        self.tally.take_back(now);
        self.idle_since = now;
        let shelf = self.pool.shelf();
        let Leased { slot, manager, .. } = &mut *self;
        let refused =
            if manager.is_worn(slot, now) { Some(self) } else { shelf.lay(place(), self) };
        if refused.is_some() {
            drop(refused);
            shelf.room().call();
        }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.pool.tallies().leave(&self.tally);
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        if let Some(leased) = self.0.take() {
            leased.give_back();
        }
    }
}

impl Deref for Lease {
    type Target = Leased;

    #[inline]
    fn deref(&self) -> &Leased {
        self.0.as_ref().expect("it is there until the lease is dropped")
    }
}

impl DerefMut for Lease {
    #[inline]
    fn deref_mut(&mut self) -> &mut Leased {
        self.0.as_mut().expect("it is there until the lease is dropped")
    }
}

thread_local! {
    /// The place on a shelf from which this thread looks; it keeps to where it found something.
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Where this thread begins. Threads begin side by side, so that each finds a place of its own.
#[inline]
pub(super) fn place() -> usize {
    match PLACE.get() {
        usize::MAX => first_place(),
        place => place,
    }
}

/// Where this thread begins from now on.
#[inline]
pub(super) fn keep_to(place: usize) {
    PLACE.set(place);
}

#[cold]
fn first_place() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);

    let place = THREADS.fetch_add(1, Ordering::Relaxed) % usize::MAX;
    PLACE.set(place);
    place
}
