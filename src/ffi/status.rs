//! How calls end: `swm_status`, `swm_outcome`, `swm_error`.

use std::ffi::c_char;

use super::guard::Failure;
use crate::error::ErrorKind;

/// How a call ended: SWM_OK, or why it failed. The numbers never change their meaning, and a later
/// version may add some: treat one that you do not know as a failure.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum swm_status {
    /// It did what it was asked to do. An error reply of the server is a reply, so it is SWM_OK.
    SWM_OK = 0,
    /// A pointer is NULL that must not be.
    SWM_E_NULL = -1,
    /// An argument cannot be meant: text that is not UTF-8, a number out of range.
    SWM_E_ARGUMENT = -2,
    /// What was passed was closed, released or freed before, is of another type, or was never given
    /// out by this library.
    SWM_E_DEAD = -3,
    /// Another thread is using it.
    SWM_E_BUSY = -4,
    /// This process was forked from one that had a factory open; see swm_factory.
    SWM_E_FORKED = -5,
    /// A fault inside the library, which was contained. Please report it.
    SWM_E_PANIC = -6,
    /// Nothing came within the time given, or there is nothing to be had.
    SWM_E_NOTHING = -7,
    /// The URL cannot be read. The message quotes the part that is wrong, never a password.
    SWM_E_INVALID_URL = -20,
    /// An option's value is not allowed, or a command is such that it cannot be sent.
    SWM_E_INVALID_CONFIG = -21,
    /// No sentinel could be reached.
    SWM_E_NO_SENTINEL = -22,
    /// The sentinels answer, and none of them monitors a service of this name.
    SWM_E_UNKNOWN_SERVICE = -23,
    /// The server refused the password, or wants one.
    SWM_E_AUTHENTICATION = -24,
    /// The server's ACL does not let this user do what is needed.
    SWM_E_PERMISSION = -25,
    /// There is no master to talk to.
    SWM_E_NO_MASTER = -26,
    /// There is no replica that may be read from.
    SWM_E_NO_REPLICA = -27,
    /// No handle came free in time.
    SWM_E_POOL_TIMEOUT = -28,
    /// No reply came in time.
    SWM_E_COMMAND_TIMEOUT = -29,
    /// The master was replaced while the command was on its way, or before and the handle held state.
    SWM_E_SWITCHED = -30,
    /// The master is being replaced, and the command waited until its deadline.
    SWM_E_FENCED = -31,
    /// The connection broke, or could not be made.
    SWM_E_DISCONNECTED = -32,
    /// The server sent what is no RESP.
    SWM_E_PROTOCOL = -33,
    /// The server is not what it should be: a replica where a master was promised.
    SWM_E_WRONG_ROLE = -34,
    /// The handle's connection broke earlier, while it held state. Release it and take another.
    SWM_E_POISONED = -35,
    /// The factory is closed.
    SWM_E_CLOSED = -36,
    /// Something that should not be possible. Please report it.
    SWM_E_INTERNAL = -37,
}

/// What a failure says about the command: whether it may have run.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum swm_outcome {
    /// It was certainly not sent, so it may be sent again.
    SWM_NOT_SENT = 0,
    /// It may have run. Look before sending it again, unless it may run twice.
    SWM_UNKNOWN = 1,
    /// The server replied, and the reply could not be used.
    SWM_REPLIED = 2,
}

/// Why a call failed. It is the caller's, on the stack or wherever, and needs no preparation; every
/// call takes NULL in its place. It is written when a call fails, and not otherwise.
#[repr(C)]
pub struct swm_error {
    /// The status that the call returned.
    pub status: swm_status,
    /// Whether the command may have run.
    pub outcome: swm_outcome,
    /// The status as a word for logs and metrics, such as `command-timeout`; ends with a NUL.
    pub kind: [c_char; 24],
    /// One line for people, which says what to do; UTF-8, ends with a NUL, cut if it is longer.
    pub message: [c_char; 256],
}

impl swm_error {
    /// Writes a failure there, and returns its status.
    ///
    /// # Safety
    /// `err` is NULL or may be written to.
    #[cold]
    pub(super) unsafe fn write(err: *mut swm_error, failure: &Failure) -> swm_status {
        if !err.is_null() {
            let error = swm_error {
                status: failure.status,
                outcome: failure.outcome,
                kind: filled(failure.status.as_str()),
                message: filled(&failure.message),
            };
            // SAFETY: not NULL, and writable as this function demands.
            unsafe { err.write(error) };
        }
        failure.status
    }
}

/// Text in a field of fixed size, cut between characters, with its NUL.
fn filled<const N: usize>(text: &str) -> [c_char; N] {
    let mut field = [0; N];
    let fits =
        text.char_indices().map(|(at, char)| at + char.len_utf8()).take_while(|end| *end < N);
    let cut = fits.last().unwrap_or(0);
    for (to, from) in field.iter_mut().zip(text[..cut].bytes()) {
        // A line of a log, and the end of a C string.
        *to = if from == 0 { b'?' } else { from } as c_char;
    }
    field
}

impl swm_status {
    fn as_str(self) -> &'static str {
        match self {
            swm_status::SWM_OK => "ok",
            swm_status::SWM_E_NULL => "null",
            swm_status::SWM_E_ARGUMENT => "argument",
            swm_status::SWM_E_DEAD => "dead",
            swm_status::SWM_E_BUSY => "busy",
            swm_status::SWM_E_FORKED => "forked",
            swm_status::SWM_E_PANIC => "panic",
            swm_status::SWM_E_NOTHING => "nothing",
            swm_status::SWM_E_INVALID_URL => "invalid-url",
            swm_status::SWM_E_INVALID_CONFIG => "invalid-config",
            swm_status::SWM_E_NO_SENTINEL => "no-sentinel",
            swm_status::SWM_E_UNKNOWN_SERVICE => "unknown-service",
            swm_status::SWM_E_AUTHENTICATION => "authentication",
            swm_status::SWM_E_PERMISSION => "permission",
            swm_status::SWM_E_NO_MASTER => "no-master",
            swm_status::SWM_E_NO_REPLICA => "no-replica",
            swm_status::SWM_E_POOL_TIMEOUT => "pool-timeout",
            swm_status::SWM_E_COMMAND_TIMEOUT => "command-timeout",
            swm_status::SWM_E_SWITCHED => "switched",
            swm_status::SWM_E_FENCED => "fenced",
            swm_status::SWM_E_DISCONNECTED => "disconnected",
            swm_status::SWM_E_PROTOCOL => "protocol",
            swm_status::SWM_E_WRONG_ROLE => "wrong-role",
            swm_status::SWM_E_POISONED => "poisoned",
            swm_status::SWM_E_CLOSED => "closed",
            swm_status::SWM_E_INTERNAL => "internal",
        }
    }
}

impl From<ErrorKind> for swm_status {
    fn from(kind: ErrorKind) -> swm_status {
        match kind {
            ErrorKind::InvalidUrl => swm_status::SWM_E_INVALID_URL,
            ErrorKind::InvalidConfig => swm_status::SWM_E_INVALID_CONFIG,
            ErrorKind::NoSentinel => swm_status::SWM_E_NO_SENTINEL,
            ErrorKind::UnknownService => swm_status::SWM_E_UNKNOWN_SERVICE,
            ErrorKind::Authentication => swm_status::SWM_E_AUTHENTICATION,
            ErrorKind::Permission => swm_status::SWM_E_PERMISSION,
            ErrorKind::NoMaster => swm_status::SWM_E_NO_MASTER,
            ErrorKind::NoReplica => swm_status::SWM_E_NO_REPLICA,
            ErrorKind::PoolTimeout => swm_status::SWM_E_POOL_TIMEOUT,
            ErrorKind::CommandTimeout => swm_status::SWM_E_COMMAND_TIMEOUT,
            ErrorKind::Switched => swm_status::SWM_E_SWITCHED,
            ErrorKind::Fenced => swm_status::SWM_E_FENCED,
            ErrorKind::Disconnected => swm_status::SWM_E_DISCONNECTED,
            ErrorKind::Protocol => swm_status::SWM_E_PROTOCOL,
            ErrorKind::WrongRole => swm_status::SWM_E_WRONG_ROLE,
            ErrorKind::Poisoned => swm_status::SWM_E_POISONED,
            ErrorKind::Closed => swm_status::SWM_E_CLOSED,
            ErrorKind::Forked => swm_status::SWM_E_FORKED,
            ErrorKind::Internal => swm_status::SWM_E_INTERNAL,
        }
    }
}
