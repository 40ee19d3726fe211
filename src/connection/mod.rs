//! One socket to one server: dial, greet, send, receive.
//!
//! Nothing here knows of sentinels, pools or topology. A [`Connection`] belongs to a [`Gate`], which
//! is asked before each command and can end every connection of its generation at once.

mod command;
mod dial;
mod gate;
mod handshake;
mod role;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{ServerError, Value};

use self::{
    command::{Blocking, Facts, State},
    gate::{Admission, Refusal},
    stream::{Interest, Socket, Stream},
};
pub(crate) use self::{
    gate::Gate,
    handshake::{Greeting, Handshake},
    role::Role,
    wire::{Decoder, Limits},
};
pub(crate) use crate::config::Protocol;
use crate::{
    address::Address,
    config::Secret,
    error::{Error, ErrorKind, Outcome},
};

/// How to talk to a server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) db: i64,
    pub(crate) client_name: Option<String>,
    /// What is asked for; a server that does not know RESP3 is spoken to in RESP2.
    pub(crate) protocol: Protocol,
    /// For connecting and greeting together.
    pub(crate) dial_timeout: Duration,
    /// For a command, from its sending to the last byte of its reply.
    pub(crate) command_timeout: Duration,
    /// How long sent bytes may go without an acknowledgement (TCP_USER_TIMEOUT, Linux).
    pub(crate) user_timeout: Duration,
    pub(crate) limits: Limits,
    /// Whether a server that refuses ROLE is refused, too.
    pub(crate) role_required: bool,
}

/// The replies to a pipeline.
pub(crate) struct Replies {
    /// The first error among the replies that were to be skipped (a command that was not queued).
    pub(crate) skipped_error: Option<ServerError>,
    pub(crate) values: Vec<Value>,
}

/// One connection to one server, greeted.
pub(crate) struct Connection {
    address: Address,
    stream: Stream,
    decoder: Decoder,
    gate: Arc<Gate>,
    _admission: Admission,
    greeting: Greeting,
    state: State,
    command_timeout: Duration,
    /// Cleared by the first failure, and while replies are outstanding: what was half read is never
    /// read on.
    open: bool,
}

impl Connection {
    /// Dials and greets, within the dial timeout and until `deadline`.
    ///
    /// # Errors
    /// Always `NotSent`, naming the address: `Switched` when the gate retires meanwhile, and what the
    /// network or the server says.
    pub(crate) fn open(
        address: &Address,
        settings: &Settings,
        gate: &Arc<Gate>,
        deadline: Instant,
    ) -> Result<Connection, Error> {
        let deadline = deadline.min(Instant::now() + settings.dial_timeout);
        let (socket, admission) =
            Socket::dial(address, deadline, Some(settings.user_timeout), |socket| {
                gate.admit(socket).map_err(|_| retired(address, Outcome::NotSent))
            })?;
        let mut connection = Connection {
            address: address.clone(),
            stream: Stream::Plain(socket),
            decoder: Decoder::new(settings.limits),
            gate: gate.clone(),
            _admission: admission,
            greeting: Greeting { protocol: settings.protocol, role: None },
            state: State::new(settings.db),
            command_timeout: settings.command_timeout,
            open: false,
        };
        connection.greeting = connection.greet(settings, deadline).map_err(|error| {
            Error::with(
                error.kind(),
                Outcome::NotSent,
                format!("{address}: {error}"),
                Some(Box::new(error)),
            )
        })?;
        // Set once: with it a command is one send and one receive, and no poll in between.
        let timeout = Some(settings.command_timeout);
        connection
            .stream
            .socket()
            .set_recv_timeout(timeout)
            .map_err(|error| Error::new(ErrorKind::Disconnected, format!("{address}: {error}")))?;
        connection.open = true;
        Ok(connection)
    }

    fn greet(&mut self, settings: &Settings, deadline: Instant) -> Result<Greeting, Error> {
        let mut handshake = Handshake::new(settings);
        let mut out = Vec::new();
        handshake.start(&mut out);
        loop {
            if !out.is_empty() {
                self.send(&out, Some(deadline), &mut VecDeque::new(), 0)
                    .map_err(|failure| self.explain(failure, settings.dial_timeout))?;
                out.clear();
            }
            let value = self
                .receive(Some(deadline))
                .map_err(|failure| self.explain(failure, settings.dial_timeout))?;
            if let Some(greeting) = handshake.reply(value, &mut out)? {
                return Ok(greeting);
            }
        }
    }

    pub(crate) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Whether another command may be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Gives the connection up; the descriptor closes with its owner.
    pub(crate) fn close(&mut self) {
        self.open = false;
        self.stream.socket().shutdown();
    }

    /// A look at an idle connection: nothing unread, not ended by the peer.
    pub(crate) fn peek_alive(&self) -> bool {
        self.open && self.decoder.is_empty() && self.stream.socket().peek_alive()
    }

    /// Sends one packed command and receives its reply.
    ///
    /// Blocks for at most the command timeout; a blocking command for its own timeout on top.
    pub(crate) fn request(&mut self, packed: &[u8]) -> Result<Value, Error> {
        let mut reply = None;
        self.exchange(packed, 1, |_, value| reply = Some(value))?;
        reply.ok_or_else(|| {
            Error::with(ErrorKind::Internal, Outcome::Unknown, "an exchange without a reply", None)
        })
    }

    /// Sends packed commands, skips `offset` replies and gives the `count` that follow.
    pub(crate) fn request_many(
        &mut self,
        packed: &[u8],
        offset: usize,
        count: usize,
    ) -> Result<Replies, Error> {
        let mut replies =
            Replies { skipped_error: None, values: Vec::with_capacity(count.min(1 << 16)) };
        self.exchange(packed, offset.saturating_add(count), |index, value| match value {
            value if index >= offset => replies.values.push(value),
            Value::ServerError(error) if replies.skipped_error.is_none() => {
                replies.skipped_error = Some(error);
            }
            _ => {}
        })?;
        Ok(replies)
    }

    fn exchange(
        &mut self,
        packed: &[u8],
        replies: usize,
        mut take: impl FnMut(usize, Value),
    ) -> Result<(), Error> {
        if !self.open {
            return Err(self.not_open());
        }
        let facts = Facts::of(packed, self.state);
        let unfollowable =
            facts.unfollowable.or_else(|| facts.subscription.map(|_| "a subscription"));
        if let Some(what) = unfollowable {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{what} cannot run on a handle: it leaves replies that belong to no command"
                ),
            ));
        }
        let begun = Instant::now();
        let deadline = match facts.blocking {
            None => Some(begun + self.command_timeout),
            Some(Blocking::For(time)) => begun.checked_add(time + self.command_timeout),
            Some(Blocking::Forever) => None,
        };
        // Right before the send: nothing is sent that the gate has not let pass.
        if let Err(refusal) = self.gate.pass(Some(begun + self.command_timeout)) {
            return Err(match refusal {
                Refusal::Retired => self.not_open(),
                Refusal::Fenced => Error::new(
                    ErrorKind::Fenced,
                    format!(
                        "the master {} is about to be replaced and was not within {}",
                        self.address,
                        shown(self.command_timeout)
                    ),
                ),
            });
        }
        self.open = false;
        let waited = deadline.map_or(self.command_timeout, |deadline| deadline - begun);
        let mut early = VecDeque::new();
        if let Err(failure) = self.send(packed, deadline, &mut early, replies) {
            return Err(self.break_off(failure, waited));
        }
        let mut errors = false;
        for index in 0..replies {
            let value = match early.pop_front() {
                Some(value) => value,
                None => {
                    let received = match (index, facts.blocking) {
                        // The socket's own timeout is the deadline: no clock, no poll.
                        (0, None) => self.receive_first(deadline),
                        _ => self.receive(deadline),
                    };
                    match received {
                        Ok(value) => value,
                        Err(failure) => return Err(self.break_off(failure, waited)),
                    }
                }
            };
            errors |= matches!(value, Value::ServerError(_));
            take(index, value);
        }
        self.state = facts.state;
        // Which command the error was for is not known here; the careful answer is that the
        // database is no longer known.
        self.state.other |= errors && facts.selects;
        self.open = !facts.quits;
        Ok(())
    }

    /// Sends everything. Replies that come while the server does not take more are kept: a server
    /// whose client does not read stops reading, too.
    fn send(
        &mut self,
        bytes: &[u8],
        deadline: Option<Instant>,
        early: &mut VecDeque<Value>,
        replies: usize,
    ) -> Result<(), Failure> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.send_now(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream
                        .socket()
                        .wait(Interest::Both, deadline)
                        .map_err(|error| Failure::io(error, sent))?;
                    while early.len() < replies
                        && let Some(value) = self.receive_now().map_err(|f| f.after(sent))?
                    {
                        early.push_back(value);
                    }
                }
                Err(error) => return Err(Failure::io(error, sent)),
            }
        }
        Ok(())
    }

    /// The next reply, when the socket has not been read since the command was sent.
    fn receive_first(&mut self, deadline: Option<Instant>) -> Result<Value, Failure> {
        let received =
            self.stream.recv(self.decoder.room()).map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => Failure::io(io::ErrorKind::TimedOut.into(), 1),
                _ => Failure::io(error, 1),
            })?;
        if received == 0 {
            return Err(Failure::ended());
        }
        match self.decoded()? {
            Some(value) => Ok(value),
            None => self.receive(deadline),
        }
    }

    /// The next reply, waiting for it until the deadline however slowly it comes.
    fn receive(&mut self, deadline: Option<Instant>) -> Result<Value, Failure> {
        loop {
            if let Some(value) = self.receive_now()? {
                return Ok(value);
            }
            let socket = self.stream.socket();
            socket.wait(Interest::Read, deadline).map_err(|error| Failure::io(error, 1))?;
        }
    }

    /// The next reply, if it is there.
    fn receive_now(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            if let Some(value) = self.decoded()? {
                return Ok(Some(value));
            }
            match self.stream.recv_now(self.decoder.room()) {
                Ok(0) => return Err(Failure::ended()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(Failure::io(error, 1)),
            }
        }
    }

    /// The next reply that has arrived whole. Pushes are nobody's reply and are passed over.
    fn decoded(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            match self.decoder.next() {
                Ok(Some(Value::Push { .. })) => {}
                Ok(value) => return Ok(value),
                Err(fault) => return Err(Failure { cause: Cause::Protocol(fault), sent: true }),
            }
        }
    }

    fn not_open(&self) -> Error {
        if self.gate.is_retired() {
            return retired(&self.address, Outcome::NotSent);
        }
        Error::new(ErrorKind::Disconnected, format!("the connection to {} broke", self.address))
    }

    /// Ends the connection after a failure and says what that means for the command.
    fn break_off(&mut self, failure: Failure, waited: Duration) -> Error {
        self.close();
        let outcome = if failure.sent { Outcome::Unknown } else { Outcome::NotSent };
        if self.gate.is_retired() {
            return retired(&self.address, outcome);
        }
        let error = self.explain(failure, waited);
        Error::with(
            error.kind(),
            outcome,
            format!("{}: {error}", self.address),
            Some(Box::new(error)),
        )
    }

    /// A failure in words, without the address.
    fn explain(&self, failure: Failure, waited: Duration) -> Error {
        match failure.cause {
            Cause::Io(error) if error.kind() == io::ErrorKind::TimedOut => Error::new(
                ErrorKind::CommandTimeout,
                format!("no reply within {}; the command may have run", shown(waited)),
            ),
            Cause::Io(error) => Error::with(
                ErrorKind::Disconnected,
                Outcome::NotSent,
                format!("the connection broke: {error}"),
                Some(Box::new(error)),
            ),
            Cause::Ended => Error::new(ErrorKind::Disconnected, "the server closed the connection"),
            Cause::Protocol(fault) => {
                Error::new(ErrorKind::Protocol, format!("the server does not speak RESP: {fault}"))
            }
        }
    }
}

/// Why an exchange failed, and whether any byte of it had been sent.
struct Failure {
    cause: Cause,
    sent: bool,
}

enum Cause {
    Io(io::Error),
    Ended,
    Protocol(wire::ProtocolError),
}

impl Failure {
    fn io(error: io::Error, sent: usize) -> Failure {
        Failure { cause: Cause::Io(error), sent: sent > 0 }
    }

    fn ended() -> Failure {
        Failure { cause: Cause::Ended, sent: true }
    }

    fn after(self, sent: usize) -> Failure {
        Failure { sent: sent > 0, ..self }
    }
}

fn retired(address: &Address, outcome: Outcome) -> Error {
    Error::with(
        ErrorKind::Switched,
        outcome,
        match outcome {
            Outcome::NotSent => {
                format!("the master {address} was replaced before the command was sent")
            }
            _ => format!(
                "the master {address} was replaced while its reply was awaited; the command may have run there"
            ),
        },
        None,
    )
}

/// A duration as it reads best in a message.
pub(crate) fn shown(duration: Duration) -> String {
    format!("{duration:.0?}")
}
