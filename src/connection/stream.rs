//! A socket that any thread may shut down and only its owner closes, and the stream over it.

use std::{
    io,
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
}

impl Stream {
    /// The socket underneath.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        let Stream::Plain(socket) = self;
        socket
    }

    /// See [`Socket::recv`].
    pub(crate) fn recv(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let Stream::Plain(socket) = self;
        socket.recv(into)
    }

    /// See [`Socket::recv_now`].
    pub(crate) fn recv_now(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let Stream::Plain(socket) = self;
        socket.recv_now(into)
    }

    /// See [`Socket::send_now`].
    pub(crate) fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Stream::Plain(socket) = self;
        socket.send_now(bytes)
    }
}
