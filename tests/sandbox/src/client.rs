//! A small blocking client of the sandbox's own, so that what it measures does not depend on the
//! code under test: [`Client`].

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    Error, ErrorKind, Result,
    frame::{self, Frame},
};

/// One connection to a node, a sentinel or a fake of either.
pub struct Client {
    stream: TcpStream,
    address: SocketAddr,
    timeout: Duration,
    unread: Vec<u8>,
}

impl Client {
    /// Connects. `timeout` bounds the connect and, from then on, each [`call`](Client::call).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when nobody listens or the time is over.
    pub fn connect(address: SocketAddr, timeout: Duration) -> Result<Client> {
        let stream = TcpStream::connect_timeout(&address, timeout.max(Duration::from_millis(1)))
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|error| Error::io(format_args!("connect to {address}"), &error))?;
        Ok(Client { stream, address, timeout, unread: Vec::new() })
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Our end's address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when the system does not say.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.stream.local_addr().map_err(|error| Error::io("the local address", &error))
    }

    /// Sends a command and reads one frame. An error reply is an `Ok(Frame::Error)`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] when no whole reply came in time, [`ErrorKind::Io`] when the connection
    /// ended, [`ErrorKind::Protocol`] when the reply is not RESP. The connection is of no use afterwards.
    pub fn call<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Result<Frame> {
        self.send(words)?;
        let timeout = self.timeout;
        self.read(timeout)?.ok_or_else(|| {
            let name = words.first().map(|word| String::from_utf8_lossy(word.as_ref()));
            let name = name.unwrap_or_default();
            let message = format!("{name} to {}: no reply within {timeout:?}", self.address);
            Error::new(ErrorKind::Timeout, message)
        })
    }

    /// Like [`call`](Client::call), with an error reply as an `Err` of [`ErrorKind::Refused`].
    ///
    /// # Errors
    ///
    /// Those of `call`, and [`ErrorKind::Refused`].
    pub fn expect<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Result<Frame> {
        match self.call(words)? {
            Frame::Error(text) => {
                let name = words.first().map(|word| String::from_utf8_lossy(word.as_ref()));
                let name = name.unwrap_or_default();
                Err(Error::new(ErrorKind::Refused, format!("{name} to {}: {text}", self.address)))
            }
            frame => Ok(frame),
        }
    }

    /// Sends a command and does not wait.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when the connection has ended.
    pub fn send<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Result<()> {
        self.send_bytes(&frame::command(words))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when the connection has ended.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .write_all(bytes)
            .map_err(|error| Error::io(format_args!("send to {}", self.address), &error))
    }

    /// The next frame, or `None` when no whole one came within `timeout`; what has come of it is kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] at the end of the connection, [`ErrorKind::Protocol`] for what is not RESP.
    pub fn read(&mut self, timeout: Duration) -> Result<Option<Frame>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some((frame, length)) = Frame::decode(&self.unread)? {
                self.unread.drain(..length);
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.fill(left)? {
                return Ok(None);
            }
        }
    }

    /// Everything that comes until the connection ends or `timeout` is over, not decoded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when the connection ends other than by an end of file.
    pub fn read_bytes(&mut self, timeout: Duration) -> Result<Vec<u8>> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(std::mem::take(&mut self.unread));
            }
            let before = self.unread.len();
            match self.fill(left) {
                Ok(_) => {}
                Err(_) if self.unread.len() == before && before > 0 => {
                    return Ok(std::mem::take(&mut self.unread));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads once. `false` when the time was over first.
    fn fill(&mut self, timeout: Duration) -> Result<bool> {
        let failed =
            |error: &io::Error, address| Error::io(format_args!("read from {address}"), error);
        self.stream
            .set_read_timeout(Some(timeout.max(Duration::from_millis(1))))
            .map_err(|error| failed(&error, self.address))?;
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => {
                let message = format!("read from {}: the connection was closed", self.address);
                Err(Error::new(ErrorKind::Io, message))
            }
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(failed(&error, self.address)),
        }
    }
}
