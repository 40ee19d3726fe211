//! `swm_options`: the settings of a factory, by name.

use std::{
    error,
    ffi::{CStr, c_char, c_void},
    ptr,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    factory,
    guard::{self, Failure},
    id::Kind,
    shares::Shares,
    status::{swm_error, swm_status},
};
use crate::{
    builder::Builder,
    credentials::{Credentials, CredentialsProvider, Source},
    error::{Error, ErrorKind},
    options,
};

/// The settings of a factory that is to be opened.
///
/// Owner: whoever made it, with swm_options_new, and frees it with swm_options_free. Opening a factory
/// copies it, so it may be freed at once or used again.
/// Threads: any, one at a time or several.
pub struct swm_options {
    _private: [u8; 0],
}

static ALL: Shares<Arc<Mutex<Builder>>> = Shares::of(Kind::Options);

/// What is set so far.
pub(super) fn builder(options: *const swm_options) -> Result<Builder, Failure> {
    Ok(ALL.get(options)?.lock().clone())
}

/// swm_options_new makes options: the defaults, and on top of them what `url` says, unless it is NULL.
/// Blocks never.
///
/// Errors: SWM_E_INVALID_URL, SWM_E_INVALID_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_options_new(
    url: *const c_char,
    out: *mut *mut swm_options,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let builder = match url.is_null() {
                true => Builder::new(),
                false => Builder::from_url(guard::text("url", url)?)?,
            };
            out.set(ALL.add(Arc::new(Mutex::new(builder)))?);
            Ok(())
        })
    }
}

/// swm_options_set sets one option. `name` is that of a URL's option or of the Rust builder's method:
/// `sentinel` (may be set again and again, each adds), `service`, `username`, `password`, `db`,
/// `client_name`, `protocol`, `sentinel_username`, `sentinel_password`, `tls`, `tls_ca`, `tls_cert`,
/// `tls_key`, `tls_server_name`, the same with `sentinel_` before, `address_map`, `max_size`,
/// `min_idle`, `max_lifetime`, `leak_after`, `connect_timeout`, `dial_timeout`, `get_timeout`,
/// `command_timeout`, `switch_on`, `confirm_within`, `fence`, `fence_timeout`, `on_lost_majority`,
/// `max_lag`. Times are `500ms`, `2s`. Blocks never.
///
/// Errors: SWM_E_INVALID_CONFIG, which names the option and quotes the value, unless it is secret.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_options_set(
    options: *mut swm_options,
    name: *const c_char,
    value: *const c_char,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let builder = ALL.get(options)?;
            let (name, value) = (guard::text("name", name)?, guard::text("value", value)?);
            let mut builder = builder.lock();
            options::set(&mut builder.settings, name, value)
                .map_err(|message| Error::new(ErrorKind::InvalidConfig, message))?;
            Ok(())
        })
    }
}

/// swm_options_get tells what an option is set to, as swm_options_set takes it. Free it with
/// swm_string_free. Blocks never.
///
/// Errors: SWM_E_NOTHING when it has no value, or a secret one; SWM_E_INVALID_CONFIG when there is no
/// such option.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_options_get(
    options: *const swm_options,
    name: *const c_char,
    out: *mut *mut c_char,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let builder = ALL.get(options)?;
            let name = guard::text("name", name)?;
            if options::find(name).is_none() {
                let unknown = Error::new(ErrorKind::InvalidConfig, options::unknown(name));
                return Err(unknown.into());
            }
            let value = options::printed(&builder.lock().settings, name);
            let value = value.ok_or_else(|| Failure::nothing(format!("{name} is not set")))?;
            out.set(factory::string(value));
            Ok(())
        })
    }
}

/// Credentials that a swm_credentials_callback supplies. All members are NULL when the library calls it.
/// The callback owns the strings; the library copies them as soon as the callback returns.
#[repr(C)]
pub struct swm_credentials {
    /// The ACL user; NULL is the server's default user.
    pub username: *const c_char,
    /// The password, in UTF-8. Needed, unless there is an error.
    pub password: *const c_char,
    /// The reason why there are no credentials, or NULL. It is quoted in errors and logs.
    pub error: *const c_char,
}

/// Supplies the credentials that are valid now. It gets the `user_data` that it was set with.
///
/// Threads: the library calls it on threads of its own, one call at a time. It may block and may call
/// this library; it must not unwind (no C++ exception, no longjmp) and not end its thread.
/// Time: it counts towards `dial_timeout` of the connection that is made, and a switch to a new master
/// waits for it. A slower call fails only that connection; a call that never returns keeps its
/// thread.
pub type swm_credentials_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, out: *mut swm_credentials)>;

/// Frees the `user_data` of a callback.
pub type swm_destructor = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// swm_options_set_credentials sets a callback that supplies user and password for each connection to a
/// node, instead of `username` and `password`: for passwords that are rotated. When it supplies others,
/// idle connections log in again. Connections in use log in again when they are returned, or are closed
/// then. swm_factory_refresh makes the library call it at once. A callback of NULL removes it. Never blocks.
///
/// `destroy`, unless NULL, is called once with `user_data` when the callback is not called any more:
/// after the options were freed or given another one, every factory opened with them was closed, and
/// their handles were released. It runs on the thread that releases the last of them, which may belong to
/// the library. When this call fails, `destroy` is not called, and `user_data` stays the caller's.
///
/// Errors: SWM_E_DEAD, SWM_E_NULL. Opening a factory reports SWM_E_INVALID_CONFIG when `password` is
/// set as well; the call that waits for the connection reports the error of the callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_options_set_credentials(
    options: *mut swm_options,
    provider: swm_credentials_callback,
    user_data: *mut c_void,
    destroy: swm_destructor,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let builder = ALL.get(options)?;
            let source = Callback::source(provider, user_data, destroy);
            let replaced = std::mem::replace(&mut builder.lock().settings.credentials, source);
            // Outside the lock: its destructor is the caller's code.
            drop(replaced);
            Ok(())
        })
    }
}

/// swm_options_set_sentinel_credentials is swm_options_set_credentials for the sentinels, instead of
/// `sentinel_username` and `sentinel_password`. Open links stay logged in as they are. Never blocks.
///
/// Errors: as swm_options_set_credentials.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_options_set_sentinel_credentials(
    options: *mut swm_options,
    provider: swm_credentials_callback,
    user_data: *mut c_void,
    destroy: swm_destructor,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let builder = ALL.get(options)?;
            let source = Callback::source(provider, user_data, destroy);
            let replaced =
                std::mem::replace(&mut builder.lock().settings.sentinel_credentials, source);
            drop(replaced);
            Ok(())
        })
    }
}

/// A callback, and what it is called with.
struct Callback {
    supply: unsafe extern "C" fn(*mut c_void, *mut swm_credentials),
    user_data: *mut c_void,
    destroy: swm_destructor,
}

// SAFETY: the header says that the callback and the destructor are called on threads of the library's,
// one at a time; the caller that sets them ensures that this is sound.
unsafe impl Send for Callback {}
// SAFETY: as above. A source lets no two calls overlap.
unsafe impl Sync for Callback {}

impl Callback {
    fn source(
        supply: swm_credentials_callback,
        user_data: *mut c_void,
        destroy: swm_destructor,
    ) -> Option<Source> {
        supply.map(|supply| Source::new(Callback { supply, user_data, destroy }))
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the only call of it, after the last of the callback.
            unsafe { destroy(self.user_data) }
        }
    }
}

impl CredentialsProvider for Callback {
    fn credentials(&self) -> Result<Credentials, Box<dyn error::Error + Send + Sync>> {
        let mut out =
            swm_credentials { username: ptr::null(), password: ptr::null(), error: ptr::null() };
        // SAFETY: the callback gets what it was set with, and a place that outlives the call.
        unsafe { (self.supply)(self.user_data, &mut out) };
        if !out.error.is_null() {
            // SAFETY: a string of the callback's, which it keeps until it is called again.
            let error = unsafe { CStr::from_ptr(out.error) };
            return Err(error.to_string_lossy().into());
        }
        if out.password.is_null() {
            return Err("the callback set neither a password nor an error".into());
        }
        // SAFETY: as above.
        let text = |name, text| unsafe { guard::text(name, text) };
        let password =
            text("the password", out.password).map_err(|failure| failure.message.into_owned())?;
        if out.username.is_null() {
            return Ok(Credentials::password(password));
        }
        let username =
            text("the user name", out.username).map_err(|failure| failure.message.into_owned())?;
        Ok(Credentials::new(username, password))
    }
}

/// swm_options_free frees options. NULL, and options that were freed, are left alone.
#[unsafe(no_mangle)]
pub extern "C" fn swm_options_free(options: *mut swm_options) {
    guard::peek((), || ALL.remove(options).map(drop));
}
