//! Whether what was written survives.

use super::Rule;
use crate::doctor::{
    facts::{Facts, Node},
    finding::{
        Fault,
        Severity::{Error, Note, Warning},
    },
    words::count,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "no-persistence",
        severity: Warning,
        check: no_persistence,
        why: "A master that is restarted before the sentinels find it down comes back empty, is still \
              the master, and its replicas copy the emptiness.",
        mend: "`appendonly yes`, or `save 3600 1` and more, on every node that may become the master; \
               or see to it that nothing restarts a dead node by itself.",
    },
    Rule {
        code: "persistence-fails",
        severity: Error,
        check: persistence_fails,
        why: "What is on the disk is old. With stop-writes-on-bgsave-error (the default) a master \
              refuses writes (MISCONF), and sentinels count that as down.",
        mend: "The node's log says why: mostly a full disk, a directory that may not be written, or no \
               memory to fork (vm.overcommit_memory).",
    },
    Rule {
        code: "writes-unbounded",
        severity: Note,
        check: writes_unbounded,
        why: "A master that is cut off goes on acknowledging writes that will be thrown away, until \
              somebody stops it. With min-replicas-to-write it refuses them after a second or some.",
        mend: "`min-replicas-to-write 1` and `min-replicas-max-lag 10` on every node, with two replicas \
               or more.",
    },
    Rule {
        code: "writes-need-all",
        severity: Warning,
        check: writes_need_all,
        why: "When one replica dies, or is promoted, the master refuses every write (NOREPLICAS).",
        mend: "`CONFIG SET min-replicas-to-write` to less than the number of replicas, on every node, \
               and in redis.conf; or add a replica.",
    },
    Rule {
        code: "writes-refused",
        severity: Error,
        check: writes_refused,
        why: "The master refuses every write now (NOREPLICAS).",
        mend: "Bring the replicas back, or set min-replicas-to-write to less than their number.",
    },
];

fn no_persistence(facts: &Facts) -> Vec<Fault> {
    let is_without =
        |node: &&Node| node.config.says("appendonly", "no") && node.config.says("save", "");
    let without: Vec<&Node> = facts
        .answering_nodes()
        .filter(|node| node.listed && !node.server.info.says("slave_priority", "0"))
        .filter(is_without)
        .collect();
    let what = "stores nothing (appendonly no, save \"\").";
    without.into_iter().map(|node| Fault::at(node.name(), what)).collect()
}

fn persistence_fails(facts: &Facts) -> Vec<Fault> {
    let fields = ["rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"];
    let mut faults = Vec::new();
    for node in facts.answering_nodes() {
        let failed = fields.iter().filter(|name| node.server.info.says(name, "err"));
        faults.extend(failed.map(|name| Fault::at(node.name(), format!("tells {name}:err."))));
    }
    faults
}

/// Every node may become the master, so each matters.
fn min_replicas(facts: &Facts) -> impl Iterator<Item = (&Node, u64)> {
    let of = |node: &Node| node.config.number("min-replicas-to-write");
    facts.answering_nodes().filter(|node| node.listed).filter_map(move |it| Some((it, of(it)?)))
}

fn writes_unbounded(facts: &Facts) -> Vec<Fault> {
    let without: Vec<String> =
        min_replicas(facts).filter(|(_, min)| *min == 0).map(|(node, _)| node.name()).collect();
    if without.is_empty() {
        return Vec::new();
    }
    let what = format!("min-replicas-to-write is 0 on {}.", count(without.len(), "node"));
    vec![Fault::new(without, what)]
}

fn writes_need_all(facts: &Facts) -> Vec<Fault> {
    let replicas = facts.replicas().count() as u64;
    let all = min_replicas(facts).filter(|(_, min)| *min > 0 && *min >= replicas);
    all.map(|(node, min)| {
        let has = count(facts.replicas().count(), "replica");
        let what = format!("has min-replicas-to-write {min}, and the service has {has}.");
        Fault::at(node.name(), what)
    })
    .collect()
}

fn writes_refused(facts: &Facts) -> Vec<Fault> {
    let Some(master) = facts.answering_master() else { return Vec::new() };
    let min = master.config.number("min-replicas-to-write").unwrap_or(0);
    // It tells this only while a minimum is set.
    match master.server.info.number("min_slaves_good_slaves") {
        Some(good) if good < min => {
            let what = format!("has {good} good replicas, and min-replicas-to-write is {min}.");
            vec![Fault::at(master.name(), what)]
        }
        _ => Vec::new(),
    }
}
