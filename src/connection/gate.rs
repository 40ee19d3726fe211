//! What stands between a command and its socket: the fence, and the end of a generation.
//!
//! All connections of one generation share a [`Gate`]. It is open; or fenced, and then commands
//! wait before they are sent; or retired, and then nothing passes any more and every socket that
//! was admitted is shut down, which wakes whoever reads, writes or dials on it. Retired is final: a
//! gate that could open again would let through what was refused while nobody looked.
//!
//! A gate never touches a socket while it holds its lock, and it never closes one: it holds them
//! weakly, and [`Socket::shutdown`] leaves the descriptor to its owner.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU8, Ordering},
    },
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use super::stream::Socket;

const OPEN: u8 = 0;
const FENCED: u8 = 1;
const RETIRED: u8 = 2;

/// Why a command may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The generation is over.
    Retired,
    /// The fence stood until the command's deadline.
    Fenced,
}

/// The gate that all connections of one generation share.
pub(crate) struct Gate {
    /// Written under the lock of `sockets`, read without it.
    word: AtomicU8,
    sockets: Mutex<Registry>,
    moved: Condvar,
}

/// Sockets in slots, so that one leaves as cheaply as it came.
#[derive(Default)]
struct Registry {
    slots: Vec<Option<Weak<Socket>>>,
    free: Vec<usize>,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate {
            word: AtomicU8::new(OPEN),
            sockets: Mutex::new(Registry::default()),
            moved: Condvar::new(),
        }
    }

    /// True when a command may be sent now.
    ///
    /// A command that passes just before the gate retires is not lost track of: its socket is shut
    /// down, and the send fails. Hence relaxed: nothing is read on the strength of this word.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.word.load(Ordering::Relaxed) == OPEN
    }

    /// As [`Gate::is_open`], but waits while the fence stands: until `deadline`, or without end.
    pub(crate) fn pass(&self, deadline: Option<Instant>) -> Result<(), Refusal> {
        if self.is_open() {
            return Ok(());
        }
        let mut sockets = self.sockets.lock();
        loop {
            match self.word.load(Ordering::Relaxed) {
                OPEN => return Ok(()),
                RETIRED => return Err(Refusal::Retired),
                _ => {}
            }
            match deadline {
                None => self.moved.wait(&mut sockets),
                Some(deadline) => {
                    let late = self.moved.wait_until(&mut sockets, deadline).timed_out();
                    // A fence that was lifted at the last moment counts as lifted.
                    if late && self.word.load(Ordering::Relaxed) == FENCED {
                        return Err(Refusal::Fenced);
                    }
                }
            }
        }
    }

    /// Raises the fence. False when the gate was not open.
    #[cfg_attr(not(test), allow(dead_code, reason = "raised once a promotion is seen coming"))]
    pub(crate) fn raise(&self) -> bool {
        self.step(OPEN, FENCED)
    }

    /// Lifts the fence: every command that waits goes on. False when there was none.
    #[cfg_attr(not(test), allow(dead_code, reason = "raised once a promotion is seen coming"))]
    pub(crate) fn lift(&self) -> bool {
        self.step(FENCED, OPEN)
    }

    fn step(&self, from: u8, to: u8) -> bool {
        let sockets = self.sockets.lock();
        if self.word.load(Ordering::Relaxed) != from {
            return false;
        }
        self.word.store(to, Ordering::Release);
        drop(sockets);
        self.moved.notify_all();
        true
    }

    /// Ends the generation: wakes all who wait, then shuts every socket down. Does so once; false
    /// when it had been done before.
    pub(crate) fn retire(&self) -> bool {
        let admitted: Vec<Arc<Socket>> = {
            let sockets = self.sockets.lock();
            if self.word.load(Ordering::Relaxed) == RETIRED {
                return false;
            }
            // Under the lock that `admit` takes: a socket is either in the list that is copied
            // next, or its admission sees this word and is refused. There is no third way.
            // Release, and before any shutdown: who is woken by one finds out why.
            self.word.store(RETIRED, Ordering::Release);
            sockets.slots.iter().flatten().filter_map(Weak::upgrade).collect()
        };
        self.moved.notify_all();
        for socket in admitted {
            // If the owner let go meanwhile, this is the last reference, and nobody else can still
            // be using the descriptor that closes here.
            socket.shutdown();
        }
        true
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.word.load(Ordering::Acquire) == RETIRED
    }

    #[cfg_attr(not(test), allow(dead_code, reason = "raised once a promotion is seen coming"))]
    pub(crate) fn is_fenced(&self) -> bool {
        self.word.load(Ordering::Acquire) == FENCED
    }

    /// Takes a socket into the generation until the admission is dropped. To be called before it
    /// connects, so that retirement also ends a dial.
    pub(crate) fn admit(self: &Arc<Gate>, socket: &Arc<Socket>) -> Result<Admission, Refusal> {
        let mut sockets = self.sockets.lock();
        if self.word.load(Ordering::Relaxed) == RETIRED {
            return Err(Refusal::Retired);
        }
        let entry = Some(Arc::downgrade(socket));
        let slot = match sockets.free.pop() {
            Some(slot) => {
                sockets.slots[slot] = entry;
                slot
            }
            None => {
                sockets.slots.push(entry);
                sockets.slots.len() - 1
            }
        };
        Ok(Admission { gate: Arc::clone(self), slot })
    }

    /// How many sockets are open or being dialled.
    pub(crate) fn sockets(&self) -> usize {
        let sockets = self.sockets.lock();
        sockets.slots.len() - sockets.free.len()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.word.load(Ordering::Acquire) {
            OPEN => "open",
            FENCED => "fenced",
            _ => "retired",
        };
        f.debug_struct("Gate").field("state", &word).field("sockets", &self.sockets()).finish()
    }
}

/// A socket's place in its generation, given up by dropping it.
pub(crate) struct Admission {
    gate: Arc<Gate>,
    slot: usize,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut sockets = self.gate.sockets.lock();
        sockets.slots[self.slot] = None;
        sockets.free.push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Barrier, atomic::AtomicUsize},
        thread,
        time::Duration,
    };

    use super::*;

    fn socket() -> Arc<Socket> {
        Arc::new(Socket::unconnected(socket2::Domain::IPV4).expect("a socket"))
    }

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(10))
    }

    #[test]
    fn an_open_gate_lets_commands_pass_and_a_retired_one_never_again() {
        let gate = Gate::new();
        assert_eq!(gate.pass(None), Ok(()));
        assert!(gate.retire());
        assert!(!gate.retire());
        assert!(!gate.raise());
        assert!(!gate.lift());
        assert_eq!(gate.pass(None), Err(Refusal::Retired));
        assert!(gate.is_retired());
    }

    #[test]
    fn a_fence_holds_commands_until_their_deadline() {
        let gate = Gate::new();
        assert!(gate.raise());
        assert!(!gate.raise());
        assert!(gate.is_fenced());
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(gate.pass(Some(deadline)), Err(Refusal::Fenced));
        assert!(Instant::now() >= deadline);
        assert!(gate.lift());
        assert_eq!(gate.pass(Some(deadline)), Ok(()));
    }

    #[test]
    fn lifting_or_retiring_wakes_those_behind_the_fence() {
        for retire in [false, true] {
            let gate = Arc::new(Gate::new());
            gate.raise();
            let waiters: Vec<_> = (0..4)
                .map(|_| {
                    let gate = Arc::clone(&gate);
                    thread::spawn(move || gate.pass(soon()))
                })
                .collect();
            let expected = if retire {
                gate.retire();
                Err(Refusal::Retired)
            } else {
                gate.lift();
                Ok(())
            };
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), expected);
            }
        }
    }

    #[test]
    fn admissions_are_counted_and_their_places_used_again() {
        let gate = Arc::new(Gate::new());
        let first = socket();
        let one = gate.admit(&first).unwrap();
        let second = socket();
        let two = gate.admit(&second).unwrap();
        assert_eq!(gate.sockets(), 2);
        drop(one);
        assert_eq!(gate.sockets(), 1);
        let three = gate.admit(&first).unwrap();
        assert_eq!(gate.sockets.lock().slots.len(), 2);
        gate.retire();
        assert!(first.is_shut() && second.is_shut());
        drop((two, three));
        assert_eq!(gate.sockets(), 0);
        assert!(gate.admit(&socket()).is_err());
    }

    #[test]
    fn a_socket_admitted_during_retirement_is_refused_or_shut_down() {
        let admitted = AtomicUsize::new(0);
        for _ in 0..200 {
            let gate = Arc::new(Gate::new());
            let start = Barrier::new(4);
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        let socket = socket();
                        start.wait();
                        if let Ok(_place) = gate.admit(&socket) {
                            admitted.fetch_add(1, Ordering::Relaxed);
                            let deadline = Instant::now() + Duration::from_secs(10);
                            while !socket.is_shut() {
                                assert!(Instant::now() < deadline, "admitted and forgotten");
                                thread::yield_now();
                            }
                        }
                    });
                }
                start.wait();
                gate.retire();
            });
            assert_eq!(gate.sockets(), 0);
        }
    }
}
