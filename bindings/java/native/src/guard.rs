//! No panic reaches Java: one that unwound into it would end the process.

use std::{
    any::Any,
    ffi::c_char,
    panic::{AssertUnwindSafe, catch_unwind},
};

use jni_sys::{jint, jlong};
use switchmaster::ffi::{swm_error, swm_outcome, swm_status};

/// The status of a native that panicked.
pub(crate) const PANICKED: jint = swm_status::SWM_E_PANIC as jint;

/// Runs what a native does. When that panics, `failed` is what Java gets, and the `swm_error` at `err`,
/// if there is one, says why.
#[inline]
pub(crate) fn guard<R>(err: jlong, failed: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        report(crate::error(err), &*payload);
        failed
    })
}

#[cold]
fn report(err: *mut swm_error, payload: &(dyn Any + Send)) {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    if !err.is_null() {
        let error = swm_error {
            status: swm_status::SWM_E_PANIC,
            outcome: swm_outcome::SWM_UNKNOWN,
            kind: filled("panic"),
            message: filled(&format!("a fault inside switchmaster: {text}")),
        };
        // SAFETY: not NULL, and Java owns it.
        unsafe { err.write(error) };
    }
}

/// Text in a field of fixed size, cut between characters, with its NUL.
fn filled<const N: usize>(text: &str) -> [c_char; N] {
    let mut field = [0; N];
    let fits = (0..N).rev().find(|&cut| text.is_char_boundary(cut)).unwrap_or(0);
    for (to, from) in field.iter_mut().zip(text.bytes().take(fits)) {
        *to = from as c_char;
    }
    field
}

#[cfg(test)]
mod tests {
    use std::{ffi::CStr, mem::MaybeUninit};

    use super::*;

    fn panicked(panic: impl FnOnce()) -> (jint, String) {
        let mut error = MaybeUninit::<swm_error>::uninit();
        let status = guard(error.as_mut_ptr() as usize as jlong, PANICKED, || {
            panic();
            0
        });
        // SAFETY: a panic fills it in, and every test panics.
        let error = unsafe { error.assume_init() };
        assert_eq!(error.status, swm_status::SWM_E_PANIC);
        assert_eq!(error.outcome, swm_outcome::SWM_UNKNOWN);
        // SAFETY: `filled` ends with a NUL.
        let message = unsafe { CStr::from_ptr(error.message.as_ptr()) };
        (status, message.to_str().expect("cut between characters").to_owned())
    }

    #[test]
    fn a_panic_ends_as_a_status_and_its_text() {
        let (status, message) = panicked(|| panic!("on {}", "purpose"));
        assert_eq!((status, message.as_str()), (-6, "a fault inside switchmaster: on purpose"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let (_, message) = panicked(|| panic!("{}", "é".repeat(300)));
        assert!(message.len() >= 254 && message.ends_with('é'), "{message}");
    }

    #[test]
    fn a_panic_that_nobody_wants_to_hear_of_is_one_nevertheless() {
        assert_eq!(guard(0, PANICKED, || panic!("quietly")), PANICKED);
        assert_eq!(guard(0, PANICKED, || 7), 7);
    }
}
