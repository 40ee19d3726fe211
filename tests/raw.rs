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
    let passed = [exchanging.descriptor(), streaming.descriptor()];
    drop((exchanging, streaming));
    let mut again = factory.get().unwrap();
    assert_eq!(again.get::<_, i64>("exchanged").unwrap(), 3);
    assert!(passed.contains(&again.descriptor()), "{again:?}");
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

#[test]
fn whole_commands_are_refused_in_the_midst_of_a_stream() {
    let cluster = cluster();
    let factory = named_factory(&cluster).max_size(1).build().unwrap();
    let mut handle = factory.get().unwrap();
    handle.send(&packed(&["BLPOP", "raw:midst", "0"])).unwrap();
    let error = handle.set::<_, _, ()>("raw:other", 1).unwrap_err();
    assert_eq!(Outcome::of(&error), Outcome::NotSent);
    assert_eq!(Error::from_redis(&error).unwrap().kind(), ErrorKind::InvalidConfig);
    let error = handle.exchange(&packed(&["PING"]), &mut RawReplies::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    // The stream goes on as if nothing had been.
    let others = patient(&cluster);
    others.get().unwrap().rpush::<_, _, ()>("raw:midst", "x").unwrap();
    let mut reply = [0; 64];
    let received = handle.receive(&mut reply).unwrap();
    assert!(reply[..received].starts_with(b"*2\r\n$9\r\nraw:midst\r\n"));
    assert_eq!(factory.stats().connections_broken, 0);
}

#[test]
fn what_is_no_command_is_told_and_costs_no_connection() {
    let cluster = cluster();
    let factory = named_factory(&cluster).max_size(1).build().unwrap();
    let mut handle = factory.get().unwrap();
    let mut replies = RawReplies::new();
    let twice = [packed(&["PING"]), b"\r\n".to_vec()].concat();
    for bytes in [&b"PING\r\n"[..], &b"PING\r\nBLPOP q 1\r\n"[..], &twice[..]] {
        let error = handle.exchange(bytes, &mut replies).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidConfig, Outcome::NotSent));
        let error = handle.send(bytes).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidConfig, Outcome::NotSent));
    }
    let error = handle.send(&packed(&["PSYNC", "?", "-1"])).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidConfig, Outcome::NotSent));
    assert_eq!(line(&mut handle, &["PING"]).unwrap(), "+PONG\r\n");
    let stats = factory.stats();
    assert_eq!((stats.connections_created, stats.connections_broken), (1, 0));
}

#[test]
fn what_is_sent_after_the_switch_leaves_what_was_under_way_unknown() {
    let cluster = cluster();
    let factory = patient(&cluster);
    wait_until_calm(&factory, &cluster);
    let mut handle = factory.get().unwrap();
    handle.send(&packed(&["BLPOP", "raw:never", "0"])).unwrap();
    assert!(wait_until(PATIENCE, || blocked(&cluster)));
    cluster.freeze_master().unwrap();
    wait_for_switch(&factory, 1);
    let error = handle.send(&packed(&["GET", "raw:never"])).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::Unknown));
}

/// Receives from a stream until it contains this text.
fn receive_until(handle: &mut Handle, text: &str) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 512];
    while !String::from_utf8_lossy(&seen).contains(text) {
        let received = handle.receive(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..received]);
    }
    String::from_utf8(seen).unwrap()
}

#[test]
fn monitor_reports_on_a_stream_until_the_switch() {
    let cluster = cluster();
    let factory = patient(&cluster);
    wait_until_calm(&factory, &cluster);
    let mut handle = factory.get().unwrap();
    handle.send(&packed(&["MONITOR"])).unwrap();
    let mut others = factory.get().unwrap();
    for round in 0..3 {
        let key = format!("raw:monitored:{round}");
        others.set::<_, _, ()>(&key, round).unwrap();
        let seen = receive_until(&mut handle, &format!("\"SET\" \"{key}\" \"{round}\"\r\n"));
        assert!(round > 0 || seen.starts_with("+OK\r\n"), "{seen}");
    }
    assert!(!handle.is_clean());
    // Whole commands are refused, and harm nothing.
    let error = handle.exchange(&packed(&["PING"]), &mut RawReplies::new()).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidConfig, Outcome::NotSent));
    assert!(error.to_string().contains("MONITOR"), "{error}");
    others.set::<_, _, ()>("raw:monitored", "on").unwrap();
    receive_until(&mut handle, "\"raw:monitored\" \"on\"\r\n");

    let reader = thread::spawn(move || {
        let mut buffer = [0; 512];
        let error = loop {
            if let Err(error) = handle.receive(&mut buffer) {
                break error;
            }
        };
        (error, handle)
    });
    cluster.freeze_master().unwrap();
    wait_for_switch(&factory, 1);
    let (error, mut handle) = reader.join().unwrap();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::Unknown));
    // Its state is lost with the old master, so the handle does not go on silently.
    let error = handle.send(&packed(&["PING"])).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Poisoned, Outcome::NotSent));
}

#[test]
fn a_connection_that_monitored_goes_to_no_other_user() {
    let cluster = cluster();
    let factory = named_factory(&cluster).max_size(1).build().unwrap();
    let mut handle = factory.get().unwrap();
    assert_eq!(line(&mut handle, &["MONITOR"]).unwrap(), "+OK\r\n");
    drop(handle);
    let mut next = factory.get().unwrap();
    assert_eq!(line(&mut next, &["PING"]).unwrap(), "+PONG\r\n");
    // As a whole command it is not sent, and the connection is as good as before.
    let before = next.descriptor();
    let error = next.exchange(&packed(&["MONITOR"]), &mut RawReplies::new()).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidConfig, Outcome::NotSent));
    assert!(error.to_string().contains("stream"), "{error}");
    assert_eq!(line(&mut next, &["MONITOR", "x"]).unwrap()[..4], *"-ERR");
    assert!(next.is_clean());
    assert_eq!(line(&mut next, &["MONITOR"]).unwrap(), "+OK\r\n");
    next.send(&packed(&["RESET"])).unwrap();
    assert!(receive_until(&mut next, "+RESET\r\n").ends_with("+RESET\r\n"));
    assert_eq!(next.descriptor(), before);
    assert_eq!(line(&mut next, &["PING"]).unwrap(), "+PONG\r\n");
    assert!(!next.is_clean(), "its settings are no longer those of a new connection");
}
