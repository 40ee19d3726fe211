//! Runs `tests/scenarios/*.toml`, whose README describes the format.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use redis::Value;
use serde::Deserialize;

use crate::address::Address;

use super::{
    Action, Answer, Hearing, Input, Machine, Rules, SwitchOn, Trouble, Verification,
    roster::{Link, Said, Sentinel},
    snapshot::NodeRole,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    about: String,
    switch_on: Option<String>,
    service: Option<String>,
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
    error: Option<String>,
}

/// Three sentinels that know each other name n1 at epoch 1, with replicas n2 and n3.
const CALM: [&str; 6] = [
    "start s1 s2 s3",
    "up s1 s2 s3",
    "answer s1: n1@1 id=r1 replicas=n2(id=r2),n3(id=r3) sentinels=s2(id=id2),s3(id=id3)",
    "answer s2: n1@1 id=r1 replicas=n2(id=r2),n3(id=r3) sentinels=s1(id=id1),s3(id=id3)",
    "answer s3: n1@1 id=r1 replicas=n2(id=r2),n3(id=r3) sentinels=s1(id=id1),s2(id=id2)",
    "verified n1: master id=r1",
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
    assert!(files.len() >= 120, "only {} scenarios in {}", files.len(), directory.display());
}

/// Runs a scenario, leaves in it what came out, and returns how that differs from what was expected.
fn run(scenario: &mut Scenario) -> String {
    let switch_on = match scenario.switch_on.as_deref() {
        None | Some("confirmation") => SwitchOn::Confirmation,
        Some("announcement") => SwitchOn::Announcement,
        Some("promotion") => SwitchOn::Promotion,
        Some(other) => panic!("{other:?} is no way to switch"),
    };
    let service = scenario.service.clone().unwrap_or_else(|| "mymaster".to_owned());
    let mut machine = Machine::new(Rules::new(service, switch_on));
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
        let actions = shown(&actions);
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

/// The inputs that a line stands for: one for each address before the colon.
fn inputs(line: &str) -> Vec<Input> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (head, tail) = match rest.split_once(": ") {
        Some((head, tail)) => (head, tail),
        None => (rest, ""),
    };
    let each = || head.split_whitespace().map(address);
    match verb {
        "start" => vec![Input::Start { seeds: each().collect() }],
        "tick" => vec![Input::Tick],
        "refresh" => vec![Input::Refresh],
        "up" => each().map(|sentinel| up(sentinel, tail)).collect(),
        "down" => each()
            .map(|sentinel| Input::SentinelDown { sentinel, reason: tail.to_owned() })
            .collect(),
        "resolved" => {
            let to: Vec<Address> = tail.split_whitespace().map(address).collect();
            each().map(|address| Input::Resolved { address, to: to.clone() }).collect()
        }
        "answer" => each()
            .map(|sentinel| Input::Answer { sentinel, answer: Answer::parse(&replies(tail)) })
            .collect(),
        "services" => {
            let names: Vec<String> = tail.split_whitespace().map(str::to_owned).collect();
            each().map(|sentinel| Input::Services { sentinel, names: names.clone() }).collect()
        }
        "verified" => each()
            .map(|address| Input::Verified { address, verification: verification(tail) })
            .collect(),
        "trouble" => {
            let (generation, what) = rest.split_once(' ').expect("trouble <generation> <what>");
            let generation = generation.parse().expect("a generation is a number");
            vec![Input::Trouble { generation, what: trouble(what) }]
        }
        "message" => {
            let (sentinel, rest) = rest.split_once(' ').expect("message <sentinel> <channel>");
            let (channel, payload) = rest.split_once(' ').unwrap_or((rest, ""));
            vec![Input::Message {
                sentinel: address(sentinel),
                channel: channel.to_owned(),
                payload: bytes(payload),
            }]
        }
        _ => panic!("{line:?} is no input"),
    }
}

/// `up s1`: its run id is id1 and it was reached where it is. `id=- peer=… hearing=…` say otherwise.
fn up(sentinel: Address, tail: &str) -> Input {
    let mut run_id = short(&sentinel).strip_prefix('s').map(|number| format!("id{number}"));
    let mut peer = run_id.as_ref().map(|_| sentinel.clone());
    let mut hearing = Hearing::All;
    for word in tail.split_whitespace() {
        match word.split_once('=') {
            Some(("id", "-")) => run_id = None,
            Some(("id", id)) => run_id = Some(id.to_owned()),
            Some(("peer", "-")) => peer = None,
            Some(("peer", text)) => peer = Some(address(text)),
            Some(("hearing", "switch")) => hearing = Hearing::SwitchOnly,
            Some(("hearing", "denied")) => hearing = Hearing::Denied,
            _ => panic!("{word:?} says nothing of a link"),
        }
    }
    Input::SentinelUp { sentinel, run_id, peer, hearing }
}

fn verification(text: &str) -> Verification {
    match text.split_once(' ').unwrap_or((text, "")) {
        ("master", id) => {
            Verification::Master { run_id: id.strip_prefix("id=").map(str::to_owned), replid: None }
        }
        ("role", role) => Verification::NotMaster { role: role.to_owned() },
        ("failed", reason) => Verification::Failed { reason: reason.to_owned() },
        _ => panic!("{text:?} is no verification"),
    }
}

fn trouble(text: &str) -> Trouble {
    match text {
        "readonly" => Trouble::ReadOnly,
        "masterdown" => Trouble::MasterDown,
        "loading" => Trouble::Loading,
        "disconnected" => Trouble::Disconnected,
        "timed-out" => Trouble::TimedOut,
        "not-master" => Trouble::NotMaster,
        _ => panic!("{text:?} is no trouble"),
    }
}

/// The five replies of a query, as they come over the wire.
fn replies(text: &str) -> Vec<Value> {
    if text == "nil" {
        let unknown = || error("ERR No such master with that name");
        return vec![Value::Nil, unknown(), unknown(), unknown(), Value::Nil];
    }
    if let Some(text) = text.strip_prefix("error ") {
        return (0..5).map(|_| error(text)).collect();
    }
    let mut words = text.split_whitespace();
    let (named, epoch) = match words.next().expect("an address").split_once('@') {
        Some((named, epoch)) => (named, Some(epoch)),
        None => (text.split_whitespace().next().unwrap(), None),
    };
    let own = address(named);
    let mut fields = vec![("name", "mymaster".to_owned())];
    let mut flags = "master".to_owned();
    let (mut ip, mut again) = (own.clone(), Some(own.clone()));
    let (mut replicas, mut sentinels) = (Value::Array(vec![]), Value::Array(vec![]));
    let mut resp3 = false;
    for word in words {
        match word.split_once('=') {
            Some(("again", "nil")) => again = None,
            Some(("again", other)) => again = Some(address(other)),
            Some(("master", other)) => ip = address(other),
            Some(("id", id)) => fields.push(("runid", id.to_owned())),
            Some(("state", state)) => fields.push(("failover-state", state.to_owned())),
            Some(("flags", more)) => flags = format!("{flags},{}", more.replace(';', ",")),
            Some(("replicas", "denied")) => replicas = error("NOPERM no permissions"),
            Some(("sentinels", "denied")) => sentinels = error("NOPERM no permissions"),
            Some(("replicas", list)) => replicas = instances(list, "slave"),
            Some(("sentinels", list)) => sentinels = instances(list, "sentinel"),
            None if word == "resp3" => resp3 = true,
            _ => panic!("{word:?} says nothing of an answer"),
        }
    }
    fields.extend([
        ("ip", ip.host().to_owned()),
        ("port", ip.port().to_string()),
        ("flags", flags),
        ("config-epoch", epoch.unwrap_or_default().to_owned()),
    ]);
    let master = match epoch {
        Some(_) => flat(fields),
        None => error("NOPERM this user has no permissions to run the 'sentinel|master' command"),
    };
    let replies =
        vec![pair(&own), master, replicas, sentinels, again.as_ref().map_or(Value::Nil, pair)];
    if resp3 { replies.into_iter().map(in_resp3).collect() } else { replies }
}

fn instances(list: &str, kind: &str) -> Value {
    let instance = |text: &str| {
        let (at, attributes) = text.split_once('(').unwrap_or((text, ""));
        let at = address(at);
        let mut flags = kind.to_owned();
        let mut fields = vec![("ip", at.host().to_owned()), ("port", at.port().to_string())];
        for attribute in attributes.trim_end_matches(')').split(';').filter(|a| !a.is_empty()) {
            match attribute.split_once('=') {
                None => flags = format!("{flags},{attribute}"),
                Some(("id", id)) => fields.push(("runid", id.to_owned())),
                Some(("link", link)) => fields.push(("master-link-status", link.to_owned())),
                Some(("offset", offset)) => fields.push(("slave-repl-offset", offset.to_owned())),
                Some(_) => panic!("{attribute:?} says nothing of an instance"),
            }
        }
        fields.push(("flags", flags));
        flat(fields)
    };
    Value::Array(list.split(',').map(instance).collect())
}

fn flat(fields: Vec<(&str, String)>) -> Value {
    Value::Array(fields.into_iter().flat_map(|(name, value)| [bulk(name), bulk(&value)]).collect())
}

/// The same reply over RESP3: maps instead of flat arrays of text.
fn in_resp3(value: Value) -> Value {
    match value {
        Value::Array(items) if items.len() > 2 && matches!(items[0], Value::BulkString(_)) => {
            let mut items = items.into_iter();
            let mut pairs = Vec::new();
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                pairs.push((name, value));
            }
            Value::Map(pairs)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(in_resp3).collect()),
        other => other,
    }
}

fn pair(address: &Address) -> Value {
    Value::Array(vec![bulk(address.host()), bulk(&address.port().to_string())])
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

pub(super) fn error(text: &str) -> Value {
    match redis::parse_redis_value(format!("-{text}\r\n").as_bytes()) {
        Ok(value @ Value::ServerError(_)) => value,
        other => panic!("{text:?} is no error reply: {other:?}"),
    }
}

/// Text with `\xff` for bytes that are no text.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).expect("two hexadecimal digits"));
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// `s1` is the sentinel 10.0.0.1:26379, `n1` the node 10.0.1.1:6379.
pub(super) fn address(text: &str) -> Address {
    let number = |prefix| text.strip_prefix(prefix).and_then(|number: &str| number.parse().ok());
    if let Some(number) = number('s') {
        let _: u8 = number;
        return Address::new(&format!("10.0.0.{number}"), 26379).unwrap();
    }
    if let Some(number) = number('n') {
        return Address::new(&format!("10.0.1.{number}"), 6379).unwrap();
    }
    Address::parse(text, 1).unwrap_or_else(|error| panic!("{error}"))
}

fn short(address: &Address) -> String {
    shortened(&address.to_string())
}

fn shortened(text: &str) -> String {
    let mut out = text.to_owned();
    for number in (1..=9).rev() {
        out = out
            .replace(&format!("10.0.0.{number}:26379"), &format!("s{number}"))
            .replace(&format!("10.0.1.{number}:6379"), &format!("n{number}"));
    }
    out
}

/// Actions as text, with queries that follow each other on one line.
fn shown(actions: &[Action]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for action in actions {
        let line = match action {
            Action::Link { sentinel } => format!("link {sentinel}"),
            Action::Unlink { sentinel } => format!("unlink {sentinel}"),
            Action::Query { sentinel } => match lines.last_mut() {
                Some(last) if last.starts_with("query ") => {
                    let _ = write!(last, " {}", short(sentinel));
                    continue;
                }
                _ => format!("query {sentinel}"),
            },
            Action::ListServices { sentinel } => format!("list services of {sentinel}"),
            Action::Verify { address } => format!("verify {address}"),
            Action::Switch { generation, from, to, epoch, run_id, evidence } => {
                let from = from.as_ref().map_or("nobody".to_owned(), Address::to_string);
                let epoch = epoch.map_or("?".to_owned(), |epoch| epoch.to_string());
                let id = run_id.as_deref().unwrap_or("?");
                format!("switch {generation}: {from} -> {to}@{epoch} id={id} ({evidence})")
            }
            Action::Report(event) => format!("report {event}"),
        };
        lines.push(shortened(&line));
    }
    lines
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

fn duration(text: &str) -> Duration {
    let parsed = match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text
            .strip_suffix('s')
            .and_then(|number| number.parse().ok())
            .map(Duration::from_secs_f64),
    };
    parsed.unwrap_or_else(|| panic!("{text:?} is no time: 250ms or 1.5s"))
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
        lines.extend(self.error.iter().map(|error| format!("error = {}", quoted(error))));
        lines
    }
}

impl Scenario {
    fn to_toml(&self) -> String {
        let mut out = format!("about = {}\n", quoted(&self.about));
        for (name, value) in
            [("switch_on", &self.switch_on), ("service", &self.service), ("given", &self.given)]
        {
            if let Some(value) = value {
                let _ = writeln!(out, "{name} = {}", quoted(value));
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
