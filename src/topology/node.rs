//! What the nodes say of themselves, over the promotion links: facts, lineage and quarantine.

use std::{
    collections::{BTreeMap, HashSet},
    time::Instant,
};

use crate::{
    address::Address,
    event::{Event, Source},
    policy::SwitchOn,
};

use super::{
    Action, Identity, Origin, Pace, Report, Standing, evidence::Lack, machine::Machine,
    poll::ASK_ALL_GAP,
};

/// More nodes than this are not watched, whatever the sentinels list.
const MOST: usize = 64;

/// A node that a link is kept to.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// How often its ROLE is asked.
    pace: Pace,
    /// What it said last.
    identity: Option<Identity>,
    /// When its link ended, while it has not spoken since. A promotion cuts every connection.
    gone: Option<Instant>,
    /// Since when it has been a master, though it is not the one that is served.
    pub(super) fact: Option<Instant>,
    /// It became a master without its connections being cut.
    pub(super) quiet: bool,
    /// The sentinels were asked when its link ended, and not again since it has said that it is a
    /// master: those answers may be enough.
    unasked: bool,
    /// What the proof that it is the one to follow lacks, as it was reported.
    lack: Option<Lack>,
}

/// A master that was replaced.
#[derive(Clone, Debug)]
struct Replaced {
    at: Instant,
    /// The run id that it had.
    run_id: Option<String>,
}

/// The nodes that are watched, and what follows from what they said.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) watched: BTreeMap<Address, Node>,
    /// Masters that were replaced and have not been seen as replicas since. One sentinel's word does
    /// not lead back to them.
    quarantine: BTreeMap<Address, Replaced>,
    /// The replication id of the master that is served, and of the last one that the sentinels
    /// have confirmed. A replica that is promoted carries on one of them: after a switch that
    /// nobody confirms, the next one may descend from the master before.
    served: Option<String>,
    confirmed: Option<String>,
    /// The nodes that are watched, in the order of the lists, and what that goes by.
    wanted: Vec<Address>,
    basis: (u64, Vec<Address>),
    /// When a fact or the end of a link last made us ask all sentinels.
    pulled: Option<Instant>,
}

impl Nodes {
    /// Whether a promoted node that tells its history continues that of the master.
    fn descends(&self, origin: &Origin) -> Option<bool> {
        let former = origin.former.as_ref()?;
        let known = [&self.served, &self.confirmed];
        if known.iter().all(|id| id.is_none()) {
            return None;
        }
        Some(known.into_iter().flatten().any(|id| id == former))
    }

    /// The histories that are served, and the quarantine: what a machine that is rebuilt keeps.
    pub(super) fn kept(&self) -> Nodes {
        Nodes {
            quarantine: self.quarantine.clone(),
            served: self.served.clone(),
            confirmed: self.confirmed.clone(),
            ..Nodes::default()
        }
    }

    /// Returns true when a master has the history of the served master, or continues it; `None` when
    /// either does not report its history.
    pub(super) fn continues(&self, origin: &Origin) -> Option<bool> {
        let known: Vec<&String> = [&self.served, &self.confirmed].into_iter().flatten().collect();
        let replid = origin.replid.as_ref().filter(|_| !known.is_empty())?;
        let told = [Some(replid), origin.former.as_ref()];
        Some(told.into_iter().flatten().any(|told| known.contains(&told)))
    }

    /// The sentinels confirm the master that is served.
    pub(super) fn confirm(&mut self) {
        self.confirmed.clone_from(&self.served);
    }

    /// Another master is served.
    pub(super) fn serve(&mut self, origin: &Origin, confirmed: bool) {
        if confirmed || self.confirmed.is_none() {
            self.confirmed.clone_from(&origin.replid);
        }
        self.served.clone_from(&origin.replid);
    }

    /// What a node tells of itself when it is verified.
    pub(super) fn identify(&mut self, address: &Address, identity: Identity) {
        if let Some(node) = self.watched.get_mut(address) {
            node.identity = Some(identity);
        }
    }

    pub(super) fn quarantined(&self) -> impl Iterator<Item = &Address> {
        self.quarantine.keys()
    }

    /// What a node said last that it is, while the link to it stands.
    pub(super) fn standing(&self, address: &Address) -> Option<&Standing> {
        let node = self.watched.get(address).filter(|node| node.gone.is_none())?;
        node.identity.as_ref().map(|identity| &identity.standing)
    }

    /// Whether a node said last that it copies the history that the master writes.
    pub(super) fn copies_served(&self, address: &Address) -> bool {
        let own = self.watched.get(address).and_then(|node| node.identity.as_ref());
        let replid = own.and_then(|own| own.origin.replid.as_ref());
        replid.is_some() && replid == self.served.as_ref()
    }

    /// Whether the link to this node ended, and does not stand again.
    pub(super) fn is_away(&self, is_it: impl Fn(&Address) -> bool) -> bool {
        self.watched.iter().any(|(address, node)| node.gone.is_some() && is_it(address))
    }
}

impl Machine {
    /// A promotion link brought something.
    pub(super) fn reported(
        &mut self,
        now: Instant,
        address: &Address,
        report: Report,
        actions: &mut Vec<Action>,
    ) {
        if !self.nodes.watched.contains_key(address) {
            return;
        }
        match report {
            Report::Says(identity) => {
                self.recognise(address, identity.origin.run_id.as_ref());
                self.says(now, address, identity, actions);
            }
            Report::Progress(progress) => self.progressed(now, address, progress),
            Report::Gone => {
                self.lost_sight(address);
                self.is_gone(now, address, actions);
            }
        }
    }

    /// The end of a link is what a promotion looks like, and many other things: ask at once, and
    /// dial at once, so that the answers are there together.
    fn is_gone(&mut self, now: Instant, address: &Address, actions: &mut Vec<Action>) {
        let Some(node) = self.nodes.watched.get_mut(address) else { return };
        node.gone = Some(now);
        if self.is_served(address) {
            // A server ends its connections one after another, and answers nobody meanwhile. So
            // they are all known to be cut when it speaks again.
            if let Some((from, _)) = &mut self.holding.cut {
                *from = now.min(*from);
            }
            self.reported = self.reported.max(Some(now + self.rules.trouble_fades));
            self.ask_all(now);
            return;
        }
        self.pull(now);
        self.verify_early(now, address, actions);
    }

    /// A node told its role: over its promotion link, or when it was verified.
    pub(super) fn says(
        &mut self,
        now: Instant,
        address: &Address,
        identity: Identity,
        actions: &mut Vec<Action>,
    ) {
        self.remember_run_id(address, identity.origin.run_id.as_ref());
        if identity.standing != Standing::Master {
            self.proofs.remove(address);
        }
        let served = self.is_served(address);
        let quarantined = self.nodes.quarantine.contains_key(address);
        self.learn(address, &identity, served);
        let Some(node) = self.nodes.watched.get_mut(address) else { return };
        let gone = node.gone.take();
        let changed = node.identity.as_ref().is_none_or(|last| {
            std::mem::discriminant(&last.standing) != std::mem::discriminant(&identity.standing)
        });
        let was_replica = node
            .identity
            .as_ref()
            .is_some_and(|last| matches!(last.standing, Standing::Replica { .. }));
        let standing = identity.standing.clone();
        node.identity = Some(identity);
        if served && gone.is_some() {
            self.holding.cut = None;
        }
        match standing {
            Standing::Master if served || quarantined => node.fact = None,
            Standing::Master if node.fact.is_none() => {
                // Answers of long before it spoke again say nothing of its promotion.
                let recent = gone.filter(|gone| now < *gone + self.rules.pull_for);
                node.fact = Some(recent.unwrap_or(now));
                node.quiet = gone.is_none() && was_replica;
                node.lack = None;
                node.unasked = recent.is_some() && self.rules.switch_on == SwitchOn::Promotion;
                let asked_then = node.unasked;
                let node = address.clone();
                let source = Source::Node(node.clone());
                actions.push(Action::Report(Event::Promoted { at: now, source, node }));
                if !asked_then {
                    self.pull(now);
                }
            }
            Standing::Master => {}
            Standing::Replica { .. } => {
                node.fact = None;
                if served && changed {
                    self.reported = self.reported.max(Some(now + self.rules.trouble_fades));
                    self.ask_all(now);
                }
            }
        }
    }

    /// Takes from what a node says whom the others replicate, and who may leave quarantine.
    fn learn(&mut self, address: &Address, identity: &Identity, served: bool) {
        let origin = &identity.origin;
        match &identity.standing {
            Standing::Master if served && origin.replid.is_some() => {
                self.nodes.served.clone_from(&origin.replid);
            }
            Standing::Master => return,
            Standing::Replica { of, linked } => {
                let of_ours = of.as_ref().is_some_and(|of| self.is_served(of));
                if of_ours && *linked && origin.replid.is_some() {
                    self.nodes.served.clone_from(&origin.replid);
                }
                let another = |known: &Replaced| {
                    let known = &known.run_id;
                    known.is_some() && origin.run_id.is_some() && *known != origin.run_id
                };
                if of_ours || self.nodes.quarantine.get(address).is_some_and(another) {
                    self.nodes.quarantine.remove(address);
                }
            }
        }
        if self.doubt.unconfirmed.is_none() {
            self.nodes.confirm();
        }
    }

    pub(crate) fn is_served(&self, address: &Address) -> bool {
        self.master.as_ref().is_some_and(|master| self.same_node(&master.address, address))
    }

    /// The master that was replaced is not believed again before it has been a replica.
    pub(super) fn quarantine(&mut self, at: Instant, address: Address, run_id: Option<String>) {
        // By the name that its link has, which is what it is looked up by.
        let watched = self.nodes.watched.keys().find(|own| self.same_node(own, &address)).cloned();
        self.nodes.quarantine.insert(watched.unwrap_or(address), Replaced { at, run_id });
    }

    /// It is served again.
    pub(super) fn release(&mut self, address: &Address) {
        let quarantine = std::mem::take(&mut self.nodes.quarantine);
        self.nodes.quarantine =
            quarantine.into_iter().filter(|(own, _)| !self.same_node(own, address)).collect();
    }

    /// What is known of a node that says that it is a master: since when, and whether it descends
    /// from the master that is served.
    pub(super) fn facts(&self) -> Vec<(Address, Instant, Option<bool>)> {
        let nodes = self.nodes.watched.iter();
        nodes
            .filter_map(|(address, node)| {
                let origin = &node.identity.as_ref()?.origin;
                Some((address.clone(), node.fact?, self.nodes.descends(origin)))
            })
            .filter(|(address, ..)| {
                !self.is_served(address) && !self.nodes.quarantine.contains_key(address)
            })
            .collect()
    }

    /// A promotion is not proven by what the sentinels answered since the link to the node ended: asks
    /// again, now that it speaks. Most are proven by the first answers, which spares up to half of the
    /// questions where hundreds of services fail over at once.
    pub(super) fn ask_since_it_spoke(&mut self, now: Instant, address: &Address, lack: Lack) {
        let Some(node) = self.nodes.watched.get_mut(address) else { return };
        if lack != Lack::Answer && std::mem::take(&mut node.unasked) {
            self.pull(now);
        }
    }

    /// Reports why a promotion is not followed before the sentinels name it, once it is clear.
    pub(super) fn not_proven(
        &mut self,
        now: Instant,
        address: &Address,
        lack: Lack,
        actions: &mut Vec<Action>,
    ) {
        let Some(node) = self.nodes.watched.get_mut(address) else { return };
        let clear = node.fact.is_some_and(|at| now >= at + self.rules.pull_patience);
        if clear && lack != Lack::Answer && node.lack.replace(lack) != Some(lack) {
            actions.push(Action::Report(Event::NotProven {
                at: now,
                source: Source::Factory,
                node: address.clone(),
                reason: lack.as_str(),
            }));
        }
    }

    /// Returns the inputs of [`Machine::wanted_nodes`]: the version of the lists, and the other inputs themselves.
    fn basis(&self, now: Instant) -> (u64, Vec<Address>) {
        let lately = |(address, replaced): (_, &Replaced)| {
            (now < replaced.at + self.rules.forget_after).then_some(address)
        };
        let master = self.master.iter().map(|own| &own.address).chain(&self.left);
        let chosen = self.roster.sentinels.iter().filter_map(|own| own.chosen());
        let rest = master.chain(self.nodes.quarantine.iter().filter_map(lately)).chain(chosen);
        (self.aliases.version, rest.cloned().collect())
    }

    /// The nodes to keep links to, under the names that their links have: the master, those that the
    /// sentinels list, and the masters before. Where these are too many, the ones that may be promoted or
    /// were masters come first, then those that a sentinel reaches.
    fn wanted_nodes(&self, now: Instant) -> Option<Vec<Address>> {
        let master = &self.master.as_ref()?.address;
        let listed = || self.roster.sentinels.iter().flat_map(|own| own.replicas.iter());
        // Whoever left stays until it is known again. After a while nobody expects that any more,
        // unless it was the last one.
        let lately = |(address, replaced): (_, &Replaced)| {
            (now < replaced.at + self.rules.forget_after).then_some(address)
        };
        let left = || self.nodes.quarantine.iter().filter_map(lately).chain(&self.left);
        let candidates = std::iter::once(master).chain(listed().map(|own| &own.address));
        let mut looked_at: HashSet<&Address> = HashSet::new();
        let mut seen: HashSet<&Address> = HashSet::new();
        let mut wanted: Vec<&Address> = Vec::new();
        for address in candidates.chain(left()).filter(|address| looked_at.insert(*address)) {
            let name = self.known_as(address, |own| self.nodes.watched.contains_key(own));
            let name = name.unwrap_or(address);
            if self.known_as(name, |own| seen.contains(own)).is_none() {
                seen.insert(name);
                wanted.push(name);
            }
        }
        if wanted.len() > MOST {
            let reached = listed().filter(|own| own.is_reached());
            let reached: HashSet<&Address> = reached.map(|own| &own.address).collect();
            let chosen = self.roster.sentinels.iter().filter_map(|own| own.chosen());
            let first: Vec<&Address> = chosen.chain(left()).collect();
            wanted.sort_by_key(|own| {
                let is_first = || first.iter().any(|first| self.same_node(first, own));
                let is_reached = || self.known_as(own, |own| reached.contains(own)).is_some();
                match () {
                    () if *own == master || self.is_served(own) => 0,
                    () if is_first() => 1,
                    () if is_reached() => 2,
                    () if self.nodes.watched.contains_key(*own) => 3,
                    () => 4,
                }
            });
            wanted.truncate(MOST);
        }
        Some(wanted.into_iter().cloned().collect())
    }

    /// Keeps a link to every node that the sentinels list, and looks closely at one that is chosen.
    pub(super) fn watch_nodes(&mut self, now: Instant, actions: &mut Vec<Action>) {
        // The lists are long where sentinels are never reset, and most inputs change nothing about them.
        let basis = self.basis(now);
        if self.nodes.basis != basis || self.nodes.wanted.is_empty() {
            let Some(wanted) = self.wanted_nodes(now) else { return };
            (self.nodes.basis, self.nodes.wanted) = (basis, wanted);
        }
        let wanted = self.nodes.wanted.clone();
        let kept: HashSet<&Address> = wanted.iter().collect();
        self.nodes.watched.retain(|address, _| {
            let keep = kept.contains(address);
            if !keep {
                actions.push(Action::Unwatch { node: address.clone() });
            }
            keep
        });
        self.nodes.quarantine.retain(|address, _| kept.contains(address));
        // A replica that said lately that it is one was not promoted before that: so what may be lost
        // with the master is known more closely.
        let troubled = self.is_reported(now) || self.master_is_down();
        let chosen: Vec<Address> =
            self.roster.sentinels.iter().filter_map(|own| own.chosen().cloned()).collect();
        for address in wanted {
            let known = self.nodes.watched.get(&address);
            let odd = self.nodes.quarantine.contains_key(&address)
                || known.is_some_and(|node| node.fact.is_some());
            let pace = if self.is_served(&address) {
                Pace::Calm
            } else if chosen.iter().any(|chosen| self.same_node(chosen, &address)) {
                Pace::Close
            } else if odd || troubled {
                Pace::Brisk
            } else {
                Pace::Calm
            };
            if known.map(|node| node.pace) != Some(pace) {
                self.nodes.watched.entry(address.clone()).or_default().pace = pace;
                actions.push(Action::Watch { node: address, pace });
            }
        }
    }

    /// Asks every sentinel now, though it may just have been asked: what counts is what it says
    /// after the fact.
    fn pull(&mut self, now: Instant) {
        if self.nodes.pulled.is_some_and(|last| now < last + ASK_ALL_GAP) {
            self.ask_all(now);
            return;
        }
        self.nodes.pulled = Some(now);
        for sentinel in &mut self.roster.sentinels {
            sentinel.ask_now(now);
        }
    }

    /// Asks again for as long as a fact is not judged and somebody leads a failover.
    pub(super) fn pull_again(&mut self, now: Instant) {
        if self.next_pull().is_some_and(|next| now >= next) {
            self.nodes.pulled = Some(now);
            self.ask_all(now);
        }
    }

    pub(super) fn next_pull(&self) -> Option<Instant> {
        let leads = self.roster.sentinels.iter().any(|own| own.speaks() && own.failing_over);
        let recent =
            |at: &Instant| self.last.is_some_and(|now| now < *at + self.rules.pull_for) && leads;
        self.facts().iter().map(|(_, at, _)| at).find(|at| recent(at))?;
        self.nodes.pulled.map(|last| last + self.rules.pull_pause)
    }

    /// When facts that wait for a late answer are judged without it.
    pub(super) fn patience_ends(&self, now: Instant) -> Option<Instant> {
        let ends = |(_, at, _): (_, Instant, _)| at + self.rules.pull_patience;
        self.facts().into_iter().map(ends).filter(|ends| *ends > now).min()
    }
}
