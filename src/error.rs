//! What went wrong, and what that says about the command: [`Error`], [`ErrorKind`], [`Outcome`].

use std::{fmt, io, sync::Arc};

use redis::RedisError;

/// What an error says about the command that met it.
///
/// This is the question that matters after a failure: may the command be sent again?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// No byte of the command reached a server, or the server said that it did nothing. Sending it
    /// again is safe.
    NotSent,
    /// The command was sent, at least in part, and no reply came: it may have run, or may yet run.
    Unknown,
    /// The server answered. The error is its answer, or a failure to convert the answer.
    Replied,
}

impl Outcome {
    /// The outcome of any error that a command returned.
    ///
    /// Errors of this crate carry theirs. An error reply of the server, and a reply that did not
    /// convert to the type asked for, are [`Outcome::Replied`]. An I/O error that did not come from
    /// this crate is [`Outcome::Unknown`], the careful answer.
    pub fn of(error: &RedisError) -> Outcome {
        if let Some(ours) = Error::from_redis(error) {
            return ours.outcome();
        }
        match error.kind() {
            redis::ErrorKind::InvalidClientConfig | redis::ErrorKind::Client => Outcome::NotSent,
            redis::ErrorKind::Io => Outcome::Unknown,
            _ => Outcome::Replied,
        }
    }

    /// The word used in messages and reports: `not sent`, `unknown` or `replied`.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::NotSent => "not sent",
            Outcome::Unknown => "unknown",
            Outcome::Replied => "replied",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kinds of failure, each with what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL cannot be read. The message quotes the offending part, never the password.
    InvalidUrl,
    /// A setting of the builder cannot work (a size of zero, a timeout of zero, no service name …).
    InvalidConfig,
    /// None of the sentinels could be asked. The message lists what happened at each.
    NoSentinel,
    /// Sentinels answered, and none of them monitors this service. The message lists the services
    /// they do monitor.
    UnknownService,
    /// A server refused the credentials. The message says whether it was a sentinel or a node.
    Authentication,
    /// A server answered that the user may not do what following the master needs (`NOPERM`).
    Permission,
    /// The sentinels name a master, but no connection to it could be made and verified in time.
    NoMaster,
    /// No replica may be read from ([`ReadFrom::Replica`](crate::ReadFrom::Replica)): none is listed,
    /// or each is down, out of sync or too far behind. The message says which.
    NoReplica,
    /// No handle became free within the deadline: all are in use.
    PoolTimeout,
    /// No reply came within the command's deadline. The command may have run.
    CommandTimeout,
    /// The master was replaced while this handle held state (MULTI, WATCH, a subscription, another
    /// database …) or while the command waited for its reply. Take a new handle and start over.
    Switched,
    /// The command waited behind the fence until its deadline.
    Fenced,
    /// The connection broke: refused, reset, or closed by the server.
    Disconnected,
    /// The server sent something that is not RESP, or more than the limits allow.
    Protocol,
    /// The server is not what it was taken for: a replica where a master was expected, a sentinel
    /// where a node was, or a node where a sentinel was.
    WrongRole,
    /// This handle's connection broke earlier while it held state. Drop it and take a new one.
    Poisoned,
    /// The factory is closed.
    Closed,
    /// This process was forked while its parent had a factory open: it has none of the threads. Open
    /// factories after the fork.
    Forked,
    /// A fault inside this crate that was caught (a panic in the watch or in a user's callback).
    Internal,
}

impl ErrorKind {
    /// A short stable name, as used in reports and in other languages: `invalid-url`, `no-master` …
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::InvalidUrl => "invalid-url",
            ErrorKind::InvalidConfig => "invalid-config",
            ErrorKind::NoSentinel => "no-sentinel",
            ErrorKind::UnknownService => "unknown-service",
            ErrorKind::Authentication => "authentication",
            ErrorKind::Permission => "permission",
            ErrorKind::NoMaster => "no-master",
            ErrorKind::NoReplica => "no-replica",
            ErrorKind::PoolTimeout => "pool-timeout",
            ErrorKind::CommandTimeout => "command-timeout",
            ErrorKind::Switched => "switched",
            ErrorKind::Fenced => "fenced",
            ErrorKind::Disconnected => "disconnected",
            ErrorKind::Protocol => "protocol",
            ErrorKind::WrongRole => "wrong-role",
            ErrorKind::Poisoned => "poisoned",
            ErrorKind::Closed => "closed",
            ErrorKind::Forked => "forked",
            ErrorKind::Internal => "internal",
        }
    }
}

/// An error of this crate: its kind, what it says about the command, and one line for a log.
///
/// Cheap to clone. Converts into a [`redis::RedisError`], because `redis::Commands` demands that,
/// and back by [`Error::from_redis`].
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a command that was certainly not sent.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::with(kind, Outcome::NotSent, message, None)
    }

    pub(crate) fn with(
        kind: ErrorKind,
        outcome: Outcome,
        message: impl Into<String>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error { inner: Arc::new(Inner { kind, outcome, message: message.into(), source }) }
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// What this says about the command.
    pub fn outcome(&self) -> Outcome {
        self.inner.outcome
    }

    /// Finds the error of this crate inside one that a `redis` command returned.
    pub fn from_redis(error: &RedisError) -> Option<&Error> {
        // RedisError hands out the Arc that holds its cause, so the walk has to look into both the
        // Arc and the io::Error, whose own source() skips the error it wraps.
        type Shared = Arc<dyn std::error::Error + Send + Sync>;
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(mut error) = cause {
            if let Some(shared) = error.downcast_ref::<Shared>() {
                error = &**shared;
            }
            if let Some(wrapped) = error.downcast_ref::<io::Error>().and_then(|io| io.get_ref()) {
                error = wrapped;
            }
            if let Some(ours) = error.downcast_ref::<Error>() {
                return Some(ours);
            }
            cause = error.source();
        }
        None
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("outcome", &self.inner.outcome)
            .field("message", &self.inner.message)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<Error> for RedisError {
    fn from(error: Error) -> RedisError {
        // The io kinds are those by which redis::RedisError answers is_timeout() and the like.
        let kind = match error.kind() {
            ErrorKind::CommandTimeout | ErrorKind::PoolTimeout | ErrorKind::NoMaster => {
                io::ErrorKind::TimedOut
            }
            ErrorKind::Fenced => io::ErrorKind::TimedOut,
            ErrorKind::Disconnected | ErrorKind::Switched | ErrorKind::Poisoned => {
                io::ErrorKind::ConnectionReset
            }
            ErrorKind::Protocol => io::ErrorKind::InvalidData,
            ErrorKind::Authentication | ErrorKind::Permission => io::ErrorKind::PermissionDenied,
            ErrorKind::InvalidUrl | ErrorKind::InvalidConfig => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        RedisError::from(io::Error::new(kind, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_way_through_redis() {
        let error = Error::with(ErrorKind::Switched, Outcome::Unknown, "moved", None);
        let redis = RedisError::from(error);
        let found = Error::from_redis(&redis).expect("ours is inside");
        assert_eq!(found.kind(), ErrorKind::Switched);
        assert_eq!(Outcome::of(&redis), Outcome::Unknown);
    }

    #[test]
    fn errors_that_are_not_ours_have_an_outcome_too() {
        let refused = RedisError::from((redis::ErrorKind::InvalidClientConfig, "bad"));
        assert_eq!(Outcome::of(&refused), Outcome::NotSent);
        let io = RedisError::from(io::Error::other("cable"));
        assert_eq!(Outcome::of(&io), Outcome::Unknown);
        let converted = RedisError::from((redis::ErrorKind::UnexpectedReturnType, "not an int"));
        assert_eq!(Outcome::of(&converted), Outcome::Replied);
    }
}
