//! The replies to a pipeline, and what replies tell about the server.

use std::str;

use redis::{RedisError, RedisResult, ServerError, ServerErrorKind, Value};

use super::wire::{Limits, RawReply};

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
        Distress::of_code(error.code())
    }

    /// As [`Distress::of`], of what an error says.
    pub(super) fn in_error(error: &[u8]) -> Option<Distress> {
        let code = error.split(|&byte| byte == b' ').next().unwrap_or_default();
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
    fn is_error(&self) -> bool;

    /// Whether it answers a blocking command that `CLIENT UNBLOCK … ERROR` ended: it has done nothing.
    fn is_call_back(&self) -> bool;

    /// What it tells about the server, or what those replies tell that are in it, if it is EXEC's.
    fn distress(&self, of_exec: bool) -> Option<Distress>;
}

impl Reply for Value {
    #[inline]
    fn is_error(&self) -> bool {
        matches!(self, Value::ServerError(_))
    }

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
}

impl Reply for RawReply<'_> {
    #[inline]
    fn is_error(&self) -> bool {
        self.error().is_some()
    }

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
}

/// As [`Reply::is_call_back`], of what an error says.
pub(super) fn is_call_back(error: &[u8]) -> bool {
    error.starts_with(b"UNBLOCKED ") && String::from_utf8_lossy(error).contains(CALL_BACK)
}

/// How a server words its reply to a command that was called back.
const CALL_BACK: &str = "CLIENT UNBLOCK";
