//! An answer as the replies that a sentinel would send.

use redis::Value;

use crate::{
    address::Address,
    topology::answer::{Answer, Flags, MasterFields, ReplicaFields, Reply, SentinelFields, View},
};

type Field = (&'static str, String);

/// The five replies of a query that are parsed into this answer.
pub(crate) fn replies(answer: &Answer, resp3: bool) -> Vec<Value> {
    let replies = match answer {
        Answer::Names(view) => names(view),
        Answer::Unknown => {
            let unknown = || error("ERR No such master with that name");
            vec![Value::Nil, unknown(), unknown(), unknown(), Value::Nil]
        }
        Answer::Moving => {
            let empty = || Value::Array(vec![]);
            let other = Address::new("moved", 2).unwrap();
            let first = Address::new("moving", 1).unwrap();
            vec![pair(&first), empty(), empty(), empty(), pair(&other)]
        }
        Answer::Refused(text) => (0..5).map(|_| error(text)).collect(),
    };
    if resp3 { replies.into_iter().map(in_resp3).collect() } else { replies }
}

fn names(view: &View) -> Vec<Value> {
    let mut fields: Vec<Field> = Vec::new();
    fields.extend(view.epoch.map(|epoch| ("config-epoch", epoch.to_string())));
    let master = match (&view.master, view.epoch) {
        (None, None) => denied("master"),
        (None, Some(_)) => flat(fields),
        (Some(master), _) => {
            fields.extend(master_fields(master));
            flat(fields)
        }
    };
    let list = |entries: Option<Vec<Value>>, what| entries.map_or(denied(what), Value::Array);
    let replicas = view.replicas.as_ref().map(|all| all.iter().map(replica).collect());
    let sentinels = view.sentinels.as_ref().map(|all| all.iter().map(sentinel).collect());
    let address = pair(&view.address);
    vec![address.clone(), master, list(replicas, "replicas"), list(sentinels, "sentinels"), address]
}

fn master_fields(master: &MasterFields) -> Vec<Field> {
    let mut fields = instance(&master.address, &master.run_id, &master.flags);
    fields.push(("failover-state", master.failover_state.clone().unwrap_or("none".to_owned())));
    fields.extend(master.quorum.map(|own| ("quorum", own.to_string())));
    fields.extend(master.down_after.map(|own| ("down-after-milliseconds", own.to_string())));
    fields.extend(master.failover_timeout.map(|own| ("failover-timeout", own.to_string())));
    fields
}

fn replica(replica: &ReplicaFields) -> Value {
    let mut fields = instance(&replica.address, &replica.run_id, &replica.flags);
    let link = |up| if up { "ok" } else { "err" };
    fields.extend(replica.link_up.map(|up| ("master-link-status", link(up).to_owned())));
    let of = replica.master.as_ref();
    fields.push(("master-host", of.map_or("?".to_owned(), |of| of.host().to_owned())));
    fields.push(("master-port", of.map_or(0, Address::port).to_string()));
    fields.extend(replica.offset.map(|own| ("slave-repl-offset", own.to_string())));
    fields.extend(replica.priority.map(|own| ("slave-priority", own.to_string())));
    fields.extend(replica.info_refresh.map(|own| ("info-refresh", own.to_string())));
    flat(fields)
}

fn sentinel(sentinel: &SentinelFields) -> Value {
    let mut fields = instance(&sentinel.address, &sentinel.run_id, &sentinel.flags);
    fields.push(("voted-leader", sentinel.voted_leader.clone().unwrap_or("?".to_owned())));
    fields.extend(sentinel.voted_leader_epoch.map(|own| ("voted-leader-epoch", own.to_string())));
    flat(fields)
}

fn instance(address: &Address, run_id: &Option<String>, flags: &Flags) -> Vec<Field> {
    vec![
        ("ip", address.host().to_owned()),
        ("port", address.port().to_string()),
        ("runid", run_id.clone().unwrap_or_default()),
        ("flags", flags.0.join(",")),
    ]
}

fn flat(fields: Vec<Field>) -> Value {
    Value::Array(fields.into_iter().flat_map(|(name, value)| [bulk(name), bulk(&value)]).collect())
}

/// A list as the bytes that a sentinel sends.
pub(crate) fn as_it_came(value: &Value) -> Reply {
    match value {
        Value::Array(items) if !matches!(items.first(), Some(Value::BulkString(_))) => {
            let mut bytes = Vec::new();
            encode(value, &mut bytes);
            Reply::List(bytes)
        }
        other => Reply::Value(other.clone()),
    }
}

fn encode(value: &Value, into: &mut Vec<u8>) {
    let mut head = |kind: char, count: usize| {
        into.extend_from_slice(format!("{kind}{count}\r\n").as_bytes());
    };
    match value {
        Value::Array(items) => {
            head('*', items.len());
            items.iter().for_each(|item| encode(item, into));
        }
        Value::Map(pairs) => {
            head('%', pairs.len());
            pairs.iter().flat_map(|(name, value)| [name, value]).for_each(|own| encode(own, into));
        }
        Value::BulkString(bytes) => {
            head('$', bytes.len());
            into.extend_from_slice(bytes);
            into.extend_from_slice(b"\r\n");
        }
        other => panic!("a list of a sentinel holds {other:?}"),
    }
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

fn denied(what: &str) -> Value {
    error(&format!("NOPERM this user has no permissions to run the 'sentinel|{what}' command"))
}

pub(crate) fn error(text: &str) -> Value {
    match redis::parse_redis_value(format!("-{text}\r\n").as_bytes()) {
        Ok(value @ Value::ServerError(_)) => value,
        other => panic!("{text:?} is no error reply: {other:?}"),
    }
}
