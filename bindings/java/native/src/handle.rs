//! Handles.

use std::{ffi::c_int, ptr};

use jni_sys::{JNIEnv, jbyteArray, jclass, jint, jlong, jobject};
use switchmaster::ffi::{
    swm_handle, swm_handle_exchange, swm_handle_fd, swm_handle_generation, swm_handle_is_clean,
    swm_handle_protocol, swm_handle_receive, swm_handle_receive_readiness, swm_handle_release,
    swm_handle_send, swm_handle_send_readiness, swm_readiness, swm_status,
};

use crate::{
    arrays, error,
    guard::{PANICKED, guard},
    number,
};

/// Sends commands that lie in a direct buffer, and tells how long their replies are, in bytes, or a
/// negative status. They are copied to `reply` when they fit; otherwise their address is: eight bytes,
/// good until the handle's next call.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleExchange(
    _: *mut JNIEnv,
    _: jclass,
    handle: jlong,
    request: jlong,
    request_len: jint,
    reply: jlong,
    capacity: jint,
    err: jlong,
) -> jlong {
    guard(err, PANICKED.into(), || {
        let mut replies = ptr::null();
        let mut len = 0;
        let request_len = usize::try_from(request_len).unwrap_or(0);
        // SAFETY: Java owns what is at `request` and at `err`, and holds on to both.
        let status = unsafe {
            let request = number::<u8>(request).cast_const().cast();
            let (replies, len) = (&mut replies, &mut len);
            swm_handle_exchange(number(handle), request, request_len, replies, len, error(err))
        };
        if status != swm_status::SWM_OK {
            return (status as jint).into();
        }
        let reply: *mut u8 = number(reply);
        // SAFETY: Java owns `capacity` bytes at `reply`, at least eight; the replies stay until the handle's
        // next call, and Java makes none before this one is over.
        unsafe {
            match usize::try_from(capacity).is_ok_and(|capacity| len <= capacity) {
                true => reply.copy_from_nonoverlapping(replies.cast(), len),
                false => reply.cast::<u64>().write_unaligned(replies as usize as u64),
            }
        }
        len as jlong
    })
}

/// Replies that fit no buffer, where they lie, as a direct buffer.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_view(
    env: *mut JNIEnv,
    _: jclass,
    address: jlong,
    len: jlong,
) -> jobject {
    guard(0, ptr::null_mut(), || {
        // SAFETY: the address is one that `handleExchange` gave, and Java looks at it only until the
        // handle's next call; `env` is this thread's, and the function exists since JNI 1.4.
        unsafe { ((**env).v1_4.NewDirectByteBuffer)(env, number(address), len) }
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleSend(
    env: *mut JNIEnv,
    _: jclass,
    handle: jlong,
    data: jbyteArray,
    from: jint,
    len: jint,
    err: jlong,
) -> jint {
    guard(err, PANICKED, || {
        // SAFETY: Java has checked that the array has these bytes, and owns what is at `err`; `env` is this
        // thread's.
        unsafe {
            arrays::with_bytes(env, data, from, len, |data, len| {
                swm_handle_send(number(handle), data, len, error(err)) as jint
            })
        }
    })
}

/// As `handleSend`, from a direct buffer.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleSendDirect(
    _: *mut JNIEnv,
    _: jclass,
    handle: jlong,
    data: jlong,
    len: jint,
    err: jlong,
) -> jint {
    guard(err, PANICKED, || {
        let len = usize::try_from(len).unwrap_or(0);
        let data = number::<u8>(data).cast_const().cast();
        // SAFETY: Java owns `len` bytes at `data`, and what is at `err`.
        unsafe { swm_handle_send(number(handle), data, len, error(err)) as jint }
    })
}

/// How many bytes came, or a negative status.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleReceive(
    env: *mut JNIEnv,
    _: jclass,
    handle: jlong,
    into: jbyteArray,
    from: jint,
    len: jint,
    err: jlong,
) -> jint {
    guard(err, PANICKED, || {
        let mut bytes = arrays::stack();
        let capacity = usize::try_from(len).unwrap_or(0).min(arrays::SHORT);
        let mut received = 0;
        // SAFETY: the stack has the capacity, and holds `received` bytes after a success; Java has checked
        // that the array has room for them, and owns what is at `err`; `env` is this thread's.
        unsafe {
            let buffer = bytes.as_mut_ptr().cast();
            let status =
                swm_handle_receive(number(handle), buffer, capacity, &mut received, error(err));
            if status != swm_status::SWM_OK {
                return status as jint;
            }
            arrays::fill(env, into, from, received as jint, bytes.as_ptr().cast());
        }
        received as jint
    })
}

/// As `handleReceive`, into a direct buffer.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleReceiveDirect(
    _: *mut JNIEnv,
    _: jclass,
    handle: jlong,
    into: jlong,
    len: jint,
    err: jlong,
) -> jint {
    guard(err, PANICKED, || {
        let capacity = usize::try_from(len).unwrap_or(0);
        let mut received = 0;
        let into = number::<u8>(into).cast();
        // SAFETY: Java owns `len` bytes at `into`, and what is at `err`.
        let status = unsafe {
            swm_handle_receive(number(handle), into, capacity, &mut received, error(err))
        };
        if status == swm_status::SWM_OK { received as jint } else { status as jint }
    })
}

/// Whether a send of so many bytes would wait: 0 or 1; or a negative status.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleSendWaits(
    _: *mut JNIEnv,
    _: jclass,
    handle: jlong,
    len: jint,
    err: jlong,
) -> jint {
    guard(err, PANICKED, || {
        let mut readiness: c_int = 0;
        let len = usize::try_from(len).unwrap_or(0);
        // SAFETY: Java owns what is at `err`.
        let status =
            unsafe { swm_handle_send_readiness(number(handle), len, &mut readiness, error(err)) };
        match status {
            swm_status::SWM_OK => jint::from(readiness != swm_readiness::SWM_READY as c_int),
            failed => failed as jint,
        }
    })
}

/// What a receive would wait for: 0 for nothing, 1 for what no descriptor tells; above that, at most
/// one millisecond less than so many, for the descriptor. Or a negative status.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleReceiveWaits(
    _: *mut JNIEnv,
    _: jclass,
    handle: jlong,
    err: jlong,
) -> jlong {
    guard(err, PANICKED.into(), || {
        let mut readiness: c_int = 0;
        let mut timeout_ms = 0;
        // SAFETY: Java owns what is at `err`.
        let status = unsafe {
            let timeout_ms = &mut timeout_ms;
            swm_handle_receive_readiness(number(handle), &mut readiness, timeout_ms, error(err))
        };
        match status {
            swm_status::SWM_OK if readiness == swm_readiness::SWM_READY as c_int => 0,
            swm_status::SWM_OK if readiness == swm_readiness::SWM_WAITS_ELSEWHERE as c_int => 1,
            swm_status::SWM_OK => {
                let timeout_ms = jlong::try_from(timeout_ms).unwrap_or(jlong::MAX);
                timeout_ms.saturating_add(1).max(2)
            }
            failed => (failed as jint).into(),
        }
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleDescriptor(
    _: *mut JNIEnv,
    _: jclass,
    handle: jlong,
) -> jint {
    guard(0, -1, || swm_handle_fd(number::<swm_handle>(handle)))
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleGeneration(
    _: *mut JNIEnv,
    _: jclass,
    handle: jlong,
) -> jlong {
    guard(0, 0, || swm_handle_generation(number::<swm_handle>(handle)) as jlong)
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleProtocol(
    _: *mut JNIEnv,
    _: jclass,
    handle: jlong,
) -> jint {
    guard(0, 0, || swm_handle_protocol(number::<swm_handle>(handle)))
}

/// 1 when whoever uses the handle next finds nothing of what was done on it.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleIsClean(
    _: *mut JNIEnv,
    _: jclass,
    handle: jlong,
) -> jint {
    guard(0, 0, || swm_handle_is_clean(number(handle)))
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_handleRelease(
    _: *mut JNIEnv,
    _: jclass,
    handle: jlong,
) {
    guard(0, (), || {
        swm_handle_release(number(handle));
    })
}
