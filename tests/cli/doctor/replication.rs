//! Replicas that do not follow the master, and nodes that differ.

use switchmaster_sandbox::{Cluster, Role, wait_until};

use super::{examine, wait_for};
use crate::program::PATIENCE;

#[test]
fn nodes_in_the_wrong_role_are_named() {
    let builder = Cluster::builder().replicas(3).service_also("other");
    let cluster = builder.start().expect("a cluster starts");
    let [master, promoted, strayed, cut] = cluster.nodes() else { panic!("four nodes") };
    let elsewhere = &cluster.nodes_of("other")[0];
    promoted.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    cut.ask(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    strayed.follow(elsewhere).unwrap();
    let arrived = Role::Replica { of: Some(elsewhere.address()), connected: true };
    let in_sync = || strayed.role().is_ok_and(|role| role == arrived);
    assert!(wait_until(PATIENCE, in_sync), "{:?}", strayed.role());
    let examination = examine(&cluster.url());
    assert_eq!(examination.exit_code, Some(3));
    examination.assert_says("second-master", promoted);
    examination.assert_says("replica-strays", strayed);
    examination.assert_says("other-history", strayed);
    examination.assert_says("replica-strays", cut);
    examination.assert_says("replica-link-down", cut);
    examination.assert_has_not("not-a-master");

    master.follow(elsewhere).unwrap();
    examine(&cluster.url()).assert_says("not-a-master", master);
}

#[test]
fn a_replica_that_does_not_keep_up_is_named() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let [master, replica, _] = cluster.nodes() else { panic!("three nodes") };
    replica.freeze().unwrap();
    let value = "x".repeat(900 * 1024);
    master.ask(&["SET", "large", &value]).unwrap();
    wait_for("replica-lags", &cluster.url()).assert_says("replica-lags", replica);
}
