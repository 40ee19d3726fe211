//! One look at the services of a deployment: [`Looks`], and who takes them: [`Looker`].

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Select, bounded};
use switchmaster::{Address, Event, Factory, NodeRole, SentinelLink, SentinelStatus, Topology};

use super::probe::{self, Asked, Kind};
use crate::{failure::Failure, services::Named};

/// A sentinel gets this long for its first answer.
const ANSWERS: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(10);
/// How often the servers are asked while it is watched.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of a service.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) topology: Topology,
    /// Of the servers of all services.
    asked: Arc<HashMap<(Kind, Address), Asked>>,
}

/// What is known of each service, in the order of their names.
#[derive(Clone, Debug)]
pub(super) struct Looks {
    pub(super) looks: Vec<Look>,
    /// Whether it is about the one service that the URL names.
    pub(super) one: bool,
}

impl Looks {
    pub(super) fn without_master(&self) -> Vec<&str> {
        let without = self.looks.iter().filter(|look| look.topology.master.is_none());
        without.map(|look| look.topology.service.as_str()).collect()
    }
}

impl Look {
    pub(super) fn node(&self, address: &Address) -> Option<&Asked> {
        self.asked.get(&(Kind::Node, address.clone()))
    }

    pub(super) fn sentinel(&self, address: &Address) -> Option<&Asked> {
        self.asked.get(&(Kind::Sentinel, address.clone()))
    }

    /// Nodes that a sentinel names as the master, and that are not among those of the service.
    pub(super) fn only_named(&self) -> BTreeSet<Address> {
        named(&self.topology)
    }

    /// How many bytes a replica is behind the master, or else behind the most advanced replica.
    pub(super) fn lag(&self, address: &Address) -> Option<u64> {
        let offset = |address: &Address| self.node(address)?.as_ref().ok()?.offset;
        match self.topology.master.as_ref().and_then(offset).zip(offset(address)) {
            Some((master, own)) => Some(master.saturating_sub(own)),
            None => self.topology.nodes.iter().find(|node| node.address == *address)?.lag,
        }
    }
}

fn named(topology: &Topology) -> BTreeSet<Address> {
    let known = |address: &&Address| topology.nodes.iter().any(|node| node.address == **address);
    let names = topology.sentinels.iter().filter_map(|sentinel| sentinel.names.as_ref());
    names.filter(|address| !known(address)).cloned().collect()
}

/// Follows every service with a factory that does without a master.
pub(super) struct Looker {
    named: Named,
    factories: Vec<Factory>,
    asked: Arc<HashMap<(Kind, Address), Asked>>,
}

impl Looker {
    pub(super) fn open(named: Named) -> Result<Looker, Failure> {
        let factories = named.factories()?;
        let looker = Looker { named, factories, asked: Arc::default() };
        looker.settle();
        Ok(looker)
    }

    /// Waits until it is known what becomes of every sentinel, and who the master is.
    fn settle(&self) {
        let settled = |factory: &Factory| match factory.topology() {
            Ok(topology) => topology.master.is_some() && topology.sentinels.iter().all(heard),
            Err(_) => true,
        };
        let deadline = Instant::now() + ANSWERS;
        while !self.factories.iter().all(settled) && Instant::now() < deadline {
            thread::sleep(STEP);
        }
    }

    /// Asks every server, and what the sentinels say.
    pub(super) fn look(&mut self) -> Looks {
        let topologies: Vec<Topology> = self.topologies();
        let mut servers = BTreeSet::new();
        for topology in &topologies {
            let nodes = topology.nodes.iter().map(|node| node.address.clone());
            servers.extend(nodes.chain(named(topology)).map(|address| (false, address)));
            let sentinels = topology.sentinels.iter();
            servers.extend(sentinels.map(|sentinel| (true, sentinel.address.clone())));
        }
        let kind = |sentinel| if sentinel { Kind::Sentinel } else { Kind::Node };
        let servers = servers.into_iter().map(|(sentinel, address)| (kind(sentinel), address));
        self.asked = Arc::new(probe::ask(self.named.deployment.dialer(), servers));
        self.again()
    }

    /// What the sentinels say now, beside what the servers said last.
    fn again(&self) -> Looks {
        let look = |topology| Look { topology, asked: self.asked.clone() };
        let looks = self.topologies().into_iter().map(look).collect();
        Looks { looks, one: self.named.service }
    }

    /// None is closed but by this.
    fn topologies(&self) -> Vec<Topology> {
        self.factories.iter().filter_map(|factory| factory.topology().ok()).collect()
    }
}

/// Whether it is known what becomes of this sentinel.
fn heard(sentinel: &SentinelStatus) -> bool {
    match sentinel.link {
        SentinelLink::Down { .. } => true,
        _ => sentinel.answered.is_some(),
    }
}

/// A look at each event, and at least every second or so: as long as the slowest server takes.
pub(super) fn stream(named: Named) -> Result<Receiver<Result<Looks, Failure>>, Failure> {
    let (sender, looks) = bounded(1);
    let look_on = move || {
        let mut looker = match Looker::open(named) {
            Ok(looker) => looker,
            Err(failure) => return drop(sender.send(Err(failure))),
        };
        let events: Vec<Receiver<Event>> = looker.factories.iter().map(Factory::events).collect();
        // Nobody receives them any longer when the command ends.
        while sender.send(Ok(looker.look())).is_ok() {
            let next = Instant::now() + PAUSE;
            while happened(&events, next) {
                if sender.send(Ok(looker.again())).is_err() {
                    return;
                }
            }
        }
    };
    thread::Builder::new()
        .name("look".to_owned())
        .spawn(look_on)
        .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    Ok(looks)
}

/// Waits for an event until then, and takes those that have come with it.
fn happened(events: &[Receiver<Event>], until: Instant) -> bool {
    let mut select = Select::new();
    for receiver in events {
        select.recv(receiver);
    }
    if select.ready_deadline(until).is_err() {
        return false;
    }
    // One that is closed stays ready; it tells nothing any more.
    let taken: usize = events.iter().map(|receiver| receiver.try_iter().count()).sum();
    taken > 0
}

/// Whether the sentinels list it as a replica.
pub(super) fn is_replica(role: NodeRole) -> bool {
    role != NodeRole::Master
}
