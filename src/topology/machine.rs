//! The life of one service: find its master, serve it, follow it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    Action, Hearing, Input, Rules, Topology, Trouble, Verification,
    agreement::{Acceptance, Deliberation, Electorate, Held},
    answer::{Answer, View},
    message::{Happening, Instance, Kind, Message},
    roster::Roster,
    snapshot::{Agreement, NodeRole, NodeStatus, SentinelLink},
};
use crate::{
    address::Address,
    error::{Error, ErrorKind},
    event::{Event, Source},
};

/// An address that verified less than this long ago need not be verified again.
const VERIFIED_FOR: Duration = Duration::from_secs(1);
/// After an answer that was in the midst of changing, ask again this soon.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// A failover that was heard of counts as under way for this long without further word.
const FAILOVER_FADES: Duration = Duration::from_secs(30);
/// Sentinels that disagree for this long are reported.
const DISAGREEMENT_PATIENCE: Duration = Duration::from_secs(3);

/// The state machine of one service. See the module's front page.
pub(crate) struct Machine {
    rules: Rules,
    roster: Roster,
    deliberation: Deliberation,
    serving: Option<Serving>,
    /// The master before.
    left: Option<Address>,
    pursuit: Option<Pursuit>,
    /// Verifications that are under way.
    verifying: BTreeSet<Address>,
    /// Addresses that verified, when, and with which run id.
    verified: BTreeMap<Address, (Instant, Option<String>)>,
    /// Why an address did not verify.
    refused: BTreeMap<Address, String>,
    replicas: Vec<NodeStatus>,
    reported_down: BTreeSet<Address>,
    trouble_until: Option<Instant>,
    failover_until: Option<Instant>,
    wrong_since: Option<Instant>,
    disagreeing: Option<(Instant, bool)>,
    removed: bool,
    next_poll: Option<Instant>,
    malformed: u64,
}

/// The master that is served.
#[derive(Clone, Debug)]
struct Serving {
    address: Address,
    epoch: Option<u64>,
    generation: u64,
}

/// The address that is to be served as soon as it verifies.
#[derive(Clone, Debug)]
struct Pursuit {
    acceptance: Acceptance,
    retry_at: Option<Instant>,
    pause: Duration,
    reason: Option<String>,
}

impl Machine {
    pub(crate) fn new(rules: Rules) -> Machine {
        Machine {
            rules,
            roster: Roster::default(),
            deliberation: Deliberation::default(),
            serving: None,
            left: None,
            pursuit: None,
            verifying: BTreeSet::new(),
            verified: BTreeMap::new(),
            refused: BTreeMap::new(),
            replicas: Vec::new(),
            reported_down: BTreeSet::new(),
            trouble_until: None,
            failover_until: None,
            wrong_since: None,
            disagreeing: None,
            removed: false,
            next_poll: None,
            malformed: 0,
        }
    }

    /// Takes what happened at `now` and says what is to be done, in this order.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Start { seeds } => {
                for seed in seeds {
                    if self.roster.add(&seed, None, true, now) {
                        actions.push(Action::Link { sentinel: seed });
                    }
                }
            }
            Input::Tick => {}
            Input::Refresh => self.ask_all(now, &mut actions),
            Input::SentinelUp { sentinel, run_id, peer, hearing } => {
                self.sentinel_up(now, sentinel, run_id, peer, hearing, &mut actions);
            }
            Input::SentinelDown { sentinel, reason } => {
                self.sentinel_down(now, &sentinel, reason, &mut actions);
            }
            Input::Resolved { address, to } => {
                if let Some(entry) = self.roster.get_mut(&address) {
                    entry.met(None, to);
                }
            }
            Input::Message { sentinel, channel, payload } => {
                self.heard(now, sentinel, &channel, &payload, &mut actions);
            }
            Input::Answer { sentinel, answer } => {
                self.answered(now, sentinel, answer, &mut actions);
            }
            Input::Services { sentinel, names } => {
                if let Some(entry) = self.roster.get_mut(&sentinel) {
                    entry.services = Some(names);
                }
            }
            Input::Verified { address, verification } => {
                self.was_verified(now, address, verification, &mut actions);
            }
            Input::Trouble { generation, what } => {
                self.troubled(now, generation, what, &mut actions);
            }
        }
        self.review(now, &mut actions);
        self.poll(now, &mut actions);
        actions
    }

    /// When the machine wants [`Input::Tick`], if nothing happens before.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let grace = match self.serving {
            None => self.deliberation.grace_ends(&self.rules),
            Some(_) => None,
        };
        let retry = self.pursuit.as_ref().and_then(|pursuit| pursuit.retry_at);
        [self.next_poll, grace.filter(|_| self.pursuit.is_none()), retry].into_iter().flatten().min()
    }

    /// Messages that could not be read.
    pub(crate) fn malformed(&self) -> u64 {
        self.malformed
    }

    fn sentinel_up(
        &mut self,
        now: Instant,
        sentinel: Address,
        run_id: Option<String>,
        peer: Option<Address>,
        hearing: Hearing,
        actions: &mut Vec<Action>,
    ) {
        let Some(entry) = self.roster.get_mut(&sentinel) else { return };
        entry.met(run_id, peer);
        entry.link = SentinelLink::Up(hearing);
        entry.listed = now;
        actions.push(Action::Query { sentinel: sentinel.clone() });
        let source = Source::Sentinel(sentinel.clone());
        actions.push(Action::Report(Event::SentinelUp { at: now, source, sentinel }));
    }

    fn sentinel_down(
        &mut self,
        now: Instant,
        sentinel: &Address,
        reason: String,
        actions: &mut Vec<Action>,
    ) {
        let Some(entry) = self.roster.get_mut(sentinel) else { return };
        let news = !matches!(entry.link, SentinelLink::Down(_));
        entry.link = SentinelLink::Down(reason.clone());
        entry.answer = None;
        entry.unreachable.clear();
        if news {
            let (source, sentinel) = (Source::Factory, sentinel.clone());
            actions.push(Action::Report(Event::SentinelDown { at: now, source, sentinel, reason }));
        }
    }

    fn heard(
        &mut self,
        now: Instant,
        sentinel: Address,
        channel: &str,
        payload: &[u8],
        actions: &mut Vec<Action>,
    ) {
        let source = Source::Sentinel(sentinel.clone());
        match Message::parse(channel, payload) {
            Err(malformed) => {
                self.malformed += 1;
                let (channel, reason) = (channel.to_owned(), malformed.to_string());
                actions.push(Action::Report(Event::Malformed { at: now, source, channel, reason }));
            }
            Ok(Message::Switch { service, to, .. }) if service == self.rules.service => {
                self.hint(now, &to, actions);
            }
            Ok(Message::About { instance, happening }) if instance.service == self.rules.service => {
                self.heard_of(now, sentinel, source, &instance, happening, actions);
            }
            Ok(_) => {}
        }
    }

    fn heard_of(
        &mut self,
        now: Instant,
        sentinel: Address,
        source: Source,
        instance: &Instance,
        happening: Happening,
        actions: &mut Vec<Action>,
    ) {
        match happening {
            Happening::Unreachable(down) => {
                if instance.kind != Kind::Sentinel
                    && let Some(entry) = self.roster.get_mut(&sentinel)
                {
                    if down {
                        entry.unreachable.insert(instance.address.clone());
                    } else {
                        entry.unreachable.remove(&instance.address);
                    }
                }
            }
            Happening::Down(true) => self.ask_all(now, actions),
            Happening::Failover | Happening::Selected => {
                if self.failover_until.is_none_or(|until| until <= now) {
                    actions.push(Action::Report(Event::FailoverStarted { at: now, source }));
                }
                self.failover_until = Some(now + FAILOVER_FADES);
            }
            Happening::FailoverAbort(reason) => {
                self.failover_until = None;
                actions.push(Action::Report(Event::FailoverAborted { at: now, source, reason }));
                self.ask_all(now, actions);
            }
            Happening::Promoted => self.hint(now, &instance.address, actions),
            // "-role-change slave … is master" tells of the old master, too, which still is one.
            Happening::Role { master: true } | Happening::ConfigUpdate => {
                self.ask_all(now, actions);
            }
            Happening::FailoverEnd => {
                self.failover_until = None;
                self.ask_all(now, actions);
            }
            Happening::Reboot => {
                let node = instance.address.clone();
                actions.push(Action::Report(Event::NodeRestarted { at: now, source, node }));
                self.ask_all(now, actions);
            }
            Happening::Sentinel
            | Happening::SentinelMoved { .. }
            | Happening::Replica
            | Happening::Reconfigured => actions.push(Action::Query { sentinel }),
            Happening::Down(false) | Happening::Role { master: false } | Happening::Other => {}
        }
    }

    /// Somebody said that this address is the new master. It is asked at once, as are all
    /// sentinels; nothing is switched on the strength of a message.
    fn hint(&mut self, now: Instant, address: &Address, actions: &mut Vec<Action>) {
        if self.serving.as_ref().is_none_or(|serving| serving.address != *address) {
            self.verify(address.clone(), actions);
        }
        self.ask_all(now, actions);
    }

    fn answered(
        &mut self,
        now: Instant,
        sentinel: Address,
        answer: Answer,
        actions: &mut Vec<Action>,
    ) {
        let Some(entry) = self.roster.get_mut(&sentinel) else { return };
        match &answer {
            // The view before stays until the next is whole.
            Answer::Moving => {
                let again = now + ASK_AGAIN;
                self.next_poll = Some(self.next_poll.map_or(again, |next| next.min(again)));
                return;
            }
            Answer::Unknown if entry.services.is_none() => {
                actions.push(Action::ListServices { sentinel: sentinel.clone() });
            }
            Answer::Unknown | Answer::Refused(_) => {}
            Answer::Names(view) => {
                entry.services = None;
                entry.unreachable = unreachable(view);
            }
        }
        let found = match &answer {
            Answer::Names(view) => view.sentinels.clone().unwrap_or_default(),
            _ => Vec::new(),
        };
        entry.answer = Some((answer, now));
        for found in found {
            if self.roster.add(&found.address, found.run_id.as_deref(), false, now) {
                let source = Source::Sentinel(sentinel.clone());
                actions.push(Action::Link { sentinel: found.address.clone() });
                let event = Event::SentinelFound { at: now, source, sentinel: found.address };
                actions.push(Action::Report(event));
            }
        }
        self.forget_the_gone(now, actions);
        self.note_replicas();
    }

    /// Lets discovered sentinels go that are away and that nobody has listed for long.
    fn forget_the_gone(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let forget_after = self.rules.forget_after;
        let gone: Vec<Address> = self
            .roster
            .entries
            .iter()
            .filter(|(_, entry)| {
                !entry.seed && !entry.link.is_up() && now > entry.listed + forget_after
            })
            .map(|(address, _)| address.clone())
            .collect();
        for sentinel in gone {
            self.roster.entries.remove(&sentinel);
            actions.push(Action::Unlink { sentinel: sentinel.clone() });
            let event = Event::SentinelForgotten { at: now, source: Source::Factory, sentinel };
            actions.push(Action::Report(event));
        }
    }

    /// The replicas as the sentinel with the latest view of the master that is served lists them.
    /// An empty list tells nothing: it is what a sentinel says for seconds after a reset.
    fn note_replicas(&mut self) {
        let Some(serving) = &self.serving else { return };
        let views = self.roster.views();
        let lists = views
            .into_iter()
            .filter(|view| view.address == serving.address)
            .filter_map(|view| view.replicas.as_ref());
        if let Some(replicas) = lists.into_iter().find(|list| !list.is_empty()) {
            self.replicas = replicas
                .iter()
                .map(|replica| NodeStatus {
                    address: replica.address.clone(),
                    role: NodeRole::Replica,
                    run_id: replica.run_id.clone(),
                    flags: replica.flags.0.clone(),
                    link_up: replica.link_up,
                    offset: replica.offset,
                    down_for: 0,
                })
                .collect();
        }
    }

    fn was_verified(
        &mut self,
        now: Instant,
        address: Address,
        verification: Verification,
        actions: &mut Vec<Action>,
    ) {
        self.verifying.remove(&address);
        let reason = match verification {
            Verification::Master { run_id, .. } => {
                self.refused.remove(&address);
                self.verified.insert(address, (now, run_id));
                return;
            }
            Verification::NotMaster { role } => role,
            Verification::Failed { reason } => reason,
        };
        self.verified.remove(&address);
        self.refused.insert(address.clone(), reason.clone());
        let Some(pursuit) = &mut self.pursuit else { return };
        if pursuit.acceptance.address != address {
            return;
        }
        pursuit.retry_at = Some(now + pursuit.pause);
        pursuit.pause = (pursuit.pause * 2).min(self.rules.verify_retry_max);
        if pursuit.reason.as_ref() != Some(&reason) {
            pursuit.reason = Some(reason.clone());
            let source = Source::Node(address.clone());
            actions.push(Action::Report(Event::NotVerified { at: now, source, address, reason }));
        }
    }

    fn troubled(
        &mut self,
        now: Instant,
        generation: u64,
        _what: Trouble,
        actions: &mut Vec<Action>,
    ) {
        if self.serving.as_ref().is_some_and(|serving| serving.generation == generation) {
            self.trouble_until = Some(now + self.rules.trouble_fades);
            self.ask_all(now, actions);
        }
    }

    /// What follows from all that is known now.
    fn review(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let electorate = self.roster.electorate();
        let held = self.serving.as_ref().map(|serving| Held {
            address: &serving.address,
            epoch: serving.epoch,
            troubled: self.trouble_until.is_some_and(|until| now < until),
            left: self.left.as_ref(),
        });
        let decision = self.deliberation.decide(now, &self.rules, &electorate, held);
        if let Some(serving) = &mut self.serving {
            serving.epoch = decision.epoch;
        }
        match decision.accept {
            None => self.pursuit = None,
            Some(acceptance) => self.pursue(now, acceptance, actions),
        }
        self.report_nodes(now, &electorate, actions);
        self.report_service(now, &electorate, actions);
    }

    fn pursue(&mut self, now: Instant, acceptance: Acceptance, actions: &mut Vec<Action>) {
        let address = acceptance.address.clone();
        match &mut self.pursuit {
            Some(pursuit) if pursuit.acceptance.address == address => {
                pursuit.acceptance = acceptance;
            }
            _ => {
                self.pursuit = Some(Pursuit {
                    acceptance,
                    retry_at: None,
                    pause: self.rules.verify_retry,
                    reason: None,
                });
            }
        }
        if self.verified.get(&address).is_some_and(|(at, _)| now < *at + VERIFIED_FOR) {
            self.switch(now, actions);
            return;
        }
        let wait = self.pursuit.as_ref().and_then(|pursuit| pursuit.retry_at);
        if wait.is_none_or(|retry_at| retry_at <= now) {
            if let Some(pursuit) = &mut self.pursuit {
                pursuit.retry_at = None;
            }
            self.verify(address, actions);
        }
    }

    fn verify(&mut self, address: Address, actions: &mut Vec<Action>) {
        if self.verifying.insert(address.clone()) {
            actions.push(Action::Verify { address });
        }
    }

    fn switch(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(Pursuit { acceptance, .. }) = self.pursuit.take() else { return };
        let Acceptance { address: to, epoch, evidence, sentinel } = acceptance;
        let from = self.serving.as_ref().map(|serving| serving.address.clone());
        let generation = self.serving.as_ref().map_or(0, |serving| serving.generation) + 1;
        let run_id = self.verified.remove(&to).and_then(|(_, run_id)| run_id);
        self.verified.clear();
        self.refused.clear();
        self.serving = Some(Serving { address: to.clone(), epoch, generation });
        self.left = from.clone();
        self.trouble_until = None;
        self.note_replicas();
        actions.push(Action::Switch {
            generation,
            from: from.clone(),
            to: to.clone(),
            epoch,
            run_id,
            evidence: evidence.clone(),
        });
        let source = Source::Sentinel(sentinel);
        let event = Event::Switched { at: now, source, generation, from, to, epoch, evidence };
        actions.push(Action::Report(event));
    }

    fn report_nodes(&mut self, now: Instant, electorate: &Electorate, actions: &mut Vec<Action>) {
        let nodes = self.nodes();
        for node in &nodes {
            let down = node.down_for >= electorate.majority();
            let (source, address) = (Source::Factory, node.address.clone());
            if down && self.reported_down.insert(address.clone()) {
                let event = Event::NodeDown { at: now, source, node: address };
                actions.push(Action::Report(event));
            } else if !down && self.reported_down.remove(&address) {
                actions.push(Action::Report(Event::NodeUp { at: now, source, node: address }));
            }
        }
        self.reported_down.retain(|down| nodes.iter().any(|node| node.address == *down));
    }

    fn report_service(&mut self, now: Instant, electorate: &Electorate, actions: &mut Vec<Action>) {
        let answers = || self.roster.entries.values().filter_map(|entry| entry.answer.as_ref());
        let unknown = answers().filter(|(answer, _)| *answer == Answer::Unknown).count();
        let monitored = !electorate.claims.is_empty();
        if self.serving.is_some() && !self.removed && unknown > 0 && !monitored {
            self.removed = true;
            let event = Event::ServiceRemoved { at: now, source: Source::Factory };
            actions.push(Action::Report(event));
        } else if self.removed && monitored {
            self.removed = false;
            let event = Event::ServiceMonitored { at: now, source: Source::Factory };
            actions.push(Action::Report(event));
        }
        let addresses = electorate.addresses();
        if addresses.len() < 2 {
            self.disagreeing = None;
            return;
        }
        let (since, reported) = *self.disagreeing.get_or_insert((now, false));
        if !reported && now >= since + DISAGREEMENT_PATIENCE {
            self.disagreeing = Some((since, true));
            let count = |address: &Address| (address.clone(), electorate.count(address));
            let named = addresses.into_iter().map(count).collect();
            let event = Event::Disagreement { at: now, source: Source::Factory, named };
            actions.push(Action::Report(event));
        }
    }

    fn ask_all(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for sentinel in self.roster.up() {
            let query = Action::Query { sentinel: sentinel.clone() };
            if !actions.contains(&query) {
                actions.push(query);
            }
        }
        self.next_poll = Some(now + self.interval(now));
    }

    /// Asks everybody when it is time to; and sooner, when something went wrong meanwhile.
    fn poll(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.wrong_since = match (self.is_anything_wrong(now), self.wrong_since) {
            (true, since) => since.or(Some(now)),
            (false, _) => None,
        };
        let interval = self.interval(now);
        let next = self.next_poll.map_or(now + interval, |next| next.min(now + interval));
        self.next_poll = Some(next);
        if next <= now {
            self.ask_all(now, actions);
        }
    }

    fn interval(&self, now: Instant) -> Duration {
        match self.wrong_since {
            None => self.rules.calm_poll,
            Some(since) if now < since + self.rules.troubled_burst => self.rules.troubled_poll,
            Some(_) => self.rules.lasting_poll,
        }
    }

    fn is_anything_wrong(&self, now: Instant) -> bool {
        let electorate = self.roster.electorate();
        let Some(serving) = &self.serving else { return true };
        self.pursuit.is_some()
            || self.removed
            || self.trouble_until.is_some_and(|until| now < until)
            || self.failover_until.is_some_and(|until| now < until)
            || self.roster.down_for(&serving.address) > 0
            || electorate.claims.len() < electorate.majority()
            || electorate.addresses().len() > 1
    }

    /// The master and its replicas.
    fn nodes(&self) -> Vec<NodeStatus> {
        let Some(serving) = &self.serving else { return Vec::new() };
        let views = self.roster.views();
        let fields = views
            .iter()
            .filter(|view| view.address == serving.address)
            .find_map(|view| view.master.as_ref());
        let master = NodeStatus {
            address: serving.address.clone(),
            role: NodeRole::Master,
            run_id: fields.and_then(|fields| fields.run_id.clone()),
            flags: fields.map(|fields| fields.flags.0.clone()).unwrap_or_default(),
            link_up: None,
            offset: None,
            down_for: 0,
        };
        let others = self.replicas.iter().filter(|node| node.address != serving.address).cloned();
        std::iter::once(master)
            .chain(others)
            .map(|node| NodeStatus { down_for: self.roster.down_for(&node.address), ..node })
            .collect()
    }

    /// All that is known now.
    pub(crate) fn topology(&self) -> Topology {
        let electorate = self.roster.electorate();
        let serving = self.serving.as_ref();
        Topology {
            service: self.rules.service.clone(),
            master: serving.map(|serving| serving.address.clone()),
            epoch: serving.and_then(|serving| serving.epoch),
            generation: serving.map_or(0, |serving| serving.generation),
            nodes: self.nodes(),
            sentinels: self.roster.statuses(),
            agreement: Agreement {
                naming: serving.map_or(0, |serving| electorate.count(&serving.address)),
                known: electorate.known,
            },
            poll_interval: match self.wrong_since {
                None => self.rules.calm_poll,
                Some(_) => self.rules.troubled_poll,
            },
        }
    }

    /// Why there is no master to serve, for whoever waited for one in vain.
    pub(crate) fn why_no_master(&self) -> Error {
        let service = &self.rules.service;
        let electorate = self.roster.electorate();
        if let Some((address, reason)) = self.refused.first_key_value() {
            return Error::new(
                ErrorKind::NoMaster,
                format!(
                    "{} of {} sentinels name {address} as the master of service {service:?}, but it \
                     cannot be used: {reason}",
                    electorate.count(address),
                    electorate.known
                ),
            );
        }
        let said: Vec<String> = self
            .roster
            .entries
            .iter()
            .map(|(address, entry)| {
                let says = match (&entry.link, &entry.answer) {
                    (SentinelLink::Down(reason), _) => reason.clone(),
                    (_, Some((Answer::Unknown, _))) => match &entry.services {
                        Some(names) if names.is_empty() => {
                            "unknown service (it monitors none)".to_owned()
                        }
                        Some(names) => format!("unknown service (it monitors {names:?})"),
                        None => "unknown service".to_owned(),
                    },
                    (_, Some((Answer::Refused(words), _))) => words.clone(),
                    (_, Some((Answer::Names(view), _))) => format!("names {}", view.address),
                    (_, Some((Answer::Moving, _)) | None) => "has not answered yet".to_owned(),
                };
                format!("{address}: {says}")
            })
            .collect();
        let said = said.join("; ");
        let total = self.roster.entries.len();
        let unknown = |entry: &super::roster::Entry| {
            matches!(entry.answer, Some((Answer::Unknown, _)))
        };
        if self.roster.entries.values().any(unknown) && electorate.claims.is_empty() {
            return Error::new(
                ErrorKind::UnknownService,
                format!("no sentinel of {total} monitors service {service:?}: {said}"),
            );
        }
        if electorate.claims.is_empty() {
            return Error::new(
                ErrorKind::NoSentinel,
                format!("no sentinel of {total} answered for service {service:?}: {said}"),
            );
        }
        Error::new(
            ErrorKind::NoMaster,
            format!("the sentinels have not agreed on a master of service {service:?}: {said}"),
        )
    }
}

/// The nodes that the sentinel of this view cannot reach.
fn unreachable(view: &View) -> BTreeSet<Address> {
    let master = view
        .master
        .as_ref()
        .filter(|fields| fields.flags.has("s_down"))
        .map(|fields| fields.address.clone());
    let replicas = view.replicas.iter().flatten();
    let replicas = replicas.filter(|replica| replica.flags.has("s_down"));
    master.into_iter().chain(replicas.map(|replica| replica.address.clone())).collect()
}
