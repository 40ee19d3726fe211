//! Whether a cluster is as it should be, and what is missing otherwise.

use std::time::Instant;

use crate::{Cluster, Result, Role, Sentinel, cluster::Service, frame::Frame, patience::Patience};

type Verdict = std::result::Result<(), String>;

pub(crate) fn wait_ready(cluster: &Cluster, deadline: Instant) -> Result<()> {
    let condition = || settled(cluster).and_then(|()| quorums(cluster));
    Patience::until(deadline)
        .try_for(|| Ok(condition()), |last| describe(cluster, "is not ready", last))
}

pub(crate) fn wait_settled(cluster: &Cluster, deadline: Instant) -> Result<()> {
    Patience::until(deadline)
        .try_for(|| Ok(settled(cluster)), |last| describe(cluster, "has not settled", last))
}

pub(crate) fn describe(cluster: &Cluster, what: &str, last: &str) -> String {
    format!("the cluster of {:?} {what}: {last}\n{}", cluster.service(), cluster.logs())
}

/// Everybody is up, and everybody says the same.
pub(crate) fn settled(cluster: &Cluster) -> Verdict {
    for member in cluster.members() {
        if !member.is_running() {
            return Err(format!("{} is down", member.name()));
        }
        if member.is_frozen() {
            return Err(format!("{} is frozen", member.name()));
        }
    }
    for service in cluster.services_slice() {
        let master = one_master(service)?;
        for sentinel in cluster.sentinels() {
            agrees(cluster, sentinel, service, master)
                .map_err(|why| format!("{} on {}: {why}", sentinel.name(), service.name))?;
        }
    }
    Ok(())
}

/// The port of the only master, which all other nodes follow in sync.
fn one_master(service: &Service) -> std::result::Result<u16, String> {
    let mut roles = Vec::new();
    for node in &service.nodes {
        roles.push((node, node.role().map_err(|error| error.to_string())?));
    }
    let masters: Vec<_> = roles.iter().filter(|(_, role)| *role == Role::Master).collect();
    let [(master, _)] = masters[..] else {
        let names: Vec<_> = masters.iter().map(|(node, _)| node.name()).collect();
        return Err(format!("{} masters: {}", masters.len(), names.join(", ")));
    };
    for (node, role) in &roles {
        let good = Role::Replica { of: Some(master.address()), connected: true };
        if node.port() != master.port() && *role != good {
            return Err(format!("{} is {role:?}, the master is {}", node.name(), master.address()));
        }
    }
    Ok(master.port())
}

fn agrees(cluster: &Cluster, sentinel: &Sentinel, service: &Service, master: u16) -> Verdict {
    let mut client = sentinel.client().map_err(|error| error.to_string())?;
    let mut ask = |what: &str| {
        let words = ["SENTINEL", what, &*service.name];
        client.expect(&words).map_err(|error| error.to_string())
    };
    let address = ask("GET-MASTER-ADDR-BY-NAME")?;
    let port = address.items().get(1).map(Frame::text).unwrap_or_default();
    if port != master.to_string() {
        return Err(format!("it names port {port}, the master is {master}"));
    }
    let about = ask("MASTER")?;
    let wrong = |about: &Frame, flags: &str, count: usize| {
        let found = about.field_text("flags");
        (found != flags)
            .then(|| format!("{} has flags {found:?} ({count} entries)", about.field_text("name")))
    };
    if let Some(why) = wrong(&about, "master", 1) {
        return Err(why);
    }
    let state = about.field_text("failover-state");
    if !state.is_empty() && state != "none" {
        return Err(format!("failover {state}"));
    }
    let mut keeps_verdicts = None;
    for (what, flags, expected) in [
        ("REPLICAS", "slave", service.nodes.len() - 1),
        ("SENTINELS", "sentinel", cluster.sentinels().len() - 1),
    ] {
        let list = ask(what)?;
        let entries = list.items();
        if entries.len() != expected {
            return Err(format!("{} of {expected} {what}", entries.len()));
        }
        for entry in entries {
            let kept = what == "SENTINELS" && entry.field_text("flags") == "sentinel,master_down";
            if let Some(why) = wrong(entry, flags, entries.len())
                && !(kept && *keeps_verdicts.get_or_insert_with(|| never_forgets(sentinel)))
            {
                return Err(why);
            }
            let link = entry.field_text("master-link-status");
            if what == "REPLICAS" && link != "ok" {
                return Err(format!("{}: master-link-status {link}", entry.field_text("name")));
            }
        }
    }
    Ok(())
}

/// Whether this is a sentinel of Valkey 9 or newer: 9.1.2 keeps what the others said of a master, their votes too, while
/// the next one is well. All others forget it after five times the ask-period.
fn never_forgets(sentinel: &Sentinel) -> bool {
    let version = sentinel.info("server", "valkey_version").unwrap_or_default();
    version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .is_some_and(|major: u32| major >= 9)
}

fn quorums(cluster: &Cluster) -> Verdict {
    for sentinel in cluster.sentinels() {
        for service in cluster.services_slice() {
            let reply = sentinel
                .ask(&["SENTINEL", "CKQUORUM", &service.name])
                .map_err(|error| error.to_string())?;
            let expected = format!("OK {} usable", cluster.sentinels().len());
            if !reply.text().starts_with(&expected) {
                return Err(format!("{}: {}", sentinel.name(), reply.text()));
            }
        }
    }
    Ok(())
}
