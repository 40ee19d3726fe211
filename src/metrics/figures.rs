//! The names of [`Stats`] in monitoring, and what they mean.

use super::{Histogram, Stats};

/// How a number is taken from them.
pub type Value = fn(&Stats) -> u64;
/// How durations are taken from them.
pub type Durations = fn(&Stats) -> &Histogram;

/// What only grows.
pub const COUNTERS: [(&str, &str, Value); 18] = [
    ("switchmaster_checkouts_total", "Handles given out", |s| s.checkouts),
    ("switchmaster_waits_total", "Handles given out after a wait", |s| s.waits),
    ("switchmaster_timeouts_total", "Waits for a handle that were in vain", |s| s.timeouts),
    ("switchmaster_leaks_total", "Handles that were out for too long", |s| s.leaks),
    ("switchmaster_connections_created_total", "Connections made", |s| s.connections_created),
    ("switchmaster_connections_broken_total", "Connections that broke in use", |s| {
        s.connections_broken
    }),
    ("switchmaster_dial_failures_total", "Dials of a node that failed", |s| s.dial_failures),
    ("switchmaster_switches_total", "Switches to another master", |s| s.switches),
    ("switchmaster_moved_total", "Commands that moved to another connection", |s| s.moved),
    ("switchmaster_errors_not_sent_total", "Commands that failed unsent", |s| s.errors_not_sent),
    ("switchmaster_errors_unknown_total", "Commands that failed and may have run", |s| {
        s.errors_unknown
    }),
    ("switchmaster_fences_total", "How often commands were made to wait", |s| s.fences),
    ("switchmaster_doubtful_commands_total", "Commands on an unconfirmed master", |s| {
        s.doubtful_commands
    }),
    ("switchmaster_overruled_commands_total", "Commands whose writes may be lost", |s| {
        s.overruled_commands
    }),
    ("switchmaster_watch_faults_total", "Faults inside the watch", |s| s.watch_faults),
    ("switchmaster_malformed_messages_total", "Messages that could not be read", |s| {
        s.malformed_messages
    }),
    ("switchmaster_dropped_messages_total", "Messages between whole commands, dropped", |s| {
        s.dropped_messages
    }),
    ("switchmaster_wait_micros_total", "Microseconds of all waits", |s| s.wait_micros),
];

/// What goes up and down.
pub const GAUGES: [(&str, &str, Value); 9] = [
    ("switchmaster_connections", "Connections, idle and in use", |s| s.total.into()),
    ("switchmaster_connections_idle", "Connections that lie idle", |s| s.idle.into()),
    ("switchmaster_connections_active", "Handles that are out", |s| s.in_use.into()),
    ("switchmaster_connections_pending", "Threads that wait for a handle", |s| s.waiting.into()),
    ("switchmaster_connections_max", "Connections there may be", |s| s.max.into()),
    ("switchmaster_connections_min", "Connections that are to lie idle", |s| s.min.into()),
    ("switchmaster_replica_connections", "Connections to replicas", |s| s.replica_total.into()),
    ("switchmaster_replica_connections_idle", "Idle connections to replicas", |s| {
        s.replica_idle.into()
    }),
    ("switchmaster_replica_connections_active", "Handles to replicas", |s| s.replica_in_use.into()),
];

/// Durations, by how long they are.
pub const HISTOGRAMS: [(&str, &str, Durations); 2] = [
    ("switchmaster_wait_seconds", "How long threads waited for a handle", |s| &s.waited),
    ("switchmaster_usage_seconds", "How long handles were out", |s| &s.used),
];
