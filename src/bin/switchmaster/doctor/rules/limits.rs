//! Limits of servers that cut connections.

use super::Rule;
use crate::doctor::{
    facts::{Facts, Node},
    finding::{
        Fault,
        Severity::{Note, Warning},
    },
};

const MEGABYTE: u64 = 1 << 20;
const DEFAULT_BACKLOG: u64 = MEGABYTE;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "replica-buffer-small",
        severity: Warning,
        check: replica_buffer_small,
        why: "A replica that is slow for a moment, or copies everything, is cut off, begins to copy \
              again, and so on without an end.",
        mend: "`CONFIG SET client-output-buffer-limit \"replica 256mb 64mb 60\"` (the default) or more; \
               0 is no limit.",
    },
    Rule {
        code: "pubsub-buffer-small",
        severity: Warning,
        check: pubsub_buffer_small,
        why: "A subscriber that is slow for a moment is cut off and misses messages.",
        mend: "`CONFIG SET client-output-buffer-limit \"pubsub 32mb 8mb 60\"` (the default) or more; \
               0 is no limit.",
    },
    Rule {
        code: "backlog-small",
        severity: Warning,
        check: backlog_small,
        why: "A replica that was away for a moment, as every one is in a failover, finds the backlog \
              overwritten and has to copy everything, which may take minutes.",
        mend: "`CONFIG SET repl-backlog-size` to what is written in a minute, and at least 1mb.",
    },
    Rule {
        code: "clients-near-limit",
        severity: Note,
        check: clients_near_limit,
        why: "At the limit, new connections are refused, those of sentinels too, which then find the \
              node down.",
        mend: "Find out who holds the connections (`CLIENT LIST`), or raise maxclients.",
    },
];

/// The hard and the soft limit of a class of clients.
fn limits(node: &Node, class: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> =
        node.config.get("client-output-buffer-limit")?.split_whitespace().collect();
    let own = words.chunks_exact(4).find(|words| words[0] == class)?;
    Some((own[1].parse().ok()?, own[2].parse().ok()?))
}

fn buffer_small(facts: &Facts, classes: &[&str], [hard, soft]: [u64; 2]) -> Vec<Fault> {
    let is_small = |limit: u64, least: u64| limit > 0 && limit < least;
    let fault = |node: &Node| {
        let found = classes.iter().find_map(|class| Some((class, limits(node, class)?)));
        let (class, (has_hard, has_soft)) = found?;
        let what = format!(
            "gives clients of the class {class:?} {has_hard} bytes of output buffer, and {has_soft} \
             for a while."
        );
        (is_small(has_hard, hard) || is_small(has_soft, soft)).then(|| Fault::at(node.name(), what))
    };
    facts.answering_nodes().filter_map(fault).collect()
}

fn replica_buffer_small(facts: &Facts) -> Vec<Fault> {
    buffer_small(facts, &["slave", "replica"], [64 * MEGABYTE, 16 * MEGABYTE])
}

fn pubsub_buffer_small(facts: &Facts) -> Vec<Fault> {
    buffer_small(facts, &["pubsub"], [8 * MEGABYTE, MEGABYTE])
}

fn backlog_small(facts: &Facts) -> Vec<Fault> {
    let small = |node: &Node| {
        let size = node.config.number("repl-backlog-size")?;
        let what = format!("has a repl-backlog-size of {size} bytes.");
        (size < DEFAULT_BACKLOG).then(|| Fault::at(node.name(), what))
    };
    facts.answering_nodes().filter_map(small).collect()
}

fn clients_near_limit(facts: &Facts) -> Vec<Fault> {
    let near = |node: &Node| {
        let most = node.config.number("maxclients").or(node.server.info.number("maxclients"))?;
        let has = node.server.info.number("connected_clients")?;
        let what = format!("has {has} of {most} connections in use.");
        (has * 10 >= most * 9).then(|| Fault::at(node.name(), what))
    };
    facts.answering_nodes().filter_map(near).collect()
}
