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

use super::{
    Stats,
    figures::{COUNTERS, GAUGES, HISTOGRAMS},
};
use crate::{pool::Pool, workers::Workers};

const PAUSE: Duration = Duration::from_secs(1);

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
