//! What came of a failover: [`Outcome`].

use std::{fmt, time::Duration};

use serde_json::{Value, json};
use switchmaster::Address;

use super::{Manner, UNSETTLED, phases::millis};
use crate::{
    failure::Failure,
    wrap::{WIDTH, wrapped},
};

/// Writes that the old master acknowledged although they were paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slipped {
    /// The changes of data, where the server reports them.
    pub(super) changes: Option<u64>,
    /// The bytes in the replication stream.
    pub(super) bytes: u64,
}

/// There is a new master.
pub(super) struct Outcome {
    pub(super) service: String,
    pub(super) manner: Manner,
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) leader: Address,
    /// How long writes were paused.
    pub(super) paused: Option<Duration>,
    /// The writes that ran on the old master although its writes were paused.
    pub(super) slipped: Option<Slipped>,
    /// Information that needs no action.
    pub(super) notes: Vec<String>,
    /// Problems that need action.
    pub(super) wrong: Vec<String>,
}

impl Outcome {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "service": self.service,
            "manner": self.manner.as_str(),
            "from": self.from.to_string(),
            "to": self.to.to_string(),
            "leader": self.leader.to_string(),
            "paused_ms": self.paused.map(millis),
            "slipped": self.slipped.map(|slipped| json!({
                "changes": slipped.changes,
                "bytes": slipped.bytes,
            })),
            "notes": self.notes,
            "wrong": self.wrong,
        })
    }

    /// A failure when not all is as it should be.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        match &self.wrong[..] {
            [] => Ok(()),
            wrong => Err(Failure::new(format!(
                "{} is the master of {:?} now, but: {}; `switchmaster topology` shows how it goes on",
                self.to,
                self.service,
                wrong.join("; ")
            ))
            .with_code(UNSETTLED)),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} took the place of {}", self.service, self.to, self.from)?;
        if let Some(paused) = self.paused {
            writeln!(f, "  writes were paused for {:.0} ms", millis(paused))?;
        }
        for note in &self.notes {
            for (index, line) in wrapped(note, WIDTH - 9).iter().enumerate() {
                writeln!(f, "  {}{line}", if index == 0 { "note: " } else { "      " })?;
            }
        }
        Ok(())
    }
}
