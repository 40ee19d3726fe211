//! Reads from replicas: where they go, and what becomes of them when something happens.

mod common;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use common::{
    reads::{MARKER, POISON, Reads, read},
    story::Story,
    *,
};
use redis::{Commands, RedisError, RedisResult};
use switchmaster::{Address, ErrorKind, Event, Factory, Outcome, ReadFrom};
use switchmaster_sandbox::{Cluster, FaultProxy, Node, Role, wait_until};

fn address(node: &Node) -> Address {
    node.address().into()
}

fn replicas(cluster: &Cluster) -> Vec<Node> {
    let master = cluster.master().unwrap().port();
    cluster.nodes().iter().filter(|node| node.port() != master).cloned().collect()
}

/// How often each of so many reads went where.
fn where_to(factory: &Factory, from: ReadFrom, reads: usize) -> BTreeMap<Address, usize> {
    let mut nodes = BTreeMap::new();
    for _ in 0..reads {
        let (node, _) = read(factory, from).unwrap();
        *nodes.entry(node).or_default() += 1;
    }
    nodes
}

/// Waits until reads go to exactly these nodes.
fn wait_until_read_from(factory: &Factory, from: ReadFrom, nodes: &[&Node]) {
    let expected: Vec<Address> = nodes.iter().map(|node| address(node)).collect();
    let events = factory.events();
    let mut last: BTreeMap<Address, usize> = BTreeMap::new();
    let met = wait_until(PATIENCE, || {
        // A read that was under way when its node was left fails.
        last = BTreeMap::new();
        for (node, _) in (0..24).filter_map(|_| read(factory, from).ok()) {
            *last.entry(node).or_default() += 1;
        }
        last.len() == expected.len() && expected.iter().all(|node| last.contains_key(node))
    });
    let told: Vec<Event> = events.try_iter().collect();
    assert!(met, "{last:?} instead of {expected:?}: {told:#?} {:#?}", factory.topology());
}

fn left<'a>(node: &'a Node, why: &'a str) -> impl Fn(&Event) -> bool + 'a {
    let gone = address(node);
    move |event| {
        matches!(event, Event::ReplicaLeft { node, reason, .. }
            if *node == gone && reason.contains(why))
    }
}

fn joined(node: &Node) -> impl Fn(&Event) -> bool + use<> {
    let new = address(node);
    move |event| matches!(event, Event::ReplicaJoined { node, .. } if *node == new)
}

/// Waits for something in a stream that never comes, on a replica.
fn blocked_reader(factory: &Factory) -> (Address, thread::JoinHandle<(RedisError, Instant)>) {
    let mut redis = factory.replica().unwrap();
    let node = redis.address().unwrap().clone();
    let thread = thread::spawn(move || {
        let read: RedisResult<redis::Value> =
            redis::cmd("XREAD").arg(&["BLOCK", "0", "STREAMS", "nothing", "$"]).query(&mut redis);
        (read.expect_err("nothing is ever written there"), Instant::now())
    });
    (node, thread)
}

fn wait_until_blocked(node: &Node, count: usize) {
    let expected = count.to_string();
    let blocked = || node.info("clients", "blocked_clients").is_ok_and(|n| n == expected);
    assert!(wait_until(PATIENCE, blocked), "{} readers do not wait in {}", count, node.name());
}

/// Blocked readers, one at least at this node.
fn readers_at(
    factory: &Factory,
    node: &Node,
) -> Vec<(Address, thread::JoinHandle<(RedisError, Instant)>)> {
    let mut readers = Vec::new();
    while !readers.iter().any(|(at, _)| *at == address(node)) {
        readers.push(blocked_reader(factory));
    }
    let here = readers.iter().filter(|(at, _)| *at == address(node)).count();
    wait_until_blocked(node, here);
    readers
}

#[test]
fn reads_go_to_the_replicas_in_turn_and_writes_are_refused() {
    let cluster = cluster();
    let (recording, lines) = crossbeam_channel::unbounded();
    let factory = named_factory(&cluster).record(recording).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let own =
        |node: &Node| node.ask(&["CLIENT", "LIST"]).unwrap().text().matches("name=test").count();
    let nodes = replicas(&cluster);
    for node in &nodes {
        assert_eq!(own(node), 1, "a connection that nobody asked for");
    }
    let asks = |line: String| line.contains("progress") || line.contains("pulse");
    assert!(!lines.try_iter().any(asks), "nobody wants to know how far they are");

    factory.get().unwrap().set::<_, _, ()>(MARKER, 7).unwrap();
    let first = read(&factory, ReadFrom::Replica).unwrap();
    assert!(nodes.iter().any(|node| address(node) == first.0), "{first:?}");
    assert!(lines.try_iter().any(asks), "now they are asked");
    wait_until_read_from(&factory, ReadFrom::Replica, &[&nodes[0], &nodes[1]]);
    let spread = where_to(&factory, ReadFrom::Replica, 200);
    assert_eq!(spread.values().sum::<usize>(), 200);
    assert!(spread.values().all(|reads| *reads >= 80), "{spread:?}");
    let spread = where_to(&factory, ReadFrom::PreferReplica, 200);
    assert!(spread.len() == 2 && spread.values().all(|reads| *reads >= 80), "{spread:?}");

    let mut redis = factory.replica().unwrap();
    assert_eq!(role(&mut redis), "slave");
    let node = redis.address().cloned();
    let made = factory.stats().connections_created;
    for _ in 0..3 {
        let refused = redis.set::<_, _, ()>(MARKER, 8).unwrap_err();
        assert_eq!((refused.code(), Outcome::of(&refused)), (Some("READONLY"), Outcome::Replied));
        assert_eq!(redis.get::<_, u64>(MARKER).unwrap(), 7);
    }
    assert_eq!((redis.address().cloned(), factory.stats().connections_created), (node, made));
    drop(redis);
    assert_eq!(read(&factory, ReadFrom::Master).unwrap().0, factory.master().unwrap());
    assert_eq!(factory.stats().switches, 1);

    // As many at a time as each pool may have.
    let all: Vec<_> = (0..16).map(|_| factory.replica().unwrap()).collect();
    let mut each = BTreeMap::new();
    all.iter().for_each(|redis| *each.entry(redis.address().cloned()).or_insert(0) += 1);
    assert_eq!(each.values().copied().collect::<Vec<_>>(), [8, 8]);
    let waiter = thread::spawn({
        let factory = factory.clone();
        move || read(&factory, ReadFrom::Replica)
    });
    assert!(wait_until(PATIENCE, || factory.try_get().is_some()), "the master's are free");
    drop(all);
    assert_eq!(waiter.join().unwrap().unwrap().1, "7");

    let (_, reader) = blocked_reader(&factory);
    factory.close();
    let (error, _) = reader.join().unwrap();
    assert_eq!(switchmaster::Error::from_redis(&error).unwrap().kind(), ErrorKind::Closed);
    assert_eq!(factory.replica().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn handles_to_replicas_are_in_the_stats_also_after_their_replica_is_gone() {
    let cluster = cluster();
    let factory = named_factory(&cluster).max_size(4).min_idle(1).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let nodes = replicas(&cluster);
    wait_until_read_from(&factory, ReadFrom::Replica, &[&nodes[0], &nodes[1]]);
    let before = factory.stats();
    assert!(before.checkouts > 0, "{before:?}");
    let kept: Vec<_> = (0..4).map(|_| factory.replica().unwrap()).collect();
    let now = factory.stats();
    assert_eq!((now.checkouts, now.used.count()), (before.checkouts + 4, before.used.count()));
    assert_eq!((now.replica_in_use, now.in_use), (4, 0), "{now:?}");
    assert!(now.replica_total >= 4, "{now:?}");
    assert_eq!(now.replica_idle, now.replica_total - 4);
    assert!(now.total <= now.max, "they do not count as connections to the master: {now:?}");
    // All connections to replicas are out, and one more is waited for.
    let more: Vec<_> = (0..4).map(|_| factory.replica().unwrap()).collect();
    thread::scope(|scope| {
        let waits = scope.spawn(|| factory.replica().map(drop));
        assert!(wait_until(PATIENCE, || factory.stats().waiting == 1), "{:?}", factory.stats());
        drop(more);
        waits.join().unwrap().unwrap();
    });
    assert_eq!(factory.stats().waiting, 0);
    nodes.iter().for_each(|node| node.kill().unwrap());
    let gone = wait_until(PATIENCE, || factory.stats().replica_total == 0);
    assert!(gone, "{:?}", factory.stats());
    drop(kept);
    let after = factory.stats();
    assert_eq!(after.checkouts, before.checkouts + 9);
    assert_eq!(after.used.count(), after.checkouts, "each has come back");
    assert_eq!(after.replica_in_use, 0);
}

#[test]
fn a_planned_failover_keeps_reads_going_and_nothing_stale_is_read() {
    let cluster = cluster();
    let bound = Duration::from_secs(4);
    let factory = named_factory(&cluster).max_lag(bound).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let old = cluster.master().unwrap();
    let mut story = Story::of(&factory);
    let reads = Reads::begin(&factory, ReadFrom::Replica, 4);
    cluster.failover().unwrap();
    story.switched(2);
    let promoted = cluster.node_at(factory.master().unwrap().port()).unwrap();
    let known = [old.port(), promoted.port()];
    let other = cluster.nodes().iter().find(|node| !known.contains(&node.port())).unwrap();
    let follows = || matches!(other.role(), Ok(Role::Replica { of, connected: true }) if of == Some(promoted.address()));
    assert!(wait_until(PATIENCE, follows), "{}", cluster.logs());
    reads.wait_for(500);
    assert_eq!(old.role().unwrap(), Role::Master, "it was demoted too soon for this test");
    old.ask(&["SET", MARKER, POISON]).unwrap();
    let poisoned = Instant::now();
    story.wait("the old master is read from", joined(&old));
    reads.wait_for(500);
    let account = reads.end();
    account.assert_fresh(bound, None);
    let nodes = account.nodes_since(poisoned);
    assert!(nodes.contains_key(&address(&old)) && nodes.contains_key(&address(other)), "{nodes:?}");
    assert!(!nodes.contains_key(&address(&promoted)), "{nodes:?}");
    // Sentinel cuts the connections of the promoted replica while commands are under way on them.
    assert!(account.failures.len() <= 8, "{}", account.failures());
    println!(
        "planned: {} reads, {} errors, longest pause {:?}",
        account.reads.len(),
        account.failures.len(),
        account.longest_pause()
    );
}

#[test]
fn a_killed_master_keeps_reads_going_and_comes_back_as_a_replica_only() {
    let cluster = cluster();
    let bound = Duration::from_secs(6);
    let factory = named_factory(&cluster).max_lag(bound).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let mut story = Story::of(&factory);
    let reads = Reads::begin(&factory, ReadFrom::Replica, 4);
    let killed = Instant::now();
    let old = cluster.kill_master().unwrap();
    story.switched(2);
    let promoted = cluster.node_at(factory.master().unwrap().port()).unwrap();
    reads.wait_for(100);
    // It comes back as the master that it was, until the sentinels have demoted it.
    old.restart().unwrap();
    assert_eq!(old.role().unwrap(), Role::Master);
    old.ask(&["SET", MARKER, POISON]).unwrap();
    reads.wait_for(200);
    let demoted = || matches!(old.role(), Ok(Role::Replica { .. }));
    assert!(!demoted(), "it was demoted too soon for this test");
    story.wait("the old master is read from", joined(&old));
    assert!(demoted());
    let back = Instant::now();
    reads.wait_for(300);
    let account = reads.end();
    // What it had acknowledged and not passed on is lost.
    account.assert_fresh(bound, Some((killed - Duration::from_millis(100), killed)));
    let nodes = account.nodes_since(back);
    assert!(nodes.contains_key(&address(&old)) && nodes.len() == 2, "{nodes:?}");
    assert!(!nodes.contains_key(&address(&promoted)), "{nodes:?}");
    assert!(account.failures.len() <= 8, "{}", account.failures());
    assert!(account.longest_pause() < bound, "{:?}", account.longest_pause());
    println!(
        "kill: {} reads, {} errors, longest pause {:?}",
        account.reads.len(),
        account.failures.len(),
        account.longest_pause()
    );
}

/// A master that was replaced comes back and cannot log in to the next one: it never gets what that one
/// writes. Without a bound it was read from as soon as its new master was gone.
#[test]
fn a_former_master_that_never_synced_is_not_read_from_when_its_master_dies() {
    let cluster = cluster();
    let factory = named_factory(&cluster).max_lag(None).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let mut story = Story::of(&factory);
    let _ = factory.replica().unwrap();
    let old = cluster.kill_master().unwrap();
    story.switched(2);
    old.restart().unwrap();
    old.ask(&["CONFIG", "SET", "masterauth", "wrong"]).unwrap();
    let second = cluster.node_at(factory.master().unwrap().port()).unwrap();
    let broken = || matches!(old.role(), Ok(Role::Replica { .. }));
    assert!(wait_until(PATIENCE, broken), "{}", cluster.logs());
    let third = replicas(&cluster).into_iter().find(|node| node.port() != old.port()).unwrap();
    factory.get().unwrap().set::<_, _, ()>("since", 1).unwrap();
    wait_until_replicated(&second, 1);
    wait_until_read_from(&factory, ReadFrom::Replica, &[&third]);

    cluster.kill_master().unwrap();
    let mut nodes: BTreeMap<Address, usize> = BTreeMap::new();
    while factory.generation() == 2 {
        let Ok(mut replica) = factory.replica() else { continue };
        let node = replica.address().expect("a node").clone();
        let value: RedisResult<Option<u32>> = replica.get("since");
        if let Ok(value) = value {
            assert_eq!(value, Some(1), "{node}: {}", story.text());
            *nodes.entry(node).or_default() += 1;
        }
    }
    assert!(nodes.get(&address(&third)).is_some_and(|reads| *reads > 100), "{nodes:?}");
    assert!(!nodes.contains_key(&address(&old)), "{nodes:?}");
}

#[test]
fn a_replica_that_dies_freezes_or_is_cut_off_is_left_and_its_readers_wake() {
    let cluster = Cluster::builder().proxied(true).start().unwrap();
    let factory = proxied_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let nodes = replicas(&cluster);
    let (faulty, other) = (&nodes[0], &nodes[1]);
    type Fault = fn(&Node);
    let faults: [(&str, Fault, Fault); 3] = [
        ("killed", |node| node.kill().unwrap(), |node| node.restart().unwrap()),
        ("frozen", |node| node.freeze().unwrap(), |node| node.resume().unwrap()),
        ("cut", |node| node.proxy().unwrap().black_hole(), |node| node.proxy().unwrap().pass()),
    ];
    for (what, fault, cure) in faults {
        wait_until_read_from(&factory, ReadFrom::Replica, &[faulty, other]);
        let mut story = Story::of(&factory);
        let readers = readers_at(&factory, faulty);
        fault(faulty);
        let event = story.wait(&format!("a {what} replica is left"), left(faulty, "reached"));
        for (at, reader) in readers.into_iter().filter(|(at, _)| *at == address(faulty)) {
            let (error, woken) = reader.join().unwrap();
            assert_eq!(Outcome::of(&error), Outcome::Unknown, "{at}: {error}");
            let after = woken.saturating_duration_since(event.at());
            assert!(after < Duration::from_millis(500), "{what}: woken {after:?} after");
        }
        let nodes = where_to(&factory, ReadFrom::Replica, 20);
        assert_eq!(nodes.keys().collect::<Vec<_>>(), [&address(other)], "{what}");
        cure(faulty);
        story.wait(&format!("a {what} replica is read from again"), joined(faulty));
    }
    assert_eq!(factory.generation(), 1);
}

#[test]
fn a_replica_that_loses_its_master_is_left_until_it_is_in_sync() {
    let cluster = Cluster::builder().node_line("replica-serve-stale-data no").start().unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let nodes = replicas(&cluster);
    let (faulty, other) = (&nodes[0], &nodes[1]);
    wait_until_read_from(&factory, ReadFrom::Replica, &[faulty, other]);
    let mut story = Story::of(&factory);

    // It loses its link, and cannot log in again.
    faulty.ask(&["CONFIG", "SET", "masteruser", "nobody"]).unwrap();
    faulty.ask(&["CONFIG", "SET", "masterauth", "wrong"]).unwrap();
    faulty.ask(&["CLIENT", "KILL", "TYPE", "master"]).unwrap();
    // It is left when it says so, or refuses a read with MASTERDOWN, whichever comes first.
    let mut refused = 0;
    let gone = wait_until(PATIENCE, || {
        match read(&factory, ReadFrom::Replica) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.code(), Some("MASTERDOWN"), "{error}");
                refused += 1;
            }
        }
        story.count(left(faulty, "")) > 0
    });
    assert!(gone, "{}", story.text());
    assert!(refused <= 3, "{refused} reads were refused");
    let only = where_to(&factory, ReadFrom::Replica, 20);
    assert_eq!(only.keys().collect::<Vec<_>>(), [&address(other)]);

    // Alone, it is why there is nothing to read from.
    other.kill().unwrap();
    story.wait("the other one is left", left(other, "reached"));
    let error = named_factory(&cluster)
        .get_timeout(Duration::from_millis(500))
        .build()
        .unwrap()
        .replica()
        .unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NoReplica, Outcome::NotSent));
    let text = error.to_string();
    assert!(
        text.contains(&format!("{}: its link to the master is down", address(faulty))),
        "{text}"
    );
    assert!(text.contains(&format!("{}: it cannot be reached", address(other))), "{text}");

    faulty.ask(&["CONFIG", "SET", "masterauth", ""]).unwrap();
    faulty.ask(&["CONFIG", "SET", "masteruser", ""]).unwrap();
    story.wait("it is read from again", joined(faulty));
    other.restart().unwrap();
    story.wait("the other one, too", joined(other));
    assert_eq!(factory.generation(), 1);
}

#[test]
fn a_replica_that_falls_behind_the_bound_is_left_until_it_has_caught_up() {
    let cluster = Cluster::builder().failover_timeout(Duration::from_secs(60)).start().unwrap();
    let bound = Duration::from_millis(1000);
    let factory = named_factory(&cluster).max_lag(bound).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let nodes = replicas(&cluster);
    let (slow, other) = (&nodes[0], &nodes[1]);
    // It gets what the master writes by a way that can be closed, which it takes for its master's address.
    let way = FaultProxy::to(cluster.master().unwrap().address()).unwrap();
    slow.ask(&["REPLICAOF", "127.0.0.1", &way.address().port().to_string()]).unwrap();
    wait_until_read_from(&factory, ReadFrom::Replica, &[slow, other]);
    let mut story = Story::of(&factory);
    let reads = Reads::begin(&factory, ReadFrom::Replica, 4);
    way.black_hole();
    let closed = Instant::now();
    let event = story.wait("it is left", left(slow, "behind"));
    let after = event.at() - closed;
    assert!(after <= bound + Duration::from_millis(500), "left after {after:?}");
    reads.wait_for(100);
    way.pass();
    story.wait("it has caught up", joined(slow));
    reads.wait_for(100);
    let account = reads.end();
    account.assert_fresh(bound, None);
    // At most what was on its way when it was left.
    let left = account.failures.iter().all(|own| own.kind == Some(ErrorKind::Switched));
    assert!(left && account.failures.len() <= 4, "{}", account.failures());
}

#[test]
fn without_replicas_there_is_an_error_or_the_master() {
    let cluster = Cluster::builder().replicas(0).start().unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    let master = factory.master().unwrap();
    let begun = Instant::now();
    let error = factory.replica().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NoReplica, Outcome::NotSent));
    assert!(error.to_string().contains("the sentinels list none"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2), "there is nothing to wait for");
    for from in [ReadFrom::PreferReplica, ReadFrom::LowestLatency, ReadFrom::Master] {
        assert_eq!(where_to(&factory, from, 5).keys().collect::<Vec<_>>(), [&master]);
    }
}

#[test]
fn who_prefers_replicas_reads_from_the_master_while_there_are_none() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let (nodes, master) = (replicas(&cluster), cluster.master().unwrap());
    wait_until_read_from(&factory, ReadFrom::PreferReplica, &[&nodes[0], &nodes[1]]);
    let mut kept = factory.get_from(ReadFrom::PreferReplica).unwrap();
    nodes.iter().for_each(|node| node.kill().unwrap());
    wait_until_read_from(&factory, ReadFrom::PreferReplica, &[&master]);
    // A handle that led to a replica moves there, too.
    let moved = wait_until(PATIENCE, || {
        let read: RedisResult<Option<String>> = kept.get(MARKER);
        read.is_ok() && kept.address() == Some(&address(&master))
    });
    assert!(moved, "{kept:?}");
    nodes.iter().for_each(|node| node.restart().unwrap());
    wait_until_read_from(&factory, ReadFrom::PreferReplica, &[&nodes[0], &nodes[1]]);
    assert_eq!(factory.generation(), 1);
}

#[test]
fn the_nearest_nodes_are_read_from() {
    let cluster = Cluster::builder().proxied(true).start().unwrap();
    let factory = proxied_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let (nodes, master) = (replicas(&cluster), cluster.master().unwrap());
    let (near, far) = (&nodes[0], &nodes[1]);
    let delay = Duration::from_millis(30);
    master.proxy().unwrap().delay(delay);
    far.proxy().unwrap().delay(delay);
    wait_until_read_from(&factory, ReadFrom::LowestLatency, &[near]);
    near.proxy().unwrap().delay(delay * 4);
    master.proxy().unwrap().pass();
    wait_until_read_from(&factory, ReadFrom::LowestLatency, &[&master]);
    master.proxy().unwrap().delay(delay);
    near.proxy().unwrap().delay(delay);
    // About as near as each other.
    wait_until_read_from(&factory, ReadFrom::LowestLatency, &[near, far, &master]);
}
