//! The state of a connection never reaches the next user: transactions, watched keys, subscriptions,
//! another database, and every other setting, whether the server accepted, refused or queued the command.

mod common;

use std::collections::BTreeMap;

use common::*;
use redis::{Commands, ConnectionLike, Value};
use switchmaster::{Builder, ErrorKind, Factory, Handle, Protocol, RawReplies, Readiness};
use switchmaster_sandbox::{Client, Cluster, frame::Frame, wait_until};

/// The connection of the next user.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    /// The same one: nothing was left behind.
    Same,
    Other,
    /// Servers differ.
    Either,
}

use Next::{Either, Other, Same};

/// Steps, each sent when the one before was answered; `;` separates the commands of a pipeline.
const CASES: &[(&[&str], Next)] = &[
    (&["SET k 1", "GET k"], Same),
    // Transactions.
    (&["MULTI"], Other),
    (&["MULTI x"], Same),
    (&["MULTI", "DISCARD"], Same),
    (&["MULTI", "DISCARD x"], Other),
    (&["MULTI", "DISCARD x", "DISCARD"], Same),
    (&["MULTI", "EXEC"], Same),
    (&["MULTI", "SET k 1", "EXEC"], Same),
    (&["MULTI", "EXEC x"], Same),
    (&["MULTI", "MULTI"], Other),
    (&["MULTI", "MULTI", "DISCARD"], Same),
    (&["MULTI", "MULTI", "EXEC"], Same),
    (&["MULTI", "NONSENSE", "EXEC"], Same),
    (&["MULTI", "NONSENSE", "EXEC x"], Same),
    (&["MULTI", "NONSENSE"], Other),
    (&["EXEC"], Same),
    (&["DISCARD"], Same),
    (&["MULTI;SET k 1;EXEC"], Same),
    (&["MULTI;SET k;EXEC"], Same),
    (&["MULTI;SET k;DISCARD x"], Other),
    (&["MULTI;DISCARD x;SET k 1"], Other),
    (&["MULTI;SET k 1;INCR k;LPUSH k x;EXEC"], Same),
    (&["MULTI;EXEC;MULTI"], Other),
    (&["MULTI x;SET k 1;EXEC"], Same),
    (&["MULTI", "BLPOP nothing 0", "EXEC"], Same),
    (&["MULTI", "PING;PING;EXEC;MULTI;DISCARD x"], Other),
    // Watched keys. Another client changes `w` after the last step.
    (&["WATCH w"], Other),
    (&["WATCH"], Same),
    (&["WATCH w", "UNWATCH"], Same),
    (&["WATCH w", "UNWATCH x"], Other),
    (&["WATCH w", "DISCARD"], Other),
    (&["WATCH w", "DISCARD x"], Other),
    (&["WATCH w", "EXEC"], Other),
    (&["WATCH w", "MULTI", "EXEC"], Same),
    (&["WATCH w", "MULTI", "DISCARD"], Same),
    (&["WATCH w", "MULTI", "NONSENSE", "EXEC"], Same),
    (&["WATCH w", "SET w 2", "MULTI", "SET k 2", "EXEC"], Same),
    (&["WATCH w", "SET w 2", "MULTI", "SELECT 3", "EXEC"], Same),
    (&["WATCH w", "MULTI", "UNWATCH", "DISCARD"], Same),
    (&["WATCH w", "MULTI", "UNWATCH", "EXEC"], Same),
    (&["WATCH w", "MULTI", "WATCH v", "DISCARD"], Same),
    (&["MULTI", "WATCH w", "DISCARD"], Same),
    (&["WATCH w;UNWATCH x;GET k"], Other),
    (&["WATCH w;MULTI;SET k 1;EXEC"], Same),
    // Databases.
    (&["SELECT 3"], Other),
    (&["SELECT 3", "SELECT 0"], Same),
    (&["SELECT 3", "SELECT 99"], Other),
    (&["SELECT 99"], Same),
    (&["SELECT x"], Same),
    (&["SELECT"], Same),
    (&["SELECT 3;SELECT 99;SELECT 0"], Same),
    (&["MULTI", "SELECT 3", "DISCARD"], Same),
    (&["MULTI", "SELECT 3", "NONSENSE", "EXEC"], Same),
    (&["MULTI", "SELECT 3", "EXEC"], Other),
    (&["MULTI;SELECT 3;EXEC"], Other),
    (&["MULTI", "SELECT 3", "DISCARD", "MULTI", "EXEC"], Same),
    // Subscriptions. Another client publishes on `ch` after the last step.
    (&["SUBSCRIBE ch"], Other),
    (&["SUBSCRIBE ch1 ch ch2"], Other),
    (&["PSUBSCRIBE c*"], Other),
    (&["SSUBSCRIBE ch"], Other),
    (&["SUBSCRIBE"], Same),
    (&["PSUBSCRIBE"], Same),
    (&["SUBSCRIBE ch", "UNSUBSCRIBE"], Either),
    (&["SUBSCRIBE ch ch2", "UNSUBSCRIBE ch2"], Other),
    (&["SUBSCRIBE ch ch2", "PSUBSCRIBE c*", "UNSUBSCRIBE", "PUNSUBSCRIBE"], Either),
    (&["SUBSCRIBE ch", "SSUBSCRIBE ch", "UNSUBSCRIBE"], Other),
    (&["UNSUBSCRIBE"], Same),
    (&["UNSUBSCRIBE ch ch2"], Same),
    (&["PUNSUBSCRIBE"], Same),
    (&["SUNSUBSCRIBE"], Same),
    (&["MULTI", "SUBSCRIBE ch", "EXEC"], Other),
    (&["MULTI", "SUBSCRIBE ch ch2", "EXEC"], Other),
    (&["MULTI", "SUBSCRIBE ch ch2", "SET k 1", "EXEC"], Other),
    (&["MULTI", "PSUBSCRIBE c*", "EXEC"], Other),
    (&["MULTI", "SSUBSCRIBE ch", "EXEC"], Other),
    (&["MULTI", "SUBSCRIBE ch", "DISCARD"], Same),
    (&["MULTI", "SUBSCRIBE ch", "NONSENSE", "EXEC"], Same),
    (&["MULTI", "SUBSCRIBE"], Other),
    (&["MULTI", "SUBSCRIBE", "EXEC"], Same),
    (&["MULTI", "SUBSCRIBE ch"], Other),
    (&["MULTI", "UNSUBSCRIBE", "EXEC"], Other),
    (&["WATCH w", "SET w 3", "MULTI", "SUBSCRIBE ch", "EXEC"], Same),
    // Settings of the connection.
    (&["CLIENT SETNAME other"], Other),
    (&["CLIENT SETNAME"], Same),
    (&["CLIENT TRACKING ON"], Other),
    (&["CLIENT TRACKING MAYBE"], Same),
    (&["CLIENT TRACKING ON BCAST PREFIX a PREFIX ab"], Same),
    (&["CLIENT CACHING YES"], Same),
    (&["CLIENT TRACKING ON OPTIN", "CLIENT CACHING YES"], Other),
    (&["CLIENT NO-EVICT ON"], Other),
    (&["CLIENT NO-EVICT MAYBE"], Same),
    (&["CLIENT NO-TOUCH ON"], Either),
    (&["CLIENT REPLY ON"], Other),
    (&["CLIENT NONSENSE"], Same),
    (&["CLIENT ID", "CLIENT INFO", "CLIENT GETNAME"], Same),
    (&["MULTI", "CLIENT SETNAME other", "EXEC"], Other),
    (&["MULTI", "CLIENT SETNAME other", "DISCARD"], Same),
    (&["MULTI;CLIENT NO-EVICT ON;EXEC"], Other),
    (&["MULTI;CLIENT NO-EVICT ON;NONSENSE;EXEC"], Same),
    (&["HELLO"], Same),
    (&["HELLO 2"], Other),
    (&["HELLO 3"], Other),
    (&["HELLO 2", "SUBSCRIBE ch"], Other),
    (&["HELLO 3", "SUBSCRIBE ch"], Other),
    (&["HELLO 9"], Other),
    (&["HELLO 3 AUTH other secret"], Other),
    (&["HELLO 3 AUTH other wrong"], Other),
    (&["MULTI", "HELLO 2", "EXEC"], Other),
    (&["AUTH other secret"], Other),
    (&["AUTH other wrong"], Other),
    (&["AUTH"], Other),
    (&["MULTI", "AUTH other secret", "EXEC"], Other),
    (&["RESET"], Other),
    (&["MULTI", "RESET"], Other),
    (&["WATCH w", "RESET"], Other),
    (&["SELECT 3", "RESET"], Other),
    (&["SUBSCRIBE ch", "RESET"], Other),
    (&["RESET", "SUBSCRIBE ch"], Other),
    (&["MULTI;SET k 1;RESET;GET k"], Other),
    (&["ASKING"], Same),
    (&["READONLY"], Either),
    (&["READWRITE"], Either),
    (&["SCRIPT DEBUG YES"], Other),
    (&["SCRIPT DEBUG MAYBE"], Same),
    (&["REPLCONF listening-port 1"], Other),
    (&["REPLCONF nonsense x"], Same),
    (&["QUIT"], Other),
    (&["FAILOVER ABORT"], Same),
];

/// A script's client is another one. On a server of their own, because Valkey 9.1 debugs the scripts of
/// other connections after SCRIPT DEBUG YES, and crashes.
const SCRIPTS: &[(&[&str], Next)] = &[
    (&["EVAL return(redis.call('SELECT','3')) 0"], Same),
    (&["EVAL return(redis.pcall('MULTI')) 0"], Same),
    (&["EVAL return(redis.pcall('WATCH','w')) 0"], Same),
    (&["EVAL return(redis.pcall('SUBSCRIBE','ch')) 0"], Same),
    (&["EVAL return(redis.pcall('CLIENT','SETNAME','x')) 0"], Same),
];

/// The way in which commands are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Values,
    Raw,
    Stream,
}

fn packed(step: &str) -> (Vec<u8>, usize) {
    let commands: Vec<&str> = step.split(';').collect();
    let pack = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        redis::Cmd::new().arg(words).get_packed_command()
    };
    (commands.iter().flat_map(pack).collect(), commands.len())
}

fn send(handle: &mut Handle, way: Way, step: &str) {
    let (bytes, count) = packed(step);
    match way {
        Way::Values => {
            let replies = handle.req_packed_commands(&bytes, 0, count).expect(step);
            assert_eq!(replies.len(), count, "{step}: {replies:?}");
        }
        Way::Raw => {
            let mut replies = RawReplies::new();
            handle.exchange(&bytes, &mut replies).expect(step);
            assert_eq!(replies.len(), count, "{step}");
        }
        Way::Stream => {
            handle.send(&bytes).expect(step);
            receive_all(handle, step);
        }
    }
}

/// Receives until nothing is under way.
fn receive_all(handle: &mut Handle, step: &str) {
    let mut buffer = [0; 512];
    // Without end, and nothing there: messages may come, and no reply.
    while handle.readiness_to_receive() != Readiness::Descriptor(None) {
        match handle.receive(&mut buffer) {
            Ok(_) => {}
            // There is nothing more to come, or the server ended the connection as it was asked to.
            Err(error) => {
                let kind = error.kind();
                assert!(
                    matches!(kind, ErrorKind::InvalidConfig | ErrorKind::Disconnected),
                    "{step}: {error}"
                );
                return;
            }
        }
    }
}

/// The settings of this connection at the server. `flags` show an open transaction.
fn settings(handle: &mut Handle) -> BTreeMap<String, String> {
    const SETTINGS: [&str; 10] =
        ["name", "db", "sub", "psub", "ssub", "watch", "flags", "resp", "user", "redir"];
    let info: String = redis::cmd("CLIENT").arg("INFO").query(handle).unwrap();
    info.split_whitespace()
        .filter_map(|field| field.split_once('='))
        .filter(|(name, _)| SETTINGS.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn id(handle: &mut Handle) -> i64 {
    redis::cmd("CLIENT").arg("ID").query(handle).unwrap()
}

fn open(cluster: &Cluster, protocol: Protocol) -> Factory {
    let builder = Builder::from_url(&cluster.url()).unwrap();
    builder.max_size(1).min_idle(0).protocol(protocol).build().unwrap()
}

#[test]
fn the_next_user_finds_a_clean_connection_or_another_one() {
    assert_next_users_are_safe(CASES);
}

#[test]
fn scripts_leave_nothing_to_the_next_user() {
    assert_next_users_are_safe(SCRIPTS);
}

fn assert_next_users_are_safe(cases: &[(&[&str], Next)]) {
    let cluster = Cluster::builder().replicas(0).sentinels(1).start().expect("a cluster starts");
    let master = cluster.master().unwrap();
    let mut other = Client::connect(master.address(), PATIENCE).unwrap();
    other.expect(&["ACL", "SETUSER", "other", "on", ">secret", "allcommands", "allkeys"]).unwrap();
    let mut faults = Vec::new();
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let factory = open(&cluster, protocol);
        let clean = settings(&mut factory.get().unwrap());
        for way in [Way::Values, Way::Raw, Way::Stream] {
            for (steps, expected) in cases {
                let case = format!("{steps:?} as {way:?} in {protocol:?}");
                let mut handle = factory.get().unwrap();
                let before = id(&mut handle);
                for step in *steps {
                    send(&mut handle, way, step);
                }
                drop(handle);
                other
                    .expect(&["INCR", "w"])
                    .unwrap_or_else(|_| other.expect(&["SET", "w", "1"]).expect("w is set"));
                let mut next = factory.get().unwrap();
                let now = id(&mut next);
                let next_is = if now == before { Same } else { Other };
                if *expected != Either && next_is != *expected {
                    faults.push(format!("{case}: the next connection is the {next_is:?}"));
                }
                if now != before {
                    // The server may be late to notice that the other one is gone.
                    let silent = |other: &mut Client| {
                        let sent = [["PUBLISH", "ch", "x"], ["SPUBLISH", "ch", "x"]];
                        sent.iter().all(|words| matches!(other.call(words), Ok(Frame::Integer(0))))
                    };
                    assert!(wait_until(PATIENCE, || silent(&mut other)), "{case}: the other lives");
                }
                other.call(&["PUBLISH", "ch", "a message"]).unwrap();
                for round in 0..3 {
                    let echoed: Value = redis::cmd("ECHO").arg(round).query(&mut next).unwrap();
                    if echoed != Value::BulkString(round.to_string().into_bytes()) {
                        faults.push(format!("{case}: the next ECHO gets {echoed:?}"));
                    }
                }
                let now = settings(&mut next);
                if now != clean {
                    faults.push(format!("{case}: the next user has {now:?}"));
                }
                let done: Option<(i64,)> =
                    redis::pipe().atomic().incr("n", 1).query(&mut next).unwrap();
                if done.is_none() {
                    faults.push(format!("{case}: the next transaction is not run"));
                }
                let _: Option<String> = next.get("k").unwrap();
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_refused_end_of_state_is_known_when_the_handle_moves() {
    let cluster = Cluster::builder().replicas(0).sentinels(1).start().expect("a cluster starts");
    let factory = open(&cluster, Protocol::Resp3);
    for (steps, poisoned) in [
        (&["MULTI", "DISCARD x"][..], true),
        (&["MULTI x"], false),
        (&["WATCH w", "EXEC"], true),
        (&["WATCH w", "UNWATCH"], false),
        (&["SELECT 99"], false),
        (&["CLIENT SETNAME"], false),
    ] {
        let mut handle = factory.get().unwrap();
        let killed = id(&mut handle).to_string();
        for step in steps {
            send(&mut handle, Way::Values, step);
        }
        let mut other = Client::connect(cluster.master().unwrap().address(), PATIENCE).unwrap();
        other.expect(&["CLIENT", "KILL", "ID", &killed]).unwrap();
        // The first command finds out that the connection is gone.
        let _ = redis::cmd("PING").exec(&mut handle);
        let second = redis::cmd("PING").query::<Value>(&mut handle);
        assert_eq!(second.is_err(), poisoned, "{steps:?}: {second:?}");
    }
}

#[test]
fn messages_between_whole_commands_are_dropped_and_counted() {
    let cluster = Cluster::builder().replicas(0).sentinels(1).start().expect("a cluster starts");
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let factory = open(&cluster, protocol);
        let mut other = Client::connect(cluster.master().unwrap().address(), PATIENCE).unwrap();
        let mut handle = factory.get().unwrap();
        send(&mut handle, Way::Values, "SUBSCRIBE ch ch2");
        assert_eq!(factory.stats().dropped_messages, 0, "confirmations are no messages");
        for _ in 0..2000 {
            other.expect(&["PUBLISH", "ch", "a message"]).unwrap();
        }
        // What was published comes before the reply.
        send(&mut handle, Way::Raw, "PING");
        assert_eq!(factory.stats().dropped_messages, 2000);
        send(&mut handle, Way::Values, "PING");
        assert_eq!(factory.stats().dropped_messages, 2000);
    }
}
