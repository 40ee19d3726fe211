//! Listening: for connections on which what comes is no reply to what was last sent.

use std::{
    io,
    sync::{Arc, Weak},
    time::Instant,
};

use redis::Value;

use super::{
    Connection,
    link::Fault,
    stream::{Interest, Socket},
    wire::ProtocolError,
};
use crate::error::{Error, ErrorKind, Outcome};

/// What came.
pub(crate) enum Arrival {
    Value(Value),
    /// Some bytes of a value that is not complete yet.
    Part,
    /// Nothing until the deadline.
    Nothing,
}

/// Ends a connection from another thread.
pub(crate) struct Ender(Weak<Socket>);

impl Ender {
    /// Whoever waits on the connection wakes at once, and nothing more is sent on it.
    pub(crate) fn end(&self) {
        if let Some(socket) = self.0.upgrade() {
            socket.shutdown();
        }
    }
}

impl Connection {
    pub(crate) fn ender(&self) -> Ender {
        Ender(Arc::downgrade(self.link.stream.socket()))
    }

    /// Sends commands that write nothing, and leaves what answers them to [`Connection::hear`].
    ///
    /// The fence does not hold them up: it is there for what a master that is being replaced would
    /// acknowledge and its successor not have. After the end of the generation nothing is sent.
    pub(crate) fn say(&mut self, packed: &[u8], deadline: Instant) -> Result<(), Error> {
        let mut rest = packed;
        while !rest.is_empty() {
            if !self.is_open() {
                return Err(self.over(Fault::Closed));
            }
            match self.link.stream.send_now(rest) {
                Ok(sent) => rest = &rest[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let stream = &self.link.stream;
                    if let Err(error) = stream.wait(Interest::Write, Some(deadline)) {
                        return Err(self.over(error.into()));
                    }
                }
                Err(error) => return Err(self.over(error.into())),
            }
        }
        Ok(())
    }

    /// The next value. Waits for it until `deadline`, and not longer when a part of it comes.
    ///
    /// What the server sent before the end of the connection is heard before the error, also when
    /// that end was the retirement of the generation.
    pub(crate) fn hear(&mut self, deadline: Instant) -> Result<Arrival, Error> {
        match self.link.decoder.next() {
            Ok(Some(value)) => return Ok(Arrival::Value(value)),
            Ok(None) => {}
            Err(error) => return Err(self.over(error.into())),
        }
        match self.link.stream.recv_until(self.link.decoder.room(), Some(deadline)) {
            Ok(0) => return Err(self.over(Fault::Closed)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Arrival::Part),
            Err(error) => {
                return match Fault::from(error) {
                    Fault::Late => Ok(Arrival::Nothing),
                    fault => Err(self.over(fault)),
                };
            }
        }
        match self.link.decoder.next() {
            Ok(Some(value)) => Ok(Arrival::Value(value)),
            Ok(None) => Ok(Arrival::Part),
            Err(error) => Err(self.over(error.into())),
        }
    }

    /// Ends the connection after a value that does not belong there.
    pub(crate) fn misheard(&mut self) -> Error {
        self.over(ProtocolError::unasked().into())
    }

    fn over(&mut self, fault: Fault) -> Error {
        self.clean = false;
        self.link.stream.socket().shutdown();
        let address = &self.address;
        let (kind, message) = match &fault {
            _ if self.gate.is_retired() => {
                (ErrorKind::Switched, format!("{address} is no longer the master"))
            }
            Fault::Io(error) => {
                (ErrorKind::Disconnected, format!("{address}: the connection broke: {error}"))
            }
            Fault::Closed => {
                (ErrorKind::Disconnected, format!("{address}: the server closed the connection"))
            }
            Fault::Late => {
                (ErrorKind::CommandTimeout, format!("{address}: the server takes no commands"))
            }
            Fault::Protocol(error) => (ErrorKind::Protocol, format!("{address} sent {error}")),
        };
        let source: Option<Box<dyn std::error::Error + Send + Sync>> = match fault {
            Fault::Io(error) => Some(Box::new(error)),
            Fault::Protocol(error) => Some(Box::new(error)),
            Fault::Closed | Fault::Late => None,
        };
        Error::with(kind, Outcome::Unknown, message, source)
    }
}
