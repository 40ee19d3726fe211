//! `swm_event`: what happened to a service.

use std::{
    ffi::{CString, c_char, c_int},
    os::fd::{AsRawFd, OwnedFd},
    ptr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use parking_lot::Mutex;
use rustix::io::Errno;

use super::{
    factory::{self, Opened, swm_factory},
    guard::{self, Failure},
    status::{swm_error, swm_status},
};
use crate::{
    address::Address,
    error::{Error, ErrorKind},
    event::Event,
};

/// What happened. Later versions may add some.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum swm_event_kind {
    /// One that this header does not know; its name and text do.
    SWM_EVENT_OTHER = 0,
    /// Handles lead to another master from now on.
    SWM_EVENT_SWITCHED = 1,
    /// A sentinel chose this replica as the next master.
    SWM_EVENT_CHOSEN = 2,
    /// A replica says that it is a master now.
    SWM_EVENT_PROMOTED = 3,
    /// The same, and the sentinels' answers do not prove that it is the one to follow.
    SWM_EVENT_NOT_PROVEN = 4,
    /// Commands wait from now on.
    SWM_EVENT_FENCE_RAISED = 5,
    /// Commands no longer wait.
    SWM_EVENT_FENCE_LIFTED = 6,
    /// The sentinels named the master that was switched to at its promotion.
    SWM_EVENT_CONFIRMED = 7,
    /// Commands ran on a master that may have been replaced already.
    SWM_EVENT_OVERRULED = 8,
    /// Fewer than a majority of the sentinels can be heard.
    SWM_EVENT_MAJORITY_LOST = 9,
    /// A majority can be heard again.
    SWM_EVENT_MAJORITY_REGAINED = 10,
    /// The link to a sentinel is up.
    SWM_EVENT_SENTINEL_UP = 11,
    /// The link to a sentinel ended.
    SWM_EVENT_SENTINEL_DOWN = 12,
    /// A sentinel that was not configured became known.
    SWM_EVENT_SENTINEL_FOUND = 13,
    /// A sentinel that had been found is no longer listed.
    SWM_EVENT_SENTINEL_FORGOTTEN = 14,
    /// Most sentinels cannot reach a node.
    SWM_EVENT_NODE_DOWN = 15,
    /// A node is reached again.
    SWM_EVENT_NODE_UP = 16,
    /// A node came back as another process.
    SWM_EVENT_NODE_RESTARTED = 17,
    /// A replica is read from, from now on.
    SWM_EVENT_REPLICA_JOINED = 18,
    /// A replica is no longer read from.
    SWM_EVENT_REPLICA_LEFT = 19,
    /// A sentinel began to replace the master.
    SWM_EVENT_FAILOVER_STARTED = 20,
    /// The sentinels gave a failover up.
    SWM_EVENT_FAILOVER_ABORTED = 21,
    /// No sentinel monitors the service any longer.
    SWM_EVENT_SERVICE_REMOVED = 22,
    /// One does again.
    SWM_EVENT_SERVICE_MONITORED = 23,
    /// Sentinels name different masters.
    SWM_EVENT_DISAGREEMENT = 24,
    /// The master that is named does not say that it is one.
    SWM_EVENT_NOT_VERIFIED = 25,
    /// A sentinel published something that cannot be read.
    SWM_EVENT_MALFORMED = 26,
    /// A handle has been out for longer than `leak_after`.
    SWM_EVENT_LEAKED = 27,
    /// Events were lost, because nobody took them.
    SWM_EVENT_MISSED = 28,
}

use swm_event_kind::*;

/// Something that happened.
///
/// Owner: whoever took it, with swm_factory_next_event, and frees it with swm_event_free. What its
/// accessors give lives as long as it does.
/// Threads: any, as many at once as you like.
pub struct swm_event {
    kind: swm_event_kind,
    name: CString,
    time_ms: i64,
    generation: u64,
    address: Option<CString>,
    previous: Option<CString>,
    text: CString,
    json: CString,
}

impl swm_event {
    fn of(event: &Event) -> swm_event {
        let (kind, generation, address, previous) = facts(event);
        let since = Instant::now().saturating_duration_since(event.at());
        let at = SystemTime::now().checked_sub(since).unwrap_or(UNIX_EPOCH);
        let time_ms = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        swm_event {
            kind,
            name: c_text(event.name()),
            time_ms: i64::try_from(time_ms).unwrap_or(i64::MAX),
            generation,
            address: address.map(|address| c_text(&address.to_string())),
            previous: previous.map(|address| c_text(&address.to_string())),
            text: c_text(&event.to_string()),
            json: c_text(&event.to_json().to_string()),
        }
    }
}

fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "?")).unwrap_or_default()
}

/// What C may ask an event for without reading its JSON: kind, generation, whom it is about, and who
/// was that before.
fn facts(event: &Event) -> (swm_event_kind, u64, Option<&Address>, Option<&Address>) {
    let of = |kind, address| (kind, 0, Some(address), None);
    let plain = |kind| (kind, 0, None, None);
    match event {
        Event::Switched { generation, from, to, .. } => {
            (SWM_EVENT_SWITCHED, *generation, Some(to), from.as_ref())
        }
        Event::Chosen { node, .. } => of(SWM_EVENT_CHOSEN, node),
        Event::Promoted { node, .. } => of(SWM_EVENT_PROMOTED, node),
        Event::NotProven { node, .. } => of(SWM_EVENT_NOT_PROVEN, node),
        Event::FenceRaised { .. } => plain(SWM_EVENT_FENCE_RAISED),
        Event::FenceLifted { .. } => plain(SWM_EVENT_FENCE_LIFTED),
        Event::Confirmed { generation, master, .. } => {
            (SWM_EVENT_CONFIRMED, *generation, Some(master), None)
        }
        Event::Overruled { generation, master, .. } => {
            (SWM_EVENT_OVERRULED, *generation, Some(master), None)
        }
        Event::MajorityLost { .. } => plain(SWM_EVENT_MAJORITY_LOST),
        Event::MajorityRegained { .. } => plain(SWM_EVENT_MAJORITY_REGAINED),
        Event::SentinelUp { sentinel, .. } => of(SWM_EVENT_SENTINEL_UP, sentinel),
        Event::SentinelDown { sentinel, .. } => of(SWM_EVENT_SENTINEL_DOWN, sentinel),
        Event::SentinelFound { sentinel, .. } => of(SWM_EVENT_SENTINEL_FOUND, sentinel),
        Event::SentinelForgotten { sentinel, .. } => of(SWM_EVENT_SENTINEL_FORGOTTEN, sentinel),
        Event::NodeDown { node, .. } => of(SWM_EVENT_NODE_DOWN, node),
        Event::NodeUp { node, .. } => of(SWM_EVENT_NODE_UP, node),
        Event::NodeRestarted { node, .. } => of(SWM_EVENT_NODE_RESTARTED, node),
        Event::ReplicaJoined { node, .. } => of(SWM_EVENT_REPLICA_JOINED, node),
        Event::ReplicaLeft { node, .. } => of(SWM_EVENT_REPLICA_LEFT, node),
        Event::FailoverStarted { .. } => plain(SWM_EVENT_FAILOVER_STARTED),
        Event::FailoverAborted { .. } => plain(SWM_EVENT_FAILOVER_ABORTED),
        Event::ServiceRemoved { .. } => plain(SWM_EVENT_SERVICE_REMOVED),
        Event::ServiceMonitored { .. } => plain(SWM_EVENT_SERVICE_MONITORED),
        Event::Disagreement { .. } => plain(SWM_EVENT_DISAGREEMENT),
        Event::NotVerified { address, .. } => of(SWM_EVENT_NOT_VERIFIED, address),
        Event::Malformed { .. } => plain(SWM_EVENT_MALFORMED),
        Event::Leaked { generation, .. } => (SWM_EVENT_LEAKED, *generation, None, None),
        Event::Missed { .. } => plain(SWM_EVENT_MISSED),
    }
}

/// The events of a factory on their way to C: none before somebody asks for them.
#[derive(Default)]
pub(super) struct Tidings {
    line: Mutex<Option<Arc<Line>>>,
}

struct Line {
    events: Receiver<Event>,
    bell: Arc<Bell>,
}

impl Tidings {
    fn line(&self, opened: &Opened) -> Result<Arc<Line>, Failure> {
        let mut line = self.line.lock();
        if let Some(line) = &*line {
            return Ok(line.clone());
        }
        opened.check_open()?;
        let bell = Arc::new(Bell::new().map_err(|error| {
            Failure::internal(format!("no pipe can be made for events: {error}"))
        })?);
        let rung = bell.clone();
        let events = opened.factory.events_with(move || rung.ring());
        Ok(line.insert(Arc::new(Line { events, bell })).clone())
    }

    /// Wakes who polls.
    pub(super) fn close(&self) {
        if let Some(line) = &*self.line.lock() {
            line.bell.ring();
        }
    }
}

/// A pipe that is readable while there is something to fetch.
struct Bell {
    reads: OwnedFd,
    writes: OwnedFd,
}

impl Bell {
    fn new() -> Result<Bell, Errno> {
        let (reads, writes) = Bell::pipe()?;
        Ok(Bell { reads, writes })
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
        use rustix::pipe::{PipeFlags, pipe_with};

        pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
        use rustix::{
            fs::{OFlags, fcntl_setfl},
            io::{FdFlags, fcntl_getfd, fcntl_setfd},
        };

        let (reads, writes) = rustix::pipe::pipe()?;
        for end in [&reads, &writes] {
            fcntl_setfl(end, OFlags::NONBLOCK)?;
            fcntl_setfd(end, fcntl_getfd(end)? | FdFlags::CLOEXEC)?;
        }
        Ok((reads, writes))
    }

    /// A pipe that is full is readable.
    fn ring(&self) {
        let _ = rustix::io::write(&self.writes, b"!");
    }

    fn silence(&self) {
        let mut bytes = [0u8; 64];
        while rustix::io::read(&self.reads, &mut bytes).is_ok_and(|read| read == bytes.len()) {}
    }
}

/// swm_factory_next_event takes the oldest event that was not taken. The factory keeps events from the
/// first call of this function or of swm_factory_event_fd on, up to 1024 of them: the oldest 256 and the
/// newest. Where some between were lost, an event of kind SWM_EVENT_MISSED says how many. Free the event with swm_event_free.
///
/// Blocks until there is one, at most for `timeout_ms` milliseconds; not at all with 0.
///
/// Errors: SWM_E_NOTHING when none came, SWM_E_CLOSED when there will be none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_next_event(
    factory: *const swm_factory,
    timeout_ms: u32,
    out: *mut *mut swm_event,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let opened = factory::find(factory)?;
            let line = opened.tidings.line(&opened)?;
            // Before the look: what comes after it rings again.
            line.bell.silence();
            let event = match line.events.recv_timeout(Duration::from_millis(timeout_ms.into())) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Failure::nothing(format!("no event within {timeout_ms} ms")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    line.bell.ring();
                    return Err(Error::new(ErrorKind::Closed, "the factory is closed").into());
                }
            };
            if !line.events.is_empty() {
                line.bell.ring();
            }
            out.set(Box::into_raw(Box::new(swm_event::of(&event))));
            Ok(())
        })
    }
}

/// swm_factory_event_fd tells a descriptor for poll(2), epoll(7) and the like. It is readable while there
/// is an event to be taken, and now and then when there is none, so call swm_factory_next_event with a
/// timeout of 0. Do not read from it and do not close it: it belongs to the factory, and is gone soon after
/// that is closed. Take it out of every poll loop before. Blocks never.
///
/// Errors: SWM_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_event_fd(
    factory: *const swm_factory,
    out: *mut c_int,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let opened = factory::find(factory)?;
            out.set(opened.tidings.line(&opened)?.bell.reads.as_raw_fd());
            Ok(())
        })
    }
}

/// What a pointer to an event leads to.
///
/// # Safety
/// `event` is NULL or an event that has not been freed.
unsafe fn look<'e>(event: *const swm_event) -> Option<&'e swm_event> {
    // SAFETY: as this function demands.
    unsafe { event.as_ref() }
}

/// swm_event_type tells what happened, a swm_event_kind; SWM_EVENT_OTHER of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_event_type(event: *const swm_event) -> c_int {
    // SAFETY: the caller vouches for it, as the header demands.
    unsafe { look(event) }.map_or(SWM_EVENT_OTHER, |event| event.kind) as c_int
}

/// swm_event_name gives the kind as a word, such as `switched`; NULL of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_event_name(event: *const swm_event) -> *const c_char {
    // SAFETY: the caller vouches for it, as the header demands.
    unsafe { look(event) }.map_or(ptr::null(), |event| event.name.as_ptr())
}

/// swm_event_time_ms tells when it happened, in milliseconds since 1970; 0 of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_event_time_ms(event: *const swm_event) -> i64 {
    // SAFETY: the caller vouches for it, as the header demands.
    unsafe { look(event) }.map_or(0, |event| event.time_ms)
}

/// swm_event_generation tells the generation that it is about: of a switch the new one. 0 where it is
/// about none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_event_generation(event: *const swm_event) -> u64 {
    // SAFETY: the caller vouches for it, as the header demands.
    unsafe { look(event) }.map_or(0, |event| event.generation)
}

/// swm_event_address gives the node or sentinel that it is about, `host:port`: of a switch the new
/// master. NULL where it is about none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_event_address(event: *const swm_event) -> *const c_char {
    // SAFETY: the caller vouches for it, as the header demands.
    let address = unsafe { look(event) }.and_then(|event| event.address.as_ref());
    address.map_or(ptr::null(), |address| address.as_ptr())
}

/// swm_event_previous gives the master before a switch, `host:port`; NULL where there was none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_event_previous(event: *const swm_event) -> *const c_char {
    // SAFETY: the caller vouches for it, as the header demands.
    let previous = unsafe { look(event) }.and_then(|event| event.previous.as_ref());
    previous.map_or(ptr::null(), |previous| previous.as_ptr())
}

/// swm_event_text gives a line for people; NULL of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_event_text(event: *const swm_event) -> *const c_char {
    // SAFETY: the caller vouches for it, as the header demands.
    unsafe { look(event) }.map_or(ptr::null(), |event| event.text.as_ptr())
}

/// swm_event_json gives everything that is known of it as one line of JSON, as `switchmaster watch
/// --json` prints it; NULL of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_event_json(event: *const swm_event) -> *const c_char {
    // SAFETY: the caller vouches for it, as the header demands.
    unsafe { look(event) }.map_or(ptr::null(), |event| event.json.as_ptr())
}

/// swm_event_free frees an event, once. NULL is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_event_free(event: *mut swm_event) {
    if !event.is_null() {
        // SAFETY: as the header demands it came from swm_factory_next_event, and is freed once.
        drop(unsafe { Box::from_raw(event) });
    }
}
