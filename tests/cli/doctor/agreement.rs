//! Sentinels that do not say the same.

use std::fs;

use switchmaster_sandbox::{Cluster, wait_until};

use super::{examine, wait_for, wait_without};
use crate::program::PATIENCE;

#[test]
fn sentinels_that_differ_are_named() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let [one, two, three] = cluster.sentinels() else { panic!("three sentinels") };
    let service = cluster.service();

    // What it forgets comes back with the next words of the others, within two seconds.
    let mut last = examine(&cluster.url());
    wait_until(PATIENCE, || {
        one.ask(&["SENTINEL", "RESET", service]).expect("it is reset");
        last = examine(&cluster.url());
        last.says("sentinels-apart", one)
    });
    last.assert_says("sentinels-apart", one);

    two.ask(&["SENTINEL", "REMOVE", service]).expect("it is removed");
    examine(&cluster.url()).assert_says("unknown-service", two);
    let wrong = cluster.nodes()[1].port().to_string();
    let words = ["SENTINEL", "MONITOR", service, "127.0.0.1", &wrong, "2"];
    two.ask(&words).expect("it monitors another one");
    let examination = examine(&cluster.url());
    examination.assert_says("split-master", two);
    assert_eq!(examination.exit_code, Some(3));

    let node = cluster.nodes()[0].address();
    let url = format!("redis+sentinel://{node},{}/{service}", three.address());
    examine(&url).assert_says("no-sentinel-there", &cluster.nodes()[0]);
}

#[test]
fn a_sentinel_whose_place_another_has_taken_still_counts() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let replaced = &cluster.sentinels()[2];
    replaced.kill().unwrap();
    let file = replaced.config_file();
    let text = fs::read_to_string(&file).expect("its configuration");
    let is_kept = |line: &&str| !line.starts_with("sentinel myid");
    let text: Vec<&str> = text.lines().filter(is_kept).collect();
    fs::write(&file, text.join("\n") + "\n").expect("it is written");
    replaced.restart().unwrap();
    let examination = wait_for("stale-sentinel", &cluster.url());
    assert_eq!(examination.document["errors"], 0, "{:#}", examination.document);
}

#[test]
fn a_sentinel_of_another_deployment_at_a_dead_ones_address_is_named() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let other = Cluster::builder().start().expect("another cluster starts");
    let [first, _, place] = cluster.sentinels() else { panic!("three sentinels") };
    let taker = &other.sentinels()[0];
    taker.kill().unwrap();
    place.restart_as(taker).unwrap();
    let examination = wait_for("stranger", &cluster.url());
    examination.assert_says("stranger", place);
    assert_eq!(examination.exit_code, Some(3));
    assert!(!examination.says("stranger", first), "{:#}", examination.document);
    // Found through the one that the URL names, it is named as well.
    let url = format!("redis+sentinel://{}/{}", first.address(), cluster.service());
    let examination = wait_for("stranger", &url);
    examination.assert_says("stranger", place);
    assert!(!examination.says("stranger", first), "{:#}", examination.document);
}

#[test]
fn a_sentinel_that_has_not_heard_of_the_last_failover_is_named() {
    let epoch = |number: u64| format!("sentinel config-epoch mymaster {number}");
    let cluster = Cluster::builder().sentinel_line(epoch(5)).start().expect("a cluster starts");
    let [one, two, behind] = cluster.sentinels() else { panic!("three sentinels") };
    examine(&cluster.url()).assert_has_not("epochs-differ");

    // As if it had been down during the last failover, and then nobody told it.
    behind.kill().unwrap();
    for other in [one, two] {
        other.ask(&["SENTINEL", "DEBUG", "publish-period", "3600000"]).expect("it is silent");
    }
    let text = fs::read_to_string(behind.config_file()).expect("its configuration");
    assert!(text.contains(&epoch(5)), "{text}");
    fs::write(behind.config_file(), text.replace(&epoch(5), &epoch(4))).expect("it is written");
    behind.restart().unwrap();
    let examination = wait_for("epochs-differ", &cluster.url());
    examination.assert_says("epochs-differ", behind);
    let said = examination.document.to_string();
    assert!(said.contains(&format!("4 at {}; 5 at ", behind.address())), "{said}");

    for other in [one, two] {
        other.ask(&["SENTINEL", "DEBUG", "publish-period", "100"]).expect("it speaks again");
    }
    wait_without("epochs-differ", &cluster.url());
}

#[test]
fn a_failover_that_is_under_way_is_told() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.failover().unwrap();
    wait_for("failover-running", &cluster.url());
}
