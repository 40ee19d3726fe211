//! Connections to a real server.

use std::{net::SocketAddr, thread};

use redis::{Value, cmd, pipe};
use switchmaster_sandbox::{Cluster, wait_until};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn settings() -> Settings {
    Settings {
        username: None,
        password: None,
        db: 0,
        client_name: None,
        protocol: Protocol::Resp3,
        dial_timeout: Duration::from_secs(2),
        command_timeout: Duration::from_secs(5),
        user_timeout: Duration::from_secs(5),
        limits: Limits::default(),
        role_required: true,
    }
}

fn server() -> (Cluster, SocketAddr) {
    let cluster = Cluster::builder().replicas(0).sentinels(1).quorum(1).start().unwrap();
    let address = cluster.nodes()[0].address();
    (cluster, address)
}

fn open(address: SocketAddr, settings: &Settings, gate: &Arc<Gate>) -> Result<Connection, Error> {
    Connection::open(&address.into(), settings, gate, Instant::now() + PATIENCE)
}

#[test]
fn both_protocols_greet_and_answer() {
    let (_cluster, address) = server();
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let settings = Settings { protocol, db: 3, ..settings() };
        let mut connection = open(address, &settings, &Arc::new(Gate::new())).unwrap();
        assert!(matches!(connection.greeting().role, Some(Role::Master { .. })));
        assert_eq!(connection.greeting().protocol, protocol);
        let echo = cmd("ECHO").arg("hello").get_packed_command();
        assert_eq!(connection.request(&echo).unwrap(), Value::BulkString("hello".into()));
        assert!(connection.peek_alive() && !connection.state().holds_state());
    }
}

#[test]
fn a_reader_blocked_in_blpop_wakes_when_its_gate_retires() {
    let (cluster, address) = server();
    let gate = Arc::new(Gate::new());
    let mut connection = open(address, &settings(), &gate).unwrap();
    let reader = thread::spawn(move || {
        connection.request(&cmd("BLPOP").arg("never").arg(0).get_packed_command())
    });
    assert!(wait_until(PATIENCE, || {
        cluster.nodes()[0].info("clients", "blocked_clients").is_ok_and(|n| n == "1")
    }));
    gate.retire();
    let error = reader.join().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::Unknown));
}

#[test]
fn nothing_is_sent_through_a_retired_gate() {
    let (_cluster, address) = server();
    let gate = Arc::new(Gate::new());
    let mut connection = open(address, &settings(), &gate).unwrap();
    gate.retire();
    let error = connection.request(&cmd("PING").get_packed_command()).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Switched, Outcome::NotSent));
    let refused = open(address, &settings(), &gate).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Switched);
}

#[test]
fn a_pipeline_larger_than_every_buffer_does_not_deadlock() {
    let (_cluster, address) = server();
    let mut connection = open(address, &settings(), &Arc::new(Gate::new())).unwrap();
    let value = "v".repeat(1024);
    connection.request(&cmd("SET").arg("key").arg(&value).get_packed_command()).unwrap();
    let mut pipeline = pipe();
    for _ in 0..100_000 {
        pipeline.cmd("GET").arg("key");
    }
    let replies = connection.request_many(&pipeline.get_packed_pipeline(), 0, 100_000).unwrap();
    assert_eq!(replies.values.len(), 100_000);
    let expected = Value::BulkString(value.into_bytes());
    assert!(replies.values.iter().all(|value| *value == expected));
    assert!(connection.peek_alive());
}

#[test]
fn a_reply_that_does_not_come_is_a_timeout_and_the_end_of_the_connection() {
    let (cluster, address) = server();
    let settings = Settings { command_timeout: Duration::from_millis(100), ..settings() };
    let mut connection = open(address, &settings, &Arc::new(Gate::new())).unwrap();
    cluster.nodes()[0].freeze().unwrap();
    let ping = cmd("PING").get_packed_command();
    let error = connection.request(&ping).unwrap_err();
    cluster.nodes()[0].resume().unwrap();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::CommandTimeout, Outcome::Unknown));
    let error = connection.request(&ping).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::NotSent));
}

#[test]
fn a_blocking_command_has_its_own_time_on_top() {
    let (_cluster, address) = server();
    let settings = Settings { command_timeout: Duration::from_millis(200), ..settings() };
    let mut connection = open(address, &settings, &Arc::new(Gate::new())).unwrap();
    let blpop = cmd("BLPOP").arg("never").arg(0.5).get_packed_command();
    assert_eq!(connection.request(&blpop).unwrap(), Value::Nil);
}

#[test]
fn commands_whose_replies_belong_to_nobody_are_refused_before_they_are_sent() {
    let (_cluster, address) = server();
    let mut connection = open(address, &settings(), &Arc::new(Gate::new())).unwrap();
    for command in ["MONITOR", "SYNC"] {
        let error = connection.request(&cmd(command).get_packed_command()).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unsupported, Outcome::NotSent));
        assert!(error.to_string().contains(command), "{error}");
    }
    assert!(connection.is_open());
}
