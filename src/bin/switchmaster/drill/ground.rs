//! Where a drill takes place: [`Ground`].

use std::{
    thread,
    time::{Duration, Instant},
};

use switchmaster::Builder;
use switchmaster_sandbox::{Cluster, Probe};

use super::{Arguments, fault::Fault, listener::Listener, side::Side, witness::Witness};
use crate::{deployment::Deployment, failure::Failure};

/// How long the sandbox may take to be as before.
const REPAIR: Duration = Duration::from_secs(30);
/// How long the factories may take to see that it is.
const SETTLE: Duration = Duration::from_secs(3);
/// How long a deployment may be busy with the failover before.
const BUSY: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(500);

/// The user for whom SUBSCRIBE is denied, its password, and its rights: those that Redis's
/// documentation gives to clients of sentinels.
const FOLLOWER: (&str, &str) = ("follower", "followerpass");
const RIGHTS: &str = "-@all +auth +client|getname +client|id +client|setname +command +hello \
                      +ping +role +sentinel|get-master-addr-by-name +sentinel|master \
                      +sentinel|myid +sentinel|replicas +sentinel|sentinels";

/// What must be said to have a failover coordinated.
const COORDINATED: &str = "COORDINATED";

/// A throw-away cluster, or a deployment that somebody uses.
pub(crate) enum Ground {
    Sandbox { cluster: Box<Cluster>, deny_subscribe: bool },
    Deployment(Box<Deployment>),
}

impl Ground {
    /// Starts a throw-away cluster.
    pub(crate) fn sandbox(arguments: &Arguments) -> Result<Ground, Failure> {
        let mut builder = Cluster::builder();
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

    /// Describes a factory that follows it.
    pub(crate) fn factory(&self) -> Result<Builder, Failure> {
        Ok(match self {
            Ground::Sandbox { cluster, deny_subscribe: false } => {
                Builder::from_url(&cluster.url())?
            }
            Ground::Sandbox { cluster, deny_subscribe: true } => Builder::from_url(&cluster.url())?
                .sentinel_username(FOLLOWER.0)
                .sentinel_password(FOLLOWER.1),
            Ground::Deployment(deployment) => deployment.factory(),
        })
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

    /// Lets it happen, and says when.
    pub(crate) fn strike(&self, fault: Fault) -> Result<Instant, Failure> {
        match self {
            Ground::Sandbox { cluster, .. } => {
                let master = cluster.master()?;
                let at = Instant::now();
                match fault {
                    Fault::Kill => master.kill()?,
                    Fault::Freeze => master.freeze()?,
                    Fault::Planned => cluster.failover()?,
                    Fault::Coordinated => coordinate(cluster)?,
                }
                Ok(at)
            }
            Ground::Deployment(deployment) => order(deployment, fault),
        }
    }

    /// Mends what was done to a sandbox. A deployment mends itself.
    pub(crate) fn restore(&self, sides: &[Side]) -> Result<(), Failure> {
        if let Ground::Sandbox { cluster, .. } = self {
            cluster.repair(REPAIR)?;
            sides.iter().for_each(|side| side.settle(SETTLE));
        }
        Ok(())
    }
}

fn coordinate(cluster: &Cluster) -> Result<(), Failure> {
    let ordered = cluster.sentinels()[0].failover_coordinated(cluster.service());
    ordered.map_err(|error| uncoordinated(&error.to_string()))
}

/// A server that does not know the word complains about the number of words.
fn uncoordinated(refusal: &str) -> Failure {
    match refusal.contains("number of arguments") {
        true => Failure::new(format!(
            "--fault coordinated: these sentinels know no SENTINEL FAILOVER … {COORDINATED}, which \
             is Valkey's from 9.0 on; name such a server with --server, or use --fault planned"
        )),
        false => Failure::new(format!("--fault coordinated: {refusal}")),
    }
}

fn order(deployment: &Deployment, fault: Fault) -> Result<Instant, Failure> {
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
