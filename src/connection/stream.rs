//! A socket that any thread may shut down and only its owner closes, and the stream over it.

use std::{
    io::{self, Read, Write},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};
use socket2::{Domain, SockAddr, TcpKeepalive, Type};

use crate::{
    address::Address,
    tls::{Connector, Session, Sight},
};

/// A socket, held in an `Arc`: by its owner, who reads and writes, and for moments by whoever
/// shuts it down. The descriptor closes with the last of them, so a shutdown never meets a number
/// that the system has given to another socket.
pub(crate) struct Socket {
    inner: socket2::Socket,
    /// Set before the system call. `shutdown(2)` says nothing to a socket that has not begun to
    /// connect, so the one who dials has to look here; on macOS also while it waits.
    shut: AtomicBool,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
    Both,
}

/// What [`Socket::peek`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peek {
    /// Nothing: what an idle connection looks like.
    Quiet,
    /// Something to read.
    Unread,
    /// The peer has ended the stream, or it broke.
    Over,
}

impl Socket {
    /// A TCP or Unix socket that is not connected.
    pub(crate) fn unconnected(domain: Domain) -> io::Result<Socket> {
        socket2::Socket::new(domain, Type::STREAM, None).map(Socket::from)
    }

    /// Ends both directions, from any thread. Whoever reads, writes or dials on it wakes at once.
    pub(crate) fn shutdown(&self) {
        self.shut.store(true, Ordering::SeqCst);
        // Fails when it is not connected, and then there is nobody to wake but who dials.
        let _ = self.inner.shutdown(std::net::Shutdown::Both);
    }

    /// True once [`Socket::shutdown`] was called.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::SeqCst)
    }

    /// The options of every socket of this crate. `user_timeout` bounds how long sent bytes may
    /// stay unacknowledged: without it a master that lost its power is noticed after a quarter of
    /// an hour of retransmissions. Linux only; elsewhere keepalive and deadlines have to do.
    pub(crate) fn configure(&self, user_timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_tcp_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5))
            .with_retries(3);
        self.inner.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        self.inner.set_tcp_user_timeout(user_timeout)?;
        #[cfg(not(target_os = "linux"))]
        let _ = user_timeout;
        Ok(())
    }

    /// How long [`Socket::recv`] waits.
    pub(crate) fn set_recv_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_read_timeout(timeout)
    }

    /// As it was when it was connected.
    #[cfg(feature = "capi")]
    pub(crate) fn set_up_again(
        &self,
        recv_timeout: Duration,
        user_timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.inner.set_nonblocking(false)?;
        self.configure(user_timeout)?;
        self.set_recv_timeout(Some(recv_timeout))
    }

    /// Connects, waiting until `deadline`. A shutdown meanwhile ends it with `ConnectionAborted`.
    pub(crate) fn connect(&self, address: &SockAddr, deadline: Instant) -> io::Result<()> {
        self.inner.set_nonblocking(true)?;
        match self.inner.connect(address) {
            Ok(()) => {}
            Err(error)
                if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error())
                    || error.kind() == io::ErrorKind::WouldBlock =>
            {
                self.await_connection(deadline)?;
            }
            Err(error) => return Err(error),
        }
        if self.is_shut() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        // TCP lets a socket connect to itself, and on loopback a dial to a port of the ephemeral
        // range now and then does, while the server that belongs there is down.
        if self.inner.local_addr().is_ok_and(|local| local == *address) {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "it reached only itself"));
        }
        self.inner.set_nonblocking(false)
    }

    fn await_connection(&self, deadline: Instant) -> io::Result<()> {
        // Linux aborts a connect on shutdown(2), and poll tells. A shutdown that came before the
        // connect began had no effect: it is in `shut`, which is therefore read after connect and
        // before every wait. macOS does not abort, so there the wait is cut into slices.
        const SLICE: Option<Duration> =
            if cfg!(target_os = "linux") { None } else { Some(Duration::from_millis(10)) };
        loop {
            if self.is_shut() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let slice = SLICE.map_or(deadline, |slice| deadline.min(Instant::now() + slice));
            match self.wait(Interest::Write, Some(slice)) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::TimedOut && slice < deadline => {}
                Err(error) => return Err(error),
            }
        }
        if self.is_shut() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        match self.inner.take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Appends what has arrived to the spare capacity of `into`, waiting for it as long as the
    /// socket's own timeout says (then `WouldBlock`). 0 is the end of the stream.
    pub(crate) fn recv(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        self.recv_with(into, RecvFlags::empty())
    }

    /// As [`Socket::recv`], without waiting.
    pub(crate) fn recv_now(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        self.recv_with(into, RecvFlags::DONTWAIT)
    }

    /// As [`Socket::recv`] into a slice, or as [`Socket::recv_now`].
    fn recv_slice(&self, into: &mut [u8], wait: bool) -> io::Result<usize> {
        let flags = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        loop {
            match recv(&self.inner, &mut *into, flags) {
                Ok((received, _)) => return Ok(received),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn recv_with(&self, into: &mut Vec<u8>, flags: RecvFlags) -> io::Result<usize> {
        if into.len() == into.capacity() {
            // A read of no bytes would look like the end of the stream.
            into.reserve(1 << 10);
        }
        loop {
            match recv(&self.inner, rustix::buffer::spare_capacity(into), flags) {
                Ok((_, received)) => return Ok(received),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends what fits into the socket's buffer, without waiting and without SIGPIPE: the process
    /// may be a C program or a JVM, where the signal has its default action.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        // On Apple systems socket2 sets SO_NOSIGPIPE on the socket instead.
        #[cfg(target_vendor = "apple")]
        let flags = SendFlags::DONTWAIT;
        #[cfg(not(target_vendor = "apple"))]
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match send(&self.inner, bytes, flags) {
                Ok(sent) => return Ok(sent),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the socket is ready or has ended; `TimedOut` when the deadline passes first.
    pub(crate) fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
        let events = match interest {
            Interest::Read => PollFlags::IN,
            Interest::Write => PollFlags::OUT,
            Interest::Both => PollFlags::IN | PollFlags::OUT,
        };
        let mut watched = [PollFd::new(&self.inner, events)];
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = left.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            match poll(&mut watched, timeout.as_ref()) {
                Ok(0) if left.is_some_and(|left| left.is_zero()) => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What is to be seen on it without taking anything. One system call, and none of it waits.
    pub(crate) fn peek(&self) -> Peek {
        let mut byte = [MaybeUninit::<u8>::uninit()];
        loop {
            match recv(&self.inner, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
                Err(Errno::INTR) => {}
                Err(error) if error == Errno::WOULDBLOCK || error == Errno::AGAIN => {
                    return Peek::Quiet;
                }
                Ok(((read, _), _)) if !read.is_empty() => return Peek::Unread,
                Ok(_) | Err(_) => return Peek::Over,
            }
        }
    }
}

impl From<socket2::Socket> for Socket {
    fn from(inner: socket2::Socket) -> Socket {
        Socket { inner, shut: AtomicBool::new(false) }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// What bytes travel through between the socket and the connection.
pub(crate) enum Stream {
    /// As they are.
    Plain(Arc<Socket>),
    Tls(Box<Secured>),
}

/// TLS over a socket.
pub(crate) struct Secured {
    socket: Arc<Socket>,
    session: Session<Pipe>,
}

impl Stream {
    /// TLS with the peer of a connected socket, once both have proved what they had to; at most until
    /// `deadline` (then `TimedOut`).
    pub(crate) fn secure(
        socket: Arc<Socket>,
        connector: &Connector,
        host: &Address,
        deadline: Instant,
    ) -> io::Result<Stream> {
        let pipe = Pipe { socket: socket.clone(), waits: false, blocked: Interest::Read };
        let mut session = connector.session(host, pipe)?;
        loop {
            match session.handshake() {
                Ok(()) => return Ok(Stream::Tls(Box::new(Secured { socket, session }))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let blocked = session.transport().map_or(Interest::Both, |pipe| pipe.blocked);
                    if Instant::now() >= deadline {
                        // For a peer that keeps bytes coming.
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    socket.wait(blocked, Some(deadline))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The socket underneath.
    #[inline]
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(secured) => &secured.socket,
        }
    }

    /// See [`Socket::recv`]. `Interrupted` when something came of which nothing can be taken yet.
    #[inline]
    pub(crate) fn recv(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.recv(into),
            Stream::Tls(secured) => secured.recv(into, true),
        }
    }

    /// See [`Socket::recv_now`].
    #[inline]
    pub(crate) fn recv_now(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.recv_now(into),
            Stream::Tls(secured) => secured.recv(into, false),
        }
    }

    /// Receives into a slice what has arrived; where `wait` is set, waiting for it as long as the
    /// socket's own timeout says. Then `WouldBlock`, or `Interrupted` when something came of which
    /// nothing can be taken yet.
    pub(crate) fn recv_slice(&mut self, into: &mut [u8], wait: bool) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.recv_slice(into, wait),
            Stream::Tls(secured) => secured.recv_slice(into, wait),
        }
    }

    /// See [`Socket::recv_now`], but waits until the deadline (then `TimedOut`).
    pub(crate) fn recv_until(
        &mut self,
        into: &mut Vec<u8>,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        loop {
            match self.recv_now(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            self.wait(Interest::Read, deadline)?;
        }
    }

    /// See [`Socket::send_now`]. After `WouldBlock` the same bytes are to come again.
    #[inline]
    pub(crate) fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.send_now(bytes),
            Stream::Tls(secured) => secured.session.write(bytes),
        }
    }

    /// See [`Socket::wait`]: also ready is what was received and not taken.
    pub(crate) fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
        match self {
            Stream::Tls(secured) if interest != Interest::Write && secured.session.may_hold() => {
                Ok(())
            }
            _ => self.socket().wait(interest, deadline),
        }
    }

    /// See [`Socket::peek`].
    pub(crate) fn peek(&mut self) -> Peek {
        match self {
            Stream::Plain(socket) => socket.peek(),
            Stream::Tls(secured) => match secured.session.peek() {
                Sight::Quiet => Peek::Quiet,
                Sight::Unread => Peek::Unread,
                Sight::Over => Peek::Over,
            },
        }
    }
}

impl Secured {
    /// Reads at most what one record holds, so that little is zeroed in vain.
    fn recv(&mut self, into: &mut Vec<u8>, wait: bool) -> io::Result<usize> {
        const RECORD: usize = 16 << 10;
        if into.len() == into.capacity() {
            into.reserve(1 << 10);
        }
        let before = into.len();
        into.resize(before + (into.capacity() - before).min(RECORD), 0);
        let read = self.recv_slice(&mut into[before..], wait);
        into.truncate(before + *read.as_ref().unwrap_or(&0));
        read
    }

    fn recv_slice(&mut self, into: &mut [u8], wait: bool) -> io::Result<usize> {
        self.waits(wait);
        let read = self.session.read(into);
        let waited = self.waits(false);
        match read {
            // The socket's timeout is over only if nothing came.
            Err(error) if wait && !waited && error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::ErrorKind::Interrupted.into())
            }
            read => read,
        }
    }

    /// Says whether the next read from the socket waits, and whether it would have until now.
    fn waits(&mut self, wait: bool) -> bool {
        self.session.transport().is_some_and(|pipe| std::mem::replace(&mut pipe.waits, wait))
    }
}

/// The socket as TLS sees it.
struct Pipe {
    socket: Arc<Socket>,
    /// Whether the next read waits, for as long as the socket's own timeout says. One that gave
    /// something is the last: what follows may trickle in.
    waits: bool,
    /// What it was that would block.
    blocked: Interest,
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.socket.recv_slice(into, self.waits);
        match &read {
            Ok(_) => self.waits = false,
            Err(_) => self.blocked = Interest::Read,
        }
        read
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.socket.send_now(bytes);
        if sent.is_err() {
            self.blocked = Interest::Both;
        }
        sent
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
