//! An independent witness of failovers: [`Probe`].
//!
//! It must never disturb what it measures: one small write per node and millisecond, none to the
//! present master, and a node that hangs is waited for on one connection instead of dialled again.

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use parking_lot::{Condvar, Mutex};

use crate::{Client, Cluster, Error, Node, Result, Sentinel, frame::Frame};

/// The pause between two tries of a write.
const PERIOD: Duration = Duration::from_millis(1);
/// How long a thread may block before it looks whether the probe has ended.
const SLICE: Duration = Duration::from_millis(50);
/// How long [`Probe::start`] waits for members that do not answer.
const READY: Duration = Duration::from_millis(500);
const KEY: &str = "switchmaster:probe";

/// The instant called P: a node that was not the master accepted a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The node.
    pub address: SocketAddr,
    /// When the reply to the write was read.
    pub at: Instant,
}

/// A `+switch-master` of one sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The sentinel that published it.
    pub sentinel: SocketAddr,
    /// The master before.
    pub old: SocketAddr,
    /// The master from now on.
    pub new: SocketAddr,
    /// When it was read.
    pub at: Instant,
}

/// Watches one service of a cluster for a promotion and for its announcements.
///
/// It watches from [`start`](Probe::start) until it is dropped, with a thread per replica and per sentinel. For the next
/// failover start another one, since the candidates are the nodes that were not the master at the start.
pub struct Probe {
    service: String,
    seen: Arc<Seen>,
    /// Dropped first, which ends the threads.
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    found: Mutex<Found>,
    changed: Condvar,
}

#[derive(Default)]
struct Found {
    promotions: Vec<Promotion>,
    announcements: Vec<Announcement>,
}

impl Probe {
    /// Watches the first service; see [`of`](Probe::of).
    ///
    /// # Errors
    ///
    /// Those of `of`.
    pub fn start(cluster: &Cluster) -> Result<Probe> {
        Probe::of(cluster, cluster.service())
    }

    /// Watches a service. When this returns, every member that answers within half a second is being watched.
    ///
    /// # Errors
    ///
    /// Those of [`Cluster::master_of`], and [`Io`](crate::ErrorKind::Io) when no thread can be started.
    pub fn of(cluster: &Cluster, service: &str) -> Result<Probe> {
        let master = cluster.master_of(service)?.port();
        let seen = Arc::new(Seen::default());
        let (stop, stopped) = bounded(0);
        let (ready, readiness) = unbounded();
        let mut probe = Probe {
            service: service.to_owned(),
            seen: seen.clone(),
            stop: Some(stop),
            threads: Vec::new(),
        };
        for node in cluster.nodes_of(service).iter().filter(|node| node.port() != master) {
            let watch = Watch { seen: seen.clone(), stop: stopped.clone(), ready: ready.clone() };
            let node = node.clone();
            probe.spawn(node.name().to_owned(), move || watch.node(&node))?;
        }
        for sentinel in cluster.sentinels() {
            let watch = Watch { seen: seen.clone(), stop: stopped.clone(), ready: ready.clone() };
            let (sentinel, service) = (sentinel.clone(), service.to_owned());
            let name = sentinel.name().to_owned();
            probe.spawn(name, move || watch.sentinel(&sentinel, &service))?;
        }
        let deadline = Instant::now() + READY;
        for _ in &probe.threads {
            if readiness.recv_deadline(deadline).is_err() {
                break;
            }
        }
        Ok(probe)
    }

    fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = thread::Builder::new()
            .name(format!("probe {name}"))
            .spawn(body)
            .map_err(|error| Error::io("start a thread of the probe", &error))?;
        self.threads.push(thread);
        Ok(())
    }

    /// The name of the service that it watches.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The first promotion, waiting for it at most for `timeout`.
    pub fn promotion(&self, timeout: Duration) -> Option<Promotion> {
        self.seen.wait(timeout, |found| found.promotions.first().copied())
    }

    /// The first `+switch-master` of any sentinel, waiting for it at most for `timeout`.
    pub fn announcement(&self, timeout: Duration) -> Option<Announcement> {
        self.seen.wait(timeout, |found| found.announcements.first().cloned())
    }

    /// All promotions so far, in order: more than one when the sentinels changed their mind.
    pub fn promotions(&self) -> Vec<Promotion> {
        self.seen.found.lock().promotions.clone()
    }

    /// All announcements so far, in order; each sentinel makes one per failover.
    pub fn announcements(&self) -> Vec<Announcement> {
        self.seen.found.lock().announcements.clone()
    }

    /// Waits until `count` announcements were seen; those that were, when the time is over first.
    pub fn wait_for_announcements(&self, count: usize, timeout: Duration) -> Vec<Announcement> {
        let all = |found: &mut Found| {
            (found.announcements.len() >= count).then(|| found.announcements.clone())
        };
        self.seen.wait(timeout, all).unwrap_or_else(|| self.announcements())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Seen {
    fn wait<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&mut Found) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut found = self.found.lock();
        loop {
            if let Some(value) = look(&mut found) {
                return Some(value);
            }
            if self.changed.wait_until(&mut found, deadline).timed_out() {
                return look(&mut found);
            }
        }
    }

    fn add(&self, change: impl FnOnce(&mut Found)) {
        change(&mut self.found.lock());
        self.changed.notify_all();
    }
}

/// What one thread of the probe works with.
struct Watch {
    seen: Arc<Seen>,
    stop: Receiver<()>,
    ready: Sender<()>,
}

impl Watch {
    /// Waits, and says whether the probe has ended.
    fn ended(&self, pause: Duration) -> bool {
        !matches!(self.stop.recv_timeout(pause), Err(RecvTimeoutError::Timeout))
    }

    fn node(&self, node: &Node) {
        let mut link: Option<Client> = None;
        let mut number = 0u64;
        loop {
            let Some(client) = link.as_mut() else {
                link = node.client_with(SLICE).ok();
                if link.is_none() && self.ended(PERIOD) {
                    return;
                }
                continue;
            };
            number += 1;
            match self.write(client, number) {
                Ok(Some(Frame::Simple(_))) => {
                    let promotion = Promotion { address: node.address(), at: Instant::now() };
                    self.seen.add(|found| found.promotions.push(promotion));
                    return;
                }
                Ok(Some(_)) => {
                    let _ = self.ready.send(());
                    if self.ended(PERIOD) {
                        return;
                    }
                }
                Ok(None) => return,
                // The link of a node that is being promoted is cut: the next write comes at once.
                Err(_) => link = None,
            }
        }
    }

    /// Tries a write; `None` when the probe ended before the reply.
    fn write(&self, client: &mut Client, number: u64) -> Result<Option<Frame>> {
        client.send(&["SET", KEY, &number.to_string(), "EX", "1"])?;
        loop {
            if let Some(frame) = client.read(SLICE)? {
                return Ok(Some(frame));
            }
            if self.ended(Duration::ZERO) {
                return Ok(None);
            }
        }
    }

    fn sentinel(&self, sentinel: &Sentinel, service: &str) {
        loop {
            if let Ok(mut client) = sentinel.client_with(SLICE)
                && client.send(&["SUBSCRIBE", "+switch-master"]).is_ok()
            {
                while let Ok(frame) = client.read(SLICE) {
                    if let Some(frame) = frame {
                        self.message(sentinel, service, &frame);
                    }
                    if self.ended(Duration::ZERO) {
                        return;
                    }
                }
            }
            if self.ended(SLICE) {
                return;
            }
        }
    }

    fn message(&self, sentinel: &Sentinel, service: &str, frame: &Frame) {
        let at = Instant::now();
        let words: Vec<String> = frame.items().iter().map(Frame::text).collect();
        match words.first().map(String::as_str) {
            Some("subscribe") => {
                let _ = self.ready.send(());
            }
            Some("message") => {
                let Some(payload) = words.get(2) else { return };
                let payload: Vec<&str> = payload.split(' ').collect();
                let [name, old, old_port, new, new_port] = payload[..] else { return };
                if name != service {
                    return;
                }
                let host = sentinel.host();
                let both = host.read(old, old_port).zip(host.read(new, new_port));
                let Some((old, new)) = both else { return };
                let sentinel = sentinel.address();
                let announcement = Announcement { sentinel, old, new, at };
                self.seen.add(|found| found.announcements.push(announcement));
            }
            _ => {}
        }
    }
}
