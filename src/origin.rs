//! Where a node's data come from: [`Origin`].

use redis::Value;

/// The commands that [`Origin::read`] takes the replies to: one section each, because servers before
/// Redis 7 give no two at a time.
pub(crate) const ORIGIN: [&str; 2] = ["replication", "server"];

/// What `INFO` tells of a node's history, as far as it may be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `run_id`: changes when the process does.
    pub(crate) run_id: Option<String>,
    /// `master_replid`: the history that it writes, or copies.
    pub(crate) replid: Option<String>,
    /// `master_replid2`: of a replica that was promoted, the history that it copied before.
    pub(crate) former: Option<String>,
}

impl Origin {
    /// Reads the replies to `INFO` for the sections of [`ORIGIN`]. What they do not tell is absent.
    pub(crate) fn read(replies: &[Value]) -> Origin {
        let field = |name| replies.iter().find_map(|reply| field(reply, name));
        // Zeros stand for none.
        let id = |name| field(name).filter(|id| id.bytes().any(|byte| byte != b'0'));
        Origin { run_id: id("run_id"), replid: id("master_replid"), former: id("master_replid2") }
    }
}

/// A field of a reply to `INFO`: a line `name:value`.
fn field(reply: &Value, name: &str) -> Option<String> {
    let text = match reply {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
        Value::VerbatimString { text, .. } => text,
        _ => return None,
    };
    let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
    text.lines().find_map(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_zeros_are_none() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let replication = bulk(
            "# Replication\r\nrole:master\r\nmaster_replid:5e1f\r\n\
             master_replid2:0000000000000000000000000000000000000000\r\nsecond_repl_offset:-1\r\n",
        );
        let origin = Origin::read(&[replication, bulk("# Server\r\nrun_id:ab12\r\n")]);
        let id = |text: &str| Some(text.to_owned());
        assert_eq!(origin, Origin { run_id: id("ab12"), replid: id("5e1f"), former: None });
        let promoted = Value::VerbatimString {
            format: redis::VerbatimFormat::Text,
            text: "master_replid:77\nmaster_replid2:5e1f\n".to_owned(),
        };
        assert_eq!(Origin::read(&[promoted]).former, id("5e1f"));
        assert_eq!(Origin::read(&[Value::Nil, Value::Int(3)]), Origin::default());
    }
}
