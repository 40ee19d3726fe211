//! What events are called.

use super::Event;

/// From one list, so that each name is in it once.
macro_rules! named {
    ($($event:ident => $name:literal),+ $(,)?) => {
        impl Event {
            /// The names of all events, as [`name`](Event::name) gives them. Later versions may know
            /// more.
            pub const NAMES: &[&str] = &[$($name),+];

            /// A short stable name, as used in reports and in other languages: `switched`,
            /// `sentinel-up` …
            pub fn name(&self) -> &'static str {
                match self {
                    $(Event::$event { .. } => $name),+
                }
            }
        }
    };
}

named! {
    Switched => "switched",
    Chosen => "chosen",
    Promoted => "promoted",
    NotProven => "not-proven",
    FenceRaised => "fence-raised",
    FenceLifted => "fence-lifted",
    Confirmed => "confirmed",
    Overruled => "overruled",
    MajorityLost => "majority-lost",
    MajorityRegained => "majority-regained",
    SentinelUp => "sentinel-up",
    SentinelDown => "sentinel-down",
    SentinelFound => "sentinel-found",
    SentinelForgotten => "sentinel-forgotten",
    NodeDown => "node-down",
    NodeUp => "node-up",
    NodeRestarted => "node-restarted",
    ReplicaJoined => "replica-joined",
    ReplicaLeft => "replica-left",
    FailoverStarted => "failover-started",
    FailoverAborted => "failover-aborted",
    ServiceRemoved => "service-removed",
    ServiceMonitored => "service-monitored",
    Disagreement => "disagreement",
    NotVerified => "not-verified",
    Malformed => "malformed",
    Leaked => "leaked",
    Missed => "missed",
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Instant};

    use crate::event::{Event, Source};

    #[test]
    fn every_name_is_another_one_and_fits_a_command_line() {
        let different: HashSet<&str> = Event::NAMES.iter().copied().collect();
        assert_eq!(different.len(), Event::NAMES.len());
        let fits = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        assert!(Event::NAMES.iter().all(fits), "{:?}", Event::NAMES);
        let event = Event::Missed { at: Instant::now(), source: Source::Factory, count: 1 };
        assert!(Event::NAMES.contains(&event.name()));
    }
}
