//! Events.

use std::ptr;

use jni_sys::{JNIEnv, jbyteArray, jclass, jint, jlong};
use switchmaster::ffi::{
    swm_event_address, swm_event_free, swm_event_generation, swm_event_json, swm_event_previous,
    swm_event_time_ms, swm_event_type, swm_factory_next_event, swm_status,
};

use crate::{arrays, error, guard::guard, number};

/// The next event as its fields, one behind the other, with a line end between: kind, time in
/// milliseconds, generation, address, address before, and JSON. NULL after a failure.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_factoryNextEvent(
    env: *mut JNIEnv,
    _: jclass,
    factory: jlong,
    timeout_ms: jint,
    err: jlong,
) -> jbyteArray {
    guard(err, ptr::null_mut(), || {
        let mut event = ptr::null_mut();
        let timeout_ms = u32::try_from(timeout_ms).unwrap_or(0);
        // SAFETY: Java owns what is at `err`; `env` is this thread's; the event is looked at before it is
        // freed, once; its strings live as long as it does.
        unsafe {
            let status =
                swm_factory_next_event(number(factory), timeout_ms, &mut event, error(err));
            if status != swm_status::SWM_OK {
                return ptr::null_mut();
            }
            let mut fields = format!(
                "{}\n{}\n{}\n",
                swm_event_type(event),
                swm_event_time_ms(event),
                swm_event_generation(event)
            )
            .into_bytes();
            for text in [swm_event_address(event), swm_event_previous(event), swm_event_json(event)]
            {
                if !text.is_null() {
                    fields.extend_from_slice(std::ffi::CStr::from_ptr(text).to_bytes());
                }
                fields.push(b'\n');
            }
            swm_event_free(event);
            arrays::array(env, &fields)
        }
    })
}
