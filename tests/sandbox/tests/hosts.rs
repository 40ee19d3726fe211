//! Where the members of a cluster listen, what they call each other, and sentinels that move.

use std::{
    net::{IpAddr, Ipv6Addr, TcpListener},
    time::Duration,
};

use switchmaster_sandbox::{Cluster, Probe};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn members_that_go_by_a_name_announce_it_and_are_found_by_it() {
    let cluster = Cluster::builder().announce_name("localhost").start().unwrap();
    let old = cluster.master().unwrap();
    let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"];
    let named = cluster.sentinels()[0].ask(&words).unwrap();
    assert_eq!(named.items()[0].text(), "localhost");
    let probe = Probe::start(&cluster).unwrap();
    cluster.failover().unwrap();
    let announcement = probe.announcement(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
    assert_eq!(announcement.old, old.address());
    let new = cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    assert_eq!(announcement.new, new.address());
    cluster.repair(LONG).unwrap();
}

#[test]
fn members_listen_on_ipv6() {
    if let Err(error) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        eprintln!("NOT TESTED: this machine has no IPv6 loopback: {error}");
        return;
    }
    let cluster = Cluster::builder().listen_on(Ipv6Addr::LOCALHOST).start().unwrap();
    let old = cluster.kill_master().unwrap();
    assert!(old.address().is_ipv6());
    cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    cluster.repair(LONG).unwrap();
}

#[test]
fn a_sentinel_that_moves_is_the_same_to_the_others() {
    let cluster = Cluster::builder().start().unwrap();
    let sentinel = &cluster.sentinels()[0];
    let before = sentinel.address();
    sentinel.move_away().unwrap();
    assert_ne!(sentinel.address(), before);
    cluster.wait_settled(LONG).unwrap();
    for other in &cluster.sentinels()[1..] {
        let listed = other.ask(&["SENTINEL", "SENTINELS", "mymaster"]).unwrap();
        let own = listed.items().iter().find(|own| own.field_text("runid") == sentinel.id());
        let port = own.map(|own| own.field_text("port"));
        assert_eq!(port, Some(sentinel.port().to_string()), "{}", other.name());
        assert!(other.log().contains("+sentinel-address-switch"), "{}", other.log_tail(20));
    }
}

#[test]
fn members_on_hosts_of_their_own_announce_them() {
    let hosts = [2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
    let builder = Cluster::builder().replicas(1).hosts(hosts, hosts);
    let cluster = builder.start().unwrap_or_else(|error| panic!("{error}"));
    let ips: Vec<IpAddr> = cluster.members().map(|member| member.address().ip()).collect();
    assert_eq!(ips, [hosts[0], hosts[1], hosts[0], hosts[1], hosts[0]]);
    let old = cluster.kill_master().unwrap();
    let new = cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    assert_eq!(new.address().ip(), hosts[1]);
    cluster.repair(LONG).unwrap();
}
