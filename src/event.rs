//! What a factory reports: [`Event`], with the [`Source`] that told it.

mod evidence;
mod fence;
mod name;
mod source;

use std::{
    fmt,
    panic::Location,
    time::{Duration, Instant},
};

pub use evidence::Evidence;
pub use fence::{FenceEnd, FenceReason};
pub use source::Source;

use crate::address::Address;

/// Something that happened, with the instant and the source that told it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A new generation: from now on handles lead to another master.
    #[non_exhaustive]
    Switched {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// The number of the new generation; the first master is generation 1.
        generation: u64,
        /// The master before, if there was one.
        from: Option<Address>,
        /// The master from now on.
        to: Address,
        /// Its configuration epoch, if any sentinel may tell it.
        epoch: Option<u64>,
        /// What proved it.
        evidence: Evidence,
    },
    /// A sentinel that leads a failover chose this replica as the next master.
    #[non_exhaustive]
    Chosen {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// The replica.
        node: Address,
    },
    /// A replica says of itself that it is a master now. Whether it is the one to follow is for the
    /// sentinels to say.
    #[non_exhaustive]
    Promoted {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// The node.
        node: Address,
    },
    /// A replica says that it is a master now, and the sentinels' answers do not prove that it is the
    /// one to follow. It is followed as soon as they name it. Reported once for each reason.
    #[non_exhaustive]
    NotProven {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// The node.
        node: Address,
        /// What is missing.
        reason: &'static str,
    },
    /// From now on commands wait before they are sent.
    #[non_exhaustive]
    FenceRaised {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Why.
        reason: FenceReason,
    },
    /// Commands no longer wait.
    #[non_exhaustive]
    FenceLifted {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Why.
        end: FenceEnd,
        /// How long the fence stood.
        stood: Duration,
    },
    /// Sentinels named the master that had been switched to at its promotion, or a majority of them
    /// that had been silent names the master again.
    #[non_exhaustive]
    Confirmed {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// The generation.
        generation: u64,
        /// Its master.
        master: Address,
        /// How many commands ran on it while that was open. They are safe now.
        commands: u64,
    },
    /// The master ran commands although it may have been replaced already: one that was switched to
    /// at its promotion and never confirmed, one that was served while a majority of the sentinels
    /// was silent, or one whose successor was promoted before this factory could know.
    ///
    /// A replica is known not to have been promoted by its own ROLE, which is asked every 2 ms once
    /// it was chosen, or by a majority of the sentinels, which are heard every second. So a planned
    /// failover that no sentinel tells of (an ACL that denies `SUBSCRIBE`) counts what ran in the 2 s
    /// before it as well.
    #[non_exhaustive]
    Overruled {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// The generation that is over.
        generation: u64,
        /// Its master.
        master: Address,
        /// How many commands ran on it since it was last known to be the only master: at most so
        /// many writes are lost by this. (What it had not passed on to its replicas is another
        /// matter, which nobody can count.)
        commands: u64,
    },
    /// Fewer than a majority of the known sentinels can be heard.
    #[non_exhaustive]
    MajorityLost {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// How many are heard.
        heard: usize,
        /// How many are known.
        of: usize,
    },
    /// A majority of the known sentinels can be heard again.
    #[non_exhaustive]
    MajorityRegained {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// How many are heard.
        heard: usize,
        /// How many are known.
        of: usize,
    },
    /// The link to a sentinel is up.
    #[non_exhaustive]
    SentinelUp {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Which sentinel.
        sentinel: Address,
    },
    /// The link to a sentinel ended, or could not be made. Reported once, not at every attempt.
    #[non_exhaustive]
    SentinelDown {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Which sentinel.
        sentinel: Address,
        /// Why.
        reason: String,
    },
    /// A sentinel that is not among the configured ones became known and is listened to as well.
    #[non_exhaustive]
    SentinelFound {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Which sentinel.
        sentinel: Address,
    },
    /// A discovered sentinel is no longer listed by the others and was let go.
    #[non_exhaustive]
    SentinelForgotten {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Which sentinel.
        sentinel: Address,
    },
    /// Most sentinels that list this node cannot reach it.
    #[non_exhaustive]
    NodeDown {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Which node.
        node: Address,
    },
    /// A node that was down is reached again.
    #[non_exhaustive]
    NodeUp {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Which node.
        node: Address,
    },
    /// A sentinel saw a node come back as another process (`+reboot`). A master that does not
    /// persist its data comes back empty.
    #[non_exhaustive]
    NodeRestarted {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Which node.
        node: Address,
    },
    /// From now on this replica is read from. Told only once somebody reads from replicas
    /// ([`Factory::get_from`](crate::Factory::get_from)), as [`Event::ReplicaLeft`] is.
    #[non_exhaustive]
    ReplicaJoined {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Which replica.
        node: Address,
    },
    /// This replica is no longer read from: its handles have moved to another one, or do with
    /// their next command.
    #[non_exhaustive]
    ReplicaLeft {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Which replica.
        node: Address,
        /// Why.
        reason: &'static str,
    },
    /// A sentinel started to replace the master.
    #[non_exhaustive]
    FailoverStarted {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
    },
    /// The sentinels gave a failover up; the master stays.
    #[non_exhaustive]
    FailoverAborted {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Why: the end of Sentinel's event name, such as `no-good-slave`.
        reason: String,
    },
    /// No sentinel that answers monitors the service any longer. The master goes on being served.
    #[non_exhaustive]
    ServiceRemoved {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
    },
    /// After [`Event::ServiceRemoved`]: a sentinel monitors the service again.
    #[non_exhaustive]
    ServiceMonitored {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
    },
    /// Sentinels have named different masters for some seconds.
    #[non_exhaustive]
    Disagreement {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Each address that is named, and by how many sentinels.
        named: Vec<(Address, usize)>,
    },
    /// A new master is named and agreed on, but does not (yet) say of itself that it is one. It is
    /// tried again until it does. Reported once for each new reason.
    #[non_exhaustive]
    NotVerified {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// The address that is named.
        address: Address,
        /// What it answered, or why it could not be asked.
        reason: String,
    },
    /// A sentinel published something that cannot be read. It was counted and ignored.
    #[non_exhaustive]
    Malformed {
        /// When it happened.
        at: Instant,
        /// Who told it.
        source: Source,
        /// The channel.
        channel: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A handle has been out for longer than [`Builder::leak_after`](crate::Builder::leak_after).
    /// Told once for each checkout.
    #[non_exhaustive]
    Leaked {
        /// When it was noticed.
        at: Instant,
        /// Who told it.
        source: Source,
        /// Where the handle was taken: the call of `Factory::get` or the like.
        place: &'static Location<'static>,
        /// How long it has been out.
        out: Duration,
        /// The generation of its connection.
        generation: u64,
    },
    /// The reader of the events was too slow: so many of the oldest were dropped.
    #[non_exhaustive]
    Missed {
        /// When it was noticed.
        at: Instant,
        /// Who told it.
        source: Source,
        /// How many.
        count: u64,
    },
}

macro_rules! in_each {
    ($event:expr, $field:ident) => {
        match $event {
            Event::Switched { $field, .. }
            | Event::Chosen { $field, .. }
            | Event::Promoted { $field, .. }
            | Event::NotProven { $field, .. }
            | Event::FenceRaised { $field, .. }
            | Event::FenceLifted { $field, .. }
            | Event::Confirmed { $field, .. }
            | Event::Overruled { $field, .. }
            | Event::MajorityLost { $field, .. }
            | Event::MajorityRegained { $field, .. }
            | Event::SentinelUp { $field, .. }
            | Event::SentinelDown { $field, .. }
            | Event::SentinelFound { $field, .. }
            | Event::SentinelForgotten { $field, .. }
            | Event::NodeDown { $field, .. }
            | Event::NodeUp { $field, .. }
            | Event::NodeRestarted { $field, .. }
            | Event::ReplicaJoined { $field, .. }
            | Event::ReplicaLeft { $field, .. }
            | Event::FailoverStarted { $field, .. }
            | Event::FailoverAborted { $field, .. }
            | Event::ServiceRemoved { $field, .. }
            | Event::ServiceMonitored { $field, .. }
            | Event::Disagreement { $field, .. }
            | Event::NotVerified { $field, .. }
            | Event::Malformed { $field, .. }
            | Event::Leaked { $field, .. }
            | Event::Missed { $field, .. } => $field,
        }
    };
}

impl Event {
    /// When it happened, as the factory saw it.
    pub fn at(&self) -> Instant {
        *in_each!(self, at)
    }

    /// Who told it.
    pub fn source(&self) -> &Source {
        in_each!(self, source)
    }
}

impl fmt::Display for Event {
    /// One line: the name, what it is about, and the source. Control characters that a server sent
    /// are escaped, so that it stays one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        match self {
            Event::Switched { generation, from, to, epoch, evidence, .. } => {
                write!(f, ": generation {generation}: ")?;
                if let Some(from) = from {
                    write!(f, "{from} -> ")?;
                }
                write!(f, "{to}")?;
                if let Some(epoch) = epoch {
                    write!(f, ", epoch {epoch}")?;
                }
                write!(f, " ({evidence})")?;
            }
            Event::Chosen { node, .. } | Event::Promoted { node, .. } => write!(f, ": {node}")?,
            Event::NotProven { node, reason, .. } | Event::ReplicaLeft { node, reason, .. } => {
                write!(f, ": {node}: {reason}")?;
            }
            Event::FenceRaised { reason, .. } => write!(f, ": {reason}")?,
            Event::FenceLifted { end, stood, .. } => {
                write!(f, ": {end}, after {} ms", stood.as_millis())?;
            }
            Event::Confirmed { generation, master, commands, .. } => {
                write!(f, ": generation {generation}: {master}, {commands} commands are safe")?;
            }
            Event::Overruled { generation, master, commands, .. } => {
                write!(f, ": generation {generation}: {master}, {commands} commands may be lost")?;
            }
            Event::MajorityLost { heard, of, .. } | Event::MajorityRegained { heard, of, .. } => {
                write!(f, ": {heard} of {of} sentinels are heard")?;
            }
            Event::SentinelUp { sentinel, .. }
            | Event::SentinelFound { sentinel, .. }
            | Event::SentinelForgotten { sentinel, .. } => write!(f, ": {sentinel}")?,
            Event::SentinelDown { sentinel, reason, .. } => {
                write!(f, ": {sentinel}: {}", OneLine(reason))?;
            }
            Event::NodeDown { node, .. }
            | Event::NodeUp { node, .. }
            | Event::NodeRestarted { node, .. }
            | Event::ReplicaJoined { node, .. } => write!(f, ": {node}")?,
            Event::FailoverStarted { .. }
            | Event::ServiceRemoved { .. }
            | Event::ServiceMonitored { .. } => {}
            Event::FailoverAborted { reason, .. } => write!(f, ": {}", OneLine(reason))?,
            Event::Disagreement { named, .. } => {
                for (index, (address, sentinels)) in named.iter().enumerate() {
                    let lead = if index == 0 { ": " } else { ", " };
                    write!(f, "{lead}{address} is named by {sentinels}")?;
                }
            }
            Event::NotVerified { address, reason, .. } => {
                write!(f, ": {address}: {}", OneLine(reason))?;
            }
            Event::Malformed { channel, reason, .. } => {
                write!(f, ": {}: {}", OneLine(channel), OneLine(reason))?;
            }
            Event::Leaked { place, out, .. } => {
                write!(f, ": the handle taken at {place} has been out for {out:.1?}")?;
            }
            Event::Missed { count, .. } => write!(f, ": {count} events")?,
        }
        write!(f, " [{}]", self.source())
    }
}

struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                fmt::Write::write_char(f, c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_says_who_told_it() {
        let sentinel: Address = "10.0.0.1:26379".parse().unwrap();
        let event = Event::SentinelDown {
            at: Instant::now(),
            source: Source::Factory,
            sentinel: sentinel.clone(),
            reason: "reset\r\nby peer".to_owned(),
        };
        assert_eq!(event.to_string(), r"sentinel-down: 10.0.0.1:26379: reset\r\nby peer [factory]");
        let event = Event::Switched {
            at: Instant::now(),
            source: Source::Sentinel(sentinel.clone()),
            generation: 2,
            from: Some("a:1".parse().unwrap()),
            to: "b:2".parse().unwrap(),
            epoch: Some(7),
            evidence: Evidence::Confirmation { sentinel },
        };
        assert_eq!(
            event.to_string(),
            "switched: generation 2: a:1 -> b:2, epoch 7 (confirmed by 10.0.0.1:26379) \
             [sentinel 10.0.0.1:26379]"
        );
    }
}
