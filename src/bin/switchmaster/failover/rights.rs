//! The rights that a failover takes on the old master, looked up without a trial: [`Rights`].

use redis::{RedisResult, Value};

use super::replica::Node;

/// The commands that a paused failover cannot do without.
const NEEDED: [&[&str]; 5] = [
    &["CLIENT", "PAUSE", "1", "WRITE"],
    &["CLIENT", "UNPAUSE"],
    &["CLIENT", "KILL", "TYPE", "normal"],
    &["REPLICAOF", "NO", "ONE"],
    &["ROLE"],
];
/// Without this one a restart of the old master undoes the demotion.
const REWRITE: &[&str] = &["CONFIG", "REWRITE"];

/// The rights of the user, as the master reports them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    /// The needed commands that the user may not run, and why.
    pub(super) refused: Vec<String>,
    /// The reason why the right to a needed command is unknown.
    pub(super) unknown: Option<String>,
    /// The reason why the demotion cannot be written to the configuration file.
    pub(super) no_rewrite: Option<String>,
}

enum Right {
    Granted,
    Refused(String),
    Unknown(String),
}

impl Rights {
    /// Asks the master (`ACL DRYRUN`, or `COMMAND INFO` and `ACL GETUSER` on older servers).
    pub(super) fn of(master: &mut Node) -> Rights {
        let mut rights = Rights::default();
        let user: String = match master.ask(&["ACL", "WHOAMI"]) {
            Ok(user) => user,
            Err(error) => {
                rights.unknown = Some(format!("ACL WHOAMI: {error}"));
                return rights;
            }
        };
        for words in NEEDED {
            match right(master, &user, words) {
                Right::Granted => {}
                Right::Refused(why) => {
                    rights.refused.push(format!(
                        "{} at {}: {why}",
                        words.join(" "),
                        master.address
                    ));
                }
                Right::Unknown(why) => {
                    rights.unknown.get_or_insert(why);
                }
            }
        }
        if let Right::Refused(why) = right(master, &user, REWRITE) {
            rights.no_rewrite = Some(format!("{} at {}: {why}", REWRITE.join(" "), master.address));
        }
        rights
    }
}

fn right(master: &mut Node, user: &str, words: &[&str]) -> Right {
    let tried: RedisResult<String> = master.ask(&[&["ACL", "DRYRUN", user], words].concat());
    let error = match tried {
        Ok(answer) if answer == "OK" => return Right::Granted,
        Ok(answer) => return Right::Refused(answer),
        // A command that was renamed, or taken out.
        Err(error) if error.to_string().contains("not found") => {
            return Right::Refused(error.to_string());
        }
        Err(error) => error,
    };
    // Before Redis 7 there is no ACL DRYRUN.
    let known: RedisResult<Vec<Value>> = master.ask(&["COMMAND", "INFO", words[0]]);
    match known {
        Ok(known) if matches!(known[..], [Value::Nil] | []) => {
            return Right::Refused(format!("there is no command {}", words[0]));
        }
        Ok(_) => {}
        Err(other) => return Right::Unknown(format!("ACL DRYRUN: {error}; COMMAND INFO: {other}")),
    }
    match master.ask::<Value>(&["ACL", "GETUSER", user]) {
        Ok(reply) => match rules(&reply) {
            Some(rules) if grants(&rules, words) => Right::Granted,
            rules => Right::Unknown(format!(
                "ACL DRYRUN: {error}; the rules of the user {user:?} are {:?}",
                rules.unwrap_or_default()
            )),
        },
        Err(other) => Right::Unknown(format!("ACL DRYRUN: {error}; ACL GETUSER: {other}")),
    }
}

/// The rules for commands in a reply to `ACL GETUSER`, which has values of many kinds.
fn rules(reply: &Value) -> Option<String> {
    let pairs: Vec<(&Value, &Value)> = match reply {
        Value::Array(values) => values.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect(),
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
        _ => return None,
    };
    let text = |value: &Value| redis::from_redis_value_ref::<String>(value).ok();
    let found = pairs.into_iter().find(|(name, _)| text(name).as_deref() == Some("commands"));
    found.and_then(|(_, rules)| text(rules))
}

/// Returns true when these rules surely grant it. Rules that take something away are not weighed.
fn grants(rules: &str, words: &[&str]) -> bool {
    let name = words[0].to_lowercase();
    let sub = words.get(1).map(|sub| format!("+{name}|{}", sub.to_lowercase()));
    let all = [Some("+@all".to_owned()), Some(format!("+{name}")), sub];
    let mut rules = rules.split(' ').filter(|rule| *rule != "-@all").peekable();
    let mut granted = false;
    for rule in rules.by_ref() {
        if rule.starts_with('-') {
            return false;
        }
        granted |= all.iter().flatten().any(|one| one == rule);
    }
    granted
}

/// Returns true when a server is too busy with a script for any other command.
pub(super) fn is_busy(error: &redis::RedisError) -> bool {
    error.code() == Some("BUSY")
}

#[cfg(test)]
mod tests {
    use switchmaster::{Builder, direct::Dialer};
    use switchmaster_sandbox::FakeNode;

    use super::*;

    #[test]
    fn rules_that_take_something_away_grant_nothing() {
        let pause: &[&str] = &["CLIENT", "PAUSE"];
        assert!(grants("+@all", pause) && grants("-@all +client", pause));
        assert!(grants("-@all +client|pause +role", pause));
        assert!(!grants("-@all +client|kill", pause) && !grants("+@all -client|pause", pause));
        assert!(!grants("+@all -@dangerous", pause) && !grants("", pause));
    }

    #[test]
    fn rights_that_the_server_does_not_tell_are_unknown() {
        let fake = FakeNode::start().unwrap();
        let url = "redis+sentinel://127.0.0.1:1/mymaster";
        let dialer = Dialer::new(Builder::from_url(url).unwrap()).unwrap();
        let mut master = Node::new(&dialer, &fake.address().to_string().parse().unwrap());
        fake.answer_to("ACL WHOAMI", b"-NOPERM no\r\n");
        assert!(Rights::of(&mut master).unknown.is_some_and(|why| why.contains("NoPerm")));

        // As Redis 6.2 answers.
        fake.answer_to("ACL WHOAMI", b"+default\r\n");
        fake.answer_to("ACL DRYRUN", b"-ERR Unknown subcommand\r\n");
        fake.answer_to("COMMAND INFO", b"*1\r\n*1\r\n$1\r\nx\r\n");
        fake.answer_to("ACL GETUSER", b"*2\r\n$8\r\ncommands\r\n$5\r\n+@all\r\n");
        assert_eq!(Rights::of(&mut master), Rights::default());
        fake.answer_to("ACL GETUSER", b"-NOPERM no\r\n");
        assert!(Rights::of(&mut master).unknown.is_some_and(|why| why.contains("GETUSER")));
        // Renamed.
        fake.answer_to("COMMAND INFO", b"*1\r\n*-1\r\n");
        let rights = Rights::of(&mut master);
        assert_eq!((rights.unknown, rights.refused.len()), (None, NEEDED.len()));
        assert!(rights.refused[3].starts_with("REPLICAOF NO ONE at "), "{:?}", rights.refused);
        assert!(rights.no_rewrite.is_some_and(|why| why.contains("no command CONFIG")));
    }
}
