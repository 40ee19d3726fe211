//! Replays `tests/recordings/*.txt`, whose README describes the format.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    address::Address,
    event::{Event, Evidence, FenceReason},
    replay::play,
};

use super::Action;

/// A recording, and what is expected to come out when it is replayed.
struct Recording {
    text: String,
    expect: String,
}

#[test]
fn every_recording() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let bless = std::env::var_os("UPDATE_RECORDINGS").is_some();
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("tests/recordings is there")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    let mut failures = String::new();
    for path in &files {
        let name = path.file_name().unwrap().to_string_lossy();
        let recording = Recording::read(fs::read_to_string(path).unwrap())
            .unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let (replayed, outcome) =
            recording.replay().unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let unmet = outcome.unmet(&recording.expect);
        if !unmet.is_empty() {
            let _ = writeln!(failures, "{name}: expected {}, but {outcome:?}", unmet.join(", "));
        }
        if bless {
            fs::write(path, replayed).unwrap();
        } else if let Some(difference) = difference(&recording.text, &replayed) {
            let _ = writeln!(failures, "{name}: {difference}");
        }
    }
    assert!(
        failures.is_empty(),
        "\n{failures}\nUPDATE_RECORDINGS=1 writes what the machine does now; expectations stay"
    );
    assert!(files.len() >= 20, "only {} recordings in {}", files.len(), directory.display());
}

/// The first line that is another one, with what led to it.
fn difference(recorded: &str, replayed: &str) -> Option<String> {
    let (mut one, mut other) = (recorded.lines(), replayed.lines());
    let mut input = "";
    for number in 1.. {
        match (one.next(), other.next()) {
            (None, None) => break,
            (was, is) if was == is => {
                input = was.filter(|line| !line.starts_with("> ")).unwrap_or(input);
            }
            (was, is) => {
                let [was, is] = [was, is].map(|line| line.unwrap_or("nothing"));
                let input: String = input.chars().take(200).collect();
                return Some(format!("line {number}: after {input}\n    - {was}\n    + {is}"));
            }
        }
    }
    None
}

impl Recording {
    fn read(text: String) -> Result<Recording, String> {
        let mut header = text.lines().map_while(|line| line.strip_prefix("# "));
        match header.find_map(|line| line.strip_prefix("expect=")) {
            Some(expect) => Ok(Recording { expect: expect.to_owned(), text }),
            None => Err("it does not say what is expected (# expect=…)".to_owned()),
        }
    }

    /// The text with the actions as they are now, and what they lead to.
    fn replay(&self) -> Result<(String, Outcome), String> {
        let mut outcome = Outcome::default();
        let replay = play(&self.text, None, &mut |action| outcome.take(action))?;
        let mut steps = replay.steps.iter().peekable();
        let mut text = String::new();
        for (number, line) in (1..).zip(self.text.lines()) {
            if !line.starts_with("> ") {
                let _ = writeln!(text, "{line}");
            }
            if let Some(step) = steps.next_if(|step| step.line == number) {
                for action in &step.replayed {
                    let _ = writeln!(text, "> {action}");
                }
            }
        }
        Ok((text, outcome))
    }
}

/// What a recording came to.
#[derive(Debug, Default)]
struct Outcome {
    generation: u64,
    /// The evidence of each switch but the first.
    switches: Vec<&'static str>,
    /// Why commands had to wait, each time.
    fences: Vec<&'static str>,
    /// Every kind of event that was reported.
    reports: Vec<&'static str>,
    fenced: bool,
    doubtful: bool,
    first: Option<Address>,
    last: Option<Address>,
}

impl Outcome {
    fn take(&mut self, action: &Action) {
        match action {
            Action::Switch { generation, to, evidence, fence, .. } => {
                self.generation = *generation;
                if self.first.is_some() {
                    self.switches.push(evidence_word(evidence));
                }
                self.first.get_or_insert(to.clone());
                self.last = Some(to.clone());
                // A fence that stood for the same reason before goes on.
                let fence = fence.as_ref().map(fence_word);
                let new = |word: &&str| !self.fenced || self.fences.last() != Some(word);
                self.fences.extend(fence.filter(new));
                self.fenced = fence.is_some();
                self.doubtful = false;
            }
            Action::Fence { reason } => {
                self.fenced = true;
                self.fences.push(fence_word(reason));
            }
            Action::Unfence => self.fenced = false,
            Action::Doubt { .. } => self.doubtful = true,
            Action::Trust { .. } => self.doubtful = false,
            Action::Report(Event::Missed { .. }) => {}
            Action::Report(event) => self.reports.push(event.name()),
            _ => {}
        }
    }

    /// The claims that do not hold, of several that are separated by commas.
    fn unmet<'a>(&self, claims: &'a str) -> Vec<&'a str> {
        claims.split(", ").filter(|claim| !self.holds(claim)).collect()
    }

    fn holds(&self, claim: &str) -> bool {
        let (what, words) = claim.split_once(' ').unwrap_or((claim, ""));
        let are = |list: &[&str]| match words {
            "none" => list.is_empty(),
            words => words.split(' ').eq(list.iter().copied()),
        };
        let words_hold = |holds: &dyn Fn(&str) -> bool| words.split(' ').all(holds);
        match what {
            "generation" => words == self.generation.to_string(),
            "switches" => are(&self.switches),
            "fences" => are(&self.fences),
            "reports" => words_hold(&|name| self.reports.contains(&name)),
            "never" => words_hold(&|name| !self.reports.contains(&name)),
            "serves" => match words {
                "the first" => self.last == self.first,
                "another" => self.last != self.first,
                _ => false,
            },
            "ends" => words_hold(&|word| match word {
                "open" => !self.fenced,
                "fenced" => self.fenced,
                "trusted" => !self.doubtful,
                "doubtful" => self.doubtful,
                _ => false,
            }),
            _ => false,
        }
    }
}

fn evidence_word(evidence: &Evidence) -> &'static str {
    match evidence {
        Evidence::Start { .. } => "start",
        Evidence::Promotion { .. } => "promotion",
        Evidence::Ordered { .. } => "ordered",
        Evidence::Confirmation { .. } => "confirmation",
        Evidence::Announcement { .. } => "announcement",
        Evidence::Insistence { .. } => "insistence",
        Evidence::Unnumbered { .. } => "unnumbered",
    }
}

fn fence_word(reason: &FenceReason) -> &'static str {
    match reason {
        FenceReason::Replacing { .. } => "replacing",
        FenceReason::Unconfirmed => "unconfirmed",
        FenceReason::LostMajority => "lost-majority",
        FenceReason::Cut => "cut",
    }
}

#[test]
fn a_claim_that_nobody_understands_is_unmet() {
    let outcome = Outcome { generation: 2, switches: vec!["promotion"], ..Outcome::default() };
    let claims =
        "generation 2, switches promotion, fences none, ends open trusted, serves the first";
    assert_eq!(outcome.unmet(claims), Vec::<&str>::new());
    let claims =
        "generation 3, switches none, fences, ends well, serves tea, reports switched, hope";
    assert_eq!(outcome.unmet(claims), claims.split(", ").collect::<Vec<_>>());
}
