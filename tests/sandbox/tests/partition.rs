//! Clients are shut in with the master, cut off from everybody else.

use std::{net::SocketAddr, time::Duration};

use switchmaster_sandbox::{Client, Cluster, Member, Probe, Role};

const LONG: Duration = Duration::from_secs(20);
/// Within this nothing comes that should not come.
const SHORT: Duration = Duration::from_millis(60);

fn through_the_proxy(member: &Member) -> SocketAddr {
    member.proxy().unwrap().address()
}

/// A connection to each member, by way of its proxy, that has answered once.
fn connections<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<Client> {
    let connect = |member| {
        let mut client = Client::connect(through_the_proxy(member), LONG).unwrap();
        assert_eq!(client.call(&["PING"]).unwrap().text(), "PONG");
        client
    };
    members.map(connect).collect()
}

#[test]
fn a_client_shut_in_with_the_master_hears_nobody_else_until_it_is_healed() {
    let cluster = Cluster::builder().proxied(true).start().unwrap();
    let old = cluster.master().unwrap();
    let others = || cluster.members().filter(|member| member.port() != old.port());
    assert_eq!(others().count(), 5);
    let mut heard = connections(others());
    let mut master = connections([&*old].into_iter()).remove(0);

    cluster.partition_client_from(others()).unwrap();
    // Connections that were there, and new ones, which are accepted.
    for member in others() {
        heard.push(Client::connect(through_the_proxy(member), LONG).unwrap());
    }
    for client in &mut heard {
        client.send(&["PING"]).unwrap();
    }
    for client in &mut heard {
        assert_eq!(client.read(SHORT).unwrap(), None);
    }
    assert_eq!(master.call(&["SET", "a", "1"]).unwrap().text(), "OK");
    cluster.wait_settled(LONG).unwrap();
    cluster.wait_replicated(LONG).unwrap();

    // The members replace the master, and it takes writes from those who are shut in with it.
    let probe = Probe::start(&cluster).unwrap();
    cluster.failover().unwrap();
    let promotion = probe.promotion(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
    assert_eq!(master.call(&["SET", "a", "lost"]).unwrap().text(), "OK");
    let new = cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    assert_eq!(new.address(), promotion.address);
    for client in &mut heard {
        assert_eq!(client.read(SHORT).unwrap(), None, "an end of the connection is held back, too");
    }

    cluster.heal();
    let mut ended = 0;
    for client in &mut heard {
        match client.read(LONG) {
            Ok(frame) => assert_eq!(frame.unwrap().text(), "PONG"),
            // Replicas close what was connected to them when they were reconfigured.
            Err(_) => ended += 1,
        }
    }
    assert!(ended <= 2, "{ended} connections of two replicas");
    cluster.repair(LONG).unwrap();
    assert_eq!(connections(cluster.members()).len(), 6);
    assert!(matches!(old.role().unwrap(), Role::Replica { of, .. } if of == Some(new.address())));
    assert_eq!(
        old.ask(&["GET", "a"]).unwrap().text(),
        "1",
        "what only the old master took is gone"
    );
}
