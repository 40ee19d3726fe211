//! The short text that scenario files are written in, read into inputs.

use std::time::Duration;

use redis::Value;

use crate::address::Address;

use super::{Answer, Hearing, Identity, Input, Origin, Report, Standing, Trouble, Verification};

/// The inputs that a line stands for: one for each address before the colon.
pub(super) fn inputs(line: &str) -> Vec<Input> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (head, tail) = match rest.split_once(": ") {
        Some((head, tail)) => (head, tail),
        None => (rest, ""),
    };
    let each = || head.split_whitespace().map(address);
    match verb {
        "start" => vec![Input::Start { seeds: each().collect() }],
        "tick" => vec![Input::Tick],
        "refresh" => vec![Input::Refresh],
        "up" => each().map(|sentinel| up(sentinel, tail)).collect(),
        "down" => each()
            .map(|sentinel| Input::SentinelDown { sentinel, reason: tail.to_owned() })
            .collect(),
        "resolved" => {
            let to: Vec<Address> = tail.split_whitespace().map(address).collect();
            each().map(|address| Input::Resolved { address, to: to.clone() }).collect()
        }
        "answer" => each()
            .map(|sentinel| Input::Answer { sentinel, answer: Answer::parse(&replies(tail)) })
            .collect(),
        "services" => {
            let names: Vec<String> = tail.split_whitespace().map(str::to_owned).collect();
            each().map(|sentinel| Input::Services { sentinel, names: names.clone() }).collect()
        }
        "node" => each().map(|node| Input::Node { node, report: report(tail) }).collect(),
        "verified" => each()
            .map(|address| Input::Verified { address, verification: verification(tail) })
            .collect(),
        "trouble" => {
            let (generation, what) = rest.split_once(' ').expect("trouble <generation> <what>");
            let generation = generation.parse().expect("a generation is a number");
            vec![Input::Trouble { generation, what: trouble(what) }]
        }
        "message" => {
            let (sentinel, rest) = rest.split_once(' ').expect("message <sentinel> <channel>");
            let (channel, payload) = rest.split_once(' ').unwrap_or((rest, ""));
            vec![Input::Message {
                sentinel: address(sentinel),
                channel: channel.to_owned(),
                payload: bytes(payload),
            }]
        }
        _ => panic!("{line:?} is no input"),
    }
}

/// `up s1`: its run id is id1 and it was reached where it is. `id=- peer=… hearing=…` say otherwise.
fn up(sentinel: Address, tail: &str) -> Input {
    let mut run_id = short(&sentinel).strip_prefix('s').map(|number| format!("id{number}"));
    let mut peer = run_id.as_ref().map(|_| sentinel.clone());
    let mut hearing = Hearing::All;
    for word in tail.split_whitespace() {
        match word.split_once('=') {
            Some(("id", "-")) => run_id = None,
            Some(("id", id)) => run_id = Some(id.to_owned()),
            Some(("peer", "-")) => peer = None,
            Some(("peer", text)) => peer = Some(address(text)),
            Some(("hearing", "switch")) => hearing = Hearing::SwitchOnly,
            Some(("hearing", "denied")) => hearing = Hearing::Denied,
            _ => panic!("{word:?} says nothing of a link"),
        }
    }
    Input::SentinelUp { sentinel, run_id, peer, hearing }
}

fn verification(text: &str) -> Verification {
    match text.split_once(' ').unwrap_or((text, "")) {
        ("master", rest) => Verification::Master { origin: identity(rest).1 },
        ("role", role) => Verification::NotMaster { role: role.to_owned() },
        ("failed", reason) => Verification::Failed { reason: reason.to_owned() },
        _ => panic!("{text:?} is no verification"),
    }
}

fn report(text: &str) -> Report {
    match text.split_once(' ').unwrap_or((text, "")) {
        ("gone", _) => Report::Gone,
        ("master", rest) => {
            Report::Says(Identity { standing: Standing::Master, origin: identity(rest).1 })
        }
        ("replica", rest) => {
            let (standing, origin) = identity(rest);
            Report::Says(Identity { standing, origin })
        }
        _ => panic!("{text:?} is no report of a node"),
    }
}

/// `of=n1 id=r1 replid=a former=b`, and `broken` when a replica has lost its master.
fn identity(text: &str) -> (Standing, Origin) {
    let mut origin = Origin::default();
    let (mut of, mut linked) = (None, true);
    for word in text.split_whitespace() {
        let owned = |text: &str| Some(text.to_owned());
        match word.split_once('=') {
            Some(("of", text)) => of = Some(address(text)),
            Some(("id", id)) => origin.run_id = owned(id),
            Some(("replid", id)) => origin.replid = owned(id),
            Some(("former", id)) => origin.former = owned(id),
            None if word == "broken" => linked = false,
            _ => panic!("{word:?} says nothing of a node"),
        }
    }
    (Standing::Replica { of, linked }, origin)
}

fn trouble(text: &str) -> Trouble {
    match text {
        "readonly" => Trouble::ReadOnly,
        "masterdown" => Trouble::MasterDown,
        "loading" => Trouble::Loading,
        "disconnected" => Trouble::Disconnected,
        "timed-out" => Trouble::TimedOut,
        "not-master" => Trouble::NotMaster,
        _ => panic!("{text:?} is no trouble"),
    }
}

/// The five replies of a query, as they come over the wire.
fn replies(text: &str) -> Vec<Value> {
    if text == "nil" {
        let unknown = || error("ERR No such master with that name");
        return vec![Value::Nil, unknown(), unknown(), unknown(), Value::Nil];
    }
    if let Some(text) = text.strip_prefix("error ") {
        return (0..5).map(|_| error(text)).collect();
    }
    let mut words = text.split_whitespace();
    let (named, epoch) = match words.next().expect("an address").split_once('@') {
        Some((named, epoch)) => (named, Some(epoch)),
        None => (text.split_whitespace().next().unwrap(), None),
    };
    let own = address(named);
    let mut fields = vec![("name", "mymaster".to_owned())];
    let mut flags = "master".to_owned();
    let (mut ip, mut again) = (own.clone(), Some(own.clone()));
    let (mut replicas, mut sentinels) = (Value::Array(vec![]), Value::Array(vec![]));
    let mut resp3 = false;
    for word in words {
        match word.split_once('=') {
            Some(("again", "nil")) => again = None,
            Some(("again", other)) => again = Some(address(other)),
            Some(("master", other)) => ip = address(other),
            Some(("id", id)) => fields.push(("runid", id.to_owned())),
            Some(("state", state)) => fields.push(("failover-state", state.to_owned())),
            Some(("flags", more)) => flags = format!("{flags},{}", more.replace(';', ",")),
            Some(("replicas", "denied")) => replicas = error("NOPERM no permissions"),
            Some(("sentinels", "denied")) => sentinels = error("NOPERM no permissions"),
            Some(("replicas", list)) => replicas = instances(list, "slave"),
            Some(("sentinels", list)) => sentinels = instances(list, "sentinel"),
            None if word == "resp3" => resp3 = true,
            _ => panic!("{word:?} says nothing of an answer"),
        }
    }
    fields.extend([
        ("ip", ip.host().to_owned()),
        ("port", ip.port().to_string()),
        ("flags", flags),
        ("config-epoch", epoch.unwrap_or_default().to_owned()),
    ]);
    let master = match epoch {
        Some(_) => flat(fields),
        None => error("NOPERM this user has no permissions to run the 'sentinel|master' command"),
    };
    let replies =
        vec![pair(&own), master, replicas, sentinels, again.as_ref().map_or(Value::Nil, pair)];
    if resp3 { replies.into_iter().map(in_resp3).collect() } else { replies }
}

fn instances(list: &str, kind: &str) -> Value {
    let instance = |text: &str| {
        let (at, attributes) = text.split_once('(').unwrap_or((text, ""));
        let at = address(at);
        let mut flags = kind.to_owned();
        let mut fields = vec![("ip", at.host().to_owned()), ("port", at.port().to_string())];
        for attribute in attributes.trim_end_matches(')').split(';').filter(|a| !a.is_empty()) {
            match attribute.split_once('=') {
                None => flags = format!("{flags},{attribute}"),
                Some(("id", id)) => fields.push(("runid", id.to_owned())),
                Some(("link", link)) => fields.push(("master-link-status", link.to_owned())),
                Some(("offset", offset)) => fields.push(("slave-repl-offset", offset.to_owned())),
                Some(("refresh", ago)) => fields.push(("info-refresh", ago.to_owned())),
                Some(("vote", vote)) => {
                    let (leader, epoch) = vote.split_once('@').expect("vote=<run id>@<epoch>");
                    fields.push(("voted-leader", leader.to_owned()));
                    fields.push(("voted-leader-epoch", epoch.to_owned()));
                }
                Some(_) => panic!("{attribute:?} says nothing of an instance"),
            }
        }
        fields.push(("flags", flags));
        flat(fields)
    };
    Value::Array(list.split(',').map(instance).collect())
}

fn flat(fields: Vec<(&str, String)>) -> Value {
    Value::Array(fields.into_iter().flat_map(|(name, value)| [bulk(name), bulk(&value)]).collect())
}

/// The same reply over RESP3: maps instead of flat arrays of text.
fn in_resp3(value: Value) -> Value {
    match value {
        Value::Array(items) if items.len() > 2 && matches!(items[0], Value::BulkString(_)) => {
            let mut items = items.into_iter();
            let mut pairs = Vec::new();
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                pairs.push((name, value));
            }
            Value::Map(pairs)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(in_resp3).collect()),
        other => other,
    }
}

fn pair(address: &Address) -> Value {
    Value::Array(vec![bulk(address.host()), bulk(&address.port().to_string())])
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

pub(super) fn error(text: &str) -> Value {
    match redis::parse_redis_value(format!("-{text}\r\n").as_bytes()) {
        Ok(value @ Value::ServerError(_)) => value,
        other => panic!("{text:?} is no error reply: {other:?}"),
    }
}

/// Text with `\xff` for bytes that are no text.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).expect("two hexadecimal digits"));
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// `s1` is the sentinel 10.0.0.1:26379, `n1` the node 10.0.1.1:6379.
pub(super) fn address(text: &str) -> Address {
    let number = |prefix| text.strip_prefix(prefix).and_then(|number: &str| number.parse().ok());
    if let Some(number) = number('s') {
        let _: u8 = number;
        return Address::new(&format!("10.0.0.{number}"), 26379).unwrap();
    }
    if let Some(number) = number('n') {
        return Address::new(&format!("10.0.1.{number}"), 6379).unwrap();
    }
    Address::parse(text, 1).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn short(address: &Address) -> String {
    shortened(&address.to_string())
}

pub(super) fn shortened(text: &str) -> String {
    let mut out = text.to_owned();
    for number in (1..=9).rev() {
        out = out
            .replace(&format!("10.0.0.{number}:26379"), &format!("s{number}"))
            .replace(&format!("10.0.1.{number}:6379"), &format!("n{number}"));
    }
    out
}

/// `250ms` or `1.5s`.
pub(super) fn duration(text: &str) -> Duration {
    let parsed = match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text
            .strip_suffix('s')
            .and_then(|number| number.parse().ok())
            .map(Duration::from_secs_f64),
    };
    parsed.unwrap_or_else(|| panic!("{text:?} is no time: 250ms or 1.5s"))
}
