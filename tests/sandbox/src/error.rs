//! What can go wrong in the sandbox: [`Error`].

use std::{fmt, io};

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A program that the sandbox needs is not installed, or is too old.
    Missing,
    /// A setting of the builder cannot work.
    Config,
    /// Another process took a port between its choice and its use.
    PortTaken,
    /// A server did not start, or ended by itself.
    Start,
    /// A condition did not come true before its deadline.
    Timeout,
    /// A socket, file or pipe failed.
    Io,
    /// A peer sent bytes that are not RESP.
    Protocol,
    /// A server answered with an error.
    Refused,
}

/// A failure: the thing, its cause, and where there is one the next step.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("{what}: {error}"))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same failure, with the thing it happened to in front.
    pub(crate) fn of(self, what: impl fmt::Display) -> Error {
        Error { kind: self.kind, message: format!("{what}: {}", self.message) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;
