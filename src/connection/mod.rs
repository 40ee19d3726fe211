//! One socket to one server: [`Connection`], which is a [`redis::ConnectionLike`].
//!
//! A command passes the [`Gate`], is sent by one system call, and its reply is read by another.
//! Every wait has a deadline; a shutdown of the socket from outside ends every wait at once. After
//! any failure the connection is over: whether a late reply belongs to this command or to the next
//! one could not be told.
//!
//! This module knows nothing of sentinels, pools or topology; what it says about roles it has from
//! the server's own answer.

mod command;
mod converse;
mod dial;
pub(crate) mod encode;
mod flow;
mod gate;
mod handshake;
mod inbox;
mod like;
mod link;
mod listen;
mod replies;
mod role;
mod settings;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    mem,
    os::fd::{AsFd, AsRawFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{Cmd, Value};

pub(crate) use self::{
    command::{Answer, Blocking, Effect, Facts, State},
    dial::look_up,
    gate::{Admission, Gate, Passing, Refusal},
    handshake::{Greeting, Handshake},
    listen::{Arrival, Ender},
    replies::{Distress, Replies},
    role::{Inquiry, Role},
    settings::Settings,
    stream::{Peek, Stream},
    wire::{Decoder, Limits},
};
use self::{
    converse::{Expected, Form, Values},
    flow::Flow,
    link::{Fault, Link, Ungreeted},
    replies::Reply,
    wire::{Skim, Skimmed},
};
pub use self::{flow::Readiness, wire::RawReplies};
#[cfg(fuzzing)]
pub(crate) use self::{
    flow::commands_pass,
    wire::{raw_replies, skimmed},
};
pub(crate) use crate::config::Protocol;
use crate::{
    address::Address,
    credentials::{Login, Source},
    error::{Error, ErrorKind, Outcome},
};

/// Memory for commands up to this is kept for the next ones.
const KEPT: usize = 32 << 10;

/// An open, greeted connection to one server.
pub(crate) struct Connection {
    link: Link,
    /// After the link: who counts the sockets does not count too few.
    admission: Admission,
    gate: Arc<Gate>,
    address: Address,
    greeting: Greeting,
    state: State,
    command_timeout: Duration,
    #[cfg(feature = "capi")]
    user_timeout: Option<Duration>,
    told: Told,
    limits: Limits,
    /// Where commands are encoded.
    packed: Vec<u8>,
    /// Once bytes have passed through as a stream.
    flow: Option<Box<Flow>>,
    /// False from the first byte of a command to the last of its reply, so that a panic or an
    /// error in between, whatever it is, leaves it false.
    clean: bool,
    /// The version of the credentials that it logged in with.
    login: u64,
}

impl Connection {
    /// Dials, greets, and reads the greeting: at most until `deadline`, and for no longer than
    /// [`Settings::dial_timeout`]. The retirement of the gate ends it at once (`Switched`); its
    /// fence does not hold it up, because no command is sent.
    ///
    /// Blocks. A host that is a name is looked up, each of its addresses tried.
    #[cfg(any(test, fuzzing, feature = "cli"))]
    pub(crate) fn open(
        address: &Address,
        settings: &Settings,
        gate: &Arc<Gate>,
        deadline: Instant,
    ) -> Result<Connection, Error> {
        Connection::open_asking(address, settings, gate, false, deadline)
    }

    /// Opens a connection like [`Connection::open`]. With `asks_origin` the greeting has the origin of the server's data, for
    /// no further round trip.
    pub(crate) fn open_asking(
        address: &Address,
        settings: &Settings,
        gate: &Arc<Gate>,
        asks_origin: bool,
        deadline: Instant,
    ) -> Result<Connection, Error> {
        let started = Instant::now();
        let deadline = started
            .checked_add(settings.dial_timeout)
            .map_or(deadline, |timeout| timeout.min(deadline));
        let switched = || {
            Error::new(
                ErrorKind::Switched,
                format!(
                    "{address} was replaced while a connection to it was being made; take a new handle"
                ),
            )
        };
        let asked = settings.credentials.as_ref().map(Source::begin);
        let dialled = Stream::dial(address, settings, deadline, |socket| {
            gate.admit(socket).map_err(|_| switched())
        });
        let (stream, admission) = match dialled {
            Ok(dialled) => dialled,
            Err(_) if gate.is_retired() => return Err(switched()),
            Err(error) => return Err(error),
        };
        let login = match asked.map(|asked| asked.wait(deadline, || gate.is_retired())).transpose()
        {
            Ok(login) => login,
            Err(_) if gate.is_retired() => return Err(switched()),
            Err(error) => {
                return Err(Error::new(error.kind(), format!("{address}: no login: {error}")));
            }
        };
        let supplied = login.as_ref().map(|login| login.settings(settings));
        let settings = supplied.as_ref().unwrap_or(settings);
        let mut link = Link::new(stream, settings.limits);
        let greeting = match link.greet(address, settings, asks_origin, deadline) {
            Ok(greeting) => greeting,
            Err(_) if gate.is_retired() => return Err(switched()),
            Err(Ungreeted::Refused(error)) => return Err(error),
            Err(Ungreeted::Fault(fault)) => {
                let next = match (&settings.tls, &fault) {
                    (None, Fault::Io(_) | Fault::Closed | Fault::Protocol(_)) => {
                        "check that a Redis server listens there, and whether it expects TLS"
                            .to_owned()
                    }
                    (Some(tls), Fault::Closed) => tls.explain_hang_up(),
                    _ => "check that a Redis server listens there and is not overloaded".to_owned(),
                };
                let (kind, cause) = match fault {
                    Fault::Io(error) => (
                        ErrorKind::Disconnected,
                        match &settings.tls {
                            Some(tls) => tls.explain_later(&error, address),
                            None => format!("{error}"),
                        },
                    ),
                    Fault::Closed => {
                        (ErrorKind::Disconnected, "the server closed the connection".to_owned())
                    }
                    Fault::Late => (
                        ErrorKind::Disconnected,
                        format!("no reply within {}", shown(started.elapsed())),
                    ),
                    Fault::Protocol(error) => (ErrorKind::Protocol, format!("it sent {error}")),
                };
                return Err(Error::new(
                    kind,
                    format!("{address}: connected, but the handshake failed: {cause}; {next}"),
                ));
            }
        };
        link.stream.socket().set_recv_timeout(Some(settings.command_timeout)).map_err(|error| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "{address}: a command timeout of {} cannot be set: {error}; choose another",
                    shown(settings.command_timeout)
                ),
            )
        })?;
        Ok(Connection {
            link,
            admission,
            gate: Arc::clone(gate),
            address: address.clone(),
            state: State::new(settings.db, greeting.protocol),
            greeting,
            command_timeout: settings.command_timeout,
            #[cfg(feature = "capi")]
            user_timeout: settings.user_timeout,
            told: Told::default(),
            limits: settings.limits,
            packed: Vec::new(),
            flow: None,
            clean: true,
            login: login.map_or(0, |login| login.version),
        })
    }

    /// The version of the credentials that it logged in with.
    #[inline]
    pub(crate) fn login_version(&self) -> u64 {
        self.login
    }

    /// Logs in again, with the credentials that are valid now. Blocks until the server's answer, at
    /// most until `deadline`.
    pub(crate) fn log_in(&mut self, login: &Login, deadline: Instant) -> Result<(), Error> {
        let state = self.state;
        match self.request(&login.command(), Some(deadline))? {
            Value::ServerError(refusal) => Err(Error::new(
                ErrorKind::Authentication,
                format!("{}: refused the changed credentials: {}", self.address, refusal.code()),
            )),
            _ => {
                // What a user's own AUTH would leave behind, this one does not.
                self.state = state;
                self.login = login.version;
                Ok(())
            }
        }
    }

    /// What the server said about itself when the connection was opened.
    pub(crate) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.link.stream.socket().as_fd().as_raw_fd()
    }

    #[cfg(feature = "capi")]
    pub(crate) fn duplicate(&self) -> Result<std::os::fd::OwnedFd, Error> {
        self.link.stream.socket().as_fd().try_clone_to_owned().map_err(|error| {
            let message = format!("{}: its descriptor has no duplicate: {error}", self.address);
            Error::new(ErrorKind::Internal, message)
        })
    }

    /// Sets anew what a duplicate of the descriptor shares; a connection that refuses is over.
    #[cfg(feature = "capi")]
    pub(crate) fn reclaim(&mut self) {
        let socket = self.link.stream.socket();
        if socket.set_up_again(self.command_timeout, self.user_timeout).is_err() {
            self.clean = false;
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What would be lost with this connection.
    #[inline]
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// True when state would be lost with this connection, or may be: a command whose answer is still
    /// to come changes it.
    #[inline]
    pub(crate) fn may_hold_state(&self) -> bool {
        self.state.holds_state() || self.flow.as_ref().is_some_and(|flow| flow.may_change_state())
    }

    /// The number of messages that came between commands and were dropped, since the last call.
    #[inline]
    pub(crate) fn take_dropped(&mut self) -> u64 {
        match self.link.inbox.has_dropped() {
            false => 0,
            true => self.link.inbox.take_dropped(),
        }
    }

    /// The last reply that said that this connection is of no use, if there was one. It holds for as
    /// long as the connection lives.
    #[inline]
    pub(crate) fn distress(&self) -> Option<Distress> {
        self.told.lasting
    }

    /// The last reply since the previous call that said that the server is not the master that takes
    /// writes. Each such reply is reported once: later commands may succeed.
    #[inline]
    pub(crate) fn take_distress(&mut self) -> Option<Distress> {
        self.told.news.take()
    }

    /// True while commands can be sent: no failure so far, and the generation is not over. Costs
    /// nothing; whether the server has hung up meanwhile, [`Connection::is_fresh`] finds out.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.clean && !self.gate.is_retired()
    }

    /// True when the connection is open, nothing lies unread in it and the server has not hung up.
    /// One system call. For connections that were idle.
    pub(crate) fn is_fresh(&mut self) -> bool {
        self.is_open() && self.link.decoder.is_empty() && self.link.stream.peek() == Peek::Quiet
    }

    /// Sends one command and waits for its reply: for the command timeout, which blocking commands
    /// get on top of their own, or until `deadline` when it is given. An error reply is a value.
    pub(crate) fn request(
        &mut self,
        packed: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Value, Error> {
        self.request_value(Request { count: Some(1), deadline, ..Request::all(packed) })
    }

    /// As [`Connection::request`], of a command of redis-rs.
    pub(crate) fn request_command(&mut self, command: &Cmd) -> Result<Value, Error> {
        let mut packed = mem::take(&mut self.packed);
        packed.clear();
        encode::command(&mut packed, command);
        let reply = self.request_value(Request::one(&packed));
        if packed.capacity() <= KEPT {
            self.packed = packed;
        }
        reply
    }

    fn request_value(&mut self, request: Request<'_>) -> Result<Value, Error> {
        let mut reply = None;
        self.exchange(&mut Values, request, |_, value| reply = Some(value))?;
        // The exchange succeeds with as many replies as were asked for.
        reply.ok_or_else(|| self.broken(Fault::Closed, Outcome::Unknown, Instant::now()))
    }

    /// Sends a pipeline of `offset + count` commands and waits for all replies; see
    /// [`Connection::request`]. A pipeline larger than the buffers on its way is read from while it
    /// is being written.
    pub(crate) fn request_many(
        &mut self,
        packed: &[u8],
        offset: usize,
        count: usize,
        deadline: Option<Instant>,
    ) -> Result<Replies, Error> {
        let mut replies =
            Replies { values: Vec::with_capacity(count.min(packed.len())), refused: Vec::new() };
        let take = |index, value| match value {
            Value::ServerError(error) if index < offset => replies.refused.push((index, error)),
            _ if index < offset => {}
            value => replies.values.push(value),
        };
        let request = Request { offset, count: Some(count), deadline, ..Request::all(packed) };
        self.exchange(&mut Values, request, take)?;
        Ok(replies)
    }

    /// Sends the commands in `packed`, and keeps their replies as the bytes that came; see
    /// [`Connection::request_many`].
    pub(crate) fn request_raw(
        &mut self,
        packed: &[u8],
        replies: &mut RawReplies,
    ) -> Result<(), Error> {
        self.exchange(replies, Request::all(packed), |_, _| {})
    }

    /// As [`Connection::request_raw`], of a command that was encoded for this call.
    #[cfg(feature = "capi")]
    pub(crate) fn request_raw_one(
        &mut self,
        packed: &[u8],
        replies: &mut RawReplies,
    ) -> Result<(), Error> {
        self.exchange(replies, Request::one(packed), |_, _| {})
    }

    fn exchange<F: Form>(
        &mut self,
        form: &mut F,
        request: Request<'_>,
        mut take: impl FnMut(usize, F::Reply<'_>),
    ) -> Result<(), Error> {
        loop {
            match self.attempt(form, request, &mut take)? {
                Attempt::Answered => return Ok(()),
                // The fence stands: the next attempt waits behind it.
                Attempt::CalledBack => {}
            }
        }
    }

    fn attempt<F: Form>(
        &mut self,
        form: &mut F,
        request: Request<'_>,
        take: &mut impl FnMut(usize, F::Reply<'_>),
    ) -> Result<Attempt, Error> {
        let Request { packed, offset, count, deadline, .. } = request;
        if !self.clean {
            return Err(self.unusable());
        }
        let started = Instant::now();
        let facts = request.facts(self.state.in_multi());
        let total = count.map_or(facts.commands, |count| offset.saturating_add(count));
        if !facts.are_followable(total) || self.state.is_monitoring() {
            return Err(self.unfollowable(&facts, total));
        }
        let timeout = match facts.blocking {
            None => Some(self.command_timeout),
            Some(Blocking::For(own)) => own.checked_add(self.command_timeout),
            Some(Blocking::Forever) => None,
        };
        let quick = deadline.is_none() && facts.blocking.is_none();
        let deadline =
            deadline.or_else(|| timeout.and_then(|timeout| started.checked_add(timeout)));
        if deadline.is_some_and(|deadline| deadline <= started) {
            return Err(self.too_late());
        }
        let subscribing = self.state.protocol == Protocol::Resp2
            && (facts.subscription.is_some() || self.state.may_get_messages());
        let confirmations = facts.subscription.map_or(0, |sub| self.link.inbox.confirmations(sub));
        let mut expected =
            Expected { replies: total, confirmations, subscribing, quick, deadline, started };
        if let Err(fault) = form.prepare(&mut self.link, &expected) {
            return Err(self.broken(fault, Outcome::NotSent, started));
        }
        let recallable = facts.recallable && total == 1 && !self.state.holds_state();
        let blocks = if recallable { self.greeting.client_id.unwrap_or(0) } else { 0 };
        let waited = self.admission.enter(blocks, deadline);
        if waited.map_err(|refusal| self.refused(refusal, started))? {
            expected.quick = false;
            // A fence also stands for a server that cuts its connections.
            if self.link.stream.peek() == Peek::Over {
                self.admission.unblocks();
                return Err(self.broken(Fault::Closed, Outcome::NotSent, started));
            }
        }

        self.clean = false;
        self.admission.begins(facts.commands as u64);
        let mut sent = 0;
        let mut got = 0;
        let mut called_back = false;
        let mut overlapped = false;
        let told = &mut self.told;
        let state = &mut self.state;
        let mut effects = facts.effects.iter();
        let mut next_effect = effects.next();
        let mut confirmations = Vec::new();
        let mut reset = false;
        let gate = &*self.gate;
        let admission = &self.admission;
        let after_sending = || overlapped = !gate.is_still_open();
        let take = |reply: F::Reply<'_>| {
            if recallable && admission.is_called_back() && reply.is_call_back() {
                called_back = true;
                return;
            }
            let mut of_exec = false;
            if let Some(&(index, effect)) = next_effect
                && index == got
            {
                next_effect = effects.next();
                // Only the reply to EXEC has errors inside that concern the server's role.
                of_exec = effect == Effect::Exec;
                if of_exec && state.queues_subscription() {
                    confirmations.extend(reply.confirmations());
                }
                let answer = reply.answer();
                reset |= effect == Effect::Reset && answer == Answer::Accepted;
                state.answered(effect, answer);
            }
            if let Some(found) = reply.distress(of_exec) {
                told.note(found);
            }
            take(got, reply);
            got += 1;
        };
        let result =
            form.converse(&mut self.link, packed, &expected, &mut sent, after_sending, take);
        if recallable {
            self.admission.unblocks();
        }
        if let Err(fault) = result {
            let outcome = if sent == 0 { Outcome::NotSent } else { Outcome::Unknown };
            return Err(self.broken(fault, outcome, started));
        }
        if called_back {
            self.admission.gives_up();
            self.clean = true;
            return Ok(Attempt::CalledBack);
        }
        if overlapped || self.gate.is_overdue() {
            self.await_outcome(deadline, started, Instant::now())?;
        }
        self.admission.ends();
        self.settle(&facts, confirmations, reset);
        Ok(Attempt::Answered)
    }

    /// For a command that was being sent while the fence went up, or whose reply came long after: the
    /// reply counts when the server stays what it was, or became something else only later.
    #[cold]
    fn await_outcome(
        &mut self,
        deadline: Option<Instant>,
        started: Instant,
        replied: Instant,
    ) -> Result<(), Error> {
        match self.gate.outcome(deadline) {
            Passing::Lifted => Ok(()),
            Passing::Retired { since: Some(since) } if replied + REPLICATED <= since => Ok(()),
            Passing::Retired { .. } => Err(self.broken(Fault::Closed, Outcome::Unknown, started)),
            Passing::Late => {
                let why = self.gate.why();
                self.link.stream.socket().shutdown();
                Err(Error::with(
                    ErrorKind::Fenced,
                    Outcome::Unknown,
                    format!(
                        "{}: {why}, and the command was answered meanwhile: it has run, but what it \
                         wrote may be lost; look before sending it again",
                        self.address
                    ),
                    None,
                ))
            }
        }
    }

    /// Refuses what would leave the connection unreadable. Nothing has been sent yet.
    #[cold]
    fn unfollowable(&self, facts: &Facts, total: usize) -> Error {
        let cause = if self.state.is_monitoring() {
            "a MONITOR is under way, and replies cannot be told from what it reports; nothing was sent: \
             receive as a stream, and take another handle for commands"
                .to_owned()
        } else if facts.monitors {
            "MONITOR was not sent: it is answered without end; send it as a stream, and receive what it \
             reports in the same way"
                .to_owned()
        } else if let Some(name) = facts.unfollowable {
            format!(
                "{name} was not sent: its replies cannot be told from those of other commands; use \
                 a connection of its own, by redis::Client"
            )
        } else if facts.malformed {
            "what was to be sent is no command, so nothing was sent; check how it is encoded"
                .to_owned()
        } else if facts.commands != total {
            format!(
                "{} packed commands were given where {total} replies are expected, so nothing was \
                 sent; check the bytes and the count",
                facts.commands
            )
        } else {
            "a pipeline with a (P|S)(UN)SUBSCRIBE was not sent: such commands are answered once a \
             channel; send them on their own"
                .to_owned()
        };
        Error::new(ErrorKind::InvalidConfig, format!("{}: {cause}", self.address))
    }

    #[cold]
    fn too_late(&self) -> Error {
        Error::new(
            ErrorKind::CommandTimeout,
            format!(
                "{}: the deadline had passed before the command was sent; give it more time",
                self.address
            ),
        )
    }

    /// Opens the connection for the next command. `confirmations` came inside a reply to EXEC.
    #[inline]
    fn settle(&mut self, facts: &Facts, confirmations: Vec<Value>, reset: bool) {
        self.clean = true;
        if facts.effects.is_empty() && !facts.quits {
            return;
        }
        for confirmation in confirmations {
            self.link.inbox.sort(confirmation, true);
        }
        if reset {
            self.link.inbox.forget_subscriptions();
        }
        if facts.subscription.is_some() {
            self.state.subscribed = self.link.inbox.has_subscriptions();
        }
        if facts.quits {
            self.clean = false;
            self.link.stream.socket().shutdown();
        }
    }

    #[cold]
    fn refused(&self, refusal: Refusal, started: Instant) -> Error {
        match refusal {
            Refusal::Retired => self.unusable(),
            Refusal::Fenced => Error::new(
                ErrorKind::Fenced,
                format!(
                    "{}: {}, so the command waited behind the fence for {}; it was not sent, send it \
                     again",
                    self.address,
                    self.gate.why(),
                    shown(started.elapsed())
                ),
            ),
        }
    }

    /// The error of a command that comes after the end.
    #[cold]
    fn unusable(&self) -> Error {
        if self.gate.is_retired() {
            let lost = match self.state.held() {
                Some(held) => format!(", and {held} went with it"),
                None => String::new(),
            };
            return Error::new(
                ErrorKind::Switched,
                format!(
                    "{} is no longer the server to talk to{lost}; the command was not sent, take a \
                     new handle",
                    self.address
                ),
            );
        }
        Error::new(
            ErrorKind::Disconnected,
            format!(
                "{}: the connection broke earlier; the command was not sent, take a new handle",
                self.address
            ),
        )
    }

    /// Ends the connection, and says why.
    #[cold]
    fn broken(&mut self, fault: Fault, outcome: Outcome, started: Instant) -> Error {
        self.clean = false;
        self.admission.gives_up();
        self.link.stream.socket().shutdown();
        let next = match outcome {
            Outcome::NotSent => "the command was not sent, send it again on a new handle",
            _ => "the command may have run, so look before sending it again",
        };
        let address = &self.address;
        let (kind, cause) = match &fault {
            // Whatever it looked like from here: the shutdown at the retirement caused it, or would
            // have.
            _ if self.gate.is_retired() => (
                ErrorKind::Switched,
                format!("{address} was replaced while a command was on its way"),
            ),
            Fault::Io(error) => {
                (ErrorKind::Disconnected, format!("{address}: the connection broke: {error}"))
            }
            Fault::Closed => (
                ErrorKind::Disconnected,
                format!("{address}: the server closed the connection before it replied"),
            ),
            Fault::Late => (
                ErrorKind::CommandTimeout,
                format!("{address}: no reply within {}", shown(started.elapsed())),
            ),
            Fault::Protocol(error) => (ErrorKind::Protocol, format!("{address} sent {error}")),
        };
        let source: Option<Box<dyn std::error::Error + Send + Sync>> = match fault {
            Fault::Io(error) => Some(Box::new(error)),
            Fault::Protocol(error) => Some(Box::new(error)),
            Fault::Closed | Fault::Late => None,
        };
        Error::with(kind, outcome, format!("{cause}; {next}"), source)
    }
}

/// The condition of the server according to its replies.
#[derive(Default)]
struct Told {
    /// The last of them that was not reported yet.
    news: Option<Distress>,
    /// The last of them after which another connection may do better.
    lasting: Option<Distress>,
}

impl Told {
    #[cold]
    fn note(&mut self, distress: Distress) {
        self.news = Some(distress);
        if distress.is_of_the_connection() {
            self.lasting = Some(distress);
        }
    }
}

/// What was answered so long before a server was replaced has reached its replicas, as surely as
/// what was answered before anybody thought of replacing it.
const REPLICATED: Duration = Duration::from_millis(20);

/// What is to be sent, and which replies are wanted.
#[derive(Clone, Copy)]
struct Request<'p> {
    packed: &'p [u8],
    /// It is a single command, which was encoded for this call.
    one: bool,
    /// So many commands come before those whose replies are wanted.
    offset: usize,
    /// How many replies are wanted; as many as there are commands if nothing is said.
    count: Option<usize>,
    /// Until when; the command timeout holds if nothing is said.
    deadline: Option<Instant>,
}

impl<'p> Request<'p> {
    #[inline]
    fn one(packed: &'p [u8]) -> Request<'p> {
        Request { one: true, count: Some(1), ..Request::all(packed) }
    }

    #[inline]
    fn all(packed: &'p [u8]) -> Request<'p> {
        Request { packed, one: false, offset: 0, count: None, deadline: None }
    }

    #[inline]
    fn facts(&self, in_multi: bool) -> Facts {
        if self.one {
            Facts::of_one(self.packed, in_multi)
        } else {
            Facts::of(self.packed, in_multi)
        }
    }
}

/// How a command that was sent ended without an error.
enum Attempt {
    Answered,
    /// The server was asked to end a blocking command, and it says that it did nothing.
    CalledBack,
}

/// A duration as it stands in a message: `500 ms`, `2 s`.
fn shown(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 10_000 && !millis.is_multiple_of(1000) {
        format!("{millis} ms")
    } else {
        format!("{} s", duration.as_secs())
    }
}
