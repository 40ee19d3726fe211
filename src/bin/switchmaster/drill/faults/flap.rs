//! One failover after the other: [`Flap`].

use std::time::Instant;

use super::{Script, Stage};
use crate::failure::Failure;

pub(crate) struct Flap;

impl Script for Flap {
    /// A replica that does not follow the present master may be chosen, too, and whoever is led
    /// to it has lost what it does not have, whatever the client does.
    fn prepare(&self, stage: &Stage, failover: usize) -> Result<(), Failure> {
        if failover > 0 {
            stage.step("all nodes are pointed to the new master");
            stage.make_whole()?;
        }
        Ok(())
    }

    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        stage.order_failover()
    }
}
