//! Connections against real servers and against scripted ones.

mod flow;
mod hostile;
mod real;
mod retirement;
#[cfg(all(feature = "tls-rustls", feature = "tls-native-tls"))]
mod tls;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn in_time() -> Instant {
    Instant::now() + PATIENCE
}

fn settings() -> Settings {
    Settings { dial_timeout: PATIENCE, command_timeout: PATIENCE, ..Settings::default() }
}

fn gate() -> Arc<Gate> {
    Arc::new(Gate::new())
}

fn packed(words: &[&str]) -> Vec<u8> {
    redis::Cmd::new().arg(words).get_packed_command()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = in_time();
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A redis-server of its own, ended on drop.
struct Redis {
    child: Child,
    address: Address,
}

impl Redis {
    fn start(args: &[&str]) -> Redis {
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = Address::from(listener.local_addr().unwrap());
            drop(listener);
            let child = Command::new("redis-server")
                .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
                .args(args)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("redis-server is on the PATH");
            let mut redis = Redis { child, address };
            let deadline = in_time();
            while Instant::now() < deadline {
                if TcpStream::connect(("127.0.0.1", redis.address.port())).is_ok() {
                    return redis;
                }
                if redis.child.try_wait().unwrap().is_some() {
                    // Somebody else took the port.
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        panic!("redis-server does not start");
    }

    fn open(&self) -> Connection {
        self.open_with(&settings())
    }

    fn open_with(&self, settings: &Settings) -> Connection {
        Connection::open(&self.address, settings, &gate(), in_time()).expect("a connection")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const GREETING: &[u8] = b"-ERR unknown command 'HELLO'\r\n+OK\r\n+OK\r\n\
                          *3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n+PONG\r\n";

/// A server that greets one connection and then does what the script says.
fn scripted(script: impl FnOnce(TcpStream) + Send + 'static) -> (Address, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        read_past(&mut peer, b"PING\r\n");
        peer.write_all(GREETING).unwrap();
        read_past(&mut peer, b"ID\r\n");
        peer.write_all(b":7\r\n").unwrap();
        script(peer);
    });
    (address, server)
}

/// Reads until the bytes that came end so.
fn read_past(peer: &mut TcpStream, end: &[u8]) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(end) {
        if peer.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        seen.push(byte[0]);
    }
}

fn open(address: &Address, settings: &Settings) -> Connection {
    Connection::open(address, settings, &gate(), in_time()).expect("a connection")
}
