//! `switchmaster failover`, and every fault on its way. What clients of other makes see of it is in
//! `tests/stock`.

use std::{
    io::{self, BufRead, BufReader, Read},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use switchmaster_sandbox::{
    Cluster, Node, Role, Sentinel, frame::Frame, valkey_server, wait_until,
};

use crate::{
    common::{load::Load, named_factory, wait_for_switch, wait_for_write, wait_until_calm},
    program::{PATIENCE, command, output, text},
};

/// The longest pause in a [`patient_cluster`].
const LONGEST: Duration = Duration::from_secs(5);

/// The command, while it runs.
pub(crate) struct Failover {
    child: Child,
    told: BufReader<ChildStderr>,
    lines: Vec<String>,
}

impl Failover {
    pub(crate) fn start(cluster: &Cluster, more: &[&str]) -> Failover {
        Failover::of(&cluster.url(), more, Stdio::piped())
    }

    pub(crate) fn of(url: &str, more: &[&str], stdout: Stdio) -> Failover {
        let mut child = command(&[&["failover", "--url", url, "--yes"], more].concat())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let told = BufReader::new(child.stderr.take().expect("it is piped"));
        Failover { child, told, lines: Vec::new() }
    }

    /// Reads what it tells until a step begins, and the line that says so.
    pub(crate) fn wait_for(&mut self, step: &str) -> String {
        self.wait_for_line(&format!("  {step}: "))
    }

    /// Reads what it tells until a line has this.
    pub(crate) fn wait_for_line(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.told.read_line(&mut line).expect("a line");
            assert!(read > 0, "it ended before {part:?}: {:#?}", self.lines);
            self.lines.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for its end: how it was, and all that it told.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).expect("text");
        let status = self.child.wait().expect("it ends");
        (status, self.lines.concat() + &rest)
    }

    /// As [`Failover::end`], and what it printed, which is not much.
    pub(crate) fn end_with_output(mut self) -> (ExitStatus, String, String) {
        let stdout = self.child.stdout.take().expect("it is piped");
        let (status, told) = self.end();
        (status, told, io::read_to_string(stdout).expect("text"))
    }
}

impl Drop for Failover {
    fn drop(&mut self) {
        // Of a test that failed; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A cluster whose replicas have what is written.
pub(crate) fn cluster() -> Cluster {
    let cluster = Cluster::builder().failover_timeout(Duration::from_secs(3)).start().unwrap();
    cluster.wait_replicated(PATIENCE).unwrap();
    cluster
}

/// As [`cluster`], with proxies, and writes are paused for five seconds at most.
pub(crate) fn patient_cluster() -> Cluster {
    let cluster = Cluster::builder()
        .down_after(Duration::from_secs(10))
        .failover_timeout(Duration::from_secs(3))
        .proxied(true)
        .start()
        .unwrap();
    cluster.wait_replicated(PATIENCE).unwrap();
    cluster
}

pub(crate) fn replicas(cluster: &Cluster) -> Vec<Node> {
    let master = cluster.master().unwrap().port();
    cluster.nodes().iter().filter(|node| node.port() != master).cloned().collect()
}

/// Asserts that writes go on at this master of a [`cluster`]: within the time that the pause takes at most,
/// since one that waits in the server does so no longer than that.
pub(crate) fn assert_writable(master: &Node) {
    assert_writable_after(master, Duration::from_millis(960));
}

/// As [`assert_writable`], after a pause that takes so long at most.
pub(crate) fn assert_writable_after(master: &Node, pause: Duration) {
    let longest = pause + Duration::from_secs(1);
    let mut client = master.client_with(longest).unwrap();
    client.expect(&["SET", "writes", "go on"]).expect("a write within the pause's own time");
}

#[test]
fn a_failover_loses_nothing_and_tells_how_long_its_steps_took() {
    let cluster = cluster();
    let old = cluster.master().unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let done = output(&["failover", "--url", &cluster.url(), "--yes", "--json"]);
    let (printed, told) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{printed}{told}");
    load.wait_for(100);
    let tally = load.end();
    let master = cluster.master().unwrap();
    let lost = tally.lost(&master);
    assert_eq!(lost.len(), 0, "{}\n{told}", tally.describe(&lost));

    let report: Value = serde_json::from_str(&printed).expect("one JSON document");
    assert_eq!(report["from"], old.address().to_string());
    assert_eq!(report["to"], master.address().to_string());
    assert!(report["paused_ms"].is_number() && report["wrong"] == Value::Array(vec![]), "{report}");
    let names: Vec<&str> = report["phases"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|phase| {
            assert!(phase["ms"].is_number(), "{phase}");
            phase["name"].as_str().expect("a name")
        })
        .collect();
    let expected = [
        "checks",
        "waiting",
        "catching up",
        "promotion",
        "announcement",
        "demotion",
        "release",
        "settling",
    ];
    assert_eq!(names, expected);
    // It is a replica already, some ten seconds before the sentinels would make it one.
    cluster.wait_settled(PATIENCE).expect("all is in its place");
}

#[test]
fn the_sentinels_own_way_is_followed_to_its_end() {
    let cluster = cluster();
    let done = output(&["failover", "--url", &cluster.url(), "--yes", "--plain"]);
    let (printed, told) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{printed}{told}");
    assert!(printed.contains("took the place of") && !printed.contains("paused"), "{printed}");
    assert!(printed.lines().all(|line| line.chars().count() <= 80), "{printed}");
    cluster.wait_settled(PATIENCE).expect("all is in its place");
}

#[test]
fn a_dry_run_does_nothing() {
    let cluster = cluster();
    let master = cluster.master().unwrap();
    let done = output(&["failover", "--url", &cluster.url(), "--dry-run"]);
    let printed = text(&done.stdout);
    assert!(done.status.success(), "{printed}{}", text(&done.stderr));
    for replica in replicas(&cluster) {
        assert!(printed.contains(&replica.address().to_string()), "{printed}");
    }
    assert_eq!(cluster.master().unwrap().port(), master.port());
    assert_writable(&master);
}

#[test]
fn what_is_in_the_way_is_named_and_nothing_done() {
    let cluster = cluster();
    let master = cluster.master().unwrap();
    let refused = |expected: &[&str]| {
        let done = output(&["failover", "--url", &cluster.url(), "--yes", "--now"]);
        let told = text(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{told}");
        assert!(told.contains("nothing was done"), "{told}");
        for part in expected {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert_eq!(cluster.master().unwrap().port(), master.port());
    };
    let [one, other] = &replicas(&cluster)[..] else { panic!("two replicas") };
    let noticed = |count| {
        let down = |row: &&Frame| row.field_text("flags").contains("s_down");
        let notices = |sentinel: &Sentinel| {
            let rows = sentinel.ask(&["SENTINEL", "REPLICAS", cluster.service()]);
            rows.is_ok_and(|rows| rows.items().iter().filter(down).count() == count)
        };
        let notice = || cluster.sentinels().iter().all(notices);
        assert!(wait_until(PATIENCE, notice), "the sentinels do not notice");
    };
    one.freeze().unwrap();
    noticed(1);
    let dry = output(&["failover", "--url", &cluster.url(), "--dry-run"]);
    let printed = text(&dry.stdout);
    assert!(dry.status.success(), "{printed}{}", text(&dry.stderr));
    assert!(printed.contains(&format!("\n  not: {} is s_down", one.address())), "{printed}");
    other.kill().unwrap();
    noticed(2);
    refused(&["no replica can be promoted", "s_down"]);
    cluster.repair(PATIENCE).unwrap();

    let url = cluster.url().replace("/mymaster", "/nobody");
    let done = output(&["failover", "--url", &url, "--yes"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("\"nobody\""), "{}", text(&done.stderr));

    // One of three is no majority.
    for sentinel in &cluster.sentinels()[1..] {
        sentinel.kill().unwrap();
    }
    let done = output(&["failover", "--url", &cluster.url(), "--yes"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("no 2 of 3 sentinels agree"), "{told}");
    for sentinel in &cluster.sentinels()[1..] {
        assert!(told.contains(&format!("\n  {}: ", sentinel.address())), "{told}");
    }
    assert_writable(&master);
}

#[test]
fn a_pause_as_long_as_the_sentinels_patience_is_refused() {
    let cluster = cluster();
    let done = output(&["failover", "--url", &cluster.url(), "--yes", "--max-pause", "1200ms"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert!(told.contains("--max-pause") && told.contains("1.2s"), "{told}");

    // Each sentinel has a patience of its own.
    for (sentinel, millis) in cluster.sentinels().iter().zip(["9000", "9000", "3000"]) {
        let set = ["SENTINEL", "SET", cluster.service(), "down-after-milliseconds", millis];
        sentinel.ask(&set).unwrap();
    }
    let done = output(&["failover", "--url", &cluster.url(), "--dry-run", "--max-pause", "4s"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert!(told.contains("--max-pause") && told.contains(" 3s "), "{told}");
}

/// Starts it, and has a replica stand still when writes are paused, so that they stay paused until the
/// command gives up waiting for it. The cluster is a [`patient_cluster`].
pub(crate) fn held(cluster: &Cluster) -> Failover {
    let replica = &replicas(cluster)[0];
    let proxy = replica.proxy().expect("a proxied cluster");
    // Its answers are on their way for so long.
    proxy.delay(Duration::from_millis(80));
    let url = format!("{}?address_map={}>{}", cluster.url(), replica.address(), proxy.address());
    let mut failover = Failover::of(&url, &["--now"], Stdio::piped());
    failover.wait_for("catching up");
    replica.freeze().unwrap();
    proxy.pass();
    failover
}

/// Starts it when the best moment is some time away, and gives it while it waits for that.
pub(crate) fn waiting(cluster: &Cluster) -> Failover {
    // The wait for the best moment lasts while the sentinels have not asked for long.
    wait_until_asked_before(cluster);
    let mut failover = Failover::start(cluster, &[]);
    failover.wait_for("waiting");
    failover
}

/// Waits until every sentinel has asked the replicas for INFO more than a second ago, and asks next in some
/// seconds, or at once in a failover.
pub(crate) fn wait_until_asked_before(cluster: &Cluster) {
    let far = |row: &Frame| {
        let age: Option<u64> = row.field_text("info-refresh").parse().ok();
        age.is_some_and(|age| (1000..7000).contains(&age))
    };
    let is_far = || {
        cluster.sentinels().iter().all(|sentinel| {
            let rows = sentinel.ask(&["SENTINEL", "REPLICAS", cluster.service()]);
            rows.is_ok_and(|rows| rows.items().iter().all(far))
        })
    };
    assert!(wait_until(PATIENCE, is_far), "the sentinels ask all the time");
}

#[test]
fn a_replica_that_does_not_catch_up_has_writes_go_on() {
    let cluster = patient_cluster();
    let master = cluster.master().unwrap();
    let (status, told) = held(&cluster).end();
    assert_eq!(status.code(), Some(1), "{told}");
    for part in ["did not catch up", "no failover was ordered", "writes go on at"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_writable_after(&master, LONGEST);
    assert_eq!(cluster.master().unwrap().port(), master.port());
}

#[test]
fn whoever_kills_it_during_the_pause_has_writes_go_on() {
    let cluster = patient_cluster();
    let master = cluster.master().unwrap();
    let failover = held(&cluster);
    failover.signal("KILL");
    assert!(!failover.end().0.success());
    assert_writable_after(&master, LONGEST);
    assert_eq!(cluster.master().unwrap().port(), master.port());
}

#[test]
fn whoever_interrupts_it_during_the_pause_has_writes_go_on() {
    let cluster = patient_cluster();
    let master = cluster.master().unwrap();
    let failover = held(&cluster);
    failover.signal("TERM");
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("interrupted") && told.contains("writes go on at"), "{told}");
    assert_writable_after(&master, LONGEST);
    assert_eq!(cluster.master().unwrap().port(), master.port());
}

#[test]
fn a_master_that_dies_while_it_is_paused_is_replaced_by_the_sentinels() {
    let cluster = patient_cluster();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let failover = held(&cluster);
    cluster.master().unwrap().kill().unwrap();
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(1), "{told}");
    for part in ["no failover was ordered", "could not be told to let writes go on"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    wait_for_switch(&factory, 1);
    wait_for_write(&factory);
}

#[test]
fn a_sentinel_that_refuses_has_writes_go_on() {
    let rights = "user operator on >secret ~* &* +@all -sentinel|failover";
    let cluster = Cluster::builder().sentinel_line(rights).start().unwrap();
    cluster.wait_replicated(PATIENCE).unwrap();
    let master = cluster.master().unwrap();
    let url = format!("{}?sentinel_username=operator&sentinel_password=secret", cluster.url());
    let done = output(&["failover", "--url", &url, "--yes", "--now"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    for part in ["refused to fail over", "sentinel|failover", "writes go on at"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_writable(&master);
    assert_eq!(cluster.master().unwrap().port(), master.port());
}

/// The sentinel that a line names at its end.
fn leader_in(cluster: &Cluster, line: &str) -> Sentinel {
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
    port.and_then(|port| cluster.sentinel_at(port)).expect("one of the sentinels")
}

#[test]
fn replicas_that_die_before_their_promotion_have_writes_go_on() {
    let cluster = cluster();
    let master = cluster.master().unwrap();
    let mut failover = Failover::start(&cluster, &["--now", "--timeout", "20s"]);
    let leader = leader_in(&cluster, &failover.wait_for("promotion"));
    // The step begins before its order arrives.
    let flags = || leader.describe("mymaster").unwrap().field_text("flags");
    assert!(wait_until(PATIENCE, || flags().contains("failover_in_progress")), "{}", flags());
    replicas(&cluster).iter().for_each(|replica| replica.kill().unwrap());
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("was given up") && told.contains("writes go on at"), "{told}");
    assert_writable(&master);
    assert_eq!(cluster.master().unwrap().port(), master.port());
}

#[test]
fn a_leader_that_dies_leaves_one_master_that_takes_writes() {
    let cluster = cluster();
    let old = cluster.master().unwrap();
    let mut failover = Failover::start(&cluster, &["--now", "--timeout", "8s"]);
    let leader = leader_in(&cluster, &failover.wait_for("promotion"));
    leader.kill().unwrap();
    let (status, told) = failover.end();
    let masters = || -> Vec<Node> {
        let is_master = |node: &&Node| matches!(node.role(), Ok(Role::Master));
        cluster.nodes().iter().filter(is_master).cloned().collect()
    };
    match status.code() {
        // It died before it promoted anybody.
        Some(1) => {
            assert!(told.contains("writes go on at"), "{told}");
            assert_writable(&old);
        }
        // The result is unknown, or the remaining sentinels do not know of it.
        Some(3) => {
            let unknown = told.contains("the sentinels may still do it");
            assert!(unknown || told.contains("does not name"), "{told}");
        }
        code => panic!("{code:?}: {told}"),
    }
    let masters = masters();
    let names: Vec<&str> = masters.iter().map(|master| master.name()).collect();
    assert_eq!(masters.len(), 1, "{names:?}: {told}");
    assert_writable(&masters[0]);
}

#[test]
fn a_failover_that_servers_coordinate_needs_servers_that_know_it() {
    let cluster = cluster();
    let done = output(&["failover", "--url", &cluster.url(), "--yes", "--coordinated"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("Valkey") && told.contains("nothing was done"), "{told}");

    let server = valkey_server().expect("`make setup` brings one");
    let cluster = Cluster::builder().server(server).start().unwrap();
    cluster.wait_replicated(PATIENCE).unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let done = output(&["failover", "--url", &cluster.url(), "--yes", "--coordinated"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    load.wait_for(100);
    let tally = load.end();
    let lost = tally.lost(&cluster.master().unwrap());
    assert_eq!(lost.len(), 0, "{}", tally.describe(&lost));
}
