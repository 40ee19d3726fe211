//! The answer to `ROLE`: what a server says it is.

use std::fmt;

use redis::Value;

use crate::address::Address;

/// What a server says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It takes writes.
    Master {
        /// Its replication offset.
        offset: i64,
        /// The replicas attached to it, as it sees their addresses.
        replicas: Vec<Attached>,
    },
    /// It copies another server.
    Replica {
        /// The server it copies, if the address it gives is one.
        master: Option<Address>,
        /// The state of the link to it: `connect`, `connecting`, `handshake`, `sync`, `connected`.
        link: String,
        /// Its replication offset; -1 before the first synchronisation.
        offset: i64,
    },
    /// It is a sentinel.
    Sentinel,
}

/// A replica as its master lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) address: Address,
    /// What it has acknowledged.
    pub(crate) offset: i64,
}

impl Role {
    /// The word for messages: `master`, `replica`, `sentinel`.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Role::Master { .. } => "master",
            Role::Replica { .. } => "replica",
            Role::Sentinel => "sentinel",
        }
    }

    /// Reads a reply to `ROLE`; none when it is something else.
    pub(crate) fn from_reply(reply: &Value) -> Option<Role> {
        let Value::Array(parts) = reply else { return None };
        match (text(parts.first()?)?, &parts[1..]) {
            ("master", [offset, Value::Array(replicas), ..]) => Some(Role::Master {
                offset: number(offset)?,
                replicas: replicas.iter().filter_map(attached).collect(),
            }),
            ("slave" | "replica", [host, port, link, offset, ..]) => Some(Role::Replica {
                master: address(host, port),
                link: text(link)?.to_owned(),
                offset: number(offset)?,
            }),
            ("sentinel", _) => Some(Role::Sentinel),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Replica { master: Some(master), .. } => write!(f, "replica of {master}"),
            other => f.write_str(other.as_str()),
        }
    }
}

/// Replicas may announce what is no address ("?" before their first REPLCONF); those are left out.
fn attached(entry: &Value) -> Option<Attached> {
    let Value::Array(parts) = entry else { return None };
    let [host, port, offset, ..] = &parts[..] else { return None };
    Some(Attached { address: address(host, port)?, offset: number(offset)? })
}

fn address(host: &Value, port: &Value) -> Option<Address> {
    Address::new(text(host)?, u16::try_from(number(port)?).ok()?).ok()
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        other => text(other)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(resp: &str) -> Option<Role> {
        Role::from_reply(&redis::parse_redis_value(resp.as_bytes()).expect("valid RESP"))
    }

    #[test]
    fn the_three_roles_are_read() {
        assert_eq!(
            role(
                "*3\r\n$6\r\nmaster\r\n:42\r\n*2\r\n*3\r\n$8\r\n10.0.0.2\r\n$4\r\n6379\r\n$2\r\n41\r\n\
                 *3\r\n$1\r\n?\r\n$1\r\n0\r\n$1\r\n0\r\n"
            ),
            Some(Role::Master {
                offset: 42,
                replicas: vec![Attached { address: "10.0.0.2:6379".parse().unwrap(), offset: 41 }],
            })
        );
        assert_eq!(
            role("*5\r\n$5\r\nslave\r\n$3\r\n::1\r\n:6379\r\n$9\r\nconnected\r\n:7\r\n"),
            Some(Role::Replica {
                master: Some("[::1]:6379".parse().unwrap()),
                link: "connected".to_owned(),
                offset: 7,
            })
        );
        assert_eq!(role("*2\r\n$8\r\nsentinel\r\n*0\r\n"), Some(Role::Sentinel));
    }

    #[test]
    fn anything_else_is_no_role() {
        for resp in [
            "+OK\r\n",
            "*0\r\n",
            "*1\r\n$6\r\nmaster\r\n",
            "*3\r\n$6\r\nmaster\r\n$1\r\nx\r\n*0\r\n",
            "*2\r\n$5\r\nslave\r\n$1\r\nx\r\n",
            "*1\r\n:1\r\n",
            "*1\r\n$4\r\nking\r\n",
        ] {
            assert_eq!(role(resp), None, "{resp:?}");
        }
    }
}
