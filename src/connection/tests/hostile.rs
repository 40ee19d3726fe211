//! Servers that are slow, gone, or no servers.

use super::*;

fn fails(
    settings: &Settings,
    script: impl FnOnce(TcpStream) + Send + 'static,
) -> (Error, Duration) {
    let (address, server) = scripted(script);
    let mut connection = open(&address, settings);
    let started = Instant::now();
    let error = connection.request(&packed(&["PING"]), None).unwrap_err();
    let took = started.elapsed();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(!connection.is_open());
    let later = connection.request(&packed(&["PING"]), None).unwrap_err();
    assert_eq!((later.kind(), later.outcome()), (ErrorKind::Disconnected, Outcome::NotSent));
    drop(connection);
    server.join().unwrap();
    (error, took)
}

#[test]
fn a_reply_that_does_not_come_ends_the_command_and_the_connection() {
    let timeout = Duration::from_millis(80);
    let settings = Settings { command_timeout: timeout, ..settings() };
    let (error, took) = fails(&settings, |mut peer| read_past(&mut peer, b"never"));
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::CommandTimeout, Outcome::Unknown));
    assert!(took >= Duration::from_millis(70) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_peer_that_dribbles_does_not_stretch_the_deadline() {
    let timeout = Duration::from_millis(200);
    let settings = Settings { command_timeout: timeout, ..settings() };
    let (error, took) = fails(&settings, |mut peer| {
        while peer.write_all(b"+").is_ok() {
            if peer.write_all(b"x").is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::CommandTimeout, Outcome::Unknown));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_deadline_of_its_own_counts() {
    let (address, server) = scripted(|mut peer| read_past(&mut peer, b"never"));
    let mut connection = open(&address, &settings());
    let started = Instant::now();
    let error = connection.request(&packed(&["PING"]), Some(started)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::CommandTimeout, Outcome::NotSent));
    assert!(connection.is_open());
    let soon = Some(started + Duration::from_millis(50));
    let error = connection.request(&packed(&["BLPOP", "a", "0"]), soon).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::CommandTimeout, Outcome::Unknown));
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(connection);
    server.join().unwrap();
}

#[test]
fn a_server_that_hangs_up_leaves_the_outcome_unknown() {
    let (error, _) = fails(&settings(), |mut peer| read_past(&mut peer, b"PING\r\n"));
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::Unknown));
}

#[test]
fn what_is_not_resp_is_named() {
    let (error, _) = fails(&settings(), |mut peer| {
        read_past(&mut peer, b"PING\r\n");
        peer.write_all(b"HTTP/1.1 400 Bad Request\r\n").unwrap();
    });
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Protocol, Outcome::Unknown));
    assert!(error.to_string().contains("HTTP/1.1"), "{error}");
}

#[test]
fn a_reply_too_many_is_never_taken_for_the_next_one() {
    let (address, server) = scripted(|mut peer| {
        read_past(&mut peer, b"PING\r\n");
        peer.write_all(b"+PONG\r\n+STALE\r\n").unwrap();
        read_past(&mut peer, b"never");
    });
    let mut connection = open(&address, &settings());
    let pong = connection.request(&packed(&["PING"]), None).unwrap();
    assert_eq!(pong, Value::SimpleString("PONG".to_owned()));
    assert!(!connection.is_fresh());
    let error = connection.request(&packed(&["GET", "a"]), None).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Protocol, Outcome::NotSent));
    drop(connection);
    server.join().unwrap();
}

#[test]
fn an_idle_connection_shows_whether_it_is_fresh() {
    let (go, told) = crossbeam_channel::unbounded::<()>();
    let (address, server) = scripted(move |mut peer| {
        told.recv().unwrap();
        peer.write_all(b"+").unwrap();
    });
    let mut connection = open(&address, &settings());
    assert!(connection.is_fresh());
    go.send(()).unwrap();
    wait_until("the byte is noticed", || !connection.is_fresh());
    server.join().unwrap();

    let (address, server) = scripted(drop);
    let mut connection = open(&address, &settings());
    wait_until("the end is noticed", || !connection.is_fresh());
    server.join().unwrap();
}

#[test]
fn a_peer_that_reads_only_after_it_was_read_from_is_no_deadlock() {
    const COMMANDS: usize = 20_000;
    let (address, server) = scripted(|mut peer| {
        // One reply for each command, written to the end before the next command is read.
        let command = packed(&["GET", "key"]);
        let reply = [b"$1000\r\n".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
        let mut buffer = vec![0; command.len()];
        for _ in 0..COMMANDS {
            peer.read_exact(&mut buffer).unwrap();
            peer.write_all(&reply).unwrap();
        }
    });
    let mut connection = open(&address, &settings());
    let pipeline = packed(&["GET", "key"]).repeat(COMMANDS);
    let replies = connection.request_many(&pipeline, 0, COMMANDS, None).unwrap();
    assert_eq!(replies.values.len(), COMMANDS);
    server.join().unwrap();
}

#[test]
fn a_peer_that_takes_nothing_ends_at_the_deadline() {
    let settings = Settings { command_timeout: Duration::from_millis(100), ..settings() };
    let (release, hold) = crossbeam_channel::unbounded::<()>();
    let (address, server) = scripted(move |peer| {
        let _ = hold.recv();
        drop(peer);
    });
    let mut connection = open(&address, &settings);
    let huge = "x".repeat(64 << 20);
    let error = connection.request(&packed(&["SET", "key", &huge]), None).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::CommandTimeout, Outcome::Unknown));
    drop(release);
    server.join().unwrap();
}

#[test]
fn refused_dials_and_odd_listeners_are_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    let peer = thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"SSH-2.0-OpenSSH\r\n").unwrap();
        read_past(&mut peer, b"PING\r\n");
    });
    let error = Connection::open(&address, &settings(), &gate(), in_time()).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Protocol, Outcome::NotSent));
    assert!(error.to_string().contains("SSH-2.0"), "{error}");
    peer.join().unwrap();
    // The listener went with its thread.
    let error = Connection::open(&address, &settings(), &gate(), in_time()).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::NotSent));
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn a_socket_never_connects_to_itself() {
    // Dialling a port of one's own on which nobody listens is a connection, says TCP.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let itself = socket.local_addr().unwrap();
    let error = stream::Socket::from(socket).connect(&itself, in_time()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_server_that_greets_nobody_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    let soon = Instant::now() + Duration::from_millis(60);
    let error = Connection::open(&address, &settings(), &gate(), soon).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::NotSent));
    assert!(error.to_string().contains("handshake"), "{error}");
}

#[test]
fn a_panic_while_a_reply_is_awaited_ends_the_connection() {
    let (address, server) = scripted(|mut peer| {
        read_past(&mut peer, b"PING\r\n");
        peer.write_all(b"+PONG\r\n").unwrap();
        read_past(&mut peer, b"never");
    });
    let mut connection = open(&address, &settings());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        connection
            .exchange(&mut Values, Request::all(&packed(&["PING"])), |_, _| panic!("on purpose"))
    }));
    assert!(panicked.is_err());
    assert!(!connection.is_open());
    let error = connection.request(&packed(&["PING"]), None).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::NotSent));
    drop(connection);
    server.join().unwrap();
}
