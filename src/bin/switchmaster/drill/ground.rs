//! Where a drill takes place: [`Ground`].

use std::{
    thread,
    time::{Duration, Instant},
};

use switchmaster::{Builder, OnLostMajority};
use switchmaster_sandbox::{Cluster, Probe};

use super::{
    Arguments,
    fault::Fault,
    faults::{self, COORDINATED, script, uncoordinated},
    listener::Listener,
    side::Side,
    witness::Witness,
};
use crate::{deployment::Deployment, failure::Failure};

/// How long a deployment may be busy with the failover before.
const BUSY: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(500);
/// When a factory that is shut in with a master stops to use it: before the sentinels, which take
/// 1.2 s to find it down, can replace it.
const LOST_MAJORITY: Duration = Duration::from_secs(1);

/// The user for whom SUBSCRIBE is denied, its password, and its rights: those that Redis's
/// documentation gives to clients of sentinels.
const FOLLOWER: (&str, &str) = ("follower", "followerpass");
const RIGHTS: &str = "-@all +auth +client|getname +client|id +client|setname +command +hello \
                      +ping +role +sentinel|get-master-addr-by-name +sentinel|master \
                      +sentinel|myid +sentinel|replicas +sentinel|sentinels";

/// A throw-away cluster, or a deployment that somebody uses.
pub(crate) enum Ground {
    Sandbox { cluster: Box<Cluster>, deny_subscribe: bool },
    Deployment(Box<Deployment>),
}

impl Ground {
    /// Starts a throw-away cluster that these can happen to.
    pub(crate) fn sandbox(arguments: &Arguments, faults: &[Fault]) -> Result<Ground, Failure> {
        let on_the_way = faults.iter().any(|fault| fault.is_on_the_way());
        let mut builder = Cluster::builder().proxied(on_the_way);
        if let Some(server) = &arguments.server {
            builder = builder.server(server);
        }
        if arguments.deny_subscribe {
            let (user, password) = FOLLOWER;
            builder = builder.sentinel_line(format!("user {user} on >{password} {RIGHTS}"));
        }
        let cluster = Box::new(builder.start()?);
        Ok(Ground::Sandbox { cluster, deny_subscribe: arguments.deny_subscribe })
    }

    /// Describes a factory that follows it, and that this is going to happen to.
    pub(crate) fn factory(&self, fault: Fault) -> Result<Builder, Failure> {
        let (cluster, deny_subscribe) = match self {
            Ground::Sandbox { cluster, deny_subscribe } => (cluster, *deny_subscribe),
            Ground::Deployment(deployment) => return Ok(deployment.factory()),
        };
        let mut builder = Builder::from_url(&cluster.url())?;
        if deny_subscribe {
            builder = builder.sentinel_username(FOLLOWER.0).sentinel_password(FOLLOWER.1);
        }
        // A detour costs time, so only those take it who have to.
        if fault.is_on_the_way() {
            let pairs = cluster.address_map().into_iter();
            builder = pairs.fold(builder, |builder, (from, to)| builder.address_map(from, to));
        }
        if fault == Fault::Partition {
            builder = builder.on_lost_majority(OnLostMajority::Fence { after: LOST_MAJORITY });
        }
        Ok(builder)
    }

    pub(crate) fn denies_subscribe(&self) -> bool {
        matches!(self, Ground::Sandbox { deny_subscribe: true, .. })
    }

    /// Starts to watch what happens, independently of the library.
    pub(crate) fn witness(&self) -> Result<Witness, Failure> {
        Ok(match self {
            Ground::Sandbox { cluster, .. } => Witness::Probe(Probe::start(cluster)?),
            Ground::Deployment(deployment) => Witness::Listener(Listener::start(deployment)?),
        })
    }

    /// Mends what was done to a sandbox. A deployment mends itself.
    pub(crate) fn restore(&self, fault: Fault, sides: &[Side]) -> Result<(), Failure> {
        if let Ground::Sandbox { cluster, .. } = self {
            cluster.heal();
            faults::make_whole(cluster, sides)?;
            script(fault).undo(cluster)?;
        }
        Ok(())
    }
}

/// Has a deployment replace its master, and says when.
pub(crate) fn order(deployment: &Deployment, fault: Fault) -> Result<Instant, Failure> {
    let words: &[&str] = if fault == Fault::Coordinated { &[COORDINATED] } else { &[] };
    let deadline = Instant::now() + BUSY;
    loop {
        let at = Instant::now();
        match deployment.failover(words) {
            Ok(()) => return Ok(at),
            Err(failure) => {
                let busy = failure.to_string().contains("INPROG");
                if !busy || at + RETRY > deadline {
                    return Err(match fault {
                        Fault::Coordinated => uncoordinated(&failure.to_string()),
                        _ => failure,
                    });
                }
                thread::sleep(RETRY);
            }
        }
    }
}
