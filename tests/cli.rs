//! The command does what its help says.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use switchmaster_sandbox::{Cluster, valkey_server, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchmaster"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the command runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is UTF-8")
}

/// Whether a drill kept all its promises. Those of time it need not keep under ThreadSanitizer
/// (`make tsan` says so), which slows everything down and looks for races, not for delays.
fn is_kept(drill: &Output) -> bool {
    let slow = std::env::var_os("SWITCHMASTER_SLOW").is_some();
    let is_late = |breach: &str| breach.contains(" ms after the ");
    let printed = text(&drill.stdout);
    let only_late = match serde_json::from_str::<Value>(&printed) {
        Ok(document) => document["broken"]
            .as_array()
            .is_some_and(|broken| broken.iter().all(|breach| breach.as_str().is_some_and(is_late))),
        Err(_) => is_late(&printed),
    };
    drill.status.success() || (slow && only_late)
}

/// A sandbox of the command, and what it printed.
struct Sandbox {
    child: Child,
    input: Option<ChildStdin>,
    printed: Value,
}

impl Sandbox {
    fn start(arguments: &[&str]) -> Sandbox {
        let mut child = command(&[&["sandbox"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).expect("a line");
        let printed = serde_json::from_str(&line).expect("one line of JSON");
        Sandbox { input: child.stdin.take(), child, printed }
    }

    fn text(&self, name: &str) -> &str {
        self.printed[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.printed))
    }

    fn count(&self, name: &str) -> usize {
        self.printed[name].as_array().unwrap_or_else(|| panic!("{name} in {}", self.printed)).len()
    }

    fn pids(&self) -> Vec<u64> {
        self.printed["pids"].as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap()).collect()
    }

    /// Waits for its end, and asserts that nothing is left.
    fn assert_gone(&mut self) {
        let status = self.child.wait().expect("the command ends");
        assert!(status.success(), "{status}");
        let pids = self.pids();
        let gone = |pid: &u64| !Path::new(&format!("/proc/{pid}")).exists();
        assert!(wait_until(PATIENCE, || pids.iter().all(gone)), "of {pids:?} some are left");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Of a test that failed: the cluster ends with the command.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_subcommand_has_help_with_an_example() {
    let help = output(&["--help"]);
    assert!(help.status.success());
    let help = text(&help.stdout);
    for subcommand in ["sandbox", "master", "topology", "watch", "drill"] {
        assert!(help.contains(subcommand), "{subcommand} in {help}");
        let own = output(&[subcommand, "--help"]);
        assert!(own.status.success());
        let own = text(&own.stdout);
        assert!(own.contains(&format!("  switchmaster {subcommand}")), "an example in {own}");
    }
}

#[test]
fn bad_arguments_are_named_and_exit_with_2() {
    let url = "redis+sentinel://127.0.0.1:1/mymaster";
    let cases: [(&[&str], &str); 17] = [
        (&["frobnicate"], "frobnicate"),
        (&["sandbox", "--replicas", "many"], "--replicas"),
        (&["sandbox", "--sentinels", "0"], "--sentinels"),
        (&["sandbox", "--down-after", "5"], "--down-after"),
        (&["master"], "--url"),
        (&["topology", "--yaml"], "--yaml"),
        (&["watch", "--json"], "--url"),
        (&["watch", "--url", url, "--for", "5"], "--for"),
        (&["watch", "--url", url, "--record", "/nowhere/recording.txt"], "/nowhere/recording.txt"),
        (&["drill", "--fault", "flood"], "--fault"),
        (&["drill", "--runs", "0"], "--runs"),
        (&["drill", "--url", url, "--fault", "kill", "--yes"], "--fault kill"),
        (&["drill", "--url", url], "--yes"),
        (&["drill", "--url", url, "--server", "redis-server"], "--server"),
        (&["drill", "--url", url, "--deny-subscribe"], "--deny-subscribe"),
        (&["drill", "--switch-on", "promotion,hope"], "hope"),
        (&["drill", "--switch-on", "confirmation", "--targets"], "--targets"),
    ];
    for (arguments, named) in cases {
        let output = output(arguments);
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {complaint}");
        assert!(complaint.contains(named), "{named} in {complaint}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_url_that_cannot_be_read_is_an_error_that_quotes_it() {
    for subcommand in ["master", "topology", "watch", "drill"] {
        let output = output(&[subcommand, "--url", "http://somewhere/mymaster"]);
        assert!(!output.status.success());
        let complaint = text(&output.stderr);
        assert!(complaint.contains("\"http\""), "{complaint}");
    }
}

#[test]
fn a_sandbox_prints_its_addresses_and_ends_with_its_input() {
    let mut sandbox = Sandbox::start(&["--replicas", "1", "--service", "orders"]);
    assert_eq!(sandbox.text("service"), "orders");
    assert!(sandbox.text("url").ends_with("/orders"));
    assert_eq!((sandbox.count("replicas"), sandbox.count("sentinels")), (1, 3));
    let pids = sandbox.pids();
    assert_eq!(pids.len(), 5);
    for pid in pids {
        assert!(fs::metadata(format!("/proc/{pid}")).is_ok(), "{pid} runs");
    }
    drop(sandbox.input.take());
    sandbox.assert_gone();
}

#[test]
fn a_sandbox_that_stays_ends_at_a_signal() {
    let mut sandbox = Sandbox::start(&["--replicas", "1", "--sentinels", "1", "--stay"]);
    drop(sandbox.input.take());
    let (url, master) = (sandbox.text("url").to_owned(), sandbox.text("master").to_owned());
    let answer = output(&["master", "--url", &url]);
    assert_eq!(text(&answer.stdout).trim_end(), master, "{}", text(&answer.stderr));
    assert_eq!(sandbox.child.try_wait().unwrap(), None, "it stays");
    let kill = Command::new("kill").arg(sandbox.child.id().to_string()).status().unwrap();
    assert!(kill.success());
    sandbox.assert_gone();
}

#[test]
fn master_and_topology_say_what_the_sentinels_know() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let master = cluster.master().unwrap().address().to_string();
    let url = cluster.url();

    let answer = output(&["master", "--url", &url]);
    assert!(answer.status.success(), "{}", text(&answer.stderr));
    assert_eq!(text(&answer.stdout), format!("{master}\n"));

    let answer = output(&["topology", "--url", &url]);
    let tree = text(&answer.stdout);
    assert!(tree.starts_with(&format!("mymaster: master {master}")), "{tree}");
    for member in cluster.members() {
        assert!(tree.contains(&member.address().to_string()), "{} in {tree}", member.name());
    }

    let answer = output(&["topology", "--url", &url, "--json"]);
    let topology: Value = serde_json::from_slice(&answer.stdout).expect("a JSON document");
    assert_eq!(topology["master"], master.as_str());
    assert_eq!(topology["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(topology["sentinels"].as_array().unwrap().len(), 3);
}

/// A file that is gone after the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("switchmaster-{}-{name}", process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // There is none when the command did not come so far.
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_watch_tells_and_records_a_switch_until_it_is_ended() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let old = cluster.master().unwrap().address().to_string();
    let file = Scratch::new("switch.txt");
    let mut watch = command(&["watch", "--url", &cluster.url(), "--json", "--record", file.path()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let printed = BufReader::new(watch.stdout.take().unwrap());
    let mut events = printed.lines().map(|line| -> Value {
        let line = line.expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    });
    let first = events.next().expect("what it begins with");
    assert_eq!((&first["name"], &first["master"]), (&"watching".into(), &old.as_str().into()));

    cluster.failover().unwrap();
    let switched = events.find(|event| event["name"] == "switched").expect("the switch");
    assert_eq!((&switched["generation"], &switched["from"]), (&2.into(), &old.as_str().into()));
    assert_ne!(switched["to"], old.as_str());
    assert!(switched["ms"].as_f64() > first["ms"].as_f64(), "{switched}");
    for text in ["text", "source", "time"] {
        assert!(switched[text].is_string(), "{text} in {switched}");
    }
    // It is in the file a second later at most, while the command runs on.
    let recorded = || file.lines().iter().any(|line| line.starts_with("> switch 2: "));
    assert!(wait_until(PATIENCE, recorded), "{:#?}", file.lines());

    let kill = Command::new("kill").arg(watch.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert!(watch.wait().unwrap().success());
    let lines = file.lines();
    assert_eq!(lines[0], "# switchmaster recording 1");
    assert!(lines.contains(&"# switch_on=promotion".to_owned()), "{lines:#?}");
    let chosen = lines.iter().filter(|line| line.contains(" +selected-slave slave "));
    assert_eq!(chosen.count(), 1, "{lines:#?}");
}

#[test]
fn the_examples_of_a_watch_work() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let file = Scratch::new("example.txt");
    let help = text(&output(&["watch", "--help"]).stdout);
    let (_, examples) = help.split_once("Examples:\n").expect("examples");
    let mut count = 0;
    for line in examples.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[0], "switchmaster");
        let url = cluster.url();
        let place = |word: &&str| match *word {
            word if word.starts_with("redis+sentinel://") => url.clone(),
            "failover.txt" => file.path().to_owned(),
            "10s" => "500ms".to_owned(),
            word => word.to_owned(),
        };
        let mut arguments: Vec<String> = words[1..].iter().map(place).collect();
        if !words.contains(&"--for") {
            arguments.extend(["--for", "500ms"].map(str::to_owned));
        }
        let watch = output(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(watch.status.success(), "{line}: {}", text(&watch.stderr));
        assert!(text(&watch.stdout).contains("watching mymaster: generation 1"), "{line}");
        count += 1;
    }
    assert_eq!(count, 3, "{examples}");
    assert!(file.lines().iter().any(|line| line.starts_with("> switch 1: ")));
}

#[test]
fn a_watch_without_a_master_says_and_records_why() {
    let file = Scratch::new("nobody.txt");
    let url = "redis+sentinel://127.0.0.1:1/mymaster?connect_timeout=3s";
    let watch = output(&["watch", "--url", url, "--record", file.path()]);
    assert_eq!(watch.status.code(), Some(1));
    assert!(text(&watch.stderr).contains("127.0.0.1:1: "), "{}", text(&watch.stderr));
    let lines = file.lines();
    assert!(lines.iter().any(|line| line.contains(" down 127.0.0.1:1: ")), "{lines:#?}");
}

#[test]
fn a_drill_with_a_killed_master_keeps_every_promise() {
    let drill = output(&["drill", "--fault", "kill", "--json"]);
    let printed = text(&drill.stdout);
    assert!(is_kept(&drill), "{printed}{}", text(&drill.stderr));
    let document: Value = serde_json::from_str(&printed).expect("one JSON document");
    let broken = document["broken"].as_array().expect("an array");
    assert_eq!(drill.status.success(), broken.is_empty(), "{printed}");
    let run = &document["faults"][0]["runs"][0];
    assert_eq!(run["fault"], "kill");
    assert_ne!(run["from"], run["to"]);
    assert_eq!(run["switch_on"], "promotion");
    assert_eq!(run["blocked"]["served"], run["blocked"]["of"]);
    assert!(run["figures"]["switch_ms"].is_number(), "{printed}");
    assert!(document["faults"][0]["spread"]["first_write_ms"]["p99"].is_number(), "{printed}");
}

#[test]
fn ways_to_switch_are_compared_in_the_same_failovers() {
    let drill = output(&[
        "drill",
        "--fault=planned",
        "--switch-on=announcement,promotion,announcement",
        "--writers=2",
        "--runs=2",
        "--targets",
        "--json",
    ]);
    let printed = text(&drill.stdout);
    let document: Value = serde_json::from_str(&printed).expect("one JSON document");
    let faults = document["faults"].as_array().expect("an array");
    let ways: Vec<&Value> = faults.iter().map(|fault| &fault["switch_on"]).collect();
    assert_eq!(ways, ["announcement", "promotion"]);
    let [ones, others] = [0, 1].map(|way| faults[way]["runs"].as_array().expect("an array"));
    assert_eq!((ones.len(), others.len()), (2, 2));
    for (one, other) in ones.iter().zip(others) {
        for shared in ["promotion_ms", "announcement_ms", "fault_ms"] {
            assert!(one["figures"][shared].is_number(), "{shared} in {one}");
            assert_eq!(one["figures"][shared], other["figures"][shared]);
        }
        // 2 writers, 2 readers, 2 who block and the feeder for each.
        assert_eq!((&one["threads"], &other["threads"]), (&7.into(), &7.into()));
        assert_eq!((&one["from"], &one["to"]), (&other["from"], &other["to"]));
    }
    assert_eq!(faults[0]["targets"].as_array().map(Vec::len), Some(0));
    let targets = faults[1]["targets"].as_array().expect("an array");
    assert_eq!(targets.len(), 3, "{printed}");
    let met = targets.iter().all(|target| target["met"] == true);
    let kept = document["broken"].as_array().is_some_and(Vec::is_empty);
    assert_eq!(drill.status.success(), met && kept, "{printed}");
}

#[test]
fn one_failover_has_a_column_and_a_picture_for_each_way_to_switch() {
    let drill = output(&[
        "drill",
        "--fault=kill",
        "--switch-on=confirmation,announcement",
        "--writers=2",
        "--readers=0",
        "--ascii",
    ]);
    let printed = text(&drill.stdout);
    assert!(is_kept(&drill), "{printed}{}", text(&drill.stderr));
    let mut lines = printed.lines();
    assert!(lines.next().is_some_and(|line| line.starts_with("kill: ")), "{printed}");
    let head: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(head, ["confirmation", "announcement"]);
    for way in head {
        assert!(printed.contains(&format!("kill, switch on {way}")), "{printed}");
    }
    assert!(printed.is_ascii() && printed.lines().all(|line| line.len() <= 80), "{printed}");
}

#[test]
fn a_coordinated_failover_needs_a_server_that_knows_it() {
    let drill = output(&["drill", "--fault=coordinated", "--writers=1"]);
    let complaint = text(&drill.stderr);
    assert_eq!(drill.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("COORDINATED") && complaint.contains("--server"), "{complaint}");
}

#[test]
fn a_coordinated_failover_of_valkey_loses_nothing() {
    let server = valkey_server().expect("`make setup` brings one");
    let drill = output(&[
        "drill",
        "--server",
        server.to_str().expect("a path in UTF-8"),
        "--fault=coordinated",
        "--switch-on=confirmation",
        "--json",
    ]);
    let printed = text(&drill.stdout);
    assert!(is_kept(&drill), "{printed}{}", text(&drill.stderr));
    let document: Value = serde_json::from_str(&printed).expect("one JSON document");
    let run = &document["faults"][0]["runs"][0];
    assert_eq!(run["fault"], "coordinated");
    assert_ne!(run["from"], run["to"]);
    assert_eq!(run["figures"]["lost"], 0.0, "{printed}");
}

#[test]
fn a_drill_follows_where_subscribe_is_denied() {
    let drill = output(&[
        "drill",
        "--fault=kill",
        "--switch-on=confirmation",
        "--deny-subscribe",
        "--json",
    ]);
    let printed = text(&drill.stdout);
    let document: Value = serde_json::from_str(&printed).expect("one JSON document");
    let run = &document["faults"][0]["runs"][0];
    assert!(run["figures"]["switch_ms"].is_number(), "{printed}");
    assert_eq!(run["figures"]["lost"], 0.0, "{printed}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let drill = output(&["drill", "--server=/nowhere/redis-server"]);
    let complaint = text(&drill.stderr);
    assert_eq!(drill.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("/nowhere/redis-server"), "{complaint}");
}

#[test]
fn a_deployment_is_drilled_by_a_planned_failover() {
    let sandbox = Sandbox::start(&["--stay"]);
    let drill = output(&["drill", "--url", sandbox.text("url"), "--yes", "--ascii"]);
    let printed = text(&drill.stdout);
    assert!(is_kept(&drill), "{printed}{}", text(&drill.stderr));
    assert!(printed.starts_with("planned: "), "{printed}");
    assert!(printed.contains("F fault, S switch"), "{printed}");
    assert!(printed.is_ascii() && printed.lines().all(|line| line.len() <= 80), "{printed}");
}
