//! Which descriptors are readable, for threads that must not wait in a native: epoll(7).
//!
//! Java keeps the number of a poller, and uses it until it closes it, which its own thread does last.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    slice,
};

use jni_sys::{JNIEnv, jclass, jint, jlong};
use rustix::{
    event::{EventfdFlags, Timespec, epoll, eventfd},
    io::{Errno, read, write},
};

use crate::{
    guard::{PANICKED, guard},
    number,
};

struct Poller {
    epoll: OwnedFd,
    /// Readable when somebody wants it to return.
    bell: OwnedFd,
}

/// The token of the bell.
const BELL: u64 = u64::MAX;

impl Poller {
    fn open() -> Result<Poller, Errno> {
        let poller = Poller {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        };
        let bell = epoll::EventData::new_u64(BELL);
        epoll::add(&poller.epoll, &poller.bell, bell, epoll::EventFlags::IN)?;
        Ok(poller)
    }

    /// Tells `token` once, when the descriptor is readable or has ended.
    fn arm(&self, descriptor: BorrowedFd<'_>, token: u64) -> Result<(), Errno> {
        let once = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ONESHOT;
        let token = epoll::EventData::new_u64(token);
        // It is known already unless its connection is new, or was armed nowhere yet.
        match epoll::modify(&self.epoll, descriptor, token, once) {
            Err(Errno::NOENT) => epoll::add(&self.epoll, descriptor, token, once),
            done => done,
        }
    }

    /// Waits for tokens, and writes them there; how many, the bell's not counted.
    fn wait(&self, tokens: &mut [u64], timeout: Timespec) -> Result<usize, Errno> {
        // No more than can be told: what has fired once would not fire again.
        let mut events = Vec::with_capacity(tokens.len());
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout))
        {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(0),
            Err(error) => return Err(error),
        }
        let mut count = 0;
        for event in &events {
            match event.data.u64() {
                BELL => {
                    let _ = read(&self.bell, &mut [0u8; 8]);
                }
                token => {
                    tokens[count] = token;
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

fn poller<'p>(poller: jlong) -> &'p Poller {
    // SAFETY: `pollerOpen` gave this address, and Java uses it only until `pollerClose`.
    unsafe { &*number::<Poller>(poller) }
}

/// A system's error as a negative number, which no count is.
fn refused(error: Errno) -> jint {
    -error.raw_os_error().abs().max(1)
}

/// The number of a new poller, or a negative error number.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_pollerOpen(_: *mut JNIEnv, _: jclass) -> jlong {
    guard(0, PANICKED.into(), || match Poller::open() {
        Ok(poller) => Box::into_raw(Box::new(poller)) as usize as jlong,
        Err(error) => refused(error).into(),
    })
}

/// 0, or a negative error number.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_pollerArm(
    _: *mut JNIEnv,
    _: jclass,
    number: jlong,
    descriptor: jint,
    token: jlong,
) -> jint {
    guard(0, PANICKED, || {
        if descriptor < 0 {
            return refused(Errno::BADF);
        }
        // SAFETY: the descriptor is that of a handle which the caller uses, and which keeps it open.
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        poller(number).arm(descriptor, token as u64).map_or_else(refused, |()| 0)
    })
}

/// How many tokens there are now at `tokens`, or a negative error number.
#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_pollerWait(
    _: *mut JNIEnv,
    _: jclass,
    number: jlong,
    tokens: jlong,
    most: jint,
    timeout_ms: jint,
) -> jint {
    guard(0, PANICKED, || {
        let most = usize::try_from(most).unwrap_or(0);
        // SAFETY: Java owns room for so many numbers there.
        let tokens = unsafe { slice::from_raw_parts_mut(tokens as usize as *mut u64, most) };
        let timeout = Timespec {
            tv_sec: (timeout_ms / 1000).into(),
            tv_nsec: (i64::from(timeout_ms % 1000) * 1_000_000) as _,
        };
        poller(number).wait(tokens, timeout).map_or_else(refused, |count| count as jint)
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_pollerWake(
    _: *mut JNIEnv,
    _: jclass,
    number: jlong,
) {
    guard(0, (), || {
        // One that is full rings already.
        let _ = write(&poller(number).bell, &1u64.to_ne_bytes());
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_io_switchmaster_Native_pollerClose(
    _: *mut JNIEnv,
    _: jclass,
    poller: jlong,
) {
    guard(0, (), || {
        // SAFETY: `pollerOpen` gave this address, and Java closes it once, and last.
        drop(unsafe { Box::from_raw(number::<Poller>(poller)) });
    })
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        io::Write,
        os::{fd::AsFd, unix::net::UnixStream},
    };

    use super::*;

    const SOON: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

    #[test]
    fn each_that_is_ready_is_told_once_however_many_there_are() {
        let poller = Poller::open().expect("a poller");
        let mut pairs: Vec<_> = (0..300).map(|_| UnixStream::pair().expect("a pair")).collect();
        for (token, (ours, theirs)) in pairs.iter_mut().enumerate() {
            theirs.write_all(b"!").expect("it is written");
            poller.arm(ours.as_fd(), token as u64).expect("it is armed");
        }
        let mut told = Vec::new();
        while told.len() < pairs.len() {
            let mut tokens = [0; 256];
            let count = poller.wait(&mut tokens, SOON).expect("it waits");
            assert!(count > 0, "only {} of {} were told", told.len(), pairs.len());
            told.extend_from_slice(&tokens[..count]);
        }
        let each: BTreeSet<u64> = told.iter().copied().collect();
        assert_eq!((each.len(), told.len()), (pairs.len(), pairs.len()));
        assert_eq!(poller.wait(&mut [0; 1], Timespec { tv_sec: 0, tv_nsec: 0 }), Ok(0), "once");
    }

    #[test]
    fn one_that_ended_is_told_and_the_bell_is_no_token() {
        let poller = Poller::open().expect("a poller");
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        poller.arm(ours.as_fd(), 7).expect("it is armed");
        write(&poller.bell, &1u64.to_ne_bytes()).expect("it rings");
        let mut tokens = [0; 4];
        assert_eq!(poller.wait(&mut tokens, SOON), Ok(0));
        drop(theirs);
        assert_eq!(poller.wait(&mut tokens, SOON), Ok(1));
        assert_eq!(tokens[0], 7);
    }
}
