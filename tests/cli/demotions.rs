//! `switchmaster failover`: the demotion of the old master, and the check of its pause.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use switchmaster_sandbox::{Cluster, Node, Role, Sentinel, frame::Frame, wait_until};

use crate::{
    failovers::{Failover, assert_writable, cluster, held, patient_cluster, replicas},
    plain_load::PlainLoad,
    program::{PATIENCE, help, output, text},
};

/// A cluster that has a user `operator` with these rights beyond everything, and its URL.
fn with_rights(rights: &str) -> (Cluster, String) {
    let line = format!("user operator on >secret ~* &* +@all {rights}");
    let cluster = Cluster::builder()
        .failover_timeout(Duration::from_secs(3))
        .node_line(line)
        .start()
        .unwrap();
    cluster.wait_replicated(PATIENCE).unwrap();
    let url = format!("{}?username=operator&password=secret", cluster.url());
    (cluster, url)
}

#[test]
fn writes_that_wait_do_not_run_when_the_demotion_is_refused() {
    let cluster = patient_cluster();
    let old = cluster.master().unwrap();
    let load = PlainLoad::begin(&cluster, 4);
    let mut failover = Failover::start(&cluster, &["--now"]);
    failover.wait_for("promotion");
    let mut waiting = old.client_with(PATIENCE).unwrap();
    waiting.send(&["SET", "waiting", "1"]).unwrap();
    old.ask(&["ACL", "SETUSER", "default", "-replicaof"]).unwrap();
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(3), "{told}");
    for part in ["was not made a replica", "replicaof", "its clients were disconnected"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let reply = waiting.read(PATIENCE);
    assert!(reply.is_err() || matches!(reply, Ok(None)), "{reply:?}");
    load.wait_for(50);
    let master = cluster.master().unwrap();
    assert_ne!(master.port(), old.port());
    let (all, lost) = load.end(&master);
    assert_eq!(lost, 0, "of {all}: {told}");
}

#[test]
fn a_master_that_is_busy_with_a_script_is_demoted_when_it_is_done() {
    let cluster = patient_cluster();
    let old = cluster.master().unwrap();
    old.ask(&["CONFIG", "SET", "busy-reply-threshold", "10"]).unwrap();
    let load = PlainLoad::begin(&cluster, 4);
    let mut failover = Failover::start(&cluster, &["--now", "--json"]);
    failover.wait_for("announcement");
    // The announcement takes less than a second.
    let script = "local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end \
        local began = now() while now() < began + 1500 do end return 1";
    let mut client = old.client_with(PATIENCE).unwrap();
    let busy = thread::spawn(move || client.call(&["EVAL_RO", script, "0"]));
    failover.wait_for("demotion");
    let began = Instant::now();
    failover.wait_for("release");
    let took = began.elapsed();
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(0), "{took:?}: {told}");
    drop(busy.join().unwrap());
    load.wait_for(50);
    let (all, lost) = load.end(&cluster.master().unwrap());
    assert_eq!(lost, 0, "of {all}: {told}");
}

#[test]
fn rights_that_cannot_be_looked_up_are_in_the_way_unless_they_are_trusted() {
    let (cluster, url) = with_rights("-acl");
    let old = cluster.master().unwrap();
    let done = output(&["failover", "--url", &url, "--yes", "--now"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("nothing was done") && told.contains("--trust-rights"), "{told}");
    assert_eq!(cluster.master().unwrap().port(), old.port());
    let done = output(&["failover", "--url", &url, "--yes", "--now", "--trust-rights"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));

    let (_cluster, url) = with_rights("-replicaof");
    let done = output(&["failover", "--url", &url, "--yes", "--now", "--trust-rights"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("nothing was done") && told.contains("REPLICAOF NO ONE at"), "{told}");
}

#[test]
fn the_old_master_starts_again_as_a_replica() {
    let cluster = cluster();
    let old = cluster.master().unwrap();
    let done = output(&["failover", "--url", &cluster.url(), "--yes", "--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    // Before any sentinel could reconfigure it.
    cluster.sentinels().iter().for_each(|sentinel| sentinel.freeze().unwrap());
    old.restart().unwrap();
    let role = old.role().unwrap();
    cluster.sentinels().iter().for_each(|sentinel| sentinel.resume().unwrap());
    assert!(matches!(role, Role::Replica { .. }), "it started as {role:?}");
}

#[test]
fn a_demotion_that_may_not_be_written_down_is_reported() {
    let (cluster, url) = with_rights("-config|rewrite");
    let done = output(&["failover", "--url", &url, "--dry-run"]);
    let printed = text(&done.stdout);
    assert!(done.status.success() && printed.contains("note: a restart makes"), "{printed}");
    let done = output(&["failover", "--url", &url, "--yes", "--now", "--json"]);
    let (printed, told) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(3), "{told}");
    assert!(told.contains("CONFIG REWRITE") && told.contains("a master again"), "{told}");
    let report: Value = serde_json::from_str(&printed).expect("one JSON document");
    assert_eq!(report["wrong"].as_array().map(Vec::len), Some(1), "{report}");
    cluster.wait_settled(PATIENCE).expect("all is in its place");
}

#[test]
fn writes_during_a_pause_that_another_client_ends_are_counted() {
    let cluster = patient_cluster();
    let old = cluster.master().unwrap();
    let load = PlainLoad::begin(&cluster, 4);
    let stdout = Stdio::piped();
    let mut failover = Failover::of(&cluster.url(), &["--now", "--json"], stdout);
    failover.wait_for("announcement");
    old.ask(&["CLIENT", "UNPAUSE"]).unwrap();
    let (status, told, printed) = failover.end_with_output();
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(told.contains("did not hold") && told.contains("are lost"), "{told}");
    let report: Value = serde_json::from_str(&printed).expect("one JSON document");
    let counted = report["slipped"]["changes"].as_u64().expect("a number");
    load.wait_for(50);
    let (all, lost) = load.end(&cluster.master().unwrap());
    assert!(lost > 0 && counted >= lost as u64, "{counted} told, {lost} of {all} lost: {told}");
}

#[test]
fn a_pause_that_another_client_ends_before_the_order_stops_the_failover() {
    let cluster = patient_cluster();
    let old = cluster.master().unwrap();
    let failover = held(&cluster);
    let is_paused = || {
        let mut client = old.client_with(Duration::from_millis(100)).unwrap();
        client.call(&["SET", "slipped", "through"]).is_err()
    };
    assert!(wait_until(PATIENCE, is_paused), "writes are not paused");
    old.ask(&["CLIENT", "UNPAUSE"]).unwrap();
    old.ask(&["SET", "slipped", "through"]).unwrap();
    replicas(&cluster)[0].resume().unwrap();
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(1), "{told}");
    for part in ["did not hold", "no failover was ordered", "writes go on at"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!(cluster.master().unwrap().port(), old.port());
}

#[test]
fn pings_to_the_replicas_are_not_taken_for_writes() {
    let cluster = patient_cluster();
    let old = cluster.master().unwrap();
    old.ask(&["CONFIG", "SET", "repl-ping-replica-period", "1"]).unwrap();
    let offset = || old.info("replication", "master_repl_offset").unwrap().parse::<u64>().unwrap();
    let load = PlainLoad::begin(&cluster, 4);
    let mut failover = held(&cluster);
    // Longer than two periods, under a pause.
    let before = offset();
    assert!(wait_until(PATIENCE, || offset() >= before + 28), "no PINGs");
    replicas(&cluster)[0].resume().unwrap();
    failover.wait_for("settling");
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(0), "{told}");
    load.wait_for(50);
    let (all, lost) = load.end(&cluster.master().unwrap());
    assert_eq!(lost, 0, "of {all}: {told}");
}

#[test]
fn a_link_to_the_master_that_is_lost_between_two_steps_is_made_again() {
    for step in ["catching up", "promotion", "announcement", "demotion", "release"] {
        let cluster = patient_cluster();
        let old = cluster.master().unwrap();
        let load = PlainLoad::begin(&cluster, 4);
        let proxy = old.proxy().expect("a proxied cluster");
        let url = format!("{}?address_map={}>{}", cluster.url(), old.address(), proxy.address());
        let mut failover = Failover::of(&url, &["--now"], Stdio::piped());
        failover.wait_for(step);
        proxy.reset();
        let (status, told) = failover.end();
        match status.code() {
            Some(0) => assert_ne!(cluster.master().unwrap().port(), old.port(), "{step}: {told}"),
            // It does not know how far the replicas have to come, or had no connection to begin a pause.
            Some(1) => {
                let undone = ["writes go on", "so no failover was ordered; nothing else was done"];
                assert!(
                    step == "catching up" && undone.iter().any(|part| told.contains(part)),
                    "{told}"
                );
            }
            code => panic!("{step}: {code:?}: {told}"),
        }
        load.wait_for(50);
        let (all, lost) = load.end(&cluster.master().unwrap());
        assert_eq!(lost, 0, "of {all} at {step}: {told}");
    }
}

fn leader(cluster: &Cluster, line: &str) -> Sentinel {
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
    port.and_then(|port| cluster.sentinel_at(port)).expect("one of the sentinels")
}

/// The replica that has become a master.
fn promoted(cluster: &Cluster, old: &Node) -> Option<Node> {
    let others = cluster.nodes().iter().filter(|node| node.port() != old.port());
    others.into_iter().find(|node| matches!(node.role(), Ok(Role::Master))).cloned()
}

#[test]
fn the_help_is_true_of_a_kill_between_the_promotion_and_the_demotion() {
    let help = help(&["failover"]).split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = "If it is killed between the promotion and the demotion, the old master acknowledges \
        writes again when the pause ends, and these are lost when the sentinels demote it";
    assert!(help.contains(sentence), "{help}");

    let cluster = cluster();
    let old = cluster.master().unwrap();
    let mut failover = Failover::start(&cluster, &["--now"]);
    let leader = leader(&cluster, &failover.wait_for("promotion"));
    // Without the others no sentinel names the new master, so the demotion comes at the end of the pause.
    let others = || cluster.sentinels().iter().filter(|sentinel| sentinel.id() != leader.id());
    others().for_each(|sentinel| sentinel.freeze().unwrap());
    failover.wait_for("announcement");
    failover.signal("KILL");
    let (status, told) = failover.end();
    assert!(!status.success() && !told.contains("  demotion: "), "{told}");
    others().for_each(|sentinel| sentinel.resume().unwrap());
    let new = promoted(&cluster, &old).expect("a replica was promoted");
    assert_writable(&old);
    let reply = old.ask(&["SET", "acknowledged", "by the old master"]).unwrap();
    assert_eq!(reply, Frame::ok());
    assert_eq!(new.ask(&["EXISTS", "acknowledged"]).unwrap(), Frame::Integer(0));
    cluster.wait_settled(PATIENCE).expect("the sentinels demote it");
    assert_eq!(old.ask(&["EXISTS", "acknowledged"]).unwrap(), Frame::Integer(0));
}
