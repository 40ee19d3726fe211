//! Sentinels that nobody hears: [`PubsubLoss`].

use std::time::Instant;

use switchmaster_sandbox::FaultProxy;

use super::{Script, Stage, simple::Kill};
use crate::failure::Failure;

pub(crate) struct PubsubLoss;

impl Script for PubsubLoss {
    fn prepare(&self, stage: &Stage, _failover: usize) -> Result<(), Failure> {
        stage.step("nothing that is published arrives any more");
        for sentinel in stage.cluster.sentinels() {
            if let Some(proxy) = sentinel.proxy() {
                proxy.swallow_pubsub();
            }
        }
        Ok(())
    }

    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        Kill.strike(stage)
    }

    fn announced(&self, stage: &Stage) {
        let proxies = stage.cluster.sentinels().iter().filter_map(|sentinel| sentinel.proxy());
        let swallowed: usize = proxies.map(FaultProxy::swallowed).sum();
        stage.step(format!("{swallowed} messages did not arrive so far"));
    }
}
