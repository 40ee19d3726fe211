//! The ways in which people run Redis: each is followed through real failovers, and what a server
//! refuses is told by its name.

mod access;
mod addresses;
mod moving;
mod names;
mod unready;

#[path = "../common/mod.rs"]
mod common;

use std::time::Duration;

use common::*;
use redis::Commands;
use switchmaster::{Builder, Error, Factory};
use switchmaster_sandbox::{Client, Cluster, Member, Node, wait_until};

/// Runs a planned failover and then kills the master: both are followed.
fn follows(factory: &Factory, cluster: &Cluster) {
    assert_leads_to(factory, &cluster.master().unwrap());
    let generation = factory.generation();
    cluster.failover().unwrap();
    wait_for_switch(factory, generation);
    cluster.repair(PATIENCE).unwrap();
    wait_until_leads_to_the_master(factory, cluster);

    let generation = factory.generation();
    cluster.kill_master().unwrap();
    wait_for_switch(factory, generation);
    wait_for_write(factory);
    cluster.repair(PATIENCE).unwrap();
    wait_until_leads_to_the_master(factory, cluster);
}

fn wait_until_leads_to_the_master(factory: &Factory, cluster: &Cluster) {
    let master = cluster.master().unwrap();
    let named = || factory.master().is_some_and(|own| own.port() == master.port());
    assert!(wait_until(PATIENCE, named), "{:?} instead of {}", factory.master(), master.address());
    assert_leads_to(factory, &master);
}

/// Every handle leads to this node. ROLE is not asked: it may be refused.
fn assert_leads_to(factory: &Factory, node: &Node) {
    let expected = node.run_id().unwrap();
    let mut handles: Vec<_> = (0..3).map(|_| factory.get().expect("a handle")).collect();
    for handle in &mut handles {
        assert_eq!(run_id(handle), expected);
        handle.set::<_, _, ()>("written", 1).unwrap();
    }
}

/// A builder that gives up soon: what it is told cannot work.
fn hasty(cluster: &Cluster) -> Builder {
    named_factory(cluster).connect_timeout(Duration::from_millis(700))
}

fn refused(builder: Builder) -> Error {
    let error = builder.build().expect_err("this cannot work");
    assert!(!error.to_string().contains('\n'), "one line: {error}");
    error
}

/// Takes every connection that this server has left.
fn fill(member: &Member) -> Vec<Client> {
    let mut clients = Vec::new();
    loop {
        let mut client = Client::connect(member.address(), Duration::from_secs(5)).unwrap();
        match client.call(&["PING"]) {
            Ok(reply) if !reply.text().contains("max number of clients") => clients.push(client),
            _ => return clients,
        }
        assert!(clients.len() < 2000, "{} takes any number of clients", member.name());
    }
}
