//! What happened to one side in one drill, as instants: [`Record`], [`Failover`].

use std::time::Instant;

use switchmaster::Event;

use super::{arguments::SwitchOn, fault::Fault, faults::Step, operation::Track};

pub(crate) struct Record {
    pub(crate) fault: Fault,
    pub(crate) switch_on: SwitchOn,
    /// Whether the sentinels refuse SUBSCRIBE.
    pub(crate) subscribe_denied: bool,
    /// When the first thing was done.
    pub(crate) began: Instant,
    /// In their order, one at least.
    pub(crate) failovers: Vec<Failover>,
    pub(crate) steps: Vec<Step>,
    /// What the factory told.
    pub(crate) events: Vec<Event>,
    /// When the workers were asked to end.
    pub(crate) stopped: Instant,
    pub(crate) tracks: Vec<Track>,
    /// What is wrong with the server that a handle leads to after a switch.
    pub(crate) stale: Option<String>,
    /// Writes that were acknowledged and are missing in the end.
    pub(crate) lost: Vec<Lost>,
}

/// One master is replaced.
#[derive(Clone)]
pub(crate) struct Failover {
    pub(crate) from: String,
    pub(crate) to: String,
    /// The generation that ends.
    pub(crate) generation: u64,
    pub(crate) struck: Instant,
    pub(crate) promotion: Option<Instant>,
    pub(crate) announcement: Option<Instant>,
    /// When the factory was reached again, if it was cut off.
    pub(crate) healed: Option<Instant>,
    pub(crate) switch: Option<Instant>,
    /// The generation that the switch, or the last of them, began; the one to come without a switch.
    pub(crate) next: u64,
}

/// An acknowledged write that is missing.
pub(crate) struct Lost {
    pub(crate) writer: String,
    pub(crate) number: u64,
    /// When it was acknowledged, and in which generation.
    pub(crate) at: Instant,
    pub(crate) generation: u64,
}
