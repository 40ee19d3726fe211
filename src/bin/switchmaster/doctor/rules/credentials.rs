//! Who may log in, and what they may do.

use super::Rule;
use crate::doctor::{
    facts::{Contact, Facts, Node, Server},
    finding::{
        Fault,
        Severity::{Error, Note, Warning},
    },
    words::list,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "credentials-refused",
        severity: Error,
        check: credentials_refused,
        why: "A client with this URL cannot use it: at the latest when it is the master, or the only \
              sentinel that is left.",
        mend: "Give every node the same password, and every sentinel; and the URL both: \
               `redis+sentinel://user:password@…?sentinel_password=…`.",
    },
    Rule {
        code: "no-masterauth",
        severity: Error,
        check: no_masterauth,
        why: "A node that wants a password and has none for its master cannot follow another one like \
              it: a master that was replaced never comes back as a replica.",
        mend: "`CONFIG SET masterauth <the password of the nodes>` on it, and the same in redis.conf.",
    },
    Rule {
        code: "wrong-masterauth",
        severity: Error,
        check: wrong_masterauth,
        why: "It cannot log in to a master with another password: after a failover to that one it is \
              no replica.",
        mend: "The same requirepass and masterauth on every node.",
    },
    Rule {
        code: "open-to-all",
        severity: Warning,
        check: open_to_all,
        why: "Whoever reaches its port can read and delete everything, and run code by way of its \
              configuration.",
        mend: "Set a password (requirepass, masterauth, `sentinel auth-pass`), bind it to an address \
               that only clients reach, or `protected-mode yes`.",
    },
    Rule {
        code: "sentinel-acl",
        severity: Warning,
        check: sentinel_acl,
        why: "What following the master needs is denied to this user (ACL, or rename-command).",
        mend: "`ACL SETUSER <user> +ping +role +psubscribe allchannels \
               +sentinel|get-master-addr-by-name +sentinel|master +sentinel|replicas \
               +sentinel|sentinels +sentinel|myid` on every sentinel.",
    },
    Rule {
        code: "node-acl",
        severity: Warning,
        check: node_acl,
        why: "What following the master needs is denied to this user (ACL, or rename-command).",
        mend: "`ACL SETUSER <user> +ping +role +info +client|unblock`, and for subscriptions \
               `+subscribe +psubscribe +unsubscribe +punsubscribe` and the channels, on every node.",
    },
    Rule {
        code: "not-examined",
        severity: Note,
        check: not_examined,
        why: "What these questions would have told could not be looked at. Clients do not need them.",
        mend: "Examine with a user that may ask them: `ACL SETUSER <user> +info +time +config|get \
               +acl|getuser +acl|dryrun` on nodes, `ACL SETUSER <user> +info +sentinel|ckquorum` on \
               sentinels.",
    },
];

/// What a factory cannot do without a command.
const SENTINEL_NEEDS: &[(&str, &str)] = &[
    ("SENTINEL GET-MASTER-ADDR-BY-NAME", "it cannot say who the master is"),
    (
        "SENTINEL MASTER",
        "no epochs, so a switch needs more agreement and none is made at the promotion",
    ),
    ("SENTINEL REPLICAS", "no replicas to read from, and no switch at the promotion"),
    ("SENTINEL SENTINELS", "the other sentinels are not discovered"),
    ("SENTINEL MYID", "a sentinel with two addresses counts twice"),
    ("PSUBSCRIBE", "no events, so it is asked instead, and a planned failover has no fence"),
];
const NODE_NEEDS: &[(&str, &str)] = &[
    ("INFO", "the replication history is not known, so no switch at the promotion"),
    ("PING", "a master that is still loading is used at once"),
    ("SUBSCRIBE", "no subscriptions"),
    ("CLIENT UNBLOCK", "a planned failover ends blocked readers with an error"),
];

fn refused(contact: &Contact) -> Option<&str> {
    match contact {
        Contact::Refused(words) => Some(words),
        _ => None,
    }
}

fn credentials_refused(facts: &Facts) -> Vec<Fault> {
    let of_kind = |servers: Vec<&Server>, noun: &str| -> Vec<Fault> {
        let answered = servers.iter().filter(|server| server.answered()).count();
        let some = match answered {
            0 => String::new(),
            some => format!(" {some} of {} {noun} accept the same.", servers.len()),
        };
        let fault = |server: &&Server| {
            let words = refused(&server.contact)?;
            Some(Fault::at(server.name(), format!("lets nobody in: {words}.{some}")))
        };
        servers.iter().filter_map(fault).collect()
    };
    let sentinels = of_kind(facts.sentinels.iter().map(|it| &it.server).collect(), "sentinels");
    let nodes = of_kind(facts.nodes.iter().map(|it| &it.server).collect(), "nodes");
    [sentinels, nodes].concat()
}

fn has(node: &Node, name: &str) -> Option<bool> {
    node.config.get(name).map(|value| !value.is_empty())
}

fn no_masterauth(facts: &Facts) -> Vec<Fault> {
    let is_without = |node: &&Node| {
        has(node, "requirepass") == Some(true) && has(node, "masterauth") == Some(false)
    };
    let without = facts.answering_nodes().filter(|node| node.listed).filter(is_without);
    let what = "has requirepass and no masterauth.";
    without.map(|node| Fault::at(node.name(), what)).collect()
}

/// With a user of its own for replication (masteruser) nothing is known of that one's password.
fn wrong_masterauth(facts: &Facts) -> Vec<Fault> {
    let nodes = || facts.answering_nodes().filter(|node| node.listed);
    let mut faults = Vec::new();
    for node in nodes() {
        let Some(own) = node.config.get("masterauth").filter(|own| !own.is_empty()) else {
            continue;
        };
        if has(node, "masteruser") != Some(false) {
            continue;
        }
        let differs = |other: &&Node| {
            !std::ptr::eq(*other, node)
                && other.config.get("requirepass").is_some_and(|it| !it.is_empty() && it != own)
        };
        let others: Vec<String> = nodes().filter(differs).map(Node::name).collect();
        if !others.is_empty() {
            let what =
                format!("has a masterauth that is not the requirepass of {}.", list(&others));
            faults.push(Fault::at(node.name(), what));
        }
    }
    faults
}

fn open_to_all(facts: &Facts) -> Vec<Fault> {
    let is_open = |node: &&Node| {
        let nopass = node.default_user.iter().any(|flag| flag == "nopass");
        let on = node.default_user.iter().any(|flag| flag == "on");
        let outside = node.config.get("bind").is_some_and(|bind| !is_local(bind));
        nopass && on && outside && node.config.says("protected-mode", "no")
    };
    let open = facts.answering_nodes().filter(is_open);
    let what = |node: &Node| {
        let bind = node.config.get("bind").unwrap_or_default();
        format!("takes everybody without a password (bind \"{bind}\", protected-mode no).")
    };
    open.map(|node| Fault::at(node.name(), what(node))).collect()
}

/// Whether only programs on the same machine get there.
fn is_local(bind: &str) -> bool {
    let mut addresses = bind.split_whitespace().map(|word| word.trim_start_matches('-')).peekable();
    let is_loopback =
        |word: &str| word.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    addresses.peek().is_some() && addresses.all(is_loopback)
}

/// Of each server, what it denies of this.
fn denials<'a>(servers: impl Iterator<Item = &'a Server>, needs: &[(&str, &str)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for server in servers {
        let lost = needs.iter().filter(|(command, _)| server.is_denied(command));
        let told: Vec<String> = lost.map(|(command, lost)| format!("{command} ({lost})")).collect();
        if !told.is_empty() {
            faults.push(Fault::at(server.name(), format!("denies {}.", list(&told))));
        }
    }
    faults
}

fn sentinel_acl(facts: &Facts) -> Vec<Fault> {
    let sentinels = facts.sentinels.iter().filter(|it| it.is_sentinel);
    denials(sentinels.map(|it| &it.server), SENTINEL_NEEDS)
}

fn node_acl(facts: &Facts) -> Vec<Fault> {
    denials(facts.nodes.iter().map(|it| &it.server), NODE_NEEDS)
}

fn not_examined(facts: &Facts) -> Vec<Fault> {
    let sentinels =
        facts.sentinels.iter().filter(|it| it.is_sentinel).map(|it| (&it.server, SENTINEL_NEEDS));
    let nodes = facts.nodes.iter().map(|it| (&it.server, NODE_NEEDS));
    let mut faults = Vec::new();
    for (server, needs) in sentinels.chain(nodes) {
        let is_needed = |command: &str| needs.iter().any(|(needed, _)| *needed == command);
        let mut denied: Vec<&str> = server
            .denied
            .iter()
            .map(|denied| denied.command)
            .filter(|command| !is_needed(command) && *command != "ACL DRYRUN")
            .collect();
        denied.dedup();
        if !denied.is_empty() {
            faults.push(Fault::at(server.name(), format!("does not answer {}.", list(&denied))));
        }
    }
    faults
}
