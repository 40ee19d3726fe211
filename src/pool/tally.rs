//! What is counted at each checkout: by whoever has the connection, on cache lines of its own.
//! Counters that all threads share would cost more than the checkout.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use super::moment::Moment;
use crate::metrics::{Buckets, Histogram};

/// The account of one connection. Written by its owner alone, hence loads and stores; read by
/// everybody.
#[derive(Default)]
pub(crate) struct Tally {
    era: u64,
    checkouts: AtomicU64,
    /// How long it was out each time.
    used: Buckets,
    /// Since when it is out; 0: it is not.
    out_since: AtomicU64,
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
    pub(super) fn lend(&self, now: Moment) {
        let before = self.checkouts.load(Ordering::Relaxed);
        self.checkouts.store(before + 1, Ordering::Relaxed);
        self.out_since.store(now.to_bits(), Ordering::Relaxed);
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
}

impl Tallies {
    /// An account for one more connection.
    pub(super) fn enter(&self, era: u64) -> Arc<CachePadded<Tally>> {
        let tally = Arc::new(CachePadded::new(Tally { era, ..Tally::default() }));
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
