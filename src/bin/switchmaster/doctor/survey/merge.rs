//! Servers that were called at several addresses, each made one: [`facts`].

use std::collections::BTreeMap;

use switchmaster::Address;

use crate::doctor::facts::{Facts, Node, Sentinel};

pub(super) fn facts(service: &str, sentinels: Vec<Sentinel>, nodes: Vec<Node>) -> Facts {
    Facts {
        service: service.to_owned(),
        sentinels: merged_sentinels(sentinels),
        nodes: merged_nodes(nodes),
    }
}

/// By their ids: the URL may name a sentinel otherwise than the others do.
fn merged_sentinels(mut sentinels: Vec<Sentinel>) -> Vec<Sentinel> {
    let mut listed: BTreeMap<Address, Vec<String>> = BTreeMap::new();
    for entry in sentinels.iter().flat_map(|sentinel| &sentinel.others) {
        if let (Some(address), Some(id)) = (&entry.address, entry.fields.get("runid")) {
            let ids = listed.entry(address.clone()).or_default();
            if !id.is_empty() && !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
    }
    for sentinel in sentinels.iter_mut().filter(|sentinel| sentinel.ids.is_empty()) {
        sentinel.ids = listed.get(&sentinel.server.address).cloned().unwrap_or_default();
    }
    // The addresses that others know come first, and those that answer.
    sentinels.sort_by_key(|it| {
        let address = it.server.address.clone();
        (!it.server.answered(), !listed.contains_key(&address), address)
    });
    let mut merged: Vec<Sentinel> = Vec::new();
    for sentinel in sentinels {
        let same = merged.iter_mut().find(|known| {
            let answered = known.server.answered() || !sentinel.server.answered();
            answered && known.ids.iter().any(|id| sentinel.ids.contains(id))
        });
        let Some(known) = same else {
            merged.push(sentinel);
            continue;
        };
        known.named |= sentinel.named;
        let address = sentinel.server.address;
        if !sentinel.server.contact.answered() && listed.contains_key(&address) {
            // The one in the URL answers, and this is the one that clients are told.
            known.astray = Some(sentinel.server.contact);
            known.server.called_at = Some(known.server.address.clone());
            known.server.address = address;
            known.server.ip = sentinel.server.ip;
        }
    }
    merged.sort_by(|a, b| a.server.address.cmp(&b.server.address));
    merged
}

/// By their run ids: sentinels may call a node by a name, and its master by an address.
fn merged_nodes(mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.sort_by_key(|node| (!node.listed, node.server.address.clone()));
    let mut merged: Vec<Node> = Vec::new();
    for node in nodes {
        let id = node.server.info.get("run_id");
        let same =
            merged.iter_mut().find(|known| id.is_some() && known.server.info.get("run_id") == id);
        match same {
            Some(known) => known.aliases.push(node.server.address),
            None => merged.push(node),
        }
    }
    merged
}
