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
    tls::{Connector, Session},
};

/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

pub(crate) struct Channel {
    wire: Wire,
    peer: SocketAddr,
    /// What explains the faults of TLS, and whom it is spoken with.
    tls: Option<(Connector, Address)>,
    phase: Phase,
    decoder: Decoder,
    outbox: Vec<u8>,
}

/// What bytes travel through.
enum Wire {
    Plain(TcpStream),
    Tls(Box<Session<TcpStream>>),
}

enum Phase {
    Connecting(Box<Handshake>),
    /// The handshake of TLS is under way.
    Securing(Box<Handshake>),
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
    /// Begins to connect to the server of this name, which is dialled as `host`. The outcome arrives
    /// with [`Channel::ready`].
    pub(crate) fn connect(
        peer: SocketAddr,
        name: &Address,
        host: &Address,
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
        // For good: each readiness is told once, whoever of the two layers waits for it.
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let wire = match &settings.tls {
            None => Wire::Plain(stream),
            Some(tls) => Wire::Tls(Box::new(tls.session(host, stream)?)),
        };
        Ok(Channel {
            wire,
            peer,
            tls: settings.tls.clone().map(|tls| (tls, host.clone())),
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
        self.queue(bytes);
        self.flush()
    }

    /// Has bytes sent by the next [`Channel::flush`].
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The socket is ready for something: goes on with whatever is under way and gathers what came.
    pub(crate) fn ready(&mut self, arrivals: &mut Vec<Arrival>) -> Result<(), Error> {
        if let Phase::Connecting(_) = self.phase {
            match self.wire.is_connected() {
                Ok(true) => {}
                // Woken early: the connection is still on its way.
                Ok(false) => return Ok(()),
                Err(error) => return Err(self.broke(error)),
            }
            self.advance();
        }
        if let Phase::Securing(_) = self.phase {
            match self.wire.handshake() {
                Ok(()) => self.advance(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(self.broke(error)),
            }
        }
        // What the other end said before it hung up is worth more than that it did.
        let flushed = self.flush();
        self.receive(arrivals)?;
        flushed
    }

    /// The phase is over, and the next one begins.
    fn advance(&mut self) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Connecting(handshake) => Phase::Securing(handshake),
            Phase::Securing(mut handshake) => {
                handshake.start(&mut self.outbox);
                Phase::Greeting(handshake)
            }
            other => other,
        };
    }

    /// Sends what the socket takes; the rest follows when it takes more.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        if matches!(self.phase, Phase::Connecting(_) | Phase::Securing(_)) {
            return Ok(());
        }
        let mut sent = 0;
        while sent < self.outbox.len() {
            match self.wire.write(&self.outbox[sent..]) {
                Ok(0) => return Err(self.broke(io::ErrorKind::WriteZero.into())),
                Ok(n) => sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broke(error)),
            }
        }
        self.outbox.drain(..sent);
        match self.wire.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(self.broke(error)),
            _ => Ok(()),
        }
    }

    fn receive(&mut self, arrivals: &mut Vec<Arrival>) -> Result<(), Error> {
        let mut chunk = [0; CHUNK];
        loop {
            match self.wire.read(&mut chunk) {
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
        let message = match (&self.tls, &self.phase) {
            (Some((tls, host)), Phase::Securing(_)) => {
                format!("the TLS handshake failed: {}", tls.explain(&error, host))
            }
            (Some((tls, host)), _) => tls.explain_later(&error, host),
            (None, Phase::Greeting(_)) => format!("{error}{EXPECTS_TLS}"),
            (None, _) => error.to_string(),
        };
        Error::with(
            ErrorKind::Disconnected,
            crate::Outcome::Unknown,
            message,
            Some(Box::new(error)),
        )
    }

    fn ended(&self) -> Error {
        let hint = match (&self.tls, &self.phase) {
            (None, Phase::Greeting(_)) => EXPECTS_TLS.to_owned(),
            (Some((tls, _)), Phase::Greeting(_)) => format!("; {}", tls.explain_hang_up()),
            _ => String::new(),
        };
        let message = format!("the connection was closed by the other end{hint}");
        Error::new(ErrorKind::Disconnected, message)
    }
}

/// For a server that hangs up at the first words.
const EXPECTS_TLS: &str = " (does it expect TLS?)";

impl Wire {
    /// Whether the transport stands, or why it never will.
    fn is_connected(&mut self) -> io::Result<bool> {
        let stream = match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(session) => session.transport().ok_or(io::ErrorKind::NotConnected)?,
        };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn handshake(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(_) => Ok(()),
            Wire::Tls(session) => session.handshake(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(session) => session.write(bytes),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(into),
            Wire::Tls(session) => session.read(into),
        }
    }

    /// Sends what TLS has to say by itself.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(_) => Ok(()),
            Wire::Tls(session) => session.flush(),
        }
    }
}
