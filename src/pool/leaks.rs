//! Handles that are out for too long, told with the place where they were taken.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use log::warn;

use super::{Pool, moment::Moment, tally::Overdue};
use crate::{
    broadcast::Broadcast,
    event::{Event, Source},
    workers::Workers,
};

/// How often is looked at the least and at the most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));

impl Pool {
    /// From now on looks for leaks, if that is wished, for as long as the pool is open.
    pub(crate) fn watch_leaks(self: &Arc<Pool>, workers: &Workers, events: &Arc<Broadcast>) {
        let Some(after) = self.settings.leak_after else { return };
        let pause = (after / 4).clamp(PAUSES.0, PAUSES.1);
        let (pool, events): (Weak<Pool>, _) = (Arc::downgrade(self), events.clone());
        workers.run_again(pause, move || {
            let pool = pool.upgrade().filter(|pool| pool.check_open().is_ok())?;
            for overdue in pool.tallies.overdue(Moment::now(), after) {
                pool.report_leak(overdue, &events);
            }
            Some(pause)
        });
    }

    fn report_leak(&self, Overdue { place, out, generation }: Overdue, events: &Broadcast) {
        self.counters.leaks.add(1);
        warn!(
            "the handle taken at {place} has been out for {out:.1?}; give it back, or raise \
             leak_after if it is meant to be kept"
        );
        events.send(&Event::Leaked {
            at: Instant::now(),
            source: Source::Factory,
            place,
            out,
            generation,
        });
    }
}
