//! What a factory would do about what was recorded, for the command `switchmaster` and for the test of
//! `tests/recordings`: [`replay`].

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    config::Config,
    options,
    policy::SwitchOn,
    topology::{Action, Input, Machine, read_inputs, read_millis, restored, shown},
};

const HEADER: &str = "# switchmaster recording ";
const VERSION: &str = "1";

/// What a header may say beside the settings.
const REMARKS: [&str; 4] = ["about", "expect", "server", "began"];

/// A recording, replayed.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The service that it is about.
    pub service: String,
    /// What it took to switch in the replay.
    pub switch_on: SwitchOn,
    /// Whether that was so in the recording.
    pub as_recorded: bool,
    /// Every input, with what was done about it.
    pub steps: Vec<Step>,
}

/// An input, and what was done about it, then and now.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The line of the recording; 0 where time alone passed.
    pub line: usize,
    /// How long after the first input.
    pub at: Duration,
    /// The input as it is written, without its time.
    pub input: String,
    /// What was recorded to have been done.
    pub recorded: Vec<String>,
    /// What is done in the replay.
    pub replayed: Vec<String>,
    /// Those of the above that tell of a decision.
    pub decisions: Vec<String>,
}

/// Replays a recording, perhaps with another rule for when to switch. The answers are those that were
/// recorded: what another rule would have asked for in addition stays unanswered.
///
/// # Errors
/// The line at fault and what is wrong with it.
pub fn replay(text: &str, switch_on: Option<SwitchOn>) -> Result<Replay, String> {
    play(text, switch_on, &mut |_| ())
}

/// As [`replay`]; shows each action as it is taken.
pub(crate) fn play(
    text: &str,
    switch_on: Option<SwitchOn>,
    taken: &mut dyn FnMut(&Action),
) -> Result<Replay, String> {
    let mut lines = (1..).zip(text.lines());
    let mut header = Header::read(&mut lines)?;
    let recorded_on = header.config.switch_on;
    header.config.switch_on = switch_on.unwrap_or(recorded_on);
    let as_recorded = header.config.switch_on == recorded_on;
    let mut player = Player {
        machine: Machine::new(header.config.rules()),
        zero: Instant::now(),
        answers: HashMap::new(),
        steps: Vec::new(),
        ticks: !as_recorded,
        taken,
    };
    for (number, line) in header.first.into_iter().chain(lines) {
        player.take(number, line).map_err(|fault| format!("line {number}: {fault}"))?;
    }
    if player.steps.is_empty() {
        return Err("it ends before the first input: nothing was recorded".to_owned());
    }
    Ok(Replay {
        service: header.config.service,
        switch_on: header.config.switch_on,
        as_recorded,
        steps: player.steps,
    })
}

struct Header<'a> {
    config: Config,
    /// The line behind it.
    first: Option<(usize, &'a str)>,
}

impl<'a> Header<'a> {
    fn read(lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Result<Header<'a>, String> {
        let first = lines.next().map_or("", |(_, line)| line);
        match first.strip_prefix(HEADER) {
            Some(VERSION) => {}
            Some(version) => {
                return Err(format!(
                    "line 1: a recording of version {version:?}; this switchmaster reads version \
                     {VERSION}: take the one that recorded it"
                ));
            }
            None => {
                return Err(format!(
                    "line 1: no recording: it begins with \"{HEADER}{VERSION}\", as `switchmaster \
                     watch --record` writes it"
                ));
            }
        }
        let mut config = Config::unset();
        for (number, line) in lines {
            let Some(setting) = line.strip_prefix("# ") else {
                return Ok(Header { config, first: Some((number, line)) });
            };
            set(&mut config, setting).map_err(|fault| format!("line {number}: {fault}"))?;
        }
        Ok(Header { config, first: None })
    }
}

fn set(config: &mut Config, line: &str) -> Result<(), String> {
    match line.split_once('=') {
        Some((name, _)) if REMARKS.contains(&name) => Ok(()),
        Some((name, value)) => options::set(config, name, value),
        None => Err(incomplete(line)),
    }
}

fn incomplete(line: &str) -> String {
    format!(
        "{line:?}: lines are missing, and without them it cannot be replayed; record again, where \
         the disk is faster"
    )
}

struct Player<'a> {
    machine: Machine,
    zero: Instant,
    /// The last answer of each sentinel: most are written as what differs from it.
    answers: HashMap<String, String>,
    steps: Vec<Step>,
    /// Whether the machine is woken when it asks for it: by another rule at other times.
    ticks: bool,
    taken: &'a mut dyn FnMut(&Action),
}

impl Player<'_> {
    fn take(&mut self, number: usize, line: &str) -> Result<(), String> {
        if let Some(action) = line.strip_prefix("> ") {
            let step = self.steps.iter_mut().rfind(|step| step.line > 0);
            let step = step.ok_or("an action before the first input")?;
            step.recorded.push(action.to_owned());
            return Ok(());
        }
        if let Some(remark) = line.strip_prefix("# ") {
            return Err(incomplete(remark));
        }
        let (at, text) = line.split_once(' ').ok_or_else(|| format!("{line:?} has no time"))?;
        let at = read_millis(at)?;
        if self.steps.last().is_some_and(|last| at < last.at) {
            return Err(format!("{line:?} is from before the line that precedes it"));
        }
        let now = self.zero.checked_add(at).ok_or_else(|| format!("{line:?}: no possible time"))?;
        let input = self.read(text)?;
        self.wake_until(now);
        self.step(number, now, input, text);
        Ok(())
    }

    fn read(&mut self, line: &str) -> Result<Input, String> {
        let answer = line.strip_prefix("answer ").and_then(|rest| rest.split_once(": "));
        let inputs = match answer {
            Some((sentinel, answer)) => {
                let answer = restored(self.answers.get(sentinel).map(String::as_str), answer)?;
                let text = format!("answer {sentinel}: {answer}");
                self.answers.insert(sentinel.to_owned(), answer);
                read_inputs(&text)?
            }
            None => read_inputs(line)?,
        };
        let [input] = <[Input; 1]>::try_from(inputs)
            .map_err(|inputs| format!("{line:?} is {} inputs, not one", inputs.len()))?;
        Ok(input)
    }

    fn wake_until(&mut self, now: Instant) {
        let mut last = None;
        while self.ticks
            && let Some(wake) = self.machine.next_wake()
            && wake < now
            && last < Some(wake)
            && self.steps.last().is_some_and(|step| self.zero + step.at <= wake)
        {
            self.step(0, wake, Input::Tick, "tick");
            last = Some(wake);
        }
    }

    fn step(&mut self, line: usize, now: Instant, input: Input, text: &str) {
        let actions = self.machine.handle(now, input);
        actions.iter().for_each(&mut self.taken);
        let decided: Vec<Action> =
            actions.iter().filter(|action| is_decision(action)).cloned().collect();
        self.steps.push(Step {
            line,
            at: now.saturating_duration_since(self.zero),
            input: text.to_owned(),
            recorded: Vec::new(),
            replayed: shown(&actions),
            decisions: shown(&decided),
        });
    }
}

/// Whether it is more than a question or a link.
fn is_decision(action: &Action) -> bool {
    matches!(
        action,
        Action::Switch { .. }
            | Action::AcceptHistory { .. }
            | Action::Fence { .. }
            | Action::Unfence
            | Action::Doubt { .. }
            | Action::Trust { .. }
            | Action::Report(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = include_str!("../tests/recordings/kill.txt");

    fn switches(replay: &Replay) -> Vec<&String> {
        let decisions = replay.steps.iter().flat_map(|step| &step.decisions);
        decisions.filter(|line| line.starts_with("switch ")).collect()
    }

    #[test]
    fn what_is_replayed_is_what_was_done() {
        let replay = replay(RECORDED, None).unwrap();
        assert!(replay.steps.iter().all(|step| step.recorded == step.replayed));
        assert_eq!(switches(&replay).len(), 2);
    }

    #[test]
    fn another_rule_switches_later() {
        let when = |switch_on| {
            let replay = replay(RECORDED, switch_on).unwrap();
            let second = |step: &&Step| step.decisions.iter().any(|it| it.starts_with("switch 2"));
            replay.steps.iter().find(second).map(|step| step.at).expect("a second master")
        };
        assert!(when(Some(SwitchOn::Announcement)) > when(None));
    }

    #[test]
    fn a_fault_is_named_by_its_line() {
        let cases = [
            ("", "line 1: no recording"),
            ("# switchmaster recording 2\n", "line 1: a recording of version \"2\""),
            ("# switchmaster recording 1\n# fence=perhaps\n", "line 2: fence="),
            ("# switchmaster recording 1\n# began=x\n", "ends before"),
            ("# switchmaster recording 1\n# lost 3 lines\n", "line 2: \"lost 3 lines\""),
            ("# switchmaster recording 1\n> unfence\n", "line 2: an action"),
            ("# switchmaster recording 1\n0.0 start a:1\n1.0 frobnicate\n", "line 3: "),
            ("# switchmaster recording 1\n5.0 start a:1\n1.0 tick\n", "line 3: "),
            ("# switchmaster recording 1\n0.0 start a:1\n1.0 answer a:1: as before\n", "line 3: "),
            ("# switchmaster recording 1\nhalf\n", "line 2: "),
        ];
        for (text, named) in cases {
            let fault = replay(text, None).unwrap_err();
            assert!(fault.contains(named), "{named} in {fault}");
        }
    }
}
