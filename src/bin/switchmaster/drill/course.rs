//! A fault that takes its course: [`Course`].

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    fault::Fault,
    faults::{Stage, Step, script},
    ground::{Ground, order},
    side::Side,
    witness::Witness,
};
use crate::failure::Failure;

/// From the fault until everyone works again, where only the sentinels have a say in it.
const PATIENCE: Duration = Duration::from_secs(20);

/// One fault on one ground, with what was done so far. On a deployment nothing is done but to order
/// a failover.
pub(crate) struct Course<'a> {
    ground: &'a Ground,
    sides: &'a [Side],
    fault: Fault,
    steps: RefCell<Vec<Step>>,
    old_master: Cell<Option<SocketAddr>>,
    healed: Cell<Option<Instant>>,
}

impl<'a> Course<'a> {
    pub(crate) fn new(ground: &'a Ground, sides: &'a [Side], fault: Fault) -> Course<'a> {
        Course {
            ground,
            sides,
            fault,
            steps: RefCell::default(),
            old_master: Cell::default(),
            healed: Cell::default(),
        }
    }

    /// What it is done with; nothing for a deployment.
    fn stage<'s>(&'s self, witness: Option<&'s Witness>) -> Option<Stage<'s>> {
        let Ground::Sandbox { cluster, .. } = self.ground else { return None };
        let probe = match witness {
            Some(Witness::Probe(probe)) => Some(probe),
            Some(Witness::Listener(_)) | None => None,
        };
        Some(Stage {
            cluster,
            probe,
            old_master: self.old_master.get()?,
            sides: self.sides,
            steps: &self.steps,
            healed: &self.healed,
        })
    }

    /// Before the failover with this number.
    pub(crate) fn prepare(&self, failover: usize) -> Result<(), Failure> {
        if let Ground::Sandbox { cluster, .. } = self.ground {
            self.old_master.set(Some(cluster.master()?.address()));
            self.healed.set(None);
        }
        match self.stage(None) {
            Some(stage) => script(self.fault).prepare(&stage, failover)?,
            None => return Ok(()),
        }
        if let Ground::Sandbox { cluster, .. } = self.ground {
            self.old_master.set(Some(cluster.master()?.address()));
        }
        Ok(())
    }

    /// Lets it happen, and says when it began.
    pub(crate) fn strike(&self, witness: &Witness) -> Result<Instant, Failure> {
        match (self.stage(Some(witness)), self.ground) {
            (Some(stage), _) => script(self.fault).strike(&stage),
            (None, Ground::Deployment(deployment)) => order(deployment, self.fault),
            (None, Ground::Sandbox { .. }) => Err(Failure::new("nothing is prepared")),
        }
    }

    /// A sentinel has announced the new master.
    pub(crate) fn announced(&self) {
        if let Some(stage) = self.stage(None) {
            script(self.fault).announced(&stage);
        }
    }

    /// Everyone has gone on after the last failover.
    pub(crate) fn conclude(&self) -> Result<(), Failure> {
        self.stage(None).map_or(Ok(()), |stage| script(self.fault).conclude(&stage))
    }

    /// How long after the fault everyone has to work again.
    pub(crate) fn patience(&self) -> Duration {
        match self.ground {
            Ground::Sandbox { .. } => script(self.fault).patience(),
            Ground::Deployment(_) => PATIENCE,
        }
    }

    pub(crate) fn healed(&self) -> Option<Instant> {
        self.healed.get()
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        self.steps.borrow().clone()
    }
}
