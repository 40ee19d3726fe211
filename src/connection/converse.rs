//! One exchange on a link: commands out, replies in, in the order in which the server makes that
//! possible. In what form the replies are kept is up to the [`Form`].

use std::{
    io,
    time::{Duration, Instant},
};

use redis::Value;

use super::{
    inbox::{Inbox, Mail},
    link::{Fault, Link},
    replies::Reply,
    stream::{Interest, Stream},
    wire::{Decoder, ProtocolError, RawReplies, RawReply},
};

/// A part of the command timeout that a wait may overrun: 1/8.
const SLACK: u32 = 8;

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
    /// How long the socket's own timeout may be the deadline anew.
    fn slack(&self) -> Duration {
        self.deadline.map_or(Duration::ZERO, |end| end.duration_since(self.started) / SLACK)
    }

    /// For a peer that keeps bytes coming, whom no wait would find late.
    fn check(&self, now: Instant) -> Result<(), Fault> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(Fault::Late),
            _ => Ok(()),
        }
    }
}

/// The form in which the replies of an exchange are kept.
pub(super) trait Form {
    type Reply<'r>: Reply;

    /// Takes out, before anything is sent, the bytes that the server sent unasked.
    fn prepare(&mut self, link: &mut Link, expected: &Expected) -> Result<(), Fault>;

    /// Sends everything and reads every reply. `sent` counts the bytes that were accepted, however
    /// it ends; `after_sending` is called when that is all of them.
    fn converse(
        &mut self,
        link: &mut Link,
        packed: &[u8],
        expected: &Expected,
        sent: &mut usize,
        after_sending: impl FnOnce(),
        take: impl FnMut(Self::Reply<'_>),
    ) -> Result<(), Fault>;
}

/// Replies as [`Value`]s, each handed on as it comes.
pub(super) struct Values;

impl Form for Values {
    type Reply<'r> = Value;

    #[inline]
    fn prepare(&mut self, link: &mut Link, expected: &Expected) -> Result<(), Fault> {
        // The beginning of a message stays; its rest comes before the next reply.
        link.clear(expected.subscribing)
    }

    #[inline]
    fn converse(
        &mut self,
        link: &mut Link,
        packed: &[u8],
        expected: &Expected,
        sent: &mut usize,
        after_sending: impl FnOnce(),
        take: impl FnMut(Value),
    ) -> Result<(), Fault> {
        let Link { stream, decoder, inbox } = link;
        converse(stream, decoder, inbox, packed, expected, sent, after_sending, take)
    }
}

/// Replies as the bytes that came, all kept.
impl Form for RawReplies {
    type Reply<'r> = RawReply<'r>;

    #[inline]
    fn prepare(&mut self, link: &mut Link, expected: &Expected) -> Result<(), Fault> {
        self.clear();
        link.clear(expected.subscribing)?;
        // Its rest would come here, and its beginning is there.
        link.hear_out(expected.subscribing, expected.deadline)
    }

    #[inline]
    fn converse(
        &mut self,
        link: &mut Link,
        packed: &[u8],
        expected: &Expected,
        sent: &mut usize,
        after_sending: impl FnOnce(),
        take: impl FnMut(RawReply<'_>),
    ) -> Result<(), Fault> {
        let Link { stream, decoder, inbox } = link;
        converse(stream, self, inbox, packed, expected, sent, after_sending, take)?;
        self.take_rest(decoder);
        Ok(())
    }
}

/// What received bytes go into, and replies come out of.
trait Intake {
    type Reply<'r>
    where
        Self: 'r;

    /// To whose end the next bytes are appended.
    fn room(&mut self) -> &mut Vec<u8>;

    /// Returns the next value when it is complete. The inbox counts values that are not replies. `last` is
    /// true when the next confirmation is the reply.
    fn next(
        &mut self,
        inbox: &mut Inbox,
        subscribing: bool,
        last: bool,
    ) -> Result<Option<Next<Self::Reply<'_>>>, ProtocolError>;
}

enum Next<R> {
    Reply(R),
    /// One of several that make up the reply.
    Confirmation,
    Unasked,
}

impl Intake for Decoder {
    type Reply<'r> = Value;

    #[inline]
    fn room(&mut self) -> &mut Vec<u8> {
        Decoder::room(self)
    }

    #[inline]
    fn next(
        &mut self,
        inbox: &mut Inbox,
        subscribing: bool,
        last: bool,
    ) -> Result<Option<Next<Value>>, ProtocolError> {
        // Neither a message nor a confirmation, so it need not be sorted.
        if let Some(reply) = self.next_plain() {
            return Ok(Some(Next::Reply(reply)));
        }
        let Some(value) = Decoder::next(self)? else { return Ok(None) };
        Ok(Some(match inbox.sort(value, subscribing) {
            Mail::Message => Next::Unasked,
            // The last confirmation is the reply: it tells how many subscriptions there are.
            Mail::Confirmation(value) if last => Next::Reply(value),
            Mail::Confirmation(_) => Next::Confirmation,
            // Perhaps an error in place of the confirmations.
            Mail::Reply(value) => Next::Reply(value),
        }))
    }
}

impl Intake for RawReplies {
    type Reply<'r> = RawReply<'r>;

    #[inline]
    fn room(&mut self) -> &mut Vec<u8> {
        RawReplies::room(self)
    }

    #[inline]
    fn next(
        &mut self,
        inbox: &mut Inbox,
        subscribing: bool,
        last: bool,
    ) -> Result<Option<Next<RawReply<'_>>>, ProtocolError> {
        let Some(reply) = self.find()? else { return Ok(None) };
        if !reply.may_be_mail(subscribing) {
            return Ok(self.last().map(Next::Reply));
        }
        Ok(match inbox.sort(self.last_value()?, subscribing) {
            Mail::Message => {
                self.withdraw();
                Some(Next::Unasked)
            }
            Mail::Confirmation(_) if !last => {
                self.withdraw();
                Some(Next::Confirmation)
            }
            Mail::Confirmation(_) | Mail::Reply(_) => self.last().map(Next::Reply),
        })
    }
}

/// The replies that are still to come.
struct Pending {
    replies: usize,
    confirmations: usize,
}

#[allow(
    clippy::too_many_arguments,
    reason = "three are the parts of a link, apart to be borrowed apart"
)]
#[inline]
fn converse<I: Intake>(
    stream: &mut Stream,
    intake: &mut I,
    inbox: &mut Inbox,
    packed: &[u8],
    expected: &Expected,
    sent: &mut usize,
    after_sending: impl FnOnce(),
    mut take: impl FnMut(I::Reply<'_>),
) -> Result<(), Fault> {
    let mut pending = Pending { replies: expected.replies, confirmations: expected.confirmations };
    let mut timed = expected.quick;
    while *sent < packed.len() {
        match stream.send_now(&packed[*sent..]) {
            Ok(accepted) => *sent += accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                timed = false;
                // The server takes no more; perhaps because it waits for us to take replies.
                stream.wait(Interest::Both, expected.deadline)?;
                match stream.recv_now(intake.room()) {
                    Ok(0) => return Err(Fault::Closed),
                    Ok(_) => drain(intake, inbox, &mut pending, expected, &mut take)?,
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
    while pending.replies > 0 {
        let received = if timed {
            stream.recv(intake.room())
        } else {
            stream.recv_until(intake.room(), expected.deadline)
        };
        match received {
            Ok(0) => return Err(Fault::Closed),
            Ok(_) => drain(intake, inbox, &mut pending, expected, &mut take)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Fault::Late),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if pending.replies > 0 {
            let now = Instant::now();
            expected.check(now)?;
            timed &= now.duration_since(expected.started) < expected.slack();
        }
    }
    Ok(())
}

#[inline]
fn drain<I: Intake>(
    intake: &mut I,
    inbox: &mut Inbox,
    pending: &mut Pending,
    expected: &Expected,
    take: &mut impl FnMut(I::Reply<'_>),
) -> Result<(), Fault> {
    // What comes after the last reply is looked at before the next command.
    while pending.replies > 0 {
        let last = pending.confirmations == 1;
        match intake.next(inbox, expected.subscribing, last)? {
            None => break,
            Some(Next::Unasked) => {}
            Some(Next::Confirmation) => {
                pending.confirmations = pending.confirmations.saturating_sub(1);
            }
            Some(Next::Reply(reply)) => {
                *pending = Pending { replies: pending.replies - 1, confirmations: 0 };
                take(reply);
            }
        }
    }
    Ok(())
}
