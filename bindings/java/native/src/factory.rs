//! Factories.

use std::{ffi::c_char, ptr};

use jni_sys::{JNIEnv, jbyteArray, jclass, jint, jlong};
use switchmaster::ffi::{
    swm_error, swm_factory, swm_factory_close, swm_factory_generation, swm_factory_get,
    swm_factory_get_from, swm_factory_master, swm_factory_open_options, swm_factory_refresh,
    swm_factory_stats, swm_factory_topology_json, swm_factory_wait_for_generation, swm_stats,
    swm_status, swm_string_free,
};

use crate::{
    arrays, error,
    guard::{PANICKED, guard},
    number,
};

/// The number of a new factory; 0 after a failure.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryOpen(
    _: *mut JNIEnv,
    _: jclass,
    options: jlong,
    err: jlong,
) -> jlong {
    guard(err, 0, || {
        let mut factory = ptr::null_mut();
        // SAFETY: Java owns what is at `err`.
        let status = unsafe { swm_factory_open_options(number(options), &mut factory, error(err)) };
        if status == swm_status::SWM_OK { factory as usize as jlong } else { 0 }
    })
}

/// The number of a handle; 0 after a failure.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryGet(
    _: *mut JNIEnv,
    _: jclass,
    factory: jlong,
    timeout_ms: jint,
    err: jlong,
) -> jlong {
    guard(err, 0, || {
        let mut handle = ptr::null_mut();
        let timeout_ms = u32::try_from(timeout_ms).unwrap_or(0);
        // SAFETY: Java owns what is at `err`.
        let status =
            unsafe { swm_factory_get(number(factory), timeout_ms, &mut handle, error(err)) };
        if status == swm_status::SWM_OK { handle as usize as jlong } else { 0 }
    })
}

/// The number of a handle; 0 after a failure.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryGetFrom(
    _: *mut JNIEnv,
    _: jclass,
    factory: jlong,
    from: jint,
    err: jlong,
) -> jlong {
    guard(err, 0, || {
        let mut handle = ptr::null_mut();
        // SAFETY: Java owns what is at `err`.
        let status =
            unsafe { swm_factory_get_from(number(factory), from, &mut handle, error(err)) };
        if status == swm_status::SWM_OK { handle as usize as jlong } else { 0 }
    })
}

/// The generation; -1 after a failure.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryGeneration(
    _: *mut JNIEnv,
    _: jclass,
    factory: jlong,
    err: jlong,
) -> jlong {
    guard(err, -1, || {
        let mut generation = 0;
        // SAFETY: Java owns what is at `err`.
        let status =
            unsafe { swm_factory_generation(number(factory), &mut generation, error(err)) };
        if status == swm_status::SWM_OK { generation as jlong } else { -1 }
    })
}

/// The generation that was waited for; -1 after a failure.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryWaitForGeneration(
    _: *mut JNIEnv,
    _: jclass,
    factory: jlong,
    after: jlong,
    timeout_ms: jint,
    err: jlong,
) -> jlong {
    guard(err, -1, || {
        let mut generation = 0;
        let (after, timeout_ms) = (after as u64, u32::try_from(timeout_ms).unwrap_or(0));
        let factory = number(factory);
        // SAFETY: Java owns what is at `err`.
        let status = unsafe {
            swm_factory_wait_for_generation(factory, after, timeout_ms, &mut generation, error(err))
        };
        if status == swm_status::SWM_OK { generation as jlong } else { -1 }
    })
}

/// What a function of C gives as a string, as an array; NULL after a failure.
fn told(
    env: *mut JNIEnv,
    factory: jlong,
    err: jlong,
    tell: unsafe extern "C" fn(*const swm_factory, *mut *mut c_char, *mut swm_error) -> swm_status,
) -> jbyteArray {
    let mut text = ptr::null_mut();
    // SAFETY: Java owns what is at `err`, `env` is this thread's, and the string is freed once, where
    // there is one.
    unsafe {
        if tell(number(factory), &mut text, error(err)) != swm_status::SWM_OK {
            return ptr::null_mut();
        }
        let array = arrays::from_c_string(env, text);
        swm_string_free(text);
        array
    }
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryMaster(
    env: *mut JNIEnv,
    _: jclass,
    factory: jlong,
    err: jlong,
) -> jbyteArray {
    guard(err, ptr::null_mut(), || told(env, factory, err, swm_factory_master))
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryTopology(
    env: *mut JNIEnv,
    _: jclass,
    factory: jlong,
    err: jlong,
) -> jbyteArray {
    guard(err, ptr::null_mut(), || told(env, factory, err, swm_factory_topology_json))
}

/// Fills in a `swm_stats`, as long as its first field says.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryStats(
    _: *mut JNIEnv,
    _: jclass,
    factory: jlong,
    stats: jlong,
    err: jlong,
) -> jint {
    guard(err, PANICKED, || {
        let stats: *mut swm_stats = number(stats);
        // SAFETY: Java owns what is at `stats` and at `err`.
        unsafe { swm_factory_stats(number(factory), stats, error(err)) as jint }
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryRefresh(
    _: *mut JNIEnv,
    _: jclass,
    factory: jlong,
    err: jlong,
) -> jint {
    guard(err, PANICKED, || {
        // SAFETY: Java owns what is at `err`.
        unsafe { swm_factory_refresh(number(factory), error(err)) as jint }
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryClose(
    _: *mut JNIEnv,
    _: jclass,
    factory: jlong,
) {
    guard(0, (), || {
        swm_factory_close(number(factory));
    })
}
