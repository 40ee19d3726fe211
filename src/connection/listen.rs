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
                    // For a peer that takes a little now and then.
                    if Instant::now() >= deadline {
                        return Err(self.over(Fault::Late));
                    }
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

    /// The next value among what was read already. Never blocks.
    pub(crate) fn next_read(&mut self) -> Result<Option<Value>, Error> {
        self.link.decoder.next().map_err(|error| self.over(error.into()))
    }

    /// The next value, once [`Connection::next_read`] has none: reads from the socket once. Waits until
    /// `deadline` for bytes, and returns when some have come, also where they are a part of a value.
    ///
    /// Returns the values that the server sent before it closed the connection before the error, also
    /// when the generation was retired.
    pub(crate) fn hear(&mut self, deadline: Instant) -> Result<Arrival, Error> {
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
