//! What is counted at each checkout: by whoever has the connection, on cache lines of its own.
//! Counters that all threads share would cost more than the checkout.

use std::{
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam_utils::{CachePadded, atomic::AtomicCell};
use parking_lot::Mutex;

use super::{generation::Generation, moment::Moment};
use crate::metrics::{Buckets, Histogram};

/// The account of one connection. Written by its owner alone, hence loads and stores; read by
/// everybody.
#[derive(Default)]
pub(crate) struct Tally {
    era: u64,
    generation: u64,
    checkouts: AtomicU64,
    /// How long it was out each time.
    used: Buckets,
    /// Since when it is out; 0: it is not.
    out_since: AtomicU64,
    /// Where it was taken last.
    place: AtomicCell<Option<Place>>,
    /// The `out_since` that was reported as a leak; belongs to whoever looks for leaks.
    reported: AtomicU64,
}

/// Where in the program a handle was taken.
pub(crate) type Place = &'static Location<'static>;

/// A connection that has been out for too long.
pub(super) struct Overdue {
    pub(super) place: Place,
    pub(super) out: Duration,
    pub(super) generation: u64,
}

/// The accounts of all connections of a pool.
#[derive(Default)]
pub(crate) struct Tallies(Mutex<Book>);

#[derive(Default)]
struct Book {
    present: Vec<Arc<CachePadded<Tally>>>,
    /// What those that have left add to the totals.
    past: Totals,
}

/// What the accounts come to.
#[derive(Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) checkouts: u64,
    pub(crate) used: Histogram,
}

impl Tally {
    /// The connection goes out.
    #[inline]
    pub(super) fn lend(&self, now: Moment, place: Place) {
        let before = self.checkouts.load(Ordering::Relaxed);
        self.checkouts.store(before + 1, Ordering::Relaxed);
        self.place.store(Some(place));
        self.out_since.store(now.to_bits(), Ordering::Release);
    }

    /// It comes back.
    #[inline]
    pub(super) fn take_back(&self, now: Moment) {
        let since = Moment::from_bits(self.out_since.load(Ordering::Relaxed));
        self.used.add_alone(now.nanos_since(since));
        self.out_since.store(0, Ordering::Relaxed);
    }

    fn is_out(&self) -> bool {
        self.out_since.load(Ordering::Relaxed) != 0
    }

    /// What is to be reported, if it has been out for so long and that was not reported yet.
    fn overdue(&self, now: Moment, after: Duration) -> Option<Overdue> {
        let since = self.out_since.load(Ordering::Acquire);
        let out = now.since(Moment::from_bits(since));
        if since == 0 || out < after || since == self.reported.load(Ordering::Relaxed) {
            return None;
        }
        let place = self.place.load()?;
        // Another checkout since, by somebody else, would be at another place.
        if self.out_since.load(Ordering::Acquire) != since {
            return None;
        }
        self.reported.store(since, Ordering::Relaxed);
        Some(Overdue { place, out, generation: self.generation })
    }
}

impl Tallies {
    /// An account for one more connection.
    pub(super) fn enter(&self, of: &Generation) -> Arc<CachePadded<Tally>> {
        let (era, generation) = (of.era(), of.number());
        let tally = Arc::new(CachePadded::new(Tally { era, generation, ..Tally::default() }));
        self.0.lock().present.push(tally.clone());
        tally
    }

    /// The connection is over.
    pub(super) fn leave(&self, tally: &Arc<CachePadded<Tally>>) {
        let mut book = self.0.lock();
        book.present.retain(|other| !Arc::ptr_eq(other, tally));
        book.past.add(tally);
    }

    /// How many connections of this era are out.
    pub(super) fn out(&self, era: u64) -> u32 {
        let book = self.0.lock();
        let out = |tally: &&Arc<CachePadded<Tally>>| tally.era == era && tally.is_out();
        book.present.iter().filter(out).count() as u32
    }

    /// Those that have been out for so long, each once.
    pub(super) fn overdue(&self, now: Moment, after: Duration) -> Vec<Overdue> {
        let book = self.0.lock();
        book.present.iter().filter_map(|tally| tally.overdue(now, after)).collect()
    }

    /// What all came to so far.
    pub(super) fn totals(&self) -> Totals {
        let book = self.0.lock();
        let mut totals = book.past;
        book.present.iter().for_each(|tally| totals.add(tally));
        totals
    }
}

impl Totals {
    fn add(&mut self, tally: &Tally) {
        self.checkouts += tally.checkouts.load(Ordering::Relaxed);
        self.used.add(&tally.used.read());
    }
}
