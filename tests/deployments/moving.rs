//! Sentinels that come back elsewhere.

use switchmaster::{SentinelLink, Topology};
use switchmaster_sandbox::{Cluster, Sentinel, wait_until};

use super::{common::*, *};

/// The ports at which sentinels are linked.
fn linked(topology: &Topology) -> Vec<u16> {
    let up = topology.sentinels.iter().filter(|own| matches!(own.link, SentinelLink::Up { .. }));
    up.map(|own| own.address.port()).collect()
}

fn wait_until_linked(factory: &Factory, sentinel: &Sentinel) {
    let is = || factory.topology().is_ok_and(|own| linked(&own).contains(&sentinel.port()));
    assert!(wait_until(PATIENCE, is), "{:#?}", factory.topology());
}

/// Moves it, and waits until the others know.
fn move_away(cluster: &Cluster, sentinel: &Sentinel) {
    let before = sentinel.port();
    sentinel.move_away().unwrap();
    assert_ne!(sentinel.port(), before);
    cluster.wait_settled(PATIENCE).unwrap();
}

#[test]
fn a_sentinel_that_moves_is_found_where_it_went() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    let sentinel = &cluster.sentinels()[0];
    move_away(&cluster, sentinel);
    wait_until_linked(&factory, sentinel);
    // It is one sentinel, here or there: two of three are still a majority.
    cluster.sentinels()[1].kill().unwrap();
    let master = cluster.master().unwrap();
    cluster.kill_master().unwrap();
    wait_for_switch(&factory, 1);
    assert_ne!(factory.master().unwrap().port(), master.port());
    wait_for_write(&factory);
}

#[test]
fn when_every_configured_sentinel_has_moved_the_factory_has_moved_with_them() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    let configured: Vec<u16> = cluster.sentinels().iter().map(|own| own.port()).collect();
    for sentinel in cluster.sentinels() {
        move_away(&cluster, sentinel);
        wait_until_linked(&factory, sentinel);
    }
    let mut ports = linked(&factory.topology().unwrap());
    ports.sort_unstable();
    assert_eq!(ports.len(), 3, "{ports:?}");
    assert!(ports.iter().all(|port| !configured.contains(port)), "{ports:?} {configured:?}");
    follows(&factory, &cluster);
}
