//! Clusters start, fail over and settle again.

use std::time::{Duration, Instant};

use switchmaster_sandbox::{Client, Cluster, ErrorKind, Probe, Role};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_cluster_is_ready_when_it_has_started() {
    let begun = Instant::now();
    let cluster = Cluster::builder().start().unwrap();
    eprintln!("started in {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(cluster.nodes().len(), 3);
    assert_eq!(cluster.master().unwrap().role().unwrap(), Role::Master);
    for sentinel in cluster.sentinels() {
        let master = cluster.master().unwrap().address();
        assert_eq!(sentinel.master_of("mymaster").unwrap(), Some(master));
        assert_eq!(sentinel.ask(&["SENTINEL", "MYID"]).unwrap().text(), sentinel.id());
    }
    cluster.master().unwrap().ask(&["SET", "a", "1"]).unwrap();
    assert!(cluster.master().unwrap().ask(&["DEBUG", "SLEEP", "0"]).is_ok());
}

fn promotes(fault: impl FnOnce(&Cluster)) {
    let cluster = Cluster::builder().start().unwrap();
    let old = cluster.master().unwrap();
    let probe = Probe::start(&cluster).unwrap();
    let begun = Instant::now();
    fault(&cluster);
    let promotion = probe.promotion(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
    let announcement = probe.announcement(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
    eprintln!(
        "P at {:?}, announced {:?} later",
        promotion.at - begun,
        announcement.at - promotion.at
    );
    assert_ne!(promotion.address, old.address());
    assert_eq!(announcement.new, promotion.address);
    assert_eq!(announcement.old, old.address());
    assert!(announcement.at > promotion.at);
    assert_eq!(probe.wait_for_announcements(3, LONG).len(), 3);
    for a in probe.announcements() {
        eprintln!("announced {} {:?}", a.sentinel, a.at - promotion.at);
    }
    assert_eq!(probe.promotions().len(), 1);
    let new = cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    assert_eq!(new.address(), promotion.address);
    let begun = Instant::now();
    drop(probe);
    assert!(begun.elapsed() < Duration::from_secs(1));
    cluster.repair(LONG).unwrap();
    eprintln!("repaired in {:?}", begun.elapsed());
}

#[test]
fn a_killed_master_is_replaced_and_the_probe_sees_it_before_the_sentinels_say_so() {
    promotes(|cluster| {
        let old = cluster.kill_master().unwrap();
        assert!(!old.is_running());
    });
}

#[test]
fn a_frozen_master_is_replaced_and_the_probe_sees_it_before_the_sentinels_say_so() {
    promotes(|cluster| {
        let old = cluster.freeze_master().unwrap();
        assert!(old.is_running());
        assert_eq!(old.role().unwrap_err().kind(), ErrorKind::Timeout);
    });
}

#[test]
fn a_planned_failover_promotes_and_the_probe_sees_it_before_the_sentinels_say_so() {
    promotes(|cluster| cluster.failover().unwrap());
}

#[test]
fn three_failovers_in_a_row_are_possible_with_repairs_between() {
    let cluster = Cluster::builder().start().unwrap();
    for round in 0..3 {
        let probe = Probe::start(&cluster).unwrap();
        let old = match round {
            0 => cluster.kill_master().unwrap(),
            1 => {
                let old = cluster.master().unwrap();
                cluster.failover().unwrap();
                old
            }
            _ => cluster.freeze_master().unwrap(),
        };
        let promotion = probe.promotion(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
        let new = cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
        assert_eq!(new.address(), promotion.address);
        cluster.repair(LONG).unwrap();
        assert_eq!(cluster.master().unwrap().address(), new.address());
    }
}

#[test]
fn a_restarted_replica_settles_by_itself_with_another_run_id() {
    let cluster = Cluster::builder().start().unwrap();
    let replica = &cluster.nodes()[1];
    let (run_id, pid) = (replica.run_id().unwrap(), replica.pid());
    replica.kill().unwrap();
    assert!(!replica.is_running());
    let error = cluster.wait_settled(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("mymaster-1 is down"), "{error}");
    replica.restart().unwrap();
    assert_ne!(replica.run_id().unwrap(), run_id);
    assert_ne!(replica.pid(), pid);
    cluster.wait_settled(LONG).unwrap();

    let sentinel = &cluster.sentinels()[0];
    sentinel.restart().unwrap();
    cluster.wait_settled(LONG).unwrap();
}

#[test]
fn a_server_that_ends_by_itself_is_not_running() {
    let cluster = Cluster::builder().replicas(0).sentinels(0).start().unwrap();
    let node = &cluster.nodes()[0];
    let _ = node.ask(&["SHUTDOWN", "NOSAVE"]);
    assert!(switchmaster_sandbox::wait_until(LONG, || !node.is_running()));
    assert_eq!(node.freeze().unwrap_err().kind(), ErrorKind::Start);
    node.restart().unwrap();
    assert!(node.is_running());
}

#[test]
fn services_have_nodes_of_their_own_and_share_the_sentinels() {
    let cluster = Cluster::builder()
        .service("orders")
        .service_also("users")
        .replicas(1)
        .down_after(Duration::from_secs(3))
        .start()
        .unwrap();
    assert_eq!(cluster.services(), ["orders", "users"]);
    let orders = cluster.master().unwrap();
    let users = cluster.master_of("users").unwrap();
    assert_ne!(orders.address(), users.address());
    assert!(cluster.url_for("users").ends_with("/users"));
    let probe = Probe::of(&cluster, "users").unwrap();
    cluster.failover_of("users").unwrap();
    assert!(probe.announcement(LONG).is_some());
    cluster.wait_for_master_other_than(users.port(), LONG).unwrap();
    assert_eq!(cluster.master().unwrap().address(), orders.address());
}

#[test]
fn passwords_and_acl_lines_apply_and_the_sandbox_still_gets_in() {
    let cluster = Cluster::builder()
        .replicas(1)
        .password("node \"secret\"")
        .sentinel_password("sentinel-secret")
        .sentinel_line("user watcher on >x -@all +ping")
        .node_line("maxclients 200")
        .start()
        .unwrap();
    let second = Duration::from_secs(1);
    let ask = |address, words: &[&str]| {
        let mut client = Client::connect(address, second).unwrap();
        words.chunks(3).fold(String::new(), |_, words| client.call(words).unwrap().text())
    };
    let (node, sentinel) = (cluster.nodes()[0].address(), cluster.sentinels()[0].address());
    assert!(ask(node, &["PING"]).starts_with("NOAUTH"));
    assert_eq!(ask(node, &["AUTH", "default", "node \"secret\"", "PING"]), "PONG");
    assert!(ask(sentinel, &["PING"]).starts_with("NOAUTH"));
    assert_eq!(ask(sentinel, &["AUTH", "default", "sentinel-secret", "PING"]), "PONG");
    assert_eq!(ask(sentinel, &["AUTH", "watcher", "x", "PING"]), "PONG");
    assert!(ask(sentinel, &["AUTH", "watcher", "x", "ROLE"]).starts_with("NOPERM"));
    let old = cluster.master().unwrap();
    cluster.failover().unwrap();
    cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    cluster.repair(LONG).unwrap();
}

#[test]
fn two_clusters_do_not_know_of_each_other() {
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| Cluster::builder().replicas(1).start().unwrap());
        let second = scope.spawn(|| Cluster::builder().replicas(1).start().unwrap());
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_ne!(first.url(), second.url());
    let master = second.master().unwrap().address();
    let old = first.master().unwrap();
    first.failover().unwrap();
    first.wait_for_master_other_than(old.port(), LONG).unwrap();
    assert_eq!(second.master().unwrap().address(), master);
    drop(first);
    second.wait_settled(LONG).unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused_with_the_reason() {
    let refused = |builder: switchmaster_sandbox::Builder| {
        let error = builder.start().err().unwrap();
        (error.kind(), error.to_string())
    };
    let builder = Cluster::builder;
    let (kind, text) = refused(builder().down_after(Duration::from_millis(1000)));
    assert_eq!(kind, ErrorKind::Config);
    assert!(text.contains("1.2s or more"), "{text}");
    assert_eq!(refused(builder().quorum(4)).0, ErrorKind::Config);
    assert_eq!(refused(builder().service("two words")).0, ErrorKind::Config);
    assert_eq!(refused(builder().service_also("mymaster")).0, ErrorKind::Config);
    let (kind, text) = refused(builder().server("/nowhere/redis-server"));
    assert_eq!(kind, ErrorKind::Missing);
    assert!(text.contains("apt-get install redis-server"), "{text}");
    let (kind, text) = refused(builder().node_line("no-such-setting yes"));
    assert_eq!(kind, ErrorKind::Start);
    assert!(text.contains("no-such-setting"), "{text}");
}

#[test]
fn a_proxied_cluster_can_be_cut_off_from_its_clients_and_healed() {
    let cluster = Cluster::builder().replicas(1).sentinels(1).proxied(true).start().unwrap();
    let map = cluster.address_map();
    assert_eq!(map.len(), 3);
    let sentinel = &cluster.sentinels()[0];
    let (_, proxied) = map.iter().find(|(direct, _)| *direct == sentinel.address()).unwrap();
    assert!(cluster.proxied_url().contains(&proxied.to_string()));
    let mut client = Client::connect(*proxied, LONG).unwrap();
    assert_eq!(client.call(&["PING"]).unwrap().text(), "PONG");
    cluster.partition_client_from(cluster.sentinels()).unwrap();
    client.send(&["PING"]).unwrap();
    assert_eq!(client.read(Duration::from_millis(100)).unwrap(), None);
    cluster.wait_settled(LONG).unwrap();
    cluster.heal();
    assert_eq!(client.read(LONG).unwrap().unwrap().text(), "PONG");

    let direct = Cluster::builder().replicas(0).sentinels(0).start().unwrap();
    let error = direct.partition_client_from(direct.nodes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}
