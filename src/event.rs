//! What a factory reports: [`Event`], with the [`Source`] that told it and the [`Evidence`] of a switch.

use std::{fmt, time::Instant};

use crate::address::Address;

/// Who told what an [`Event`] reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A sentinel said so, in a reply or in a message it published.
    Sentinel(Address),
    /// A data server said so itself.
    Node(Address),
    /// The factory's own conclusion.
    Factory,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Sentinel(address) => write!(f, "sentinel {address}"),
            Source::Node(address) => write!(f, "node {address}"),
            Source::Factory => f.write_str("factory"),
        }
    }
}

/// What proved that an address is the master of the service. Whatever proved it, the address also
/// said of itself, in reply to `ROLE`, that it is a master.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The first master of this factory: so many of the known sentinels named it, with the highest
    /// configuration epoch heard.
    #[non_exhaustive]
    Start {
        /// How many sentinels named it.
        sentinels: usize,
        /// How many sentinels are known.
        of: usize,
    },
    /// One sentinel named it with a higher configuration epoch than the master before.
    #[non_exhaustive]
    Confirmation {
        /// The sentinel that was first.
        sentinel: Address,
    },
    /// A majority of the known sentinels named it, with an epoch that is not lower.
    #[non_exhaustive]
    Announcement {
        /// How many sentinels named it.
        sentinels: usize,
        /// How many sentinels are known.
        of: usize,
    },
    /// A majority of the known sentinels named it for some seconds, though its epoch is lower (the
    /// service was removed and is monitored anew), or though it was just left at the same epoch.
    #[non_exhaustive]
    Insistence {
        /// How many sentinels named it.
        sentinels: usize,
        /// How many sentinels are known.
        of: usize,
    },
    /// One sentinel that may not tell its epochs (its ACL allows no `SENTINEL MASTER`) named it
    /// while the master before was in trouble.
    #[non_exhaustive]
    Unnumbered {
        /// The sentinel that named it.
        sentinel: Address,
    },
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Start { sentinels, of } => write!(f, "start, {sentinels} of {of} sentinels"),
            Evidence::Confirmation { sentinel } => write!(f, "confirmed by {sentinel}"),
            Evidence::Announcement { sentinels, of } => {
                write!(f, "announced by {sentinels} of {of} sentinels")
            }
            Evidence::Insistence { sentinels, of } => {
                write!(f, "insisted on by {sentinels} of {of} sentinels")
            }
            Evidence::Unnumbered { sentinel } => {
                write!(f, "named without an epoch by {sentinel} while the master was in trouble")
            }
        }
    }
}

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
            | Event::SentinelUp { $field, .. }
            | Event::SentinelDown { $field, .. }
            | Event::SentinelFound { $field, .. }
            | Event::SentinelForgotten { $field, .. }
            | Event::NodeDown { $field, .. }
            | Event::NodeUp { $field, .. }
            | Event::NodeRestarted { $field, .. }
            | Event::FailoverStarted { $field, .. }
            | Event::FailoverAborted { $field, .. }
            | Event::ServiceRemoved { $field, .. }
            | Event::ServiceMonitored { $field, .. }
            | Event::Disagreement { $field, .. }
            | Event::NotVerified { $field, .. }
            | Event::Malformed { $field, .. }
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

    /// A short stable name, as used in reports and in other languages: `switched`, `sentinel-up` …
    pub fn name(&self) -> &'static str {
        match self {
            Event::Switched { .. } => "switched",
            Event::SentinelUp { .. } => "sentinel-up",
            Event::SentinelDown { .. } => "sentinel-down",
            Event::SentinelFound { .. } => "sentinel-found",
            Event::SentinelForgotten { .. } => "sentinel-forgotten",
            Event::NodeDown { .. } => "node-down",
            Event::NodeUp { .. } => "node-up",
            Event::NodeRestarted { .. } => "node-restarted",
            Event::FailoverStarted { .. } => "failover-started",
            Event::FailoverAborted { .. } => "failover-aborted",
            Event::ServiceRemoved { .. } => "service-removed",
            Event::ServiceMonitored { .. } => "service-monitored",
            Event::Disagreement { .. } => "disagreement",
            Event::NotVerified { .. } => "not-verified",
            Event::Malformed { .. } => "malformed",
            Event::Missed { .. } => "missed",
        }
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
            Event::SentinelUp { sentinel, .. }
            | Event::SentinelFound { sentinel, .. }
            | Event::SentinelForgotten { sentinel, .. } => write!(f, ": {sentinel}")?,
            Event::SentinelDown { sentinel, reason, .. } => {
                write!(f, ": {sentinel}: {}", OneLine(reason))?;
            }
            Event::NodeDown { node, .. }
            | Event::NodeUp { node, .. }
            | Event::NodeRestarted { node, .. } => write!(f, ": {node}")?,
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
