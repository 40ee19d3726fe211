//! Bad input gets a clear error that names the thing, the cause and the next step.

mod common;

use std::{net::TcpListener, time::Duration};

use common::*;
use redis::Commands;
use switchmaster::{Builder, Error, ErrorKind, Factory, Outcome};
use switchmaster_sandbox::Cluster;

/// A builder that gives up soon: what it is told cannot work.
fn hasty(cluster: &Cluster) -> Builder {
    Factory::builder()
        .sentinels(cluster.sentinels().iter().map(|sentinel| sentinel.address()))
        .service(cluster.service())
        .connect_timeout(Duration::from_millis(700))
}

fn refused(builder: Builder) -> Error {
    let error = builder.build().expect_err("this cannot work");
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert!(!error.to_string().contains('\n'), "one line: {error}");
    error
}

#[test]
fn an_unknown_service_is_told_with_what_each_sentinel_monitors() {
    let cluster = cluster();
    let error = refused(hasty(&cluster).service("mymastr"));
    assert_eq!(error.kind(), ErrorKind::UnknownService, "{error}");
    let text = error.to_string();
    assert!(text.contains("\"mymastr\"") && text.contains("\"mymaster\""), "{text}");
    for sentinel in cluster.sentinels() {
        assert!(text.contains(&sentinel.address().to_string()), "{text}");
    }
}

#[test]
fn an_empty_service_is_refused_before_anybody_is_asked() {
    for service in ["", " ", "a b", "line\nbreak"] {
        let error = refused(Factory::builder().sentinel("127.0.0.1").service(service));
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        assert!(error.to_string().contains("service"), "{error}");
    }
}

#[test]
fn sentinels_that_cannot_be_reached_are_listed_each_with_its_reason() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = refused(
        Factory::builder()
            .sentinel(closed)
            .sentinel(silent.local_addr().unwrap())
            .sentinel("no-such-host.invalid")
            .service("mymaster")
            .connect_timeout(Duration::from_millis(1500)),
    );
    assert_eq!(error.kind(), ErrorKind::NoSentinel, "{error}");
    let text = error.to_string();
    for part in [
        closed.to_string(),
        silent.local_addr().unwrap().to_string(),
        "no-such-host.invalid".into(),
        "refused".into(),
        "resolve".into(),
        "no answer".into(),
    ] {
        assert!(text.contains(&part), "{part:?} is missing: {text}");
    }
}

#[test]
fn a_wrong_password_at_a_sentinel_and_at_a_node_are_told_apart() {
    let cluster =
        Cluster::builder().password("nodepass").sentinel_password("sentinelpass").start().unwrap();
    let right = || hasty(&cluster).password("nodepass").sentinel_password("sentinelpass");
    let factory = right().build().expect("the right passwords do");
    factory.get().unwrap().set::<_, _, ()>("key", "value").unwrap();

    let at_sentinel = refused(right().sentinel_password("wrong-1"));
    assert_eq!(at_sentinel.kind(), ErrorKind::Authentication, "{at_sentinel}");
    assert!(at_sentinel.to_string().contains("no sentinel of 3"), "{at_sentinel}");
    assert!(at_sentinel.to_string().contains("WRONGPASS"), "{at_sentinel}");
    let none_at_sentinel = refused(hasty(&cluster).password("nodepass"));
    assert!(none_at_sentinel.to_string().contains("NOAUTH"), "{none_at_sentinel}");

    let master = cluster.master().unwrap().address().to_string();
    let at_node = refused(right().password("wrong-2"));
    assert_eq!(at_node.kind(), ErrorKind::NoMaster, "{at_node}");
    let text = at_node.to_string();
    assert!(text.contains("WRONGPASS") && text.contains(&master), "{text}");

    for error in [at_sentinel, none_at_sentinel, at_node] {
        let text = format!("{error} {error:?}");
        for secret in ["nodepass", "sentinelpass", "wrong-1", "wrong-2"] {
            assert!(!text.contains(secret), "{secret} is shown: {text}");
        }
    }
}

#[test]
fn a_data_node_is_not_taken_for_a_sentinel() {
    let cluster = cluster();
    let node = cluster.master().unwrap().address();
    let error = refused(
        Factory::builder()
            .sentinel(node)
            .service("mymaster")
            .connect_timeout(Duration::from_millis(500)),
    );
    assert_eq!(error.kind(), ErrorKind::NoSentinel, "{error}");
    let text = error.to_string();
    assert!(text.contains(&node.to_string()) && text.contains("not a sentinel"), "{text}");
}

#[test]
fn a_sentinel_and_a_replica_are_not_taken_for_a_master() {
    let cluster = cluster();
    let master = cluster.master().unwrap();
    let replica = cluster.nodes().iter().find(|node| node.port() != master.port()).unwrap();
    // An address map that leads astray shows a node other than the one that is announced.
    let to_replica = refused(hasty(&cluster).address_map(master.address(), replica.address()));
    assert_eq!(to_replica.kind(), ErrorKind::NoMaster, "{to_replica}");
    assert!(to_replica.to_string().contains("replica"), "{to_replica}");
    let sentinel = cluster.sentinels()[0].address();
    let to_sentinel = refused(hasty(&cluster).address_map(master.address(), sentinel));
    assert_eq!(to_sentinel.kind(), ErrorKind::NoMaster, "{to_sentinel}");
    assert!(to_sentinel.to_string().contains("sentinel"), "{to_sentinel}");
}

#[test]
fn zero_sizes_and_timeouts_are_refused_by_name() {
    let builder = || Factory::builder().sentinel("127.0.0.1").service("mymaster");
    for (name, builder) in [
        ("max_size", builder().max_size(0)),
        ("min_idle", builder().max_size(2).min_idle(3)),
        ("get_timeout", builder().get_timeout(Duration::ZERO)),
        ("dial_timeout", builder().dial_timeout(Duration::ZERO)),
        ("connect_timeout", builder().connect_timeout(Duration::ZERO)),
        ("command_timeout", builder().command_timeout(Duration::ZERO)),
    ] {
        let error = refused(builder);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
}

#[test]
fn faults_in_a_url_are_quoted() {
    for (url, part) in [
        ("http://a/mymaster", "http"),
        ("redis+sentinel://a:70000/mymaster", "70000"),
        ("redis+sentinel://a,,b/mymaster", "empty"),
        ("redis+sentinel://a", "service"),
        ("redis+sentinel://a/mymaster?colour=red", "colour"),
        ("redis+sentinel://a/mymaster?get_timeout=5", "5"),
        ("", "scheme"),
    ] {
        let error = Factory::open(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{url}: {error}");
        assert!(error.to_string().contains(part), "{url}: {error}");
    }
}

#[test]
fn a_command_that_outlives_its_deadline_is_unknown_and_the_handle_recovers() {
    let cluster = cluster();
    let factory = Factory::open(&format!("{}?command_timeout=200ms", cluster.url())).unwrap();
    let mut handle = factory.get().unwrap();
    let master = cluster.master().unwrap();
    master.freeze().unwrap();
    let error = handle.set::<_, _, ()>("late", 1).unwrap_err();
    master.resume().unwrap();
    assert_eq!(Outcome::of(&error), Outcome::Unknown, "{error}");
    assert_eq!(Error::from_redis(&error).unwrap().kind(), ErrorKind::CommandTimeout, "{error}");
    assert!(error.is_timeout());
    // It held no state: the next command takes another connection.
    handle.set::<_, _, ()>("late", 2).unwrap();
}

#[test]
fn a_handle_whose_connection_broke_while_it_held_state_is_poisoned() {
    let cluster = cluster();
    let factory = factory(&cluster);
    let mut handle = factory.get().unwrap();
    redis::cmd("WATCH").arg("key").exec(&mut handle).unwrap();
    let id: u64 = redis::cmd("CLIENT").arg("ID").query(&mut handle).unwrap();
    let killed = cluster.master().unwrap().ask(&["CLIENT", "KILL", "ID", &id.to_string()]).unwrap();
    assert_eq!(killed.text(), "1");
    let first = handle.set::<_, _, ()>("key", 1).unwrap_err();
    assert_ne!(Outcome::of(&first), Outcome::Replied, "{first}");
    let second = handle.set::<_, _, ()>("key", 1).unwrap_err();
    let second = Error::from_redis(&second).unwrap();
    assert_eq!((second.kind(), second.outcome()), (ErrorKind::Poisoned, Outcome::NotSent));
    assert!(second.to_string().contains("take a new one"), "{second}");
    drop(handle);
    factory.get().unwrap().set::<_, _, ()>("key", 1).unwrap();
}
