//! What is left when a machine dies. A machine is an IP address that servers announce.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::doctor::{
    facts::{Facts, Server},
    finding::{
        Fault,
        Severity::{Error, Note},
    },
    words::{count, list},
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "host-takes-majority",
        severity: Error,
        check: host_takes_majority,
        why: "When that machine dies, the sentinels that are left cannot elect a leader. If the \
              master was on it as well, as with a sentinel beside each of two nodes, it is not \
              replaced: the most usual fault is the one that is not survived.",
        mend: "Spread an odd number of sentinels so that no machine has half of them: three on three \
               machines; the third may be that of an application.",
    },
    Rule {
        code: "host-takes-nodes",
        severity: Error,
        check: host_takes_nodes,
        why: "When that machine dies, nobody is left who could be promoted.",
        mend: "Put a replica that may be promoted (`replica-priority` above 0) on another machine.",
    },
    Rule {
        code: "one-host",
        severity: Error,
        check: one_host,
        why: "When that machine dies, everything does. Sentinel can only help where something is left.",
        mend: "Spread nodes and sentinels over three machines.",
    },
    Rule {
        code: "test-cluster",
        severity: Note,
        check: test_cluster,
        why: "On one machine nothing can be said about what survives the death of one.",
        mend: "Nothing, where this is for tests. Otherwise spread nodes and sentinels over three \
               machines.",
    },
    Rule {
        code: "loopback-announced",
        severity: Error,
        check: loopback_announced,
        why: "A loopback address leads everybody to a machine of their own. After a failover, clients \
              and other servers call themselves instead of the master.",
        mend: "Have the sentinels monitor the master by an address that others reach, and set \
               `replica-announce-ip` and `sentinel announce-ip` where servers do not find their own.",
    },
];

fn servers(facts: &Facts) -> impl Iterator<Item = &Server> {
    let nodes = facts.nodes.iter().filter(|node| node.listed).map(|node| &node.server);
    facts.sentinels.iter().map(|sentinel| &sentinel.server).chain(nodes)
}

fn hosts(facts: &Facts) -> BTreeSet<String> {
    servers(facts).map(Server::host).collect()
}

/// The names of the servers on each machine.
fn by_host<'a>(servers: impl Iterator<Item = &'a Server>) -> BTreeMap<String, Vec<String>> {
    let mut by_host: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for server in servers {
        by_host.entry(server.host()).or_default().push(server.name());
    }
    by_host
}

fn host_takes_majority(facts: &Facts) -> Vec<Fault> {
    if hosts(facts).len() < 2 {
        return Vec::new();
    }
    let (majority, quorum) = (facts.majority(), facts.quorum().unwrap_or(0));
    let all = facts.counted();
    let mut faults = Vec::new();
    // One that is down now is not there to vote after another loss either.
    let there: Vec<&Server> =
        facts.sentinels.iter().map(|it| &it.server).filter(|it| it.answered()).collect();
    for (host, lost) in by_host(there.iter().copied()) {
        let left = there.len().saturating_sub(lost.len());
        if left >= majority && left >= quorum {
            continue;
        }
        let also = match facts.master() {
            Some(master) if master.server.host() == host => ", and the master is there, too",
            _ => "",
        };
        let needed = match left < majority {
            true => format!("{majority} are the majority"),
            false => format!("the quorum is {quorum}"),
        };
        let what = format!(
            "When {host} dies, {left} of {} are left, and {needed}{also}.",
            count(all, "sentinel")
        );
        faults.push(Fault::new(lost, what));
    }
    faults
}

fn host_takes_nodes(facts: &Facts) -> Vec<Fault> {
    if hosts(facts).len() < 2 || facts.replicas().next().is_none() {
        return Vec::new();
    }
    let listed = || facts.nodes.iter().filter(|node| node.listed);
    let fit = |host: &str| {
        let mut others = listed().filter(|node| node.server.host() != host);
        others.any(|node| !node.server.info.says("slave_priority", "0"))
    };
    let Some(master) = facts.master().map(|master| master.server.host()) else {
        return Vec::new();
    };
    let hosts = by_host(listed().map(|node| &node.server));
    let fatal = hosts.into_iter().filter(|(host, _)| *host == master && !fit(host));
    let fault = |(host, lost): (String, Vec<String>)| {
        let what = format!(
            "When {host} dies, {} die and no node that may be promoted is left.",
            list(&lost)
        );
        Fault::new(lost, what)
    };
    fatal.map(fault).collect()
}

fn only_host(facts: &Facts, loopback: bool) -> Vec<Fault> {
    let all: Vec<&Server> = servers(facts).collect();
    let Some(first) = all.first() else { return Vec::new() };
    if hosts(facts).len() != 1 || all.len() < 2 || first.is_loopback() != loopback {
        return Vec::new();
    }
    let what = format!("All {} servers are on {}.", all.len(), first.host());
    vec![Fault::new(all.iter().map(|server| server.name()).collect(), what)]
}

fn one_host(facts: &Facts) -> Vec<Fault> {
    only_host(facts, false)
}

fn test_cluster(facts: &Facts) -> Vec<Fault> {
    only_host(facts, true)
}

fn loopback_announced(facts: &Facts) -> Vec<Fault> {
    let elsewhere: Vec<String> = servers(facts)
        .filter(|it| it.ip.is_some() && !it.is_loopback())
        .map(Server::name)
        .collect();
    let Some(other) = elsewhere.first() else { return Vec::new() };
    let local = servers(facts).filter(|server| server.is_loopback());
    let what =
        || format!("is announced by a loopback address, while {other} is on another machine.");
    local.map(|server| Fault::at(server.name(), what())).collect()
}
