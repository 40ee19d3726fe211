//! Arrays of bytes, copied in and out.

use std::{
    ffi::{CStr, c_char},
    mem::MaybeUninit,
    ptr,
};

use jni_sys::{JNIEnv, jbyteArray, jint};

/// What is no longer than this is copied through the stack.
pub(crate) const SHORT: usize = 16 << 10;

/// Bytes on the stack that hold nothing yet.
pub(crate) type Stack = [MaybeUninit<u8>; SHORT];

pub(crate) const fn stack() -> Stack {
    [const { MaybeUninit::uninit() }; SHORT]
}

/// Runs something on a copy of a part of an array.
///
/// # Safety
/// `env` is this thread's, and `array` has `len` bytes from `from` on.
pub(crate) unsafe fn with_bytes<R>(
    env: *mut JNIEnv,
    array: jbyteArray,
    from: jint,
    len: jint,
    body: impl FnOnce(*const c_char, usize) -> R,
) -> R {
    let size = usize::try_from(len).unwrap_or(0);
    let mut short;
    let mut long;
    let copy: *mut u8 = if size <= SHORT {
        short = stack();
        short.as_mut_ptr().cast()
    } else {
        long = Vec::<u8>::with_capacity(size);
        long.as_mut_ptr()
    };
    // SAFETY: the copy has room for `size` bytes, the array has them as this function demands, and the
    // function exists since JNI 1.1.
    unsafe { ((**env).v1_1.GetByteArrayRegion)(env, array, from, len, copy.cast()) };
    body(copy.cast_const().cast(), size)
}

/// Copies bytes into an array.
///
/// # Safety
/// `env` is this thread's, `array` has `len` bytes from `from` on, and so has `bytes`.
pub(crate) unsafe fn fill(
    env: *mut JNIEnv,
    array: jbyteArray,
    from: jint,
    len: jint,
    bytes: *const u8,
) {
    // SAFETY: as this function demands; the function exists since JNI 1.1.
    unsafe { ((**env).v1_1.SetByteArrayRegion)(env, array, from, len, bytes.cast()) }
}

/// A whole array as text that ends with a NUL.
///
/// # Safety
/// `env` is this thread's; `array` is one, or NULL.
pub(crate) unsafe fn text(env: *mut JNIEnv, array: jbyteArray) -> Option<Vec<u8>> {
    if array.is_null() {
        return None;
    }
    // SAFETY: an array, as this function demands.
    let len = unsafe { ((**env).v1_1.GetArrayLength)(env, array) };
    let size = usize::try_from(len).unwrap_or(0);
    let mut bytes = vec![0; size + 1];
    // SAFETY: the vector has room for all that the array has.
    unsafe { ((**env).v1_1.GetByteArrayRegion)(env, array, 0, len, bytes.as_mut_ptr().cast()) };
    Some(bytes)
}

/// The pointer to such a text, or NULL.
pub(crate) fn pointer(text: &Option<Vec<u8>>) -> *const c_char {
    text.as_ref().map_or(ptr::null(), |text| text.as_ptr().cast())
}

/// A new array; NULL, with Java's own exception pending, when there is no memory for it.
///
/// # Safety
/// `env` is this thread's.
pub(crate) unsafe fn array(env: *mut JNIEnv, bytes: &[u8]) -> jbyteArray {
    let len = jint::try_from(bytes.len()).unwrap_or(jint::MAX);
    // SAFETY: `env` is this thread's; the function exists since JNI 1.1.
    let array = unsafe { ((**env).v1_1.NewByteArray)(env, len) };
    if !array.is_null() {
        // SAFETY: the array was made with that length, which `bytes` has.
        unsafe { fill(env, array, 0, len, bytes.as_ptr()) };
    }
    array
}

/// A C string as a new array; NULL for NULL.
///
/// # Safety
/// `env` is this thread's; `text` is NULL or ends with a NUL.
pub(crate) unsafe fn from_c_string(env: *mut JNIEnv, text: *const c_char) -> jbyteArray {
    if text.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: not NULL, and ended by a NUL as this function demands.
    unsafe { array(env, CStr::from_ptr(text).to_bytes()) }
}
