//! Commands and replies that pass through as a stream.

use super::*;

/// Receives until so many bytes are there.
fn receive(connection: &mut Connection, len: usize, piece: usize) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    let mut buffer = vec![0; piece];
    while all.len() < len {
        let piece = piece.min(len - all.len());
        let received = connection.receive(&mut buffer[..piece])?;
        assert!(received > 0);
        all.extend_from_slice(&buffer[..received]);
    }
    Ok(all)
}

fn blocked(other: &mut Connection) -> bool {
    let info: String = redis::cmd("INFO").arg("clients").query(other).unwrap();
    info.contains("blocked_clients:1")
}

#[test]
fn commands_and_replies_may_be_cut_anywhere() {
    let redis = Redis::start(&[]);
    let mut connection = redis.open();
    let value = "v".repeat(100_000);
    for piece in [1, 7, 8192, 1 << 20] {
        let sent = [packed(&["SET", "k", &value]), packed(&["GET", "k"]), packed(&["NONSENSE"])];
        assert!(connection.is_at_rest());
        for part in sent.concat().chunks(piece.max(100)) {
            connection.send(part).unwrap();
            assert!(!connection.is_at_rest() && !connection.is_open());
        }
        let expected = format!("+OK\r\n$100000\r\n{value}\r\n");
        let head = receive(&mut connection, expected.len(), piece).unwrap();
        assert!(head == expected.as_bytes());
        assert!(!connection.is_at_rest(), "an answer is missing");
        let mut buffer = [0; 256];
        let mut error = Vec::new();
        while !connection.is_at_rest() {
            let received = connection.receive(&mut buffer).unwrap();
            error.extend_from_slice(&buffer[..received]);
        }
        assert!(error.starts_with(b"-ERR unknown command 'NONSENSE'"));
    }
    connection.send(b"").unwrap();
    // As good as any other afterwards.
    assert!(connection.is_open() && !connection.state().holds_state());
    assert_eq!(
        connection.request(&packed(&["PING"]), None).unwrap(),
        Value::SimpleString("PONG".to_owned())
    );
    let nothing = connection.receive(&mut [0; 8]).unwrap_err();
    assert_eq!((nothing.kind(), nothing.outcome()), (ErrorKind::InvalidConfig, Outcome::NotSent));
    assert!(connection.is_open());
}

#[test]
fn replies_that_come_while_commands_are_on_their_way_out_are_kept() {
    let redis = Redis::start(&[]);
    let mut connection = redis.open();
    let value = "v".repeat(1 << 20);
    connection.request(&packed(&["SET", "k", &value]), None).unwrap();
    let one = packed(&["GET", "k"]);
    // More than the buffers on both ways hold, at a server that stops reading when nobody reads it.
    let many = one.repeat(64);
    let echo = packed(&["ECHO", &value]);
    let mut sent = 0;
    for part in [&many, &echo, &many, &echo] {
        connection.send(part).unwrap();
        sent += 1;
    }
    assert_eq!(sent, 4);
    let reply = value.len() + "$1048576\r\n\r\n".len();
    receive(&mut connection, 130 * reply, 1 << 16).unwrap();
    assert!(connection.is_open() && connection.is_at_rest());
}

#[test]
fn what_a_connection_holds_is_seen_in_a_stream_too() {
    let redis = Redis::start(&[]);
    let mut connection = redis.open();
    connection.send(&packed(&["MULTI"])).unwrap();
    receive(&mut connection, "+OK\r\n".len(), 64).unwrap();
    assert_eq!(connection.state().held(), Some("an open MULTI"));
    connection.send(&packed(&["EXEC"])).unwrap();
    receive(&mut connection, "*0\r\n".len(), 64).unwrap();
    assert!(!connection.state().holds_state());
    connection.send(&packed(&["SUBSCRIBE", "news"])).unwrap();
    let confirmed = ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
    assert_eq!(receive(&mut connection, confirmed.len(), 64).unwrap(), confirmed.as_bytes());
    assert!(connection.state().holds_state(), "it never goes back to the pool");
    let mut other = redis.open();
    let _: i64 = redis::cmd("PUBLISH").arg("news").arg("1").query(&mut other).unwrap();
    let message = ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\n1\r\n";
    assert_eq!(receive(&mut connection, message.len(), 64).unwrap(), message.as_bytes());
}

#[test]
fn what_cannot_be_followed_is_not_sent_in_a_stream_either() {
    for bytes in [packed(&["SYNC"]), packed(&["CLIENT", "REPLY", "OFF"]), b"PING\r\n".to_vec()] {
        let redis = Redis::start(&[]);
        let mut connection = redis.open();
        let error = connection.send(&bytes).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidConfig, Outcome::NotSent));
        assert!(connection.is_open() && connection.is_at_rest(), "as good as before");
        connection.send(&packed(&["INCR", "n"])).unwrap();
        let error = connection.send(&bytes).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidConfig, Outcome::Unknown));
        assert!(!connection.is_open());
    }
}

#[test]
fn a_reply_that_nobody_asked_for_ends_the_stream() {
    let (address, server) = scripted(|mut peer| {
        read_past(&mut peer, b"PING\r\n");
        peer.write_all(b"+PONG\r\n+AGAIN\r\n").unwrap();
    });
    let mut connection = open(&address, &settings());
    connection.send(&packed(&["PING"])).unwrap();
    let error = receive(&mut connection, 15, 64).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Protocol, Outcome::Unknown));
    drop(connection);
    server.join().unwrap();
}

#[test]
fn a_stream_is_late_like_a_command() {
    let (address, server) = scripted(|mut peer| read_past(&mut peer, b"never"));
    let settings = Settings { command_timeout: Duration::from_millis(80), ..settings() };
    let mut connection = open(&address, &settings);
    let started = Instant::now();
    connection.send(&packed(&["PING"])).unwrap();
    let error = receive(&mut connection, 1, 64).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::CommandTimeout, Outcome::Unknown));
    assert!(started.elapsed() >= Duration::from_millis(70));
    drop(connection);
    server.join().unwrap();
}

#[test]
fn the_gate_refuses_what_has_not_begun_and_ends_what_has() {
    let redis = Redis::start(&[]);
    let gate = gate();
    let settings = Settings { command_timeout: Duration::from_millis(80), ..settings() };
    let mut connection = Connection::open(&redis.address, &settings, &gate, in_time()).unwrap();
    gate.raise("its successor was chosen");
    let error = connection.send(&packed(&["SET", "k", "fenced"])).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Fenced, Outcome::NotSent));
    assert!(connection.is_open(), "as good as before");
    gate.lift();
    let command = packed(&["SET", "k", "whole"]);
    let (first, rest) = command.split_at(12);
    connection.send(first).unwrap();
    gate.raise("its successor was chosen");
    let error = connection.send(rest).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Fenced, Outcome::Unknown));
    assert!(!connection.is_open());
    let mut other = redis.open();
    let nothing: Option<String> = redis::cmd("GET").arg("k").query(&mut other).unwrap();
    assert_eq!(nothing, None);
}

#[test]
fn who_receives_wakes_when_the_gate_retires() {
    let redis = Redis::start(&[]);
    let gate = gate();
    let mut connection = Connection::open(&redis.address, &settings(), &gate, in_time()).unwrap();
    connection.send(&packed(&["BLPOP", "list", "0"])).unwrap();
    let receiving = thread::spawn(move || receive(&mut connection, 1, 64));
    let mut other = redis.open();
    wait_until("it is blocked in the server", || blocked(&mut other));
    gate.retire();
    let error = receiving.join().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::Unknown));
}

#[test]
fn a_stream_that_is_called_back_blocks_anew() {
    let redis = Redis::start(&[]);
    let gate = gate();
    let mut connection = Connection::open(&redis.address, &settings(), &gate, in_time()).unwrap();
    connection.send(&packed(&["BLPOP", "list", "0"])).unwrap();
    let popped = "*2\r\n$4\r\nlist\r\n$5\r\nbread\r\n";
    let receiving = thread::spawn(move || receive(&mut connection, popped.len(), 64));
    let mut other = redis.open();
    wait_until("it is blocked in the server", || blocked(&mut other));
    gate.raise("its successor was chosen");
    let [id] = gate.blocked()[..] else { panic!("one is blocked") };
    let ended: i64 =
        redis::cmd("CLIENT").arg("UNBLOCK").arg(id).arg("ERROR").query(&mut other).unwrap();
    assert_eq!(ended, 1);
    wait_until("it has come back", || gate.blocked().is_empty());
    gate.lift();
    wait_until("it blocks anew", || blocked(&mut other));
    let _: i64 = redis::cmd("RPUSH").arg("list").arg("bread").query(&mut other).unwrap();
    assert_eq!(receiving.join().unwrap().unwrap(), popped.as_bytes());
}

#[test]
fn what_is_sent_after_the_retirement_leaves_what_was_under_way_unknown() {
    let redis = Redis::start(&[]);
    let gate = gate();
    let mut connection = Connection::open(&redis.address, &settings(), &gate, in_time()).unwrap();
    connection.send(&packed(&["INCR", "n"])).unwrap();
    gate.retire();
    let error = connection.send(&packed(&["SET", "b", "2"])).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::Unknown));
}

#[test]
fn a_connection_that_said_quit_is_over() {
    let redis = Redis::start(&[]);
    let mut connection = redis.open();
    connection.send(&packed(&["QUIT"])).unwrap();
    receive(&mut connection, "+OK\r\n".len(), 64).unwrap();
    assert!(!connection.is_open());
}

#[test]
fn who_is_subscribed_waits_without_end() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let redis = Redis::start(&[]);
        let timeout = Duration::from_millis(150);
        let settings = Settings { protocol, command_timeout: timeout, ..settings() };
        let mut connection = redis.open_with(&settings);
        connection.send(&packed(&["SUBSCRIBE", "news", "more"])).unwrap();
        let mark = if protocol == Protocol::Resp3 { '>' } else { '*' };
        let confirmed = |name: &str, n| {
            format!("{mark}3\r\n$9\r\nsubscribe\r\n${}\r\n{name}\r\n:{n}\r\n", name.len())
        };
        let both = confirmed("news", 1) + &confirmed("more", 2);
        assert_eq!(receive(&mut connection, both.len(), 64).unwrap(), both.as_bytes());
        assert!(connection.is_at_rest());
        let mut other = redis.open();
        let publishing = thread::spawn(move || {
            let begun = Instant::now();
            wait_until("a command would be late", || begun.elapsed() > 2 * timeout);
            let _: i64 = redis::cmd("PUBLISH").arg("more").arg("1").query(&mut other).unwrap();
        });
        let message = format!("{mark}3\r\n$7\r\nmessage\r\n$4\r\nmore\r\n$1\r\n1\r\n");
        assert_eq!(receive(&mut connection, message.len(), 64).unwrap(), message.as_bytes());
        publishing.join().unwrap();
    }
}

#[test]
fn a_command_that_was_called_back_has_its_time_anew() {
    let redis = Redis::start(&[]);
    let gate = gate();
    let settings = Settings { command_timeout: Duration::from_secs(1), ..settings() };
    let mut connection = Connection::open(&redis.address, &settings, &gate, in_time()).unwrap();
    let begun = Instant::now();
    connection.send(&packed(&["BLPOP", "never", "3"])).unwrap();
    let nil = "_\r\n";
    let receiving = thread::spawn(move || receive(&mut connection, nil.len(), 64));
    let mut other = redis.open();
    wait_until("it is blocked in the server", || blocked(&mut other));
    wait_until("three seconds no longer fit into what is left of four", || {
        begun.elapsed() > Duration::from_secs(2)
    });
    gate.raise("its successor was chosen");
    let [id] = gate.blocked()[..] else { panic!("one is blocked") };
    let _: i64 =
        redis::cmd("CLIENT").arg("UNBLOCK").arg(id).arg("ERROR").query(&mut other).unwrap();
    gate.lift();
    assert_eq!(receiving.join().unwrap().unwrap(), nil.as_bytes());
}
