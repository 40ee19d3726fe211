//! Settings that are changed while the servers run.

use std::fs;

use switchmaster_sandbox::{Client, Cluster, Node, wait_until};

use super::{ask_all, examine, sentinel_set};
use crate::program::PATIENCE;

#[test]
fn settings_of_nodes_that_do_harm_are_named() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let [master, replica, other] = cluster.nodes() else { panic!("three nodes") };
    let set = |node: &Node, name: &str, value: &str| {
        node.ask(&["CONFIG", "SET", name, value]).expect("it is set");
    };
    let clients: Vec<Client> = (0..30).map(|_| other.client().expect("a client")).collect();
    let connected = other.info("clients", "connected_clients").unwrap();
    let limit = connected.parse::<usize>().expect("a number") + 2;

    set(master, "save", "");
    set(master, "min-replicas-to-write", "3");
    set(master, "repl-backlog-size", "16384");
    set(replica, "client-output-buffer-limit", "replica 1mb 1mb 60");
    set(replica, "replica-read-only", "no");
    set(replica, "repl-ping-replica-period", "8");
    set(replica, "min-replicas-to-write", "2");
    set(other, "client-output-buffer-limit", "pubsub 1mb 0 0");
    set(other, "maxclients", &limit.to_string());
    set(replica, "replica-priority", "0");
    set(other, "replica-priority", "0");
    fs::remove_dir_all(cluster.directory().join(replica.name())).expect("it has a directory");
    replica.ask(&["BGSAVE"]).expect("it tries");
    let failed = || replica.info("persistence", "rdb_last_bgsave_status").unwrap() == "err";
    assert!(wait_until(PATIENCE, failed), "{}", replica.log_tail(9));

    let examination = examine(&cluster.url());
    assert_eq!(examination.exit_code, Some(3));
    examination.assert_says("no-persistence", master);
    examination.assert_says("writes-refused", master);
    examination.assert_says("backlog-small", master);
    examination.assert_says("replica-buffer-small", replica);
    examination.assert_says("replica-writable", replica);
    examination.assert_says("repl-timeout-short", replica);
    examination.assert_says("writes-need-all", replica);
    examination.assert_says("persistence-fails", replica);
    examination.assert_says("pubsub-buffer-small", other);
    examination.assert_says("clients-near-limit", other);
    examination.assert_says("no-candidate", replica);
    examination.assert_says("no-candidate", other);
    for (code, node) in [
        ("no-persistence", other),
        ("replica-buffer-small", master),
        ("replica-writable", other),
        ("pubsub-buffer-small", replica),
        ("clients-near-limit", replica),
    ] {
        assert!(!examination.says(code, node), "{code} about {}", node.name());
    }
    drop(clients);

    ask_all(cluster.sentinels(), &["SENTINEL", "DEBUG", "info-period", "200"]);
    set(replica, "replica-announced", "no");
    let listed = || super::wait_for("replica-hidden", &cluster.url());
    listed().assert_says("replica-hidden", replica);
}

#[test]
fn settings_of_sentinels_that_do_harm_are_named() {
    let cluster = Cluster::builder().replicas(3).start().expect("a cluster starts");
    sentinel_set(&cluster, "down-after-milliseconds", "1000");
    sentinel_set(&cluster, "failover-timeout", "2000");
    sentinel_set(&cluster, "parallel-syncs", "2");
    sentinel_set(&cluster, "quorum", "1");
    let examination = examine(&cluster.url());
    assert_eq!(examination.exit_code, Some(1), "{:#}", examination.document);
    let one = &cluster.sentinels()[2];
    examination.assert_says("down-after-short", one);
    examination.assert_says("failover-timeout-short", one);
    examination.assert_says("parallel-syncs-all", one);
    examination.assert_says("quorum-one", one);

    sentinel_set(&cluster, "down-after-milliseconds", "120000");
    sentinel_set(&cluster, "failover-timeout", "600000");
    sentinel_set(&cluster, "quorum", "3");
    let examination = examine(&cluster.url());
    examination.assert_has("down-after-long");
    examination.assert_has("quorum-of-all");
    examination.assert_has_not("down-after-short");
    examination.assert_has_not("failover-timeout-short");

    let one = &cluster.sentinels()[0];
    one.ask(&["SENTINEL", "SET", "mymaster", "quorum", "4"]).expect("it is set");
    let examination = examine(&cluster.url());
    assert_eq!(examination.exit_code, Some(3));
    examination.assert_says("no-quorum", one);
    examination.assert_has("quorum-too-high");
    examination.assert_has("settings-differ");
    let said = examination.document.to_string();
    assert!(said.contains("quorum: 3 at "), "{said}");
}
