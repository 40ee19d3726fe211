//! What stands between a command and its socket: the fence, and the end of a generation.
//!
//! All connections of one generation share a [`Gate`]. It is open; or fenced, and then commands
//! wait before they are sent; or retired, and then nothing passes any more and every socket that
//! was admitted is shut down, which wakes whoever reads, writes or dials on it. Retired is final: a
//! gate that could open again would let through what was refused while nobody looked.
//!
//! A command that was being sent while the fence went up may have reached the server before or
//! after. It is told apart afterwards ([`Gate::is_still_open`]): its reply then counts only if the
//! fence is lifted again, for a server that is being replaced may acknowledge what its successor
//! will never have.
//!
//! A gate never touches a socket while it holds its lock, and it never closes one: it holds them
//! weakly, and [`Socket::shutdown`] leaves the descriptor to its owner.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::stream::Socket;
use crate::sync::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Condvar, Mutex, Ordering, barrier};

const OPEN: u8 = 0;
const FENCED: u8 = 1;
const RETIRED: u8 = 2;

/// A reply that comes so soon after the fence went up was given before the server was replaced: a
/// sentinel takes at least 50 ms from its choice to the promotion.
const PROMPT: Duration = Duration::from_millis(40);

/// Why a command may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The generation is over.
    Retired,
    /// The fence stood until the command's deadline.
    Fenced,
}

/// What became of a fence that a command met on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// It was lifted: the server stays what it was.
    Lifted,
    /// The generation is over. What its server did long enough before it was replaced has reached
    /// its successor; `since` is when that was, where it is known.
    Retired { since: Option<Instant> },
    /// It still stood at the command's deadline.
    Late,
}

/// The gate that all connections of one generation share.
pub(crate) struct Gate {
    /// Written under the lock of `registry`, read without it.
    word: AtomicU8,
    registry: Mutex<Registry>,
    moved: Condvar,
}

/// Sockets in slots, so that one leaves as cheaply as it came.
#[derive(Default)]
struct Registry {
    slots: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// Commands that ran on sockets that have left.
    ran: u64,
    /// Why the fence stands, for the error of whoever waited in vain.
    why: &'static str,
    /// Since when it has stood, or had when the generation ended.
    raised: Option<Instant>,
    /// When the server was replaced, if the generation ended for that and it is known.
    replaced: Option<Instant>,
}

struct Entry {
    socket: Weak<Socket>,
    account: Arc<Account>,
}

/// What one connection did and does, written by its owner alone but for the last.
#[derive(Default)]
struct Account {
    /// How many commands ran.
    ran: AtomicU64,
    /// How many may run now: they are being sent, or their replies are awaited.
    under_way: AtomicU64,
    /// The client id of the connection while it waits in a blocking command that may be called
    /// back; 0 otherwise.
    blocked: AtomicI64,
    /// Whether whoever asked the gate has been told that id, since it was last set.
    called_back: AtomicBool,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate {
            word: AtomicU8::new(OPEN),
            registry: Mutex::new(Registry::default()),
            moved: Condvar::new(),
        }
    }

    /// True when a command may be sent now: one load, for the way that every command goes.
    ///
    /// Looking and sending are two steps, and the gate may move in between. What was sent after a
    /// retirement meets a socket that is shut down. What was sent after a fence went up is told by
    /// [`Gate::is_still_open`] afterwards; hence relaxed, for nothing is read on the strength of
    /// this word.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.word.load(Ordering::Relaxed) == OPEN
    }

    /// True when everything that was sent before this call was sent before any fence that stands.
    /// If not, the reply counts for nothing before [`Gate::outcome`] was asked.
    ///
    /// Whoever raises the fence sets the word before the server is replaced. So what was sent after
    /// that was sent by a thread that finds the word set, here. What was sent before the fence went
    /// up has the time from then to the replacement to be taken by the server; the gate gives no
    /// other.
    #[inline]
    pub(crate) fn is_still_open(&self) -> bool {
        self.word.load(Ordering::SeqCst) == OPEN
    }

    /// True when a reply that comes now comes long after a fence went up: its command was sent
    /// before, and the server took it so late that its successor may not have it. The reply counts
    /// for nothing before [`Gate::outcome`] was asked.
    #[inline]
    pub(crate) fn is_overdue(&self) -> bool {
        !self.is_open() && self.registry.lock().raised.is_some_and(|at| at.elapsed() >= PROMPT)
    }

    /// As [`Gate::is_open`], but waits while the fence stands: until `deadline`, or without end.
    pub(crate) fn pass(&self, deadline: Option<Instant>) -> Result<(), Refusal> {
        match self.outcome(deadline) {
            Passing::Lifted => Ok(()),
            Passing::Retired { .. } => Err(Refusal::Retired),
            Passing::Late => Err(Refusal::Fenced),
        }
    }

    /// Waits until no fence stands, or the generation is over: until `deadline`, or without end.
    pub(crate) fn outcome(&self, deadline: Option<Instant>) -> Passing {
        if self.is_still_open() {
            return Passing::Lifted;
        }
        let mut registry = self.registry.lock();
        loop {
            match self.word.load(Ordering::Relaxed) {
                OPEN => return Passing::Lifted,
                RETIRED => return Passing::Retired { since: registry.replaced },
                _ => {}
            }
            match deadline {
                None => self.moved.wait(&mut registry),
                Some(deadline) => {
                    let late = self.moved.wait_until(&mut registry, deadline).timed_out();
                    // A fence that was lifted at the last moment counts as lifted.
                    if late && self.word.load(Ordering::Relaxed) == FENCED {
                        return Passing::Late;
                    }
                }
            }
        }
    }

    /// Raises the fence, or gives one that stands another reason. False when the generation is over.
    pub(crate) fn raise(&self, why: &'static str) -> bool {
        let mut registry = self.registry.lock();
        if self.word.load(Ordering::Relaxed) == RETIRED {
            return false;
        }
        registry.why = why;
        registry.raised.get_or_insert_with(Instant::now);
        self.word.store(FENCED, Ordering::SeqCst);
        true
    }

    /// Lifts the fence: every command that waits goes on. False when there was none.
    pub(crate) fn lift(&self) -> bool {
        let mut registry = self.registry.lock();
        if self.word.load(Ordering::Relaxed) != FENCED {
            return false;
        }
        registry.raised = None;
        self.word.store(OPEN, Ordering::SeqCst);
        drop(registry);
        self.moved.notify_all();
        true
    }

    /// Ends the generation: wakes all who wait, then shuts every socket down. Does so once; false
    /// when it had been done before.
    pub(crate) fn retire(&self) -> bool {
        self.retire_since(None)
    }

    /// As [`Gate::retire`], for a server that was replaced at that time.
    pub(crate) fn retire_since(&self, replaced: Option<Instant>) -> bool {
        let admitted: Vec<Arc<Socket>> = {
            let mut registry = self.registry.lock();
            if self.word.load(Ordering::Relaxed) == RETIRED {
                return false;
            }
            registry.replaced = replaced;
            // Under the lock that `admit` takes: a socket is either in the list that is copied
            // next, or its admission sees this word and is refused. There is no third way.
            // Before any shutdown: who is woken by one finds out why.
            self.word.store(RETIRED, Ordering::SeqCst);
            let sockets = registry.slots.iter().flatten().map(|entry| &entry.socket);
            sockets.filter_map(Weak::upgrade).collect()
        };
        self.moved.notify_all();
        for socket in admitted {
            // If the owner let go meanwhile, this is the last reference, and nobody else can still
            // be using the descriptor that closes here.
            socket.shutdown();
        }
        true
    }

    #[inline]
    pub(crate) fn is_retired(&self) -> bool {
        self.word.load(Ordering::Acquire) == RETIRED
    }

    /// Why the fence stands, or stood last.
    pub(crate) fn why(&self) -> &'static str {
        self.registry.lock().why
    }

    /// How many commands have run on all connections of the generation so far.
    pub(crate) fn commands(&self) -> u64 {
        let registry = self.registry.lock();
        let present = registry.slots.iter().flatten();
        registry.ran + present.map(|entry| entry.account.ran.load(Ordering::Relaxed)).sum::<u64>()
    }

    /// How many commands ran, or are on their way in a connection that has not said yet what became
    /// of them; and whether there are such. After a retirement they soon are no more.
    pub(crate) fn begun(&self) -> (u64, bool) {
        let registry = self.registry.lock();
        let (mut ran, mut under_way, mut leaves) = (registry.ran, 0, false);
        for Entry { account, socket } in registry.slots.iter().flatten() {
            // In this order, so that what ends meanwhile is counted twice, and not never.
            under_way += account.under_way.load(Ordering::Acquire);
            ran += account.ran.load(Ordering::Relaxed);
            // The retirement did not meet its owner, and may not know yet what that one wrote.
            leaves |= socket.strong_count() == 0;
        }
        (ran + under_way, under_way > 0 || leaves)
    }

    /// The client ids of the connections that wait in a blocking command now and may be called
    /// back. After [`Gate::raise`] no further one begins to. Each is to be called back before the
    /// fence is lifted; later it would meet another command of the same connection.
    pub(crate) fn blocked(&self) -> Vec<i64> {
        // Between the word that was set and the ids that are read; see `Admission::enter`.
        barrier(Ordering::SeqCst);
        let registry = self.registry.lock();
        let mut ids = Vec::new();
        for Entry { account, .. } in registry.slots.iter().flatten() {
            // Acquires what released the id, or else its mark might be undone by what came before.
            let id = account.blocked.load(Ordering::Acquire);
            if id != 0 {
                account.called_back.store(true, Ordering::Relaxed);
                ids.push(id);
            }
        }
        ids
    }

    /// Takes a socket into the generation until the admission is dropped. To be called before it
    /// connects, so that retirement also ends a dial.
    pub(crate) fn admit(self: &Arc<Gate>, socket: &Arc<Socket>) -> Result<Admission, Refusal> {
        let mut registry = self.registry.lock();
        if self.word.load(Ordering::Relaxed) == RETIRED {
            return Err(Refusal::Retired);
        }
        let account = Arc::<Account>::default();
        let entry = Some(Entry { socket: Arc::downgrade(socket), account: account.clone() });
        let slot = match registry.free.pop() {
            Some(slot) => {
                registry.slots[slot] = entry;
                slot
            }
            None => {
                registry.slots.push(entry);
                registry.slots.len() - 1
            }
        };
        Ok(Admission { gate: Arc::clone(self), slot, account })
    }

    /// How many sockets are open or being dialled.
    pub(crate) fn sockets(&self) -> usize {
        let registry = self.registry.lock();
        registry.slots.len() - registry.free.len()
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
    account: Arc<Account>,
}

impl Admission {
    /// So many commands are about to be sent. Loads and stores, because nobody else writes.
    pub(crate) fn begins(&self, commands: u64) {
        let under_way = self.account.under_way.load(Ordering::Relaxed);
        self.account.under_way.store(under_way + commands, Ordering::Relaxed);
    }

    /// What was under way ran.
    pub(crate) fn ends(&self) {
        let ran = self.account.ran.load(Ordering::Relaxed);
        let under_way = self.account.under_way.load(Ordering::Relaxed);
        self.account.ran.store(ran + under_way, Ordering::Relaxed);
        self.account.under_way.store(0, Ordering::Release);
    }

    /// Nobody will hear whether what was under way ran.
    pub(crate) fn gives_up(&self) {
        // With what ran before it.
        self.account.under_way.store(0, Ordering::Release);
    }

    /// Waits until a command may be sent: until `deadline`, or without end. True when the gate was
    /// not open at once. `blocks` is the client id of the connection when the command will wait in
    /// the server and may be called back, else 0; [`Admission::unblocks`] ends that.
    #[inline]
    pub(crate) fn enter(&self, blocks: i64, deadline: Option<Instant>) -> Result<bool, Refusal> {
        let mut waited = false;
        loop {
            if blocks != 0 {
                self.account.called_back.store(false, Ordering::Relaxed);
                self.account.blocked.store(blocks, Ordering::Release);
                // Of this barrier and the one in `Gate::blocked` one is first. So whoever raises
                // the fence finds the id, or the word that is read next is found set.
                barrier(Ordering::SeqCst);
            }
            // Asked anew after every wait: another fence may have gone up since.
            if self.gate.is_open() {
                return Ok(waited);
            }
            if blocks != 0 {
                self.unblocks();
            }
            self.gate.pass(deadline)?;
            waited = true;
        }
    }

    /// Whether [`Gate::blocked`] has told the id of the command that is under way. The fence may
    /// be down again when the server says that it called the command back.
    pub(crate) fn is_called_back(&self) -> bool {
        self.account.called_back.load(Ordering::Relaxed)
    }

    /// The connection waits in no blocking command any more.
    pub(crate) fn unblocks(&self) {
        self.account.blocked.store(0, Ordering::Relaxed);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut registry = self.gate.registry.lock();
        registry.slots[self.slot] = None;
        registry.free.push(self.slot);
        registry.ran += self.account.ran.load(Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
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
        assert!(!gate.raise("it is over"));
        assert!(!gate.lift());
        assert_eq!(gate.pass(None), Err(Refusal::Retired));
        assert!(gate.is_retired());
    }

    #[test]
    fn a_fence_holds_commands_until_their_deadline() {
        let gate = Gate::new();
        assert!(gate.raise("first"));
        assert!(gate.raise("second"));
        assert_eq!(gate.why(), "second");
        assert!(!gate.is_open());
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
            gate.raise("a reason");
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
        assert_eq!(gate.registry.lock().slots.len(), 2);
        gate.retire();
        assert!(first.is_shut() && second.is_shut());
        drop((two, three));
        assert_eq!(gate.sockets(), 0);
        assert!(gate.admit(&socket()).is_err());
    }

    #[test]
    fn commands_are_counted_beyond_the_connections_they_ran_on() {
        let gate = Arc::new(Gate::new());
        let (one, other) = (socket(), socket());
        let (first, second) = (gate.admit(&one).unwrap(), gate.admit(&other).unwrap());
        first.begins(3);
        assert_eq!((gate.commands(), gate.begun()), (0, (3, true)));
        first.ends();
        second.begins(1);
        second.begins(4);
        second.ends();
        assert_eq!((gate.commands(), gate.begun()), (8, (8, false)));
        drop(first);
        second.begins(2);
        assert_eq!((gate.commands(), gate.begun()), (8, (10, true)));
        second.gives_up();
        assert_eq!((gate.commands(), gate.begun()), (8, (8, false)));
    }

    #[test]
    fn who_waits_in_a_blocking_command_is_known_by_its_id() {
        let gate = Arc::new(Gate::new());
        let socket = socket();
        let place = gate.admit(&socket).unwrap();
        assert_eq!(place.enter(0, None), Ok(false));
        assert!(gate.blocked().is_empty());
        assert_eq!(place.enter(7, None), Ok(false));
        assert!(!place.is_called_back());
        assert_eq!(gate.blocked(), [7]);
        assert!(place.is_called_back());
        assert_eq!(gate.blocked(), [7]);
        place.unblocks();
        assert!(gate.blocked().is_empty());
        assert_eq!(place.enter(7, None), Ok(false));
        assert!(!place.is_called_back(), "that was another command");
        gate.raise("a reason");
        assert_eq!(place.enter(7, Some(Instant::now())), Err(Refusal::Fenced));
        assert!(gate.blocked().is_empty());
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
