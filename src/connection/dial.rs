//! From an address to a connected socket: names, every address of a name, one deadline.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{RecvTimeoutError, bounded};
use parking_lot::Mutex;
use socket2::Domain;

use super::{
    settings::Settings,
    shown,
    stream::{Socket, Stream},
};
use crate::{
    address::Address,
    error::{Error, ErrorKind, Outcome},
};

/// Lookups that may hang at the same time before further ones are refused.
const MAX_LOOKUPS: usize = 32;

impl Stream {
    /// Dials as [`Socket::dial`] does, and makes the connection a secure one where it is to be.
    pub(crate) fn dial<A>(
        address: &Address,
        settings: &Settings,
        deadline: Instant,
        admit: impl FnMut(&Arc<Socket>) -> Result<A, Error>,
    ) -> Result<(Stream, A), Error> {
        let (socket, admission) = Socket::dial(address, deadline, settings.user_timeout, admit)?;
        let Some(tls) = &settings.tls else { return Ok((Stream::Plain(socket), admission)) };
        let started = Instant::now();
        let stream = Stream::secure(socket, tls, address, deadline).map_err(|error| {
            let cause = match error.kind() {
                io::ErrorKind::TimedOut if error.raw_os_error().is_none() => format!(
                    "no answer within {}; check that this port speaks TLS, and that the server is \
                     not overloaded",
                    shown(started.elapsed())
                ),
                _ => tls.explain(&error, address),
            };
            Error::with(
                ErrorKind::Disconnected,
                Outcome::NotSent,
                format!("{address}: connected, but the TLS handshake failed: {cause}"),
                Some(Box::new(error)),
            )
        })?;
        Ok((stream, admission))
    }
}

impl Socket {
    /// Dials every address that `address` stands for, in the resolver's order, each with its share
    /// of what is left until `deadline`.
    ///
    /// `admit` is given each socket before it connects, and may refuse; what it returns for the
    /// socket that connected comes back with it.
    pub(crate) fn dial<A>(
        address: &Address,
        deadline: Instant,
        user_timeout: Option<Duration>,
        mut admit: impl FnMut(&Arc<Socket>) -> Result<A, Error>,
    ) -> Result<(Arc<Socket>, A), Error> {
        let started = Instant::now();
        let targets = resolve(address, deadline)?;
        let mut failures = Vec::new();
        for (nth, target) in targets.iter().enumerate() {
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                failures.push(format!("{target}: no time was left to try it"));
                continue;
            }
            let others = u32::try_from(targets.len() - nth).unwrap_or(u32::MAX);
            let attempt = dial_one(target, now + left / others, user_timeout, &mut admit)?;
            match attempt {
                Ok(connected) => return Ok(connected),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                    // Shut down from outside: there is nothing to be gained at another address.
                    return Err(Error::new(
                        ErrorKind::Disconnected,
                        format!("{address}: the connection was given up while it was being made"),
                    ));
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    let waited = shown(now.elapsed());
                    failures.push(format!("{target}: no answer within {waited}"));
                }
                Err(error) => failures.push(format!("{target}: {error}")),
            }
        }
        // One address that is its own name need not be named twice.
        let causes = match &failures[..] {
            [] => "the name resolves to no address".to_owned(),
            [only] if address.ip().is_some() => {
                only.split_once(": ").map_or(&**only, |(_, cause)| cause).to_owned()
            }
            all => all.join("; "),
        };
        Err(Error::new(
            ErrorKind::Disconnected,
            format!(
                "{address}: cannot connect ({causes}) after {}; check that a server listens there \
                 and can be reached from here",
                shown(started.elapsed())
            ),
        ))
    }
}

/// Refusals of `admit` end the dial; failures of the network do not.
fn dial_one<A>(
    target: &SocketAddr,
    deadline: Instant,
    user_timeout: Option<Duration>,
    admit: &mut impl FnMut(&Arc<Socket>) -> Result<A, Error>,
) -> Result<io::Result<(Arc<Socket>, A)>, Error> {
    let socket = match Socket::unconnected(Domain::for_address(*target)) {
        Ok(socket) => Arc::new(socket),
        Err(error) => return Ok(Err(error)),
    };
    let admission = admit(&socket)?;
    Ok(socket
        .configure(user_timeout)
        .and_then(|()| socket.connect(&(*target).into(), deadline))
        .map(|()| (socket, admission)))
}

/// Every address of a host, within the deadline.
fn resolve(address: &Address, deadline: Instant) -> Result<Vec<SocketAddr>, Error> {
    if let Some(ip) = address.ip() {
        return Ok(vec![SocketAddr::new(ip, address.port())]);
    }
    let (answer, answers) = bounded(1);
    let asked = Instant::now();
    look_up(address, move |addresses| {
        // Nobody may be waiting any more.
        let _ = answer.send(addresses);
    });
    let cause = match answers.recv_deadline(deadline) {
        Ok(Ok(addresses)) => return Ok(addresses),
        Ok(Err(cause)) => cause,
        Err(RecvTimeoutError::Timeout) => format!("no answer within {}", shown(asked.elapsed())),
        Err(RecvTimeoutError::Disconnected) => "the lookup failed".to_owned(),
    };
    Err(Error::new(
        ErrorKind::Disconnected,
        format!("{address}: the name cannot be resolved: {cause}; check the name and the DNS"),
    ))
}

/// Looks a host's addresses up, and hands on what comes of it.
///
/// `getaddrinfo` has no deadline of its own and may hang for half a minute, so each lookup has a
/// thread, which is left behind by whoever does not wait any longer. Their number is bounded.
pub(crate) fn look_up(
    address: &Address,
    answer: impl FnOnce(Result<Vec<SocketAddr>, String>) + Send + 'static,
) {
    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

    /// Counts a lookup down when its thread ends, however it ends.
    struct Lookup;
    impl Drop for Lookup {
        fn drop(&mut self) {
            LOOKUPS.fetch_sub(1, Ordering::Relaxed);
        }
    }

    if LOOKUPS.fetch_add(1, Ordering::Relaxed) >= MAX_LOOKUPS {
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
        return answer(Err(format!("{MAX_LOOKUPS} earlier lookups have not ended")));
    }
    let lookup = Lookup;
    // Held here as well: a thread that cannot be had takes what it was given with it.
    let answer = Arc::new(Mutex::new(Some(answer)));
    let (theirs, host, port) = (answer.clone(), address.host().to_owned(), address.port());
    let started = thread::Builder::new().name("switchmaster-lookup".to_owned()).spawn(move || {
        let _lookup = lookup;
        let found = (&*host, port).to_socket_addrs().map(Vec::from_iter);
        let answer = theirs.lock().take();
        if let Some(answer) = answer {
            answer(found.map_err(|error| error.to_string()));
        }
    });
    if let Err(error) = started {
        let answer = answer.lock().take();
        if let Some(answer) = answer {
            answer(Err(format!("no thread for the lookup: {error}")));
        }
    }
}
