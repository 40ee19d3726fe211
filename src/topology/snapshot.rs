//! What a factory knows of a service at one instant: [`Topology`].

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use crate::{address::Address, event::FenceReason};

use super::{
    answer::ReplicaFields,
    machine::Machine,
    roster::{Link, Said, Sentinel},
};

/// What is known of a service: its master, its nodes, and what each sentinel says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Topology {
    /// The name that Sentinel monitors the master under.
    pub service: String,
    /// The master that is served; `None` until the first one was verified.
    pub master: Option<Address>,
    /// The configuration epoch of the master, which numbers the service's failovers; `None` when no
    /// sentinel may tell it (`SENTINEL MASTER` is not allowed).
    pub epoch: Option<u64>,
    /// How many masters were served so far, this one included; 0 before the first.
    pub generation: u64,
    /// Whether a sentinel has named the master. `false` for the second or so after a switch at the
    /// promotion, and for as long as the sentinels take to agree if their leader is lost.
    pub confirmed: bool,
    /// Why commands wait, while they do.
    pub fence: Option<FenceReason>,
    /// An address that is agreed on as the next master and does not yet say that it is one.
    pub candidate: Option<Address>,
    /// The nodes: the master first, then the replicas by address.
    pub nodes: Vec<NodeStatus>,
    /// The sentinels: the configured ones first, in their order.
    pub sentinels: Vec<SentinelStatus>,
    /// How many sentinels agree on the master.
    pub agreement: Agreement,
    /// Since when anything has been wrong; `None` while all is well.
    pub troubled_since: Option<Instant>,
    /// What is wrong, in short words: `master down`, `disagreement` …
    pub troubles: Vec<&'static str>,
}

/// How many sentinels name the master that is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agreement {
    /// So many sentinels name it now.
    pub agreeing: usize,
    /// So many sentinels are known to monitor the service, reachable or not. A majority is more
    /// than half of these.
    pub known: usize,
}

/// What a node is for the sentinels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeRole {
    /// The master that this factory serves.
    Master,
    /// A replica.
    Replica,
}

/// One node, as the sentinels see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Where it is reached, as the sentinels announce it.
    pub address: Address,
    /// Master or replica.
    pub role: NodeRole,
    /// Sentinel's flags: `master`, `slave`, `s_down`, `disconnected` …
    pub flags: Vec<String>,
    /// Whether most sentinels that list it cannot reach it.
    pub down: bool,
    /// Of a replica: whether its link to its master is up (`master-link-status`).
    pub link_up: Option<bool>,
    /// Of a replica: whom it replicates from.
    pub master: Option<Address>,
    /// Of a replica: the replication offset that the sentinel saw last, up to 10 s ago.
    pub offset: Option<u64>,
    /// Of a replica: how many bytes that is behind the most advanced replica.
    pub lag: Option<u64>,
    /// Of a replica: its `replica-priority`; 0 is never promoted.
    pub priority: Option<u64>,
    /// The run id of its process, which changes when it restarts.
    pub run_id: Option<String>,
}

/// What a subscription to a sentinel's events brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hearing {
    /// All of its events.
    All,
    /// Only `+switch-master`.
    SwitchOnly,
    /// None, because its ACL denies it; it is asked instead.
    Denied,
}

/// The link to a sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SentinelLink {
    /// The first attempt has not ended.
    Connecting,
    /// The link stands.
    #[non_exhaustive]
    Up {
        /// Since when.
        since: Instant,
        /// What its events bring.
        hearing: Hearing,
    },
    /// There is no link; it is tried again and again.
    #[non_exhaustive]
    Down {
        /// What happened last.
        reason: String,
    },
}

/// One sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentinelStatus {
    /// Where it is reached: as configured, or as another sentinel lists it.
    pub address: Address,
    /// Whether it was configured, not discovered.
    pub configured: bool,
    /// The run id of the known sentinel at this address, if it may report it.
    pub run_id: Option<String>,
    /// The run id of a stranger: a sentinel that answers here and that no majority of the known
    /// sentinels lists. Nothing that it says is used, until it is listed.
    pub stranger: Option<String>,
    /// The link to it.
    pub link: SentinelLink,
    /// The master that it names.
    pub names: Option<Address>,
    /// The configuration epoch beside it.
    pub epoch: Option<u64>,
    /// The reason why it names none, when it answered: `unknown service`, its error reply, or that a stranger
    /// answered.
    pub refusal: Option<String>,
    /// When it answered last.
    pub answered: Option<Instant>,
    /// Whether it leads a failover or tries to.
    pub failing_over: bool,
    /// Whether it is in TILT mode: it distrusts its clock and does not act.
    pub tilt: bool,
    /// How many of its messages could not be read.
    pub malformed: u64,
    /// The `quorum` that it needs to call the master down.
    pub quorum: Option<u64>,
    /// Its `down-after-milliseconds`.
    pub down_after: Option<Duration>,
    /// Its `failover-timeout`.
    pub failover_timeout: Option<Duration>,
}

impl Machine {
    /// What is known now.
    pub(crate) fn topology(&self) -> Topology {
        let master = self.master.as_ref();
        let electorate = self.electorate();
        Topology {
            service: self.rules.service.clone(),
            master: master.map(|master| master.address.clone()),
            epoch: master.and_then(|master| master.epoch),
            generation: self.generation(),
            confirmed: self.master.is_some() && self.doubt.unconfirmed.is_none(),
            fence: self.holding.fence.as_ref().map(|fence| fence.reason.clone()),
            candidate: self.candidate.as_ref().map(|candidate| candidate.accepted.address.clone()),
            nodes: self.nodes(),
            sentinels: self.roster.sentinels.iter().map(status).collect(),
            agreement: Agreement {
                agreeing: master.map_or(0, |master| electorate.count(&master.address)),
                known: electorate.known,
            },
            troubled_since: self.troubled_since,
            troubles: self.last.map_or(Vec::new(), |now| self.troubles(now)),
        }
    }

    fn nodes(&self) -> Vec<NodeStatus> {
        // The newest list wins where sentinels list the same node.
        let mut speakers: Vec<&Sentinel> = self.roster.members();
        speakers.sort_by_key(|sentinel| std::cmp::Reverse(sentinel.answered));
        let mut nodes: Vec<NodeStatus> = Vec::new();
        if let Some(master) = &self.master {
            let fields = speakers.iter().find_map(|sentinel| {
                let fields = sentinel.view.as_ref()?.master.as_ref()?;
                self.same_node(&fields.address, &master.address).then_some(fields)
            });
            nodes.push(NodeStatus {
                address: master.address.clone(),
                role: NodeRole::Master,
                flags: fields.map_or(Vec::new(), |fields| fields.flags.to_strings()),
                down: self.down.contains(&master.address),
                link_up: None,
                master: None,
                offset: None,
                lag: None,
                priority: None,
                run_id: master
                    .run_id
                    .clone()
                    .or_else(|| fields.and_then(|fields| fields.run_id.clone())),
            });
        }
        let mut known: HashSet<&Address> = self.master.iter().map(|own| &own.address).collect();
        for replica in speakers.iter().flat_map(|sentinel| sentinel.replicas.iter()) {
            if self.known_as(&replica.address, |own| known.contains(own)).is_none() {
                known.insert(&replica.address);
                nodes.push(self.replica(replica));
            }
        }
        let most = nodes.iter().filter_map(|node| node.offset).max();
        for node in &mut nodes {
            node.lag = most.zip(node.offset).map(|(most, own)| most - own);
        }
        nodes.sort_by(|a, b| {
            let order = |node: &NodeStatus| (node.role != NodeRole::Master, node.address.clone());
            order(a).cmp(&order(b))
        });
        nodes
    }

    fn replica(&self, replica: &ReplicaFields) -> NodeStatus {
        NodeStatus {
            address: replica.address.clone(),
            role: NodeRole::Replica,
            flags: replica.flags.to_strings(),
            down: self.down.contains(&replica.address),
            link_up: replica.link_up,
            master: replica.master.clone(),
            offset: replica.offset,
            lag: None,
            priority: replica.priority,
            run_id: replica.run_id.clone(),
        }
    }
}

fn status(sentinel: &Sentinel) -> SentinelStatus {
    let master = sentinel.view.as_ref().and_then(|view| view.master.as_ref());
    SentinelStatus {
        address: sentinel.address.clone(),
        configured: sentinel.seed,
        run_id: sentinel.run_id.clone(),
        stranger: sentinel.stranger.as_ref().map(|stranger| stranger.run_id.clone()),
        link: match &sentinel.link {
            Link::New => SentinelLink::Connecting,
            Link::Up { since, hearing } => SentinelLink::Up { since: *since, hearing: *hearing },
            Link::Down { reason } => SentinelLink::Down { reason: reason.clone() },
        },
        names: sentinel.view.as_ref().map(|view| view.address.clone()),
        epoch: sentinel.view.as_ref().and_then(|view| view.epoch),
        refusal: match &sentinel.said {
            Said::Unknown => Some("unknown service".to_owned()),
            Said::Refused(text) => Some(text.clone()),
            Said::Stranger => Some(sentinel.strangeness()),
            Said::Nothing | Said::Names | Said::Moving => None,
        },
        answered: sentinel.answered,
        failing_over: sentinel.failing_over,
        tilt: sentinel.tilt,
        malformed: sentinel.malformed,
        quorum: master.and_then(|master| master.quorum),
        down_after: master.and_then(|master| master.down_after).map(Duration::from_millis),
        failover_timeout: master
            .and_then(|master| master.failover_timeout)
            .map(Duration::from_millis),
    }
}
