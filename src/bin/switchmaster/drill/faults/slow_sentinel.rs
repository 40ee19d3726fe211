//! A sentinel that answers late: [`SlowSentinel`].

use std::time::{Duration, Instant};

use switchmaster_sandbox::{Cluster, Sentinel};

use super::{Script, Stage, simple::Kill};
use crate::failure::Failure;

/// Each way.
const DELAY: Duration = Duration::from_millis(300);
/// Who finds nobody down before this does not lead a failover, and only votes. What the leader
/// chose nobody else can tell, so there is nothing to be promised where that one is slow.
const PATIENT: Duration = Duration::from_secs(60);

pub(crate) struct SlowSentinel;

impl Script for SlowSentinel {
    fn prepare(&self, stage: &Stage, _failover: usize) -> Result<(), Failure> {
        let sentinel = &stage.cluster.sentinels()[0];
        set_down_after(sentinel, stage.cluster.service(), PATIENT)?;
        if let Some(proxy) = sentinel.proxy() {
            stage.step(format!("{} is slow from now on", sentinel.address()));
            proxy.delay(DELAY);
        }
        Ok(())
    }

    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        Kill.strike(stage)
    }

    fn undo(&self, cluster: &Cluster) -> Result<(), Failure> {
        set_down_after(&cluster.sentinels()[0], cluster.service(), cluster.down_after())
    }
}

fn set_down_after(sentinel: &Sentinel, service: &str, time: Duration) -> Result<(), Failure> {
    let millis = time.as_millis().to_string();
    sentinel.ask(&["SENTINEL", "SET", service, "down-after-milliseconds", &millis])?;
    Ok(())
}
