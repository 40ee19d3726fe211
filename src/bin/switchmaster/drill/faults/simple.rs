//! What happens to the master at once, and to it alone.

use std::time::Instant;

use super::{Script, Stage};
use crate::failure::Failure;

pub(crate) struct Kill;
pub(crate) struct Freeze;
pub(crate) struct Planned;

impl Script for Kill {
    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        let master = stage.cluster.master()?;
        let at = stage.step(format!("{} is killed", master.address()));
        master.kill()?;
        Ok(at)
    }
}

impl Script for Freeze {
    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        let master = stage.cluster.master()?;
        let at = stage.step(format!("{} is stopped", master.address()));
        master.freeze()?;
        Ok(at)
    }
}

impl Script for Planned {
    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        let at = stage.step("a failover is ordered");
        stage.cluster.failover()?;
        Ok(at)
    }
}
