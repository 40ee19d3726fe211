//! One TLS session with a server, whoever does it: [`Session`].

use std::io::{self, Read, Write};

/// The library that does the work.
pub(super) enum Engine<S> {
    #[cfg(feature = "tls-rustls")]
    Rustls(Box<super::rustls::Rustls<S>>),
    #[cfg(feature = "tls-native-tls")]
    Native(Box<super::native::Native<S>>),
    #[cfg(not(any(feature = "tls-rustls", feature = "tls-native-tls")))]
    Absent(Box<super::absent::Absent<S>>),
}

macro_rules! on {
    ($session:expr, $engine:ident => $does:expr) => {
        match &mut $session.engine {
            #[cfg(feature = "tls-rustls")]
            Engine::Rustls($engine) => $does,
            #[cfg(feature = "tls-native-tls")]
            Engine::Native($engine) => $does,
            #[cfg(not(any(feature = "tls-rustls", feature = "tls-native-tls")))]
            Engine::Absent($engine) => $does,
        }
    };
}

/// What is to be seen of a peer that nothing is expected from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    Quiet,
    Unread,
    Over,
}

/// The client's end. Every method gives `WouldBlock` when the transport does, and is then to be called
/// again.
pub(crate) struct Session<S> {
    engine: Engine<S>,
    /// A byte that was looked at and not taken.
    seen: Option<u8>,
    /// Whether there may be more that has been received and not taken.
    more: bool,
}

impl<S: Read + Write> Session<S> {
    pub(super) fn new(engine: Engine<S>) -> Session<S> {
        Session { engine, seen: None, more: false }
    }

    /// Goes on with the handshake until it is done.
    pub(crate) fn handshake(&mut self) -> io::Result<()> {
        on!(self, engine => engine.handshake())
    }

    /// Reads what the server said. 0 is the end, also one without a farewell: the protocol inside
    /// tells whether something is missing.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if let Some(byte) = self.seen.take() {
            into[0] = byte;
            return Ok(1);
        }
        self.more = false;
        let read = on!(self, engine => engine.read(into))?;
        self.more = read == into.len();
        Ok(read)
    }

    /// Takes bytes to send, and says how many the transport has got all of. Whoever gets `WouldBlock`
    /// comes again with the same bytes, and perhaps more after them.
    ///
    /// At most one record is on its way at a time. A server makes nothing of a part of one, so bytes
    /// that were not acknowledged here have not reached it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(RECORD)];
        match on!(self, engine => engine.write(bytes)) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                // A server that turns us away says why before it closes.
                let mut byte = [0];
                match on!(self, engine => engine.read(&mut byte)) {
                    Err(why) if why.kind() == io::ErrorKind::InvalidData => Err(why),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    /// Sends what the session itself has to say.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        on!(self, engine => engine.flush())
    }

    /// Looks without taking. Messages of TLS itself are no news.
    pub(crate) fn peek(&mut self) -> Sight {
        if self.seen.is_some() {
            return Sight::Unread;
        }
        let mut byte = [0];
        match on!(self, engine => engine.read(&mut byte)) {
            Ok(0) => Sight::Over,
            Ok(_) => {
                self.seen = Some(byte[0]);
                // It was one byte of a record.
                self.more = true;
                Sight::Unread
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sight::Quiet,
            Err(_) => Sight::Over,
        }
    }

    /// Whether a read may give something although nothing comes in.
    pub(crate) fn may_hold(&self) -> bool {
        self.more || self.seen.is_some()
    }

    /// The transport; none once a handshake has failed.
    pub(crate) fn transport(&mut self) -> Option<&mut S> {
        on!(self, engine => engine.transport())
    }
}

/// The most that one record holds.
const RECORD: usize = 16 << 10;
