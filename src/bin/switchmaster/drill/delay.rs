//! How long workers were kept from working: [`longest_wait`], [`longest_pause`], [`stuck`].

use std::time::Instant;

use super::{
    arguments::SwitchOn,
    fault::Fault,
    millis::millis,
    operation::{Duty, Track},
    record::{Failover, Record},
};

/// A thread that goes on this much later than it could is stuck.
const STUCK: f64 = 100.0;
/// The same after a partition: whoever was cut off dials and asks the others every quarter of a
/// second, and has to hear most of them.
const STUCK_APART: f64 = 1000.0;

/// How much later than it could a thread may go on.
pub(crate) fn leeway(fault: Fault) -> f64 {
    if fault == Fault::Partition { STUCK_APART } else { STUCK }
}

/// The longest time of a worker without a success, from just before the fault to the end.
pub(crate) fn longest_wait(track: &Track, record: &Record) -> f64 {
    let before = track.done().rev().find(|done| done.ended <= record.began);
    let mut last = before.map_or(record.began, |done| done.ended);
    let mut longest = 0.0_f64;
    let after = track.done().map(|done| done.ended).filter(|ended| *ended > record.began);
    for ended in after.chain([record.stopped]) {
        longest = longest.max(millis(last, ended));
        last = ended;
    }
    longest
}

/// The longest time between two acknowledged writes of one writer that follow each other, from its
/// last one before the fault to the end of the load.
pub(crate) fn longest_pause(record: &Record) -> Option<f64> {
    let writers = record.tracks.iter().filter(|track| track.duty == Duty::Write);
    writers.map(|track| longest_wait(track, record)).reduce(f64::max)
}

/// When a side can know of the new master: at the promotion, or where it waits for the sentinels
/// (and where nobody saw the promotion) at the first announcement; if it was cut off, not before the
/// end of that.
pub(crate) fn knowable(record: &Record, failover: &Failover) -> Option<Instant> {
    let announced = failover.announcement;
    let told = match record.switch_on {
        _ if record.fault.waits_for_word() => announced,
        SwitchOn::Promotion => failover.promotion.or(announced),
        SwitchOn::Confirmation | SwitchOn::Announcement => announced,
    };
    Some(failover.healed.map_or(told?, |healed| healed.max(told.unwrap_or(healed))))
}

/// The workers that went on later than they could have, and how late.
pub(crate) fn stuck(record: &Record) -> Vec<(String, f64)> {
    let late = |track: &Track| {
        let ended = track.operations.iter().map(|done| (done.began, done.ended));
        let running = track.running.map(|began| (began, record.stopped));
        ended
            .chain(running)
            .filter_map(|(began, ended)| {
                // The last failover that it had to do with.
                let mut failovers = record.failovers.iter().rev();
                let failover = failovers.find(|failover| failover.struck <= ended)?;
                let known = knowable(record, failover)?;
                let could = match track.duty {
                    Duty::Block => fed(record, failover, track.index, began)?,
                    _ => began,
                };
                Some(millis(could.max(known), ended))
            })
            .fold(0.0, f64::max)
    };
    let all = record.tracks.iter().map(|track| (track.name(), late(track)));
    all.filter(|(_, ms)| *ms > leeway(record.fault)).collect()
}

/// When, from `began` on, the list of a blocked reader first got something on the new master.
fn fed(record: &Record, failover: &Failover, list: usize, began: Instant) -> Option<Instant> {
    let feeder = record.tracks.iter().find(|track| track.duty == Duty::Feed)?;
    let mut meals = feeder.done().filter(|meal| {
        meal.number == list as u64 && meal.generation > failover.generation && meal.ended >= began
    });
    meals.next().map(|meal| meal.ended)
}
