//! Where a drill takes place: [`Ground`].

use std::{
    thread,
    time::{Duration, Instant},
};

use switchmaster_sandbox::{Cluster, Probe};

use super::{fault::Fault, listener::Listener, witness::Witness};
use crate::{deployment::Deployment, failure::Failure};

/// How long the sandbox may take to be as before.
const REPAIR: Duration = Duration::from_secs(30);
/// How long a deployment may be busy with the failover before.
const BUSY: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(500);

/// A throw-away cluster, or a deployment that somebody uses.
pub(crate) enum Ground {
    Sandbox(Box<Cluster>),
    Deployment(Deployment),
}

impl Ground {
    pub(crate) fn url(&self) -> String {
        match self {
            Ground::Sandbox(cluster) => cluster.url(),
            Ground::Deployment(deployment) => deployment.url().to_owned(),
        }
    }

    /// Starts to watch what happens, independently of the library.
    pub(crate) fn witness(&self) -> Result<Witness, Failure> {
        Ok(match self {
            Ground::Sandbox(cluster) => Witness::Probe(Probe::start(cluster)?),
            Ground::Deployment(deployment) => Witness::Listener(Listener::start(deployment)?),
        })
    }

    /// Lets it happen, and says when.
    pub(crate) fn strike(&self, fault: Fault) -> Result<Instant, Failure> {
        match self {
            Ground::Sandbox(cluster) => {
                let master = cluster.master()?;
                let at = Instant::now();
                match fault {
                    Fault::Kill => master.kill()?,
                    Fault::Freeze => master.freeze()?,
                    Fault::Planned => cluster.failover()?,
                }
                Ok(at)
            }
            Ground::Deployment(deployment) => order(deployment),
        }
    }

    /// Mends what was done to a sandbox. A deployment mends itself.
    pub(crate) fn restore(&self) -> Result<(), Failure> {
        match self {
            Ground::Sandbox(cluster) => Ok(cluster.repair(REPAIR)?),
            Ground::Deployment(_) => Ok(()),
        }
    }
}

fn order(deployment: &Deployment) -> Result<Instant, Failure> {
    let deadline = Instant::now() + BUSY;
    loop {
        let at = Instant::now();
        match deployment.failover() {
            Ok(()) => return Ok(at),
            Err(failure) => {
                let busy = failure.to_string().contains("INPROG");
                if !busy || at + RETRY > deadline {
                    return Err(failure);
                }
                thread::sleep(RETRY);
            }
        }
    }
}
