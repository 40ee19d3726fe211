//! Another replication history at the master's address: a server that lost its data in a restart, or
//! another server that has got the address.

mod common;

use std::time::Duration;

use common::*;
use redis::Commands;
use switchmaster::{ErrorKind, Factory};
use switchmaster_sandbox::{Cluster, wait_until};

/// The time in which an accepted connection would be made.
const SHORT: Duration = Duration::from_secs(1);

fn start() -> Cluster {
    let builder = Cluster::builder().replicas(0).node_line("enable-debug-command yes");
    builder.start().expect("a cluster starts")
}

/// Waits until a write succeeds.
fn wait_until_written(factory: &Factory, key: &str) {
    let written =
        || factory.get_timeout(SHORT).is_ok_and(|mut own| own.set::<_, _, ()>(key, 1).is_ok());
    assert!(wait_until(PATIENCE, written), "{:?}", factory.topology());
}

#[test]
fn a_new_history_is_refused_until_a_majority_names_its_address() {
    let cluster = start();
    let factory = factory(&cluster);
    wait_until_written(&factory, "before");
    cluster.sentinels().iter().for_each(|sentinel| sentinel.freeze().unwrap());
    // Nothing was saved, so another process with another history answers, as after a reuse.
    cluster.nodes()[0].restart().unwrap();
    let refused = || {
        let _ = factory
            .get_timeout(Duration::from_millis(50))
            .map(|mut own| own.get::<_, Option<i64>>("before"));
        factory.stats().dial_failures > 0
    };
    assert!(wait_until(PATIENCE, refused), "a connection to the other history was made");
    let error = factory.get_timeout(SHORT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMaster, "{error}");
    assert!(error.to_string().contains("another replication history"), "{error}");

    cluster.sentinels().iter().for_each(|sentinel| sentinel.resume().unwrap());
    wait_until_written(&factory, "after");
    assert_eq!(factory.generation(), 1, "it is the same address");
    let mut handle = factory.get().unwrap();
    assert_eq!(handle.get::<_, Option<i64>>("before").unwrap(), None);
}

#[test]
fn a_master_that_restarts_in_place_is_followed() {
    let cluster = start();
    let factory = factory(&cluster);
    for round in 0..3 {
        wait_until_written(&factory, "before");
        cluster.master().unwrap().restart().unwrap();
        wait_until_written(&factory, "after");
        assert_eq!(factory.generation(), 1, "round {round}");
    }
}

#[test]
fn a_process_that_begins_a_new_history_stays_the_master() {
    let cluster = start();
    let factory = factory(&cluster);
    wait_until_written(&factory, "before");
    let master = cluster.master().unwrap();
    cluster.sentinels().iter().for_each(|sentinel| sentinel.freeze().unwrap());
    for _ in 0..2 {
        // As after an hour without replicas.
        master.ask(&["DEBUG", "CHANGE-REPL-ID"]).unwrap();
        master.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).unwrap();
        wait_until_written(&factory, "after");
    }
    // No majority could have been asked about it.
    assert!(cluster.sentinels().iter().all(|sentinel| sentinel.is_frozen()));
    cluster.sentinels().iter().for_each(|sentinel| sentinel.resume().unwrap());
}
