//! loom's locks under the names that parking_lot gives them. Stands in for `src/sync.rs`.

use std::{
    ops::{Deref, DerefMut},
    time::Instant,
};

pub(crate) use loom::sync::atomic::fence as barrier;
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
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

pub(crate) struct WaitTimeoutResult;

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar(sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect("a held lock");
        guard.held = Some(sound(self.0.wait(held)));
    }

    /// A wait whose deadline passes before it is called. One that is called first goes as one
    /// without a deadline, so the two together are all there is; loom has no clock to choose by.
    pub(crate) fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        _: Instant,
    ) -> WaitTimeoutResult {
        guard.held = None;
        guard.held = Some(sound(guard.mutex.0.lock()));
        WaitTimeoutResult
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        true
    }
}

/// A panic ends the model, so nobody meets a poisoned lock.
fn sound<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(|_| panic!("poisoned"))
}
