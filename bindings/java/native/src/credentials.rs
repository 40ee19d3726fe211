//! Credentials that Java supplies: the only calls into Java, on threads of the library's own.

use std::{
    ffi::{c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use jni_sys::{
    JNI_EDETACHED, JNI_OK, JNI_VERSION_1_6, JNIEnv, JavaVM, JavaVMAttachArgs, jclass, jint, jlong,
    jmethodID, jobject, jweak,
};
use switchmaster::ffi::{
    swm_credentials, swm_options_set_credentials, swm_options_set_sentinel_credentials, swm_status,
};

use crate::{
    arrays, error,
    guard::{PANICKED, guard},
    number,
};

const ERROR: u8 = 0;
const PASSWORD: u8 = 1;
const USER_AND_PASSWORD: u8 = 2;

const FAULT: &[u8] = b"a fault inside switchmaster's call into Java\0";
const NOT_ATTACHED: &[u8] = b"the virtual machine accepts no more threads\0";
const COLLECTED: &[u8] = b"its factory was closed or collected\0";
const THREW: &[u8] = b"the virtual machine failed while it called the provider\0";

/// A Java object of the class `CredentialsCall`. The reference is weak: the Java factory keeps the
/// object, and a provider that refers to its factory does not keep that from being collected.
struct Call {
    vm: *mut JavaVM,
    object: jweak,
    supply: jmethodID,
    /// The strings of the last answer, each with its NUL: they stay until the next call.
    answer: Vec<u8>,
}

/// Sets a `CredentialsCall` as the source of credentials, for the sentinels or for the nodes.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_optionsSetCredentials(
    env: *mut JNIEnv,
    _: jclass,
    options: jlong,
    for_sentinels: jint,
    call: jobject,
    err: jlong,
) -> jint {
    guard(err, PANICKED, || {
        // SAFETY: `env` is this thread's and `call` an object, as Java promises.
        let Some(call) = (unsafe { Call::new(env, call) }) else {
            // Java's own exception says why.
            return PANICKED;
        };
        let set = if for_sentinels == 0 {
            swm_options_set_credentials
        } else {
            swm_options_set_sentinel_credentials
        };
        let call = Box::into_raw(Box::new(call));
        // SAFETY: Java owns what is at `err`; the call is freed by `forget`, or here when it was not taken.
        unsafe {
            let (options, data) = (number(options), call.cast());
            let status = set(options, Some(supply), data, Some(forget), error(err));
            if status != swm_status::SWM_OK {
                drop(Box::from_raw(call));
            }
            status as jint
        }
    })
}

impl Call {
    /// None when Java has no memory for it, or no such method.
    ///
    /// # Safety
    /// `env` is this thread's, and `call` an object.
    unsafe fn new(env: *mut JNIEnv, call: jobject) -> Option<Call> {
        let mut vm = ptr::null_mut();
        // SAFETY: as this function demands; the functions exist since JNI 1.2. The identifier of a method is
        // good for as long as its class, which the object keeps.
        unsafe {
            if ((**env).v1_2.GetJavaVM)(env, &mut vm) != JNI_OK {
                return None;
            }
            let class = ((**env).v1_2.GetObjectClass)(env, call);
            let (name, signature) = (c"supply".as_ptr(), c"()[B".as_ptr());
            let supply = ((**env).v1_2.GetMethodID)(env, class, name, signature);
            ((**env).v1_2.DeleteLocalRef)(env, class);
            if supply.is_null() {
                return None;
            }
            let object = ((**env).v1_2.NewWeakGlobalRef)(env, call);
            (!object.is_null()).then_some(Call { vm, object, supply, answer: Vec::new() })
        }
    }

    /// Calls Java, and puts its answer into `answer`.
    fn ask(&mut self) {
        let (vm, object, supply) = (self.vm, self.object, self.supply);
        // SAFETY: the environment is this thread's. The object is used through a reference of this call's, and
        // the method is one of its class's, without parameters. A pending exception is cleared before
        // anything else is called. References end when the thread is detached, or below.
        let answered = attached(vm, |env| unsafe {
            let object = ((**env).v1_2.NewLocalRef)(env, object);
            if object.is_null() {
                return answer(COLLECTED);
            }
            let bytes = ((**env).v1_2.CallObjectMethodA)(env, object, supply, ptr::null());
            if ((**env).v1_2.ExceptionCheck)(env) {
                ((**env).v1_2.ExceptionClear)(env);
                return answer(THREW);
            }
            arrays::text(env, bytes).unwrap_or_else(|| answer(FAULT))
        });
        self.answer = answered.unwrap_or_else(|| answer(NOT_ATTACHED));
    }

    /// The answer as C has it.
    fn fill(&self, out: &mut swm_credentials) {
        let text = |from: usize| self.answer[from..].as_ptr().cast::<c_char>();
        match self.answer.first() {
            Some(&PASSWORD) => out.password = text(1),
            Some(&USER_AND_PASSWORD) => {
                let user = self.answer[1..].iter().position(|&byte| byte == 0).unwrap_or(0);
                (out.username, out.password) = (text(1), text(1 + user + 1));
            }
            _ => out.error = text(1),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let object = self.object;
        // SAFETY: the environment is this thread's, and the reference is deleted once. A virtual machine that
        // accepts no more threads is about to end, and the reference with it.
        attached(self.vm, |env| unsafe { ((**env).v1_2.DeleteWeakGlobalRef)(env, object) });
    }
}

/// An answer that is an error.
fn answer(text: &[u8]) -> Vec<u8> {
    [&[ERROR], text].concat()
}

/// Runs `body` with the environment of this thread, which is attached for that unless it is already. A
/// thread that Java is called on is a daemon: one whose provider never returns does not keep the virtual
/// machine from ending. None when the virtual machine does not accept it.
fn attached<R>(vm: *mut JavaVM, body: impl FnOnce(*mut JNIEnv) -> R) -> Option<R> {
    let mut env = ptr::null_mut();
    let mut name = *b"switchmaster-credentials\0";
    let mut args = JavaVMAttachArgs {
        version: JNI_VERSION_1_6,
        name: name.as_mut_ptr().cast(),
        group: ptr::null_mut(),
    };
    // SAFETY: the virtual machine is that of the class that called us, and there is one in a process. A
    // thread that was attached here is detached here, when no Java frame is left on it.
    unsafe {
        let was = ((**vm).v1_2.GetEnv)(vm, &mut env, JNI_VERSION_1_6);
        if was == JNI_EDETACHED {
            let args = (&raw mut args).cast();
            if ((**vm).v1_4.AttachCurrentThreadAsDaemon)(vm, &mut env, args) != JNI_OK {
                return None;
            }
        } else if was != JNI_OK {
            return None;
        }
        let result = body(env.cast());
        if was == JNI_EDETACHED {
            ((**vm).v1_2.DetachCurrentThread)(vm);
        }
        Some(result)
    }
}

unsafe extern "C" fn supply(call: *mut c_void, out: *mut swm_credentials) {
    // SAFETY: the library hands back what it was given, one call at a time and none after `forget`, and a
    // place for the answer.
    let (call, out) = unsafe { (&mut *call.cast::<Call>(), &mut *out) };
    if catch_unwind(AssertUnwindSafe(|| call.ask())).is_err() {
        call.answer = answer(FAULT);
    }
    call.fill(out);
}

unsafe extern "C" fn forget(call: *mut c_void) {
    guard(0, (), || {
        // SAFETY: what was handed over, and the library does so once.
        drop(unsafe { Box::from_raw(call.cast::<Call>()) });
    });
}
