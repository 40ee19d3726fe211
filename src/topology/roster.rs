//! The sentinels that are known, and what each of them last said.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    agreement::{Claim, Electorate},
    answer::{Answer, View},
    snapshot::{SentinelLink, SentinelStatus},
};
use crate::address::Address;

/// One sentinel. A sentinel that is known by two addresses has two entries until its run id tells.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) seed: bool,
    run_id: Option<String>,
    /// Where it was in fact reached, and what its name resolved to.
    peers: BTreeSet<Address>,
    pub(super) link: SentinelLink,
    pub(super) answer: Option<(Answer, Instant)>,
    /// The services that it monitors, when it does not monitor ours.
    pub(super) services: Option<Vec<String>>,
    /// The nodes that it cannot reach.
    pub(super) unreachable: BTreeSet<Address>,
    pub(super) listed: Instant,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    pub(super) entries: BTreeMap<Address, Entry>,
}

impl Roster {
    /// Adds a sentinel; `false` when it is there already, under this or another address.
    pub(super) fn add(
        &mut self,
        address: &Address,
        run_id: Option<&str>,
        seed: bool,
        now: Instant,
    ) -> bool {
        let known = self.entries.iter_mut().find(|(own, entry)| {
            *own == address
                || entry.peers.contains(address)
                || (run_id.is_some() && entry.run_id.as_deref() == run_id)
        });
        if let Some((_, entry)) = known {
            entry.listed = now;
            if entry.run_id.is_none() {
                entry.run_id = run_id.map(str::to_owned);
            }
            return false;
        }
        let entry = Entry {
            seed,
            run_id: run_id.map(str::to_owned),
            peers: BTreeSet::new(),
            link: SentinelLink::Dialling,
            answer: None,
            services: None,
            unreachable: BTreeSet::new(),
            listed: now,
        };
        self.entries.insert(address.clone(), entry);
        true
    }

    pub(super) fn get_mut(&mut self, sentinel: &Address) -> Option<&mut Entry> {
        self.entries.get_mut(sentinel)
    }

    /// The sentinels whose link stands.
    pub(super) fn up(&self) -> impl Iterator<Item = &Address> {
        self.entries.iter().filter(|(_, entry)| entry.link.is_up()).map(|(address, _)| address)
    }

    /// Everybody who counts, once each, and what they claim. Who does not monitor the service does
    /// not count.
    pub(super) fn electorate(&self) -> Electorate {
        let mut people: Vec<Vec<(&Address, &Entry)>> = Vec::new();
        for (address, entry) in &self.entries {
            let same = people.iter_mut().find(|person| {
                person.iter().any(|(other, known)| same(address, entry, other, known))
            });
            match same {
                Some(person) => person.push((address, entry)),
                None => people.push(vec![(address, entry)]),
            }
        }
        let mut electorate = Electorate::default();
        for person in people {
            let answer = person.iter().filter_map(|(_, entry)| entry.answer.as_ref());
            match answer.max_by_key(|(_, at)| *at) {
                Some((Answer::Unknown, _)) => continue,
                Some((Answer::Names(view), at)) => electorate.claims.push(Claim {
                    sentinel: person[0].0.clone(),
                    address: view.address.clone(),
                    epoch: view.epoch,
                    at: *at,
                }),
                Some(_) => {}
                None if person.iter().any(|(_, entry)| entry.is_pending()) => {
                    electorate.pending += 1;
                }
                None => {}
            }
            electorate.known += 1;
        }
        electorate
    }

    /// The views of those that are up, the latest first.
    pub(super) fn views(&self) -> Vec<&View> {
        let mut views: Vec<(&View, Instant)> = self
            .entries
            .values()
            .filter_map(|entry| match &entry.answer {
                Some((Answer::Names(view), at)) => Some((&**view, *at)),
                _ => None,
            })
            .collect();
        views.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        views.into_iter().map(|(view, _)| view).collect()
    }

    /// How many sentinels cannot reach a node.
    pub(super) fn down_for(&self, node: &Address) -> usize {
        self.entries.values().filter(|entry| entry.unreachable.contains(node)).count()
    }

    pub(super) fn statuses(&self) -> Vec<SentinelStatus> {
        let status = |(address, entry): (&Address, &Entry)| {
            let view = match &entry.answer {
                Some((Answer::Names(view), _)) => Some(view),
                _ => None,
            };
            SentinelStatus {
                address: address.clone(),
                run_id: entry.run_id.clone(),
                configured: entry.seed,
                link: entry.link.clone(),
                names: view.map(|view| view.address.clone()),
                epoch: view.and_then(|view| view.epoch),
                answered: entry.answer.as_ref().map(|(_, at)| *at),
            }
        };
        self.entries.iter().map(status).collect()
    }
}

impl Entry {
    pub(super) fn met(&mut self, run_id: Option<String>, peers: impl IntoIterator<Item = Address>) {
        if run_id.is_some() {
            self.run_id = run_id;
        }
        self.peers.extend(peers);
    }

    /// Neither answered nor failed.
    fn is_pending(&self) -> bool {
        self.answer.is_none() && !matches!(self.link, SentinelLink::Down(_))
    }
}

/// Do two entries stand for one sentinel? Run ids tell; without both, a shared address does.
fn same(address: &Address, entry: &Entry, other: &Address, known: &Entry) -> bool {
    match (&entry.run_id, &known.run_id) {
        (Some(one), Some(two)) => one == two,
        _ => {
            entry.peers.contains(other)
                || known.peers.contains(address)
                || entry.peers.intersection(&known.peers).next().is_some()
        }
    }
}
