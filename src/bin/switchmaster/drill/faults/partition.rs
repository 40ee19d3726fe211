//! The program is shut in with the master, and the others replace it: [`Partition`].

use std::{thread, time::Instant};

use switchmaster_sandbox::Member;

use super::{Script, Stage};
use crate::failure::Failure;

pub(crate) struct Partition;

impl Script for Partition {
    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        let cluster = stage.cluster;
        let master = cluster.master()?;
        let others: Vec<&Member> =
            cluster.members().filter(|member| member.port() != master.port()).collect();
        let at = stage.step(format!("all but {} are cut off", master.address()));
        cluster.partition_client_from(others)?;
        // Sentinels that lost the master in the same moment could not replace it before this.
        thread::sleep(cluster.down_after().saturating_sub(at.elapsed()));
        stage.step("the other side replaces the master");
        cluster.failover()?;
        Ok(at)
    }

    fn announced(&self, stage: &Stage) {
        stage.heal();
    }
}
