//! Who is the master of a service, as far as its sentinels can tell.
//!
//! This module is pure: it opens no socket, reads no clock and starts no thread. [`Machine`] takes
//! [`Input`]s, each with the instant at which it happened, and answers with [`Action`]s that its
//! driver carries out. So data can drive it: `tests/scenarios` and the property tests do.
//!
//! A message that a sentinel publishes is only ever a hint: it makes the machine ask. What sentinels
//! answer is weighed by configuration epoch and majority ([`agreement`]), and nothing is switched to
//! before it said of itself, in reply to `ROLE`, that it is a master.

mod agreement;
mod aliases;
mod answer;
mod doubt;
mod evidence;
mod explain;
mod fence;
mod machine;
mod message;
mod node;
mod observe;
mod poll;
mod pursuit;
mod rebuild;
mod replicas;
mod roster;
mod shorthand;
mod snapshot;
mod strangers;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod scenarios;

use std::time::{Duration, Instant};

pub(crate) use answer::{Answer, QUERY, Reply};
pub(crate) use machine::Machine;
pub(crate) use message::Audience;
pub(crate) use replicas::Readable;
#[cfg(any(fuzzing, test, feature = "cli"))]
pub(crate) use shorthand::read_inputs;
pub(crate) use shorthand::{answered, beside, millis, shown, written};
#[cfg(any(test, feature = "cli"))]
pub(crate) use shorthand::{read_millis, restored};
pub use snapshot::{
    Agreement, Hearing, NodeRole, NodeStatus, SentinelLink, SentinelStatus, Topology,
};

use crate::{
    address::Address,
    event::{Event, Evidence, FenceReason, Source},
    origin::Origin,
    policy::{OnLostMajority, SwitchOn},
    trouble::Trouble,
};

/// The numbers that a machine goes by.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The name that Sentinel monitors the master under.
    pub(crate) service: String,
    /// What it takes to switch.
    pub(crate) switch_on: SwitchOn,
    /// Every sentinel is asked this often while all is well.
    pub(crate) calm_poll: Duration,
    /// Every sentinel is asked this often in the first time of trouble.
    pub(crate) troubled_poll: Duration,
    /// How long that first time is.
    pub(crate) troubled_burst: Duration,
    /// Every sentinel is asked this often when trouble lasts longer.
    pub(crate) lasting_poll: Duration,
    /// How long the first answer waits for the others before it counts alone.
    pub(crate) start_grace: Duration,
    /// A verification that is not answered for this long is asked for again.
    pub(crate) verify_lost: Duration,
    /// How long a majority must have agreed on a lower epoch.
    pub(crate) lower_epoch_patience: Duration,
    /// An address that did not verify is tried again after this long, doubling each time …
    pub(crate) verify_retry: Duration,
    /// … up to this long.
    pub(crate) verify_retry_max: Duration,
    /// A trouble that was reported counts for this long.
    pub(crate) trouble_fades: Duration,
    /// As `trouble_fades`, of a reply that refused a command: it comes again while its cause lasts.
    pub(crate) refusal_fades: Duration,
    /// A discovered sentinel that a majority has not listed for this long is let go.
    pub(crate) forget_after: Duration,
    /// How long a promoted master is served before a sentinel names it.
    pub(crate) confirm_within: Duration,
    /// Whether commands wait while the master is being replaced, …
    pub(crate) fence: bool,
    /// … and for how long.
    pub(crate) fence_timeout: Duration,
    /// What to do when fewer than a majority of the sentinels is heard.
    pub(crate) on_lost_majority: OnLostMajority,
    /// A promotion is judged without the answers that have not come after this long.
    pub(crate) pull_patience: Duration,
    /// While a promotion is not judged and a failover is led, all are asked again this often …
    pub(crate) pull_pause: Duration,
    /// … for this long.
    pub(crate) pull_for: Duration,
    /// A replica is read from while it is known to have everything that was acknowledged so long ago.
    pub(crate) max_lag: Option<Duration>,
}

impl Rules {
    pub(crate) fn new(service: impl Into<String>, switch_on: SwitchOn) -> Rules {
        Rules {
            service: service.into(),
            switch_on,
            calm_poll: Duration::from_secs(10),
            troubled_poll: Duration::from_millis(250),
            troubled_burst: Duration::from_secs(30),
            lasting_poll: Duration::from_secs(1),
            start_grace: Duration::from_millis(200),
            verify_lost: Duration::from_secs(10),
            lower_epoch_patience: Duration::from_secs(3),
            verify_retry: Duration::from_millis(5),
            verify_retry_max: Duration::from_millis(250),
            trouble_fades: Duration::from_secs(5),
            refusal_fades: Duration::from_millis(700),
            forget_after: Duration::from_secs(60),
            confirm_within: Duration::from_millis(1500),
            fence: true,
            fence_timeout: Duration::from_secs(3),
            on_lost_majority: OnLostMajority::Serve,
            pull_patience: Duration::from_millis(50),
            pull_pause: Duration::from_millis(50),
            pull_for: Duration::from_secs(2),
            max_lag: Some(Duration::from_secs(10)),
        }
    }

    /// These rules, with every sentinel asked often enough to notice in time that it is silent.
    pub(crate) fn on_lost_majority(mut self, policy: OnLostMajority) -> Rules {
        self.on_lost_majority = policy;
        if let OnLostMajority::Fence { after } = policy {
            for pace in [&mut self.calm_poll, &mut self.troubled_poll, &mut self.lasting_poll] {
                *pace = (*pace).min(after / 4);
            }
        }
        self
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    /// The factory was opened with these sentinels.
    Start { seeds: Vec<Address> },
    /// Time passed: [`Machine::next_wake`] has come.
    Tick,
    /// A link to a sentinel stands, subscribed as far as it allows.
    SentinelUp {
        sentinel: Address,
        /// `SENTINEL MYID`, where it is allowed.
        run_id: Option<String>,
        /// The address that was in fact reached.
        peer: Option<Address>,
        hearing: Hearing,
    },
    /// The link to a sentinel ended, or a dial failed.
    SentinelDown { sentinel: Address, reason: String },
    /// What a host name stands for, of a sentinel or of a node. The latest replaces earlier ones.
    Resolved { address: Address, to: Vec<Address> },
    /// A sentinel published something.
    Message { sentinel: Address, channel: String, payload: Vec<u8> },
    /// The replies to one [`Action::Query`].
    Answer { sentinel: Address, answer: Answer },
    /// The reply to [`Action::ListServices`].
    Services { sentinel: Address, names: Vec<String> },
    /// What a node that is watched told, or that its link ended.
    Node { node: Address, report: Report },
    /// The outcome of one [`Action::Verify`]. Each Verify is answered by one of these.
    Verified { address: Address, verification: Verification },
    /// A handle of this generation met trouble.
    Trouble { generation: u64, what: Trouble },
    /// The user asked for a look at every sentinel now.
    Refresh,
    /// The user wants to read from replicas, from now on.
    ReadReplicas,
    /// A handle to this replica met trouble.
    Refused { replica: Address, what: Trouble },
}

/// What an address said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// `ROLE` says master.
    Master { origin: Origin },
    /// `ROLE` says something else.
    NotMaster { role: String },
    /// It could not be asked.
    Failed { reason: String },
}

/// What a promotion link brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The node answered.
    Says(Identity),
    /// It told how far its data go. Only while replicas are read from.
    Progress(Progress),
    /// The link stood, and ended.
    Gone,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) standing: Standing,
    pub(crate) origin: Origin,
}

/// What `ROLE` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Master,
    Replica {
        /// Whom it replicates.
        of: Option<Address>,
        /// Whether it is connected with that.
        linked: bool,
    },
}

/// How far a node's data go, as `ROLE` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) source: Copied,
    /// Its replication offset, if it has one.
    pub(crate) offset: Option<u64>,
    /// How long it took to tell.
    pub(crate) took: Duration,
}

/// Whose data a node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// Its own: it is a master.
    Own,
    /// Those of another node.
    Of { master: Option<Address>, feed: Feed },
}

/// How a replica gets what its master writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// As it is written.
    Flowing,
    /// Not at all: it has lost its master, or has not found it yet.
    Broken,
    /// As a whole, in place of what it has.
    Whole,
}

/// How often a node is asked for its ROLE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pace {
    /// Now and then: its link tells when anything happens to it.
    #[default]
    Calm,
    /// A few times a second: it is not what the sentinels list it as.
    Brisk,
    /// Every few milliseconds: it was chosen to be promoted.
    Close,
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Keep a link to this sentinel: dial it again and again. Said of the seeds too, at the start.
    Link { sentinel: Address },
    /// Give the link to a discovered sentinel up.
    Unlink { sentinel: Address },
    /// Send the pipeline [`QUERY`] for the service and give back [`Input::Answer`].
    Query { sentinel: Address },
    /// Ask for the services it monitors, for the text of an error; give back [`Input::Services`].
    ListServices { sentinel: Address },
    /// Dial this address and ask its `ROLE`; keep the connection for the switch.
    Verify { address: Address },
    /// Serve this address from now on. Its last verification said master.
    Switch {
        generation: u64,
        from: Option<Address>,
        to: Address,
        epoch: Option<u64>,
        run_id: Option<String>,
        evidence: Evidence,
        /// Why commands have to wait there from the start.
        fence: Option<FenceReason>,
        /// When it became a master, if its link told.
        promoted: Option<Instant>,
    },
    /// The server at the address that is served has begun another history, and a majority of the
    /// sentinels names it nevertheless: connect to it again.
    AcceptHistory { address: Address, origin: Origin },
    /// Keep a promotion link to this node. Said again when what is asked of it changes.
    Watch { node: Address, pace: Pace },
    /// Give the promotion link to a node up.
    Unwatch { node: Address },
    /// Commands wait from now on.
    Fence { reason: FenceReason },
    /// They wait no longer.
    Unfence,
    /// What runs on the master from now on may be lost: count it. Where so many sentinels are a
    /// majority that fell silent, from when that many were heard last.
    Doubt { majority: Option<usize> },
    /// What was counted is safe: report it.
    Trust { source: Source },
    /// Ask every node for its ROLE now, and then so often, at first more often. The replies are
    /// given back as [`Report::Progress`].
    Pulse { every: Duration },
    /// Read from these replicas from now on, and from no others.
    Read(Readable),
    /// Tell the user.
    Report(Event),
}
