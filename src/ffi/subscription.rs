//! `swm_subscription` and `swm_delivery`: what is published, across switches.

use std::{
    ffi::{CString, c_char, c_int},
    ptr,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    factory::{self, swm_factory},
    guard::{self, Failure},
    id::{self, Kind},
    shares::Shares,
    status::{swm_error, swm_status},
};
use crate::{
    error::Error,
    factory::Factory,
    subscription::{Closer, Delivery, Gap, Message, Refusal, Subscription},
};

/// A subscription to channels or patterns, with a connection of its own. It subscribes again by itself
/// when the master is replaced or the connection breaks, and says where messages may be missing.
///
/// Owner: whoever opened it, and closes it with swm_subscription_close.
/// Threads: one at a time takes deliveries and changes it (another gets SWM_E_BUSY); any may close it,
/// also while another waits for a delivery, which wakes it.
pub struct swm_subscription {
    _private: [u8; 0],
}

/// What a subscription brought.
///
/// Owner: whoever took it, with swm_subscription_next, and frees it with swm_delivery_free. What its
/// accessors give lives as long as it does.
/// Threads: any, as many at once as you like.
pub struct swm_delivery(Brought);

enum Brought {
    Message(Message),
    Gap { gap: Gap, text: CString },
    Refused { refusal: Refusal, text: CString },
}

/// What a delivery is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum swm_delivery_kind {
    /// None: what swm_delivery_type says of NULL.
    SWM_DELIVERY_NONE = 0,
    /// A message.
    SWM_DELIVERY_MESSAGE = 1,
    /// It subscribed again, and messages may be missing before this. What comes from now on is
    /// complete, and so is what is read from now on.
    SWM_DELIVERY_GAP = 2,
    /// The server refused a channel or pattern, after the call that asked for it had returned
    /// SWM_E_COMMAND_TIMEOUT or SWM_E_NO_MASTER. It is no longer asked for; the others are not affected.
    SWM_DELIVERY_REFUSED = 3,
}

struct Sub {
    subscription: Mutex<Subscription>,
    closer: Closer,
}

static ALL: Shares<Arc<Sub>> = Shares::of(Kind::Subscription);

impl Sub {
    /// Runs something on the subscription, unless another thread does.
    fn with<R>(
        &self,
        body: impl FnOnce(&mut Subscription) -> Result<R, Error>,
    ) -> Result<R, Failure> {
        let mut subscription =
            self.subscription.try_lock().ok_or_else(|| id::busy(Kind::Subscription))?;
        Ok(body(&mut subscription)?)
    }
}

/// Names of channels or patterns.
///
/// # Safety
/// `names` has `count` pointers, each to `lens[i]` bytes, or to a C string where `lens` is NULL.
unsafe fn names(
    count: usize,
    names: *const *const c_char,
    lens: *const usize,
) -> Result<Vec<Vec<u8>>, Failure> {
    if names.is_null() && count > 0 {
        return Err(Failure::null("names"));
    }
    if count > i32::MAX as usize {
        return Err(Failure::argument(format!("count is {count}, more than a server takes")));
    }
    (0..count)
        .map(|index| {
            // SAFETY: there are `count` of them, as this function demands.
            let name = unsafe { *names.add(index) };
            if name.is_null() {
                return Err(Failure::null(&format!("names[{index}]")));
            }
            if lens.is_null() {
                // SAFETY: not NULL, and ended by a NUL as this function demands.
                return Ok(unsafe { std::ffi::CStr::from_ptr(name) }.to_bytes().to_vec());
            }
            // SAFETY: there are `count` lengths and as many bytes as they say, as demanded.
            Ok(unsafe { guard::bytes("a name", name, *lens.add(index)) }?.to_vec())
        })
        .collect()
}

/// swm_factory_subscribe subscribes to channels. `lens` are the lengths of their names; where it is NULL,
/// they are C strings.
///
/// Blocks until the master confirmed it, at most for `get_timeout` (5 s unless set).
///
/// Errors: SWM_E_NO_MASTER, SWM_E_COMMAND_TIMEOUT, SWM_E_PERMISSION, SWM_E_INVALID_CONFIG for no names,
/// SWM_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_subscribe(
    factory: *const swm_factory,
    count: usize,
    names: *const *const c_char,
    lens: *const usize,
    out: *mut *mut swm_subscription,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        open(factory, count, names, lens, out, err, |factory, names| factory.subscribe(names))
    }
}

/// swm_factory_psubscribe subscribes to patterns. See swm_factory_subscribe, which it is like.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_factory_psubscribe(
    factory: *const swm_factory,
    count: usize,
    names: *const *const c_char,
    lens: *const usize,
    out: *mut *mut swm_subscription,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        open(factory, count, names, lens, out, err, |factory, names| factory.psubscribe(names))
    }
}

/// Opens a subscription to names.
///
/// # Safety
/// As of [`names`], and `out` and `err` are NULL or may be written to.
unsafe fn open(
    factory: *const swm_factory,
    count: usize,
    names: *const *const c_char,
    lens: *const usize,
    out: *mut *mut swm_subscription,
    err: *mut swm_error,
    begin: impl FnOnce(&Factory, Vec<Vec<u8>>) -> Result<Subscription, Error>,
) -> swm_status {
    // SAFETY: as this function demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let opened = factory::find(factory)?;
            let subscription = begin(&opened.factory, self::names(count, names, lens)?)?;
            let closer = subscription.closer();
            let subscription = Mutex::new(subscription);
            out.set(ALL.add(Arc::new(Sub { subscription, closer }))?);
            Ok(())
        })
    }
}

/// Changes what is subscribed to.
///
/// # Safety
/// As of [`names`], and `err` is NULL or may be written to.
unsafe fn change(
    subscription: *mut swm_subscription,
    count: usize,
    names: *const *const c_char,
    lens: *const usize,
    err: *mut swm_error,
    change: impl FnOnce(&mut Subscription, Vec<Vec<u8>>) -> Result<(), Error>,
) -> swm_status {
    // SAFETY: as this function demands.
    unsafe {
        guard::guard(err, || {
            let names = self::names(count, names, lens)?;
            ALL.get(subscription)?.with(|subscription| change(subscription, names))
        })
    }
}

/// swm_subscription_subscribe subscribes to further channels. Blocks until the master confirmed it, at
/// most for `command_timeout`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_subscription_subscribe(
    subscription: *mut swm_subscription,
    count: usize,
    names: *const *const c_char,
    lens: *const usize,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe { change(subscription, count, names, lens, err, |it, names| it.subscribe(names)) }
}

/// swm_subscription_psubscribe subscribes to further patterns. Blocks as swm_subscription_subscribe does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_subscription_psubscribe(
    subscription: *mut swm_subscription,
    count: usize,
    names: *const *const c_char,
    lens: *const usize,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe { change(subscription, count, names, lens, err, |it, names| it.psubscribe(names)) }
}

/// swm_subscription_unsubscribe ends the subscription to channels. Blocks as swm_subscription_subscribe
/// does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_subscription_unsubscribe(
    subscription: *mut swm_subscription,
    count: usize,
    names: *const *const c_char,
    lens: *const usize,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe { change(subscription, count, names, lens, err, |it, names| it.unsubscribe(names)) }
}

/// swm_subscription_punsubscribe ends the subscription to patterns. Blocks as swm_subscription_subscribe
/// does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_subscription_punsubscribe(
    subscription: *mut swm_subscription,
    count: usize,
    names: *const *const c_char,
    lens: *const usize,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe { change(subscription, count, names, lens, err, |it, names| it.punsubscribe(names)) }
}

/// swm_subscription_next takes the next delivery. While it waits it also subscribes again, where that is
/// needed: nothing else does. Free the delivery with swm_delivery_free.
///
/// Blocks until there is one, at most for `timeout_ms` milliseconds; not at all with 0.
///
/// Errors: SWM_E_NOTHING when none came, SWM_E_CLOSED when it or the factory was closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_subscription_next(
    subscription: *mut swm_subscription,
    timeout_ms: u32,
    out: *mut *mut swm_delivery,
    err: *mut swm_error,
) -> swm_status {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        guard::guard(err, || {
            let out = guard::result("out", out)?;
            let timeout = Duration::from_millis(timeout_ms.into());
            let sub = ALL.get(subscription)?;
            let Some(delivery) = sub.with(|subscription| subscription.next_timeout(timeout))?
            else {
                return Err(Failure::nothing(format!(
                    "nothing was delivered within {timeout_ms} ms"
                )));
            };
            let brought = match delivery {
                Delivery::Message(message) => Brought::Message(message),
                Delivery::Gap(gap) => Brought::Gap { text: c_text(&gap), gap },
                Delivery::Refused(refusal) => Brought::Refused { text: c_text(&refusal), refusal },
            };
            out.set(Box::into_raw(Box::new(swm_delivery(brought))));
            Ok(())
        })
    }
}

/// swm_subscription_close closes a subscription, and wakes who waits for its deliveries. NULL, and one
/// that was closed, are left alone. Blocks never.
#[unsafe(no_mangle)]
pub extern "C" fn swm_subscription_close(subscription: *mut swm_subscription) {
    guard::peek((), || {
        ALL.remove(subscription)?.closer.close();
        Ok(())
    });
}

/// A line of text for C.
fn c_text(line: &impl ToString) -> CString {
    CString::new(line.to_string().replace('\0', "?")).unwrap_or_default()
}

/// What a pointer to a delivery leads to.
///
/// # Safety
/// `delivery` is NULL or a delivery that has not been freed.
unsafe fn look<'d>(delivery: *const swm_delivery) -> Option<&'d Brought> {
    // SAFETY: as this function demands.
    unsafe { delivery.as_ref() }.map(|delivery| &delivery.0)
}

/// Gives bytes to C.
///
/// # Safety
/// `len` is NULL or may be written to.
unsafe fn give(bytes: Option<&[u8]>, len: *mut usize) -> *const c_char {
    if !len.is_null() {
        // SAFETY: not NULL, and writable as this function demands.
        unsafe { len.write(bytes.map_or(0, <[u8]>::len)) };
    }
    bytes.map_or(ptr::null(), |bytes| bytes.as_ptr().cast())
}

/// swm_delivery_type tells what it is, a swm_delivery_kind; SWM_DELIVERY_NONE of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_delivery_type(delivery: *const swm_delivery) -> c_int {
    // SAFETY: the caller vouches for it, as the header demands.
    let kind = match unsafe { look(delivery) } {
        None => swm_delivery_kind::SWM_DELIVERY_NONE,
        Some(Brought::Message(_)) => swm_delivery_kind::SWM_DELIVERY_MESSAGE,
        Some(Brought::Gap { .. }) => swm_delivery_kind::SWM_DELIVERY_GAP,
        Some(Brought::Refused { .. }) => swm_delivery_kind::SWM_DELIVERY_REFUSED,
    };
    kind as c_int
}

/// swm_delivery_channel returns the channel of a message, or the channel that was refused, and its length in
/// bytes where `len` is not NULL. No NUL follows. NULL of a gap, and where a pattern was refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_delivery_channel(
    delivery: *const swm_delivery,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        let channel = match look(delivery) {
            Some(Brought::Message(message)) => Some(message.channel_bytes()),
            Some(Brought::Refused { refusal, .. }) => refusal.channel_bytes(),
            _ => None,
        };
        give(channel, len)
    }
}

/// swm_delivery_pattern returns the pattern that a message came by, or the pattern that was refused, and its
/// length in bytes where `len` is not NULL. No NUL follows. NULL when a message came by its channel, of a
/// gap, and where a channel was refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_delivery_pattern(
    delivery: *const swm_delivery,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        let pattern = match look(delivery) {
            Some(Brought::Message(message)) => message.pattern_bytes(),
            Some(Brought::Refused { refusal, .. }) => refusal.pattern_bytes(),
            _ => None,
        };
        give(pattern, len)
    }
}

/// swm_delivery_payload gives the payload of a message, and its length in bytes where `len` is not NULL.
/// No NUL follows. NULL of a gap and of a refusal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_delivery_payload(
    delivery: *const swm_delivery,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: the caller vouches for its pointers, as the header demands.
    unsafe {
        let payload = match look(delivery) {
            Some(Brought::Message(message)) => Some(message.payload_bytes()),
            _ => None,
        };
        give(payload, len)
    }
}

/// swm_delivery_generation returns the generation of the master that a message came from, that a gap leads
/// to, or that refused a name; 0 of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_delivery_generation(delivery: *const swm_delivery) -> u64 {
    // SAFETY: the caller vouches for it, as the header demands.
    match unsafe { look(delivery) } {
        None => 0,
        Some(Brought::Message(message)) => message.generation(),
        Some(Brought::Gap { gap, .. }) => gap.to_generation,
        Some(Brought::Refused { refusal, .. }) => refusal.generation(),
    }
}

/// swm_delivery_text returns a line for a log about a gap or a refusal, which ends with a NUL; NULL of a
/// message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_delivery_text(delivery: *const swm_delivery) -> *const c_char {
    // SAFETY: the caller vouches for it, as the header demands.
    match unsafe { look(delivery) } {
        Some(Brought::Gap { text, .. } | Brought::Refused { text, .. }) => text.as_ptr(),
        _ => ptr::null(),
    }
}

/// swm_delivery_free frees a delivery, once. NULL is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_delivery_free(delivery: *mut swm_delivery) {
    if !delivery.is_null() {
        // SAFETY: as the header demands it came from swm_subscription_next, and is freed once.
        drop(unsafe { Box::from_raw(delivery) });
    }
}
