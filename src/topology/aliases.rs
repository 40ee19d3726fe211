//! Which addresses stand for one node, found without comparing each with each.
//!
//! In a cluster whose sentinels are never reset, hundreds of replicas may be listed that have long been
//! gone. So the run ids that sentinels list are kept by address, and the addresses by run id and by
//! place, until a sentinel lists something else.

use std::{collections::HashMap, sync::Arc};

use crate::address::Address;

use super::{answer::ReplicaFields, machine::Machine, roster::Sentinel};

/// The run ids of the listed nodes, and the addresses that may stand for one node.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// The run ids that sentinels list for an address.
    listed: HashMap<Address, Vec<String>>,
    /// The other addresses that may stand for the node at an address; absent where there is none.
    others: HashMap<Address, Vec<Address>>,
    /// The number of times that they were collected.
    pub(super) version: u64,
}

impl Aliases {
    /// The run ids that sentinels list for this address.
    pub(super) fn ids(&self, address: &Address) -> &[String] {
        self.listed.get(address).map_or(&[], Vec::as_slice)
    }
}

/// The nodes that a sentinel listed at some time.
pub(super) struct Listing {
    master: Option<(Address, Option<String>)>,
    replicas: Arc<[ReplicaFields]>,
}

impl Machine {
    /// Collects what the sentinels list, after it changed.
    pub(super) fn collect_aliases(&mut self) {
        if !std::mem::take(&mut self.roster.changed) {
            return;
        }
        let mut listed: HashMap<Address, Vec<String>> = HashMap::new();
        for sentinel in self.roster.sentinels.iter().filter(|own| own.speaks()) {
            for (address, id) in sentinel.listed_nodes() {
                let ids = listed.entry(address.clone()).or_default();
                if let Some(id) = id
                    && !ids.contains(id)
                {
                    ids.push(id.clone());
                }
            }
        }
        // Addresses that share a run id or a place may be one node; the comparison of the two decides.
        let mut by_id: HashMap<&str, Vec<&Address>> = HashMap::new();
        let mut by_place: HashMap<&Address, Vec<&Address>> = HashMap::new();
        let kept = self.roster.sentinels.iter().flat_map(|own| own.replicas.iter());
        let kept = kept.map(|own| &own.address).filter(|own| !listed.contains_key(own));
        let told = self.run_ids.keys().filter(|own| !listed.contains_key(own));
        let master = self.master.as_ref().map(|own| &own.address);
        let linked = self.nodes.watched.keys().chain(master).chain(&self.left);
        let linked = linked.filter(|own| !listed.contains_key(own));
        for address in listed.keys().chain(told).chain(kept).chain(linked) {
            let own = self.run_ids.get(address).into_iter();
            for id in own.chain(listed.get(address).into_iter().flatten()) {
                by_id.entry(id).or_default().push(address);
            }
            for place in self.roster.stands_for(address) {
                by_place.entry(place).or_default().push(address);
            }
        }
        let mut others: HashMap<Address, Vec<Address>> = HashMap::new();
        for group in by_id.into_values().chain(by_place.into_values()) {
            for one in &group {
                for other in group.iter().filter(|other| *other != one) {
                    let known = others.entry((*one).clone()).or_default();
                    if !known.contains(other) {
                        known.push((*other).clone());
                    }
                }
            }
        }
        let version = self.aliases.version + 1;
        self.aliases = Aliases { listed, others, version };
    }

    /// The first of these addresses that stands for this node: the address itself, or another one.
    pub(super) fn known_as<'a>(
        &'a self,
        address: &'a Address,
        is_known: impl Fn(&Address) -> bool,
    ) -> Option<&'a Address> {
        let others = self.aliases.others.get(address).into_iter().flatten();
        let same = others.filter(|other| is_known(other) && self.same_node(other, address));
        std::iter::once(address).filter(|own| is_known(own)).chain(same).next()
    }
}

impl Sentinel {
    /// Returns the lists of now, for [`Sentinel::lists_as`].
    pub(super) fn listing(&self) -> Listing {
        let master = self.view.as_ref().and_then(|view| view.master.as_ref());
        Listing {
            master: master.map(|own| (own.address.clone(), own.run_id.clone())),
            replicas: Arc::clone(&self.replicas),
        }
    }

    /// Returns true when it lists the same nodes as then, with the same run ids, and the same ones as
    /// lost.
    pub(super) fn lists_as(&self, then: &Listing) -> bool {
        let now = self.listing();
        let same = |one: &ReplicaFields, other: &ReplicaFields| {
            let lost = |own: &ReplicaFields| (own.is_reached(), own.flags.has("s_down"));
            one.address == other.address && one.run_id == other.run_id && lost(one) == lost(other)
        };
        let pairs = || now.replicas.iter().zip(then.replicas.iter());
        now.master == then.master
            && (Arc::ptr_eq(&now.replicas, &then.replicas)
                || (now.replicas.len() == then.replicas.len() && pairs().all(|(a, b)| same(a, b))))
    }

    /// The nodes that it lists, with their run ids: the master that it names, and the replicas.
    fn listed_nodes(&self) -> impl Iterator<Item = (&Address, Option<&String>)> {
        let master = self.view.as_ref().and_then(|view| view.master.as_ref());
        let master = master.map(|own| (&own.address, own.run_id.as_ref()));
        let replicas = self.replicas.iter().map(|own| (&own.address, own.run_id.as_ref()));
        master.into_iter().chain(replicas)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::{
        Action, Machine, Pace, Rules, SwitchOn,
        shorthand::{address, inputs},
    };

    /// Three sentinels that list 195 replicas that are gone, and after them five that live.
    fn listing(sentinel: u32, flags: &str, chosen: &str) -> String {
        let gone = (0..195).map(|number| {
            format!("10.1.0.{number}:6379(id=g{number};s_down;disconnected;link=err)")
        });
        let live = (2..7).map(|number| {
            let flags = if format!("n{number}") == chosen { ";promoted" } else { "" };
            format!("n{number}(id=r{number}{flags})")
        });
        let replicas: Vec<String> = gone.chain(live).collect();
        let others = (1..4).filter(|other| *other != sentinel);
        let others: Vec<String> =
            others.map(|other| format!("s{other}(id=id{other};vote=id1@2)")).collect();
        format!(
            "answer s{sentinel}: n1@1 id=r1 {flags} replicas={} sentinels={}",
            replicas.join(","),
            others.join(",")
        )
    }

    fn feed(machine: &mut Machine, now: Instant, lines: &[&str]) -> Vec<Action> {
        let lines = lines.iter().flat_map(|line| inputs(line));
        lines.flat_map(|input| machine.handle(now, input)).collect()
    }

    #[test]
    fn those_that_live_and_the_chosen_one_are_linked_among_hundreds_that_are_gone() {
        let mut machine = Machine::new(Rules::new("mymaster", SwitchOn::Promotion));
        let start = Instant::now();
        let mut actions = feed(&mut machine, start, &["start s1 s2 s3", "up s1 s2 s3"]);
        for sentinel in 1..4 {
            actions.extend(feed(&mut machine, start, &[&listing(sentinel, "", "")]));
        }
        let master = ["verified n1: master id=r1 replid=h1", "node n1: master id=r1 replid=h1"];
        actions.extend(feed(&mut machine, start, &master));
        let watched = |actions: &[Action], name: &str| {
            let node = address(name);
            actions.iter().any(|own| matches!(own, Action::Watch { node: own, .. } if *own == node))
        };
        for name in ["n1", "n2", "n3", "n4", "n5", "n6"] {
            assert!(watched(&actions, name), "{name}");
        }
        let links = actions.iter().filter(|own| matches!(own, Action::Watch { .. })).count();
        assert_eq!(links, 64, "the links are bounded");

        let later = start + Duration::from_secs(20);
        let leads = "flags=s_down;o_down;failover_in_progress state=wait_promotion";
        let replica = "node n4: replica of=n1 id=r4 replid=h1";
        let follows = "flags=s_down";
        let others = [listing(2, follows, ""), listing(3, follows, "")];
        let chosen = [replica, &listing(1, leads, "n4"), &others[0], &others[1]];
        let actions = feed(&mut machine, later, &chosen);
        let close = Action::Watch { node: address("n4"), pace: Pace::Close };
        assert!(actions.contains(&close), "{actions:?}");
        assert!(!actions.iter().any(|own| matches!(own, Action::Unwatch { .. })), "{actions:?}");
        let promoted = [
            "node n4: gone",
            "verified n4: master id=r4 replid=h4 former=h1",
            &listing(1, leads, "n4"),
            &others[0],
            &others[1],
        ];
        let actions = feed(&mut machine, later + Duration::from_millis(1), &promoted);
        let to = address("n4");
        assert!(
            actions.iter().any(|own| matches!(own, Action::Switch { to: own, .. } if *own == to)),
            "{actions:?}"
        );
    }
}
