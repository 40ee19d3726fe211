//! The master itself hands over: [`Coordinated`].

use std::time::Instant;

use super::{Script, Stage};
use crate::failure::Failure;

/// What must be said to have a failover coordinated.
pub(crate) const COORDINATED: &str = "COORDINATED";

pub(crate) struct Coordinated;

impl Script for Coordinated {
    fn strike(&self, stage: &Stage) -> Result<Instant, Failure> {
        let cluster = stage.cluster;
        let at = stage.step("a coordinated failover is ordered");
        let ordered = cluster.sentinels()[0].failover_coordinated(cluster.service());
        ordered.map_err(|error| uncoordinated(&error.to_string()))?;
        Ok(at)
    }
}

/// A server that does not know the word complains about the number of words.
pub(crate) fn uncoordinated(refusal: &str) -> Failure {
    match refusal.contains("number of arguments") {
        true => Failure::new(format!(
            "--fault coordinated: these sentinels know no SENTINEL FAILOVER … {COORDINATED}, which \
             is Valkey's from 9.0 on; name such a server with --server, or use --fault planned"
        )),
        false => Failure::new(format!("--fault coordinated: {refusal}")),
    }
}
