//! A cluster runs the server that it is told to, and Valkey's way to fail over.

use std::time::{Duration, Instant};

use switchmaster_sandbox::{Cluster, Member, Probe, Role, valkey_server};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn valkey_hands_the_master_over_and_both_change_their_roles_at_once() {
    let cluster = Cluster::builder().server(valkey_server().unwrap()).start().unwrap();
    assert_eq!(cluster.nodes().len(), 3);
    for member in cluster.members() {
        assert_eq!(member.info("server", "server_name").unwrap(), "valkey", "{}", member.name());
    }
    let old = cluster.master().unwrap();
    old.ask(&["SET", "a", "1"]).unwrap();
    let mut held = old.client_with(LONG).unwrap();
    let probe = Probe::start(&cluster).unwrap();

    cluster.sentinels()[1].failover_coordinated("mymaster").unwrap();
    let promotion = probe.promotion(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
    // A connection to the old master outlives the promotion, and finds a replica at its end.
    let begun = Instant::now();
    let role = held.call(&["ROLE"]).unwrap();
    eprintln!("the old master is {:?} {:?} after P", role.items()[0], begun - promotion.at);
    assert_eq!(role.items()[0].text(), "slave");
    let new = cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    assert_eq!(new.address(), promotion.address);
    assert_eq!(new.ask(&["GET", "a"]).unwrap().text(), "1");
    assert!(matches!(old.role().unwrap(), Role::Replica { of, .. } if of == Some(new.address())));
    cluster.repair(LONG).unwrap();
}

#[test]
fn a_cluster_of_valkey_is_repaired_after_the_death_of_its_master() {
    let cluster = Cluster::builder().server(valkey_server().unwrap()).start().unwrap();
    for _ in 0..2 {
        let old = cluster.kill_master().unwrap();
        cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
        cluster.repair(LONG).unwrap();
        assert!(old.is_running());
    }
}

#[test]
fn one_process_runs_redis_and_valkey_side_by_side() {
    let redis = Cluster::builder().replicas(0).sentinels(1).start().unwrap();
    let valkey = valkey_server().unwrap();
    let other = Cluster::builder().replicas(0).sentinels(1).server(valkey.clone()).start().unwrap();
    let mixed =
        Cluster::builder().replicas(0).sentinels(1).sentinel_program(valkey).start().unwrap();
    let names = |cluster: &Cluster| {
        let name = |member: &Member| member.info("server", "server_name").unwrap();
        cluster.members().map(name).collect::<Vec<_>>()
    };
    // Redis has no such field; the environment may name another server, though.
    let usual = names(&redis)[0].clone();
    assert_eq!(names(&other), ["valkey", "valkey"]);
    assert_eq!(names(&mixed), [usual.as_str(), "valkey"]);
}
