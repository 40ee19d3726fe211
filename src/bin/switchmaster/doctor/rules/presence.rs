//! Who is there, and who is not.

use switchmaster::Address;

use super::Rule;
use crate::doctor::{
    facts::{Contact, Facts, Node, Sentinel},
    finding::{
        Fault,
        Severity::{Error, Note, Warning},
    },
    words::{count, list},
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "no-master",
        severity: Error,
        check: no_master,
        why: "Without a master that sentinels name, no client can write.",
        mend: "Start the sentinels, or have them monitor the service: `sentinel monitor {service} \
               <address> <port> <quorum>`. Check the addresses and the name in --url.",
    },
    Rule {
        code: "master-down",
        severity: Error,
        check: master_down,
        why: "Nobody can write until it is back or another node is promoted.",
        mend: "If no failover follows by itself, the other findings say what prevents it; then \
               start the master again.",
    },
    Rule {
        code: "node-down",
        severity: Warning,
        check: node_down,
        why: "One replica less to promote and to read from.",
        mend: "Start it again. If it is gone for good, `SENTINEL RESET {service}` on each sentinel, \
               one after another, removes it from their lists.",
    },
    Rule {
        code: "unreachable-node",
        severity: Error,
        check: unreachable_node,
        why: "The address that the sentinels tell clients works for the sentinels, not from here: \
              NAT, containers, or a firewall. After a failover to it, clients here are cut off.",
        mend: "Announce an address that clients reach (`replica-announce-ip`, \
               `replica-announce-port`), open the firewall, or give this client an address_map.",
    },
    Rule {
        code: "unresolved-name",
        severity: Error,
        check: unresolved_name,
        why: "Clients here cannot find a server by this name, though others may.",
        mend: "Put the name into the DNS (or /etc/hosts) of the clients, announce addresses instead, \
               or map it with address_map.",
    },
    Rule {
        code: "sentinel-down",
        severity: Warning,
        check: sentinel_down,
        why: "It still counts for the majority that has to elect a leader, and cannot vote.",
        mend: "Start it again. If it is gone for good, `SENTINEL RESET {service}` on each of the \
               others, one after another, and take it out of the clients' URLs.",
    },
    Rule {
        code: "unreachable-sentinel",
        severity: Warning,
        check: unreachable_sentinel,
        why: "Clients find the other sentinels by the addresses that those announce. From here this \
              one cannot be heard there, though other sentinels hear it: NAT, containers, or a \
              firewall.",
        mend: "Announce an address that clients reach (`sentinel announce-ip`, `sentinel \
               announce-port`), open the firewall, or give this client an address_map.",
    },
    Rule {
        code: "stale-sentinel",
        severity: Warning,
        check: stale_sentinel,
        why: "An entry that stands for nobody counts for the majority all the same, for ever: \
              sentinels do not forget each other. A few of those, and no failover is possible.",
        mend: "`SENTINEL RESET {service}` on each sentinel, one after another, half a minute apart.",
    },
    Rule {
        code: "stranger",
        severity: Error,
        check: stranger,
        why: "Addresses are reused: a sentinel of another deployment that monitors a service of the \
              same name may get the address of a dead one. A client that believes it writes to \
              another deployment's master. Factories of this library do not listen to it, and count \
              its place as a sentinel that is down.",
        mend: "Take its address out of the clients' URLs, and `SENTINEL RESET {service}` on each \
               sentinel of this deployment, one after another, so that they forget the one that was \
               there. Name services differently, or give sentinels passwords: without either, two \
               deployments may become one. If it belongs here, have it monitor the same master.",
    },
    Rule {
        code: "sentinels-apart",
        severity: Warning,
        check: sentinels_apart,
        why: "Sentinels that do not know each other cannot vote for each other, and count different \
              majorities: each part might promote a master of its own.",
        mend: "They find each other through the master: check that all of them reach it, may \
               subscribe and publish there (`sentinel auth-pass`), and have ids of their own \
               (`sentinel myid`; a copied sentinel.conf has a copied id).",
    },
    Rule {
        code: "unknown-service",
        severity: Error,
        check: unknown_service,
        why: "It takes no part in watching this service, though clients ask it.",
        mend: "Have it monitor {service} as the others do, or take it out of --url.",
    },
    Rule {
        code: "no-sentinel-there",
        severity: Error,
        check: no_sentinel_there,
        why: "A client that is told to ask a data server for the master learns nothing.",
        mend: "Name sentinels in --url; their port is 26379 unless set otherwise.",
    },
    Rule {
        code: "sentinel-tilt",
        severity: Warning,
        check: sentinel_tilt,
        why: "In TILT mode a sentinel watches and does nothing, for half a minute: its clock \
              jumped, or it was not run for two seconds.",
        mend: "Find out what held it up (an overloaded machine, a slow disk, a paused virtual \
               machine) or set its clock; step the clock slowly (chrony, ntpd).",
    },
    Rule {
        code: "one-sentinel-named",
        severity: Note,
        check: one_sentinel_named,
        why: "The others are found through it. A program that starts while it is down finds nobody.",
        mend: "Name all sentinels in the URL, or a name that resolves to several.",
    },
];

fn no_master(facts: &Facts) -> Vec<Fault> {
    if facts.master().is_some() {
        return Vec::new();
    }
    let answering = facts.sentinels.iter().filter(|it| it.server.answered()).count();
    let all = count(facts.sentinels.len(), "sentinel");
    let what = match answering {
        0 => format!("None of {all} answers."),
        some => format!("{some} of {all} answer, and none names a master of {:?}.", facts.service),
    };
    vec![Fault::new(facts.sentinels.iter().map(Sentinel::name).collect(), what)]
}

/// Why a node does not answer, and that the sentinels agree, when they do.
fn is_down(facts: &Facts, node: &Node) -> Option<String> {
    let Contact::Silent(why) = &node.server.contact else { return None };
    let (up, opinions) = facts.opinions(node);
    (up == 0).then(|| match opinions {
        0 => format!("does not answer ({why})."),
        _ => {
            format!("does not answer ({why}), and {opinions} of {opinions} sentinels find it down.")
        }
    })
}

fn master_down(facts: &Facts) -> Vec<Fault> {
    let master = facts.master().and_then(|node| Some((node, is_down(facts, node)?)));
    master.map(|(node, why)| Fault::at(node.name(), why)).into_iter().collect()
}

fn node_down(facts: &Facts) -> Vec<Fault> {
    let down = facts.replicas().filter_map(|node| Some((node, is_down(facts, node)?)));
    down.map(|(node, why)| Fault::at(node.name(), why)).collect()
}

fn unreachable_node(facts: &Facts) -> Vec<Fault> {
    let listed = facts.nodes.iter().filter(|node| node.listed);
    let fault = |node: &Node| {
        let Contact::Silent(why) = &node.server.contact else { return None };
        let (up, opinions) = facts.opinions(node);
        let what = format!(
            "cannot be reached from here ({why}), while {up} of {opinions} sentinels find it up."
        );
        (up > 0).then(|| Fault::at(node.name(), what))
    };
    listed.filter_map(fault).collect()
}

fn unresolved_name(facts: &Facts) -> Vec<Fault> {
    let sentinels = facts.sentinels.iter().map(|it| (it.name(), &it.server.contact));
    let astray = facts.sentinels.iter().filter_map(|it| Some((it.name(), it.astray.as_ref()?)));
    let nodes = facts.nodes.iter().map(|it| (it.name(), &it.server.contact));
    let fault = |(name, contact): (String, &Contact)| match contact {
        Contact::Unresolved(why) => Some(Fault::at(name, format!("cannot be found: {why}."))),
        _ => None,
    };
    sentinels.chain(astray).chain(nodes).filter_map(fault).collect()
}

fn sentinel_down(facts: &Facts) -> Vec<Fault> {
    let fault = |sentinel: &Sentinel| {
        let Contact::Silent(why) = &sentinel.server.contact else { return None };
        let (up, opinions) = facts.opinions_of_sentinel(sentinel);
        let what = match opinions {
            0 => format!("does not answer ({why}), and no sentinel lists it."),
            _ => format!("does not answer ({why}); {opinions} others list it, and it is down."),
        };
        (up == 0).then(|| Fault::at(sentinel.name(), what))
    };
    facts.sentinels.iter().filter_map(fault).collect()
}

fn unreachable_sentinel(facts: &Facts) -> Vec<Fault> {
    let fault = |sentinel: &Sentinel| match (&sentinel.server.contact, &sentinel.astray) {
        (Contact::Silent(why), _) => {
            let (up, opinions) = facts.opinions_of_sentinel(sentinel);
            let what = format!(
                "cannot be reached from here ({why}), while {up} of {opinions} others find it up."
            );
            (up > 0).then(|| Fault::at(sentinel.name(), what))
        }
        (_, Some(Contact::Silent(why))) => {
            let there = sentinel.server.called_at.as_ref().map(Address::to_string);
            let there = there.unwrap_or_default();
            let what = format!("answers at {there} and not at the address it announces ({why}).");
            Some(Fault::at(sentinel.name(), what))
        }
        _ => None,
    };
    facts.sentinels.iter().filter_map(fault).collect()
}

fn stale_sentinel(facts: &Facts) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for by in facts.watching() {
        for entry in &by.others {
            let id = entry.fields.get("runid").unwrap_or_default();
            let there = facts
                .sentinels
                .iter()
                .find(|it| entry.address.as_ref() == Some(&it.server.address));
            let gone = match there {
                // An address that is no address is how an entry is marked whose place another has taken.
                None => entry.address.is_none(),
                Some(it) => {
                    it.server.answered() && !it.ids.is_empty() && it.ids.iter().all(|own| own != id)
                }
            };
            if gone && !id.is_empty() {
                let place = entry.name();
                let what = format!(
                    "{} counts a sentinel {id} at {place}, which is not there any more.",
                    by.name()
                );
                faults.push(Fault::new(vec![by.name(), place], what));
            }
        }
    }
    faults
}

/// Sentinels that are apart from a majority of those that the URL names, or that list another one in
/// their place.
fn stranger(facts: &Facts) -> Vec<Fault> {
    let lists = |by: &Sentinel, ids: &[String]| {
        by.others.iter().any(|entry| {
            let id = entry.fields.get("runid").unwrap_or_default();
            ids.iter().any(|own| own == id)
        })
    };
    let tells = |it: &&Sentinel| !it.server.is_denied("SENTINEL SENTINELS") && !it.ids.is_empty();
    let fault = |own: &Sentinel| {
        // Those of its own deployment may list it where it was before.
        let place = own.server.called_at.as_ref().unwrap_or(&own.server.address);
        let is_concerned = |other: &&Sentinel| {
            let knows_place = other.others.iter().any(|it| it.address.as_ref() == Some(place));
            let expects_another = knows_place && !lists(other, &own.ids);
            !std::ptr::eq(own, *other) && (other.named || expects_another)
        };
        let others: Vec<&Sentinel> = facts.watching().filter(tells).filter(is_concerned).collect();
        let is_apart = |other: &&&Sentinel| !lists(other, &own.ids) && !lists(own, &other.ids);
        let apart: Vec<String> = others.iter().filter(is_apart).map(|it| it.name()).collect();
        let what = format!(
            "belongs to another deployment: it does not list {}, and none of them lists its id {}.",
            list(&apart),
            own.ids.join(" or ")
        );
        (apart.len() > others.len().div_ceil(2)).then(|| Fault::at(place.to_string(), what))
    };
    facts.watching().filter(tells).filter_map(fault).collect()
}

fn sentinels_apart(facts: &Facts) -> Vec<Fault> {
    let mut faults = Vec::new();
    for by in facts.watching().filter(|by| !by.server.is_denied("SENTINEL SENTINELS")) {
        let is_missing = |other: &&Sentinel| {
            let is_listed = by.others.iter().any(|entry| {
                let id = entry.fields.get("runid").unwrap_or_default();
                entry.address.as_ref() == Some(&other.server.address)
                    || other.ids.iter().any(|own| own == id)
            });
            !std::ptr::eq(by, *other) && !is_listed
        };
        let missing: Vec<String> =
            facts.watching().filter(is_missing).map(Sentinel::name).collect();
        if !missing.is_empty() {
            let what = format!("{} does not know of {}.", by.name(), list(&missing));
            faults.push(Fault::new([vec![by.name()], missing].concat(), what));
        }
    }
    faults
}

fn unknown_service(facts: &Facts) -> Vec<Fault> {
    let strangers = facts
        .sentinels
        .iter()
        .filter(|it| it.server.answered() && it.is_sentinel && !it.knows_service);
    let what = || format!("does not monitor {:?}.", facts.service);
    strangers.map(|it| Fault::at(it.name(), what())).collect()
}

fn no_sentinel_there(facts: &Facts) -> Vec<Fault> {
    let others = facts.sentinels.iter().filter(|it| it.server.answered() && !it.is_sentinel);
    others.map(|it| Fault::at(it.name(), "answers, and is no sentinel.")).collect()
}

fn sentinel_tilt(facts: &Facts) -> Vec<Fault> {
    let tilted = facts.sentinels.iter().filter(|it| it.server.info.says("sentinel_tilt", "1"));
    tilted.map(|it| Fault::at(it.name(), "is in TILT mode.")).collect()
}

fn one_sentinel_named(facts: &Facts) -> Vec<Fault> {
    let named: Vec<&Sentinel> = facts.sentinels.iter().filter(|it| it.named).collect();
    match named[..] {
        [only] if facts.sentinels.len() > 1 => {
            let all = facts.sentinels.len();
            vec![Fault::at(only.name(), format!("is the only one of {all} that the URL names."))]
        }
        _ => Vec::new(),
    }
}
