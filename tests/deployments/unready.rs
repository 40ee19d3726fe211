//! Servers that answer and do not serve: LOADING, MASTERDOWN, no connection left, too few replicas.

use std::{iter, thread, time::Duration};

use redis::{Commands, RedisError};
use switchmaster::{Error, ErrorKind, Outcome, SentinelLink};
use switchmaster_sandbox::{Cluster, Node, wait_until};

use super::{common::*, *};

const SOON: Duration = Duration::from_millis(300);

/// A cluster whose master takes some seconds to load its data. It answers once every 2 MiB meanwhile.
fn slow_to_load() -> Cluster {
    let cluster = Cluster::builder()
        .replicas(0)
        .node_line("key-load-delay 20000")
        .node_line("rdbcompression no")
        .start()
        .unwrap();
    let master = cluster.master().unwrap();
    let mut client = master.client_with(PATIENCE).unwrap();
    client.expect(&["DEBUG", "POPULATE", "200", "key", "400000"]).unwrap();
    client.expect(&["SAVE"]).unwrap();
    cluster
}

fn is_loading(node: &Node) -> bool {
    node.info("persistence", "loading").is_ok_and(|loading| loading == "1")
}

#[test]
fn a_master_that_loads_its_data_is_waited_for() {
    let cluster = slow_to_load();
    let factory = named_factory(&cluster).get_timeout(PATIENCE).build().unwrap();
    let impatient = named_factory(&cluster).get_timeout(SOON).build().unwrap();
    let master = cluster.master().unwrap();
    master.kill().unwrap();
    master.restart().unwrap();

    // Nobody gets a handle on which every command would be refused.
    let refusal = |error: &RedisError| {
        assert_ne!(error.code(), Some("LOADING"));
        // A connection that was there when the server died may end first.
        Error::from_redis(error).filter(|own| own.kind() == ErrorKind::NoMaster).cloned()
    };
    let set = || impatient.run(|redis| redis.set::<_, _, ()>("written", 1));
    let mut errors =
        iter::from_fn(|| set().err()).filter_map(|error| refusal(&error)).inspect(|error| {
            assert!(is_loading(&master), "it loads too fast for this test");
            assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
        });
    // A server that loads on a busy machine is sometimes too slow to answer that it does.
    let named = errors.any(|error| error.to_string().contains("LOADING"));
    assert!(named, "a write succeeded before an error named the cause");
    let error = refused(hasty(&cluster));
    assert!(is_loading(&master), "it loads too fast for this test");
    assert_eq!(error.kind(), ErrorKind::NoMaster, "{error}");
    assert!(error.to_string().contains("LOADING"), "{error}");

    // Who has the time gets one, without an error.
    let patient = named_factory(&cluster).connect_timeout(PATIENCE);
    let patient = thread::spawn(move || patient.build());
    factory.run(|redis| redis.set::<_, _, ()>("written", 1)).unwrap();
    patient.join().unwrap().unwrap().get().unwrap().set::<_, _, ()>("written", 2).unwrap();
}

#[test]
fn a_command_that_meets_a_loading_master_was_answered_and_the_next_one_waits() {
    let cluster = slow_to_load();
    let factory = named_factory(&cluster).get_timeout(PATIENCE).build().unwrap();
    let master = cluster.master().unwrap();
    let mut handle = factory.get().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| master.client_with(PATIENCE).unwrap().call(&["DEBUG", "RELOAD"]).unwrap());
        assert!(wait_until(PATIENCE, || is_loading(&master)));
        let error = handle.set::<_, _, ()>("refused", 1).unwrap_err();
        assert_eq!(error.code(), Some("LOADING"), "{error}");
        assert_eq!(Outcome::of(&error), Outcome::Replied);
        drop(handle);
        factory.get().unwrap().set::<_, _, ()>("written", 1).unwrap();
    });
    let refused: Option<i64> = factory.get().unwrap().get("refused").unwrap();
    assert_eq!(refused, None);
}

#[test]
fn a_master_that_was_made_a_replica_of_nobody_is_not_used_until_it_is_one_again() {
    let cluster = Cluster::builder().node_line("replica-serve-stale-data no").start().unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    let master = cluster.master().unwrap();
    let mut handle = factory.get().unwrap();
    handle.set::<_, _, ()>("written", 1).unwrap();
    // By hand, so that nobody's connection is cut.
    master.ask(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    let error = handle.get::<_, Option<i64>>("written").unwrap_err();
    assert_eq!(error.code(), Some("MASTERDOWN"), "{error}");
    assert_eq!(Outcome::of(&error), Outcome::Replied);
    drop(handle);
    let error = factory.get_timeout(SOON).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NoMaster, Outcome::NotSent), "{error}");
    assert!(error.to_string().contains("replica"), "{error}");

    master.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    wait_for_write(&factory);
    assert_leads_to(&factory, &master);
}

#[test]
fn a_master_without_a_connection_left_is_named_and_used_when_it_has_one() {
    let cluster = Cluster::builder().node_line("maxclients 40").start().unwrap();
    let factory = named_factory(&cluster).max_size(2).build().unwrap();
    let held = factory.get().unwrap();
    let others = fill(&cluster.master().unwrap());
    let error = refused(hasty(&cluster));
    assert_eq!(error.kind(), ErrorKind::NoMaster, "{error}");
    for part in ["max number of clients", "maxclients"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // The connections that are there serve on; the next one cannot be had.
    let mut held = held;
    held.set::<_, _, ()>("written", 1).unwrap();
    let mut more = Vec::new();
    let error = loop {
        match factory.get_timeout(SOON) {
            Ok(handle) => more.push(handle),
            Err(error) => break error,
        }
        assert!(more.len() <= 1, "more than max_size");
    };
    assert_eq!(error.outcome(), Outcome::NotSent);

    drop((others, more, held));
    follows(&named_factory(&cluster).build().unwrap(), &cluster);
}

#[test]
fn sentinels_without_a_connection_left_are_named_and_linked_when_they_have_one() {
    let cluster = Cluster::builder().sentinel_line("maxclients 40").start().unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    let mut own: Vec<_> =
        cluster.sentinels().iter().map(|own| own.client_with(PATIENCE).unwrap()).collect();
    let mut others: Vec<_> = cluster.sentinels().iter().map(|own| fill(own)).collect();
    // With links of its own: factories that dial the sentinels alike share theirs.
    let error = refused(hasty(&cluster).dial_timeout(Duration::from_millis(499)));
    assert_eq!(error.kind(), ErrorKind::NoSentinel, "{error}");
    assert!(error.to_string().contains("max number of clients"), "{error}");

    // A link that is lost now cannot be had again, and the master is served all the same.
    let lost = || {
        let topology = factory.topology().unwrap();
        topology.sentinels.iter().all(|own| match &own.link {
            SentinelLink::Down { reason, .. } => reason.contains("max number of clients"),
            _ => false,
        })
    };
    let all_lost = wait_until(PATIENCE, || {
        for ((client, sentinel), held) in own.iter_mut().zip(cluster.sentinels()).zip(&mut others) {
            let clients = client.expect(&["CLIENT", "LIST"]).unwrap().text();
            let ours = clients.lines().filter(|line| line.contains(&format!(" name={NAME} ")));
            for id in ours.filter_map(|line| line.strip_prefix("id=")?.split(' ').next()) {
                client.call(&["CLIENT", "KILL", "ID", id]).unwrap();
            }
            held.extend(fill(sentinel));
        }
        lost()
    });
    assert!(all_lost, "{:#?}", factory.topology());
    factory.get().unwrap().set::<_, _, ()>("written", 1).unwrap();

    drop((own, others));
    wait_until_calm(&factory, &cluster);
    follows(&factory, &cluster);
}

#[test]
fn a_write_for_which_there_are_too_few_replicas_was_answered_and_did_nothing() {
    let cluster = Cluster::builder()
        .node_line("min-replicas-to-write 1")
        .node_line("min-replicas-max-lag 1")
        .start()
        .unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    wait_for_write(&factory);
    let master = cluster.master().unwrap();
    let replicas = || cluster.nodes().iter().filter(|node| node.port() != master.port());
    replicas().for_each(|node| node.freeze().unwrap());
    let good = || master.info("replication", "min_slaves_good_slaves").unwrap();
    assert!(wait_until(PATIENCE, || good() == "0"));

    let mut handle = factory.get().unwrap();
    let error = handle.set::<_, _, ()>("refused", 1).unwrap_err();
    assert_eq!(error.code(), Some("NOREPLICAS"), "{error}");
    assert_eq!(Outcome::of(&error), Outcome::Replied);
    assert!(Error::from_redis(&error).is_none(), "it is the server's own error");
    // Reads do, and an error reply is not run again.
    assert_eq!(handle.get::<_, Option<i64>>("refused").unwrap(), None);
    drop(handle);
    let mut runs = 0;
    let again = factory.run_idempotent(|redis| {
        runs += 1;
        redis.set::<_, _, ()>("refused", 2)
    });
    assert_eq!((again.unwrap_err().code(), runs), (Some("NOREPLICAS"), 1));
    assert_eq!(factory.generation(), 1);

    replicas().for_each(|node| node.resume().unwrap());
    wait_for_write(&factory);
    assert_eq!(factory.generation(), 1);
}
