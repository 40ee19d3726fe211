//! The thread that accepts connections for a proxy or a fake: [`Acceptor`].

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{Error, Result, patience::STEP};

/// Bounds each try to wake the thread at the end.
const WAKE: Duration = Duration::from_millis(100);

/// Listens on a free port of loopback until it is dropped.
pub(crate) struct Acceptor {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Gives every connection to `accept`, which must not block.
    pub(crate) fn start(
        what: &str,
        mut accept: impl FnMut(TcpStream) + Send + 'static,
    ) -> Result<Acceptor> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| {
            Error::io(format_args!("{what}: listen on a free port of 127.0.0.1"), &error)
        })?;
        let address = listener.local_addr().map_err(|error| {
            Error::io(format_args!("{what}: the address it listens on"), &error)
        })?;
        let ended = Arc::new(AtomicBool::new(false));
        let over = ended.clone();
        let body = move || {
            while !over.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok(_) if over.load(Ordering::SeqCst) => {}
                    Ok((stream, _)) => accept(stream),
                    // Out of file descriptors, most likely: the next try may find one.
                    Err(_) => thread::sleep(STEP),
                }
            }
        };
        let thread = spawn(format!("{what} {}", address.port()), body)?;
        Ok(Acceptor { address, ended, thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() {
            // A connection wakes the thread from its accept.
            let _ = TcpStream::connect_timeout(&self.address, WAKE);
        }
        let _ = thread.join();
    }
}

/// Starts a thread with a name.
pub(crate) fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(name.clone())
        .spawn(body)
        .map_err(|error| Error::io(format_args!("start the thread {name:?}"), &error))
}
