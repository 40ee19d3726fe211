//! What the library promises of a failover: [`CONTRACT`].
//!
//! One run is judged here, on a machine that may be busy with other things. So the bounds are some
//! ten times what is aimed at; whether that is reached, several runs show (see `target`).

use super::{arguments::SwitchOn, delay::leeway, fault::Fault, report::Report, turn::Turn};

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
/// While masters that are well are replaced, no writer waits longer than this.
const PAUSE: f64 = 1000.0;
/// What a master acknowledged so shortly before it was killed may not have reached a replica.
const LAST_WORDS: f64 = 50.0;

/// One promise.
struct Check {
    promise: &'static str,
    holds_for: fn(&Report) -> bool,
    breach: Breach,
}

/// How a promise is broken, if it is.
enum Breach {
    OfRun(fn(&Report) -> Option<String>),
    OfEachFailover(fn(&Report, &Turn) -> Option<String>),
}

use Breach::{OfEachFailover, OfRun};

const CONTRACT: &[Check] = &[
    Check {
        promise: "the factory follows the sentinels to the new master",
        holds_for: |_| true,
        breach: OfEachFailover(followed),
    },
    Check {
        promise: "the first write is acknowledged at once",
        holds_for: has_to_hurry,
        breach: OfEachFailover(first_write),
    },
    Check {
        promise: "every writer is through at once",
        holds_for: sees_the_promotion,
        breach: OfEachFailover(all_writers),
    },
    Check { promise: "no thread is stuck", holds_for: has_to_hurry, breach: OfRun(nobody_stuck) },
    Check {
        promise: "at most one error for each thread",
        holds_for: may_trust_the_old_master,
        breach: OfRun(an_error_per_thread),
    },
    Check {
        promise: "commands that are held fail unsent, if they fail",
        holds_for: holds_commands,
        breach: OfRun(held_unsent),
    },
    Check {
        promise: "nothing is done while commands are held",
        holds_for: |_| true,
        breach: OfRun(nothing_through_the_fence),
    },
    Check { promise: "no error", holds_for: is_fenced, breach: OfRun(no_errors) },
    Check { promise: "no writer waits long", holds_for: is_long, breach: OfRun(no_long_pause) },
    Check {
        promise: "no acknowledged write is lost",
        holds_for: loses_nothing,
        breach: OfRun(nothing_lost),
    },
    Check {
        promise: "what may be lost with an unconfirmed master is told",
        holds_for: |report| report.fault == Fault::Leader,
        breach: OfRun(told_of_all),
    },
    Check {
        promise: "one switch for each failover",
        holds_for: switches_once,
        breach: OfRun(one_switch_each),
    },
    Check {
        promise: "every handle leads to the new master",
        holds_for: |_| true,
        breach: OfRun(fresh),
    },
];

/// A promise that holds for a drill, and how it was broken.
pub(crate) struct Verdict {
    pub(crate) promise: &'static str,
    pub(crate) breaches: Vec<String>,
}

/// What became of each promise that holds for this drill.
pub(crate) fn verdicts(report: &Report) -> Vec<Verdict> {
    let checks = CONTRACT.iter().filter(|check| (check.holds_for)(report));
    let verdict = |check: &Check| Verdict {
        promise: check.promise,
        breaches: match check.breach {
            OfRun(breach) => breach(report).into_iter().collect(),
            OfEachFailover(breach) => of_each(report, breach),
        },
    };
    checks.map(verdict).collect()
}

/// One line for each broken promise.
pub(crate) fn broken(report: &Report) -> Vec<String> {
    let breaches = verdicts(report).into_iter().flat_map(|verdict| verdict.breaches);
    breaches.map(|breach| format!("{}: {breach}", report.fault)).collect()
}

fn of_each(report: &Report, breach: fn(&Report, &Turn) -> Option<String>) -> Vec<String> {
    let several = report.turns.len() > 1;
    let numbered = report.turns.iter().zip(1..);
    numbered
        .filter_map(|(turn, number)| {
            let breach = breach(report, turn)?;
            Some(if several { format!("failover {number}: {breach}") } else { breach })
        })
        .collect()
}

/// The switch comes at the promotion, and somebody saw when that was.
fn sees_the_promotion(report: &Report) -> bool {
    let heard = report.fault != Fault::Partition && !report.fault.waits_for_word();
    heard && report.switch_on == SwitchOn::Promotion && report.sees_promotions()
}

/// Where the old master is well, nobody is kept from working by a switch that waits for a word.
fn has_to_hurry(report: &Report) -> bool {
    !report.fault.is_ordered() || sees_the_promotion(report)
}

/// A master that hands over refuses everything from the promotion on, so whoever waits longer for
/// his switch meets it more than once.
fn may_trust_the_old_master(report: &Report) -> bool {
    !holds_commands(report)
        && (report.fault != Fault::Coordinated || report.switch_on == SwitchOn::Promotion)
}

/// Commands may be held for longer than their time.
fn holds_commands(report: &Report) -> bool {
    matches!(report.fault, Fault::Partition | Fault::Leader)
}

/// Nobody writes to a master that is well and being replaced.
fn is_fenced(report: &Report) -> bool {
    report.fault.is_ordered() && report.switch_on == SwitchOn::Promotion
}

/// Something is done to servers again and again, and everyone goes on all the while.
fn is_long(report: &Report) -> bool {
    is_fenced(report) && matches!(report.fault, Fault::Flap | Fault::Rolling)
}

/// A factory that is shut in with its master stops to use it before it can be replaced.
fn loses_nothing(report: &Report) -> bool {
    is_fenced(report) || report.fault == Fault::Partition
}

/// A sentinel that leads may be lost, and another may promote another replica.
fn switches_once(report: &Report) -> bool {
    report.fault != Fault::Leader
}

fn followed(_: &Report, turn: &Turn) -> Option<String> {
    match (turn.announcement, turn.switch) {
        (None, _) => Some("no sentinel announced a new master in time".to_owned()),
        (_, None) => Some("the factory did not switch in time".to_owned()),
        _ => None,
    }
}

/// What a side waits for, and how long after it the first acknowledged write may come.
fn signal(report: &Report) -> (&'static str, f64) {
    match report.fault {
        Fault::Partition => ("end of the partition", leeway(Fault::Partition)),
        _ if sees_the_promotion(report) => ("promotion", FIRST_WRITE),
        _ => ("first announcement", FIRST_WRITE_ANNOUNCED),
    }
}

fn first_write(report: &Report, turn: &Turn) -> Option<String> {
    let (signal, bound) = signal(report);
    let known = turn.knowable?;
    match turn.first_write {
        None => Some("the new master acknowledged no write".to_owned()),
        Some(first) if first > known + bound => Some(format!(
            "the first acknowledged write came {:.1} ms after the {signal}, and not within \
             {bound} ms",
            first - known
        )),
        Some(_) => None,
    }
}

fn all_writers(_: &Report, turn: &Turn) -> Option<String> {
    // That there is none at all has been told.
    turn.first_write?;
    match turn.last_writer {
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
    let leeway = leeway(report.fault);
    (!stuck.is_empty())
        .then(|| format!("more than {leeway} ms after the {signal}, late: {}", stuck.join(", ")))
}

fn an_error_per_thread(report: &Report) -> Option<String> {
    let (errors, threads) = (report.errors.total() + report.errors.woken, report.threads);
    let failovers = report.turns.len();
    (errors > threads * failovers)
        .then(|| format!("{errors} errors are more than one for each of {threads} threads"))
}

/// What was on its way when the master was lost, and again when the switch came, is unknown.
fn held_unsent(report: &Report) -> Option<String> {
    let (sent, threads) = (report.errors.sent(), report.threads);
    let times = 1 + report.switches;
    (sent > threads * times).then(|| {
        format!(
            "{sent} commands that failed may have run, which are more than {times} for each of \
             {threads} threads"
        )
    })
}

fn nothing_through_the_fence(report: &Report) -> Option<String> {
    let leaks = report.leaks;
    (leaks > 0).then(|| format!("{leaks} operations were begun and done while commands were held"))
}

fn no_errors(report: &Report) -> Option<String> {
    let errors = report.errors.total();
    (errors > 0).then(|| format!("{errors} errors, though the master was well until the switch"))
}

fn no_long_pause(report: &Report) -> Option<String> {
    let pause = report.pause.filter(|pause| *pause > PAUSE)?;
    Some(format!("a writer paused for {pause:.0} ms, which is more than {PAUSE} ms"))
}

fn nothing_lost(report: &Report) -> Option<String> {
    let count = report.lost.len();
    let allowed = report.subscribe_denied && report.fault.is_ordered();
    if count == 0 || allowed && report.lost_over <= LOST_OVER {
        return None;
    }
    let why = match report.fault {
        Fault::Partition => "though commands had to be held before the master was replaced",
        _ => "though the master was well until the switch",
    };
    Some(format!(
        "{count} acknowledged writes are lost, those of {:.1} ms, {why}",
        report.lost_over
    ))
}

/// The factory cannot know which writes are lost, only how many commands ran in doubt.
fn told_of_all(report: &Report) -> Option<String> {
    let struck = report.turns.first().map_or(0.0, |turn| turn.offset + turn.struck);
    let last_words = |at: f64| at >= struck - LAST_WORDS;
    let early = report.lost.iter().filter(|lost| lost.by_first && !last_words(lost.at)).count();
    let late = report.lost.iter().filter(|lost| !lost.by_first).count();
    if early > 0 {
        return Some(format!(
            "{early} writes are lost that were acknowledged more than {LAST_WORDS} ms before the \
             fault"
        ));
    }
    (late as u64 > report.overruled).then(|| {
        format!(
            "{late} writes to the unconfirmed master are lost, and the factory told of {} commands",
            report.overruled
        )
    })
}

fn one_switch_each(report: &Report) -> Option<String> {
    let (switches, failovers) = (report.switches, report.turns.len());
    // That one did not come has been told.
    (switches > failovers)
        .then(|| format!("{switches} switches are more than one for each of {failovers} failovers"))
}

fn fresh(report: &Report) -> Option<String> {
    let stale = report.stale.as_ref()?;
    Some(format!("a handle led to the wrong server after the switch: {stale}"))
}
