//! `switchmaster failover`: a planned failover that loses nothing, whatever the clients are made of.
//!
//! Sentinel's own way leaves the old master writable until it is demoted some seconds later, and what it
//! acknowledges in between is lost. Here writes are paused on it first ([`pause`]), the replicas catch up,
//! a sentinel is ordered to fail over, and once the sentinels name the new master the old one is made its
//! replica before writes are let go ([`course`]).

mod account;
mod claim;
mod course;
mod demotion;
mod line;
mod outcome;
mod pause;
mod phases;
mod progress;
mod promotion;
mod replica;
mod rights;
mod scene;
mod selection;
mod voice;
mod window;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

use clap::Args;

use self::{course::Course, phases::Phases, scene::Scene};
use crate::{deployment::Deployment, failure::Failure, stop, target::Target, time::duration};

/// Replace a master that is well, without losing a write.
///
/// Writes wait on the old master (CLIENT PAUSE) from just before the failover until the sentinels name
/// the new one, usually for half a second; then the old master is a replica, and its clients are
/// disconnected. If anything fails before a replica is promoted, or this command is killed before then,
/// writes go on where they were, after --max-pause at the latest. If it is killed between the promotion
/// and the demotion, the old master acknowledges writes again when the pause ends, and these are lost
/// when the sentinels demote it, some ten seconds later.
///
/// Exit codes: 0 success; 1 failure, and the master is as before; 2 usage error; 3 there is a new master
/// and a later step failed, or the failover was ordered and its result is unknown.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster failover --url redis+sentinel://10.0.0.1/mymaster --dry-run\n  \
    switchmaster failover --url redis+sentinel://10.0.0.1/mymaster --yes")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Look whether it can be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before it is done.
    #[arg(long)]
    yes: bool,
    /// Only order the failover (SENTINEL FAILOVER), as without this command: what the old master
    /// acknowledges until it is demoted is lost.
    #[arg(long, conflicts_with_all = ["coordinated", "max_pause", "now"])]
    plain: bool,
    /// Have the master itself hand over (SENTINEL FAILOVER … COORDINATED, Valkey 9 on).
    #[arg(long, conflicts_with_all = ["max_pause", "now"])]
    coordinated: bool,
    /// How long writes may be paused at most. [default: 5s, or four fifths of
    /// down-after-milliseconds if that is less]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    max_pause: Option<Duration>,
    /// Do not wait for the moment in which the sentinels notice the promotion soonest, which comes
    /// within 10 s and makes the pause shorter by most of a second.
    #[arg(long)]
    now: bool,
    /// Proceed although the master does not report whether its user has all required permissions.
    #[arg(long, conflicts_with_all = ["plain", "coordinated"])]
    trust_rights: bool,
    /// How long to follow what happens after the order.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    timeout: Duration,
    /// Print one JSON document at the end.
    #[arg(long)]
    json: bool,
}

/// The exit code when there is a new master and something else is wrong.
const UNSETTLED: u8 = 3;

/// How the old master is kept from acknowledging what will be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Its writes are paused by this command.
    Paused,
    /// Not at all.
    Plain,
    /// It pauses them by itself.
    Coordinated,
}

impl Manner {
    fn as_str(self) -> &'static str {
        match self {
            Manner::Paused => "paused",
            Manner::Plain => "plain",
            Manner::Coordinated => "coordinated",
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let deployment = Deployment::of(&arguments.target.url)?;
    let mut phases = Phases::begin(arguments.json);
    phases.enter("checks", "looking at the deployment");
    let mut scene = Scene::look(deployment.dialer())?;
    let manner = match (arguments.plain, arguments.coordinated) {
        (true, _) => Manner::Plain,
        (_, true) => Manner::Coordinated,
        _ => Manner::Paused,
    };
    scene.check(manner, arguments.trust_rights)?;
    let max_pause = match manner {
        Manner::Paused => max_pause(arguments.max_pause, scene.down_after)?,
        Manner::Plain | Manner::Coordinated => Duration::ZERO,
    };
    if arguments.dry_run {
        phases.finish();
        return phases.print(&scene.to_json(manner), &scene.to_string());
    }
    if !arguments.yes {
        ask(&scene)?;
    }
    // Until here nothing was done, so that a signal may end it as it ends anything.
    let stop = stop::requested(false)?;
    let course = Course { scene, manner, max_pause, timeout: arguments.timeout, stop };
    let outcome = course.run(&mut phases, arguments.now)?;
    phases.finish();
    let printed = phases.print(&outcome.to_json(), &outcome.to_string());
    outcome.verdict()?;
    // The master is another one, whether that can be printed or not.
    printed.map_err(|failure| failure.with_code(UNSETTLED))
}

/// Sentinels whose own PUBLISH is paused on the master do not hear its PONG, so they take it for down if
/// the pause is longer than `down_after`.
fn max_pause(wanted: Option<Duration>, down_after: Duration) -> Result<Duration, Failure> {
    const USUAL: Duration = Duration::from_secs(5);
    // The promotion takes up to 230 ms, and the demotion has to come before the end.
    const LEAST: Duration = Duration::from_millis(400);
    let usual = USUAL.min(down_after * 4 / 5);
    match wanted {
        None if usual < LEAST => Err(Failure::new(format!(
            "nothing was done, for no pause is short enough for down-after-milliseconds of \
             {down_after:?} and long enough for a failover; set it to 500 or more"
        ))),
        None => Ok(usual),
        Some(wanted) if wanted >= down_after => Err(Failure::usage(format!(
            "--max-pause {wanted:?}: the sentinels take a master for down that is silent to them for \
             {down_after:?} (down-after-milliseconds); choose less"
        ))),
        Some(wanted) if wanted < LEAST => Err(Failure::usage(format!(
            "--max-pause {wanted:?}: a failover takes up to {LEAST:?}; choose more"
        ))),
        Some(wanted) => Ok(wanted),
    }
}

fn ask(scene: &Scene) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    if !input.is_terminal() {
        return Err(Failure::usage(format!(
            "this would replace the master {} of {:?}; say --yes when nobody can be asked",
            scene.master, scene.service
        )));
    }
    let mut output = io::stderr().lock();
    write!(output, "{scene}Replace the master {}? Type yes to go on: ", scene.master)?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err(Failure::new("nothing was done, since the answer was not \"yes\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_stays_below_what_sentinels_take_for_silence() {
        let s = Duration::from_secs;
        assert_eq!(max_pause(None, s(30)).unwrap(), s(5));
        assert_eq!(max_pause(None, s(2)).unwrap(), Duration::from_millis(1600));
        assert_eq!(max_pause(Some(s(20)), s(30)).unwrap(), s(20));
        for (wanted, named) in [(s(30), "30s"), (Duration::from_millis(300), "300ms")] {
            let error = max_pause(Some(wanted), s(30)).unwrap_err();
            assert!(error.to_string().contains(named) && error.code() == 2, "{error}");
        }
        let error = max_pause(None, Duration::from_millis(400)).unwrap_err();
        assert!(error.to_string().contains("400ms") && error.code() == 1, "{error}");
    }
}
