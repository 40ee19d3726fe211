//! A handle: one checked-out connection that follows the master while it holds no state.

#[cfg(feature = "capi")]
use std::os::fd::OwnedFd;
use std::{fmt, os::fd::RawFd, sync::Arc, time::Instant};

use redis::{Cmd, ConnectionLike, RedisResult, Value};

use crate::{
    address::Address,
    config::Protocol,
    connection::{Connection, Distress, RawReplies, Readiness},
    error::{Error, ErrorKind, Outcome},
    policy::ReadFrom,
    pool::{Lease, Place, Pool},
    trouble::Trouble,
};

/// One checked-out connection to the current master, or to a replica. It goes back to the pool when
/// dropped.
///
/// A handle is [`redis::ConnectionLike`], so [`redis::Commands`], [`redis::Pipeline`],
/// [`redis::Script`] and [`redis::transaction`] work on it. It is `Send`: one thread at a time uses
/// it.
///
/// # When the master is replaced
/// The handle's old connection never sends another byte. The next command moves to a connection of
/// the new generation, without an error, unless the old one held state that would be lost: inside
/// MULTI, with a WATCH or a subscription, with another database selected, and the like. Then it
/// fails with [`ErrorKind::Switched`] and [`Outcome::NotSent`], as does every later command on this
/// handle ([`ErrorKind::Poisoned`]): drop it and take a new one. A command whose reply was awaited
/// at the switch fails with [`ErrorKind::Switched`] and [`Outcome::Unknown`] within 10 ms.
///
/// # While the master is being replaced
/// From the choice of its successor to the switch, commands wait before they are sent (behind the
/// fence, see [`Builder::fence`](crate::Builder::fence)) and then go on with the new master. One that
/// waits until its own deadline fails with [`ErrorKind::Fenced`] and [`Outcome::NotSent`]. A blocking
/// command such as BLPOP is called back from the old master if that still answers, and begins
/// anew on the new one, with its whole timeout; if it does not answer, it fails as above.
///
/// # When it reads from a replica
/// Such a handle ([`Factory::get_from`](crate::Factory::get_from)) moves by the same rules when its replica
/// is no longer read from; no fence concerns it. A write is answered with `READONLY`.
///
/// # How long a command blocks
/// For at most `command_timeout`, the wait behind the fence included (counted anew on the connection
/// that it moves to), or its own timeout on top of it when it is a blocking command
/// such as BLPOP (a timeout of 0 there means until a reply or the switch). When it has to move to
/// another connection it may wait for that one for `get_timeout` first.
///
/// # Errors
/// Commands return [`redis::RedisError`]. [`Outcome::of`] says of any of them whether the command
/// may have run; [`Error::from_redis`] finds this crate's own error in it.
pub struct Handle {
    grip: Grip,
}

/// What a handle has.
enum Grip {
    Held(Lease, ReadFrom),
    /// No connection: the last one broke, and the next command takes another.
    Loose(Box<Loose>),
    /// The connection broke while it held state; no command gets another.
    Poisoned(Box<Poison>),
}

struct Loose {
    pool: Arc<Pool>,
    place: Place,
    from: ReadFrom,
}

struct Poison {
    pool: Arc<Pool>,
    error: Error,
}

impl Handle {
    #[inline]
    pub(crate) fn new(lease: Lease) -> Handle {
        Handle { grip: Grip::Held(lease, ReadFrom::Master) }
    }

    /// A handle that reads from there, also when it has to move.
    pub(crate) fn reading(lease: Lease, from: ReadFrom) -> Handle {
        Handle { grip: Grip::Held(lease, from) }
    }

    /// The number of the generation that this handle's connection belongs to. Of a connection to a
    /// replica, a number of its own: how many times a replica had been taken in among those that are
    /// read from.
    pub fn generation(&self) -> u64 {
        self.lease().map_or(0, |lease| lease.generation.number())
    }

    /// The announced address of the node that this handle's connection leads to; `None` after
    /// the connection broke and before the next command took a new one.
    pub fn address(&self) -> Option<&Address> {
        self.lease().map(|lease| lease.generation.address())
    }

    /// Sends commands that are encoded already (RESP, as [`redis::Cmd::get_packed_command`] encodes) and
    /// keeps their replies as the bytes that came: for whoever has a codec of its own. Everything else
    /// is as with any command or pipeline, the gate, the deadlines and the moves included.
    ///
    /// `replies` is emptied first. Afterwards it has one reply for each command; error replies are among
    /// them. What the server sent unasked is not.
    ///
    /// # Errors
    /// Those of every command, and [`ErrorKind::InvalidConfig`] with [`Outcome::NotSent`] when the bytes
    /// are no commands, or such that their replies could not be told apart.
    pub fn exchange(&mut self, commands: &[u8], replies: &mut RawReplies) -> Result<(), Error> {
        self.carry_out_whole(|connection| connection.request_raw(commands, replies))
    }

    /// As [`Handle::exchange`], of a single command that was encoded for this call.
    #[cfg(feature = "capi")]
    pub(crate) fn exchange_one(
        &mut self,
        command: &[u8],
        replies: &mut RawReplies,
    ) -> Result<(), Error> {
        self.carry_out_whole(|connection| connection.request_raw_one(command, replies))
    }

    /// Sends a part of a stream of commands (RESP), in pieces of any size: for a client that brings its
    /// own codec and buffers and wants a socket. [`Handle::receive`] gives what comes back.
    ///
    /// Each call passes the gate, and waits behind the fence, as every command does. The handle moves to
    /// another connection when its own is over and nothing is under way on it: every command was sent
    /// whole, and every reply received.
    ///
    /// `MONITOR` works only here: [`Handle::receive`] returns its reports until the connection ends, as at
    /// a switch. The handle refuses whole commands from then on, and the next user gets another
    /// connection.
    ///
    /// # How long it blocks
    /// Until everything is sent, at most for `command_timeout` (on top of the timeout of a blocking
    /// command in it); for `get_timeout` before that when it has to move.
    ///
    /// # Errors
    /// Those of every command, and [`ErrorKind::InvalidConfig`] for what is no command, or one whose
    /// replies could not be told apart. The outcome is that of all commands that are under way. After
    /// an error nothing of the stream is under way any more.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.carry_out(|connection| connection.send(bytes))
    }

    /// Receives a part of the stream of replies: at least a byte, at most as many as `into` has.
    ///
    /// # How long it blocks
    /// For as long as what is under way may take: `command_timeout` from the last part that was sent,
    /// the timeouts of blocking commands on top, and without end where such a one is 0, or where the
    /// connection is subscribed or monitors and nothing is under way. A switch ends it at once.
    ///
    /// # Errors
    /// As of [`Handle::send`]; and [`ErrorKind::InvalidConfig`] when no reply is to come.
    pub fn receive(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let mut again: Option<Vec<u8>> = None;
        self.carry_out_from(true, |connection| {
            match &again {
                // It was called back from a master that was replaced then, and begins anew.
                Some(command) => connection.send(command)?,
                None => again = connection.recallable().map(<[u8]>::to_vec),
            }
            connection.receive(into)
        })
    }

    /// What [`Handle::send`] would wait for, if it were called now with so many bytes; never
    /// [`Readiness::Descriptor`]. For a caller that has to know before whether a call waits: an event
    /// loop, or a thread that stands for many. Between this and that call a fence may go up, rarely.
    pub fn readiness_to_send(&mut self, bytes: usize) -> Readiness {
        match &mut self.grip {
            // After a breakage the connection is asked first whether it lives.
            Grip::Held(lease, _) if lease.has_no_news() => {
                lease.live().connection.readiness_to_send(bytes)
            }
            Grip::Held(..) | Grip::Loose(_) => Readiness::Elsewhere,
            Grip::Poisoned(_) => Readiness::Ready,
        }
    }

    /// What [`Handle::receive`] would wait for, if it were called now.
    pub fn readiness_to_receive(&mut self) -> Readiness {
        match &mut self.grip {
            Grip::Held(lease, _) => lease.live().connection.readiness_to_receive(),
            Grip::Loose(_) => Readiness::Elsewhere,
            Grip::Poisoned(_) => Readiness::Ready,
        }
    }

    /// Whether whoever uses this handle next finds nothing of what was done on it: no state that is the
    /// connection's, and nothing under way. A handle that is given back otherwise loses its connection.
    pub fn is_clean(&mut self) -> bool {
        match &mut self.grip {
            Grip::Held(lease, _) => {
                let connection = &lease.live().connection;
                connection.is_at_rest() && !connection.state().holds_state()
            }
            Grip::Loose(_) => true,
            Grip::Poisoned(_) => false,
        }
    }

    /// The descriptor of this handle's connection, to look at and not to touch; `None` where
    /// [`Handle::address`] is.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.lease().and_then(|lease| lease.descriptor())
    }

    /// Returns the version of the protocol that this handle's connection speaks: RESP2 when the server refused
    /// RESP3, even when [`Builder::protocol`](crate::Builder::protocol) asks for it. `None` where
    /// [`Handle::address`] is. It may change when the handle moves.
    pub fn protocol(&self) -> Option<Protocol> {
        self.lease().and_then(|lease| lease.protocol())
    }

    /// A descriptor of its own for this handle's connection, good for waiting on it. The handle takes
    /// another connection first where it has none.
    #[cfg(feature = "capi")]
    pub(crate) fn duplicate(&mut self) -> Result<OwnedFd, Error> {
        self.carry_out(|connection| connection.duplicate())
    }

    /// Sets anew what whoever had a duplicate may have set.
    #[cfg(feature = "capi")]
    pub(crate) fn reclaim(&mut self) {
        if let Grip::Held(lease, _) = &mut self.grip {
            lease.live().connection.reclaim();
        }
    }

    fn lease(&self) -> Option<&Lease> {
        match &self.grip {
            Grip::Held(lease, _) => Some(lease),
            Grip::Loose(..) | Grip::Poisoned(_) => None,
        }
    }

    fn pool(&self) -> &Arc<Pool> {
        match &self.grip {
            Grip::Held(lease, _) => &lease.pool,
            Grip::Loose(loose) => &loose.pool,
            Grip::Poisoned(poison) => &poison.pool,
        }
    }

    fn is_poisoned(&self) -> bool {
        matches!(self.grip, Grip::Poisoned(_))
    }

    /// Gives the connection back.
    fn let_go(&mut self) {
        if let Grip::Held(lease, from) = &self.grip {
            let loose = Loose { pool: lease.pool.clone(), place: lease.place, from: *from };
            self.grip = Grip::Loose(Box::new(loose));
        }
    }

    /// As [`Handle::carry_out`], for whole commands: refused while parts of a stream are under way.
    #[inline]
    fn carry_out_whole<T>(
        &mut self,
        send: impl FnMut(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if let Grip::Held(lease, _) = &mut self.grip
            && !lease.live().connection.is_at_rest()
        {
            return Err(self.streaming());
        }
        self.carry_out(send)
    }

    #[cold]
    fn streaming(&self) -> Error {
        Error::new(
            ErrorKind::InvalidConfig,
            "a part of a stream is under way on this handle, and a whole command was not sent in the \
             midst of it; receive its replies first",
        )
    }

    /// Runs one exchange, moving to another connection for as long as nothing was sent.
    #[inline]
    fn carry_out<T>(
        &mut self,
        send: impl FnMut(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.carry_out_from(false, send)
    }

    /// As [`Handle::carry_out`]. `recalled` is whether a blocking command that is under way may begin
    /// anew elsewhere: `send` does that when it was called back.
    fn carry_out_from<T>(
        &mut self,
        recalled: bool,
        mut send: impl FnMut(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut deadline = None;
        self.let_go_of_the_dead();
        loop {
            let lease = match &mut self.grip {
                Grip::Held(lease, _) => lease,
                Grip::Poisoned(poison) => {
                    poison.pool.counters().errors_not_sent.add(1);
                    return Err(poison.error.clone());
                }
                Grip::Loose(loose) => {
                    let Loose { pool, place, from } = &**loose;
                    let from = *from;
                    let until =
                        *deadline.get_or_insert_with(|| Instant::now() + pool.get_timeout());
                    match pool.checkout_again(from, until, place) {
                        Ok(lease) => self.grip = Grip::Held(lease, from),
                        Err(error) => {
                            pool.counters().errors_not_sent.add(1);
                            return Err(error);
                        }
                    }
                    continue;
                }
            };
            let connection = &mut lease.live().connection;
            let held_state = connection.may_hold_state();
            let rested = connection.is_at_rest() || (recalled && connection.recallable().is_some());
            match send(connection) {
                Ok(value) => {
                    let stateful = connection.state().holds_state() || !connection.is_at_rest();
                    let dropped = connection.take_dropped();
                    if dropped > 0 {
                        lease.pool.counters().dropped_messages.add(dropped);
                    }
                    if let Some(distress) = lease.take_distress() {
                        lease.generation.raise_alarm(distress.into());
                        if !stateful && distress.is_of_the_connection() {
                            // The reply is this command's; the next one takes a better connection.
                            self.let_go();
                        }
                    }
                    return Ok(value);
                }
                Err(error) => {
                    let now = Instant::now();
                    let timeout = lease.pool.get_timeout();
                    let until = *deadline.get_or_insert_with(|| now + timeout);
                    let may_move = !held_state && rested && now < until;
                    if let Some(error) = self.after(error, held_state, may_move) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Gives a connection back that died while the handle kept it, so that the next command does not
    /// find out. One that holds state is kept: its loss has to be told.
    fn let_go_of_the_dead(&mut self) {
        let Grip::Held(lease, _) = &mut self.grip else { return };
        if lease.live().connection.state().holds_state()
            || !lease.live().connection.is_at_rest()
            || lease.generation.gate().is_retired()
            || lease.is_trusted()
        {
            return;
        }
        lease.pool.counters().moved.add(1);
        self.let_go();
    }

    /// What becomes of the handle after a failed exchange: `None` when the command was certainly
    /// not sent and may simply be sent on another connection.
    fn after(&mut self, error: Error, held_state: bool, may_move: bool) -> Option<Error> {
        let Grip::Held(lease, _) = &mut self.grip else { return Some(error) };
        let pool = lease.pool.clone();
        let counters = pool.counters();
        if lease.live().connection.is_open() && !lease.generation.gate().is_retired() {
            // Refused behind the fence, or a request that cannot be sent at all: the connection is
            // as good as before.
            count(counters, error.outcome());
            return Some(error);
        }
        let retired = lease.generation.gate().is_retired();
        if !retired {
            counters.connections_broken.add(1);
            lease.generation.note_breakage();
            if error.kind() == ErrorKind::CommandTimeout {
                lease.generation.note_silence();
            }
            lease.generation.raise_alarm(match error.kind() {
                ErrorKind::CommandTimeout => Trouble::TimedOut,
                _ => Trouble::Disconnected,
            });
        }
        let over = lease.generation.over();
        let address = lease.generation.address().clone();
        self.let_go();
        let error = match pool.check_open() {
            Err(closed) => Error::with(
                ErrorKind::Closed,
                error.outcome(),
                closed.to_string(),
                Some(Box::new(error)),
            ),
            Ok(()) if error.outcome() == Outcome::NotSent && may_move => {
                counters.moved.add(1);
                return None;
            }
            Ok(()) if error.outcome() == Outcome::NotSent && retired && held_state => over,
            Ok(()) => error,
        };
        if held_state {
            let poison = Error::new(
                ErrorKind::Poisoned,
                format!(
                    "this handle's connection to {address} broke while it held state ({error}); \
                     drop the handle and take a new one"
                ),
            );
            self.grip = Grip::Poisoned(Box::new(Poison { pool: pool.clone(), error: poison }));
        }
        count(counters, error.outcome());
        Some(error)
    }
}

fn count(counters: &crate::metrics::Counters, outcome: Outcome) {
    match outcome {
        Outcome::NotSent => counters.errors_not_sent.add(1),
        Outcome::Unknown => counters.errors_unknown.add(1),
        Outcome::Replied => {}
    }
}

impl From<Distress> for Trouble {
    fn from(distress: Distress) -> Trouble {
        match distress {
            Distress::ReadOnly => Trouble::ReadOnly,
            Distress::Loading => Trouble::Loading,
            Distress::MasterDown => Trouble::MasterDown,
            Distress::Unblocked => Trouble::Unblocked,
            Distress::NoReplicas => Trouble::NoReplicas,
            Distress::Misconfigured => Trouble::Misconfigured,
        }
    }
}

impl ConnectionLike for Handle {
    fn req_packed_command(&mut self, packed: &[u8]) -> RedisResult<Value> {
        Ok(self.carry_out_whole(|connection| connection.request(packed, None))?)
    }

    fn req_packed_commands(
        &mut self,
        packed: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let replies = self
            .carry_out_whole(|connection| connection.request_many(packed, offset, count, None))?;
        replies.into_redis()
    }

    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        let reply = self.carry_out_whole(|connection| connection.request_command(command))?;
        // Such a command is answered nevertheless, and its answer was read.
        Ok(if command.is_no_response() { Value::Nil } else { reply })
    }

    fn get_db(&self) -> i64 {
        self.pool().db()
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").query::<()>(self).is_ok()
    }

    fn is_open(&self) -> bool {
        !self.is_poisoned() && self.pool().check_open().is_ok()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("generation", &self.generation())
            .field("address", &self.address())
            .field("poisoned", &self.is_poisoned())
            .finish()
    }
}
