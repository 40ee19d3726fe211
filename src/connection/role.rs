//! The answer to `ROLE`, or to `INFO replication`: what a server says it is.

use std::fmt;

use redis::Value;

use crate::address::Address;

/// How a server is asked what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inquiry {
    Role,
    /// Where ROLE is renamed or denied.
    Info,
}

impl Inquiry {
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let words: &[&str] = match self {
            Inquiry::Role => &["ROLE"],
            Inquiry::Info => &["INFO", "replication"],
        };
        redis::Cmd::new().arg(words).write_packed_command(out);
    }

    /// Reads the reply; none when it is something else.
    pub(crate) fn read(self, reply: &Value) -> Option<Role> {
        match self {
            Inquiry::Role => Role::from_reply(reply),
            Inquiry::Info => Role::from_info(reply),
        }
    }
}

impl fmt::Display for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Inquiry::Role => "ROLE",
            Inquiry::Info => "INFO replication",
        })
    }
}

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

    /// Reads a reply to `INFO replication`; none when it is something else.
    fn from_info(reply: &Value) -> Option<Role> {
        let info = match reply {
            Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
            Value::VerbatimString { text, .. } => text,
            _ => return None,
        };
        let field = |name: &str| {
            let rest = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            rest.map(|value| value.trim().to_owned())
        };
        let number = |name: &str| field(name)?.parse().ok();
        match field("role")?.as_str() {
            "master" => Some(Role::Master {
                offset: number("master_repl_offset").unwrap_or_default(),
                replicas: info.lines().filter_map(listed).collect(),
            }),
            "slave" | "replica" => {
                let master = field("master_host").zip(field("master_port")?.parse().ok());
                // INFO tells no more of the link than whether it stands.
                let stands = field("master_link_status").is_some_and(|status| status == "up");
                Some(Role::Replica {
                    master: master.and_then(|(host, port)| Address::new(&host, port).ok()),
                    link: if stands { "connected" } else { "connect" }.to_owned(),
                    offset: number("slave_repl_offset").unwrap_or(-1),
                })
            }
            _ => None,
        }
    }
}

/// A replica in `INFO replication`: `slave0:ip=10.0.0.2,port=6379,state=online,offset=41,lag=0`.
fn listed(line: &str) -> Option<Attached> {
    let (index, fields) = line.strip_prefix("slave")?.trim().split_once(':')?;
    index.parse::<u32>().ok()?;
    let field = |name: &str| {
        fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    let address = Address::new(field("ip")?, field("port")?.parse().ok()?).ok()?;
    Some(Attached { address, offset: field("offset")?.parse().ok()? })
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
    fn info_tells_the_same_as_role() {
        let info = |text: &str| Inquiry::Info.read(&Value::BulkString(text.as_bytes().to_vec()));
        assert_eq!(
            info(
                "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
                 slave0:ip=10.0.0.2,port=6379,state=online,offset=41,lag=0\r\n\
                 slave1:ip=?,port=0,state=wait_bgsave,offset=0,lag=0\r\n\
                 master_repl_offset:42\r\n"
            ),
            Some(Role::Master {
                offset: 42,
                replicas: vec![Attached { address: "10.0.0.2:6379".parse().unwrap(), offset: 41 }],
            })
        );
        let replica = |status: &str| {
            info(&format!(
                "role:slave\r\nmaster_host:::1\r\nmaster_port:6379\r\n\
                 master_link_status:{status}\r\nslave_repl_offset:7\r\n"
            ))
        };
        let expected = |link: &str| Role::Replica {
            master: Some("[::1]:6379".parse().unwrap()),
            link: link.to_owned(),
            offset: 7,
        };
        assert_eq!(replica("up"), Some(expected("connected")));
        assert_eq!(replica("down"), Some(expected("connect")));
        for text in ["", "# Replication\r\n", "role:king\r\n", "role:slave\r\n"] {
            assert_eq!(info(text), None, "{text:?}");
        }
        assert_eq!(Inquiry::Info.read(&Value::Int(1)), None);
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
