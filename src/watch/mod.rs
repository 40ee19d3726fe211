//! The watch: one thread for each set of sentinels, shared by every factory of the process that
//! uses the same set. It feeds the topology machines and carries out what they decide.
//!
//! Factories share a watch when their sentinels, and the credentials, TLS and dial timeout for them,
//! are equal. Settings for nodes, names and address maps do not split it: each service has its own,
//! and a link to a sentinel is shared by the services whose maps lead to the same place.
//!
//! The thread never blocks but in its poll: links to sentinels are non-blocking, names are resolved
//! and masters are dialled on the shared workers.

mod account;
mod allowance;
mod channel;
mod driver;
mod errands;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzz;
mod promotion;
mod reach;
mod recorder;
mod recovery;
mod service;
mod settling;
mod subscriber;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;

use crate::{
    address::Address,
    address_map::AddressMap,
    broadcast::Broadcast,
    connection::Settings,
    error::{Error, ErrorKind},
    metrics::Counters,
    pool::{Pool, Replicas},
    topology::{Rules, Topology},
    workers::Workers,
};
use driver::{Command, Driver};
pub(crate) use recorder::Recorder;
use service::Service;

/// How long a question to the watch thread may take. It answers within a turn of its loop.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// The sentinels that a factory is told of, and how to talk to them. Equal sets share a watch.
#[derive(Clone, PartialEq)]
pub(crate) struct SentinelSet {
    /// Sorted, so that the order in which they are configured makes no difference.
    seeds: Vec<Address>,
    settings: Arc<Settings>,
}

impl SentinelSet {
    /// Removes the settings that do not concern the links to sentinels.
    pub(crate) fn new(mut seeds: Vec<Address>, settings: Settings) -> SentinelSet {
        seeds.sort();
        // A link bears the one name that its services have, and has deadlines of its own.
        let shared = Settings { client_name: None, command_timeout: Duration::ZERO, ..settings };
        SentinelSet { seeds, settings: Arc::new(shared) }
    }
}

/// What a factory wants to be followed.
pub(crate) struct Order {
    pub(crate) rules: Rules,
    pub(crate) map: AddressMap,
    /// The name of the connections, for `CLIENT LIST`.
    pub(crate) client_name: Option<String>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) replicas: Arc<Replicas>,
    pub(crate) events: Arc<Broadcast>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) recorder: Option<Recorder>,
}

/// A way to reach the watch thread.
#[derive(Clone)]
pub(crate) struct Inbox {
    commands: Sender<Command>,
    waker: Arc<mio::Waker>,
}

impl Inbox {
    fn send(&self, command: Command) {
        // Neither can fail in a way that matters: a thread that has ended needs no command.
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

struct Watch {
    id: u64,
    set: SentinelSet,
    inbox: Inbox,
    members: usize,
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

/// The watches of the process.
static WATCHES: Mutex<Vec<Watch>> = Mutex::new(Vec::new());

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A factory's place in a watch.
pub(crate) struct Membership {
    watch: u64,
    id: u64,
    inbox: Inbox,
}

/// Has the service followed, by the watch of this set of sentinels, which is started if need be.
///
/// # Errors
/// [`ErrorKind::Internal`] when the system refuses a thread or a descriptor.
pub(crate) fn follow(
    set: SentinelSet,
    order: Order,
    workers: &Arc<Workers>,
) -> Result<Membership, Error> {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let mut watches = WATCHES.lock();
    let index = match watches.iter().position(|watch| watch.set == set) {
        Some(index) => index,
        None => {
            watches.push(start(set, workers)?);
            watches.len() - 1
        }
    };
    let watch = &mut watches[index];
    watch.members += 1;
    watch.inbox.send(Command::Join { id, service: Box::new(Service::new(order)) });
    Ok(Membership { watch: watch.id, id, inbox: watch.inbox.clone() })
}

fn start(set: SentinelSet, workers: &Arc<Workers>) -> Result<Watch, Error> {
    let refused = |error: std::io::Error| {
        Error::with(
            ErrorKind::Internal,
            crate::Outcome::NotSent,
            format!("the system refused the watch a thread or a descriptor: {error}"),
            Some(Box::new(error)),
        )
    };
    let poll = mio::Poll::new().map_err(refused)?;
    let waker = mio::Waker::new(poll.registry(), driver::WAKE).map_err(refused)?;
    let (commands, received) = crossbeam_channel::unbounded();
    let inbox = Inbox { commands, waker: Arc::new(waker) };
    let driver = Driver::new(poll, received, inbox.clone(), set.clone(), workers);
    let (end, ended) = crossbeam_channel::bounded::<()>(0);
    let thread = std::thread::Builder::new()
        .name("switchmaster-watch".into())
        .spawn(move || {
            driver.run();
            drop(end);
        })
        .map_err(refused)?;
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    Ok(Watch { id, set, inbox, members: 0, thread, ended })
}

/// Asks the watch thread on behalf of a factory.
pub(crate) struct Asker {
    id: u64,
    inbox: Inbox,
}

impl Asker {
    /// What the watch knows now; `None` when it has ended, or does not answer.
    pub(crate) fn topology(&self) -> Option<Topology> {
        let (reply, answer) = crossbeam_channel::bounded(1);
        self.inbox.send(Command::Topology { id: self.id, reply });
        answer.recv_timeout(ANSWER_PATIENCE).ok()
    }
}

impl Membership {
    /// Asks every sentinel now.
    pub(crate) fn refresh(&self) {
        self.inbox.send(Command::Refresh { id: self.id });
    }

    /// Has it found out which replicas may be read from, from now on.
    pub(crate) fn read_replicas(&self) {
        self.inbox.send(Command::ReadReplicas { id: self.id });
    }

    /// A way to ask what the watch knows, without holding on to the membership.
    pub(crate) fn asker(&self) -> Asker {
        Asker { id: self.id, inbox: self.inbox.clone() }
    }

    /// Leaves the watch. The last to leave ends its thread and waits for that, for at most
    /// `patience`.
    pub(crate) fn leave(self, patience: Duration) {
        let last = {
            let mut watches = WATCHES.lock();
            let Some(index) = watches.iter().position(|watch| watch.id == self.watch) else {
                return;
            };
            watches[index].members -= 1;
            (watches[index].members == 0).then(|| watches.swap_remove(index))
        };
        let (left, done) = crossbeam_channel::bounded(1);
        self.inbox.send(Command::Leave { id: self.id, left });
        match last {
            None => drop(done.recv_timeout(patience)),
            Some(watch) => {
                self.inbox.send(Command::End);
                let waited = watch.ended.recv_timeout(patience);
                if waited == Err(crossbeam_channel::RecvTimeoutError::Disconnected) {
                    // It is over but for the thread's own end; a panic in it was reported there.
                    let _ = watch.thread.join();
                } else {
                    log::error!("the watch thread did not end within {patience:?}");
                }
            }
        }
    }
}
