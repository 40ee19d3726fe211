//! Nobody is left to confirm the promotion: [`Leader`].

use std::time::{Duration, Instant};

use switchmaster_sandbox::Cluster;

use super::{Script, Stage};
use crate::failure::Failure;

/// The other sentinels begin again twice this after they began.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the first failover may take; votes that are split cost twice the time above.
const PROMOTION: Duration = Duration::from_secs(20);

pub(crate) struct Leader;

impl Script for Leader {
    fn prepare(&self, stage: &Stage, _failover: usize) -> Result<(), Failure> {
        set_timeout(stage.cluster, FAILOVER_TIMEOUT)
    }

    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        let cluster = stage.cluster;
        let probe = stage.probe.ok_or_else(|| Failure::new("nobody watches the replicas"))?;
        let master = cluster.master()?;
        let at = stage.step(format!("{} is killed", master.address()));
        master.kill()?;
        let killed = cluster.kill_leader_at_promotion(probe, PROMOTION)?;
        let (sentinel, promoted) = (killed.sentinel.address(), killed.promotion.address);
        stage.step_at(killed.at, format!("{sentinel} is killed, which promoted {promoted}"));
        Ok(at)
    }

    /// Those who were to follow the first leader wait, and may split their votes once more.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn undo(&self, cluster: &Cluster) -> Result<(), Failure> {
        set_timeout(cluster, cluster.failover_timeout())
    }
}

fn set_timeout(cluster: &Cluster, time: Duration) -> Result<(), Failure> {
    let millis = time.as_millis().to_string();
    for sentinel in cluster.sentinels() {
        sentinel.ask(&["SENTINEL", "SET", cluster.service(), "failover-timeout", &millis])?;
    }
    Ok(())
}
