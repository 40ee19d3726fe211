//! What the gate does to commands that are on their way.

use crossbeam_channel::bounded;
use socket2::Domain;

use super::*;

/// A listener whose queue is full, so that the next dial gets no answer.
struct BlackHole {
    address: Address,
    _sockets: Vec<socket2::Socket>,
}

impl BlackHole {
    fn new() -> BlackHole {
        let stream =
            || socket2::Socket::new(Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let listener = stream();
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let local = listener.local_addr().unwrap();
        let address = Address::from(local.as_socket().unwrap());
        let mut sockets = vec![listener];
        loop {
            let filler = stream();
            let full = filler.connect_timeout(&local, Duration::from_millis(200)).is_err();
            sockets.push(filler);
            if full {
                return BlackHole { address, _sockets: sockets };
            }
        }
    }
}

#[test]
fn retirement_aborts_a_dial_to_a_black_hole() {
    let hole = BlackHole::new();
    let gate = gate();
    let (dialling, told) = (Arc::clone(&gate), hole.address.clone());
    let dial = thread::spawn(move || {
        let error = Connection::open(&told, &settings(), &dialling, in_time()).unwrap_err();
        (error, Instant::now())
    });
    wait_until("it dials", || gate.sockets() == 1);
    // The dial is to be found waiting, not on its way there; either is to work.
    thread::sleep(Duration::from_millis(20));
    let retired = Instant::now();
    gate.retire();
    let (error, woken) = dial.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Switched, "{error}");
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert!(woken - retired < Duration::from_secs(1), "{:?}", woken - retired);
    assert_eq!(gate.sockets(), 0);
}

#[test]
fn retirement_at_any_moment_of_a_dial_ends_it() {
    let hole = BlackHole::new();
    for step in 0..100 {
        let gate = gate();
        let (dialling, told) = (Arc::clone(&gate), hole.address.clone());
        let dial = thread::spawn(move || {
            Connection::open(&told, &settings(), &dialling, in_time()).unwrap_err().kind()
        });
        for _ in 0..step * 200 {
            std::hint::spin_loop();
        }
        gate.retire();
        assert_eq!(dial.join().unwrap(), ErrorKind::Switched);
    }
}

#[test]
fn a_dial_to_a_black_hole_ends_at_its_deadline() {
    let hole = BlackHole::new();
    let settings = Settings { dial_timeout: Duration::from_millis(60), ..settings() };
    let started = Instant::now();
    let error = Connection::open(&hole.address, &settings, &gate(), in_time()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.to_string().contains("no answer within"), "{error}");
    assert!(error.to_string().contains(&hole.address.to_string()), "{error}");
    assert!(started.elapsed() >= Duration::from_millis(60));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_reader_blocked_in_blpop_wakes_when_its_gate_retires() {
    let redis = Redis::start(&[]);
    let mut observer = redis.open();
    for timeout in ["0", "60"] {
        let gate = gate();
        let mut reader = Connection::open(&redis.address, &settings(), &gate, in_time()).unwrap();
        let (done, woken) = crossbeam_channel::unbounded();
        let thread = thread::spawn(move || {
            let error = reader.request(&packed(&["BLPOP", "queue", timeout]), None).unwrap_err();
            done.send((error, Instant::now())).unwrap();
            let later = reader.request(&packed(&["PING"]), None).unwrap_err();
            (later, reader.is_open())
        });
        wait_until("the reader is blocked", || {
            let info = redis::cmd("INFO").arg("clients").query::<String>(&mut observer).unwrap();
            info.contains("blocked_clients:1\r\n")
        });
        let retired = Instant::now();
        gate.retire();
        let (error, at) = woken.recv_timeout(PATIENCE).unwrap();
        assert_eq!(error.kind(), ErrorKind::Switched, "{error}");
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert!(at - retired < Duration::from_secs(1), "{:?}", at - retired);
        let (later, is_open) = thread.join().unwrap();
        assert_eq!((later.kind(), later.outcome()), (ErrorKind::Switched, Outcome::NotSent));
        assert!(!is_open);
        wait_until("the server has noticed", || {
            let info = redis::cmd("INFO").arg("clients").query::<String>(&mut observer).unwrap();
            info.contains("blocked_clients:0\r\n")
        });
    }
}

#[test]
fn a_plain_command_wakes_from_a_frozen_server_when_its_gate_retires() {
    let (release, hold) = crossbeam_channel::unbounded::<()>();
    let (asked, heard) = crossbeam_channel::unbounded();
    let (address, server) = scripted(move |mut peer| {
        read_past(&mut peer, b"PING\r\n");
        asked.send(()).unwrap();
        let _ = hold.recv();
    });
    let gate = gate();
    let mut connection = Connection::open(&address, &settings(), &gate, in_time()).unwrap();
    let reader = thread::spawn(move || {
        let error = connection.request(&packed(&["PING"]), None).unwrap_err();
        (error, Instant::now())
    });
    heard.recv_timeout(PATIENCE).unwrap();
    let retired = Instant::now();
    gate.retire();
    let (error, woken) = reader.join().unwrap();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::Unknown));
    assert!(woken - retired < Duration::from_secs(1));
    drop(release);
    server.join().unwrap();
}

#[test]
fn a_retired_gate_refuses_commands_and_dials() {
    let redis = Redis::start(&[]);
    let gate = gate();
    let mut connection = Connection::open(&redis.address, &settings(), &gate, in_time()).unwrap();
    connection.request(&packed(&["WATCH", "key"]), None).unwrap();
    assert_eq!(gate.sockets(), 1);
    gate.retire();
    let error = connection.request(&packed(&["SET", "key", "1"]), None).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::NotSent));
    assert!(error.to_string().contains("watched keys"), "{error}");
    let error = Connection::open(&redis.address, &settings(), &gate, in_time()).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::NotSent));
    let exists: bool = redis::cmd("EXISTS").arg("key").query(&mut redis.open()).unwrap();
    assert!(!exists);
    drop(connection);
    assert_eq!(gate.sockets(), 0);
}

#[test]
fn a_fenced_command_is_sent_when_the_fence_is_lifted() {
    let redis = Redis::start(&[]);
    let gate = gate();
    let mut connection = Connection::open(&redis.address, &settings(), &gate, in_time()).unwrap();
    gate.raise("its successor was chosen");

    let soon = Instant::now() + Duration::from_millis(30);
    let error = connection.request(&packed(&["SET", "key", "1"]), Some(soon)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Fenced, Outcome::NotSent));
    assert!(connection.is_open());

    // A connection may be made behind the fence: no command is sent.
    let mut other = Connection::open(&redis.address, &settings(), &gate, in_time()).unwrap();
    let waiting = thread::spawn(move || {
        other.request(&packed(&["SET", "key", "2"]), None).map(|_| Instant::now())
    });
    let exists: bool = redis::cmd("EXISTS").arg("key").query(&mut redis.open()).unwrap();
    assert!(!exists);
    let lifted = Instant::now();
    gate.lift();
    assert!(waiting.join().unwrap().unwrap() >= lifted);
    let value: i64 = redis::cmd("GET").arg("key").query(&mut connection).unwrap();
    assert_eq!(value, 2);
}

#[test]
fn the_wait_behind_the_fence_counts_against_the_command() {
    let (address, server) = scripted(|mut peer| {
        read_past(&mut peer, b"never");
    });
    let gate = gate();
    let timeout = Duration::from_secs(2);
    let settings = Settings { command_timeout: timeout, ..settings() };
    let mut connection = Connection::open(&address, &settings, &gate, in_time()).unwrap();
    gate.raise("its successor was chosen");
    let started = Instant::now();
    let lifter = thread::spawn(move || {
        thread::sleep(Duration::from_millis(1500));
        gate.lift();
    });
    let error = connection.request(&packed(&["PING"]), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CommandTimeout);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    lifter.join().unwrap();
    drop(connection);
    server.join().unwrap();
}

/// Sends more than fits on the way, raises the fence while it is being sent, has the server answer,
/// and lets `end` be the end of the fence.
fn overlap(end: impl FnOnce(&Gate)) -> Result<Value, Error> {
    // Twice: it is being sent; it is answered.
    let (begun, beginning) = bounded::<()>(0);
    let (go_on, order) = bounded::<()>(0);
    let (address, server) = scripted(move |mut peer| {
        // The rest does not fit into the buffers on the way, so the send cannot be over.
        read_past(&mut peer, b"SET");
        begun.send(()).unwrap();
        order.recv().unwrap();
        let mut chunk = vec![0; 1 << 16];
        while !chunk.ends_with(b"the end\r\n") {
            chunk.resize(1 << 16, 0);
            let read = peer.read(&mut chunk).unwrap();
            chunk.truncate(read);
        }
        peer.write_all(b"+OK\r\n").unwrap();
        begun.send(()).unwrap();
        let _ = order.recv();
    });
    let gate = gate();
    let mut connection = Connection::open(&address, &settings(), &gate, in_time()).unwrap();
    let value = "x".repeat(32 << 20) + "the end";
    let sending = thread::spawn(move || connection.request(&packed(&["SET", "key", &value]), None));
    beginning.recv_timeout(PATIENCE).unwrap();
    gate.raise("its successor was chosen");
    go_on.send(()).unwrap();
    beginning.recv_timeout(PATIENCE).unwrap();
    end(&gate);
    let result = sending.join().unwrap();
    drop(go_on);
    server.join().unwrap();
    result
}

#[test]
fn a_reply_to_what_was_being_sent_while_the_fence_went_up_counts_if_the_fence_is_lifted() {
    let reply = overlap(|gate| assert!(gate.lift()));
    assert_eq!(reply.unwrap(), Value::Okay);
}

#[test]
fn it_counts_if_the_server_was_replaced_long_after() {
    // The reply lies in the socket by now, and is read within that second.
    let long_after = Instant::now() + PATIENCE * 2;
    let reply = overlap(|gate| assert!(gate.retire_since(Some(long_after))));
    assert_eq!(reply.unwrap(), Value::Okay);
}

#[test]
fn it_does_not_count_if_the_server_is_replaced() {
    let error = overlap(|gate| assert!(gate.retire())).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::Unknown), "{error}");
}

#[test]
fn a_blocked_reader_that_is_called_back_waits_behind_the_fence_and_blocks_anew() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let redis = Redis::start(&[]);
        let gate = gate();
        let settings = Settings { protocol, ..settings() };
        let mut connection = Connection::open(&redis.address, &settings, &gate, in_time()).unwrap();
        let popping =
            thread::spawn(move || connection.request(&packed(&["BLPOP", "list", "0"]), None));
        let mut other = redis.open();
        let blocked = |other: &mut Connection| {
            let info: String = redis::cmd("INFO").arg("clients").query(other).unwrap();
            info.contains("blocked_clients:1")
        };
        wait_until("it is blocked in the server", || blocked(&mut other));
        gate.raise("its successor was chosen");
        let [id] = gate.blocked()[..] else { panic!("one is blocked") };
        let ended: i64 =
            redis::cmd("CLIENT").arg("UNBLOCK").arg(id).arg("ERROR").query(&mut other).unwrap();
        assert_eq!(ended, 1);
        wait_until("it has come back", || gate.blocked().is_empty());
        assert!(!blocked(&mut other));
        gate.lift();
        wait_until("it blocks anew", || blocked(&mut other));
        let _: i64 = redis::cmd("RPUSH").arg("list").arg("bread").query(&mut other).unwrap();
        let popped: (String, String) =
            redis::from_redis_value(popping.join().unwrap().unwrap()).unwrap();
        assert_eq!(popped.1, "bread");
    }
}
