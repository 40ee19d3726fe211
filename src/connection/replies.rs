//! The replies to a pipeline, and what replies tell about the server.

use std::str;

use redis::{RedisError, RedisResult, ServerError, ServerErrorKind, Value};

use super::{
    command::Answer,
    wire::{Limits, RawReply},
};

/// The replies to several commands.
#[derive(Debug)]
pub(crate) struct Replies {
    /// Those that were asked for: the ones after the offset. Error replies are among them.
    pub(crate) values: Vec<Value>,
    /// Error replies before the offset, with their index: refusals of MULTI or of queued commands.
    pub(crate) refused: Vec<(usize, ServerError)>,
}

impl Replies {
    /// As `redis::Pipeline` expects them: refusals of queued commands are the error.
    ///
    /// redis-rs keeps its constructor of that error to itself. This one has the same kind
    /// (`ExecAbort`) and the same text.
    pub(crate) fn into_redis(self) -> RedisResult<Vec<Value>> {
        let Some((first, error)) = self.refused.first() else { return Ok(self.values) };
        if *first == 0 {
            // MULTI itself was refused, and what followed ran on its own, or not at all.
            return Err(error.clone().into());
        }
        let listed: Vec<String> = self
            .refused
            .iter()
            .map(|(index, error)| format!("(Index {}, error: {error})", index - 1))
            .collect();
        Err(RedisError::from((
            ServerErrorKind::ExecAbort.into(),
            "Transaction aborted",
            format!("[{}]", listed.join(", ")),
        )))
    }
}

/// A reply that says that this server is not, or not now, the master that takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distress {
    /// It has become a replica.
    ReadOnly,
    /// It loads its data.
    Loading,
    /// It is a replica that lost its master.
    MasterDown,
    /// A blocked command was ended because the role changed.
    Unblocked,
    /// It has fewer replicas than it wants for a write.
    NoReplicas,
    /// It cannot save its data and takes no writes.
    Misconfigured,
}

impl Distress {
    /// Whether another connection may do better: not when the master itself refuses writes.
    #[inline]
    pub(crate) fn is_of_the_connection(self) -> bool {
        !matches!(self, Distress::NoReplicas | Distress::Misconfigured)
    }

    /// What an error reply tells, if it is one of those.
    pub(crate) fn of(error: &ServerError) -> Option<Distress> {
        match error.code() {
            "EXECABORT" => Distress::in_error(error.details()?.strip_prefix(ABORTED)?.as_bytes()),
            code => Distress::of_code(code),
        }
    }

    /// Reads the text of an error like [`Distress::of`].
    pub(super) fn in_error(error: &[u8]) -> Option<Distress> {
        let text = error.strip_prefix(b"EXECABORT ").unwrap_or(error);
        let text = text.strip_prefix(ABORTED.as_bytes()).unwrap_or(text);
        let code = text.split(|&byte| byte == b' ').next().unwrap_or_default();
        Distress::of_code(str::from_utf8(code).ok()?)
    }

    /// As [`Distress::of`], from the first word of the error.
    fn of_code(code: &str) -> Option<Distress> {
        match code {
            "READONLY" => Some(Distress::ReadOnly),
            "LOADING" => Some(Distress::Loading),
            "MASTERDOWN" => Some(Distress::MasterDown),
            "UNBLOCKED" => Some(Distress::Unblocked),
            "NOREPLICAS" => Some(Distress::NoReplicas),
            "MISCONF" => Some(Distress::Misconfigured),
            _ => None,
        }
    }
}

/// What an exchange has to know of a reply, in whatever form it is kept.
pub(super) trait Reply {
    /// Whether it answers a blocking command that `CLIENT UNBLOCK … ERROR` ended: it has done nothing.
    fn is_call_back(&self) -> bool;

    /// What it tells about the server, or what those replies tell that are in it, if it is EXEC's.
    fn distress(&self, of_exec: bool) -> Option<Distress>;

    /// Returns the answer to a command that changes the state of the connection.
    fn answer(&self) -> Answer;

    /// The confirmations of subscriptions in a reply to EXEC.
    fn confirmations(&self) -> Vec<Value>;
}

/// The elements of a reply that may confirm subscriptions.
fn nested(reply: &Value) -> Vec<Value> {
    match reply {
        Value::Array(items) => items
            .iter()
            .filter(|item| matches!(item, Value::Push { .. } | Value::Array(_)))
            .cloned()
            .collect(),
        Value::Attribute { data, .. } => nested(data),
        _ => Vec::new(),
    }
}

impl Answer {
    /// The meaning of an error reply with this text, or code.
    pub(super) fn of_error(error: &[u8]) -> Answer {
        if error.starts_with(b"EXECABORT") { Answer::Aborted } else { Answer::Refused }
    }
}

impl Reply for Value {
    fn is_call_back(&self) -> bool {
        matches!(self, Value::ServerError(error) if error.code() == "UNBLOCKED"
            && error.details().is_some_and(|details| details.contains(CALL_BACK)))
    }

    #[inline]
    fn distress(&self, of_exec: bool) -> Option<Distress> {
        match self {
            Value::ServerError(error) => Distress::of(error),
            Value::Array(items) if of_exec => items.iter().find_map(|item| match item {
                Value::ServerError(error) => Distress::of(error),
                _ => None,
            }),
            _ => None,
        }
    }

    fn answer(&self) -> Answer {
        match self {
            Value::ServerError(error) => Answer::of_error(error.code().as_bytes()),
            Value::SimpleString(text) if text == "QUEUED" => Answer::Queued,
            Value::Nil => Answer::Nil,
            Value::Attribute { data, .. } => data.answer(),
            _ => Answer::Accepted,
        }
    }

    fn confirmations(&self) -> Vec<Value> {
        nested(self)
    }
}

impl Reply for RawReply<'_> {
    fn is_call_back(&self) -> bool {
        self.error().is_some_and(is_call_back)
    }

    #[inline]
    fn distress(&self, of_exec: bool) -> Option<Distress> {
        if let Some(error) = self.error() {
            return Distress::in_error(error);
        }
        if of_exec && self.is_array() {
            return self.value(Limits::default()).ok()?.distress(of_exec);
        }
        None
    }

    fn answer(&self) -> Answer {
        match self.bytes() {
            b"+QUEUED\r\n" => Answer::Queued,
            b"*-1\r\n" | b"_\r\n" => Answer::Nil,
            [b'|', ..] => {
                self.value(Limits::default()).map_or(Answer::Accepted, |value| value.answer())
            }
            _ => self.error().map_or(Answer::Accepted, Answer::of_error),
        }
    }

    fn confirmations(&self) -> Vec<Value> {
        self.value(Limits::default()).map_or_else(|_| Vec::new(), |value| nested(&value))
    }
}

/// As [`Reply::is_call_back`], of what an error says.
pub(super) fn is_call_back(error: &[u8]) -> bool {
    error.starts_with(b"UNBLOCKED ") && String::from_utf8_lossy(error).contains(CALL_BACK)
}

/// The server's words before the reason why it refused EXEC, which is an error of its own.
const ABORTED: &str = "Transaction discarded because of: ";

/// How a server words its reply to a command that was called back.
const CALL_BACK: &str = "CLIENT UNBLOCK";
