//! Free ports on 127.0.0.1.
//!
//! Ports come from 10000..30000, below the range from which systems take the local ports of outgoing
//! connections, so that a server that was killed finds its port free when it is restarted. Every process starts at
//! a random place and never offers a port twice in a row; what two processes still choose together
//! fails at bind, and the caller takes another.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{Error, ErrorKind, Result, settings::Settings};

const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// Where a member listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) plain: u16,
    pub(crate) tls: Option<u16>,
    /// The one that it tells others.
    pub(crate) announced: u16,
}

impl Ports {
    /// Free ones.
    pub(crate) fn choose(settings: &Settings) -> Result<Ports> {
        let plain = free()?;
        let Some(tls) = &settings.tls else {
            return Ok(Ports { plain, tls: None, announced: plain });
        };
        let port = free()?;
        let announced = if tls.members { port } else { plain };
        Ok(Ports { plain, tls: Some(port), announced })
    }
}

/// 64 random bits.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn candidate() -> u16 {
    static NEXT: OnceLock<AtomicU32> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU32::new((random() % u64::from(COUNT)) as u32));
    (FIRST + next.fetch_add(1, Ordering::Relaxed) % COUNT) as u16
}

/// The loopback address with this port.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A listener on a port that was free.
pub(crate) fn listen() -> Result<TcpListener> {
    let mut last = None;
    for _ in 0..1000 {
        match TcpListener::bind(local(candidate())) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    let cause = last.map(|error| error.to_string()).unwrap_or_default();
    Err(Error::new(ErrorKind::Io, format!("no free port among 1000 tried on 127.0.0.1: {cause}")))
}

/// A port on which nobody listens at this moment.
pub(crate) fn free() -> Result<u16> {
    let listener = listen()?;
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| Error::io("the address of a listener", &error))
}

/// A listener on this very port.
pub(crate) fn listen_at(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        Error::new(ErrorKind::PortTaken, format!("listen on {address} again: {error}"))
    })
}
