//! Whether the sentinels say the same.

use std::collections::BTreeMap;

use super::Rule;
use crate::doctor::{
    facts::{Facts, Sentinel},
    finding::{
        Fault,
        Severity::{Error, Note, Warning},
    },
    words::list,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "split-master",
        severity: Error,
        check: split_master,
        why: "Clients of different sentinels write to different masters, and what one side wrote will \
              be thrown away.",
        mend: "Right after a failover this passes within seconds. If it stays, a part of the sentinels \
               is cut off from the rest: mend the network; a sentinel that does not catch up is \
               mended by `SENTINEL REMOVE {service}` and `SENTINEL MONITOR {service} …` on it.",
    },
    Rule {
        code: "epochs-differ",
        severity: Warning,
        check: epochs_differ,
        why: "The sentinel with the lower epoch has not heard of the last failover: it does not hear \
              the others.",
        mend: "Right after a failover this passes within seconds. Otherwise check that it reaches the \
               nodes, through which sentinels hear of each other.",
    },
    Rule {
        code: "settings-differ",
        severity: Warning,
        check: settings_differ,
        why: "Each sentinel acts by its own settings; `SENTINEL SET` changes only the one that it is \
              sent to. How a failover goes then depends on which of them leads it.",
        mend: "`SENTINEL SET {service} <setting> <value>` on each sentinel that differs.",
    },
    Rule {
        code: "failover-running",
        severity: Note,
        check: failover_running,
        why: "Much of what is found now belongs to the failover and passes with it.",
        mend: "Wait until it has ended and examine again.",
    },
];

/// Who says what, where not all say the same.
fn differing(
    facts: &Facts,
    said: impl Fn(&Sentinel) -> Option<String>,
) -> Option<BTreeMap<String, Vec<String>>> {
    let mut by: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sentinel in facts.watching() {
        if let Some(said) = said(sentinel) {
            by.entry(said).or_default().push(sentinel.name());
        }
    }
    (by.len() > 1).then_some(by)
}

fn fault(what: &str, by: BTreeMap<String, Vec<String>>) -> Fault {
    let told: Vec<String> =
        by.iter().map(|(said, who)| format!("{said} at {}", list(who))).collect();
    Fault::new(by.into_values().flatten().collect(), format!("{what}: {}.", told.join("; ")))
}

fn split_master(facts: &Facts) -> Vec<Fault> {
    // By node, not by name: one node may have several.
    let named = |sentinel: &Sentinel| {
        let address = sentinel.master.as_ref()?;
        Some(facts.node_at(address).map_or_else(|| address.to_string(), |node| node.name()))
    };
    let split = differing(facts, named);
    split.map(|by| fault("The sentinels name different masters", by)).into_iter().collect()
}

fn epochs_differ(facts: &Facts) -> Vec<Fault> {
    let epoch = |sentinel: &Sentinel| sentinel.setting("config-epoch").map(|it| it.to_string());
    let differ = differing(facts, epoch);
    differ.map(|by| fault("The epochs of the configuration differ", by)).into_iter().collect()
}

fn settings_differ(facts: &Facts) -> Vec<Fault> {
    let settings = ["quorum", "down-after-milliseconds", "failover-timeout", "parallel-syncs"];
    let differs = |name: &str| {
        let said = |sentinel: &Sentinel| sentinel.setting(name).map(|it| it.to_string());
        differing(facts, said).map(|by| fault(name, by))
    };
    settings.into_iter().filter_map(differs).collect()
}

fn failover_running(facts: &Facts) -> Vec<Fault> {
    let state = |sentinel: &Sentinel| {
        let state = sentinel.about.as_ref()?.get("failover-state")?.to_owned();
        (!matches!(state.as_str(), "" | "none")).then_some(state)
    };
    let leading = facts.watching().filter_map(|it| Some((it.name(), state(it)?)));
    leading.map(|(name, state)| Fault::at(name, format!("leads a failover ({state})."))).collect()
}
