//! `swm_factory`: what follows the master, and hands out handles.

use std::{
    ffi::{CString, c_char},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    corner::{self, Corner},
    event::Tidings,
    fork::Presence,
    guard::{self, Failure},
    handle::{self, swm_handle},
    id::Kind,
    options::{self, swm_options},
    shares::Shares,
    status::{swm_error, swm_status},
};
use crate::{
    builder::Builder,
    error::{Error, ErrorKind},
    factory::Factory,
    policy::ReadFrom,
};

/// A factory follows one service: it asks the sentinels who is master, keeps connections to it, and
/// gives them out as handles. When the master is replaced, it notices, and so do its handles.
///
/// Owner: whoever opened it, and closes it with swm_factory_close. Then the pointer is dead
/// (SWM_E_DEAD), and calls that are under way end with SWM_E_CLOSED. Handles, events and subscriptions
/// that it gave out may outlive it; they fail with SWM_E_CLOSED then, and are to be released and freed
/// as ever.
/// Threads: any, as many at once as you like.
/// Fork: a child that inherits a factory has none of its threads. Every call there fails with
/// SWM_E_FORKED, and closes nothing of the parent's. Open factories after the fork. A fork while another
/// thread is in a call, or at the moment a factory is closed, leaves a child that may only exec, as in any
/// program of several threads.
pub struct swm_factory {
    _private: [u8; 0],
}

/// An open factory.
pub(super) struct Opened {
    pub(super) factory: Factory,
    pub(super) tidings: Tidings,
    pub(super) closed: AtomicBool,
    /// Until it is closed: a thread that knew it may hold on to the rest for longer.
    presence: Mutex<Option<Presence>>,
}

static ALL: Shares<Arc<Opened>> = Shares::of(Kind::Factory);

/// Runs something on a factory.
#[inline]
pub(super) fn with<R>(
    factory: *const swm_factory,
    body: impl FnOnce(&Opened) -> Result<R, Failure>,
) -> Result<R, Failure> {
    corner::with(|corner| corner.with_factory(factory as usize, body))
}

/// The factory itself, for calls that wait.
pub(super) fn find(factory: *const swm_factory) -> Result<Arc<Opened>, Failure> {
    ALL.get(factory)
}

fn open(builder: Builder) -> Result<*mut swm_factory, Failure> {
    let presence = Presence::begin()?;
    let opened = Opened {
        factory: builder.build()?,
        tidings: Tidings::default(),
        closed: AtomicBool::new(false),
        presence: Mutex::new(Some(presence)),
    };
    ALL.add(Arc::new(opened))
}

/// swm_factory_open opens a factory for a service that is named by a URL:
/// `redis+sentinel://[user][:password@]host[:port][,host[:port]...]/service[/db][?option=value&...]`,
/// or `rediss+sentinel://...` for TLS to the nodes. The options are those of swm_options_set.
///
/// Blocks until the master is known and a connection to it stands, at most for `connect_timeout`
/// (5 s unless set).
///
/// Errors: SWM_E_INVALID_URL, SWM_E_INVALID_CONFIG, SWM_E_NO_SENTINEL, SWM_E_UNKNOWN_SERVICE,
/// SWM_E_AUTHENTICATION, SWM_E_PERMISSION, SWM_E_NO_MASTER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_open(
    url: *const c_char,
    out: *mut *mut swm_factory,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            out.set(open(Builder::from_url(guard::text("url", url)?)?)?);
            Ok(())
        })
    }
}

/// swm_factory_open_options opens a factory with options. See swm_factory_open, which it is like.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_open_options(
    options: *const swm_options,
    out: *mut *mut swm_factory,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            out.set(open(options::builder(options)?)?);
            Ok(())
        })
    }
}

/// swm_factory_get takes a handle to the current master. Give it back with swm_handle_release, once.
///
/// Blocks until a connection is free, at most for `timeout_ms` milliseconds; while the master is being
/// replaced that may be one to the next master. Those who wait are served in the order in which they
/// came.
///
/// Errors: SWM_E_POOL_TIMEOUT, SWM_E_NO_MASTER, SWM_E_DISCONNECTED and the other reasons for which a
/// connection cannot be made, SWM_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_get(
    factory: *const swm_factory,
    timeout_ms: u32,
    out: *mut *mut swm_handle,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let timeout = Duration::from_millis(timeout_ms.into());
            out.set(corner::with(|corner| {
                corner.with_factory(factory as usize, |opened| {
                    handle::give_out(opened.factory.get_timeout(timeout)?, &corner.spare)
                })
            })?);
            Ok(())
        })
    }
}

/// Where a handle reads from.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum swm_read_from {
    /// The master.
    SWM_READ_MASTER = 0,
    /// A replica; an error when none may be read from.
    SWM_READ_REPLICA = 1,
    /// A replica, or the master when none may be read from.
    SWM_READ_PREFER_REPLICA = 2,
    /// The node that answers fastest, the master included.
    SWM_READ_LOWEST_LATENCY = 3,
}

fn read_from(from: i32) -> Result<ReadFrom, Failure> {
    [
        (swm_read_from::SWM_READ_MASTER, ReadFrom::Master),
        (swm_read_from::SWM_READ_REPLICA, ReadFrom::Replica),
        (swm_read_from::SWM_READ_PREFER_REPLICA, ReadFrom::PreferReplica),
        (swm_read_from::SWM_READ_LOWEST_LATENCY, ReadFrom::LowestLatency),
    ]
    .into_iter()
    .find_map(|(named, meant)| (named as i32 == from).then_some(meant))
    .ok_or_else(|| Failure::argument(format!("from is {from}, which is no swm_read_from")))
}

/// swm_factory_replica takes a handle to a replica, for commands that only read. Release it like any.
///
/// Blocks until a connection to a replica is free, at most for `get_timeout` (5 s unless set).
///
/// Errors: SWM_E_NO_REPLICA, and those of swm_factory_get.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_replica(
    factory: *const swm_factory,
    out: *mut *mut swm_handle,
    err: *mut swm_error,
) -> swm_status {
    let from = swm_read_from::SWM_READ_REPLICA as i32;
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe { swm_factory_get_from(factory, from, out, err) }
}

/// swm_factory_get_from takes a handle to a node that `from`, a swm_read_from, says. See
/// swm_factory_replica, which it is like.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_get_from(
    factory: *const swm_factory,
    from: i32,
    out: *mut *mut swm_handle,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let opened = find(factory)?;
            let handle = opened.factory.get_from(read_from(from)?)?;
            out.set(corner::with(|corner| handle::give_out(handle, &corner.spare))?);
            Ok(())
        })
    }
}

/// swm_factory_generation tells how many masters were served so far, the current one included. It grows
/// by one at every switch. Blocks never.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_generation(
    factory: *const swm_factory,
    out: *mut u64,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            out.set(with(factory, |opened| Ok(opened.factory.generation()))?);
            Ok(())
        })
    }
}

/// swm_factory_wait_for_generation waits for a generation after `after`, and tells its number.
///
/// Blocks at most for `timeout_ms` milliseconds.
///
/// Errors: SWM_E_NOTHING when there was no switch in that time, SWM_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_wait_for_generation(
    factory: *const swm_factory,
    after: u64,
    timeout_ms: u32,
    out: *mut u64,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let opened = find(factory)?;
            let timeout = Duration::from_millis(timeout_ms.into());
            let Some(generation) = opened.factory.wait_for_generation(after, timeout) else {
                opened.check_open()?;
                return Err(Failure::nothing(format!(
                    "no generation after {after} within {timeout_ms} ms"
                )));
            };
            out.set(generation);
            Ok(())
        })
    }
}

/// swm_factory_master tells the address of the current master, as the sentinels announce it:
/// `host:port`. Free it with swm_string_free. Blocks never.
///
/// Errors: SWM_E_NOTHING when none is known, SWM_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_master(
    factory: *const swm_factory,
    out: *mut *mut c_char,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let opened = find(factory)?;
            opened.check_open()?;
            let master = opened.factory.master();
            let master = master.ok_or_else(|| Failure::nothing("no master is known yet"))?;
            out.set(string(master.to_string()));
            Ok(())
        })
    }
}

/// swm_factory_topology_json tells everything that is known of the service: its nodes, its sentinels,
/// what each of them says, and what is wrong. It is one line of JSON, as `switchmaster topology --json`
/// prints it. Free it with swm_string_free.
///
/// Blocks for the turn of another thread, some microseconds.
///
/// Errors: SWM_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_topology_json(
    factory: *const swm_factory,
    out: *mut *mut c_char,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            out.set(string(find(factory)?.factory.topology()?.to_json().to_string()));
            Ok(())
        })
    }
}

/// swm_factory_refresh has the sentinels asked now, instead of at their next turn. It need not be called:
/// every sign of trouble does the same. Blocks never.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_refresh(
    factory: *const swm_factory,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            find(factory)?.factory.refresh();
            Ok(())
        })
    }
}

/// swm_factory_close closes a factory: its connections, its links to the sentinels, and with the last
/// factory of the process its threads. Whoever waits on it or on its handles wakes, with SWM_E_CLOSED.
/// NULL, and a factory that was closed, are left alone.
///
/// Blocks until the threads have ended, for a second or two at most.
#[unsafe(no_mangle)]
pub extern "C" fn swm_factory_close(factory: *mut swm_factory) {
    guard::peek((), || {
        let opened = ALL.remove(factory)?;
        opened.closed.store(true, Ordering::Release);
        corner::with(Corner::forget);
        opened.factory.close();
        opened.tidings.close();
        opened.presence.lock().take();
        Ok(())
    });
}

/// swm_string_free frees a string that a function of this header gave out. NULL is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_string_free(string: *mut c_char) {
    if !string.is_null() {
        // SAFETY: as the header demands it came from `string` below, and is freed once.
        drop(unsafe { CString::from_raw(string) });
    }
}

/// A string for the caller to free.
pub(super) fn string(text: String) -> *mut c_char {
    let mut bytes = text.into_bytes();
    // JSON escapes it, and no address has one.
    bytes.retain(|&byte| byte != 0);
    CString::new(bytes).unwrap_or_default().into_raw()
}

impl Opened {
    pub(super) fn check_open(&self) -> Result<(), Failure> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the factory is closed").into());
        }
        Ok(())
    }
}
