//! `swm_options`: the settings of a factory, by name.

use std::{ffi::c_char, sync::Arc};

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

/// swm_options_free frees options. NULL, and options that were freed, are left alone.
#[unsafe(no_mangle)]
pub extern "C" fn swm_options_free(options: *mut swm_options) {
    guard::peek((), || ALL.remove(options).map(drop));
}
