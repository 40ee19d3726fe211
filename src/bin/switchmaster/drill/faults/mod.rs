//! What the faults of a sandbox are made of: [`Script`], one for each [`Fault`].

mod coordinated;
mod flap;
mod leader;
mod partition;
mod pubsub_loss;
mod rolling;
mod simple;
mod slow_sentinel;
mod stage;

use std::time::{Duration, Instant};

pub(crate) use coordinated::{COORDINATED, uncoordinated};
use switchmaster_sandbox::Cluster;

pub(crate) use stage::{Stage, Step, make_whole};

use super::fault::Fault;
use crate::failure::Failure;

/// A fault, step by step. Everyone works all the while.
pub(crate) trait Script {
    /// Before a failover, of which there may be several.
    fn prepare(&self, _stage: &Stage, _failover: usize) -> Result<(), Failure> {
        Ok(())
    }

    /// Lets it happen, and says when that began.
    fn strike(&self, stage: &Stage) -> Result<Instant, Failure>;

    /// When a sentinel has announced the new master.
    fn announced(&self, _stage: &Stage) {}

    /// When everyone has gone on after the last failover.
    fn conclude(&self, _stage: &Stage) -> Result<(), Failure> {
        Ok(())
    }

    /// From the fault until everyone works again, at most.
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }

    /// Takes back what [`Cluster::repair`] does not, when all servers answer again.
    fn undo(&self, _cluster: &Cluster) -> Result<(), Failure> {
        Ok(())
    }
}

pub(crate) fn script(fault: Fault) -> &'static dyn Script {
    match fault {
        Fault::Kill => &simple::Kill,
        Fault::Freeze => &simple::Freeze,
        Fault::Planned => &simple::Planned,
        Fault::Coordinated => &coordinated::Coordinated,
        Fault::Partition => &partition::Partition,
        Fault::Leader => &leader::Leader,
        Fault::Flap => &flap::Flap,
        Fault::SlowSentinel => &slow_sentinel::SlowSentinel,
        Fault::PubsubLoss => &pubsub_loss::PubsubLoss,
        Fault::Rolling => &rolling::Rolling,
    }
}
