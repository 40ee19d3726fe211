//! Whether this process was forked from one that had factories open.
//!
//! The child has their sockets and none of their threads. Whatever it did with them would be done to
//! its parent's connections, so it does nothing: `pthread_atfork(3)` tells it what it is.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::guard::Failure;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static FORKED: AtomicBool = AtomicBool::new(false);
static REGISTERED: parking_lot::Once = parking_lot::Once::new();
static REFUSED: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    /// POSIX. On every system that this builds for it is in the C library that Rust links already.
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> std::ffi::c_int;
}

/// Runs in the child, before fork(2) returns there.
unsafe extern "C" fn in_child() {
    if LIVE.load(Ordering::Relaxed) > 0 {
        FORKED.store(true, Ordering::Relaxed);
    }
}

/// A factory that is open, or on its way.
pub(super) struct Presence(());

impl Presence {
    pub(super) fn begin() -> Result<Presence, Failure> {
        REGISTERED.call_once(|| {
            // SAFETY: the handler is a function of this library, with which the C library forgets it,
            // and touches atomics only, as is allowed in a forked child of many threads.
            let result = unsafe { pthread_atfork(None, None, Some(in_child)) };
            REFUSED.store(result != 0, Ordering::Relaxed);
        });
        if REFUSED.load(Ordering::Relaxed) {
            return Err(Failure::internal("pthread_atfork(3) has no memory left for a handler"));
        }
        LIVE.fetch_add(1, Ordering::Relaxed);
        Ok(Presence(()))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One load, for every call.
#[inline]
pub(super) fn check() -> Result<(), Failure> {
    if FORKED.load(Ordering::Relaxed) { Err(Failure::forked()) } else { Ok(()) }
}
