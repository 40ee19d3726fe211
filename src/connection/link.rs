//! [`Link`]: a [`Stream`], what is read from it, and how it begins.

use std::{io, time::Instant};

use redis::Value;

use super::{
    handshake::{Greeting, Handshake},
    inbox::{Inbox, Mail},
    settings::Settings,
    stream::{Interest, Stream},
    wire::{Decoder, Limits, ProtocolError},
};
use crate::{address::Address, error::Error};

/// Why an exchange ended before its replies were there.
pub(super) enum Fault {
    Io(io::Error),
    /// The peer ended the stream.
    Closed,
    Late,
    Protocol(ProtocolError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        // Ours has no number. The system's own (ETIMEDOUT) says that the peer acknowledges nothing.
        match error.kind() {
            io::ErrorKind::TimedOut if error.raw_os_error().is_none() => Fault::Late,
            _ => Fault::Io(error),
        }
    }
}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Fault {
        Fault::Protocol(error)
    }
}

/// A stream and what is read from it.
pub(super) struct Link {
    pub(super) stream: Stream,
    pub(super) decoder: Decoder,
    pub(super) inbox: Inbox,
}

impl Link {
    pub(super) fn new(stream: Stream, limits: Limits) -> Link {
        Link { stream, decoder: Decoder::new(limits), inbox: Inbox::default() }
    }

    /// Reads to its end what the server has begun to say of itself, so that nothing of it is left;
    /// waits until `deadline` for the rest.
    pub(super) fn hear_out(
        &mut self,
        subscribing: bool,
        deadline: Option<Instant>,
    ) -> Result<(), Fault> {
        while !self.decoder.is_empty() {
            if self.stream.recv_until(self.decoder.room(), deadline)? == 0 {
                return Err(Fault::Closed);
            }
            self.clear(subscribing)?;
            // For a peer that keeps bytes coming, whom no wait would find late.
            if !self.decoder.is_empty() && deadline.is_some_and(|late| Instant::now() >= late) {
                return Err(Fault::Late);
            }
        }
        Ok(())
    }

    /// Greets the server.
    pub(super) fn greet(
        &mut self,
        address: &Address,
        settings: &Settings,
        asks_origin: bool,
        deadline: Instant,
    ) -> Result<Greeting, Ungreeted> {
        let handshake = Handshake::new(address, settings).for_commands();
        let mut handshake = handshake.asking_for_origin(asks_origin);
        let mut out = Vec::new();
        handshake.start(&mut out);
        loop {
            let mut rest = &out[..];
            while !rest.is_empty() {
                match self.stream.send_now(rest) {
                    Ok(sent) => rest = &rest[sent..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.stream.wait(Interest::Write, Some(deadline))?;
                    }
                    // A server without a connection left says so and hangs up, before it was asked.
                    Err(error) if hung_up(&error) => break,
                    Err(error) => return Err(Fault::from(error).into()),
                }
            }
            out.clear();
            while out.is_empty() {
                let Some(value) = self.decoder.next()? else {
                    if self.stream.recv_until(self.decoder.room(), Some(deadline))? == 0 {
                        return Err(Fault::Closed.into());
                    }
                    if Instant::now() >= deadline {
                        return Err(Fault::Late.into());
                    }
                    continue;
                };
                if let Value::Push { .. } = value {
                    self.inbox.drop_message();
                    continue;
                }
                match handshake.reply(value, &mut out) {
                    Ok(Some(greeting)) => return Ok(greeting),
                    Ok(None) => {}
                    Err(error) => return Err(Ungreeted::Refused(error)),
                }
            }
        }
    }

    /// Takes out what the server has sent since the last reply; a reply is not to be among it.
    pub(super) fn clear(&mut self, subscribing: bool) -> Result<(), Fault> {
        while !self.decoder.is_empty() {
            // The beginning of a message stays; its rest comes before the next reply.
            let Some(value) = self.decoder.next()? else { break };
            match self.inbox.sort(value, subscribing) {
                Mail::Message | Mail::Confirmation(_) => {}
                Mail::Reply(_) => return Err(ProtocolError::unasked().into()),
            }
        }
        Ok(())
    }
}

/// Whether the peer ended the connection without a word: what it said before can still be read.
fn hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

/// How a handshake failed.
pub(super) enum Ungreeted {
    Refused(Error),
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for Ungreeted {
    fn from(fault: F) -> Ungreeted {
        Ungreeted::Fault(fault.into())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
        sync::Arc,
        thread,
        time::Duration,
    };

    use super::*;
    use crate::connection::stream::Socket;

    #[test]
    fn the_rest_of_a_message_that_never_ends_is_waited_for_until_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let flood = thread::spawn(move || while peer.write_all(&b"_\r\n".repeat(4096)).is_ok() {});
        let socket = Arc::new(Socket::from(socket2::Socket::from(socket)));
        let mut link = Link::new(Stream::Plain(socket.clone()), Limits::default());
        link.decoder.feed(b">4000000\r\n");
        assert!(link.decoder.next().unwrap().is_none());
        let heard = link.hear_out(false, Some(Instant::now() + Duration::from_millis(50)));
        assert!(matches!(heard, Err(Fault::Late)));
        // A peer that waits for room in the buffers hears of the end when the socket is closed.
        drop((link, socket));
        flood.join().unwrap();
    }
}
