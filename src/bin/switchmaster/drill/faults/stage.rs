//! Where a fault takes place: [`Stage`].

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use switchmaster_sandbox::{Cluster, Probe};

use crate::{drill::side::Side, failure::Failure};

/// How long the sandbox may take to be as before.
pub(crate) const REPAIR: Duration = Duration::from_secs(30);
/// How long the factories may take to see that it is.
const SETTLE: Duration = Duration::from_secs(3);
/// How long sentinels may refuse another failover.
const BUSY: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(50);
/// Until the replicas have what is written.
const REPLICATION: Duration = Duration::from_secs(10);

/// Something that was done.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) at: Instant,
    pub(crate) text: String,
}

/// A sandbox in one failover.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) cluster: &'a Cluster,
    /// What watches it; nobody does while it is prepared.
    pub(crate) probe: Option<&'a Probe>,
    /// The master before the failover.
    pub(crate) old_master: SocketAddr,
    pub(crate) sides: &'a [Side],
    pub(crate) steps: &'a RefCell<Vec<Step>>,
    /// When the program was reached again by those it was cut off from.
    pub(crate) healed: &'a Cell<Option<Instant>>,
}

impl Stage<'_> {
    /// Notes what is done next.
    pub(crate) fn step(&self, text: impl Into<String>) -> Instant {
        let at = Instant::now();
        self.step_at(at, text);
        at
    }

    pub(crate) fn step_at(&self, at: Instant, text: impl Into<String>) {
        self.steps.borrow_mut().push(Step { at, text: text.into() });
    }

    /// Ends what is between the program and the servers.
    pub(crate) fn heal(&self) {
        self.healed.set(Some(self.step("the partition ends")));
        self.cluster.heal();
    }

    /// Orders a failover as soon as the sentinels accept one.
    pub(crate) fn order_failover(&self) -> Result<Instant, Failure> {
        let deadline = Instant::now() + BUSY;
        loop {
            let at = Instant::now();
            match self.cluster.failover() {
                Ok(()) => {
                    self.step_at(at, "a failover is ordered");
                    return Ok(at);
                }
                Err(_) if at < deadline => thread::sleep(RETRY),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes everybody content: the servers, the factories, and the replicas with what is written.
    pub(crate) fn make_whole(&self) -> Result<(), Failure> {
        make_whole(self.cluster, self.sides)?;
        Ok(self.cluster.wait_replicated(REPLICATION)?)
    }
}

/// Resumes, restarts and points anew whatever needs it, and waits until the factories see it, too.
pub(crate) fn make_whole(cluster: &Cluster, sides: &[Side]) -> Result<(), Failure> {
    cluster.repair(REPAIR)?;
    sides.iter().for_each(|side| side.settle(SETTLE));
    Ok(())
}
