//! The progress of a master's data: [`Progress`], [`Growth`].
//!
//! Two figures of the server say whether a write has run between two looks. The replication offset counts
//! every byte that goes to the replicas; while writes are paused, the PINGs of the master to its replicas
//! advance it nevertheless (14 bytes, every `repl-ping-replica-period`), and nothing else does (measured on
//! Redis 7.0.15 and Valkey 9.1.2: no expiry, no WAIT). `rdb_changes_since_last_save` counts the changes of
//! data, and PINGs do not advance it; a finished save sets it back.

use std::time::Instant;

use redis::{RedisResult, Value};

use super::replica::{Node, Role, field, info_of, role_of};

/// The bytes of a PING in the replication stream.
const PING: u64 = 14;

/// The figures of a master at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    at: Instant,
    /// The replication offset.
    pub(super) offset: u64,
    /// The changes since the last save, and when that was; `None` where INFO is not permitted.
    changes: Option<(u64, String)>,
}

/// The difference between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// PINGs at most.
    Nothing,
    /// Bytes that change no data, such as published messages.
    Messages { bytes: u64 },
    /// Writes have run.
    Writes { bytes: u64, changes: Option<u64> },
    /// The later figures are below the earlier ones: the server has started again, or has other data.
    Replaced,
}

impl Progress {
    /// The commands whose replies [`Progress::read`] takes.
    pub(super) const QUESTIONS: [&[&str]; 2] = [&["ROLE"], &["INFO", "persistence"]];

    /// Asks the master. The error names what it is instead when it is no master.
    pub(super) fn of(master: &mut Node) -> Result<Progress, String> {
        let lost = |error| format!("the master was lost while it was paused: {error}");
        let mut replies = master.ask_all(&Progress::QUESTIONS).map_err(lost)?.into_iter();
        let role = replies.next().unwrap_or(Ok(Value::Nil)).and_then(role_of).map_err(lost)?;
        let info = replies.next().unwrap_or(Ok(Value::Nil));
        Progress::read(&role, info)
            .map_err(|of| format!("{} has become a replica of {of}", master.address))
    }

    /// Reads the replies. The error is the master of a node that is a replica.
    pub(super) fn read(
        role: &Role,
        info: RedisResult<Value>,
    ) -> Result<Progress, switchmaster::Address> {
        let offset = match role {
            Role::Master { offset } => *offset,
            Role::Replica { of, .. } => return Err(of.clone()),
        };
        let info = info_of(info);
        let changes =
            field(&info, "rdb_changes_since_last_save").and_then(|text| text.parse().ok());
        let saved = field(&info, "rdb_last_save_time").map(str::to_owned);
        Ok(Progress { at: Instant::now(), offset, changes: changes.zip(saved) })
    }

    /// Returns the growth since then.
    pub(super) fn since(&self, earlier: &Progress) -> Growth {
        let Some(bytes) = self.offset.checked_sub(earlier.offset) else { return Growth::Replaced };
        let changes = match (&self.changes, &earlier.changes) {
            // A save in between has set it back.
            (Some((now, saved)), Some((then, before))) if saved == before => now.checked_sub(*then),
            _ => None,
        };
        match changes {
            Some(0) if self.are_pings(bytes, earlier) => Growth::Nothing,
            Some(0) => Growth::Messages { bytes },
            None if self.are_pings(bytes, earlier) => Growth::Nothing,
            changes => Growth::Writes { bytes, changes },
        }
    }

    /// Returns true when so many bytes are those of PINGs since then: one a second at most.
    pub(super) fn are_pings(&self, bytes: u64, earlier: &Progress) -> bool {
        let most = self.at.saturating_duration_since(earlier.at).as_secs() + 1;
        bytes.is_multiple_of(PING) && bytes / PING <= most
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn pings_are_no_writes_and_writes_are_counted() {
        let now = Instant::now();
        let progress = |seconds, offset, changes: Option<(u64, &str)>| Progress {
            at: now + Duration::from_secs(seconds),
            offset,
            changes: changes.map(|(count, saved)| (count, saved.to_owned())),
        };
        let known = |seconds, offset, count| progress(seconds, offset, Some((count, "7")));
        let begun = known(0, 100, 5);
        assert_eq!(known(0, 100, 5).since(&begun), Growth::Nothing);
        assert_eq!(known(0, 114, 5).since(&begun), Growth::Nothing);
        // Two in less than a second are no PINGs.
        assert_eq!(known(0, 128, 5).since(&begun), Growth::Messages { bytes: 28 });
        assert_eq!(known(2, 128, 5).since(&begun), Growth::Nothing);
        // As many bytes as a PING has.
        let writes = Growth::Writes { bytes: 14, changes: Some(1) };
        assert_eq!(known(0, 114, 6).since(&begun), writes);
        // A master without replicas counts no bytes.
        let writes = Growth::Writes { bytes: 0, changes: Some(2) };
        assert_eq!(known(0, 100, 7).since(&begun), writes);
        assert_eq!(known(0, 99, 5).since(&begun), Growth::Replaced);

        // After a save, and without the right to ask, the bytes alone count.
        for unknown in [None, Some((0, "8"))] {
            assert_eq!(progress(0, 114, unknown).since(&begun), Growth::Nothing);
            let writes = Growth::Writes { bytes: 31, changes: None };
            assert_eq!(progress(0, 131, unknown).since(&begun), writes);
        }
    }
}
