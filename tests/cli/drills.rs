//! `switchmaster drill`.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use switchmaster_sandbox::{Cluster, Node, valkey_server, wait_until};

use crate::program::{PATIENCE, Sandbox, command, output, text};

/// Whether a drill kept all its promises. Those of time it need not keep under ThreadSanitizer
/// (`make tsan` says so), which slows everything down and looks for races, not for delays.
pub(crate) fn is_kept(drill: &Output) -> bool {
    let slow = std::env::var_os("SWITCHMASTER_SLOW").is_some();
    let is_late =
        |breach: &str| breach.contains(" ms after the ") || breach.contains(" paused for ");
    let printed = text(&drill.stdout);
    let only_late = match serde_json::from_str::<Value>(&printed) {
        Ok(document) => document["broken"]
            .as_array()
            .is_some_and(|broken| broken.iter().all(|breach| breach.as_str().is_some_and(is_late))),
        Err(_) => is_late(&printed),
    };
    drill.status.success() || (slow && only_late)
}

/// Returns the number of keys whose names begin as a drill's do.
fn keys_of_drills(node: &Node) -> usize {
    node.ask(&["KEYS", "switchmaster:drill:*"]).map_or(0, |keys| keys.items().len())
}

#[test]
fn control_c_in_a_drill_of_a_deployment_leaves_none_of_its_keys() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let first = cluster.master().unwrap();
    let drill = command(&["drill", "--url", &cluster.url(), "--yes", "--runs", "20"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    // In the midst of the load, after a failover.
    let moved = || cluster.master().is_ok_and(|master| master.port() != first.port());
    assert!(wait_until(PATIENCE, moved), "nothing was failed over");
    let writes = || cluster.master().is_ok_and(|master| keys_of_drills(&master) >= 3);
    assert!(wait_until(PATIENCE, writes), "nothing was written");
    let interrupted = Command::new("kill").args(["-INT", &drill.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let drill = drill.wait_with_output().unwrap();
    let told = text(&drill.stderr);
    assert_eq!(drill.status.code(), Some(1), "{told}");
    assert!(told.contains("interrupted; the drill's keys were removed"), "{told}");
    let none = || cluster.nodes().iter().all(|node| keys_of_drills(node) == 0);
    assert!(wait_until(PATIENCE, none), "some were left: {told}");
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
