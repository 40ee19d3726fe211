//! How many there are, and on which machines.

use switchmaster_sandbox::Cluster;

use super::{examine, hosts};

#[test]
fn two_nodes_with_a_sentinel_beside_each_do_not_survive_a_host() {
    let two = hosts([2, 3]);
    let cluster = Cluster::builder().replicas(1).sentinels(2).hosts(two, two).start().unwrap();
    let examination = examine(&cluster.url());
    assert_eq!(examination.exit_code, Some(3), "{:#}", examination.document);
    for sentinel in cluster.sentinels() {
        examination.assert_says("few-sentinels", sentinel);
        examination.assert_says("host-takes-majority", sentinel);
    }
    let said = examination.document.to_string();
    assert!(said.contains("When 127.0.0.2 dies, 1 of 2 sentinels are left"), "{said}");
    assert!(said.contains("and the master is there, too"), "{said}");
    examination.assert_has_not("host-takes-nodes");
}

#[test]
fn four_sentinels_on_two_hosts_are_one_too_many() {
    let two = hosts([2, 3]);
    let builder = Cluster::builder().replicas(1).sentinels(4).quorum(2);
    let cluster = builder.hosts(hosts([2]), two).start().unwrap();
    let examination = examine(&cluster.url());
    examination.assert_has("even-sentinels");
    examination.assert_says("host-takes-majority", &cluster.sentinels()[0]);
    examination.assert_says("host-takes-majority", &cluster.sentinels()[1]);
    examination.assert_says("host-takes-nodes", &cluster.nodes()[0]);
    examination.assert_has_not("few-sentinels");
}

#[test]
fn three_hosts_survive_the_loss_of_any() {
    let three = hosts([2, 3, 4]);
    let cluster = Cluster::builder().replicas(1).hosts(three, three).start().unwrap();
    let examination = examine(&cluster.url());
    assert_eq!(examination.exit_code, Some(0), "{:#}", examination.document);
    assert_eq!(examination.codes(), ["writes-unbounded"]);
}

#[test]
fn a_single_sentinel_and_a_master_without_replicas_are_too_few() {
    let cluster = Cluster::builder().replicas(0).sentinels(1).start().unwrap();
    let examination = examine(&cluster.url());
    examination.assert_has("few-sentinels");
    examination.assert_says("no-replicas", &cluster.nodes()[0]);
}
