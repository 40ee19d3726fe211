//! Runs `tests/scenarios/*.toml`, whose README describes the format.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::policy::OnLostMajority;

use super::{
    Action, Machine, NodeRole, Rules, SwitchOn,
    roster::{Link, Said, Sentinel},
    shorthand::{duration, inputs, shortened, shown_shortened},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    about: String,
    switch_on: Option<String>,
    service: Option<String>,
    confirm_within: Option<String>,
    fence: Option<bool>,
    fence_timeout: Option<String>,
    on_lost_majority: Option<String>,
    max_lag: Option<String>,
    given: Option<String>,
    phase: Vec<Phase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Phase {
    at: String,
    why: Option<String>,
    inputs: Vec<String>,
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    state: State,
}

#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    stage: String,
    voters: String,
    nodes: String,
    trouble: String,
    wake: String,
    /// Why commands wait.
    fence: Option<String>,
    /// `unconfirmed`, `majority lost`.
    doubt: Option<String>,
    error: Option<String>,
}

/// Three sentinels that know each other name n1 at epoch 1, with replicas n2 and n3.
const CALM: [&str; 9] = [
    "start s1 s2 s3",
    "up s1 s2 s3",
    "answer s1: n1@1 id=r1 replicas=n2(id=r2),n3(id=r3) sentinels=s2(id=id2),s3(id=id3)",
    "answer s2: n1@1 id=r1 replicas=n2(id=r2),n3(id=r3) sentinels=s1(id=id1),s3(id=id3)",
    "answer s3: n1@1 id=r1 replicas=n2(id=r2),n3(id=r3) sentinels=s1(id=id1),s2(id=id2)",
    "verified n1: master id=r1 replid=h1",
    "node n1: master id=r1 replid=h1",
    "node n2: replica of=n1 id=r2 replid=h1",
    "node n3: replica of=n1 id=r3 replid=h1",
];

#[test]
fn every_scenario() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let bless = std::env::var_os("UPDATE_SCENARIOS").is_some();
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("tests/scenarios is there")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    let mut failures = String::new();
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let mut scenario: Scenario =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let differences = run(&mut scenario);
        if bless {
            fs::write(path, scenario.to_toml()).unwrap();
        } else if !differences.is_empty() {
            let _ = writeln!(failures, "{name}: {}\n{differences}", scenario.about);
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(files.len() >= 310, "only {} scenarios in {}", files.len(), directory.display());
}

/// Runs a scenario, leaves in it what came out, and returns how that differs from what was expected.
fn run(scenario: &mut Scenario) -> String {
    let mut machine = Machine::new(scenario.rules());
    let zero = Instant::now();
    let mut last = Duration::ZERO;
    match scenario.given.as_deref() {
        None => {}
        Some("calm") => {
            for line in CALM {
                feed(&mut machine, zero, line);
            }
            let settled = zero + Duration::from_millis(250);
            for line in ["tick", "answer s1 s2 s3: n1@1 id=r1"] {
                feed(&mut machine, settled, line);
            }
            last = settled - zero;
        }
        Some(other) => panic!("{other:?} is not given"),
    }
    let mut differences = String::new();
    for phase in &mut scenario.phase {
        let at = duration(&phase.at);
        assert!(at >= last, "{} goes back in time", phase.at);
        last = at;
        let now = zero + at;
        let mut actions = Vec::new();
        for line in &phase.inputs {
            actions.extend(feed(&mut machine, now, line));
        }
        let actions = shown_shortened(&actions);
        let state = state(&machine, now);
        if actions != phase.actions {
            let _ = writeln!(differences, "  at {}: actions", phase.at);
            difference(&mut differences, &phase.actions, &actions);
        }
        if state != phase.state {
            let _ = writeln!(differences, "  at {}: state", phase.at);
            difference(&mut differences, &phase.state.lines(), &state.lines());
        }
        phase.actions = actions;
        phase.state = state;
    }
    differences
}

fn difference(out: &mut String, expected: &[String], got: &[String]) {
    for line in expected.iter().filter(|line| !got.contains(line)) {
        let _ = writeln!(out, "    - {line}");
    }
    for line in got.iter().filter(|line| !expected.contains(line)) {
        let _ = writeln!(out, "    + {line}");
    }
    if expected.len() == got.len() && got.iter().all(|line| expected.contains(line)) {
        let _ = writeln!(out, "    the order differs: {got:?}");
    }
}

fn feed(machine: &mut Machine, now: Instant, line: &str) -> Vec<Action> {
    let mut actions = Vec::new();
    for input in inputs(line) {
        actions.extend(machine.handle(now, input));
        let wake = machine.next_wake().expect("a machine that started wakes again");
        assert!(wake > now, "{line:?} leaves a wake-up that is due");
        assert!(wake <= now + machine.rules.calm_poll, "{line:?} lets the machine oversleep");
    }
    actions
}

fn state(machine: &Machine, now: Instant) -> State {
    let topology = machine.topology();
    let serving = topology.master.as_ref().map(|master| {
        let epoch = topology.epoch.map_or("?".to_owned(), |epoch| epoch.to_string());
        format!("serving {master}@{epoch}, generation {}", topology.generation)
    });
    let verifying = topology.candidate.as_ref().map(|candidate| format!("verifying {candidate}"));
    let stage: Vec<String> = serving.into_iter().chain(verifying).collect();
    let nodes: Vec<String> = topology
        .nodes
        .iter()
        .map(|node| {
            let role = if node.role == NodeRole::Master { "master" } else { "replica" };
            let down = if node.down { " down" } else { "" };
            format!("{} {role}{down}", node.address)
        })
        .collect();
    let members = machine.roster.members();
    let voters: Vec<String> = members.iter().map(|member| voter(member)).collect();
    let wake = machine.next_wake().unwrap() - now;
    let text = |list: &[String], none: &str| match list {
        [] => none.to_owned(),
        list => shortened(&list.join(", ")),
    };
    State {
        stage: text(&stage, "no master"),
        voters: text(&voters, "none"),
        nodes: text(&nodes, "none"),
        trouble: if topology.troubles.is_empty() {
            "none".to_owned()
        } else {
            topology.troubles.join(", ")
        },
        wake: format!("+{}ms", wake.as_millis()),
        fence: machine.holding.fence.as_ref().map(|fence| shortened(&fence.reason.to_string())),
        doubt: match (&machine.doubt.unconfirmed, &machine.doubt.majority_lost) {
            (None, None) => None,
            (Some(_), None) => Some("unconfirmed".to_owned()),
            (None, Some(_)) => Some("majority lost".to_owned()),
            (Some(_), Some(_)) => Some("unconfirmed, majority lost".to_owned()),
        },
        error: topology.master.is_none().then(|| {
            let error = machine.why_no_master();
            shortened(&format!("{}: {error}", error.kind().as_str()))
        }),
    }
}

fn voter(sentinel: &Sentinel) -> String {
    let says = match (&sentinel.link, &sentinel.said) {
        (Link::New, _) => "new".to_owned(),
        (Link::Down { .. }, _) => "down".to_owned(),
        (_, Said::Nothing) => "silent".to_owned(),
        (_, Said::Unknown) => "no voice".to_owned(),
        (_, Said::Moving) => "moving".to_owned(),
        (_, Said::Stranger) => "stranger".to_owned(),
        (_, Said::Refused(_)) => "refuses".to_owned(),
        (_, Said::Names) => {
            let view = sentinel.view.as_ref().expect("a view");
            let epoch = view.epoch.map_or("?".to_owned(), |epoch| epoch.to_string());
            format!("{}@{epoch}", view.address)
        }
    };
    let tilt = if sentinel.tilt { " tilt" } else { "" };
    format!("{} {says}{tilt}", sentinel.address)
}

impl State {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("stage = {}", quoted(&self.stage)),
            format!("voters = {}", quoted(&self.voters)),
            format!("nodes = {}", quoted(&self.nodes)),
            format!("trouble = {}", quoted(&self.trouble)),
            format!("wake = {}", quoted(&self.wake)),
        ];
        lines.extend(self.fence.iter().map(|fence| format!("fence = {}", quoted(fence))));
        lines.extend(self.doubt.iter().map(|doubt| format!("doubt = {}", quoted(doubt))));
        lines.extend(self.error.iter().map(|error| format!("error = {}", quoted(error))));
        lines
    }
}

impl Scenario {
    fn rules(&self) -> Rules {
        let switch_on = match self.switch_on.as_deref() {
            None | Some("confirmation") => SwitchOn::Confirmation,
            Some("announcement") => SwitchOn::Announcement,
            Some("promotion") => SwitchOn::Promotion,
            Some(other) => panic!("{other:?} is no way to switch"),
        };
        let mut rules = Rules::new(self.service.as_deref().unwrap_or("mymaster"), switch_on);
        if let Some(time) = &self.confirm_within {
            rules.confirm_within = duration(time);
        }
        rules.fence = self.fence.unwrap_or(rules.fence);
        if let Some(time) = &self.fence_timeout {
            rules.fence_timeout = duration(time);
        }
        match self.max_lag.as_deref() {
            None => {}
            Some("none") => rules.max_lag = None,
            Some(time) => rules.max_lag = Some(duration(time)),
        }
        match self.on_lost_majority.as_deref().map(|policy| policy.split_once(':')) {
            None => rules,
            Some(Some(("fence", after))) => {
                rules.on_lost_majority(OnLostMajority::Fence { after: duration(after) })
            }
            Some(_) => panic!("on_lost_majority is fence:<time>, or absent"),
        }
    }

    fn to_toml(&self) -> String {
        let mut out = format!("about = {}\n", quoted(&self.about));
        let text = |value: &Option<String>| value.as_deref().map(quoted);
        for (name, value) in [
            ("switch_on", text(&self.switch_on)),
            ("service", text(&self.service)),
            ("confirm_within", text(&self.confirm_within)),
            ("fence", self.fence.map(|fence| fence.to_string())),
            ("fence_timeout", text(&self.fence_timeout)),
            ("on_lost_majority", text(&self.on_lost_majority)),
            ("max_lag", text(&self.max_lag)),
            ("given", text(&self.given)),
        ] {
            if let Some(value) = value {
                let _ = writeln!(out, "{name} = {value}");
            }
        }
        for phase in &self.phase {
            let _ = writeln!(out, "\n[[phase]]\nat = {}", quoted(&phase.at));
            if let Some(why) = &phase.why {
                let _ = writeln!(out, "why = {}", quoted(why));
            }
            list(&mut out, "inputs", &phase.inputs);
            list(&mut out, "actions", &phase.actions);
            out.push_str("[phase.state]\n");
            for line in phase.state.lines() {
                let _ = writeln!(out, "{line}");
            }
        }
        out
    }
}

fn list(out: &mut String, name: &str, lines: &[String]) {
    match lines {
        [] => {
            let _ = writeln!(out, "{name} = []");
        }
        lines => {
            let _ = writeln!(out, "{name} = [");
            for line in lines {
                let _ = writeln!(out, "  {},", quoted(line));
            }
            out.push_str("]\n");
        }
    }
}

fn quoted(text: &str) -> String {
    if text.contains(['"', '\\']) && !text.contains('\'') {
        return format!("'{text}'");
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
