//! A channel: one non-blocking connection to a sentinel, from dial to values in and bytes out.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Interest, Registry, Token, net::TcpStream};
use redis::Value;
use socket2::{SockRef, TcpKeepalive};

use crate::{
    address::Address,
    connection::{Decoder, Greeting, Handshake, Limits, RawReplies, Settings},
    credentials::Source,
    error::{Error, ErrorKind},
    tls::{Connector, Session},
    watch::allowance::Allowance,
};

/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

/// The share of one connection in a turn of the event loop. The other connections, the timers and
/// the commands of the factories follow; a connection that has more to read goes on in the next turn.
const TURN_BYTES: usize = 64 * 1024;
const TURN_ARRIVALS: usize = 256;

/// Bytes and pushes that a peer may send before the handshake is over. The longest part of an honest
/// handshake is ROLE, which lists the names of all services of a sentinel.
const GREETING_BYTES: usize = 1 << 20;
const GREETING_PUSHES: usize = 16;

/// The most that one turn can bring, for the fuzzers.
#[cfg(any(fuzzing, test))]
pub(super) const MOST_ARRIVALS: usize = TURN_ARRIVALS;

/// Bounds of one reply. `SENTINEL MASTERS` for a thousand services takes 2 MiB and 80,000 elements.
const REPLY_BYTES: usize = 16 << 20;
const REPLY_ELEMENTS: usize = 1 << 20;
const STRING_BYTES: usize = 1 << 20;

/// A list of so many bytes is handed on as it came, where that is asked for: values of it would cost more
/// than all that follows from it.
const LONG_LIST: usize = 4 << 10;

/// Memory of a list that is kept for the next one.
const SPARE: usize = 1 << 20;

/// Bytes that may wait for a peer that does not read: the questions about ten thousand services.
const OUTBOX_BYTES: usize = 4 << 20;

pub(crate) struct Channel {
    wire: Wire,
    peer: SocketAddr,
    /// What explains the faults of TLS, and whom it is spoken with.
    tls: Option<(Connector, Address)>,
    phase: Phase,
    /// The received values, up to the end of the last reply.
    replies: RawReplies,
    decoder: Decoder,
    /// Long lists are handed on as they came.
    lists: bool,
    /// Memory for the next one.
    spare: Vec<u8>,
    outbox: Vec<u8>,
    /// The most bytes that the peer may send unasked, and in total.
    allowance: Allowance,
    /// Every value of an open channel comes unasked: it carries a subscription only.
    hears: bool,
    /// The bytes of the value that has not arrived in full.
    partial: usize,
    /// Pushes that came before the handshake was over.
    early: usize,
    /// The share of this turn is used up, and there may be more to read.
    unfinished: bool,
    flooded: bool,
}

/// What bytes travel through.
enum Wire {
    Plain(Metered<TcpStream>),
    Tls(Box<Session<Metered<TcpStream>>>),
    #[cfg(any(fuzzing, test))]
    Scripted(Metered<super::fuzz::Script>),
}

/// A stream that gives no more than a share of bytes in a turn.
struct Metered<S> {
    stream: S,
    share: Share,
}

/// The bytes that one connection may receive in a turn.
struct Share {
    /// The rest of the share.
    left: usize,
    /// The share was used up before the socket ran dry.
    exhausted: bool,
    /// Bytes since the dial.
    total: usize,
}

impl<S> Metered<S> {
    fn new(stream: S) -> Metered<S> {
        Metered { stream, share: Share { left: TURN_BYTES, exhausted: false, total: 0 } }
    }
}

impl<S: Read> Read for Metered<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = into.len().min(self.share.left);
        if room == 0 && !into.is_empty() {
            self.share.exhausted = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.stream.read(&mut into[..room])?;
        self.share.left -= read;
        self.share.total = self.share.total.saturating_add(read);
        Ok(read)
    }
}

impl<S: Write> Write for Metered<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
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
    /// A reply that is a long list, as it came.
    List(Vec<u8>),
}

impl Channel {
    /// Begins to connect to the server of this name, which is dialled as `host`. The outcome arrives
    /// with [`Channel::ready`].
    pub(crate) fn connect(
        peer: SocketAddr,
        name: &Address,
        host: &Address,
        settings: &Settings,
        allowance: Allowance,
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
        let transport = Metered::new(stream);
        let wire = match &settings.tls {
            None => Wire::Plain(transport),
            Some(tls) => Wire::Tls(Box::new(tls.session(host, transport)?)),
        };
        Ok(Channel {
            tls: settings.tls.clone().map(|tls| (tls, host.clone())),
            ..Channel::over(wire, peer, name, settings, allowance)
        })
    }

    /// A channel over a stream that does what a script says.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn scripted(
        script: super::fuzz::Script,
        name: &Address,
        settings: &Settings,
        allowance: Allowance,
    ) -> Channel {
        let peer = SocketAddr::from(([127, 0, 0, 1], 0));
        Channel::over(Wire::Scripted(Metered::new(script)), peer, name, settings, allowance)
    }

    fn over(
        wire: Wire,
        peer: SocketAddr,
        name: &Address,
        settings: &Settings,
        allowance: Allowance,
    ) -> Channel {
        // Supplied just before, by another thread.
        let login = settings.credentials.as_ref().and_then(Source::latest);
        let limits = Limits {
            max_bulk: settings.limits.max_bulk.min(STRING_BYTES),
            max_elements: settings.limits.max_elements.min(REPLY_ELEMENTS),
            ..settings.limits
        };
        Channel {
            wire,
            peer,
            tls: None,
            phase: Phase::Connecting(Box::new(match login {
                Some(login) => Handshake::new(name, &login.settings(settings)),
                None => Handshake::new(name, settings),
            })),
            replies: RawReplies::limited(limits),
            decoder: Decoder::new(limits),
            lists: false,
            spare: Vec::new(),
            outbox: Vec::new(),
            allowance,
            hears: false,
            partial: 0,
            early: 0,
            unfinished: false,
            flooded: false,
        }
    }

    /// For a channel that is subscribed and asked nothing.
    pub(crate) fn only_hears(mut self) -> Channel {
        self.hears = true;
        self
    }

    /// Hands on long lists as they come.
    pub(crate) fn with_lists(mut self) -> Channel {
        self.lists = true;
        self
    }

    /// Takes the memory of a list back, for the next one: to free that much and to get it again costs
    /// the allocator more than the list costs.
    pub(crate) fn reuse(&mut self, mut list: Vec<u8>) {
        list.clear();
        if list.capacity() <= SPARE {
            self.spare = list;
        }
    }

    /// Returns true when [`Channel::ready`] is due in the next turn although no readiness will be
    /// reported: the share of this turn was used up.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.unfinished
    }

    /// Returns true when the channel failed because its peer sent more than its allowance.
    pub(crate) fn is_flooded(&self) -> bool {
        self.flooded
    }

    /// The bytes that wait to be sent and those of an unfinished value, and their bounds.
    #[cfg(any(fuzzing, test))]
    pub(super) fn check_bounds(&self) {
        // What one turn asks for comes on top before the next flush.
        assert!(self.outbox.len() <= OUTBOX_BYTES + (1 << 16), "{} bytes wait", self.outbox.len());
        assert!(self.partial <= REPLY_BYTES + TURN_BYTES, "{} bytes of one value", self.partial);
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

    /// Continues the step in progress on a ready socket and gathers the values that arrived, within the
    /// share of a turn.
    pub(crate) fn ready(&mut self, now: Instant, arrivals: &mut Vec<Arrival>) -> Result<(), Error> {
        self.unfinished = false;
        let before = self.wire.begin_turn();
        let outcome = self.go_on(now, arrivals);
        let (total, exhausted) = self.wire.end_turn();
        self.unfinished |= exhausted;
        // A fault of the peer explains more than the volume that came before it.
        outcome?;
        let came = total.saturating_sub(before);
        if self.is_open() {
            if !self.allowance.takes_bytes(came, now) {
                return Err(self.flood("more bytes than all answers together may have"));
            }
        } else if total > GREETING_BYTES {
            return Err(self.flood("more than 1 MiB before the handshake was over"));
        }
        Ok(())
    }

    fn go_on(&mut self, now: Instant, arrivals: &mut Vec<Arrival>) -> Result<(), Error> {
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
        self.receive(now, arrivals)?;
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
        if self.outbox.len() > OUTBOX_BYTES {
            let (peer, unread) = (self.peer, self.outbox.len());
            return Err(Error::new(
                ErrorKind::Protocol,
                format!("{peer} does not read: {unread} bytes wait to be sent"),
            ));
        }
        match self.wire.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(self.broke(error)),
            _ => Ok(()),
        }
    }

    fn receive(&mut self, now: Instant, arrivals: &mut Vec<Arrival>) -> Result<(), Error> {
        // What a turn before left undecoded.
        if !self.decode(now, arrivals)? {
            return Ok(());
        }
        let mut chunk = [0; CHUNK];
        loop {
            match self.wire.read(&mut chunk) {
                Ok(0) => return Err(self.ended()),
                Ok(n) => {
                    self.partial = self.partial.saturating_add(n);
                    self.replies.feed(&chunk[..n]);
                    if !self.decode(now, arrivals)? {
                        return Ok(());
                    }
                    if self.partial > REPLY_BYTES {
                        let peer = self.peer;
                        return Err(Error::new(
                            ErrorKind::Protocol,
                            format!("{peer} sent a reply longer than {REPLY_BYTES} bytes"),
                        ));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broke(error)),
            }
        }
    }

    /// Takes the values that are there; `false` when the share of this turn is used up before.
    fn decode(&mut self, now: Instant, arrivals: &mut Vec<Arrival>) -> Result<bool, Error> {
        loop {
            if arrivals.len() >= TURN_ARRIVALS {
                self.unfinished = true;
                self.replies.forget();
                return Ok(false);
            }
            let peer = self.peer;
            let broken = |fault| Error::new(ErrorKind::Protocol, format!("{peer} sent {fault}"));
            let Some(reply) = self.replies.find().map_err(broken)? else {
                self.replies.forget();
                return Ok(true);
            };
            self.partial = 0;
            if self.lists && matches!(self.phase, Phase::Open) && reply.is_array() {
                let bytes = reply.bytes();
                if bytes.len() >= LONG_LIST {
                    let mut list = std::mem::take(&mut self.spare);
                    list.extend_from_slice(bytes);
                    arrivals.push(Arrival::List(list));
                    continue;
                }
            }
            self.decoder.feed(reply.bytes());
            let Some(value) = self.decoder.next().map_err(broken)? else { continue };
            let pushed = matches!(value, Value::Push { .. });
            if let Phase::Greeting(handshake) = &mut self.phase {
                if pushed {
                    self.early += 1;
                    if self.early > GREETING_PUSHES {
                        return Err(self.flood("messages instead of a greeting"));
                    }
                }
                if let Some(greeting) = handshake.reply(value, &mut self.outbox)? {
                    self.phase = Phase::Open;
                    arrivals.push(Arrival::Opened(Box::new(greeting)));
                }
                self.flush()?;
            } else {
                if (pushed || self.hears) && !self.allowance.takes_unasked(now) {
                    return Err(self.flood("more messages than all its services could have"));
                }
                arrivals.push(Arrival::Value(value));
            }
        }
    }

    fn flood(&mut self, what: &str) -> Error {
        self.flooded = true;
        Error::new(ErrorKind::Protocol, format!("{} floods this link: {what}", self.peer))
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
    /// The socket; none once a handshake of TLS has failed.
    fn socket(&mut self) -> Option<&mut TcpStream> {
        match self {
            Wire::Plain(metered) => Some(&mut metered.stream),
            Wire::Tls(session) => session.transport().map(|metered| &mut metered.stream),
            #[cfg(any(fuzzing, test))]
            Wire::Scripted(_) => None,
        }
    }

    /// The bytes that may be received; none once a handshake of TLS has failed.
    fn share(&mut self) -> Option<&mut Share> {
        match self {
            Wire::Plain(metered) => Some(&mut metered.share),
            Wire::Tls(session) => session.transport().map(|metered| &mut metered.share),
            #[cfg(any(fuzzing, test))]
            Wire::Scripted(metered) => Some(&mut metered.share),
        }
    }

    /// Grants the share of a turn; returns the number of bytes received until now.
    fn begin_turn(&mut self) -> usize {
        let Some(share) = self.share() else { return 0 };
        share.left = TURN_BYTES;
        share.exhausted = false;
        share.total
    }

    /// The number of bytes received until now, and whether the share was used up.
    fn end_turn(&mut self) -> (usize, bool) {
        self.share().map_or((0, false), |share| (share.total, share.exhausted))
    }

    /// Whether the transport stands, or why it never will.
    fn is_connected(&mut self) -> io::Result<bool> {
        #[cfg(any(fuzzing, test))]
        if let Wire::Scripted(_) = self {
            return Ok(true);
        }
        let stream = self.socket().ok_or(io::ErrorKind::NotConnected)?;
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
            #[cfg(any(fuzzing, test))]
            Wire::Scripted(_) => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(session) => session.write(bytes),
            #[cfg(any(fuzzing, test))]
            Wire::Scripted(script) => script.write(bytes),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(into),
            Wire::Tls(session) => session.read(into),
            #[cfg(any(fuzzing, test))]
            Wire::Scripted(script) => script.read(into),
        }
    }

    /// Sends what TLS has to say by itself.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(_) => Ok(()),
            Wire::Tls(session) => session.flush(),
            #[cfg(any(fuzzing, test))]
            Wire::Scripted(_) => Ok(()),
        }
    }
}
