//! The natives of the Java class `io.switchmaster.Native`: each is a call of the C interface.
//!
//! What Java hands in is numbers, addresses of direct buffers, and arrays of bytes, which are copied. No
//! native calls into Java, keeps a reference, or attaches a thread, but for those of `credentials`, whose
//! threads are daemons; so a virtual machine that ends waits for nothing here. Failures go into the caller's `swm_error`, as in C, and a negative status or a 0
//! says so; Java makes the exception. Text is UTF-8 in arrays; what goes in ends with a NUL.
//!
//! The C interface lets no panic out and follows no number that is over. What it cannot know is
//! whether the addresses are good: the Java class is private to its package, and whoever calls it there
//! owns the buffer and holds on to it until the call is over.

#![allow(unsafe_code, reason = "this is where Java meets Rust; each block has its reason")]

mod arrays;
mod credentials;
mod events;
mod factory;
mod guard;
mod handle;
mod options;
#[cfg(target_os = "linux")]
mod poller;

use jni_sys::{JNIEnv, jbyteArray, jclass, jint, jlong, jobject};
use switchmaster::ffi::{swm_abi_version, swm_error, swm_version};

/// Where the caller keeps its `swm_error`.
fn error(address: jlong) -> *mut swm_error {
    address as usize as *mut swm_error
}

/// A number of the C interface, which is never followed.
fn number<T>(number: jlong) -> *mut T {
    number as usize as *mut T
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_abiVersion(_: *mut JNIEnv, _: jclass) -> jint {
    swm_abi_version()
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_errorSize(_: *mut JNIEnv, _: jclass) -> jint {
    size_of::<swm_error>() as jint
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_version(env: *mut JNIEnv, _: jclass) -> jbyteArray {
    // SAFETY: `env` is this thread's, as JNI promises, and the version is a C string that stays.
    unsafe { arrays::from_c_string(env, swm_version()) }
}

/// The address of a direct buffer.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_address(
    env: *mut JNIEnv,
    _: jclass,
    buffer: jobject,
) -> jlong {
    // SAFETY: `env` is this thread's, and the function exists since JNI 1.4.
    unsafe { ((**env).v1_4.GetDirectBufferAddress)(env, buffer) as usize as jlong }
}
