//! What a node is asked.

use redis::Value;
use switchmaster::{Address, direct::Dialer};

use super::call::{Call, Question, clock, question};
use crate::doctor::{
    facts::Node,
    fields::{Fields, items, text},
};

/// The settings that rules are about.
const SETTINGS: &[&str] = &[
    "appendonly",
    "bind",
    "client-output-buffer-limit",
    "masterauth",
    "masteruser",
    "maxclients",
    "min-replicas-to-write",
    "protected-mode",
    "repl-backlog-size",
    "repl-ping-replica-period",
    "repl-timeout",
    "replica-announced",
    "replica-priority",
    "replica-read-only",
    "requirepass",
    "save",
    "stop-writes-on-bgsave-error",
];

/// Asks one node everything. Blocks for as long as the dialer's timeouts say.
pub(super) fn examine(dialer: &Dialer, address: Address, listed: bool) -> Node {
    let mut call = Call::dial(dialer, address, Dialer::node);
    if let Some((time, moments)) = call.ask_timed(question("TIME", &[])) {
        let parts: Vec<f64> =
            items(&time).iter().filter_map(text).filter_map(|part| part.parse().ok()).collect();
        if let [seconds, micros] = parts[..] {
            call.server.clock = Some(clock(seconds * 1000.0 + micros / 1000.0, moments));
        }
    }
    let (user, _) = dialer.users();
    let mut questions = vec![
        question("PING", &[]),
        question("INFO", &[]),
        question("ACL GETUSER", &["default"]),
        question("ACL DRYRUN", &[user, "CLIENT", "UNBLOCK", "0"]),
    ];
    questions.extend(SETTINGS.iter().map(|name| -> Question { question("CONFIG GET", &[name]) }));
    let mut answers = call.ask(&questions).into_iter();
    let [_ping, info, default_user, unblock] = [(); 4].map(|()| answers.next().flatten());
    if let Some(info) = info {
        call.server.info = Fields::of_info(&text(&info).unwrap_or_default());
    }
    let mut config = Fields::default();
    for answer in answers.flatten() {
        config.extend(Fields::of_value(&answer));
    }
    let mut node = Node {
        aliases: Vec::new(),
        listed,
        config,
        default_user: default_user.as_ref().map(flags).unwrap_or_default(),
        server: call.server.clone(),
    };
    // Last: in RESP2 a connection that has subscribed takes no more questions.
    node.server = call.subscribe("SUBSCRIBE", "switchmaster:doctor");
    // A dry run that succeeds says OK, and otherwise what the user lacks.
    if let Some(words) = unblock.as_ref().and_then(text).filter(|words| words != "OK") {
        node.server.deny("CLIENT UNBLOCK", words);
    }
    node
}

fn flags(user: &Value) -> Vec<String> {
    let list = |list: &Value| items(list).iter().filter_map(text).collect();
    match user {
        Value::Array(fields) => {
            let mut pairs = fields.chunks_exact(2);
            pairs.find(|pair| text(&pair[0]).as_deref() == Some("flags")).map(|pair| list(&pair[1]))
        }
        Value::Map(fields) => {
            let found = fields.iter().find(|(name, _)| text(name).as_deref() == Some("flags"));
            found.map(|(_, value)| list(value))
        }
        _ => None,
    }
    .unwrap_or_default()
}
