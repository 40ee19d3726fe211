//! Rules by tables of facts: the arithmetic of layouts, and where a limit lies.

use std::collections::BTreeSet;

use switchmaster::Address;

use super::*;
use crate::doctor::{
    facts::{Clock, Contact, Listed, Node, Sentinel, Server},
    fields::Fields,
};

const PAGE: &str = include_str!("../../../../../docs/doctor.md");

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn server(at: &str, info: Fields) -> Server {
    let address = address(at);
    Server {
        ip: address.ip(),
        address,
        called_at: None,
        contact: Contact::Answered,
        denied: Vec::new(),
        clock: None,
        info,
    }
}

/// Sentinels at these addresses that know each other, and name the first node.
fn facts(sentinels: &[&str], nodes: &[&str], quorum: &str) -> Facts {
    let sentinel = |at: &&str| Sentinel {
        server: server(at, Fields::default()),
        named: true,
        astray: None,
        ids: vec![(*at).to_owned()],
        is_sentinel: true,
        master: Some(address(nodes[0])),
        about: Some(Fields::from([("quorum", quorum), ("flags", "master")])),
        knows_service: true,
        replicas: Vec::new(),
        others: sentinels
            .iter()
            .filter(|other| *other != at)
            .map(|other| Listed {
                address: Some(address(other)),
                fields: Fields::from([("runid", *other), ("flags", "sentinel")]),
            })
            .collect(),
        quorum_check: None,
    };
    let node = |(index, at): (usize, &&str)| Node {
        server: server(at, Fields::from([("role", if index == 0 { "master" } else { "slave" })])),
        aliases: Vec::new(),
        listed: true,
        config: Fields::default(),
        default_user: Vec::new(),
    };
    Facts {
        service: "mymaster".to_owned(),
        sentinels: sentinels.iter().map(sentinel).collect(),
        nodes: nodes.iter().enumerate().map(node).collect(),
    }
}

fn codes(facts: &Facts) -> Vec<&'static str> {
    findings(facts).into_iter().map(|finding| finding.code).collect()
}

const SPREAD: [&str; 3] = ["10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3:26379"];
const NODES: [&str; 2] = ["10.0.0.1:6379", "10.0.0.2:6379"];

/// Sentinels, nodes, the master, and the codes that are found.
type Layout<'a> = (&'a [&'a str], &'a [&'a str], &'a str, &'a [&'a str]);

#[test]
fn layouts_are_judged_by_what_a_host_takes_with_it() {
    let [a, b, c] = SPREAD;
    let (d, a2, b2) = ("10.0.0.4:26379", "10.0.0.1:26380", "10.0.0.2:26380");
    let cases: [Layout; 8] = [
        (&SPREAD, &NODES, "2", &[]),
        (&[a, b], &NODES, "2", &["few-sentinels", "host-takes-majority", "host-takes-majority"]),
        (
            &[a, b],
            &NODES,
            "1",
            &["few-sentinels", "quorum-one", "host-takes-majority", "host-takes-majority"],
        ),
        (&[a, a2, b], &NODES, "2", &["host-takes-majority"]),
        (
            &[a, a2, b, b2],
            &NODES,
            "2",
            &["even-sentinels", "host-takes-majority", "host-takes-majority"],
        ),
        (&[a, b, c, d], &NODES, "2", &["even-sentinels"]),
        (&SPREAD, &["10.0.0.9:1", "10.0.0.9:2"], "2", &["host-takes-nodes"]),
        (&[a, a2, "10.0.0.1:26381"], &["10.0.0.1:1", "10.0.0.1:2"], "2", &["one-host"]),
    ];
    for (sentinels, nodes, quorum, expected) in cases {
        let facts = facts(sentinels, nodes, quorum);
        assert_eq!(codes(&facts), expected, "{sentinels:?} {nodes:?} quorum {quorum}");
    }
}

#[test]
fn a_loopback_address_among_others_leads_astray() {
    let facts = facts(&SPREAD, &["127.0.0.1:6379", NODES[1]], "2");
    let found = findings(&facts);
    let fault = found.iter().find(|finding| finding.code == "loopback-announced").unwrap();
    assert_eq!(fault.about, ["127.0.0.1:6379"]);
}

#[test]
fn epochs_and_versions_are_compared() {
    let mut facts = facts(&SPREAD, &NODES, "2");
    for (sentinel, version) in facts.sentinels.iter_mut().zip(["7.0.14", "7.0.15", "7.0.15"]) {
        sentinel.server.info = Fields::from([("redis_version", version)]);
    }
    assert!(codes(&facts).is_empty(), "a patch does not matter");
    facts.sentinels[0].server.info = Fields::from([("redis_version", "6.2.5")]);
    let about = Fields::from([("quorum", "2"), ("config-epoch", "4")]);
    facts.sentinels[1].about = Some(about);
    let about = Fields::from([("quorum", "2"), ("config-epoch", "5")]);
    facts.sentinels[2].about = Some(about);
    assert_eq!(codes(&facts), ["epochs-differ", "sentinel-versions-differ"]);
}

#[test]
fn clocks_are_apart_only_when_the_way_there_does_not_explain_it() {
    let apart = |[least, most]: [f64; 2], [other_least, other_most]: [f64; 2]| {
        let mut facts = facts(&SPREAD, &NODES, "2");
        facts.nodes[0].server.clock = Some(Clock { least, most });
        facts.nodes[1].server.clock = Some(Clock { least: other_least, most: other_most });
        codes(&facts).contains(&"clocks-differ")
    };
    assert!(!apart([-1.0, 1.0], [400.0, 401.0]));
    assert!(apart([-1.0, 1.0], [600.0, 601.0]));
    assert!(apart([-2000.0, -1999.0], [0.0, 1.0]));
    assert!(!apart([-1.0, 1.0], [0.0, 2000.0]), "a slow answer says nothing");
}

#[test]
fn every_code_is_a_rule_once_and_has_a_section_on_its_page() {
    let rules: Vec<&Rule> = TABLES.iter().copied().flatten().collect();
    let codes: BTreeSet<&str> = rules.iter().map(|rule| rule.code).collect();
    assert_eq!(codes.len(), rules.len());
    for rule in rules {
        let is_kebab = rule.code.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase());
        assert!(is_kebab && !rule.why.is_empty() && !rule.mend.is_empty(), "{}", rule.code);
        let section = format!("### `{}` ({})\n", rule.code, rule.severity);
        assert!(PAGE.contains(&section), "docs/doctor.md: {section}");
    }
    let sections = PAGE.lines().filter(|line| line.starts_with("### ")).count();
    assert_eq!(sections, codes.len(), "a section without a rule");
}
