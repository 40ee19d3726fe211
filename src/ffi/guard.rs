//! The border itself: no panic leaves, no bad pointer enters, and every failure is told in one way.

use std::{
    any::Any,
    borrow::Cow,
    ffi::{CStr, c_char},
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
};

use super::{
    fork,
    status::{swm_error, swm_outcome, swm_status},
};
use crate::error::{Error, Outcome};

/// Why a call failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: swm_status,
    pub(super) outcome: swm_outcome,
    pub(super) message: Cow<'static, str>,
}

impl Failure {
    fn new(status: swm_status, message: impl Into<Cow<'static, str>>) -> Failure {
        Failure { status, outcome: swm_outcome::SWM_NOT_SENT, message: message.into() }
    }

    /// A pointer that must not be NULL.
    #[cold]
    pub(super) fn null(what: &str) -> Failure {
        Failure::new(swm_status::SWM_E_NULL, format!("{what} is NULL"))
    }

    /// An argument that cannot be meant.
    pub(super) fn argument(message: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(swm_status::SWM_E_ARGUMENT, message)
    }

    pub(super) fn dead(message: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(swm_status::SWM_E_DEAD, message)
    }

    pub(super) fn busy(message: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(swm_status::SWM_E_BUSY, message)
    }

    /// Nothing came in time.
    pub(super) fn nothing(message: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(swm_status::SWM_E_NOTHING, message)
    }

    pub(super) fn internal(message: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(swm_status::SWM_E_INTERNAL, message)
    }

    #[cold]
    pub(super) fn forked() -> Failure {
        Failure::new(
            swm_status::SWM_E_FORKED,
            "this process was forked while its parent had a factory open, and has none of the \
             factory's threads; open factories after the fork, or exec",
        )
    }

    /// The same, about an argument by its name.
    pub(super) fn about(mut self, what: &str) -> Failure {
        self.message = self.message.replacen("an argument", what, 1).into();
        self
    }

    #[cold]
    fn panicked(payload: &(dyn Any + Send)) -> Failure {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no text");
        Failure {
            outcome: swm_outcome::SWM_UNKNOWN,
            ..Failure::new(swm_status::SWM_E_PANIC, format!("a fault inside switchmaster: {text}"))
        }
    }
}

impl From<Error> for Failure {
    #[cold]
    fn from(error: Error) -> Failure {
        Failure {
            status: error.kind().into(),
            outcome: match error.outcome() {
                Outcome::NotSent => swm_outcome::SWM_NOT_SENT,
                Outcome::Unknown => swm_outcome::SWM_UNKNOWN,
                Outcome::Replied => swm_outcome::SWM_REPLIED,
            },
            message: error.to_string().into(),
        }
    }
}

/// Runs what an exported function does, and reports how it ended.
///
/// # Safety
/// `err` is NULL or a `swm_error` that may be written to.
#[inline]
pub(super) unsafe fn guard(
    err: *mut swm_error,
    body: impl FnOnce() -> Result<(), Failure>,
) -> swm_status {
    let done = fork::check().and_then(|()| {
        catch_unwind(AssertUnwindSafe(body))
            .unwrap_or_else(|payload| Err(Failure::panicked(&*payload)))
    });
    match done {
        Ok(()) => swm_status::SWM_OK,
        // SAFETY: as this function demands.
        Err(failure) => unsafe { swm_error::write(err, &failure) },
    }
}

/// Runs an accessor, which has nowhere to report to: `otherwise` is what it returns for a failure.
#[inline]
pub(super) fn peek<R>(otherwise: R, body: impl FnOnce() -> Result<R, Failure>) -> R {
    let done = fork::check().and_then(|()| {
        catch_unwind(AssertUnwindSafe(body))
            .unwrap_or_else(|payload| Err(Failure::panicked(&*payload)))
    });
    done.unwrap_or(otherwise)
}

/// Where a result goes.
///
/// # Safety
/// `out` is NULL or may be written to.
#[inline]
pub(super) unsafe fn result<'o, T>(what: &str, out: *mut T) -> Result<Out<'o, T>, Failure> {
    if out.is_null() {
        return Err(Failure::null(what));
    }
    Ok(Out(out, std::marker::PhantomData))
}

/// A place that is not NULL and may hold nothing yet.
pub(super) struct Out<'o, T>(*mut T, std::marker::PhantomData<&'o mut T>);

impl<T> Out<'_, T> {
    #[inline]
    pub(super) fn set(self, value: T) {
        // SAFETY: not NULL, and writable as `result` demands. Nothing is dropped by writing.
        unsafe { self.0.write(value) }
    }
}

/// A C string as text.
///
/// # Safety
/// `text` is NULL or ends with a NUL, and stays as it is while the result is used.
pub(super) unsafe fn text<'t>(what: &str, text: *const c_char) -> Result<&'t str, Failure> {
    if text.is_null() {
        return Err(Failure::null(what));
    }
    // SAFETY: not NULL, and ended by a NUL as this function demands.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Failure::argument(format!("{what} is not UTF-8")))
}

/// Bytes of the caller's. Empty ones may be NULL.
///
/// # Safety
/// `data` is NULL or has `len` bytes, which stay as they are while the result is used.
#[inline]
pub(super) unsafe fn bytes<'b>(
    what: &str,
    data: *const c_char,
    len: usize,
) -> Result<&'b [u8], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Failure::null(what));
    }
    if len > isize::MAX as usize {
        return Err(Failure::argument(format!("{what}: no memory is {len} bytes long")));
    }
    // SAFETY: not NULL, no longer than memory can be, and readable as this function demands.
    Ok(unsafe { slice::from_raw_parts(data.cast::<u8>(), len) })
}

/// Memory of the caller's to be filled.
///
/// # Safety
/// `data` is NULL or has `len` bytes, which nobody else touches while the result is used.
#[inline]
pub(super) unsafe fn buffer<'b>(
    what: &str,
    data: *mut c_char,
    len: usize,
) -> Result<&'b mut [u8], Failure> {
    if data.is_null() {
        return Err(Failure::null(what));
    }
    if len == 0 || len > isize::MAX as usize {
        return Err(Failure::argument(format!("{what} has room for {len} bytes")));
    }
    // SAFETY: not NULL, no longer than memory can be, and writable as this function demands. Its bytes
    // may hold nothing yet, and are written before they are read.
    Ok(unsafe { slice::from_raw_parts_mut(data.cast::<u8>(), len) })
}
