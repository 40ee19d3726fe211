//! How long things may take.

use super::Rule;
use crate::doctor::{
    facts::{Facts, Node, Sentinel},
    finding::{Fault, Severity::Warning},
};

/// Below this, a sentinel finds the new master down before it has called it: it calls a lost server
/// once a second.
const SHORTEST_DOWN_AFTER: u64 = 1100;
const LONGEST_DOWN_AFTER: u64 = 60_000;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "down-after-short",
        severity: Warning,
        check: down_after_short,
        why: "Sentinels call a lost server once a second. With less than about 1100 ms they find the \
              new master down right after a failover and replace it as well; and every hiccup of a \
              master is a failover.",
        mend: "`SENTINEL SET {service} down-after-milliseconds 1200` or more, up to 5000, on every \
               sentinel.",
    },
    Rule {
        code: "down-after-long",
        severity: Warning,
        check: down_after_long,
        why: "For so long nobody can write after the master has died.",
        mend: "`SENTINEL SET {service} down-after-milliseconds 5000` or less on every sentinel; not \
               below 1200.",
    },
    Rule {
        code: "failover-timeout-short",
        severity: Warning,
        check: failover_timeout_short,
        why: "A failover that takes longer is given up, and sentinels that time out in an election \
              start the next one against each other.",
        mend: "`SENTINEL SET {service} failover-timeout <10000 to 60000>` on every sentinel: at least \
               three times down-after-milliseconds.",
    },
    Rule {
        code: "parallel-syncs-all",
        severity: Warning,
        check: parallel_syncs_all,
        why: "After a failover all other replicas synchronise with the new master at once: while they \
              load, none can be read from, and the new master serves all of them beside its clients.",
        mend: "`SENTINEL SET {service} parallel-syncs 1` on every sentinel.",
    },
    Rule {
        code: "repl-timeout-short",
        severity: Warning,
        check: repl_timeout_short,
        why: "Master and replicas give each other up between two signs of life, synchronise again, \
              and so on.",
        mend: "`CONFIG SET repl-timeout 60`: several times repl-ping-replica-period.",
    },
];

/// What is wrong with a setting of the sentinels, each value once.
fn settings(facts: &Facts, is_wrong: impl Fn(&Sentinel) -> Option<String>) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for sentinel in facts.watching() {
        let Some(what) = is_wrong(sentinel) else { continue };
        match faults.iter_mut().find(|fault| fault.what == what) {
            Some(fault) => fault.about.push(sentinel.name()),
            None => faults.push(Fault::new(vec![sentinel.name()], what)),
        }
    }
    faults
}

fn down_after_short(facts: &Facts) -> Vec<Fault> {
    settings(facts, |sentinel| {
        let time = sentinel.setting("down-after-milliseconds")?;
        (time < SHORTEST_DOWN_AFTER).then(|| format!("down-after-milliseconds is {time}."))
    })
}

fn down_after_long(facts: &Facts) -> Vec<Fault> {
    settings(facts, |sentinel| {
        let time = sentinel.setting("down-after-milliseconds")?;
        (time > LONGEST_DOWN_AFTER)
            .then(|| format!("down-after-milliseconds is {time}: {} s.", time / 1000))
    })
}

fn failover_timeout_short(facts: &Facts) -> Vec<Fault> {
    settings(facts, |sentinel| {
        let down_after = sentinel.setting("down-after-milliseconds")?;
        let time = sentinel.setting("failover-timeout")?;
        (time < 3 * down_after).then(|| {
            format!("failover-timeout is {time}, down-after-milliseconds is {down_after}.")
        })
    })
}

fn parallel_syncs_all(facts: &Facts) -> Vec<Fault> {
    // One of them is promoted and needs no other master.
    let others = facts.replicas().count().saturating_sub(1);
    settings(facts, |sentinel| {
        let syncs = sentinel.setting("parallel-syncs")?;
        (others > 1 && syncs >= others as u64)
            .then(|| format!("parallel-syncs is {syncs}, with {others} replicas to point anew."))
    })
}

fn repl_timeout_short(facts: &Facts) -> Vec<Fault> {
    let fault = |node: &Node| {
        let (timeout, period) =
            (node.config.number("repl-timeout")?, node.config.number("repl-ping-replica-period")?);
        let what = format!("has repl-timeout {timeout} and repl-ping-replica-period {period}.");
        (timeout < 2 * period).then(|| Fault::at(node.name(), what))
    };
    facts.answering_nodes().filter_map(fault).collect()
}
