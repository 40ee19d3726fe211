//! A TCP proxy that fails to order: [`FaultProxy`].
//!
//! Every connection has a thread per direction. Each reads for a few milliseconds at most, and asks for
//! the fault again before every write, under a lock that whoever switches the fault has to take.

mod fault;
mod scanner;

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use socket2::SockRef;

use fault::Fault;
use scanner::Scanner;

use crate::{
    Result,
    acceptor::{Acceptor, spawn},
    patience::STEP,
};

/// Bounds the connect to the target.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a read may block while bytes wait for their time.
const SHORT: Duration = Duration::from_millis(1);
/// What a direction holds back at most; it does not read on until some of that is gone.
const HELD: usize = 4 * 1024 * 1024;

/// A TCP proxy on a free port of 127.0.0.1, with faults that are switched at run time.
///
/// It begins with [`pass`](FaultProxy::pass). A new fault replaces the one before, and holds as soon as the method has
/// returned: nothing more is forwarded under the one before. Dropping the proxy closes its connections
/// and ends its threads.
///
/// ```
/// use std::{net::TcpListener, time::Duration};
/// use switchmaster_sandbox::{Client, FaultProxy, wait_until};
///
/// let server = TcpListener::bind("127.0.0.1:0").unwrap();
/// let proxy = FaultProxy::to(server.local_addr().unwrap()).unwrap();
/// let client = Client::connect(proxy.address(), Duration::from_secs(1)).unwrap();
/// assert!(wait_until(Duration::from_secs(1), || proxy.connections() == 1));
/// proxy.reset();
/// assert_eq!(proxy.connections(), 0);
/// ```
pub struct FaultProxy {
    target: SocketAddr,
    acceptor: Option<Acceptor>,
    shared: Arc<Shared>,
}

struct Shared {
    rule: RwLock<Rule>,
    lines: Mutex<Vec<Line>>,
    accepted: AtomicUsize,
    swallowed: AtomicUsize,
}

#[derive(Clone, Copy)]
struct Rule {
    fault: Fault,
    /// Counts the faults, so that a connection knows a new one from the one it has seen.
    number: u64,
}

/// A connection as the proxy knows it. Its thread alone owns the sockets, which are closed when it ends.
struct Line {
    link: Weak<Link>,
    thread: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy that connects to `target` for each connection it accepts.
    ///
    /// The target is not looked at before: when it refuses a connection, the client's is closed.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) when no port or no thread can be had.
    pub fn to(target: SocketAddr) -> Result<FaultProxy> {
        let shared = Arc::new(Shared {
            rule: RwLock::new(Rule { fault: Fault::Pass, number: 0 }),
            lines: Mutex::new(Vec::new()),
            accepted: AtomicUsize::new(0),
            swallowed: AtomicUsize::new(0),
        });
        let sharing = shared.clone();
        let what = format!("proxy to {target}");
        let acceptor = Acceptor::start(&what, move |client| sharing.accept(client, target))?;
        Ok(FaultProxy { target, acceptor: Some(acceptor), shared })
    }

    /// Where to connect instead of the target.
    pub fn address(&self) -> SocketAddr {
        self.acceptor.as_ref().map_or(self.target, Acceptor::address)
    }

    /// Where the proxy connects to.
    pub fn target(&self) -> SocketAddr {
        self.target
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.shared.lines.lock().iter().filter(|line| !line.thread.is_finished()).count()
    }

    /// How many connections were accepted so far, those included that [`refuse`](FaultProxy::refuse) closed.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many messages were swallowed so far, see [`swallow_pubsub`](FaultProxy::swallow_pubsub).
    pub fn swallowed(&self) -> usize {
        self.shared.swallowed.load(Ordering::SeqCst)
    }

    /// Back to normal: what was held back is forwarded, and then everything at once. Connects no longer hang.
    pub fn pass(&self) {
        self.set(Fault::Pass);
        if let Some(acceptor) = &self.acceptor {
            // It can only fail for a port that was closed, which that of a proxy never is.
            let _ = acceptor.resume();
        }
    }

    /// Accepts nothing and keeps the backlog full, so that `connect()` hangs as it does for a host that is off.
    ///
    /// It concerns new connections only, comes in addition to the other faults, and ends with [`pass`](FaultProxy::pass). Linux
    /// drops a SYN that finds a full backlog; other systems may refuse it. Takes about 0.1 s.
    pub fn hang_connects(&self) {
        if let Some(acceptor) = &self.acceptor {
            acceptor.hang();
        }
    }

    /// Forwards everything so much later, each way; a round trip takes twice that.
    pub fn delay(&self, delay: Duration) {
        self.set(Fault::Delay(delay));
    }

    /// Accepts and keeps connections and forwards nothing, either way.
    ///
    /// What arrives meanwhile, an end of the connection too, is held back and forwarded after
    /// [`pass`](FaultProxy::pass). Connections accepted meanwhile reach the target only then.
    pub fn black_hole(&self) {
        self.set(Fault::BlackHole);
    }

    /// Closes the present connections, and new ones as soon as they are accepted.
    ///
    /// A client's connect still succeeds, since the port stays taken; its first read ends.
    pub fn refuse(&self) {
        self.set(Fault::Refuse);
        self.shared.end_all(Ending::Close);
    }

    /// Ends the present connections with a reset. The fault stays as it is for new ones.
    pub fn reset(&self) {
        self.shared.end_all(Ending::Reset);
    }

    /// Closes each connection after so many more bytes from the server, new ones likewise.
    pub fn cut_after(&self, bytes: usize) {
        self.set(Fault::CutAfter(bytes));
    }

    /// Swallows what the server sends, the end of the connection too, and passes what the client sends.
    ///
    /// The bytes are lost; an end of the connection comes after [`pass`](FaultProxy::pass).
    pub fn half_open(&self) {
        self.set(Fault::HalfOpen);
    }

    /// Swallows published messages and passes everything else, confirmations of subscriptions included.
    ///
    /// These are pushes of RESP3 and arrays of RESP2 that are a `message`, `pmessage` or `smessage`.
    pub fn swallow_pubsub(&self) {
        self.set(Fault::SwallowPubsub);
    }

    /// Has the server tell a time (`TIME`) that is so much ahead of its own, and passes everything else.
    ///
    /// That reply is known by its form: any array of two numbers in text is taken for a time.
    pub fn clock_ahead(&self, by: Duration) {
        self.set(Fault::ClockAhead(by));
    }

    fn set(&self, fault: Fault) {
        let mut rule = self.shared.rule.write();
        *rule = Rule { fault, number: rule.number + 1 };
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.acceptor = None;
        self.shared.end_all(Ending::Close);
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, client: TcpStream, target: SocketAddr) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        // Held while the fault is looked at, so that `refuse` ends this connection too.
        let mut lines = self.lines.lock();
        lines.retain(|line| !line.thread.is_finished());
        if self.rule.read().fault == Fault::Refuse {
            return;
        }
        let link = Arc::new(Link {
            client,
            server: OnceLock::new(),
            ended: AtomicBool::new(false),
            forwarded: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&link);
        let shared = self.clone();
        // Without a thread the connection is closed, which is all that can be said to its client.
        if let Ok(thread) = spawn(format!("proxied {target}"), move || link.run(&shared, target)) {
            lines.push(Line { link: weak, thread });
        }
    }

    /// Ends the present connections, and returns when their sockets are closed.
    fn end_all(&self, ending: Ending) {
        let lines = std::mem::take(&mut *self.lines.lock());
        for line in &lines {
            if let Some(link) = line.link.upgrade() {
                link.end(ending);
            }
        }
        for line in lines {
            let _ = line.thread.join();
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// With an end of file.
    Close,
    /// With a reset.
    Reset,
}

/// A client's connection and the one to the target that was made for it.
struct Link {
    client: TcpStream,
    server: OnceLock<TcpStream>,
    ended: AtomicBool,
    /// Whether one direction is done.
    forwarded: AtomicBool,
}

impl Link {
    fn run(&self, shared: &Shared, target: SocketAddr) {
        let Some(server) = self.connect(shared, target) else {
            self.end(Ending::Close);
            return;
        };
        thread::scope(|scope| {
            let down = Pump::new(shared, self, server, &self.client, true);
            let down = thread::Builder::new().spawn_scoped(scope, move || down.run());
            if down.is_err() {
                self.end(Ending::Close);
                return;
            }
            Pump::new(shared, self, &self.client, server, false).run();
        });
    }

    /// Connects to the target once connections pass; `None` when there is nothing to forward to.
    fn connect(&self, shared: &Shared, target: SocketAddr) -> Option<&TcpStream> {
        while shared.rule.read().fault == Fault::BlackHole {
            if self.has_ended() {
                return None;
            }
            thread::sleep(STEP);
        }
        let server = TcpStream::connect_timeout(&target, CONNECT).ok()?;
        for stream in [&self.client, &server] {
            stream.set_nodelay(true).ok()?;
            stream.set_write_timeout(Some(STEP)).ok()?;
        }
        // An `end` that came before the store did not see the server's socket, but is seen here.
        Some(self.server.get_or_init(|| server)).filter(|_| !self.has_ended())
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Ends both connections. The sockets are closed, and a reset is sent, when the threads have seen it.
    fn end(&self, ending: Ending) {
        for stream in [Some(&self.client), self.server.get()].into_iter().flatten() {
            let _ = match ending {
                Ending::Close => stream.shutdown(Shutdown::Both),
                Ending::Reset => SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            };
        }
        self.ended.store(true, Ordering::SeqCst);
    }
}

/// One direction of a connection.
struct Pump<'a> {
    shared: &'a Shared,
    link: &'a Link,
    from: &'a TcpStream,
    to: &'a TcpStream,
    /// Whether this is what the server sends.
    down: bool,
    /// What has been read, and when.
    queue: VecDeque<(Instant, Vec<u8>)>,
    /// How the source has ended, and when.
    end: Option<(Instant, Ending)>,
    scanner: Scanner,
    /// What is to be written now.
    out: Vec<u8>,
    /// The number of the fault that was last seen, and what it still lets through.
    seen: u64,
    left: usize,
}

impl<'a> Pump<'a> {
    fn new(
        shared: &'a Shared,
        link: &'a Link,
        from: &'a TcpStream,
        to: &'a TcpStream,
        down: bool,
    ) -> Pump<'a> {
        Pump {
            shared,
            link,
            from,
            to,
            down,
            queue: VecDeque::new(),
            end: None,
            scanner: Scanner::default(),
            out: Vec::new(),
            seen: u64::MAX,
            left: usize::MAX,
        }
    }

    fn run(mut self) {
        let mut chunk = vec![0; 16 * 1024];
        while !self.link.has_ended() && self.forward() {
            self.fill(&mut chunk);
        }
    }

    /// Reads once, for a few milliseconds at most.
    fn fill(&mut self, chunk: &mut [u8]) {
        let held: usize = self.queue.iter().map(|(_, bytes)| bytes.len()).sum();
        if self.end.is_some() || held + self.out.len() > HELD {
            thread::sleep(SHORT);
            return;
        }
        let waiting = held > 0 || !self.out.is_empty();
        let timeout = if waiting { SHORT } else { STEP };
        let read = self.from.set_read_timeout(Some(timeout)).and_then(|()| self.from.read(chunk));
        let now = Instant::now();
        match read {
            Ok(0) => self.end = Some((now, Ending::Close)),
            Ok(count) => self.queue.push_back((now, chunk[..count].to_vec())),
            Err(error) if is_timeout(&error) => {}
            Err(_) => self.end = Some((now, Ending::Reset)),
        }
    }

    /// Forwards what the present fault lets through. `false` when this direction is done.
    fn forward(&mut self) -> bool {
        let rule = self.shared.rule.read();
        if rule.number != self.seen {
            self.seen = rule.number;
            self.left = match rule.fault {
                Fault::CutAfter(bytes) if self.down => bytes,
                _ => usize::MAX,
            };
        }
        let delay = match rule.fault {
            // Whoever ordered to refuse ends this connection next.
            Fault::BlackHole | Fault::Refuse => return true,
            Fault::Delay(delay) => delay,
            _ => Duration::ZERO,
        };
        let is_due = |arrived: Instant| arrived.elapsed() >= delay;
        while self.queue.front().is_some_and(|(arrived, _)| is_due(*arrived)) {
            let Some((_, bytes)) = self.queue.pop_front() else { break };
            if self.down {
                let swallowed = self.scanner.scan(&bytes, rule.fault, &mut self.out);
                self.shared.swallowed.fetch_add(swallowed, Ordering::SeqCst);
            } else {
                self.out.extend_from_slice(&bytes);
            }
        }
        if self.down && !rule.fault.is_about_frames() {
            // The beginning of a frame that the scanner waited with under the fault before.
            self.scanner.scan(&[], rule.fault, &mut self.out);
        }
        let half_open = self.down && rule.fault == Fault::HalfOpen;
        if half_open {
            self.out.clear();
        }
        if self.left > 0 && !self.out.is_empty() && !self.write() {
            return false;
        }
        if self.left == 0 {
            self.link.end(Ending::Close);
            return false;
        }
        match self.end {
            Some((at, ending)) if self.queue.is_empty() && self.out.is_empty() && is_due(at) => {
                // A half-open connection hides its end, unless its client has left before.
                if half_open && !self.link.forwarded.load(Ordering::SeqCst) {
                    return true;
                }
                self.finish(ending);
                false
            }
            _ => true,
        }
    }

    /// Writes once. `false` when the destination is gone; the other direction reads how it went.
    fn write(&mut self) -> bool {
        let count = self.out.len().min(self.left);
        match (&mut &*self.to).write(&self.out[..count]) {
            Ok(count) => {
                self.out.drain(..count);
                self.left -= if self.left == usize::MAX { 0 } else { count };
                true
            }
            Err(error) if is_timeout(&error) => true,
            Err(_) => {
                self.link.forwarded.store(true, Ordering::SeqCst);
                false
            }
        }
    }

    /// Forwards how the source ended. What is left of a frame that has not come to its end is dropped.
    fn finish(&self, ending: Ending) {
        match ending {
            Ending::Close => {
                let _ = self.to.shutdown(Shutdown::Write);
                self.link.forwarded.store(true, Ordering::SeqCst);
            }
            Ending::Reset => self.link.end(Ending::Reset),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
