//! `switchmaster replay`: what a factory would do about a recording.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use serde_json::json;
use switchmaster::{
    SwitchOn,
    replay::{Replay, Step, replay},
};

use crate::{
    drill,
    failure::Failure,
    wrap::{WIDTH, wrapped},
};

/// Replay a recording of `watch --record`, and print what is decided and when.
///
/// It needs no server. Without --switch-on the exit code is 1 where anything is done that is not
/// what was recorded. With it, what the other rule would have asked for in addition stays
/// unanswered.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster replay failover.txt\n  \
    switchmaster replay failover.txt --switch-on announcement --json")]
pub(crate) struct Arguments {
    /// The recording.
    pub(crate) file: PathBuf,
    /// What if this were what it takes to switch?
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) switch_on: Option<drill::SwitchOn>,
    /// Print one JSON document instead.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.file.display();
    let text = fs::read_to_string(&arguments.file)
        .map_err(|error| Failure::usage(format!("{file}: {error}; name a recording")))?;
    let replayed = replay(&text, arguments.switch_on.map(SwitchOn::from))
        .map_err(|fault| Failure::new(format!("{file}: {fault}")))?;
    let mut output = io::stdout().lock();
    let others = differences(&replayed);
    match arguments.json {
        true => writeln!(output, "{}", document(&replayed, &others))?,
        false => print(&mut output, &replayed, &others)?,
    }
    match replayed.as_recorded && !others.is_empty() {
        true => Err(Failure::told()),
        false => Ok(()),
    }
}

/// Where something else is done than was recorded.
fn differences(replay: &Replay) -> Vec<&Step> {
    let differs = |step: &&Step| match replay.as_recorded {
        true => step.recorded != step.replayed,
        // By another rule other questions are asked; that is no news.
        false => {
            let decided = |line: &&String| step.decisions.contains(line) || is_decision(line);
            let (then, now) = (step.recorded.iter(), step.replayed.iter());
            !then.filter(decided).eq(now.filter(decided))
        }
    };
    replay.steps.iter().filter(differs).collect()
}

/// Whether a recorded line is more than a question or a link.
fn is_decision(line: &str) -> bool {
    let word = line.split([' ', ':']).next().unwrap_or_default();
    matches!(word, "switch" | "fence" | "unfence" | "doubt" | "trust" | "report")
}

fn millis(step: &Step) -> f64 {
    step.at.as_micros() as f64 / 1000.0
}

fn print(output: &mut impl Write, replay: &Replay, others: &[&Step]) -> io::Result<()> {
    writeln!(output, "{}: switch_on={}", replay.service, rule(replay.switch_on))?;
    let mut count = 0;
    for step in &replay.steps {
        for decision in &step.decisions {
            let mut lead = format!("{:>10.1} ms  ", millis(step));
            for line in wrapped(decision, WIDTH - lead.len()) {
                writeln!(output, "{lead}{line}")?;
                lead = " ".repeat(lead.len());
            }
            count += 1;
        }
    }
    let inputs = replay.steps.iter().filter(|step| step.line > 0).count();
    writeln!(output, "\n{count} decisions about {inputs} inputs")?;
    match (others.len(), replay.as_recorded) {
        (0, _) => writeln!(output, "all as recorded")?,
        (number, true) => writeln!(output, "not what was recorded, at {number} inputs:")?,
        (number, false) => writeln!(output, "decided otherwise, at {number} inputs:")?,
    }
    for step in others {
        match step.line {
            0 => writeln!(output, "\nat {:.1} ms, as time passed", millis(step))?,
            line => {
                let input: String = step.input.chars().take(50).collect();
                writeln!(output, "\nline {line}, {:.1} ms: {input}", millis(step))?;
            }
        }
        let kept = |line: &&String| replay.as_recorded || is_decision(line);
        let lost = step.recorded.iter().filter(|line| !step.replayed.contains(line));
        let new = step.replayed.iter().filter(|line| !step.recorded.contains(line));
        let changes = lost.filter(kept).map(|line| ("  - ", line));
        for (mut lead, line) in changes.chain(new.filter(kept).map(|line| ("  + ", line))) {
            for part in wrapped(line, WIDTH - lead.len()) {
                writeln!(output, "{lead}{part}")?;
                lead = "    ";
            }
        }
    }
    Ok(())
}

fn document(replay: &Replay, others: &[&Step]) -> serde_json::Value {
    let decisions = replay.steps.iter().flat_map(|step| {
        step.decisions.iter().map(|text| json!({ "ms": millis(step), "text": text }))
    });
    let differences = others.iter().map(|step| {
        json!({
            "line": (step.line > 0).then_some(step.line),
            "ms": millis(step),
            "input": step.input,
            "recorded": step.recorded,
            "replayed": step.replayed,
        })
    });
    json!({
        "service": replay.service,
        "switch_on": rule(replay.switch_on),
        "as_recorded": replay.as_recorded,
        "decisions": decisions.collect::<Vec<_>>(),
        "differences": differences.collect::<Vec<_>>(),
    })
}

fn rule(switch_on: SwitchOn) -> &'static str {
    match switch_on {
        SwitchOn::Promotion => "promotion",
        SwitchOn::Confirmation => "confirmation",
        _ => "announcement",
    }
}
