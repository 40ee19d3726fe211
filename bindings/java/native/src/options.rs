//! Options.

use std::ptr;

use jni_sys::{JNIEnv, jbyteArray, jclass, jint, jlong};
use switchmaster::ffi::{
    swm_options, swm_options_free, swm_options_get, swm_options_new, swm_options_set, swm_status,
    swm_string_free,
};

use crate::{
    arrays, error,
    guard::{PANICKED, guard},
    number,
};

/// The number of new options, with those of a URL in them if there is one; 0 after a failure.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_optionsNew(
    env: *mut JNIEnv,
    _: jclass,
    url: jbyteArray,
    err: jlong,
) -> jlong {
    guard(err, 0, || {
        let mut options = ptr::null_mut();
        // SAFETY: `env` is this thread's and `url` an array or NULL, as JNI promises; its text outlives the
        // call; Java owns what is at `err`.
        let status = unsafe {
            let url = arrays::text(env, url);
            swm_options_new(arrays::pointer(&url), &mut options, error(err))
        };
        if status == swm_status::SWM_OK { options as usize as jlong } else { 0 }
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_optionsSet(
    env: *mut JNIEnv,
    _: jclass,
    options: jlong,
    name: jbyteArray,
    value: jbyteArray,
    err: jlong,
) -> jint {
    guard(err, PANICKED, || {
        // SAFETY: as above.
        unsafe {
            let (name, value) = (arrays::text(env, name), arrays::text(env, value));
            let (name, value) = (arrays::pointer(&name), arrays::pointer(&value));
            swm_options_set(number(options), name, value, error(err)) as jint
        }
    })
}

/// What an option is set to; NULL after a failure.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_optionsGet(
    env: *mut JNIEnv,
    _: jclass,
    options: jlong,
    name: jbyteArray,
    err: jlong,
) -> jbyteArray {
    guard(err, ptr::null_mut(), || {
        let mut value = ptr::null_mut();
        // SAFETY: as above; the string is freed once, where there is one.
        unsafe {
            let name = arrays::text(env, name);
            let name = arrays::pointer(&name);
            let status = swm_options_get(number(options), name, &mut value, error(err));
            if status != swm_status::SWM_OK {
                return ptr::null_mut();
            }
            let array = arrays::from_c_string(env, value);
            swm_string_free(value);
            array
        }
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_optionsFree(
    _: *mut JNIEnv,
    _: jclass,
    options: jlong,
) {
    guard(0, (), || {
        swm_options_free(number::<swm_options>(options));
    })
}
