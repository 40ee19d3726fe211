//! How many there are, and on which machines.

use std::net::{IpAddr, UdpSocket};

use switchmaster_sandbox::{Builder, Cluster};

use super::{examine, hosts};

const PASSWORD: &str = "first-secret";

/// An address of this machine that is none of loopback, by which it would call others. Nothing is
/// sent: a datagram socket that is connected has only chosen its address. What goes from such an address
/// to itself never leaves the machine, either.
fn outer_address() -> IpAddr {
    let towards = |from: &str, to: &str| -> Option<IpAddr> {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
    };
    // Addresses for documentation, which belong to nobody.
    let found = towards("0.0.0.0", "198.51.100.1").or_else(|| towards("::", "2001:db8::1"));
    found.expect("a machine with a route to others: give it (or its container) a network")
}

/// Nodes and sentinels at these addresses, behind passwords, since others might reach them.
fn guarded<const N: usize, const M: usize>(nodes: [IpAddr; N], sentinels: [IpAddr; M]) -> Builder {
    let builder = Cluster::builder().replicas(1).hosts(nodes, sentinels);
    builder.password(PASSWORD).sentinel_password(PASSWORD)
}

fn url(cluster: &Cluster) -> String {
    let url = cluster.url().replacen("://", &format!("://:{PASSWORD}@"), 1);
    format!("{url}?sentinel_password={PASSWORD}")
}

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

#[test]
fn a_machine_that_has_everything_takes_everything_with_it() {
    let outer = outer_address();
    let cluster = guarded([outer], [outer]).start().unwrap();
    let examination = examine(&url(&cluster));
    assert_eq!(examination.exit_code, Some(3), "{:#}", examination.document);
    assert_eq!(examination.codes(), ["one-host", "writes-unbounded"]);
    cluster.members().for_each(|member| examination.assert_says("one-host", member));
}

#[test]
fn a_server_that_is_announced_by_a_loopback_address_among_others_is_named() {
    let (outer, [local]) = (outer_address(), hosts([2]));
    let cluster = guarded([outer, local], [outer, outer, local]).start().unwrap();
    let examination = examine(&url(&cluster));
    assert_eq!(examination.exit_code, Some(3), "{:#}", examination.document);
    for member in cluster.members() {
        let is_local = member.address().ip() == local;
        assert_eq!(examination.says("loopback-announced", member), is_local, "{}", member.name());
    }
    examination.assert_says("loopback-announced", &cluster.nodes()[1]);
    examination.assert_has_not("one-host");
}
