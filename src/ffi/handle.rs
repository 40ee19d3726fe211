//! `swm_handle`: one connection that is taken, and the commands on it.

use std::{
    ffi::{CStr, c_char, c_int},
    mem,
    os::fd::IntoRawFd,
    time::Duration,
};

use super::{
    block::Block,
    corner,
    guard::{self, Failure},
    id::Kind,
    reply::{self, Batch, swm_reply},
    slots::{Slots, Spare},
    status::{swm_error, swm_status},
};
use crate::{
    config::Protocol,
    connection::{RawReplies, Readiness, encode},
    pool::Handle,
};

/// One connection to the master, or to a replica, that was taken from a factory.
///
/// Owner: whoever took it, and gives it back with swm_handle_release. What it is about to do when the
/// master is replaced is said at swm_handle_command_argv.
/// Threads: any, one at a time; a second one at the same time gets SWM_E_BUSY.
pub struct swm_handle {
    _private: [u8; 0],
}

/// What a handle's slot holds, memory that is used again included.
// What a checkout touches lies first, beside the slot's word.
#[derive(Default)]
#[repr(C)]
struct Held {
    handle: Option<Handle>,
    /// Whether there is anything in the rest.
    used: bool,
    /// Whether somebody has a duplicate of its descriptor, and may have set what both share.
    lent: bool,
    /// Commands on their way out.
    request: Vec<u8>,
    /// Commands of a pipeline that have not been sent.
    appended: Vec<u8>,
    /// The replies to those that have.
    batch: Batch,
    /// The replies to the last `exchange`.
    raw: RawReplies,
}

/// Memory for requests up to this is kept.
const KEPT: usize = 64 << 10;

static ALL: Slots<Held> = Slots::of(Kind::Handle);

/// Gives a handle a number.
#[inline]
pub(super) fn give_out(handle: Handle, spare: &Spare) -> Result<*mut swm_handle, Failure> {
    ALL.add(spare, |held| held.handle = Some(handle))
}

/// Takes back what a thread kept that ends.
pub(super) fn put_back(spare: &Spare) {
    ALL.put_back(spare);
}

impl Held {
    fn handle(&mut self) -> Result<&mut Handle, Failure> {
        self.handle.as_mut().ok_or_else(|| Failure::internal("a handle that was found is gone"))
    }

    /// Pipelines and single commands do not mix: the next reply to be taken is the pipeline's.
    fn check_no_pipeline(&self) -> Result<(), Failure> {
        if self.appended.is_empty() && self.batch.is_empty() {
            return Ok(());
        }
        Err(Failure::argument(
            "commands were appended and not all of their replies were taken; take them first, by \
             swm_handle_get_reply",
        ))
    }

    /// Takes the handle, and empties what commands have left.
    #[inline]
    fn end(&mut self) -> Option<Handle> {
        if self.used {
            self.empty();
        }
        self.handle.take()
    }

    /// Keeps memory that is worth keeping.
    fn empty(&mut self) {
        self.used = false;
        if mem::take(&mut self.lent)
            && let Some(handle) = &mut self.handle
        {
            handle.reclaim();
        }
        self.appended.clear();
        self.batch.clear();
        for memory in [&mut self.request, &mut self.appended] {
            if memory.capacity() > KEPT {
                *memory = Vec::new();
            }
        }
        self.raw.clear();
    }
}

/// Appends a command as RESP.
///
/// # Safety
/// `argv` has `argc` pointers, each to `argvlen[i]` bytes, or to a C string where that is NULL.
#[inline]
unsafe fn pack(
    into: &mut Vec<u8>,
    argc: usize,
    argv: *const *const c_char,
    argvlen: *const usize,
) -> Result<(), Failure> {
    if argc == 0 {
        return Err(Failure::argument("argc is 0, and a command has at least its name"));
    }
    if argv.is_null() {
        return Err(Failure::null("argv"));
    }
    if argc > i32::MAX as usize {
        return Err(Failure::argument(format!("argc is {argc}, more than a server takes")));
    }
    encode::begin(into, argc);
    for index in 0..argc {
        // SAFETY: there are `argc` of them, as this function demands.
        let arg = unsafe { *argv.add(index) };
        let arg = if argvlen.is_null() {
            if arg.is_null() {
                return Err(Failure::null(&format!("argv[{index}]")));
            }
            // SAFETY: not NULL, and ended by a NUL as this function demands.
            unsafe { CStr::from_ptr(arg) }.to_bytes()
        } else {
            // SAFETY: there are `argc` lengths and as many bytes as they say, as demanded.
            unsafe { guard::bytes("an argument", arg, *argvlen.add(index)) }
                .map_err(|failure| failure.about(&format!("argv[{index}]")))?
        };
        encode::word(into, arg);
    }
    encode::end(into);
    Ok(())
}

/// swm_handle_command_argv sends one command and waits for its reply. `argv` are its words, the command's
/// name first, `argvlen` their lengths in bytes; where `argvlen` is NULL, they are C strings. Free the
/// reply with swm_reply_free. An error reply of the server is a reply, of type SWM_REPLY_ERROR.
///
/// Blocks at most for `command_timeout` (2 s unless set), the wait behind the fence included; a blocking
/// command such as BLPOP for its own timeout on top of that, and without end where that is 0. When the
/// handle has to move to another connection, it may wait for that one for `get_timeout` first.
///
/// When the master was replaced, the command goes to the new one, without an error, unless the handle
/// held state that is lost: an open MULTI, a WATCH, another database, and the like. A command that was
/// on its way fails with SWM_E_SWITCHED and SWM_UNKNOWN.
///
/// Errors: SWM_E_COMMAND_TIMEOUT, SWM_E_SWITCHED, SWM_E_FENCED, SWM_E_DISCONNECTED, SWM_E_PROTOCOL,
/// SWM_E_POISONED, SWM_E_CLOSED, those of swm_factory_get when the handle has to move, and
/// SWM_E_INVALID_CONFIG for commands whose replies cannot be told apart (CLIENT REPLY, and MONITOR, which
/// swm_handle_send takes).
/// After an error the handle may be used again, except for SWM_E_POISONED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_handle_command_argv(
    handle: *mut swm_handle,
    argc: usize,
    argv: *const *const c_char,
    argvlen: *const usize,
    out: *mut *mut swm_reply,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let mut held = ALL.get(handle)?;
            let held = held.get();
            held.check_no_pipeline()?;
            held.used = true;
            held.request.clear();
            pack(&mut held.request, argc, argv, argvlen)?;
            let mut block = Block::take();
            let Held { handle: Some(handle), request, .. } = held else {
                return Err(Failure::internal("a handle that was found is gone"));
            };
            handle.exchange_one(request, block.raw())?;
            out.set(reply::single(block)?);
            Ok(())
        })
    }
}

/// swm_handle_append_argv adds a command to the handle's pipeline. Nothing is sent before
/// swm_handle_get_reply is called. Blocks never. See swm_handle_command_argv for `argv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_handle_append_argv(
    handle: *mut swm_handle,
    argc: usize,
    argv: *const *const c_char,
    argvlen: *const usize,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let mut held = ALL.get(handle)?;
            let held = held.get();
            held.used = true;
            let appended = &mut held.appended;
            let before = appended.len();
            let encoded = pack(appended, argc, argv, argvlen);
            if encoded.is_err() {
                appended.truncate(before);
            }
            encoded
        })
    }
}

/// swm_handle_get_reply takes the next reply of the handle's pipeline. The first call after
/// swm_handle_append_argv sends all commands that were appended and reads all their replies; the others
/// find theirs there. Free each with swm_reply_free.
///
/// Blocks as swm_handle_command_argv does, for all commands together. They go to one connection, so to
/// one master; a failure is that of all of them, and none of their replies can be had.
///
/// Errors: SWM_E_NOTHING when no reply is to come, and those of swm_handle_command_argv.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_handle_get_reply(
    handle: *mut swm_handle,
    out: *mut *mut swm_reply,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let mut held = ALL.get(handle)?;
            let held = held.get();
            if held.batch.is_empty() {
                if held.appended.is_empty() {
                    return Err(Failure::nothing(
                        "no reply is to come: append a command first, by swm_handle_append_argv",
                    ));
                }
                let mut block = Block::take();
                let appended = mem::take(&mut held.appended);
                let exchanged = held.handle()?.exchange(&appended, block.raw());
                // What failed is not sent again.
                held.appended = appended;
                held.appended.clear();
                exchanged?;
                held.batch = reply::several(block)?;
            }
            let next = held.batch.next();
            out.set(next.ok_or_else(|| Failure::internal("a pipeline without replies"))?);
            Ok(())
        })
    }
}

/// swm_handle_exchange sends commands that are RESP already and gives their replies as RESP, for whoever
/// has a codec. `*reply` and `*reply_len` are the replies, one behind the other, as many as there were
/// commands; they are the handle's memory, and stay until its next call.
///
/// Blocks and fails as swm_handle_command_argv does, for all commands together.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_handle_exchange(
    handle: *mut swm_handle,
    request: *const c_char,
    request_len: usize,
    reply: *mut *const c_char,
    reply_len: *mut usize,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let (reply, reply_len) =
                (guard::result("reply", reply)?, guard::result("reply_len", reply_len)?);
            let request = guard::bytes("request", request, request_len)?;
            if request.is_empty() {
                return Err(Failure::argument("request_len is 0: there is no command to send"));
            }
            let mut held = ALL.get(handle)?;
            let held = held.get();
            held.check_no_pipeline()?;
            held.used = true;
            let Held { handle: Some(handle), raw, .. } = held else {
                return Err(Failure::internal("a handle that was found is gone"));
            };
            handle.exchange(request, raw)?;
            reply.set(raw.bytes().as_ptr().cast());
            reply_len.set(raw.bytes().len());
            Ok(())
        })
    }
}

/// swm_handle_send sends a part of a stream of commands (RESP), in pieces of any size: for a client that
/// has a codec and buffers of its own and wants a socket. swm_handle_receive gives what comes back.
///
/// Each call passes the gate, and waits behind the fence, as swm_handle_command_argv does. The handle
/// moves to the next master while nothing is under way on it: every command was sent whole, and every
/// reply received. Calls for whole commands are refused while something is.
///
/// MONITOR works only here: swm_handle_receive returns its reports until the connection ends, as at a
/// switch. The handle refuses whole commands from then on.
///
/// Blocks until everything is sent, at most for `command_timeout`, and for `get_timeout` before that
/// when the handle has to move.
///
/// Errors: those of swm_handle_command_argv. The outcome is that of all commands that are under way, and
/// none is any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_handle_send(
    handle: *mut swm_handle,
    data: *const c_char,
    len: usize,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let data = guard::bytes("data", data, len)?;
            let mut held = ALL.get(handle)?;
            let held = held.get();
            held.check_no_pipeline()?;
            held.handle()?.send(data)?;
            Ok(())
        })
    }
}

/// swm_handle_receive receives a part of the stream of replies: at least a byte, at most `capacity`, and
/// tells in `*received` how many.
///
/// Blocks for as long as what is under way may take: `command_timeout` from the last part that was sent,
/// and the timeouts of blocking commands on top; without end where such a one is 0, or the connection is
/// subscribed or monitors and nothing is under way. A switch ends it at once.
///
/// Errors: as of swm_handle_send, and SWM_E_INVALID_CONFIG when no reply is to come.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_handle_receive(
    handle: *mut swm_handle,
    buffer: *mut c_char,
    capacity: usize,
    received: *mut usize,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let received = guard::result("received", received)?;
            let buffer = guard::buffer("buffer", buffer, capacity)?;
            let mut held = ALL.get(handle)?;
            received.set(held.get().handle()?.receive(buffer)?);
            Ok(())
        })
    }
}

/// What swm_handle_send or swm_handle_receive would wait for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum swm_readiness {
    /// Nothing: the call returns at once, with its result or an error.
    SWM_READY = 0,
    /// Bytes: until the descriptor of the handle (swm_handle_fd) is readable.
    SWM_WAITS_FOR_DESCRIPTOR = 1,
    /// The fence, another connection, or room for what is to be sent. No descriptor tells when that is
    /// over; make the call where it may block.
    SWM_WAITS_ELSEWHERE = 2,
}

/// swm_handle_send_readiness tells what swm_handle_send would wait for with `len` bytes, a
/// swm_readiness, for callers that must not wait there, as in an event loop. Never
/// SWM_WAITS_FOR_DESCRIPTOR. Now and then, a fence goes up between this call and that one. Blocks never.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_handle_send_readiness(
    handle: *mut swm_handle,
    len: usize,
    readiness: *mut c_int,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("readiness", readiness)?;
            if len > isize::MAX as usize {
                return Err(Failure::argument(format!("len: no memory is {len} bytes long")));
            }
            let mut held = ALL.get(handle)?;
            let (readiness, _) = told(held.get().handle()?.readiness_to_send(len));
            out.set(readiness as c_int);
            Ok(())
        })
    }
}

/// swm_handle_receive_readiness tells what swm_handle_receive would wait for, a swm_readiness. With
/// SWM_WAITS_FOR_DESCRIPTOR, `*timeout_ms` is how long it would wait at most: call it then in any case,
/// and it says that the time is over. UINT64_MAX is without end. Blocks never.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_handle_receive_readiness(
    handle: *mut swm_handle,
    readiness: *mut c_int,
    timeout_ms: *mut u64,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("readiness", readiness)?;
            let timeout_out = guard::result("timeout_ms", timeout_ms)?;
            let mut held = ALL.get(handle)?;
            let (readiness, timeout_ms) = told(held.get().handle()?.readiness_to_receive());
            out.set(readiness as c_int);
            timeout_out.set(timeout_ms);
            Ok(())
        })
    }
}

/// As C is told, the time rounded up so that it is over then.
fn told(readiness: Readiness) -> (swm_readiness, u64) {
    match readiness {
        Readiness::Ready => (swm_readiness::SWM_READY, 0),
        Readiness::Descriptor(left) => {
            let millis = |left: Duration| {
                u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
            };
            (swm_readiness::SWM_WAITS_FOR_DESCRIPTOR, left.map_or(u64::MAX, millis))
        }
        Readiness::Elsewhere => (swm_readiness::SWM_WAITS_ELSEWHERE, 0),
    }
}

/// swm_handle_hiredis_fd gives a duplicate of the descriptor of the handle's connection, for a
/// redisContext; `switchmaster_hiredis.h` has the rest. It is the caller's to close, and good for
/// poll(2): what is read from or written to it passes no gate. -1 when `handle` is none, or no connection
/// can be had.
///
/// Blocks only where the handle's last connection broke, and it has to take another: at most for
/// `get_timeout`.
#[unsafe(no_mangle)]
pub extern "C" fn swm_handle_hiredis_fd(handle: *mut swm_handle) -> c_int {
    guard::peek(-1, || {
        let mut held = ALL.get(handle)?;
        let held = held.get();
        (held.used, held.lent) = (true, true);
        let duplicate = held.handle()?.duplicate()?;
        Ok(duplicate.into_raw_fd())
    })
}

/// swm_handle_generation tells the generation that the handle's connection belongs to; 0 when it has
/// none at the moment, is in use by another thread, or `handle` is none.
#[unsafe(no_mangle)]
pub extern "C" fn swm_handle_generation(handle: *const swm_handle) -> u64 {
    guard::peek(0, || Ok(ALL.get(handle)?.get().handle()?.generation()))
}

/// swm_handle_fd tells the descriptor of the handle's connection, to look at and not to touch; -1 when
/// it has none at the moment, is in use by another thread, or `handle` is none. It changes when the
/// handle moves.
#[unsafe(no_mangle)]
pub extern "C" fn swm_handle_fd(handle: *const swm_handle) -> c_int {
    guard::peek(-1, || Ok(ALL.get(handle)?.get().handle()?.descriptor().unwrap_or(-1)))
}

/// swm_handle_protocol returns the version of the protocol that the handle's connection speaks: 2 or 3. It
/// is 2 when the server refused RESP3, even with the option `protocol=3`, and may change when the handle
/// moves. Returns 0 when the handle has no connection at the moment, is in use by another thread, or
/// `handle` is none. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn swm_handle_protocol(handle: *const swm_handle) -> c_int {
    guard::peek(0, || {
        Ok(match ALL.get(handle)?.get().handle()?.protocol() {
            Some(Protocol::Resp2) => 2,
            Some(Protocol::Resp3) => 3,
            None => 0,
        })
    })
}

/// swm_handle_is_clean tells whether whoever uses the handle next finds nothing of what was done on it: 1
/// when its connection holds no state (a transaction, another database, a subscription), nothing is under
/// way, and every reply of a pipeline was taken; 0 when not, and when `handle` is none or in use. For a
/// pool of handles above this one: what is not clean is to be released.
#[unsafe(no_mangle)]
pub extern "C" fn swm_handle_is_clean(handle: *mut swm_handle) -> c_int {
    guard::peek(0, || {
        let mut held = ALL.get(handle)?;
        let held = held.get();
        let taken = held.check_no_pipeline().is_ok() && !held.lent;
        Ok(c_int::from(taken && held.handle()?.is_clean()))
    })
}

/// swm_handle_release gives the handle back to its factory. Replies stay. Replies of a pipeline that were
/// not taken are dropped. NULL, a handle that was released, and one that another thread is using, are
/// left alone. Blocks never.
#[unsafe(no_mangle)]
pub extern "C" fn swm_handle_release(handle: *mut swm_handle) {
    guard::peek((), || {
        corner::with(|corner| ALL.remove(handle, &corner.spare, Held::end)).map(drop)
    });
}
