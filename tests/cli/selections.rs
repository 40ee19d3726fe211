//! `switchmaster failover`, where the sentinels choose an unexpected replica, each under load
//! by clients of other makes.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use switchmaster_sandbox::{Client, Cluster, Node, Sentinel, wait_until};

use crate::{
    failovers::{
        Failover, cluster, held, patient_cluster, replicas, wait_until_asked_before, waiting,
    },
    plain_load::PlainLoad,
    program::{PATIENCE, output, text},
};

/// Returns the last INFO of a replica that a sentinel remembers.
fn remembered(cluster: &Cluster, sentinel: &Sentinel, run_id: &str) -> String {
    let Ok(reply) = sentinel.ask(&["SENTINEL", "INFO-CACHE", cluster.service()]) else {
        return String::new();
    };
    let infos = reply.items()[1].items().iter().map(|one| one.items()[1].text());
    infos.into_iter().find(|info| info.contains(run_id)).unwrap_or_default()
}

fn run_id(node: &Node) -> String {
    let mut run_id = String::new();
    let answers = || node.run_id().map(|own| run_id = own).is_ok();
    assert!(wait_until(PATIENCE, answers), "{} does not answer", node.address());
    run_id
}

fn wait_until_known(cluster: &Cluster, replica: &Node, line: &str) {
    let run_id = run_id(replica);
    let known = || {
        let mut sentinels = cluster.sentinels().iter();
        sentinels.all(|sentinel| {
            remembered(cluster, sentinel, &run_id).lines().any(|known| known.trim() == line)
        })
    };
    assert!(wait_until(PATIENCE, known), "not all sentinels know {line} of {}", replica.address());
}

fn set(node: &Node, name: &str, value: &str) {
    let mut client = node.client_with(PATIENCE).unwrap();
    client.expect(&["CONFIG", "SET", name, value]).unwrap();
}

/// Asserts that nothing was done, that this node was named, and that nothing is lost.
fn assert_refused(cluster: &Cluster, load: PlainLoad, url: &str, node: &Node) {
    let master = cluster.master().unwrap();
    let done = output(&["failover", "--url", url, "--yes", "--now"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("nothing was done"), "{told}");
    assert!(told.contains(&format!("{} ", node.address())), "{told}");
    load.wait_for(100);
    assert_eq!(cluster.master().unwrap().port(), master.port(), "{told}");
    let (all, lost) = load.end(&master);
    assert_eq!(lost, 0, "of {all}: {told}");
}

#[test]
fn a_replica_that_sentinels_do_not_list_is_waited_for_and_promoted() {
    let cluster = cluster();
    let hidden = &replicas(&cluster)[1];
    set(hidden, "replica-priority", "10");
    set(hidden, "replica-announced", "no");
    wait_until_known(&cluster, hidden, "replica_announced:0");
    wait_until_known(&cluster, hidden, "slave_priority:10");
    let load = PlainLoad::begin(&cluster, 4);
    let done = output(&["failover", "--url", &cluster.url(), "--yes", "--now"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{told}");
    load.wait_for(100);
    let master = cluster.master().unwrap();
    assert_eq!(master.port(), hidden.port(), "{told}");
    let (all, lost) = load.end(&master);
    assert_eq!(lost, 0, "of {all}: {told}");
}

#[test]
fn a_replica_that_sentinels_do_not_list_and_that_is_away_is_in_the_way() {
    let cluster = cluster();
    let hidden = &replicas(&cluster)[1];
    set(hidden, "replica-priority", "10");
    set(hidden, "replica-announced", "no");
    wait_until_known(&cluster, hidden, "replica_announced:0");
    wait_until_known(&cluster, hidden, "slave_priority:10");
    let run_id = run_id(hidden);
    let master = cluster.master().unwrap();
    hidden.ask(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    let port = format!("port={},", hidden.port());
    let gone = || !master.ask(&["INFO", "replication"]).unwrap().text().contains(&port);
    assert!(wait_until(PATIENCE, gone), "the master has lost no replica");
    let done = output(&["failover", "--url", &cluster.url(), "--yes", "--now"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("nothing was done") && told.contains(&run_id), "{told}");
    assert_eq!(cluster.master().unwrap().port(), master.port());
}

#[test]
fn a_replica_whose_link_is_down_and_that_sentinels_may_promote_is_in_the_way() {
    let cluster = cluster();
    let away = &replicas(&cluster)[1];
    set(away, "replica-priority", "10");
    wait_until_known(&cluster, away, "slave_priority:10");
    let load = PlainLoad::begin(&cluster, 4);
    away.ask(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    assert_refused(&cluster, load, &cluster.url(), away);
}

#[test]
fn a_replica_that_only_sentinels_reach_is_in_the_way() {
    let cluster = cluster();
    let far = &replicas(&cluster)[1];
    set(far, "replica-priority", "10");
    wait_until_known(&cluster, far, "slave_priority:10");
    let load = PlainLoad::begin(&cluster, 4);
    // No server listens there.
    let url = format!("{}?address_map={}>127.0.0.1:1", cluster.url(), far.address());
    assert_refused(&cluster, load, &url, far);
}

#[test]
fn a_priority_that_no_sentinel_knows_yet_counts() {
    let cluster = cluster();
    let raised = &replicas(&cluster)[1];
    set(raised, "replica-priority", "0");
    wait_until_known(&cluster, raised, "slave_priority:0");
    let load = PlainLoad::begin(&cluster, 4);
    set(raised, "replica-priority", "10");
    let done = output(&["failover", "--url", &cluster.url(), "--yes", "--now"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{told}");
    assert!(!told.contains("not expected"), "{told}");
    load.wait_for(100);
    let (all, lost) = load.end(&cluster.master().unwrap());
    assert_eq!(lost, 0, "of {all}: {told}");
}

#[test]
fn an_unexpected_choice_is_followed_as_the_promotion() {
    // The sentinel reads the new priority just before it chooses, or not; it nearly always does.
    for attempt in 0.. {
        let cluster = cluster();
        let raised = &replicas(&cluster)[1];
        set(raised, "replica-priority", "0");
        wait_until_known(&cluster, raised, "slave_priority:0");
        let load = PlainLoad::begin(&cluster, 4);
        let mut raise = raised.client().unwrap();
        wait_until_asked_before(&cluster);
        let mut failover = Failover::start(&cluster, &["--now"]);
        failover.wait_for("promotion");
        raise.expect(&["CONFIG", "SET", "replica-priority", "10"]).unwrap();
        let (status, told) = failover.end();
        assert_eq!(status.code(), Some(0), "{told}");
        load.wait_for(100);
        let master = cluster.master().unwrap();
        let (all, lost) = load.end(&master);
        assert_eq!(lost, 0, "of {all}: {told}");
        if master.port() == raised.port() {
            assert!(told.contains("was not expected"), "{told}");
            return;
        }
        assert!(attempt < 5, "it was never chosen: {told}");
    }
}

/// A replica that the cluster does not know of until it is there.
struct Added {
    server: Child,
    address: SocketAddr,
    directory: std::path::PathBuf,
}

impl Added {
    fn start(master: &Node) -> Added {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let port = address.port().to_string();
        let directory = std::env::temp_dir().join(format!("switchmaster-added-{port}"));
        std::fs::create_dir_all(&directory).unwrap();
        let server = Command::new("redis-server")
            .args(["--port", &port, "--save", "", "--replica-priority", "1", "--dir"])
            .arg(&directory)
            .args(["--replicaof", "127.0.0.1", &master.port().to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server runs");
        Added { server, address, directory }
    }

    fn wait_until_named_by(&self, master: &Node, state: &str) {
        let port = format!("port={},state={state}", self.address.port());
        let named = || master.ask(&["INFO", "replication"]).unwrap().text().contains(&port);
        assert!(wait_until(PATIENCE, named), "the new replica is not {state:?}");
    }
}

impl Drop for Added {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn a_replica_that_is_added_before_the_pause_is_waited_for() {
    let cluster = cluster();
    let master = cluster.master().unwrap();
    set(&master, "repl-diskless-sync-delay", "0");
    let load = PlainLoad::begin(&cluster, 4);
    let failover = waiting(&cluster);
    let added = Added::start(&master);
    added.wait_until_named_by(&master, "online");
    let (status, told) = failover.end();
    // A sentinel may have heard of it or not.
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(!told.contains("not expected"), "{told}");
    let named = cluster.sentinels()[0].master_of(cluster.service()).unwrap().unwrap();
    let mut master = match named == added.address {
        true => Client::connect(added.address, PATIENCE).unwrap(),
        false => cluster.master().unwrap().client().unwrap(),
    };
    let (all, lost) = load.end_at(&mut master);
    assert_eq!(lost, 0, "of {all}: {told}");
}

#[test]
fn a_replica_that_is_added_during_the_pause_is_in_the_way() {
    let cluster = patient_cluster();
    let master = cluster.master().unwrap();
    let failover = held(&cluster);
    let added = Added::start(&master);
    added.wait_until_named_by(&master, "");
    replicas(&cluster)[0].resume().unwrap();
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(1), "{told}");
    for part in [&*added.address.to_string(), "was added meanwhile", "no failover was ordered"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!(cluster.master().unwrap().port(), master.port());
}

#[test]
fn a_replica_that_stands_still_does_not_hide_the_promotion_of_another() {
    let cluster = patient_cluster();
    let [one, other] = &replicas(&cluster)[..] else { panic!("two replicas") };
    set(one, "replica-priority", "10");
    wait_until_known(&cluster, one, "slave_priority:10");
    let load = PlainLoad::begin(&cluster, 4);
    let mut failover = Failover::start(&cluster, &["--now", "--timeout", "3s"]);
    failover.wait_for("promotion");
    other.freeze().unwrap();
    failover.wait_for("demotion");
    other.resume().unwrap();
    let (status, told) = failover.end();
    // The failover of the sentinels may last longer, for they wait for the other.
    assert!(matches!(status.code(), Some(0 | 3)) && !told.contains("is lost"), "{told}");
    load.wait_for(50);
    let (all, lost) = load.end(&cluster.master().unwrap());
    assert_eq!(lost, 0, "of {all}: {told}");
}
