//! A sentinel that answers late: [`SlowSentinel`].

use std::time::{Duration, Instant};

use super::{Script, Stage, simple::Kill};
use crate::failure::Failure;

/// Each way.
const DELAY: Duration = Duration::from_millis(300);

pub(crate) struct SlowSentinel;

impl Script for SlowSentinel {
    fn prepare(&self, stage: &Stage, _failover: usize) -> Result<(), Failure> {
        let sentinel = &stage.cluster.sentinels()[0];
        if let Some(proxy) = sentinel.proxy() {
            stage.step(format!("{} is slow from now on", sentinel.address()));
            proxy.delay(DELAY);
        }
        Ok(())
    }

    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        Kill.strike(stage)
    }
}
