//! Commands that are sent as bytes, and replies that come as bytes: by whole exchanges, and as a stream.

mod common;

use std::thread;

use common::*;
use redis::Commands;
use switchmaster::{Error, ErrorKind, Factory, Handle, Outcome, RawReplies};
use switchmaster_sandbox::{Cluster, wait_until};

fn packed(words: &[&str]) -> Vec<u8> {
    redis::Cmd::new().arg(words).get_packed_command()
}

/// One command through the stream, and its reply, which ends with the first line end.
fn line(handle: &mut Handle, words: &[&str]) -> Result<String, Error> {
    handle.send(&packed(words))?;
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n") {
        let mut byte = [0; 1];
        assert_eq!(handle.receive(&mut byte)?, 1);
        reply.extend(byte);
    }
    Ok(String::from_utf8(reply).unwrap())
}

fn blocked(cluster: &Cluster) -> bool {
    let clients = cluster.master().and_then(|master| master.info("clients", "blocked_clients"));
    clients.is_ok_and(|blocked| blocked == "1")
}

/// A factory whose commands outlast a failover.
fn patient(cluster: &Cluster) -> Factory {
    named_factory(cluster)
        .command_timeout(PATIENCE)
        .get_timeout(PATIENCE)
        .fence_timeout(PATIENCE)
        .build()
        .unwrap()
}

#[test]
fn exchanges_and_streams_go_on_at_the_next_master() {
    let cluster = cluster();
    let factory = patient(&cluster);
    wait_until_calm(&factory, &cluster);
    let mut exchanging = factory.get().unwrap();
    let mut streaming = factory.get().unwrap();
    let mut replies = RawReplies::new();
    let both = [packed(&["INCR", "exchanged"]), packed(&["NONSENSE"])].concat();
    for (round, generation) in [(1, 1), (2, 2), (3, 2)] {
        if round == 2 {
            wait_until_replicated(&cluster.master().unwrap(), 2);
            cluster.failover().unwrap();
            wait_for_switch(&factory, 1);
        }
        exchanging.exchange(&both, &mut replies).unwrap();
        assert_eq!(replies.len(), 2);
        assert_eq!(replies.get(0).unwrap(), format!(":{round}\r\n").as_bytes());
        assert!(replies.get(1).unwrap().starts_with(b"-ERR unknown command"));
        assert_eq!(line(&mut streaming, &["INCR", "streamed"]).unwrap(), format!(":{round}\r\n"));
        assert_eq!(exchanging.generation(), generation);
        assert_eq!(streaming.generation(), generation);
    }
    // What passed through is as good as any connection afterwards.
    assert_eq!(streaming.get::<_, i64>("streamed").unwrap(), 3);
    let created = factory.stats().connections_created;
    drop((exchanging, streaming));
    let mut again = factory.get().unwrap();
    assert_eq!(again.get::<_, i64>("exchanged").unwrap(), 3);
    assert_eq!(factory.stats().connections_created, created);
    assert_eq!(factory.stats().errors_unknown, 0);
}

#[test]
fn a_stream_that_blocks_goes_on_at_the_next_master_when_it_is_called_back() {
    let cluster = cluster();
    let factory = patient(&cluster);
    wait_until_calm(&factory, &cluster);
    let mut handle = factory.get().unwrap();
    let reader = thread::spawn(move || {
        let popped = line(&mut handle, &["BLPOP", "raw:queue", "0"]);
        (popped, handle.generation())
    });
    assert!(wait_until(PATIENCE, || blocked(&cluster)));
    cluster.failover().unwrap();
    wait_for_switch(&factory, 1);
    assert!(wait_until(PATIENCE, || blocked(&cluster)), "it does not block at the new master");
    factory.get().unwrap().rpush::<_, _, ()>("raw:queue", "bread").unwrap();
    let (popped, generation) = reader.join().unwrap();
    assert_eq!((popped.unwrap().as_str(), generation), ("*2\r\n", 2));
}

#[test]
fn a_stream_that_waits_for_a_frozen_master_wakes_at_the_switch() {
    let cluster = cluster();
    let factory = patient(&cluster);
    wait_until_calm(&factory, &cluster);
    let mut handle = factory.get().unwrap();
    let reader = thread::spawn(move || {
        let error = line(&mut handle, &["BLPOP", "raw:never", "0"]).unwrap_err();
        (error, handle)
    });
    assert!(wait_until(PATIENCE, || blocked(&cluster)));
    cluster.freeze_master().unwrap();
    wait_for_switch(&factory, 1);
    let (error, mut handle) = reader.join().unwrap();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::Unknown));
    // It held no state, and the stream begins anew.
    assert_eq!(line(&mut handle, &["PING"]).unwrap(), "+PONG\r\n");
    assert_eq!(handle.generation(), 2);
}

#[test]
fn a_handle_whose_stream_was_left_in_the_middle_does_not_come_back() {
    let cluster = cluster();
    let factory = named_factory(&cluster).max_size(1).build().unwrap();
    let mut handle = factory.get().unwrap();
    handle.send(&packed(&["INCR", "left"])).unwrap();
    drop(handle);
    let mut handle = factory.get().unwrap();
    assert_eq!(line(&mut handle, &["ECHO", "mine"]).unwrap(), "$4\r\n");
    // The rest of the reply is left behind, too.
    drop(handle);
    assert_eq!(factory.get().unwrap().get::<_, i64>("left").unwrap(), 1);
}
