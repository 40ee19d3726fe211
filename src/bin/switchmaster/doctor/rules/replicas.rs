//! Whether the replicas follow the master, and may take its place.

use super::Rule;
use crate::doctor::{
    facts::{Facts, Node},
    finding::{
        Fault,
        Severity::{Error, Note, Warning},
    },
    words::{count, list},
};

/// What a replica may be behind, in seconds and in parts of the backlog.
const LAG_SECONDS: u64 = 5;
const BACKLOG_PART: u64 = 2;
const DEFAULT_BACKLOG: u64 = 1 << 20;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "no-replicas",
        severity: Error,
        check: no_replicas,
        why: "When the master dies, nobody is there to be promoted.",
        mend: "Start a replica (`replicaof <address of the master> <port>`); the sentinels find it by \
               themselves.",
    },
    Rule {
        code: "no-candidate",
        severity: Error,
        check: no_candidate,
        why: "A replica with replica-priority 0 is never promoted: without another one, a dead master \
              is not replaced.",
        mend: "`CONFIG SET replica-priority 100` on the replicas that may be promoted, and the same \
               in redis.conf.",
    },
    Rule {
        code: "not-a-master",
        severity: Error,
        check: not_a_master,
        why: "Clients are sent there, and their writes are refused.",
        mend: "During a failover this passes. Otherwise somebody has sent REPLICAOF by hand: \
               `REPLICAOF NO ONE` there, or `SENTINEL FAILOVER {service}`.",
    },
    Rule {
        code: "second-master",
        severity: Error,
        check: second_master,
        why: "Whoever still writes there gets an answer, and what was written is thrown away when the \
              sentinels make it a replica again.",
        mend: "Right after a failover this passes within some ten seconds. If it stays, check that the \
               sentinels can log in there and may send it REPLICAOF.",
    },
    Rule {
        code: "replica-strays",
        severity: Error,
        check: replica_strays,
        why: "It does not get what is written to the master, or gets it through another replica and \
              ends with that one.",
        mend: "`REPLICAOF <address of the master> <port>` on it; then see who pointed it elsewhere.",
    },
    Rule {
        code: "replica-link-down",
        severity: Warning,
        check: replica_link_down,
        why: "It falls behind, and sentinels do not promote a replica whose link has been down for \
              long.",
        mend: "Its log says why. Most often: masterauth is missing or wrong, the master cannot be \
               reached from there, or the output buffer for replicas overflows.",
    },
    Rule {
        code: "other-history",
        severity: Warning,
        check: other_history,
        why: "It holds other data than the master: when it joins, all of that is replaced by the \
              master's.",
        mend: "Make sure that nobody needs its data before it is pointed to the master.",
    },
    Rule {
        code: "replica-lags",
        severity: Warning,
        check: replica_lags,
        why: "If the master died now, what this replica has not received would be lost with its \
              promotion. When it has fallen behind the backlog it has to copy everything.",
        mend: "See whether it is overloaded, or its network slow. A larger repl-backlog-size buys time.",
    },
    Rule {
        code: "replica-writable",
        severity: Warning,
        check: replica_writable,
        why: "What is written to a replica is nowhere else, and gone after the next synchronisation.",
        mend: "`CONFIG SET replica-read-only yes`, and the same in redis.conf.",
    },
    Rule {
        code: "replica-hidden",
        severity: Note,
        check: replica_hidden,
        why: "Sentinels do not tell clients about it, so nobody reads from it. They may promote it all \
              the same, unless replica-priority is 0.",
        mend: "`CONFIG SET replica-announced yes` if it is to be read from; `replica-priority 0` if \
               it is not to be promoted. One that was started less than ten seconds ago is found soon.",
    },
];

fn no_replicas(facts: &Facts) -> Vec<Fault> {
    match facts.master() {
        Some(master) if facts.replicas().next().is_none() => {
            vec![Fault::at(master.name(), "has no replica.")]
        }
        _ => Vec::new(),
    }
}

/// 0 means never; what does not answer may be fit.
fn may_be_promoted(node: &Node) -> bool {
    !node.server.info.says("slave_priority", "0")
}

fn no_candidate(facts: &Facts) -> Vec<Fault> {
    let all: Vec<&Node> = facts.replicas().collect();
    if all.is_empty() || all.iter().any(|node| may_be_promoted(node)) {
        return Vec::new();
    }
    let names: Vec<String> = all.iter().map(|node| node.name()).collect();
    let what = format!("All of {} have replica-priority 0.", count(all.len(), "replica"));
    vec![Fault::new(names, what)]
}

fn not_a_master(facts: &Facts) -> Vec<Fault> {
    let wrong = facts.answering_master().filter(|master| master.says_replica());
    let what = "is named as the master and says that it is a replica.";
    wrong.map(|master| Fault::at(master.name(), what)).into_iter().collect()
}

fn second_master(facts: &Facts) -> Vec<Fault> {
    let Some(master) = facts.master() else { return Vec::new() };
    let second = facts.answering_replicas().filter(|node| node.says_master());
    let what = format!("says that it is a master, and the sentinels name {}.", master.name());
    second.map(|node| Fault::at(node.name(), &what)).collect()
}

/// The replicas, each with what it follows, that do not follow the master.
fn strays(facts: &Facts) -> Vec<(&Node, String)> {
    let Some(master) = facts.master() else { return Vec::new() };
    let stray = |node: &&Node| node.follows().is_some_and(|followed| !leads_to(master, &followed));
    facts
        .answering_replicas()
        .filter(|node| node.says_replica())
        .filter(stray)
        .map(|node| (node, node.follows().map(|it| it.to_string()).unwrap_or_default()))
        .collect()
}

/// A replica may call its master by another name than the sentinels do.
fn leads_to(master: &Node, followed: &switchmaster::Address) -> bool {
    let same_port = followed.port() == master.server.address.port();
    let same_ip = followed.ip().is_some() && followed.ip() == master.server.ip;
    let unknown = followed.ip().is_none() || master.server.ip.is_none();
    master.is_at(followed) || same_port && (same_ip || unknown)
}

fn replica_strays(facts: &Facts) -> Vec<Fault> {
    let strays = strays(facts).into_iter();
    strays
        .map(|(node, followed)| {
            Fault::at(node.name(), format!("follows {followed} and not the master."))
        })
        .collect()
}

fn replica_link_down(facts: &Facts) -> Vec<Fault> {
    let down = facts
        .answering_replicas()
        .filter(|node| node.says_replica() && node.server.info.says("master_link_status", "down"));
    let what = |node: &Node| {
        let since = node.server.info.number("master_link_down_since_seconds");
        let since = since.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
        let syncs = node.server.info.says("master_sync_in_progress", "1");
        let syncs = if syncs { ": it is synchronising" } else { "" };
        format!("has had no link to its master{since}{syncs}.")
    };
    down.map(|node| Fault::at(node.name(), what(node))).collect()
}

fn other_history(facts: &Facts) -> Vec<Fault> {
    let Some(master) = facts.answering_master() else { return Vec::new() };
    let ids = |node: &Node| -> Vec<String> {
        let field = |name| node.server.info.get(name).map(str::to_owned);
        let all = [field("master_replid"), field("master_replid2")];
        // Where there is none, it is all zeros.
        all.into_iter().flatten().filter(|id| id.bytes().any(|digit| digit != b'0')).collect()
    };
    let of_master = ids(master);
    let differs = |node: &&Node| {
        let own = ids(node);
        !own.is_empty() && !of_master.is_empty() && own.iter().all(|id| !of_master.contains(id))
    };
    let strangers = facts.answering_replicas().filter(differs);
    let what = "has a replication history that the master does not share.";
    strangers.map(|node| Fault::at(node.name(), what)).collect()
}

fn replica_lags(facts: &Facts) -> Vec<Fault> {
    let Some(master) = facts.answering_master() else { return Vec::new() };
    let written = master.server.info.number("master_repl_offset");
    let backlog = master.config.number("repl-backlog-size").unwrap_or(DEFAULT_BACKLOG);
    let mut faults = Vec::new();
    for (name, line) in master.server.info.iter() {
        let is_replica = name.strip_prefix("slave").is_some_and(|it| it.parse::<u32>().is_ok());
        if !is_replica || !line.contains("state=online") {
            continue;
        }
        let text = |name: &str| line.split(',').find_map(|pair| pair.strip_prefix(name));
        let number = |name: &str| text(name).and_then(|value| value.parse::<u64>().ok());
        let silent = number("lag=").filter(|seconds| *seconds >= LAG_SECONDS);
        let behind = written.zip(number("offset=")).map(|(all, has)| all.saturating_sub(has));
        let behind = behind.filter(|bytes| *bytes > backlog / BACKLOG_PART);
        let mut told = Vec::new();
        told.extend(behind.map(|bytes| format!("is {bytes} bytes behind its master")));
        told.extend(silent.map(|seconds| format!("has acknowledged nothing for {seconds} s")));
        if !told.is_empty() {
            let (ip, port) = (text("ip=").unwrap_or("?"), text("port=").unwrap_or("?"));
            let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
            faults.push(Fault::at(format!("{host}:{port}"), format!("{}.", list(&told))));
        }
    }
    faults
}

fn replica_writable(facts: &Facts) -> Vec<Fault> {
    let writable = facts
        .answering_replicas()
        .filter(|node| node.says_replica() && node.config.says("replica-read-only", "no"));
    writable.map(|node| Fault::at(node.name(), "accepts writes (replica-read-only no).")).collect()
}

fn replica_hidden(facts: &Facts) -> Vec<Fault> {
    let hidden = facts.nodes.iter().filter(|node| !node.listed);
    let what = |node: &Node| match node.config.says("replica-announced", "no") {
        true => "follows the master, and is not announced (replica-announced no).",
        false => "follows the master, and no sentinel lists it.",
    };
    hidden.map(|node| Fault::at(node.name(), what(node))).collect()
}
