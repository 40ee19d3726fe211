//! Every fault of the proxy, in front of a plain server.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, unbounded};
use switchmaster_sandbox::{FaultProxy, wait_until};

const LONG: Duration = Duration::from_secs(5);
/// Within this nothing comes that should not come.
const SHORT: Duration = Duration::from_millis(60);

/// Sends back what it reads, and says what it has read and how its connections ended.
struct Echo {
    address: SocketAddr,
    heard: Receiver<Vec<u8>>,
    ends: Receiver<std::io::Result<()>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn start() -> Echo {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (hear, heard) = unbounded();
        let (end, ends) = unbounded();
        let ended = Arc::new(AtomicBool::new(false));
        let over = ended.clone();
        let thread = thread::spawn(move || {
            let mut threads = Vec::new();
            while let Ok((mut stream, _)) = listener.accept()
                && !over.load(Ordering::SeqCst)
            {
                let (hear, end) = (hear.clone(), end.clone());
                threads.push(thread::spawn(move || {
                    let mut chunk = [0; 1024];
                    let ended = loop {
                        match stream.read(&mut chunk) {
                            Ok(0) => break Ok(()),
                            Ok(count) => {
                                let _ = hear.send(chunk[..count].to_vec());
                                if let Err(error) = stream.write_all(&chunk[..count]) {
                                    break Err(error);
                                }
                            }
                            Err(error) => break Err(error),
                        }
                    };
                    let _ = end.send(ended);
                }));
            }
            for thread in threads {
                thread.join().unwrap();
            }
        });
        Echo { address, heard, ends, ended, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Sends and reads back.
fn round_trip(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    expect(stream, text);
}

fn expect(stream: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

fn expect_nothing(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(SHORT)).unwrap();
    let error = stream.read(&mut [0]).expect_err("neither bytes nor an end");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.set_read_timeout(Some(LONG)).unwrap();
}

fn expect_end(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn it_passes_both_ways_and_ends_what_is_ended() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    assert_eq!(proxy.target(), echo.address);
    assert_ne!(proxy.address(), echo.address);
    let mut one = connect(&proxy);
    let mut two = connect(&proxy);
    round_trip(&mut one, "one");
    round_trip(&mut two, "two");
    assert_eq!((proxy.connections(), proxy.accepted()), (2, 2));
    let large = "x".repeat(3_000_000);
    let mut writer = one.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(large.as_bytes()).unwrap());
        expect(&mut one, &large);
    });
    one.shutdown(std::net::Shutdown::Write).unwrap();
    expect_end(&mut one);
    assert!(wait_until(LONG, || proxy.connections() == 1));
    drop(proxy);
    expect_end(&mut two);
}

#[test]
fn dropping_it_ends_everything_at_once() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut client = connect(&proxy);
    round_trip(&mut client, "a");
    proxy.black_hole();
    let mut unseen = connect(&proxy);
    assert!(wait_until(LONG, || proxy.connections() == 2));
    let address = proxy.address();
    let begun = Instant::now();
    drop(proxy);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    expect_end(&mut client);
    expect_end(&mut unseen);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_target_that_is_not_there_is_a_closed_connection() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = FaultProxy::to(nobody).unwrap();
    expect_end(&mut connect(&proxy));
    assert!(wait_until(LONG, || proxy.connections() == 0));
}

#[test]
fn a_delay_counts_each_way_and_keeps_the_order() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut client = connect(&proxy);
    round_trip(&mut client, "warm");
    let delay = Duration::from_millis(40);
    proxy.delay(delay);
    let begun = Instant::now();
    for word in ["a", "b", "c"] {
        client.write_all(word.as_bytes()).unwrap();
    }
    expect(&mut client, "abc");
    let took = begun.elapsed();
    assert!(took >= delay * 2 && took < delay * 2 + Duration::from_millis(300), "{took:?}");
    proxy.delay(LONG * 10);
    client.write_all(b"late").unwrap();
    expect_nothing(&mut client);
    proxy.pass();
    expect(&mut client, "late");
}

#[test]
fn a_black_hole_keeps_everything_until_it_passes() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut old = connect(&proxy);
    round_trip(&mut old, "before");
    while echo.heard.try_recv().is_ok() {}
    proxy.black_hole();
    let mut new = connect(&proxy);
    old.write_all(b"old").unwrap();
    new.write_all(b"new").unwrap();
    new.shutdown(std::net::Shutdown::Write).unwrap();
    expect_nothing(&mut old);
    expect_nothing(&mut new);
    assert!(echo.heard.is_empty());
    assert_eq!(proxy.connections(), 2);
    proxy.pass();
    expect(&mut old, "old");
    expect(&mut new, "new");
    expect_end(&mut new);
    round_trip(&mut old, "after");
}

#[test]
fn refused_connections_are_closed_old_ones_and_new_ones() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut old = connect(&proxy);
    round_trip(&mut old, "a");
    proxy.refuse();
    assert_eq!(proxy.connections(), 0);
    expect_end(&mut old);
    expect_end(&mut connect(&proxy));
    assert_eq!(proxy.accepted(), 2);
    proxy.pass();
    round_trip(&mut connect(&proxy), "b");
}

#[test]
fn a_reset_reaches_both_ends_and_spares_new_connections() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut old = connect(&proxy);
    round_trip(&mut old, "a");
    proxy.reset();
    let error = old.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let ended = echo.ends.recv_timeout(LONG).unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.connections(), 0);
    round_trip(&mut connect(&proxy), "b");
}

#[test]
fn a_reset_by_one_end_reaches_the_other() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut client = connect(&proxy);
    round_trip(&mut client, "a");
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let ended = echo.ends.recv_timeout(LONG).unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(wait_until(LONG, || proxy.connections() == 0));
}

#[test]
fn a_cut_comes_after_so_many_bytes_from_the_server() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut old = connect(&proxy);
    round_trip(&mut old, "not counted");
    proxy.cut_after(5);
    for client in [&mut old, &mut connect(&proxy)] {
        round_trip(client, "ab");
        client.write_all(b"cdefgh").unwrap();
        let mut rest = Vec::new();
        // The end may be a reset, when the rest of what the server sent was not read.
        let _ = client.read_to_end(&mut rest);
        assert_eq!(rest, b"cde");
    }
    assert!(wait_until(LONG, || proxy.connections() == 0));
    proxy.cut_after(0);
    let mut none = Vec::new();
    let _ = connect(&proxy).read_to_end(&mut none);
    assert!(none.is_empty());
    proxy.pass();
    round_trip(&mut connect(&proxy), "all of it");
}

#[test]
fn a_half_open_connection_loses_what_the_server_sends() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut client = connect(&proxy);
    round_trip(&mut client, "a");
    assert_eq!(echo.heard.recv_timeout(LONG).unwrap(), b"a");
    proxy.half_open();
    client.write_all(b"lost").unwrap();
    assert_eq!(echo.heard.recv_timeout(LONG).unwrap(), b"lost");
    expect_nothing(&mut client);
    proxy.pass();
    round_trip(&mut client, "b");
    proxy.half_open();
    drop(client);
    assert!(wait_until(LONG, || proxy.connections() == 0), "its client has gone");
}

#[test]
fn pubsub_is_swallowed_and_nothing_else() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut client = connect(&proxy);
    let push = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
    let array = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";
    let pattern = "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$1\r\nx\r\n";
    let confirmed = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    let confirmed3 = ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    round_trip(&mut client, push);
    proxy.swallow_pubsub();
    let all = [confirmed, push, "+OK\r\n", array, "$2\r\nhi\r\n", pattern, confirmed3].concat();
    client.write_all(all.as_bytes()).unwrap();
    expect(&mut client, &[confirmed, "+OK\r\n", "$2\r\nhi\r\n", confirmed3].concat());
    assert_eq!(proxy.swallowed(), 3, "not the one before");
    // Byte by byte, so that no frame comes whole.
    for byte in [push, ":1\r\n"].concat().bytes() {
        client.write_all(&[byte]).unwrap();
    }
    expect(&mut client, ":1\r\n");
    // The beginning of a message waits for its end, or for the fault's.
    client.write_all(&array.as_bytes()[..12]).unwrap();
    expect_nothing(&mut client);
    proxy.pass();
    expect(&mut client, &array[..12]);
    // What has begun to pass passes.
    proxy.swallow_pubsub();
    client.write_all(&[&array[12..], push, "+ok\r\n"].concat().into_bytes()).unwrap();
    expect(&mut client, &[&array[12..], "+ok\r\n"].concat());
    // Bytes that are not RESP pass.
    round_trip(&mut client, "what is this");
}

#[test]
fn a_clock_that_is_ahead_changes_the_time_and_nothing_else() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut client = connect(&proxy);
    let time = "*2\r\n$10\r\n1700000000\r\n$6\r\n900000\r\n";
    round_trip(&mut client, time);
    proxy.clock_ahead(Duration::from_millis(2500));
    let setting = "*2\r\n$4\r\nsave\r\n$1\r\n1\r\n";
    // In two pieces, so that the time does not come whole.
    let (one, two) = time.split_at(20);
    client.write_all([setting, one].concat().as_bytes()).unwrap();
    expect(&mut client, setting);
    client.write_all([two, "+OK\r\n"].concat().as_bytes()).unwrap();
    expect(&mut client, "*2\r\n$10\r\n1700000003\r\n$6\r\n400000\r\n+OK\r\n");
    proxy.pass();
    round_trip(&mut client, time);
}

#[test]
fn connects_hang_with_a_full_backlog_and_old_connections_go_on() {
    let echo = Echo::start();
    let proxy = FaultProxy::to(echo.address).unwrap();
    let mut old = connect(&proxy);
    round_trip(&mut old, "a");
    proxy.hang_connects();
    let begun = Instant::now();
    let error = TcpStream::connect_timeout(&proxy.address(), 2 * SHORT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() >= 2 * SHORT);
    round_trip(&mut old, "b");
    proxy.pass();
    round_trip(&mut connect(&proxy), "c");
    assert!(proxy.accepted() <= 3, "what filled the backlog is not counted");
    proxy.hang_connects();
    let begun = Instant::now();
    drop(proxy);
    assert!(begun.elapsed() < LONG);
}
