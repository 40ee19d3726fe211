//! [`Stats`] through the `metrics` facade, once a second.
//!
//! Nothing is told at a checkout: a recorder's work would cost more than that. The totals are told as
//! they stand, and of the durations how many more there are of each size.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use metrics::{
    SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use super::{Histogram, Stats};
use crate::{pool::Pool, workers::Workers};

const PAUSE: Duration = Duration::from_secs(1);

type Value = fn(&Stats) -> u64;
type Durations = fn(&Stats) -> &Histogram;

const COUNTERS: [(&str, &str, Value); 17] = [
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
    ("switchmaster_wait_micros_total", "Microseconds of all waits", |s| s.wait_micros),
];

const GAUGES: [(&str, &str, Value); 6] = [
    ("switchmaster_connections", "Connections, idle and in use", |s| s.total.into()),
    ("switchmaster_connections_idle", "Connections that lie idle", |s| s.idle.into()),
    ("switchmaster_connections_active", "Handles that are out", |s| s.in_use.into()),
    ("switchmaster_connections_pending", "Threads that wait for a handle", |s| s.waiting.into()),
    ("switchmaster_connections_max", "Connections there may be", |s| s.max.into()),
    ("switchmaster_connections_min", "Connections that are to lie idle", |s| s.min.into()),
];

const HISTOGRAMS: [(&str, &str, Durations); 2] = [
    ("switchmaster_wait_seconds", "How long threads waited for a handle", |s| &s.waited),
    ("switchmaster_usage_seconds", "How long handles were out", |s| &s.used),
];

/// Tells the pool's stats once a second, under the name of the service, for as long as the pool is
/// open, and once more then.
pub(crate) fn export(service: &str, pool: &Arc<Pool>, workers: &Workers) {
    for (name, what, _) in COUNTERS {
        describe_counter!(name, what);
    }
    for (name, what, _) in GAUGES {
        describe_gauge!(name, what);
    }
    for (name, what, _) in HISTOGRAMS {
        describe_histogram!(name, Unit::Seconds, what);
    }
    let service: SharedString = service.to_owned().into();
    let pool: Weak<Pool> = Arc::downgrade(pool);
    let mut before = Stats::default();
    workers.run_again(PAUSE, move || {
        let pool = pool.upgrade()?;
        let open = pool.check_open().is_ok();
        let now = pool.stats();
        tell(&service, &before, &now);
        before = now;
        open.then_some(PAUSE)
    });
}

fn tell(service: &SharedString, before: &Stats, now: &Stats) {
    for (name, _, value) in COUNTERS {
        counter!(name, "service" => service.clone()).absolute(value(now));
    }
    for (name, _, value) in GAUGES {
        gauge!(name, "service" => service.clone()).set(value(now) as f64);
    }
    for (name, _, durations) in HISTOGRAMS {
        let histogram = histogram!(name, "service" => service.clone());
        let mut least = Duration::ZERO;
        for ((bound, now), (_, before)) in durations(now).buckets().zip(durations(before).buckets())
        {
            // The middle of the bucket stands for what is in it; the last has no end.
            let middle = if bound == Duration::MAX { least } else { (least + bound) / 2 };
            let more = usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX);
            if more > 0 {
                histogram.record_many(middle.as_secs_f64(), more);
            }
            least = bound;
        }
    }
}
