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
    /// Reads the replies to `INFO` for the sections of [`ORIGIN`], of a node that has said whether it is
    /// a master. What they do not tell is absent; and so is the history of a node that was promoted or
    /// demoted since, which is not the one of what it said that it is.
    pub(crate) fn read(replies: &[Value], is_master: bool) -> Origin {
        let field = |name| replies.iter().find_map(|reply| field(reply, name));
        // Zeros stand for none.
        let id = |name| field(name).filter(|id| id.bytes().any(|byte| byte != b'0'));
        let same = field("role").is_none_or(|role| (role == "master") == is_master);
        let history = |name| id(name).filter(|_| same);
        Origin {
            run_id: id("run_id"),
            replid: history("master_replid"),
            former: history("master_replid2"),
        }
    }
}

impl Origin {
    /// Returns true when a node with this origin is the process `known`, or has the data of `known` or their
    /// continuation. Also returns true when either does not report it.
    pub(crate) fn continues(&self, known: &Origin) -> bool {
        // One process may begin a new history: after an hour without replicas, for example.
        if self.run_id.is_some() && self.run_id == known.run_id {
            return true;
        }
        match (&self.replid, &known.replid) {
            (Some(own), Some(before)) => own == before || self.former.as_ref() == Some(before),
            _ => true,
        }
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
        let origin = Origin::read(&[replication, bulk("# Server\r\nrun_id:ab12\r\n")], true);
        let id = |text: &str| Some(text.to_owned());
        assert_eq!(origin, Origin { run_id: id("ab12"), replid: id("5e1f"), former: None });
        let promoted = Value::VerbatimString {
            format: redis::VerbatimFormat::Text,
            text: "master_replid:77\nmaster_replid2:5e1f\n".to_owned(),
        };
        assert_eq!(Origin::read(&[promoted], true).former, id("5e1f"));
        assert_eq!(Origin::read(&[Value::Nil, Value::Int(3)], false), Origin::default());
    }

    #[test]
    fn another_history_differs_from_one_that_goes_on() {
        let origin = |run_id: &str, replid: &str, former: &str| {
            let id = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Origin { run_id: id(run_id), replid: id(replid), former: id(former) }
        };
        let known = origin("r1", "h1", "h0");
        for (now, continues) in [
            (origin("r1", "h1", "h0"), true),
            (origin("r1", "h2", ""), true),
            (origin("r2", "h1", ""), true),
            (origin("r2", "h2", "h1"), true),
            (origin("r2", "h2", "h0"), false),
            (origin("r2", "h2", ""), false),
            (origin("", "h2", ""), false),
            (origin("r2", "", ""), true),
            (origin("", "", ""), true),
        ] {
            assert_eq!(now.continues(&known), continues, "{now:?}");
        }
        assert!(origin("r2", "h2", "").continues(&origin("", "", "")));
        assert!(origin("r2", "h2", "").continues(&origin("r1", "", "")));
    }

    #[test]
    fn the_history_of_a_node_that_changed_its_role_meanwhile_is_not_read() {
        let master =
            Value::BulkString(b"role:master\r\nmaster_replid:77\r\nrun_id:ab\r\n".to_vec());
        let replica =
            Value::BulkString(b"role:slave\r\nmaster_replid:5e\r\nrun_id:ab\r\n".to_vec());
        for (reply, is_master, replid) in [
            (&master, true, Some("77")),
            (&master, false, None),
            (&replica, false, Some("5e")),
            (&replica, true, None),
        ] {
            let origin = Origin::read(std::slice::from_ref(reply), is_master);
            assert_eq!((origin.run_id.as_deref(), origin.replid.as_deref()), (Some("ab"), replid));
        }
    }
}
