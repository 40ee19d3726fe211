//! Where the numbers of things lead to that one thread at a time uses: two atomic steps a use.
//!
//! A slot is never freed, only taken again, so a number that is over still meets a slot, and is told
//! by its generation. The slot that a thread gave back last is kept for it, which spares a checkout
//! the lock of the free list.

use std::{
    cell::{Cell, UnsafeCell},
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use parking_lot::Mutex;

use super::{
    guard::Failure,
    id::{self, Kind},
};

const FREE: u64 = 0;
const IDLE: u64 = 1;
const BUSY: u64 = 2;
const STATE_BITS: u32 = 2;

/// The first run of slots has so many; each further one as many as all before it together.
const FIRST: usize = 64;
const RUNS: usize = 18;

const _: () =
    assert!(FIRST * ((1 << RUNS) - 1) <= id::PLACES, "every slot has a number of its own");

#[repr(C)]
struct Slot<T> {
    /// Generation and state.
    word: AtomicU64,
    value: UnsafeCell<T>,
}

/// Values by number. `T` is made once for a slot and used again.
pub(super) struct Slots<T: 'static> {
    kind: Kind,
    runs: [AtomicPtr<Slot<T>>; RUNS],
    free: Mutex<Free>,
}

struct Free {
    indices: Vec<usize>,
    made: usize,
}

/// A slot in use: what it holds is this thread's alone.
pub(super) struct Use<'s, T> {
    slot: &'s Slot<T>,
    word: u64,
}

// SAFETY: a value is reached only by whoever moved its word to BUSY, one thread at a time, with an
// acquiring step after the releasing one of the thread before.
unsafe impl<T: Send> Sync for Slots<T> {}

fn word(generation: u32, state: u64) -> u64 {
    u64::from(generation) << STATE_BITS | state
}

impl<T: Default + Send> Slots<T> {
    pub(super) const fn of(kind: Kind) -> Slots<T> {
        Slots {
            kind,
            runs: [const { AtomicPtr::new(ptr::null_mut()) }; RUNS],
            free: Mutex::new(Free { indices: Vec::new(), made: 0 }),
        }
    }

    /// Where a slot lies: its run, and its place there.
    #[inline]
    fn locate(index: usize) -> (usize, usize) {
        let run = (index / FIRST + 1).ilog2();
        (run as usize, index - FIRST * ((1 << run) - 1))
    }

    #[inline]
    fn slot(&self, index: usize) -> Option<&Slot<T>> {
        // As good as always it is in the first run.
        let (run, at) = if index < FIRST { (0, index) } else { Self::locate(index) };
        let first = self.runs.get(run)?.load(Ordering::Acquire);
        if first.is_null() {
            return None;
        }
        // SAFETY: the run is not null, so it was published with all of its FIRST << run slots, of
        // which `at` is one by the arithmetic of `locate`; it is never freed.
        Some(unsafe { &*first.add(at) })
    }

    /// A free slot: the thread's own, or one of the list.
    #[inline]
    fn take_free(&self, spare: Option<usize>) -> Result<usize, Failure> {
        if let Some(index) = spare {
            return Ok(index);
        }
        self.take_listed()
    }

    #[cold]
    fn take_listed(&self) -> Result<usize, Failure> {
        let mut free = self.free.lock();
        if let Some(index) = free.indices.pop() {
            return Ok(index);
        }
        let (run, at) = Self::locate(free.made);
        let Some(place) = self.runs.get(run) else {
            return Err(Failure::internal("no number is left for another object"));
        };
        if at == 0 {
            let slots: Box<[Slot<T>]> = (0..FIRST << run)
                .map(|_| Slot { word: AtomicU64::new(FREE), value: UnsafeCell::new(T::default()) })
                .collect();
            place.store(Box::leak(slots).as_mut_ptr(), Ordering::Release);
        }
        free.made += 1;
        Ok(free.made - 1)
    }

    /// Takes a slot, lets `fill` put into it what it is to hold, and gives it a number.
    #[inline]
    pub(super) fn add<N>(
        &self,
        spare: &Spare,
        fill: impl FnOnce(&mut T),
    ) -> Result<*mut N, Failure> {
        let index = self.take_free(spare.take())?;
        let Some(slot) = self.slot(index) else {
            return Err(Failure::internal("a slot is missing"));
        };
        // The slot is free and its index was taken from where it stood, so nobody else has it.
        let generation = ((slot.word.load(Ordering::Acquire) >> STATE_BITS) as u32).wrapping_add(1);
        slot.word.store(word(generation, BUSY), Ordering::Relaxed);
        let mut held = Use { slot, word: word(generation, BUSY) };
        fill(held.get());
        drop(held);
        Ok(id::number(self.kind, index, generation))
    }

    /// Uses what a number leads to, until the result is dropped.
    #[inline]
    pub(super) fn get<N>(&self, pointer: *const N) -> Result<Use<'_, T>, Failure> {
        let (index, generation) = id::place(self.kind, pointer)?;
        self.hold(index, generation)
    }

    #[inline]
    fn hold(&self, index: usize, generation: u32) -> Result<Use<'_, T>, Failure> {
        let slot = self.slot(index).ok_or_else(|| id::over(self.kind))?;
        let (idle, busy) = (word(generation, IDLE), word(generation, BUSY));
        match slot.word.compare_exchange(idle, busy, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(Use { slot, word: busy }),
            Err(found) if found == busy => Err(id::busy(self.kind)),
            Err(_) => Err(id::over(self.kind)),
        }
    }

    /// Ends a number: `empty` takes from the slot what it held.
    #[inline]
    pub(super) fn remove<N, R>(
        &self,
        pointer: *const N,
        spare: &Spare,
        empty: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Failure> {
        let (index, generation) = id::place(self.kind, pointer)?;
        let mut held = self.hold(index, generation)?;
        let emptied = empty(held.get());
        // Left as it is and free, not idle, when `held` is dropped.
        held.word = held.word & !(IDLE | BUSY) | FREE;
        drop(held);
        if let Some(index) = spare.keep(index) {
            self.free.lock().indices.push(index);
        }
        Ok(emptied)
    }

    /// Puts a slot back that a thread had kept.
    pub(super) fn put_back(&self, spare: &Spare) {
        if let Some(index) = spare.take() {
            self.free.lock().indices.push(index);
        }
    }
}

impl<T> Use<'_, T> {
    #[inline]
    pub(super) fn get(&mut self) -> &mut T {
        // SAFETY: whoever has a `Use` moved the word to BUSY, or took the slot from the free ones, and
        // nobody else reaches the value before it is dropped.
        unsafe { &mut *self.slot.value.get() }
    }
}

impl<T> Drop for Use<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let state = if self.word & BUSY == 0 { FREE } else { IDLE };
        self.slot.word.store(self.word & !(IDLE | BUSY) | state, Ordering::Release);
    }
}

/// A free slot that a thread keeps for its next use.
pub(super) struct Spare(Cell<Option<usize>>);

impl Spare {
    pub(super) const fn none() -> Spare {
        Spare(Cell::new(None))
    }

    #[inline]
    fn take(&self) -> Option<usize> {
        self.0.take()
    }

    /// Keeps the slot; gives it back when there is one already.
    #[inline]
    fn keep(&self, index: usize) -> Option<usize> {
        if self.0.get().is_some() {
            return Some(index);
        }
        self.0.set(Some(index));
        None
    }
}

#[cfg(test)]
mod tests;
