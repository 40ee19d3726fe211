//! A channel: one non-blocking connection to a sentinel, from dial to values in and bytes out.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::Duration,
};

use mio::{Interest, Registry, Token, net::TcpStream};
use redis::Value;
use socket2::{SockRef, TcpKeepalive};

use crate::{
    address::Address,
    connection::{Decoder, Greeting, Handshake, Settings},
    error::{Error, ErrorKind},
};

/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

pub(crate) struct Channel {
    stream: TcpStream,
    peer: SocketAddr,
    phase: Phase,
    decoder: Decoder,
    outbox: Vec<u8>,
}

enum Phase {
    Connecting(Box<Handshake>),
    Greeting(Box<Handshake>),
    Open,
}

/// What a channel brought.
pub(crate) enum Arrival {
    /// The handshake is done.
    Opened(Box<Greeting>),
    /// A reply or a push.
    Value(Value),
}

impl Channel {
    /// Begins to connect. The outcome arrives with [`Channel::ready`].
    pub(crate) fn connect(
        peer: SocketAddr,
        name: &Address,
        settings: &Settings,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Channel> {
        let mut stream = TcpStream::connect(peer)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(Duration::from_secs(15))
                .with_interval(Duration::from_secs(5)),
        )?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(settings.user_timeout)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Channel {
            stream,
            peer,
            phase: Phase::Connecting(Box::new(Handshake::new(name, settings))),
            decoder: Decoder::new(settings.limits),
            outbox: Vec::new(),
        })
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Sends bytes, now or as soon as the socket takes them.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.outbox.extend_from_slice(bytes);
        self.flush()
    }

    /// The socket is ready for something: goes on with whatever is under way and gathers what came.
    pub(crate) fn ready(&mut self, arrivals: &mut Vec<Arrival>) -> Result<(), Error> {
        if let Phase::Connecting(_) = self.phase {
            if let Some(error) = self.stream.take_error().map_err(|e| self.broke(e))? {
                return Err(self.broke(error));
            }
            match self.stream.peer_addr() {
                Ok(_) => {}
                // Woken early: the connection is still on its way.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(self.broke(error)),
            }
            if let Phase::Connecting(mut handshake) =
                std::mem::replace(&mut self.phase, Phase::Open)
            {
                handshake.start(&mut self.outbox);
                self.phase = Phase::Greeting(handshake);
            }
        }
        // What the other end said before it hung up is worth more than that it did.
        let flushed = self.flush();
        self.receive(arrivals)?;
        flushed
    }

    fn flush(&mut self) -> Result<(), Error> {
        if matches!(self.phase, Phase::Connecting(_)) {
            return Ok(());
        }
        let mut sent = 0;
        while sent < self.outbox.len() {
            match self.stream.write(&self.outbox[sent..]) {
                Ok(0) => return Err(self.broke(io::ErrorKind::WriteZero.into())),
                Ok(n) => sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broke(error)),
            }
        }
        self.outbox.drain(..sent);
        Ok(())
    }

    fn receive(&mut self, arrivals: &mut Vec<Arrival>) -> Result<(), Error> {
        let mut chunk = [0; CHUNK];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(self.ended()),
                Ok(n) => {
                    self.decoder.feed(&chunk[..n]);
                    self.decode(arrivals)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broke(error)),
            }
        }
    }

    fn decode(&mut self, arrivals: &mut Vec<Arrival>) -> Result<(), Error> {
        while let Some(value) = self.decoder.next().map_err(|fault| {
            Error::new(ErrorKind::Protocol, format!("sentinel {} sent {fault}", self.peer))
        })? {
            if let Phase::Greeting(handshake) = &mut self.phase {
                if let Some(greeting) = handshake.reply(value, &mut self.outbox)? {
                    self.phase = Phase::Open;
                    arrivals.push(Arrival::Opened(Box::new(greeting)));
                }
                self.flush()?;
            } else {
                arrivals.push(Arrival::Value(value));
            }
        }
        Ok(())
    }

    fn broke(&self, error: io::Error) -> Error {
        Error::with(
            ErrorKind::Disconnected,
            crate::Outcome::Unknown,
            error.to_string(),
            Some(Box::new(error)),
        )
    }

    fn ended(&self) -> Error {
        Error::new(ErrorKind::Disconnected, "the connection was closed by the other end")
    }
}
