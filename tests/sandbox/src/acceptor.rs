//! The thread that accepts connections for a proxy or a fake: [`Acceptor`].

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use socket2::SockRef;

use crate::{Error, Result, patience::STEP, ports};

/// How long the thread may block before it looks whether it is still wanted.
const SLICE: Duration = Duration::from_millis(20);
const BACKLOG: i32 = 1024;
/// A connect to the own machine that takes longer did not get into the backlog.
const FULL: Duration = Duration::from_millis(100);

/// Listens on a free port of loopback until it is dropped.
pub(crate) struct Acceptor {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    listener: Mutex<Option<Arc<TcpListener>>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ended: bool,
    /// Nothing is to be accepted.
    paused: bool,
    /// The thread has seen that.
    resting: bool,
    /// Connections of our own that fill the backlog.
    fillers: Vec<TcpStream>,
    /// Their local addresses: these are not for the guests' treatment.
    known: Vec<SocketAddr>,
}

impl Acceptor {
    /// Gives every connection to `accept`, which must not block.
    pub(crate) fn start(
        what: &str,
        accept: impl FnMut(TcpStream) + Send + 'static,
    ) -> Result<Acceptor> {
        let listener = ports::listen()?;
        let address = listener.local_addr().map_err(|error| {
            Error::io(format_args!("{what}: the address it listens on"), &error)
        })?;
        let shared = Arc::new(Shared {
            listener: Mutex::new(Some(limited(listener)?)),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let body = shared.clone();
        let thread = spawn(format!("{what} {}", address.port()), move || body.run(accept))?;
        Ok(Acceptor { address, shared, thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and fills the backlog, so that further connects hang.
    pub(crate) fn hang(&self) {
        self.pause();
        let Some(listener) = self.shared.listener.lock().clone() else { return };
        let mut state = self.shared.state.lock();
        // It listens, so this cannot fail; a longer backlog would only take longer to fill.
        let _ = SockRef::from(&*listener).listen(0);
        while let Ok(stream) = TcpStream::connect_timeout(&self.address, FULL) {
            state.known.extend(stream.local_addr());
            state.fillers.push(stream);
        }
    }

    /// Closes the port: connects are refused.
    pub(crate) fn close(&self) {
        self.pause();
        *self.shared.listener.lock() = None;
        let mut state = self.shared.state.lock();
        state.fillers.clear();
        state.known.clear();
    }

    /// Accepts again, whichever of the two came before.
    pub(crate) fn resume(&self) -> Result<()> {
        {
            let mut listener = self.shared.listener.lock();
            match listener.as_ref() {
                Some(listener) => widen(listener),
                None => *listener = Some(limited(ports::listen_at(self.address)?)?),
            }
        }
        let mut state = self.shared.state.lock();
        state.fillers.clear();
        state.paused = false;
        self.shared.changed.notify_all();
        Ok(())
    }

    fn pause(&self) {
        let mut state = self.shared.state.lock();
        state.paused = true;
        while !state.resting {
            self.shared.changed.wait(&mut state);
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, mut accept: impl FnMut(TcpStream)) {
        while let Some(listener) = self.next_listener() {
            match listener.accept() {
                Ok((_, peer)) if self.is_filler(peer) => {}
                // Linux hands the listener's limit down.
                Ok((stream, _)) if stream.set_read_timeout(None).is_ok() => accept(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Out of file descriptors, most likely: the next try may find one.
                _ => thread::sleep(STEP),
            }
        }
    }

    /// Waits while nothing is to be accepted; `None` at the end.
    fn next_listener(&self) -> Option<Arc<TcpListener>> {
        let mut state = self.state.lock();
        while state.paused && !state.ended {
            state.resting = true;
            self.changed.notify_all();
            self.changed.wait(&mut state);
        }
        state.resting = false;
        if state.ended { None } else { self.listener.lock().clone() }
    }

    fn is_filler(&self, peer: SocketAddr) -> bool {
        let mut state = self.state.lock();
        let index = state.known.iter().position(|filler| *filler == peer);
        index.map(|index| state.known.swap_remove(index)).is_some()
    }
}

/// Has hundreds of connects at once find room, as with a real server. The standard library's backlog
/// drops some of them, and those connects take a second more.
fn widen(listener: &TcpListener) {
    let _ = SockRef::from(listener).listen(BACKLOG);
}

/// The limit of a blocking read is that of accept, too.
fn limited(listener: TcpListener) -> Result<Arc<TcpListener>> {
    SockRef::from(&listener)
        .set_read_timeout(Some(SLICE))
        .map_err(|error| Error::io("limit the time of an accept", &error))?;
    widen(&listener);
    Ok(Arc::new(listener))
}

/// Starts a thread with a name.
pub(crate) fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(name.clone())
        .spawn(body)
        .map_err(|error| Error::io(format_args!("start the thread {name:?}"), &error))
}
