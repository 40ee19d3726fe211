//! What looks like the promotion of a replica and is none.

mod common;

use common::{
    load::Load,
    story::{Story, is_switch},
    *,
};
use switchmaster::{Event, Factory};
use switchmaster_sandbox::{Cluster, Node, Role, wait_until};

fn replicas(cluster: &Cluster) -> Vec<Node> {
    let master = cluster.master().unwrap();
    let others = cluster.nodes().iter().filter(|node| node.port() != master.port());
    others.cloned().collect()
}

/// Waits until the factory is linked to this node again.
fn wait_until_linked(node: &Node) {
    let own = format!(" name={NAME} ");
    let linked = || {
        let clients = node.ask(&["CLIENT", "LIST"]).map(|clients| clients.text());
        clients.is_ok_and(|clients| clients.contains(&own))
    };
    assert!(wait_until(PATIENCE, linked), "{} is not linked to", node.name());
}

fn is_promoted(node: &Node) -> impl Fn(&Event) -> bool {
    let node = node.address().into();
    move |event| matches!(event, Event::Promoted { node: own, .. } if *own == node)
}

/// Kills a replica and starts it again, as another process.
fn restart(_: &Cluster, _: &mut Story, replica: &Node) {
    replica.restart().unwrap();
}

/// Cuts the promotion link, and whatever else goes through the proxy.
fn reset(_: &Cluster, _: &mut Story, replica: &Node) {
    replica.proxy().unwrap().reset();
}

/// What a promotion does to every connection, and nothing else of a promotion.
fn kill_clients(_: &Cluster, _: &mut Story, replica: &Node) {
    replica.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).unwrap();
}

/// What an operator does by mistake, and takes back as soon as the factory has seen it.
fn replicaof_no_one(cluster: &Cluster, story: &mut Story, replica: &Node) {
    replica.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    // The end of its connections is what makes the factory look, here and below.
    kill_clients(cluster, story, replica);
    story.wait("the replica was promoted", is_promoted(replica));
    assert_eq!(replica.role().unwrap(), Role::Master);
    replica.follow(&cluster.master().unwrap()).unwrap();
    let back = || matches!(replica.role(), Ok(Role::Replica { connected: true, .. }));
    assert!(wait_until(PATIENCE, back), "{}", cluster.logs());
    wait_until_linked(replica);
    kill_clients(cluster, story, replica);
}

/// Has the same happen to one replica after the other, under load, and nothing comes of it.
fn nothing_comes_of(
    what: impl Fn(&Cluster, &mut Story, &Node),
    times: usize,
    cluster: &Cluster,
    factory: &Factory,
) {
    let replicas = replicas(cluster);
    let load = Load::begin(factory, 2);
    let mut told = 0;
    for time in 0..times {
        let replica = &replicas[time % replicas.len()];
        wait_until_linked(replica);
        let mut story = Story::of(factory);
        what(cluster, &mut story, replica);
        wait_until_linked(replica);
        load.wait_for(2);
        assert_eq!(story.count(is_switch), 0, "{}", story.text());
        told += story.count(is_promoted(replica));
    }
    println!("{told} of {times} looked like a promotion");
    let tally = load.end();
    assert!(tally.failures.is_empty(), "{}", tally.failures());
    assert_eq!(tally.by_generation(1), tally.writes.len());
    assert!(tally.lost(&cluster.master().unwrap()).is_empty());
}

/// One test, because it counts what the whole process has.
#[test]
fn two_hundred_false_alarms_switch_nothing_and_leave_nothing_behind() {
    let cluster = Cluster::builder().proxied(true).start().unwrap();
    // The proxies of the nodes would hold descriptors of their own for each connection.
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    nothing_comes_of(kill_clients, 4, &cluster, &factory);
    nothing_comes_of(replicaof_no_one, 2, &cluster, &factory);
    wait_until_calm(&factory, &cluster);
    let before = (library_threads(), descriptors());

    nothing_comes_of(kill_clients, 70, &cluster, &factory);
    nothing_comes_of(replicaof_no_one, 30, &cluster, &factory);
    nothing_comes_of(restart, 30, &cluster, &factory);

    wait_until_calm(&factory, &cluster);
    let settled = || library_threads() <= before.0 && descriptors() <= before.1;
    let settled = wait_until(PATIENCE, settled);
    let now = (library_threads(), descriptors());
    assert!(settled, "threads and descriptors: {before:?} before, {now:?} after");
    assert_eq!(factory.generation(), 1);
    let stats = factory.stats();
    assert_eq!((stats.switches, stats.fences, stats.watch_faults), (1, 0, 0));
    assert_eq!((stats.errors_not_sent, stats.errors_unknown), (0, 0));
    factory.close();

    // And where the network cuts the links.
    let factory = proxied_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    nothing_comes_of(reset, 70, &cluster, &factory);
    assert_eq!((factory.generation(), factory.stats().fences), (1, 0));
    wait_until_calm(&factory, &cluster);
    assert_fresh(&factory, &cluster);

    // The real thing is still recognized.
    cluster.failover().unwrap();
    wait_for_switch(&factory, 1);
    assert_fresh(&factory, &cluster);
}
