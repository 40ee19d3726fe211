//! loom's locks under the names that parking_lot gives them. Stands in for `src/sync.rs`.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::atomic::AtomicUsize as Numbers,
    time::{Duration, Instant},
};

pub(crate) use loom::sync::atomic::fence as barrier;
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering,
};
use loom::sync::{self, LockResult};

#[derive(Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// None only while a condition variable has it.
    held: Option<sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, held: Some(sound(self.0.lock())) }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("a held lock")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("a held lock")
    }
}

pub(crate) struct Condvar(sync::Condvar);

pub(crate) struct WaitTimeoutResult(bool);

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar(sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect("a held lock");
        guard.held = Some(sound(self.0.wait(held)));
    }

    /// A wait whose deadline passes before it is called, or one that is called before its deadline:
    /// the two together are all there is, and loom has no clock to choose by. A deadline that is a
    /// minute away never passes.
    pub(crate) fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        let passes = deadline < Instant::now() + Duration::from_secs(60);
        if passes {
            guard.held = None;
            guard.held = Some(sound(guard.mutex.0.lock()));
        } else {
            self.wait(guard);
        }
        WaitTimeoutResult(passes)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

/// crossbeam's cell: a pointer that is exchanged, with what it points at. loom sees the pointer, a
/// number here; what is behind it changes hands with it, so nobody else looks at that.
pub(crate) struct AtomicCell<T> {
    number: AtomicUsize,
    behind: parking_lot::Mutex<HashMap<usize, T>>,
    numbers: Numbers,
}

impl<T> AtomicCell<T> {
    pub(crate) fn new(value: T) -> AtomicCell<T> {
        AtomicCell {
            number: AtomicUsize::new(0),
            behind: parking_lot::Mutex::new(HashMap::from([(0, value)])),
            numbers: Numbers::new(1),
        }
    }

    pub(crate) fn swap(&self, value: T) -> T {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.behind.lock().insert(number, value);
        let before = self.number.swap(number, Ordering::AcqRel);
        self.behind.lock().remove(&before).expect("each number is exchanged once")
    }

    pub(crate) fn take(&self) -> T
    where
        T: Default,
    {
        self.swap(T::default())
    }
}

/// What keeps values apart in memory is not modelled.
pub(crate) struct CachePadded<T>(T);

impl<T> CachePadded<T> {
    pub(crate) fn new(value: T) -> CachePadded<T> {
        CachePadded(value)
    }
}

impl<T> Deref for CachePadded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A panic ends the model, so nobody meets a poisoned lock.
fn sound<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(|_| panic!("poisoned"))
}
