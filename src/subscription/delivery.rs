//! What a subscription yields: [`Delivery`], a [`Message`] or a [`Gap`].

use std::{borrow::Cow, fmt, time::Instant};

use redis::{FromRedisValue, RedisResult, Value};

use super::Kind;
use crate::error::Error;

/// One item of a [`Subscription`](crate::Subscription).
#[derive(Clone, Debug)]
pub enum Delivery {
    /// Somebody published it.
    Message(Message),
    /// Messages may be missing here.
    Gap(Gap),
    /// The server refused a channel or pattern after the call that asked for it had returned.
    Refused(Refusal),
}

impl Delivery {
    /// The message, if it is one.
    pub fn message(self) -> Option<Message> {
        match self {
            Delivery::Message(message) => Some(message),
            Delivery::Gap(_) | Delivery::Refused(_) => None,
        }
    }

    /// The gap, if it is one.
    pub fn gap(self) -> Option<Gap> {
        match self {
            Delivery::Gap(gap) => Some(gap),
            Delivery::Message(_) | Delivery::Refused(_) => None,
        }
    }

    /// The refusal, if it is one.
    pub fn refusal(self) -> Option<Refusal> {
        match self {
            Delivery::Refused(refusal) => Some(refusal),
            Delivery::Message(_) | Delivery::Gap(_) => None,
        }
    }
}

/// What somebody published on a channel.
#[derive(Clone, PartialEq)]
pub struct Message {
    pub(super) channel: Vec<u8>,
    pub(super) pattern: Option<Vec<u8>>,
    pub(super) payload: Value,
    pub(super) generation: u64,
}

impl Message {
    /// The channel that it was published on. What is not UTF-8 in it is replaced; see
    /// [`Message::channel_bytes`].
    pub fn channel(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.channel)
    }

    /// The channel that it was published on, to the byte.
    pub fn channel_bytes(&self) -> &[u8] {
        &self.channel
    }

    /// The pattern that it came for; `None` when it came for the channel's name. A message on a
    /// channel that is subscribed to both ways, or by two patterns, comes once for each.
    pub fn pattern(&self) -> Option<Cow<'_, str>> {
        self.pattern.as_deref().map(String::from_utf8_lossy)
    }

    /// The pattern that it came for, to the byte.
    pub fn pattern_bytes(&self) -> Option<&[u8]> {
        self.pattern.as_deref()
    }

    /// What was published, as the type that is asked for.
    ///
    /// # Errors
    /// When it does not convert to that type.
    pub fn payload<T: FromRedisValue>(&self) -> RedisResult<T> {
        Ok(T::from_redis_value_ref(&self.payload)?)
    }

    /// What was published, to the byte.
    pub fn payload_bytes(&self) -> &[u8] {
        match &self.payload {
            Value::BulkString(bytes) => bytes,
            // Nothing else becomes a message.
            _ => &[],
        }
    }

    /// The number of the generation whose master sent it.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("channel", &self.channel())
            .field("pattern", &self.pattern())
            .field("payload", &String::from_utf8_lossy(self.payload_bytes()))
            .field("generation", &self.generation)
            .finish()
    }
}

/// A place in the stream at which messages may be missing: the subscription's connection was lost,
/// and now everything is subscribed again on another.
///
/// There is one for each such interval, after the last message from before it and before the first
/// from after it. It comes when every channel and pattern has been confirmed, so **what is published
/// from now on arrives**. A program that keeps something up to date by messages reads it anew when
/// it meets a gap, and has missed nothing then.
///
/// What was missed is whatever was published between the loss of the old connection and `at`.
/// Redis keeps no message for later: one that was published to the new master after its promotion and
/// before `at` found nobody there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Gap {
    /// When the loss was noticed. Messages may be missing from before that, too: from a connection
    /// that went silent, since it last carried something.
    pub lost_at: Instant,
    /// When everything was subscribed again.
    pub at: Instant,
    /// The generation before. Unless the next number is the same, the master was replaced in between.
    pub from_generation: u64,
    /// The generation whose master sends the messages from here on.
    pub to_generation: u64,
    /// Why the connection was lost.
    pub reason: GapReason,
    /// The same, in words, with the address of the server.
    pub error: Error,
}

impl fmt::Display for Gap {
    /// In one line, for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.at.saturating_duration_since(self.lost_at);
        write!(f, "messages may be missing for {length:.1?}, {}: {}", self.reason, self.error)
    }
}

/// A channel or pattern that the server refused, after
/// [`Subscription::subscribe`](crate::Subscription::subscribe) or
/// [`psubscribe`](crate::Subscription::psubscribe) had returned without its answer.
///
/// The subscription no longer asks for it, and its other channels are not affected. The server refuses
/// all names of one call together. It does so where the user's ACL (`resetchannels`, `&pattern`) does not
/// allow one of them.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub(super) kind: Kind,
    pub(super) name: Vec<u8>,
    pub(super) generation: u64,
    pub(super) error: Error,
}

impl Refusal {
    /// The refused channel; `None` where a pattern was refused. Replaces bytes that are not UTF-8; see
    /// [`Refusal::channel_bytes`].
    pub fn channel(&self) -> Option<Cow<'_, str>> {
        self.channel_bytes().map(String::from_utf8_lossy)
    }

    /// The bytes of the refused channel; `None` where a pattern was refused.
    pub fn channel_bytes(&self) -> Option<&[u8]> {
        (self.kind == Kind::Channel).then_some(&self.name)
    }

    /// The refused pattern; `None` where a channel was refused. Replaces bytes that are not UTF-8; see
    /// [`Refusal::pattern_bytes`].
    pub fn pattern(&self) -> Option<Cow<'_, str>> {
        self.pattern_bytes().map(String::from_utf8_lossy)
    }

    /// The bytes of the refused pattern; `None` where a channel was refused.
    pub fn pattern_bytes(&self) -> Option<&[u8]> {
        (self.kind == Kind::Pattern).then_some(&self.name)
    }

    /// The number of the generation whose master refused it.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The server's answer, [`Permission`](crate::ErrorKind::Permission) for `NOPERM`, with the address of
    /// the server.
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl fmt::Display for Refusal {
    /// One line, for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Channel => "channel",
            Kind::Pattern => "pattern",
        };
        write!(
            f,
            "no longer subscribed to the {kind} {:?}: ",
            String::from_utf8_lossy(&self.name)
        )?;
        self.error.fmt(f)
    }
}

/// Why a subscription's connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The factory switched to another master.
    Switched,
    /// The connection broke, or the server closed it: it died, somebody used `CLIENT KILL`, or the
    /// program read too slowly and the server's `client-output-buffer-limit` was reached.
    Disconnected,
    /// The server did not answer: it is frozen, or the network swallows what it sends.
    Silent,
    /// The server sent something that is no message.
    Protocol,
}

impl GapReason {
    /// A short stable name, as used in reports: `switched`, `disconnected`, `silent`, `protocol`.
    pub fn as_str(self) -> &'static str {
        match self {
            GapReason::Switched => "switched",
            GapReason::Disconnected => "disconnected",
            GapReason::Silent => "silent",
            GapReason::Protocol => "protocol",
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
