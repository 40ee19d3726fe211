//! Servers that are not alike: versions and clocks.

use std::time::Duration;

use switchmaster_sandbox::{Cluster, valkey_server};

use super::{examine, wait_for};

#[test]
fn a_node_of_another_version_is_named() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let valkey = valkey_server().expect("`make setup` brings one");
    let newer = Cluster::builder().server(valkey).replicas(0).sentinels(0).start().unwrap();
    newer.nodes()[0].follow(&cluster.nodes()[0]).unwrap();
    let examination = wait_for("node-versions-differ", &cluster.url());
    examination.assert_says("node-versions-differ", &newer.nodes()[0]);
    examination.assert_says("node-versions-differ", &cluster.nodes()[0]);
    examination.assert_has_not("sentinel-versions-differ");
}

#[test]
fn a_sentinel_of_another_version_is_named() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let valkey = valkey_server().expect("`make setup` brings one");
    let other = Cluster::builder().server(valkey).replicas(0).sentinels(1).service("other");
    let other = other.start().expect("a second cluster starts");
    let newer = &other.sentinels()[0];
    let port = cluster.nodes()[0].port().to_string();
    let words = ["SENTINEL", "MONITOR", cluster.service(), "127.0.0.1", &port, "2"];
    newer.ask(&words).expect("it monitors the service, too");

    let examination = wait_for("sentinel-versions-differ", &cluster.url());
    examination.assert_says("sentinel-versions-differ", newer);
    examination.assert_says("sentinel-versions-differ", &cluster.sentinels()[0]);
    let said = examination.document.to_string();
    assert!(said.contains(&format!("Valkey 9.1 at {}", newer.address())), "{said}");
    examination.assert_has_not("node-versions-differ");
}

#[test]
fn a_clock_that_is_ahead_is_named() {
    let cluster = Cluster::builder().proxied(true).start().expect("a cluster starts");
    let [_, fast, _] = cluster.nodes() else { panic!("three nodes") };
    let map = cluster.address_map();
    let map: Vec<String> = map.iter().map(|(from, to)| format!("{from}%3E{to}")).collect();
    let url = format!("{}?address_map={}", cluster.url(), map.join("%3B"));
    // What the way there explains is not told, however slow the machine is.
    examine(&url).assert_has_not("clocks-differ");

    fast.proxy().expect("a proxy").clock_ahead(Duration::from_secs(60));
    let examination = examine(&url);
    examination.assert_says("clocks-differ", fast);
    assert_eq!(examination.exit_code, Some(1), "{:#}", examination.document);
    fast.proxy().expect("a proxy").pass();
    examine(&url).assert_has_not("clocks-differ");
}
