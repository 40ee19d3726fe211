//! What messages lead to, and what is reported of what changed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use crate::{
    address::Address,
    event::{Event, Source},
};

use super::{
    Action, Answer,
    machine::Machine,
    message::{Happening, Instance, Kind, Malformed, Message},
    roster::{Change, Said, Sentinel},
};

/// The inputs of the lost nodes: the version of the lists, the master, and each sentinel that
/// reports them with the master that it cannot reach.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    version: u64,
    master: Option<Address>,
    speakers: Vec<(Address, Option<Address>)>,
}

impl Machine {
    /// A message is a hint: it makes us ask, and have a connection ready. It never switches.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        from: &Address,
        channel: &str,
        message: Result<Message, Malformed>,
        actions: &mut Vec<Action>,
    ) {
        let Some(sentinel) = self.roster.get_mut(from).filter(|sentinel| sentinel.speaks()) else {
            return;
        };
        match message {
            Ok(Message::Switch { to, .. }) => {
                self.ask_all(now);
                self.verify_early(now, &to, actions);
            }
            Ok(Message::About { instance, happening }) => {
                self.happened(now, from, &instance, happening, actions);
            }
            Ok(Message::Tilt(tilt)) => sentinel.tilt = tilt,
            Ok(_) => {}
            Err(malformed) => {
                sentinel.malformed += 1;
                // It may have been the one that mattered.
                sentinel.ask_soon(now);
                actions.push(Action::Report(Event::Malformed {
                    at: now,
                    source: Source::Sentinel(from.clone()),
                    channel: channel.to_owned(),
                    reason: malformed.0,
                }));
            }
        }
    }

    fn happened(
        &mut self,
        now: Instant,
        from: &Address,
        instance: &Instance,
        happening: Happening,
        actions: &mut Vec<Action>,
    ) {
        let source = Source::Sentinel(from.clone());
        let is_master = self
            .master
            .as_ref()
            .is_some_and(|master| self.same_node(&master.address, &instance.address));
        let is_left =
            self.left.as_ref().is_some_and(|left| self.same_node(left, &instance.address));
        self.roster.changed |= matches!(happening, Happening::Unreachable(_) | Happening::Down(_));
        let Some(sentinel) = self.roster.get_mut(from) else {
            return;
        };
        match happening {
            Happening::Unreachable(down) => {
                sentinel.sees(instance, down);
                if instance.kind == Kind::Master {
                    sentinel.ask_soon(now);
                }
            }
            Happening::Down(down) => {
                sentinel.sees(instance, down);
                self.ask_all(now);
            }
            Happening::Failover => {
                sentinel.failing_over = true;
                sentinel.ask_soon(now);
            }
            Happening::Selected => {
                sentinel.failing_over = true;
                sentinel.selected = Some((instance.address.clone(), now));
                sentinel.ask_soon(now);
            }
            Happening::Promoted => {
                sentinel.failing_over = true;
                sentinel.selected = Some((instance.address.clone(), now));
                self.ask_all(now);
                self.verify_early(now, &instance.address, actions);
            }
            Happening::FailoverEnd => {
                sentinel.failing_over = false;
                // It has promoted the one that it chose, and will name it when it is asked.
                if sentinel.view.as_ref().is_some_and(|view| !view.tells_choice()) {
                    sentinel.selected = None;
                }
                sentinel.ask_soon(now);
            }
            Happening::FailoverAbort(reason) => {
                sentinel.failing_over = false;
                sentinel.selected = None;
                self.abort = Some((from.clone(), reason));
                self.ask_all(now);
            }
            Happening::Role { master } => {
                self.ask_all(now);
                // Just after a switch the old master still says that it is one.
                if master && instance.kind == Kind::Replica && !is_master && !is_left {
                    self.verify_early(now, &instance.address, actions);
                }
            }
            Happening::Reboot => {
                if instance.kind == Kind::Sentinel {
                    return;
                }
                let node = instance.address.clone();
                actions.push(Action::Report(Event::NodeRestarted { at: now, source, node }));
                if is_master {
                    self.reported = self.reported.max(Some(now + self.rules.trouble_fades));
                    self.ask_all(now);
                } else {
                    sentinel.ask_soon(now);
                }
            }
            Happening::Sentinel => {
                sentinel.ask_soon(now);
                self.take_in(now, from, &instance.address, &instance.name, actions);
            }
            Happening::SentinelMoved { to } => {
                sentinel.ask_soon(now);
                let gone = instance.address.clone();
                if gone != to && self.roster.remove_discovered(&gone) {
                    self.changed(now, Change::Forgotten(gone), actions);
                }
                self.take_in(now, from, &to, &instance.name, actions);
            }
            Happening::ConfigUpdate | Happening::Replica => sentinel.ask_soon(now),
            Happening::Reconfigured => self.ask_all(now),
            Happening::Other => {}
        }
    }

    /// A message names a sentinel.
    fn take_in(
        &mut self,
        now: Instant,
        by: &Address,
        sentinel: &Address,
        run_id: &str,
        actions: &mut Vec<Action>,
    ) {
        let belongs = |own: &Sentinel| match &own.view {
            Some(view) => self.is_served(&view.address),
            None => true,
        };
        if self.master.is_some() && !self.roster.get(by).is_some_and(belongs) {
            return;
        }
        self.roster.pardon(sentinel);
        if self.roster.discover(sentinel, Some(run_id)) {
            let change = Change::Found { sentinel: sentinel.clone(), by: by.clone() };
            self.changed(now, change, actions);
        }
    }

    /// Whether this answer says that its sentinel no longer leads a failover and nothing came of it.
    pub(super) fn ends_failover(&self, now: Instant, from: &Address, answer: &Answer) -> bool {
        let (Answer::Names(view), Some(master)) = (answer, &self.master) else {
            return false;
        };
        let led = self.roster.get(from).is_some_and(|own| {
            own.failing_over && !own.has_chosen_since(own.asking.unwrap_or(now))
        });
        let ended = view.master.as_ref().is_some_and(|own| !own.flags.has("failover_in_progress"));
        led && ended && self.same_node(&view.address, &master.address)
    }

    /// Reports what changed.
    pub(super) fn observe(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.observe_service(now, actions);
        self.observe_failover(now, actions);
        self.observe_nodes(now, actions);
        self.observe_disagreement(now, actions);
    }

    fn observe_service(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let members = self.roster.members();
        let unknown = members.iter().filter(|own| own.said == Said::Unknown).count();
        let known = members.iter().find(|own| own.view.is_some()).map(|own| own.address.clone());
        match known {
            None if !self.removed && self.master.is_some() && unknown > members.len() / 2 => {
                self.removed = true;
                let source = Source::Factory;
                actions.push(Action::Report(Event::ServiceRemoved { at: now, source }));
            }
            Some(sentinel) if self.removed => {
                self.removed = false;
                let source = Source::Sentinel(sentinel);
                actions.push(Action::Report(Event::ServiceMonitored { at: now, source }));
            }
            _ => {}
        }
    }

    fn observe_failover(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let leader = self
            .roster
            .sentinels
            .iter()
            .find(|sentinel| sentinel.speaks() && sentinel.failing_over)
            .map(|sentinel| sentinel.address.clone());
        match (leader, self.failover) {
            (Some(leader), None) => {
                self.failover = Some(self.generation());
                self.abort = None;
                let source = Source::Sentinel(leader);
                actions.push(Action::Report(Event::FailoverStarted { at: now, source }));
            }
            (None, Some(generation)) => {
                self.failover = None;
                let ended = self.abort.take();
                if let Some((sentinel, reason)) = ended
                    && generation == self.generation()
                    && self.candidate.is_none()
                {
                    let source = Source::Sentinel(sentinel);
                    actions.push(Action::Report(Event::FailoverAborted {
                        at: now,
                        source,
                        reason,
                    }));
                }
            }
            _ => {}
        }
    }

    fn observe_nodes(&mut self, now: Instant, actions: &mut Vec<Action>) {
        // The lists are long where sentinels are never reset, and most inputs change nothing about them.
        let members = self.roster.members().into_iter().filter(|own| own.view.is_some());
        let basis = Seen {
            version: self.aliases.version,
            master: self.master.as_ref().map(|own| own.address.clone()),
            speakers: members.map(|own| (own.address.clone(), own.master_down.clone())).collect(),
        };
        if self.seen.as_ref() == Some(&basis) {
            return;
        }
        self.seen = Some(basis);
        // For each node: how many sentinels list it, and how many of those cannot reach it.
        let mut seen: Vec<(&Address, usize, usize)> = Vec::new();
        // Where each one is in that list, by the addresses under which it was seen.
        let mut places: HashMap<&Address, usize> = HashMap::new();
        for sentinel in self.roster.members().into_iter().filter(|own| own.view.is_some()) {
            let down = |master: &Address| {
                sentinel.master_down.as_ref().is_some_and(|down| self.same_node(down, master))
            };
            let master = self.master.as_ref().map(|own| (&own.address, down(&own.address)));
            let replicas = sentinel.replicas.iter();
            let replicas = replicas.map(|own| (&own.address, own.flags.has("s_down")));
            let mut listed: HashSet<usize> = HashSet::new();
            for (address, down) in master.into_iter().chain(replicas) {
                let known = self.known_as(address, |own| places.contains_key(own));
                let index = known.map(|known| places[known]).unwrap_or_else(|| {
                    seen.push((address, 0, 0));
                    seen.len() - 1
                });
                places.insert(address, index);
                if listed.insert(index) {
                    let (_, listed, unreachable) = &mut seen[index];
                    *listed += 1;
                    *unreachable += usize::from(down);
                }
            }
        }
        let seen: Vec<(Address, usize, usize)> = seen
            .into_iter()
            .map(|(node, listed, unreachable)| (node.clone(), listed, unreachable))
            .collect();
        for (node, listed, unreachable) in seen {
            let down = unreachable * 2 > listed;
            let source = Source::Factory;
            if down && self.down.insert(node.clone()) {
                actions.push(Action::Report(Event::NodeDown { at: now, source, node }));
            } else if !down && self.down.remove(&node) {
                actions.push(Action::Report(Event::NodeUp { at: now, source, node }));
            }
        }
    }

    fn observe_disagreement(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let electorate = self.electorate();
        let addresses = electorate.addresses();
        if addresses.len() < 2 {
            self.disagreeing = None;
            return;
        }
        let (since, told) = *self.disagreeing.get_or_insert((now, false));
        if told || now < since + self.rules.lower_epoch_patience {
            return;
        }
        self.disagreeing = Some((since, true));
        let named = addresses.into_iter().map(|one| (one.clone(), electorate.count(one))).collect();
        let source = Source::Factory;
        actions.push(Action::Report(Event::Disagreement { at: now, source, named }));
    }
}

impl Sentinel {
    /// It cannot reach this instance, or can again.
    fn sees(&mut self, instance: &Instance, down: bool) {
        match instance.kind {
            Kind::Master => self.master_down = down.then(|| instance.address.clone()),
            Kind::Replica => {
                for replica in Arc::make_mut(&mut self.replicas) {
                    if replica.address == instance.address {
                        replica.flags.set("s_down", down);
                    }
                }
            }
            Kind::Sentinel => {
                for other in &mut self.others {
                    if other.address == instance.address {
                        other.flags.set("s_down", down);
                    }
                }
            }
        }
    }
}
