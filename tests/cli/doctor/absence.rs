//! Servers that are down, frozen, or cannot be reached from here.

use std::time::{Duration, Instant};

use switchmaster_sandbox::{Cluster, FaultProxy, wait_until};

use super::{examine, wait_for};
use crate::program::PATIENCE;

#[test]
fn dead_and_frozen_servers_are_named_and_hold_nobody_up() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let [one, two, _] = cluster.sentinels() else { panic!("three sentinels") };
    one.kill().unwrap();
    wait_for("sentinel-down", &cluster.url()).assert_says("sentinel-down", one);
    two.freeze().unwrap();
    let examination = wait_for("no-majority", &cluster.url());
    assert!(
        examination.says("sentinel-down", two) || examination.says("unreachable-sentinel", two)
    );
    assert_eq!(examination.exit_code, Some(3));

    cluster.nodes()[2].kill().unwrap();
    wait_for("node-down", &cluster.url()).assert_says("node-down", &cluster.nodes()[2]);
    // A single sentinel replaces nobody, so that this stays.
    cluster.nodes()[0].freeze().unwrap();
    let began = Instant::now();
    let examination = wait_for("master-down", &cluster.url());
    examination.assert_says("master-down", &cluster.nodes()[0]);
    assert!(examination.document["took_ms"].as_u64() < Some(10_000), "{:?}", began.elapsed());

    for sentinel in cluster.sentinels() {
        sentinel.kill().unwrap();
    }
    let examination = examine(&cluster.url());
    examination.assert_has("no-master");
    assert_eq!(examination.exit_code, Some(3));
}

#[test]
fn addresses_that_only_the_servers_reach_are_told_from_servers_that_are_down() {
    let cluster = Cluster::builder().proxied(true).start().expect("a cluster starts");
    let named = cluster.nodes()[2].address();
    let mut map = Vec::new();
    for (announced, proxy) in cluster.address_map() {
        let way = if announced == named { "nowhere.invalid:1".into() } else { proxy.to_string() };
        map.push(format!("{announced}%3E{way}"));
    }
    let url = format!("{}?address_map={}", cluster.url(), map.join("%3B"));
    let healthy = examine(&url);
    healthy.assert_has_not("unreachable-node");
    healthy.assert_has_not("unreachable-sentinel");
    healthy.assert_says("unresolved-name", &cluster.nodes()[2]);

    let black = [&*cluster.nodes()[1], &*cluster.sentinels()[0]];
    cluster.partition_client_from(black).unwrap();
    let examination = examine(&url);
    assert_eq!(examination.exit_code, Some(3));
    examination.assert_says("unreachable-node", black[0]);
    examination.assert_says("unreachable-sentinel", black[1]);
    examination.assert_has_not("node-down");
    examination.assert_has_not("sentinel-down");
}

#[test]
fn a_sentinel_that_answers_only_at_the_address_in_the_url_is_named() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let target = &cluster.sentinels()[0];
    let front = FaultProxy::to(target.address()).unwrap();
    let back = FaultProxy::to(target.address()).unwrap();
    back.black_hole();
    let map = format!("{}%3E{}", target.address(), back.address());
    let url = format!("redis+sentinel://{}/mymaster?address_map={map}", front.address());
    let examination = examine(&url);
    examination.assert_says("unreachable-sentinel", target);
    // It is one sentinel, whichever way it is called.
    assert_eq!(examination.document["sentinels"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_sentinel_in_tilt_mode_is_named() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let sentinel = &cluster.sentinels()[1];
    sentinel.freeze().unwrap();
    let frozen = Instant::now();
    // More than two seconds without a turn are what TILT is about.
    assert!(wait_until(PATIENCE, || frozen.elapsed() > Duration::from_millis(2500)));
    sentinel.resume().unwrap();
    wait_for("sentinel-tilt", &cluster.url()).assert_says("sentinel-tilt", sentinel);
}
