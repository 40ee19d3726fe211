//! Every server is restarted, one after the other: [`Rolling`].

use std::time::Instant;

use switchmaster_sandbox::{Member, Node};

use super::{Script, Stage};
use crate::failure::Failure;

pub(crate) struct Rolling;

impl Script for Rolling {
    fn prepare(&self, stage: &Stage, _failover: usize) -> Result<(), Failure> {
        let master = stage.cluster.master()?.port();
        for node in stage.cluster.nodes().iter().filter(|node| node.port() != master) {
            restart_replica(stage, node)?;
        }
        Ok(())
    }

    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        stage.order_failover()
    }

    fn conclude(&self, stage: &Stage) -> Result<(), Failure> {
        let old = stage.old_master;
        stage.step(format!("{old} is made a replica"));
        stage.make_whole()?;
        if let Some(node) = stage.cluster.node_at(old.port()) {
            restart_replica(stage, &node)?;
        }
        for sentinel in stage.cluster.sentinels() {
            restart(stage, sentinel)?;
        }
        Ok(())
    }
}

/// As a process that finds in its file what it was told since.
fn restart_replica(stage: &Stage, node: &Node) -> Result<(), Failure> {
    node.ask(&["CONFIG", "REWRITE"])?;
    restart(stage, node)
}

/// Restarts one, and waits until everybody is content again, as a careful operator does.
fn restart(stage: &Stage, member: &Member) -> Result<(), Failure> {
    stage.step(format!("{} {} is restarted", member.name(), member.address()));
    member.restart()?;
    stage.make_whole()
}
