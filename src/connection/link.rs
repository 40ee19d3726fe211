//! [`Link`]: bytes out and values in over a [`Stream`]; the waiting, the deadlines, and the order.

use std::{
    io,
    time::{Duration, Instant},
};

use redis::Value;

use super::{
    handshake::{Greeting, Handshake},
    inbox::{Inbox, Mail},
    settings::Settings,
    stream::{Interest, Stream},
    wire::{Decoder, Limits, ProtocolError},
};
use crate::{address::Address, error::Error};

/// A part of the command timeout that a wait may overrun: 1/8.
const SLACK: u32 = 8;

/// Why an exchange ended before its replies were there.
pub(super) enum Fault {
    Io(io::Error),
    /// The peer ended the stream.
    Closed,
    Late,
    Protocol(ProtocolError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        // Ours has no number. The system's own (ETIMEDOUT) says that the peer acknowledges nothing.
        match error.kind() {
            io::ErrorKind::TimedOut if error.raw_os_error().is_none() => Fault::Late,
            _ => Fault::Io(error),
        }
    }
}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Fault {
        Fault::Protocol(error)
    }
}

/// What an exchange waits for.
pub(super) struct Expected {
    pub(super) replies: usize,
    /// Confirmations that make up the one reply to a subscription command.
    pub(super) confirmations: usize,
    /// Whether arrays may be messages.
    pub(super) subscribing: bool,
    /// Whether the socket's own timeout is the deadline.
    pub(super) quick: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) started: Instant,
}

impl Expected {
    /// For a peer that keeps bytes coming, whom no wait would find late.
    fn check(&self, now: Instant) -> Result<(), Fault> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(Fault::Late),
            _ => Ok(()),
        }
    }
}

/// A stream and what is read from it.
pub(super) struct Link {
    pub(super) stream: Stream,
    pub(super) decoder: Decoder,
    pub(super) inbox: Inbox,
}

impl Link {
    pub(super) fn new(stream: Stream, limits: Limits) -> Link {
        Link { stream, decoder: Decoder::new(limits), inbox: Inbox::default() }
    }

    /// Sends everything and reads every reply, in the order in which the server makes that
    /// possible. `sent` counts the bytes that were accepted, however it ends; `after_sending` is
    /// called when that is all of them.
    pub(super) fn converse(
        &mut self,
        packed: &[u8],
        expected: &Expected,
        sent: &mut usize,
        after_sending: impl FnOnce(),
        mut take: impl FnMut(Value),
    ) -> Result<(), Fault> {
        let mut pending =
            Pending { replies: expected.replies, confirmations: expected.confirmations };
        let mut timed = expected.quick;
        while *sent < packed.len() {
            match self.stream.send_now(&packed[*sent..]) {
                Ok(accepted) => *sent += accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    timed = false;
                    // The server takes no more; perhaps because it waits for us to take replies.
                    self.stream.wait(Interest::Both, expected.deadline)?;
                    match self.stream.recv_now(self.decoder.room()) {
                        Ok(0) => return Err(Fault::Closed),
                        Ok(_) => self.drain(&mut pending, expected, &mut take)?,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error.into()),
                    }
                    if pending.replies == 0 {
                        // To a command that has not all been sent.
                        return Err(ProtocolError::unasked().into());
                    }
                    expected.check(Instant::now())?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        after_sending();
        // recv with the socket's own timeout saves a poll. Its time starts anew with every call,
        // so only while a small part of the command's time has gone: the overrun is at most that.
        let slack = expected
            .deadline
            .map_or(Duration::ZERO, |deadline| deadline.duration_since(expected.started) / SLACK);
        while pending.replies > 0 {
            let received = if timed {
                self.stream.recv(self.decoder.room())
            } else {
                self.receive(expected.deadline)
            };
            match received {
                Ok(0) => return Err(Fault::Closed),
                Ok(_) => self.drain(&mut pending, expected, &mut take)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Fault::Late),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if pending.replies > 0 {
                let now = Instant::now();
                expected.check(now)?;
                timed &= now.duration_since(expected.started) < slack;
            }
        }
        Ok(())
    }

    /// Greets the server.
    pub(super) fn greet(
        &mut self,
        address: &Address,
        settings: &Settings,
        deadline: Instant,
    ) -> Result<Greeting, Ungreeted> {
        let mut handshake = Handshake::new(address, settings).for_commands();
        let mut out = Vec::new();
        handshake.start(&mut out);
        loop {
            let mut rest = &out[..];
            while !rest.is_empty() {
                match self.stream.send_now(rest) {
                    Ok(sent) => rest = &rest[sent..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.stream.wait(Interest::Write, Some(deadline))?;
                    }
                    // A server without a connection left says so and hangs up, before it was asked.
                    Err(error) if hung_up(&error) => break,
                    Err(error) => return Err(Fault::from(error).into()),
                }
            }
            out.clear();
            while out.is_empty() {
                let Some(value) = self.decoder.next()? else {
                    if self.receive(Some(deadline))? == 0 {
                        return Err(Fault::Closed.into());
                    }
                    if Instant::now() >= deadline {
                        return Err(Fault::Late.into());
                    }
                    continue;
                };
                if let Value::Push { .. } = value {
                    self.inbox.keep(value);
                    continue;
                }
                match handshake.reply(value, &mut out) {
                    Ok(Some(greeting)) => return Ok(greeting),
                    Ok(None) => {}
                    Err(error) => return Err(Ungreeted::Refused(error)),
                }
            }
        }
    }

    /// Puts away what the server has sent since the last reply; a reply is not to be among it.
    pub(super) fn clear(&mut self, subscribing: bool) -> Result<(), Fault> {
        while !self.decoder.is_empty() {
            // The beginning of a message stays; its rest comes before the next reply.
            let Some(value) = self.decoder.next()? else { break };
            match self.inbox.sort(value, subscribing) {
                Mail::Kept => {}
                Mail::Confirmation(value) => self.inbox.keep(value),
                Mail::Reply(_) => return Err(ProtocolError::unasked().into()),
            }
        }
        Ok(())
    }

    /// Receives something within the deadline.
    pub(super) fn receive(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        loop {
            match self.stream.recv_now(self.decoder.room()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            self.stream.wait(Interest::Read, deadline)?;
        }
    }

    #[inline]
    fn drain(
        &mut self,
        pending: &mut Pending,
        expected: &Expected,
        take: &mut impl FnMut(Value),
    ) -> Result<(), Fault> {
        // What comes after the last reply is looked at before the next command.
        while pending.replies > 0 {
            let reply = match self.decoder.next_plain() {
                // Neither a message nor a confirmation, so it need not be sorted.
                Some(reply) => reply,
                None => {
                    let Some(value) = self.decoder.next()? else { break };
                    match self.inbox.sort(value, expected.subscribing) {
                        Mail::Kept => continue,
                        // The last confirmation is the reply: it tells how many subscriptions
                        // there are.
                        Mail::Confirmation(value) if pending.confirmations == 1 => value,
                        Mail::Confirmation(value) => {
                            pending.confirmations = pending.confirmations.saturating_sub(1);
                            self.inbox.keep(value);
                            continue;
                        }
                        // Perhaps an error in place of the confirmations.
                        Mail::Reply(value) => value,
                    }
                }
            };
            *pending = Pending { replies: pending.replies - 1, confirmations: 0 };
            take(reply);
        }
        Ok(())
    }
}

/// Whether the peer ended the connection without a word: what it said before can still be read.
fn hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

/// The replies that are still to come.
struct Pending {
    replies: usize,
    confirmations: usize,
}

/// How a handshake failed.
pub(super) enum Ungreeted {
    Refused(Error),
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for Ungreeted {
    fn from(fault: F) -> Ungreeted {
        Ungreeted::Fault(fault.into())
    }
}
