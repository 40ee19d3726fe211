//! The pools of the replicas that are read from, and the choice among them.
//!
//! Which replicas those are is for the watch to say. Each has a pool of its own for as long as it
//! stays among them, with one generation, and when it leaves that is retired as a master's is: what
//! is blocked wakes, and handles move.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, RwLock};

use super::{Alarm, Generation, Lease, Place, Pool};
use crate::{
    address::Address,
    address_map::AddressMap,
    error::{Error, ErrorKind},
    policy::ReadFrom,
};

/// Where there are several pools, whoever waits at one looks at the others so often.
const SLICE: Duration = Duration::from_millis(20);

/// And so often where there is one, for another may come.
const LONG_SLICE: Duration = Duration::from_millis(200);

/// So long after the first call the replicas may need to tell how far they are.
const FIRST_LOOK: Duration = Duration::from_millis(250);

/// Round trips that differ by so little, or by a quarter, count as equal.
const ALIKE: Duration = Duration::from_micros(500);

/// Round trips are remembered of so many nodes, beside those that are read from.
const MOST: usize = 256;

/// The pools of a factory's replicas.
pub(crate) struct Replicas {
    master: Arc<Pool>,
    view: RwLock<Arc<View>>,
    changed: (Mutex<()>, Condvar),
    /// When somebody first wanted to read from replicas.
    begun: OnceLock<Instant>,
    turn: AtomicUsize,
    /// How often a replica was taken in.
    stays: AtomicU64,
    latencies: Latencies,
    master_latency: Latency,
    /// Threads that wait for a replica to read from.
    waiting: AtomicU32,
}

/// Which replicas there are to read from, and why the others are none of them.
#[derive(Default)]
struct View {
    /// The watch has told.
    known: bool,
    members: Vec<Arc<Member>>,
    others: Vec<(Address, &'static str)>,
}

/// A replica that is read from.
struct Member {
    address: Address,
    pool: Arc<Pool>,
    latency: Arc<Latency>,
}

/// A smoothed round trip in nanoseconds; 0 before it was measured.
#[derive(Default)]
struct Latency(AtomicU64);

impl Latency {
    /// Takes a quarter of the new one in. Only the watch does.
    fn add(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let next = match self.0.load(Ordering::Relaxed) {
            0 => took,
            before => before - before / 4 + took / 4,
        };
        self.0.store(next, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            0 => Duration::MAX,
            nanos => Duration::from_nanos(nanos),
        }
    }
}

/// The round trips of nodes.
#[derive(Default)]
struct Latencies(Mutex<BTreeMap<Address, Arc<Latency>>>);

impl Latencies {
    /// Returns the round trip of this node. Its measurement goes on while a reference to it exists.
    fn of(&self, address: &Address) -> Arc<Latency> {
        let mut all = self.0.lock();
        if all.len() >= MOST && !all.contains_key(address) {
            all.retain(|_, latency| Arc::strong_count(latency) > 1);
        }
        all.entry(address.clone()).or_default().clone()
    }
}

/// The connections to the replicas that are read from, and who waits for one.
#[derive(Default)]
pub(super) struct Size {
    pub(super) total: u32,
    pub(super) idle: u32,
    pub(super) waiting: u32,
}

impl Replicas {
    /// No replicas yet, of the masters that this pool is for.
    pub(crate) fn of(master: &Arc<Pool>) -> Arc<Replicas> {
        let replicas = Arc::new(Replicas {
            master: master.clone(),
            view: RwLock::default(),
            changed: (Mutex::new(()), Condvar::new()),
            begun: OnceLock::new(),
            turn: AtomicUsize::new(0),
            stays: AtomicU64::new(0),
            latencies: Latencies::default(),
            master_latency: Latency::default(),
            waiting: AtomicU32::new(0),
        });
        // It is the first and only one.
        let _ = master.replicas.set(Arc::downgrade(&replicas));
        replicas
    }

    /// Somebody wants to read from replicas. Whether nobody did before.
    pub(crate) fn begin(&self) -> bool {
        self.begun.get().is_none() && self.begun.set(Instant::now()).is_ok()
    }

    /// From now on these are read from, each dialled as `way` says. The others are not, and why.
    pub(crate) fn keep(
        self: &Arc<Self>,
        readable: &[Address],
        others: Vec<(Address, &'static str)>,
        way: impl Fn(&Address) -> (AddressMap, Alarm),
    ) {
        let before = self.view();
        let member = |address: &Address| {
            let known = before.members.iter().find(|own| own.address == *address).cloned();
            known.unwrap_or_else(|| self.admit(address, way(address)))
        };
        let members: Vec<_> = readable.iter().map(member).collect();
        let stay = |own: &Arc<Member>| members.iter().any(|other| Arc::ptr_eq(own, other));
        let gone: Vec<_> = before.members.iter().filter(|own| !stay(own)).cloned().collect();
        *self.view.write() = Arc::new(View { known: true, members, others });
        // After the others can be found by whoever is woken.
        gone.iter().for_each(|own| own.pool.dissolve());
        if self.master.check_open().is_err() {
            self.close();
        }
        self.call();
    }

    fn admit(
        self: &Arc<Self>,
        address: &Address,
        (map, alarm): (AddressMap, Alarm),
    ) -> Arc<Member> {
        let pool = self.master.beside(Arc::downgrade(self));
        let candidate = pool.candidate(address.clone(), map, alarm);
        let stay = self.stays.fetch_add(1, Ordering::Relaxed) + 1;
        pool.publish(stay, candidate, None, None);
        Arc::new(Member { address: address.clone(), pool, latency: self.latencies.of(address) })
    }

    /// A node, perhaps the master, answered after so long.
    pub(crate) fn measured(&self, node: &Address, took: Duration, is_master: bool) {
        let latency = self.latencies.of(node);
        latency.add(took);
        if is_master {
            self.master_latency.0.store(latency.0.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Ends it, after the master's pool was closed.
    pub(crate) fn close(&self) {
        let last = std::mem::take(&mut *self.view.write());
        last.members.iter().for_each(|own| own.pool.dissolve());
        self.call();
    }

    fn view(&self) -> Arc<View> {
        self.view.read().clone()
    }

    pub(super) fn size(&self) -> Size {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let mut size = Size { waiting, ..Size::default() };
        for own in &self.view().members {
            let (total, idle) = own.pool.present_size();
            size.total += total;
            size.idle += idle;
            size.waiting += own.pool.shelf.room().len() as u32;
        }
        size
    }

    fn call(&self) {
        drop(self.changed.0.lock());
        self.changed.1.notify_all();
    }

    /// Waits for another view than this one.
    fn wait_for_change(&self, view: &Arc<View>, until: Instant) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut lock = self.changed.0.lock();
        while Arc::ptr_eq(view, &self.view())
            && self.master.check_open().is_ok()
            && !self.changed.1.wait_until(&mut lock, until).timed_out()
        {}
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// A connection to read with. Waits for at most until `deadline`.
    pub(crate) fn checkout_until(
        self: &Arc<Self>,
        from: ReadFrom,
        deadline: Instant,
        place: Place,
    ) -> Result<Lease, Error> {
        let begun = Instant::now();
        let mut waited = false;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        loop {
            self.master.check_open()?;
            let view = self.view();
            let pools = self.pools(from, &view, turn);
            for pool in &pools {
                if let Some(lease) = pool.try_checkout_until(deadline, place)? {
                    return Ok(self.counted(lease, waited.then_some(begun)));
                }
            }
            let now = Instant::now();
            if now >= deadline || (pools.is_empty() && view.known && view.others.is_empty()) {
                return Err(self.why_not(from, &view, begun.elapsed()));
            }
            waited = true;
            let slice = |length| deadline.min(now + length);
            match &pools[..] {
                [] => self.wait_for_change(&view, slice(LONG_SLICE)),
                [first, others @ ..] => {
                    let length = if others.is_empty() { LONG_SLICE } else { SLICE };
                    if let Some(lease) = first.wait_in_turn(slice(length), deadline, place)? {
                        return Ok(self.counted(lease, Some(begun)));
                    }
                }
            }
        }
    }

    fn counted(&self, lease: Lease, waited: Option<Instant>) -> Lease {
        if let Some(begun) = waited {
            self.master.counters().waited.add(begun.elapsed());
        }
        lease
    }

    /// The pools to ask, in order.
    fn pools<'a>(&'a self, from: ReadFrom, view: &'a View, turn: usize) -> Vec<&'a Arc<Pool>> {
        let replicas = || view.members.iter().map(|own| &own.pool);
        let mut pools: Vec<_> = match from {
            ReadFrom::Master => return vec![&self.master],
            ReadFrom::Replica => {
                // One that cannot be dialled is the last resort.
                let (mut fit, unfit): (Vec<_>, Vec<_>) = replicas().partition(|pool| answers(pool));
                if fit.is_empty() {
                    fit = unfit;
                }
                fit
            }
            ReadFrom::PreferReplica => replicas().filter(|pool| answers(pool)).collect(),
            ReadFrom::LowestLatency => self.nearest(view),
        };
        if pools.is_empty() && from != ReadFrom::Replica && !self.is_looking(view) {
            pools.push(&self.master);
        }
        if !pools.is_empty() {
            let first = turn % pools.len();
            pools.rotate_left(first);
        }
        pools
    }

    /// Those that answer soonest, of all that answer.
    fn nearest<'a>(&'a self, view: &'a View) -> Vec<&'a Arc<Pool>> {
        if self.is_looking(view) {
            return Vec::new();
        }
        let replicas = view.members.iter().map(|own| (own.latency.get(), &own.pool));
        let master = (self.master_latency.get(), &self.master);
        let all: Vec<_> = replicas.chain([master]).filter(|(_, pool)| answers(pool)).collect();
        let Some(best) = all.iter().map(|(latency, _)| *latency).min() else { return Vec::new() };
        let most = best.saturating_add((best / 4).max(ALIKE));
        all.into_iter().filter(|(latency, _)| *latency <= most).map(|(_, pool)| pool).collect()
    }

    /// Whether replicas that are listed may still have to tell that they can be read from.
    fn is_looking(&self, view: &View) -> bool {
        let none = !view.known || (view.members.is_empty() && !view.others.is_empty());
        none && self.begun.get().is_some_and(|begun| begun.elapsed() < FIRST_LOOK)
    }

    fn why_not(&self, from: ReadFrom, view: &View, waited: Duration) -> Error {
        self.master.counters().timeouts.add(1);
        if from != ReadFrom::Replica && !view.members.iter().any(|own| answers(&own.pool)) {
            return self.master.why_not(waited);
        }
        let mut causes = String::new();
        let mut cause = |address: &Address, why: &dyn std::fmt::Display| {
            let _ = write!(causes, "{address}: {why}; ");
        };
        view.others.iter().for_each(|(address, why)| cause(address, why));
        let mut silent = 0;
        for own in &view.members {
            if let Some(failure) = own.pool.current().as_deref().and_then(Generation::failure) {
                silent += 1;
                cause(&own.address, &failure);
            }
        }
        if silent < view.members.len() {
            let size = self.master.settings.max_size;
            let reachable = view.members.len() - silent;
            return Error::new(
                ErrorKind::PoolTimeout,
                format!(
                    "no handle to one of {reachable} replicas became free within {waited:.1?}, at \
                     most {size} each; {causes}raise max_size or give handles back sooner"
                ),
            );
        }
        if causes.is_empty() {
            causes.push_str("the sentinels list none, or may not tell (SENTINEL REPLICAS); ");
        }
        Error::new(
            ErrorKind::NoReplica,
            format!(
                "no replica may be read from (waited {waited:.1?}): {causes}ReadFrom::PreferReplica \
                 reads from the master then"
            ),
        )
    }
}

/// Whether its node can be dialled, as far as is known, and commands are let through.
fn answers(pool: &Arc<Pool>) -> bool {
    let Some(generation) = pool.current() else { return false };
    if generation.failure().is_some() {
        pool.revive(&generation);
        return false;
    }
    generation.gate().is_open()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_of_a_node_that_is_read_from_is_measured_on_whatever_else_comes() {
        let latencies = Latencies::default();
        let address = |port: usize| Address::new("10.0.0.1", port as u16).unwrap();
        let held: Vec<_> = (1..4).map(|port| latencies.of(&address(port))).collect();
        held.iter().for_each(|own| own.add(Duration::from_millis(1)));
        for port in 1000..1000 + 3 * MOST {
            latencies.of(&address(port)).add(Duration::from_millis(2));
        }
        for (port, own) in (1..4).zip(&held) {
            latencies.of(&address(port)).add(Duration::from_millis(9));
            assert_eq!(own.get(), Duration::from_millis(3));
        }
        assert!(latencies.0.lock().len() <= MOST, "no more are remembered");
    }
}
