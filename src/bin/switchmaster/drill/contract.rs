//! What the library promises of a failover: [`CONTRACT`].
//!
//! One run is judged here, on a machine that may be busy with other things. So the bounds are some
//! ten times what is aimed at; whether that is reached, several runs show (see `target`).

use super::{arguments::SwitchOn, delay::STUCK, fault::Fault, report::Report};

/// The first acknowledged write comes at most this long after the promotion.
const FIRST_WRITE: f64 = 250.0;
/// Every writer has had a write acknowledged this long after the promotion.
const ALL_WRITERS: f64 = 300.0;
/// Where the sentinels' word is waited for, the first acknowledged write comes at most this long
/// after their first announcement.
const FIRST_WRITE_ANNOUNCED: f64 = 100.0;
/// Where nobody could hear that the master would be replaced, the writes that are lost were
/// acknowledged within this time.
const LOST_OVER: f64 = 50.0;

/// One promise.
struct Check {
    holds_for: fn(&Report) -> bool,
    /// How it is broken, if it is.
    breach: fn(&Report) -> Option<String>,
}

const CONTRACT: &[Check] = &[
    Check { holds_for: |_| true, breach: followed },
    Check { holds_for: has_to_hurry, breach: first_write },
    Check { holds_for: sees_the_promotion, breach: all_writers },
    Check { holds_for: has_to_hurry, breach: nobody_stuck },
    Check { holds_for: may_trust_the_old_master, breach: an_error_per_thread },
    Check { holds_for: is_fenced, breach: no_errors },
    Check { holds_for: is_fenced, breach: nothing_lost },
    Check { holds_for: |_| true, breach: fresh },
];

/// One line for each broken promise.
pub(crate) fn broken(report: &Report) -> Vec<String> {
    let checks = CONTRACT.iter().filter(|check| (check.holds_for)(report));
    checks
        .filter_map(|check| (check.breach)(report))
        .map(|breach| format!("{}: {breach}", report.fault))
        .collect()
}

/// The switch comes at the promotion, and somebody saw when that was.
fn sees_the_promotion(report: &Report) -> bool {
    report.switch_on == SwitchOn::Promotion && report.promotion.is_some()
}

/// Where the old master is well, nobody is kept from working by a switch that waits for a word.
fn has_to_hurry(report: &Report) -> bool {
    !report.fault.is_ordered() || sees_the_promotion(report)
}

/// A master that hands over refuses everything from the promotion on, so whoever waits longer for
/// his switch meets it more than once.
fn may_trust_the_old_master(report: &Report) -> bool {
    report.fault != Fault::Coordinated || report.switch_on == SwitchOn::Promotion
}

/// Nobody writes to a master that is well and being replaced.
fn is_fenced(report: &Report) -> bool {
    report.fault.is_ordered() && report.switch_on == SwitchOn::Promotion
}

fn followed(report: &Report) -> Option<String> {
    match (report.announcement, report.switch) {
        (None, _) => Some("no sentinel announced a new master in time".to_owned()),
        (_, None) => Some("the factory did not switch in time".to_owned()),
        _ => None,
    }
}

/// What a side waits for, and how long after it the first acknowledged write may come.
fn signal(report: &Report) -> (&'static str, f64) {
    match sees_the_promotion(report) {
        true => ("promotion", FIRST_WRITE),
        false => ("first announcement", FIRST_WRITE_ANNOUNCED),
    }
}

fn first_write(report: &Report) -> Option<String> {
    let (signal, bound) = signal(report);
    let known = report.knowable?;
    match report.first_write {
        None => Some("the new master acknowledged no write".to_owned()),
        Some(first) if first > known + bound => Some(format!(
            "the first acknowledged write came {:.1} ms after the {signal}, and not within \
             {bound} ms",
            first - known
        )),
        Some(_) => None,
    }
}

fn all_writers(report: &Report) -> Option<String> {
    // That there is none at all has been told.
    report.first_write?;
    match report.last_writer {
        None => Some("the new master acknowledged no write of one of the writers".to_owned()),
        Some(last) if last > ALL_WRITERS => Some(format!(
            "the last writer's first acknowledged write came {last:.1} ms after the promotion, and \
             not within {ALL_WRITERS} ms"
        )),
        Some(_) => None,
    }
}

fn nobody_stuck(report: &Report) -> Option<String> {
    let stuck: Vec<String> =
        report.stuck.iter().map(|(name, late)| format!("{name} by {late:.0} ms")).collect();
    let (signal, _) = signal(report);
    (!stuck.is_empty())
        .then(|| format!("more than {STUCK} ms after the {signal}, late: {}", stuck.join(", ")))
}

fn an_error_per_thread(report: &Report) -> Option<String> {
    let (errors, threads) = (report.errors.total() + report.errors.woken, report.threads);
    (errors > threads)
        .then(|| format!("{errors} errors are more than one for each of {threads} threads"))
}

fn no_errors(report: &Report) -> Option<String> {
    let errors = report.errors.total();
    (errors > 0).then(|| format!("{errors} errors, though the master was well until the switch"))
}

fn nothing_lost(report: &Report) -> Option<String> {
    let count = report.lost.len();
    let allowed = report.subscribe_denied && report.fault == Fault::Planned;
    if count == 0 || allowed && report.lost_over <= LOST_OVER {
        return None;
    }
    Some(format!(
        "{count} acknowledged writes are lost, those of {:.1} ms, though the master was well until \
         the switch",
        report.lost_over
    ))
}

fn fresh(report: &Report) -> Option<String> {
    let stale = report.stale.as_ref()?;
    Some(format!("a handle led to the wrong server after the switch: {stale}"))
}
