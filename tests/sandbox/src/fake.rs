//! What the fakes have in common: connections, the handshake, subscriptions and orders to misbehave.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    Result,
    acceptor::{Acceptor, spawn},
    frame::{Frame, Protocol},
    patience::STEP,
};

/// A client that does not read its replies for so long is disconnected.
const WRITE: Duration = Duration::from_secs(1);

/// A host, by address or by name, and a port, as the fakes announce them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// An address without brackets, or a name.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Place {
        Place { host: address.ip().to_string(), port: address.port() }
    }
}

impl From<(&str, u16)> for Place {
    fn from((host, port): (&str, u16)) -> Place {
        Place { host: host.to_owned(), port }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A run id that no other fake of this process has: 40 hexadecimal digits.
pub(crate) fn new_run_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}{:024x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number)
}

/// What a fake says in the handshake.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) mode: &'static str,
    pub(crate) role: Option<&'static str>,
    pub(crate) version: String,
    pub(crate) username: String,
    pub(crate) password: Option<String>,
    pub(crate) resp2_only: bool,
}

/// The part of a fake that differs: its model and the commands that read it.
pub(crate) trait Brain: Send + Sync {
    fn identity(&self) -> Identity;

    /// Appends the reply to a command. The first word is in capitals.
    fn answer(&self, session: &mut Session, words: &Words, out: &mut Vec<u8>);
}

/// A command: its words, as bytes and as text.
pub(crate) struct Words {
    pub(crate) bytes: Vec<Vec<u8>>,
    /// The name of the command, in capitals.
    pub(crate) name: String,
}

impl Words {
    /// A word as text; empty when there is none.
    pub(crate) fn text(&self, index: usize) -> String {
        self.bytes.get(index).map(|w| String::from_utf8_lossy(w).into_owned()).unwrap_or_default()
    }

    /// A word in capitals.
    pub(crate) fn upper(&self, index: usize) -> String {
        self.text(index).to_uppercase()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What servers say to a command that they do not know.
    pub(crate) fn unknown(&self) -> Frame {
        let given: String = (1..self.len()).map(|i| format!("'{}' ", self.text(i))).collect();
        let name = self.text(0);
        Frame::Error(format!("ERR unknown command '{name}', with args beginning with: {given}"))
    }

    /// What servers say to a wrong number of words.
    pub(crate) fn wrong_number(&self) -> Frame {
        let name = self.name.to_lowercase();
        Frame::Error(format!("ERR wrong number of arguments for '{name}' command"))
    }
}

/// What a fake knows about one connection.
pub(crate) struct Session {
    pub(crate) protocol: Protocol,
    id: u64,
    name: String,
    authenticated: bool,
    channels: BTreeSet<String>,
    patterns: BTreeSet<String>,
    /// Replies that have not been written.
    unwritten: Vec<u8>,
}

impl Session {
    pub(crate) fn reply(&self, frame: &Frame, out: &mut Vec<u8>) {
        frame.encode(self.protocol, out);
    }

    /// The null of a string, which RESP2 writes other than that of an array.
    pub(crate) fn reply_null(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.protocol == Protocol::Resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// `SUBSCRIBE`, `PSUBSCRIBE` and their opposites.
    pub(crate) fn subscribe(&mut self, words: &Words, out: &mut Vec<u8>) {
        let kind = words.name.to_lowercase();
        let pattern = kind.starts_with('p');
        let leaving = kind.ends_with("unsubscribe");
        let mut names: Vec<String> = (1..words.len()).map(|i| words.text(i)).collect();
        if names.is_empty() && !leaving {
            return self.reply(&words.wrong_number(), out);
        }
        let set = if pattern { &mut self.patterns } else { &mut self.channels };
        if names.is_empty() {
            names.extend(set.iter().cloned());
        }
        if names.is_empty() {
            // No channel to name: a push with a null in its place.
            let sign = if self.protocol == Protocol::Resp3 { '>' } else { '*' };
            out.extend_from_slice(format!("{sign}3\r\n").as_bytes());
            self.reply(&Frame::bulk(&kind), out);
            self.reply_null(out);
            return self.reply(&integer(self.subscriptions()), out);
        }
        for name in names {
            let set = if pattern { &mut self.patterns } else { &mut self.channels };
            if leaving {
                set.remove(&name);
            } else {
                set.insert(name.clone());
            }
            let count = integer(self.subscriptions());
            self.reply(&Frame::Push(vec![Frame::bulk(&kind), Frame::bulk(&name), count]), out);
        }
    }

    /// Appends a message for each subscription that matches, and says how many there were.
    fn deliver(&self, channel: &str, payload: &[u8], out: &mut Vec<u8>) -> usize {
        let mut count = 0;
        if self.channels.contains(channel) {
            let words = [b"message", channel.as_bytes(), payload];
            self.reply(&Frame::Push(words.map(Frame::bulk).to_vec()), out);
            count += 1;
        }
        for pattern in &self.patterns {
            if matches(pattern.as_bytes(), channel.as_bytes()) {
                let words = [b"pmessage", pattern.as_bytes(), channel.as_bytes(), payload];
                self.reply(&Frame::Push(words.map(Frame::bulk).to_vec()), out);
                count += 1;
            }
        }
        count
    }

    /// What every fake answers alike; `false` when it is for the brain to answer.
    fn answer(&mut self, identity: &Identity, words: &Words, out: &mut Vec<u8>) -> bool {
        let name = words.name.as_str();
        let open = identity.password.is_none() || self.authenticated;
        match name {
            "HELLO" if identity.resp2_only => self.reply(&words.unknown(), out),
            "HELLO" => self.hello(identity, words, out),
            "AUTH" => {
                let frame = self.auth(identity, words);
                self.reply(&frame, out);
            }
            _ if !open => {
                self.reply(&Frame::Error("NOAUTH Authentication required.".to_owned()), out);
            }
            _ if self.is_deaf(name) => {
                let name = name.to_lowercase();
                let text = format!(
                    "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / \
                     QUIT / RESET are allowed in this context"
                );
                self.reply(&Frame::Error(text), out);
            }
            "PING" if self.protocol == Protocol::Resp2 && self.subscriptions() > 0 => {
                let text = Frame::bulk(words.text(1));
                self.reply(&Frame::Array(vec![Frame::bulk("pong"), text]), out);
            }
            "CLIENT" => match words.upper(1).as_str() {
                "ID" => self.reply(&Frame::Integer(self.id.cast_signed()), out),
                "GETNAME" if self.name.is_empty() => self.reply_null(out),
                "GETNAME" => self.reply(&Frame::bulk(&self.name), out),
                "SETNAME" => {
                    self.name = words.text(2);
                    self.reply(&Frame::ok(), out);
                }
                _ => self.reply(&Frame::ok(), out),
            },
            _ => return false,
        }
        true
    }

    /// Whether a subscription in RESP2 keeps the connection from taking this command.
    fn is_deaf(&self, name: &str) -> bool {
        let heard = ["SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "PING"];
        self.protocol == Protocol::Resp2 && self.subscriptions() > 0 && !heard.contains(&name)
    }

    fn auth(&mut self, identity: &Identity, words: &Words) -> Frame {
        let (username, password) = match words.len() {
            2 => ("default".to_owned(), words.text(1)),
            3 => (words.text(1), words.text(2)),
            _ => return words.wrong_number(),
        };
        match &identity.password {
            None if words.len() == 2 => Frame::Error(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?"
                    .to_owned(),
            ),
            None if username == "default" => Frame::ok(),
            Some(expected) if *expected == password && identity.username == username => {
                self.authenticated = true;
                Frame::ok()
            }
            _ => Frame::Error(
                "WRONGPASS invalid username-password pair or user is disabled.".to_owned(),
            ),
        }
    }

    fn hello(&mut self, identity: &Identity, words: &Words, out: &mut Vec<u8>) {
        let protocol = match words.text(1).as_str() {
            "" => self.protocol,
            "2" => Protocol::Resp2,
            "3" => Protocol::Resp3,
            _ => {
                let text = "NOPROTO unsupported protocol version";
                return self.reply(&Frame::Error(text.to_owned()), out);
            }
        };
        let mut at = 2;
        while at < words.len() {
            match words.upper(at).as_str() {
                "AUTH" if at + 2 < words.len() => {
                    let bytes = ["AUTH".as_bytes().to_vec()]
                        .into_iter()
                        .chain(words.bytes[at + 1..at + 3].iter().cloned())
                        .collect();
                    let frame = self.auth(identity, &Words { bytes, name: "AUTH".to_owned() });
                    if frame.is_error() {
                        return self.reply(&frame, out);
                    }
                    at += 3;
                }
                "SETNAME" if at + 1 < words.len() => {
                    self.name = words.text(at + 1);
                    at += 2;
                }
                option => {
                    let text = format!("ERR Syntax error in HELLO option '{option}'");
                    return self.reply(&Frame::Error(text), out);
                }
            }
        }
        if identity.password.is_some() && !self.authenticated {
            let text = "NOAUTH HELLO must be called with the client already authenticated, \
                        otherwise the HELLO <proto> AUTH <user> <pass> option can be used to \
                        authenticate the client and select the RESP protocol version at the same time";
            return self.reply(&Frame::Error(text.to_owned()), out);
        }
        self.protocol = protocol;
        let number = if protocol == Protocol::Resp3 { 3 } else { 2 };
        let mut fields = vec![
            ("server", Frame::bulk("redis")),
            ("version", Frame::bulk(&identity.version)),
            ("proto", Frame::Integer(number)),
            ("id", Frame::Integer(self.id.cast_signed())),
            ("mode", Frame::bulk(identity.mode)),
        ];
        fields.extend(identity.role.map(|role| ("role", Frame::bulk(role))));
        fields.push(("modules", Frame::Array(Vec::new())));
        let fields = fields.into_iter().map(|(key, value)| (Frame::bulk(key), value)).collect();
        self.reply(&Frame::Map(fields), out);
    }
}

/// A number of things as a frame.
pub(crate) fn integer(count: usize) -> Frame {
    Frame::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Whether a pattern with `*` and `?` matches.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        (Some((b'?', pattern)), Some((_, text))) => matches(pattern, text),
        (Some((a, pattern)), Some((b, text))) if a == b => matches(pattern, text),
        _ => false,
    }
}

/// The connections of a fake.
pub(crate) struct Fake {
    acceptor: Option<Acceptor>,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    brain: Arc<dyn Brain>,
    orders: Mutex<Orders>,
    received: Mutex<Vec<(Instant, String)>>,
    peers: Mutex<Vec<(Arc<Peer>, JoinHandle<()>)>>,
    accepted: AtomicUsize,
}

/// How to misbehave.
#[derive(Default)]
struct Orders {
    silent: bool,
    /// The replies to the next commands.
    next: VecDeque<Vec<u8>>,
    /// The replies to commands that begin so.
    fixed: BTreeMap<String, Vec<u8>>,
    /// How long commands that begin so wait for their reply.
    late: BTreeMap<String, Duration>,
    /// How many commands are left until a connection ends.
    until_end: Option<usize>,
    /// The bytes that every connection is sent again and again.
    flood: Option<Vec<u8>>,
    /// The pause after each byte.
    trickle: Option<Duration>,
}

struct Peer {
    stream: TcpStream,
    ended: AtomicBool,
    /// Held while anything is written, too.
    session: Mutex<Session>,
}

impl Fake {
    pub(crate) fn start(what: &str, brain: Arc<dyn Brain>) -> Result<Fake> {
        let shared = Arc::new(Shared {
            brain,
            orders: Mutex::default(),
            received: Mutex::default(),
            peers: Mutex::default(),
            accepted: AtomicUsize::new(0),
        });
        let sharing = shared.clone();
        let mut id = 0;
        let name = what.to_owned();
        let acceptor = Acceptor::start(what, move |stream| {
            id += 1;
            sharing.accept(&name, stream, id);
        })?;
        Ok(Fake { address: acceptor.address(), acceptor: Some(acceptor), shared })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.peers.lock().iter().filter(|(_, thread)| !thread.is_finished()).count()
    }

    pub(crate) fn received(&self) -> Vec<(Instant, String)> {
        self.shared.received.lock().clone()
    }

    pub(crate) fn stop_listening(&self) {
        if let Some(acceptor) = &self.acceptor {
            acceptor.close();
        }
    }

    pub(crate) fn hang_connects(&self) {
        if let Some(acceptor) = &self.acceptor {
            acceptor.hang();
        }
    }

    pub(crate) fn listen_again(&self) -> Result<()> {
        self.acceptor.as_ref().map_or(Ok(()), Acceptor::resume)
    }

    pub(crate) fn answer_late(&self, name: &str, time: Duration) {
        self.shared.orders.lock().late.insert(name.to_uppercase(), time);
    }

    pub(crate) fn silence(&self, silent: bool) {
        self.shared.orders.lock().silent = silent;
    }

    pub(crate) fn answer_with(&self, bytes: &[u8]) {
        self.shared.orders.lock().next.push_back(bytes.to_vec());
    }

    pub(crate) fn answer_to(&self, name: &str, bytes: &[u8]) {
        self.shared.orders.lock().fixed.insert(name.to_uppercase(), bytes.to_vec());
    }

    pub(crate) fn answer_normally(&self) {
        let mut orders = self.shared.orders.lock();
        orders.next.clear();
        orders.fixed.clear();
        orders.late.clear();
    }

    /// Sends these bytes again and again on every connection, also on those that are accepted later.
    pub(crate) fn flood(&self, bytes: Option<&[u8]>) {
        self.shared.orders.lock().flood = bytes.map(<[u8]>::to_vec);
        if bytes.is_some() {
            for peer in self.shared.peers() {
                self.shared.pour(&peer);
            }
        }
    }

    pub(crate) fn trickle(&self, pause: Option<Duration>) {
        self.shared.orders.lock().trickle = pause;
    }

    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn disconnect_at(&self, nth: usize) {
        self.shared.orders.lock().until_end = Some(nth);
    }

    pub(crate) fn disconnect_all(&self) {
        self.disconnect_after(|| {});
    }

    /// Changes the model and closes all connections, in one moment: those accepted later find the change made, and
    /// are not closed.
    pub(crate) fn disconnect_after(&self, change: impl FnOnce()) {
        let peers = {
            let mut peers = self.shared.peers.lock();
            change();
            std::mem::take(&mut *peers)
        };
        for (peer, _) in &peers {
            peer.end();
        }
        for (_, thread) in peers {
            let _ = thread.join();
        }
    }

    pub(crate) fn send_raw(&self, bytes: &[u8]) {
        self.send_raw_where(|_| true, bytes);
    }

    pub(crate) fn send_raw_to_subscribers(&self, bytes: &[u8]) {
        self.send_raw_where(|session| session.subscriptions() > 0, bytes);
    }

    fn send_raw_where(&self, chosen: impl Fn(&Session) -> bool, bytes: &[u8]) {
        for peer in self.shared.peers() {
            let mut session = peer.session.lock();
            if !chosen(&session) {
                continue;
            }
            session.unwritten.extend_from_slice(bytes);
            drop(session);
            peer.flush(None);
        }
    }

    pub(crate) fn publish(&self, channel: &str, payload: &[u8]) -> usize {
        if self.shared.orders.lock().silent {
            return 0;
        }
        let deliver = |peer: Arc<Peer>| {
            let count = {
                let mut session = peer.session.lock();
                let mut out = std::mem::take(&mut session.unwritten);
                let count = session.deliver(channel, payload, &mut out);
                session.unwritten = out;
                count
            };
            peer.flush(None);
            count
        };
        self.shared.peers().into_iter().map(deliver).sum()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.acceptor = None;
        self.disconnect_all();
    }
}

impl Shared {
    fn peers(&self) -> Vec<Arc<Peer>> {
        self.peers.lock().iter().map(|(peer, _)| peer.clone()).collect()
    }

    fn accept(self: &Arc<Self>, what: &str, stream: TcpStream, id: u64) {
        let ready = stream.set_nodelay(true).and_then(|()| stream.set_write_timeout(Some(WRITE)));
        if ready.is_err() {
            return;
        }
        let session = Session {
            protocol: Protocol::Resp2,
            id,
            name: String::new(),
            authenticated: false,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            unwritten: Vec::new(),
        };
        let peer =
            Arc::new(Peer { stream, ended: AtomicBool::new(false), session: Mutex::new(session) });
        let (shared, served) = (self.clone(), peer.clone());
        let mut peers = self.peers.lock();
        peers.retain(|(_, thread)| !thread.is_finished());
        // Without a thread the connection is closed, which is all that can be said to its client.
        if let Ok(thread) = spawn(format!("{what} {id}"), move || shared.serve(&served)) {
            self.accepted.fetch_add(1, Ordering::SeqCst);
            if self.orders.lock().flood.is_some() {
                self.pour(&peer);
            }
            peers.push((peer, thread));
        }
    }

    /// Floods a connection until it ends or the order is taken back. The thread ends with the
    /// connection.
    fn pour(self: &Arc<Self>, peer: &Arc<Peer>) {
        let (shared, peer) = (self.clone(), peer.clone());
        // Without a thread there is no flood, and the test that waits for one says so.
        let _ = spawn("flood".to_owned(), move || {
            while !peer.ended.load(Ordering::SeqCst) {
                let Some(bytes) = shared.orders.lock().flood.clone() else { return };
                let poured = bytes.repeat(1 + (64 << 10) / bytes.len().max(1));
                let session = peer.session.lock();
                let written = (&peer.stream).write_all(&poured);
                drop(session);
                if written.is_err() {
                    peer.end();
                }
            }
        });
    }

    fn trickle(&self) -> Option<Duration> {
        self.orders.lock().trickle
    }

    /// Like a server, writes the replies to a pipeline in one piece.
    fn serve(&self, peer: &Peer) {
        let mut unread = Vec::new();
        let mut chunk = [0; 4 * 1024];
        loop {
            match Frame::decode(&unread) {
                Ok(Some((frame, length))) => {
                    unread.drain(..length);
                    if !self.take(peer, &frame) {
                        break;
                    }
                }
                Ok(None) => {
                    peer.flush(self.trickle());
                    match (&peer.stream).read(&mut chunk) {
                        Ok(0) | Err(_) => break,
                        Ok(count) => unread.extend_from_slice(&chunk[..count]),
                    }
                }
                Err(error) => {
                    let error = format!("-ERR Protocol error: {error}\r\n");
                    peer.session.lock().unwritten.extend_from_slice(error.as_bytes());
                    break;
                }
            }
        }
        peer.flush(None);
        peer.end();
    }

    /// Answers a command. `false` when the connection is to end.
    fn take(&self, peer: &Peer, frame: &Frame) -> bool {
        let bytes: Vec<Vec<u8>> = frame.items().iter().map(bytes_of).collect();
        let Some(name) = bytes.first().map(|word| String::from_utf8_lossy(word).to_uppercase())
        else {
            return true;
        };
        let words = Words { bytes, name };
        let text: Vec<String> = (0..words.len()).map(|index| words.text(index)).collect();
        self.received.lock().push((Instant::now(), text.join(" ")));
        let late = look_up(&self.orders.lock().late, &words);
        if !peer.wait(late.unwrap_or_default()) {
            return false;
        }
        let mut session = peer.session.lock();
        let (order, silent, end) = {
            let mut orders = self.orders.lock();
            let left = orders.until_end.map(|left| left.saturating_sub(1));
            let end = left == Some(0);
            orders.until_end = left.filter(|_| !end);
            let silent = orders.silent;
            let order = if silent || end {
                None
            } else {
                orders.next.pop_front().or_else(|| look_up(&orders.fixed, &words))
            };
            (order, silent, end)
        };
        if silent {
            return !end;
        }
        let out = order.unwrap_or_else(|| {
            let mut out = Vec::new();
            if !session.answer(&self.brain.identity(), &words, &mut out) {
                self.brain.answer(&mut session, &words, &mut out);
            }
            out
        });
        if !end {
            session.unwritten.extend_from_slice(&out);
        }
        !end
    }
}

/// What is ordered for a command with its subcommand, or else for the command.
fn look_up<T: Clone>(orders: &BTreeMap<String, T>, words: &Words) -> Option<T> {
    if orders.is_empty() {
        return None;
    }
    let both = format!("{} {}", words.name, words.upper(1));
    orders.get(&both).or_else(|| orders.get(&words.name)).cloned()
}

fn bytes_of(frame: &Frame) -> Vec<u8> {
    match frame {
        Frame::Bulk(bytes) => bytes.clone(),
        other => other.text().into_bytes(),
    }
}

impl Peer {
    /// `false` when the connection has ended meanwhile.
    fn wait(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        if !time.is_zero() {
            self.flush(None);
        }
        while !self.ended.load(Ordering::SeqCst) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(STEP.min(left));
        }
        false
    }

    /// Writes what is there, with a pause after each byte if one is given. A client that cannot be
    /// written to is disconnected.
    fn flush(&self, pause: Option<Duration>) {
        let mut session = self.session.lock();
        let pieces = if pause.is_some() { 1 } else { session.unwritten.len().max(1) };
        for piece in session.unwritten.chunks(pieces) {
            if (&self.stream).write_all(piece).is_err() {
                self.end();
                break;
            }
            if let Some(pause) = pause {
                thread::sleep(pause);
            }
        }
        session.unwritten.clear();
    }

    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
