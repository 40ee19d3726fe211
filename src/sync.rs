//! The locks and atomics of what is checked in every order of its threads: `tests/models` compiles
//! those files with loom's in the place of this module.

/// A fence is something else here.
pub(crate) use std::sync::atomic::fence as barrier;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering,
};

pub(crate) use crossbeam_utils::{CachePadded, atomic::AtomicCell};
pub(crate) use parking_lot::{Condvar, Mutex};
