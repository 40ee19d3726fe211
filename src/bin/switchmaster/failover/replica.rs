//! A node that is asked directly what it is: [`Node`], [`Role`].

use redis::{FromRedisValue, RedisResult, Value};
use switchmaster::{Address, direct::Dialer};

use super::line::Line;

/// What a node says of itself (`ROLE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Master {
        offset: u64,
    },
    Replica {
        of: Address,
        connected: bool,
        /// How much of the master's data it has.
        offset: Option<u64>,
    },
}

/// A master or a replica.
pub(super) struct Node {
    pub(super) address: Address,
    line: Line,
}

impl Node {
    pub(super) fn new(dialer: &Dialer, address: &Address) -> Node {
        Node { address: address.clone(), line: Line::to_node(dialer, address) }
    }

    /// Sends a command, once.
    pub(super) fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        self.line.ask(words)
    }

    /// Sends a command that may as well run twice, again if its connection has ended.
    pub(super) fn insist<T: FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        self.line.insist(words)
    }

    /// Sends these commands in one write; see [`Line::ask_all`].
    pub(super) fn ask_all(&mut self, commands: &[&[&str]]) -> RedisResult<Vec<RedisResult<Value>>> {
        self.line.ask_all(commands)
    }

    pub(super) fn role(&mut self) -> RedisResult<Role> {
        role_of(self.ask::<Value>(&["ROLE"])?)
    }
}

/// Reads the reply to `ROLE`.
pub(super) fn role_of(reply: Value) -> RedisResult<Role> {
    let reply: Vec<Value> = redis::from_redis_value(reply)?;
    read(&reply).ok_or_else(|| {
        redis::RedisError::from((
            redis::ErrorKind::Parse,
            "the reply to ROLE is neither a master's nor a replica's",
        ))
    })
}

/// A field in the text of `INFO`.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The text of a reply to `INFO`; empty when it was refused.
pub(super) fn info_of(reply: RedisResult<Value>) -> String {
    reply.and_then(|reply| Ok(redis::from_redis_value(reply)?)).unwrap_or_default()
}

fn read(reply: &[Value]) -> Option<Role> {
    let text = |at: usize| redis::from_redis_value_ref::<String>(reply.get(at)?).ok();
    let number = |at: usize| redis::from_redis_value_ref::<i64>(reply.get(at)?).ok();
    match text(0)?.as_str() {
        "master" => Some(Role::Master { offset: u64::try_from(number(1)?).ok()? }),
        "slave" => Some(Role::Replica {
            of: Address::new(&text(1)?, u16::try_from(number(2)?).ok()?).ok()?,
            connected: text(3)? == "connected",
            // -1 until it is known.
            offset: u64::try_from(number(4)?).ok(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn masters_and_replicas_are_told_apart() {
        let master = [bulk("master"), Value::Int(77), Value::Array(Vec::new())];
        assert_eq!(read(&master), Some(Role::Master { offset: 77 }));
        let of = Address::new("h", 6379).unwrap();
        let replica = |state: &str, offset| {
            [bulk("slave"), bulk("h"), Value::Int(6379), bulk(state), Value::Int(offset)]
        };
        let expected = Role::Replica { of: of.clone(), connected: true, offset: Some(9) };
        assert_eq!(read(&replica("connected", 9)), Some(expected));
        let expected = Role::Replica { of, connected: false, offset: None };
        assert_eq!(read(&replica("sync", -1)), Some(expected));
        assert_eq!(read(&[bulk("sentinel"), Value::Array(Vec::new())]), None);
        assert_eq!(read(&[]), None);
    }
}
