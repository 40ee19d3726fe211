//! Sentinels that are silent, stale, slow or away.

mod common;

use std::time::{Duration, Instant};

use common::*;
use switchmaster::{Factory, SentinelLink, SwitchOn};
use switchmaster_sandbox::{Cluster, FaultProxy, wait_until};

/// A factory whose way to each sentinel leads through a proxy.
fn proxied(cluster: &Cluster) -> (Factory, Vec<FaultProxy>) {
    let proxies: Vec<FaultProxy> = cluster
        .sentinels()
        .iter()
        .map(|sentinel| FaultProxy::to(sentinel.address()).unwrap())
        .collect();
    let mut builder = Factory::builder().service(cluster.service());
    for (sentinel, proxy) in cluster.sentinels().iter().zip(&proxies) {
        builder =
            builder.sentinel(sentinel.address()).address_map(sentinel.address(), proxy.address());
    }
    (builder.build().unwrap(), proxies)
}

#[test]
fn with_every_message_swallowed_the_factory_still_follows() {
    let cluster = cluster();
    let (factory, proxies) = proxied(&cluster);
    proxies.iter().for_each(FaultProxy::swallow_pubsub);
    cluster.failover().unwrap();
    wait_for_switch(&factory, 1);
    cluster.wait_settled(PATIENCE).unwrap();
    assert_fresh(&factory, &cluster);
    let generation = factory.generation();
    cluster.kill_master().unwrap();
    wait_for_switch(&factory, generation);
    wait_for_write(&factory);
    assert_fresh(&factory, &cluster);
}

#[test]
fn with_subscribe_denied_the_factory_still_follows() {
    // The profile that Redis's documentation gives for clients of sentinels.
    let rights = "-@all +auth +client|getname +client|id +client|setname +command +hello +ping +role \
                  +sentinel|get-master-addr-by-name +sentinel|master +sentinel|myid \
                  +sentinel|replicas +sentinel|sentinels";
    let cluster = Cluster::builder()
        .sentinel_line(format!("user follower on >followerpass {rights}"))
        .start()
        .unwrap();
    let factory = Factory::builder()
        .sentinels(cluster.sentinels().iter().map(|sentinel| sentinel.address()))
        .service(cluster.service())
        .sentinel_username("follower")
        .sentinel_password("followerpass")
        .build()
        .unwrap();
    cluster.kill_master().unwrap();
    wait_for_switch(&factory, 1);
    wait_for_write(&factory);
    assert_fresh(&factory, &cluster);
}

#[test]
fn a_stale_sentinel_cannot_take_the_factory_back() {
    let cluster = cluster();
    let (factory, proxies) = proxied(&cluster);
    // The stale one: dead through the failover, back with what its file says, cut off from nobody
    // but late. The factory hears of it again while it may still name the old master.
    let stale = &cluster.sentinels()[2];
    stale.kill().unwrap();
    cluster.failover().unwrap();
    wait_for_switch(&factory, 1);
    stale.restart().unwrap();
    assert!(wait_until(PATIENCE, || {
        factory.topology().is_ok_and(|t| {
            t.sentinels.iter().filter(|s| matches!(s.link, SentinelLink::Up { .. })).count() == 3
        })
    }));
    cluster.wait_settled(PATIENCE).unwrap();
    assert_eq!(factory.generation(), 2);
    assert_fresh(&factory, &cluster);
    drop(proxies);
}

#[test]
fn one_dead_and_one_black_holed_sentinel_do_not_matter() {
    let cluster = Cluster::builder().sentinels(5).start().unwrap();
    let hole = FaultProxy::to(cluster.sentinels()[0].address()).unwrap();
    hole.black_hole();
    cluster.sentinels()[1].kill().unwrap();
    let mut builder = Factory::builder()
        .service(cluster.service())
        .address_map(cluster.sentinels()[0].address(), hole.address());
    for sentinel in cluster.sentinels() {
        builder = builder.sentinel(sentinel.address());
    }
    let factory = builder.build().unwrap();
    cluster.kill_master().unwrap();
    wait_for_switch(&factory, 1);
    wait_for_write(&factory);
    assert_fresh(&factory, &cluster);
}

#[test]
fn a_black_holed_sentinel_first_in_the_list_does_not_delay_the_start() {
    let cluster = cluster();
    let hole = FaultProxy::to(cluster.sentinels()[0].address()).unwrap();
    hole.black_hole();
    let url = format!(
        "redis+sentinel://{},{}/{}",
        hole.address(),
        cluster.sentinels()[1].address(),
        cluster.service()
    );
    let begun = Instant::now();
    let factory = Factory::open(&url).unwrap();
    // Not a figure: the dial timeout of a sentinel is 500 ms, and nobody waited for it.
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_fresh(&factory, &cluster);
}

#[test]
fn with_all_sentinels_down_the_master_is_served_and_followed_again_afterwards() {
    let cluster = cluster();
    let factory = factory(&cluster);
    cluster.sentinels().iter().for_each(|sentinel| sentinel.kill().unwrap());
    assert!(wait_until(PATIENCE, || {
        factory
            .topology()
            .is_ok_and(|t| t.sentinels.iter().all(|s| !matches!(s.link, SentinelLink::Up { .. })))
    }));
    for _ in 0..20 {
        wait_for_write(&factory);
    }
    assert_eq!(factory.generation(), 1);
    cluster.sentinels().iter().for_each(|sentinel| sentinel.restart().unwrap());
    cluster.wait_settled(PATIENCE).unwrap();
    cluster.kill_master().unwrap();
    wait_for_switch(&factory, 1);
    wait_for_write(&factory);
    assert_fresh(&factory, &cluster);
}

#[test]
fn the_majority_is_waited_for_when_that_is_asked() {
    let cluster = cluster();
    let proxies: Vec<FaultProxy> = cluster
        .sentinels()
        .iter()
        .map(|sentinel| FaultProxy::to(sentinel.address()).unwrap())
        .collect();
    let mut builder =
        Factory::builder().service(cluster.service()).switch_on(SwitchOn::Announcement);
    for (sentinel, proxy) in cluster.sentinels().iter().zip(&proxies) {
        builder =
            builder.sentinel(sentinel.address()).address_map(sentinel.address(), proxy.address());
    }
    let factory = builder.build().unwrap();
    // Two of three cannot be heard: what the third says is no majority.
    proxies[0].black_hole();
    proxies[1].black_hole();
    let old = cluster.master().unwrap();
    cluster.failover().unwrap();
    cluster.wait_for_master_other_than(old.port(), PATIENCE).unwrap();
    cluster.wait_settled(PATIENCE).unwrap();
    assert_eq!(factory.generation(), 1);
    proxies[0].pass();
    proxies[1].pass();
    wait_for_switch(&factory, 1);
    assert_fresh(&factory, &cluster);
}
