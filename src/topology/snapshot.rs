//! What is known of a service at one moment: [`Topology`].

use std::time::{Duration, Instant};

use crate::address::Address;

/// Which events a sentinel lets us hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hearing {
    /// Everything it publishes.
    All,
    /// `+switch-master` alone; its ACL allows no more.
    SwitchOnly,
    /// Nothing: SUBSCRIBE is denied. It is polled all the same.
    Denied,
}

/// The link to a sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SentinelLink {
    /// Not reached yet, and not failed either.
    Dialling,
    /// It stands, and hears this much.
    Up(Hearing),
    /// It does not stand, and why.
    Down(String),
}

impl SentinelLink {
    /// Whether the link stands.
    pub fn is_up(&self) -> bool {
        matches!(self, SentinelLink::Up(_))
    }
}

/// One sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentinelStatus {
    /// As it was configured or announced.
    pub address: Address,
    /// `SENTINEL MYID`, when it is known.
    pub run_id: Option<String>,
    /// Whether it was configured; otherwise it was discovered.
    pub configured: bool,
    /// The link to it.
    pub link: SentinelLink,
    /// The master that it names.
    pub names: Option<Address>,
    /// The configuration epoch beside that.
    pub epoch: Option<u64>,
    /// When it last answered.
    pub answered: Option<Instant>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeRole {
    /// The master that is served.
    Master,
    /// A replica, as sentinels list it.
    Replica,
}

/// One data server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// As the sentinels announce it.
    pub address: Address,
    /// Master or replica.
    pub role: NodeRole,
    /// Its run id, when a sentinel tells it.
    pub run_id: Option<String>,
    /// Sentinel's flags: `slave`, `s_down`, `disconnected` …
    pub flags: Vec<String>,
    /// Whether a replica's link to its master is up.
    pub link_up: Option<bool>,
    /// A replica's replication offset as a sentinel last saw it (every 10 s, every 1 s in a failover).
    pub offset: Option<u64>,
    /// How many sentinels cannot reach it.
    pub down_for: usize,
}

/// How many sentinels agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agreement {
    /// How many name the master that is served.
    pub naming: usize,
    /// How many are known.
    pub known: usize,
}

/// Everything that is known of a service at one moment. See `Factory::topology()`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Topology {
    /// The name that Sentinel monitors the master under.
    pub service: String,
    /// The master that is served.
    pub master: Option<Address>,
    /// Its configuration epoch, if any sentinel may tell it.
    pub epoch: Option<u64>,
    /// The number of the current generation; 0 before the first.
    pub generation: u64,
    /// The master first, then the replicas.
    pub nodes: Vec<NodeStatus>,
    /// Every sentinel, configured and discovered.
    pub sentinels: Vec<SentinelStatus>,
    /// How many sentinels name the master.
    pub agreement: Agreement,
    /// How often the sentinels are asked now: often while anything is wrong.
    pub poll_interval: Duration,
}
