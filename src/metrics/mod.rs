//! What happened so far, counted: [`Stats`].

#[cfg(feature = "metrics")]
mod export;
#[cfg(any(feature = "metrics", feature = "cli"))]
pub mod figures;
mod histogram;

use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "metrics")]
pub(crate) use export::export;
pub(crate) use histogram::Buckets;
pub use histogram::Histogram;

/// A number that only grows. Relaxed: a reader wants totals, not an order between them.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one factory.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) waited: Buckets,
    pub(crate) timeouts: Counter,
    pub(crate) leaks: Counter,
    pub(crate) connections_created: Counter,
    pub(crate) connections_broken: Counter,
    pub(crate) dial_failures: Counter,
    pub(crate) switches: Counter,
    pub(crate) moved: Counter,
    pub(crate) errors_not_sent: Counter,
    pub(crate) errors_unknown: Counter,
    pub(crate) fences: Counter,
    pub(crate) doubtful_commands: Counter,
    pub(crate) overruled_commands: Counter,
    pub(crate) watch_faults: Counter,
    pub(crate) malformed_messages: Counter,
    pub(crate) dropped_messages: Counter,
}

/// What a factory did since it was opened, and the state of its pool. See `Factory::stats()`.
///
/// Totals only grow, and are those of all nodes together. Gauges (`total`, `idle`, `in_use`, `waiting`,
/// `max`, `min`) are those of the moment and of the master alone, except `waiting`; they mean the same
/// as in HikariCP (which calls `in_use` active and `waiting` pending). `replica_total`, `replica_idle`
/// and `replica_in_use` are the same of the replicas together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections of the current generation, idle and in use.
    pub total: u32,
    /// Connections of the current generation that lie idle.
    pub idle: u32,
    /// Handles of the current generation that are out.
    pub in_use: u32,
    /// Connections to the replicas that are read from, idle and in use. There may be
    /// [`Builder::max_size`](crate::Builder::max_size) to each.
    pub replica_total: u32,
    /// Idle connections to the replicas that are read from.
    pub replica_idle: u32,
    /// Handles to the replicas that are read from.
    pub replica_in_use: u32,
    /// Threads that wait for a handle now, to the master or to replicas.
    pub waiting: u32,
    /// Connections to the master that there may be at most ([`Builder::max_size`](crate::Builder::max_size)).
    pub max: u32,
    /// Connections that are to lie idle ([`Builder::min_idle`](crate::Builder::min_idle)).
    pub min: u32,
    /// Checkouts of handles, to the master and to replicas.
    pub checkouts: u64,
    /// Handles given out after a wait.
    pub waits: u64,
    /// Microseconds that threads waited for handles, all together.
    pub wait_micros: u64,
    /// How long threads waited that got a handle after a wait.
    pub waited: Histogram,
    /// How long handles were out that have come back; a handle that moved to another connection
    /// counts once for each. By the system's coarse clock: what is shorter than its tick (1 to
    /// 10 ms) mostly counts as nothing, and total and mean are right over many.
    pub used: Histogram,
    /// Calls that waited until their deadline in vain.
    pub timeouts: u64,
    /// Handles that were out for longer than [`Builder::leak_after`](crate::Builder::leak_after).
    pub leaks: u64,
    /// Connections made and verified.
    pub connections_created: u64,
    /// Connections that broke while a command used them.
    pub connections_broken: u64,
    /// Dials of a node that failed.
    pub dial_failures: u64,
    /// Switches to another master, the first master included.
    pub switches: u64,
    /// Commands that moved to a new connection because theirs had been retired or had broken
    /// before anything was sent.
    pub moved: u64,
    /// Commands that failed with [`Outcome::NotSent`](crate::Outcome::NotSent).
    pub errors_not_sent: u64,
    /// Commands that failed with [`Outcome::Unknown`](crate::Outcome::Unknown).
    pub errors_unknown: u64,
    /// How often commands were made to wait behind the fence.
    pub fences: u64,
    /// Commands that ran on a master before any sentinel had confirmed it, while a majority of the
    /// sentinels was silent, or when its successor may have been promoted already. Counted when that
    /// was over.
    pub doubtful_commands: u64,
    /// Those of them whose master turned out to have been replaced: writes among them may be lost.
    /// See [`Event::Overruled`](crate::Event::Overruled).
    pub overruled_commands: u64,
    /// Faults (panics) inside the watch that were survived.
    pub watch_faults: u64,
    /// Messages and replies of sentinels that could not be read.
    pub malformed_messages: u64,
    /// Messages that came on handles between whole commands (pub/sub, invalidations of tracked keys)
    /// and were dropped. [`Handle::receive`](crate::Handle::receive) and
    /// [`Factory::subscribe`](crate::Factory::subscribe) deliver them.
    pub dropped_messages: u64,
}

impl Counters {
    /// The totals that are counted here; the rest is left at 0.
    pub(crate) fn totals(&self) -> Stats {
        let waited = self.waited.read();
        Stats {
            waits: waited.count(),
            wait_micros: waited.total().as_micros() as u64,
            waited,
            timeouts: self.timeouts.get(),
            leaks: self.leaks.get(),
            connections_created: self.connections_created.get(),
            connections_broken: self.connections_broken.get(),
            dial_failures: self.dial_failures.get(),
            switches: self.switches.get(),
            moved: self.moved.get(),
            errors_not_sent: self.errors_not_sent.get(),
            errors_unknown: self.errors_unknown.get(),
            fences: self.fences.get(),
            doubtful_commands: self.doubtful_commands.get(),
            overruled_commands: self.overruled_commands.get(),
            watch_faults: self.watch_faults.get(),
            malformed_messages: self.malformed_messages.get(),
            dropped_messages: self.dropped_messages.get(),
            ..Stats::default()
        }
    }
}
