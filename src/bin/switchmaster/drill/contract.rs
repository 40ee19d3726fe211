//! What the library promises of a failover: [`CONTRACT`].

use super::{
    fault::Fault,
    report::{Report, STUCK},
};

/// The first acknowledged write comes at most this long after the first announcement.
const FIRST_WRITE: f64 = 10.0;

/// One promise.
struct Check {
    holds_for: &'static [Fault],
    /// How it is broken, if it is.
    breach: fn(&Report) -> Option<String>,
}

const CRASHES: &[Fault] = &[Fault::Kill, Fault::Freeze];
const ALL: &[Fault] = &Fault::ALL;

const CONTRACT: &[Check] = &[
    Check { holds_for: ALL, breach: followed },
    Check { holds_for: CRASHES, breach: first_write_by_the_announcement },
    Check { holds_for: CRASHES, breach: nobody_stuck },
    Check { holds_for: ALL, breach: an_error_per_thread },
    Check { holds_for: ALL, breach: fresh },
];

/// One line for each broken promise.
pub(crate) fn broken(report: &Report) -> Vec<String> {
    let checks = CONTRACT.iter().filter(|check| check.holds_for.contains(&report.fault));
    checks
        .filter_map(|check| (check.breach)(report))
        .map(|breach| format!("{}: {breach}", report.fault))
        .collect()
}

fn followed(report: &Report) -> Option<String> {
    match (report.announcement, report.switch) {
        (None, _) => Some("no sentinel announced a new master in time".to_owned()),
        (_, None) => Some("the factory did not switch in time".to_owned()),
        _ => None,
    }
}

fn first_write_by_the_announcement(report: &Report) -> Option<String> {
    let announcement = report.announcement?;
    match report.first_write {
        None => Some("the new master acknowledged no write".to_owned()),
        Some(first) if first > announcement + FIRST_WRITE => Some(format!(
            "the first acknowledged write came {:.1} ms after the first announcement, and not \
             within {FIRST_WRITE} ms",
            first - announcement
        )),
        Some(_) => None,
    }
}

fn nobody_stuck(report: &Report) -> Option<String> {
    let stuck: Vec<String> =
        report.stuck.iter().map(|(name, late)| format!("{name} by {late:.0} ms")).collect();
    (!stuck.is_empty()).then(|| {
        format!("more than {STUCK} ms after the first announcement, late: {}", stuck.join(", "))
    })
}

fn an_error_per_thread(report: &Report) -> Option<String> {
    let (errors, threads) = (report.errors(), report.threads);
    (errors > threads)
        .then(|| format!("{errors} errors are more than one for each of {threads} threads"))
}

fn fresh(report: &Report) -> Option<String> {
    let stale = report.stale.as_ref()?;
    Some(format!("a handle led to the wrong server after the switch: {stale}"))
}
