//! The servers themselves: versions, clocks, restarts.

use std::collections::BTreeMap;

use super::Rule;
use crate::doctor::{
    facts::{Facts, Node, Server},
    finding::{
        Fault,
        Severity::{Note, Warning},
    },
    words::list,
};

/// How far clocks may be apart, in milliseconds.
const CLOCKS: f64 = 500.0;
/// In seconds: what counts as just restarted, and how much older the others have to be.
const RECENTLY: u64 = 3600;
const OLDER: u64 = 5;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "node-versions-differ",
        severity: Warning,
        check: node_versions_differ,
        why: "An older node may be unable to read what a newer master sends, and after a failover the \
              application meets another version.",
        mend: "Finish the upgrade: replicas first, then `SENTINEL FAILOVER {service}`, then the old \
               master.",
    },
    Rule {
        code: "sentinel-versions-differ",
        severity: Warning,
        check: sentinel_versions_differ,
        why: "Sentinels of different versions differ in what they know and how they fail over.",
        mend: "Finish the upgrade, one sentinel after another.",
    },
    Rule {
        code: "clocks-differ",
        severity: Warning,
        check: clocks_differ,
        why: "Keys with an expiry time live longer or shorter after a failover, and logs of different \
              servers do not fit together. A clock that is set by a jump puts a sentinel into TILT.",
        mend: "Let chrony or ntpd keep the clocks on every machine.",
    },
    Rule {
        code: "master-restarted",
        severity: Note,
        check: master_restarted,
        why: "It was restarted and came back before the sentinels had it replaced: what it had not \
              stored is gone, on its replicas, too.",
        mend: "Its log says why it ended. Restart masters by `SENTINEL FAILOVER {service}` first.",
    },
];

/// `7.0` of `Redis 7.0.15`: what differs after that does not matter.
fn line(server: &Server) -> Option<String> {
    let version = server.version()?;
    let parts: Vec<&str> = version.splitn(3, '.').collect();
    Some(parts[..parts.len().min(2)].join("."))
}

fn versions<'a>(servers: impl Iterator<Item = &'a Server>, noun: &str) -> Vec<Fault> {
    let mut by_line: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for server in servers {
        if let Some(line) = line(server) {
            by_line.entry(line).or_default().push(server.name());
        }
    }
    if by_line.len() < 2 {
        return Vec::new();
    }
    let told: Vec<String> =
        by_line.iter().map(|(line, who)| format!("{line} at {}", list(who))).collect();
    let what = format!("The {noun} are of different versions: {}.", told.join("; "));
    vec![Fault::new(by_line.into_values().flatten().collect(), what)]
}

fn node_versions_differ(facts: &Facts) -> Vec<Fault> {
    versions(facts.nodes.iter().map(|node| &node.server), "nodes")
}

fn sentinel_versions_differ(facts: &Facts) -> Vec<Fault> {
    versions(facts.sentinels.iter().map(|sentinel| &sentinel.server), "sentinels")
}

/// Whose clock is certainly ahead of whose; all machines count, and this one does not.
fn clocks_differ(facts: &Facts) -> Vec<Fault> {
    let sentinels = facts.sentinels.iter().map(|it| &it.server);
    let servers = sentinels.chain(facts.nodes.iter().map(|it| &it.server));
    let clocks: Vec<_> = servers.filter_map(|server| Some((server, server.clock?))).collect();
    let ahead = clocks.iter().max_by(|a, b| a.1.least.total_cmp(&b.1.least));
    let behind = clocks.iter().min_by(|a, b| a.1.most.total_cmp(&b.1.most));
    let (Some((first, ahead)), Some((last, behind))) = (ahead, behind) else {
        return Vec::new();
    };
    let apart = ahead.least - behind.most;
    if apart <= CLOCKS {
        return Vec::new();
    }
    let what = format!(
        "The clock of {} is {:.1} s or more ahead of that of {}.",
        first.name(),
        apart / 1000.0,
        last.name()
    );
    vec![Fault::new(vec![first.name(), last.name()], what)]
}

fn master_restarted(facts: &Facts) -> Vec<Fault> {
    let uptime = |node: &Node| node.server.info.number("uptime_in_seconds");
    let Some(master) = facts.answering_master() else { return Vec::new() };
    let Some(own) = uptime(master).filter(|own| *own < RECENTLY) else { return Vec::new() };
    let others: Vec<u64> = facts.answering_replicas().filter_map(uptime).collect();
    if others.is_empty() || others.iter().any(|other| *other < own + OLDER) {
        return Vec::new();
    }
    let what = format!("was started {own} s ago, and all its replicas before.");
    vec![Fault::at(master.name(), what)]
}
