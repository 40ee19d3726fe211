//! The life of one service: no master yet, verifying one, serving it, verifying a successor while
//! still serving.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    event::{Event, Evidence, Source},
};

use super::{
    Action, Answer, Input, Origin, Rules, Trouble,
    agreement::{Acceptance, Claim, Deliberation, Electorate},
    aliases::Aliases,
    answer::View,
    doubt::{Doubt, Unconfirmed},
    fence::Holding,
    message::Message,
    node::Nodes,
    observe::Seen,
    replicas::Replicas,
    roster::{Change, Link, Roster, Said, Sentinel},
    snapshot::Hearing,
};

/// A sentinel whose view keeps changing is asked again at once so many times in a row.
const MOVING_AT_ONCE: u32 = 3;

/// A choice that was only heard of is forgotten after this long.
const HEARSAY_HOLDS: Duration = Duration::from_secs(10);

/// The master that is served.
#[derive(Clone, Debug)]
pub(super) struct Master {
    pub(super) address: Address,
    pub(super) epoch: Option<u64>,
    pub(super) generation: u64,
    pub(super) run_id: Option<String>,
}

/// An accepted address that has not verified yet.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) accepted: Acceptance,
    /// When to try (again).
    pub(super) retry: Instant,
    pub(super) delay: Duration,
    /// Why the last try did not do.
    pub(super) reason: Option<String>,
}

/// An address that said of itself that it is a master.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) at: Instant,
    pub(super) origin: Origin,
}

/// Follows the master of one service.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(super) rules: Rules,
    pub(super) started: Option<Instant>,
    /// The latest instant that was passed in.
    pub(super) last: Option<Instant>,
    pub(super) roster: Roster,
    pub(super) deliberation: Deliberation,
    pub(super) master: Option<Master>,
    /// The master before.
    pub(super) left: Option<Address>,
    pub(super) candidate: Option<Candidate>,
    /// Verifications under way, each since when.
    pub(super) verifying: BTreeMap<Address, Instant>,
    pub(super) proofs: BTreeMap<Address, Proof>,
    /// Run ids that nodes told us themselves.
    pub(super) run_ids: BTreeMap<Address, String>,
    /// When a message last made us verify an address that is not accepted.
    pub(super) verified_early: Option<Instant>,
    /// The time until which reported trouble counts.
    pub(super) reported: Option<Instant>,
    pub(super) troubled_since: Option<Instant>,
    /// Since when connections to the master have been refused, because its address has another
    /// history.
    pub(super) history_in_doubt: Option<Instant>,
    pub(super) removed: bool,
    pub(super) down: BTreeSet<Address>,
    /// The inputs from which `down` was computed.
    pub(super) seen: Option<Seen>,
    /// The generation in which the failover that is under way started.
    pub(super) failover: Option<u64>,
    /// Who ended the failover without a new master, and why.
    pub(super) abort: Option<(Address, String)>,
    /// What the nodes say of themselves.
    pub(super) nodes: Nodes,
    /// What commands wait for.
    pub(super) holding: Holding,
    /// Whether the master will stay.
    pub(super) doubt: Doubt,
    /// More than one sentinel has led a failover at the same time, and at least one still does.
    pub(super) contested: bool,
    /// Since when sentinels have named different masters, and whether that was reported.
    pub(super) disagreeing: Option<(Instant, bool)>,
    /// Which addresses stand for one node.
    pub(super) aliases: Aliases,
    /// Since when strangers have replaced the known sentinels.
    pub(super) replaced_since: Option<Instant>,
    /// What replicas are read from goes by; nothing until somebody reads from them.
    pub(super) replicas: Option<Replicas>,
}

impl Machine {
    pub(crate) fn new(rules: Rules) -> Machine {
        Machine {
            rules,
            started: None,
            last: None,
            roster: Roster::default(),
            deliberation: Deliberation::default(),
            master: None,
            left: None,
            candidate: None,
            verifying: BTreeMap::new(),
            proofs: BTreeMap::new(),
            run_ids: BTreeMap::new(),
            verified_early: None,
            reported: None,
            troubled_since: None,
            history_in_doubt: None,
            removed: false,
            down: BTreeSet::new(),
            seen: None,
            failover: None,
            abort: None,
            nodes: Nodes::default(),
            holding: Holding::default(),
            doubt: Doubt::default(),
            contested: false,
            disagreeing: None,
            aliases: Aliases::default(),
            replaced_since: None,
            replicas: None,
        }
    }

    /// Takes one input and says what to do about it, in order. An instant earlier than one passed
    /// in before counts as that one.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) -> Vec<Action> {
        let now = self.last.map_or(now, |last| last.max(now));
        self.last = Some(now);
        let mut actions = Vec::new();
        match input {
            Input::Start { seeds } => self.start(now, seeds, &mut actions),
            Input::Tick => {}
            Input::SentinelUp { sentinel, run_id, peer, hearing } => {
                self.sentinel_up(now, &sentinel, run_id, peer, hearing, &mut actions);
            }
            Input::SentinelDown { sentinel, reason } => {
                self.sentinel_down(now, &sentinel, reason, &mut actions);
            }
            Input::Resolved { address, to } => self.roster.resolved(address, to),
            Input::Message { sentinel, channel, payload } => {
                let message = Message::parse(&channel, &payload);
                // Sentinels publish what concerns all of their services to everybody.
                if message.as_ref().is_ok_and(|message| !message.concerns(&self.rules.service)) {
                    return actions;
                }
                self.heard(now, &sentinel, &channel, message, &mut actions);
            }
            Input::Answer { sentinel, answer } => {
                self.answered(now, &sentinel, answer, &mut actions);
            }
            Input::Services { sentinel, names } => {
                if let Some(sentinel) = self.roster.get_mut(&sentinel) {
                    sentinel.services = Some(names);
                }
            }
            Input::Verified { address, verification } => {
                self.verified(now, address, verification, &mut actions);
            }
            Input::Node { node, report } => self.reported(now, &node, report, &mut actions),
            Input::Trouble { generation, what } => self.trouble(now, generation, what),
            Input::Refresh => self.ask_all(now),
            Input::ReadReplicas => self.read_replicas(),
            Input::Refused { replica, what } => self.refused(&replica, what),
        }
        if self.started.is_some() {
            self.collect_aliases();
            self.review(now, &mut actions);
            self.collect_aliases();
            self.follow(now, &mut actions);
            self.verify_again(now, &mut actions);
            self.watch_nodes(now, &mut actions);
            self.settle_doubt(now, &mut actions);
            self.hold(now, &mut actions);
            self.observe(now, &mut actions);
            self.survey(now, &mut actions);
            self.pull_again(now);
            self.poll(now, &mut actions);
            // For those who look at it in between.
            self.collect_aliases();
        }
        actions
    }

    pub(super) fn generation(&self) -> u64 {
        self.master.as_ref().map_or(0, |master| master.generation)
    }

    fn start(&mut self, now: Instant, seeds: Vec<Address>, actions: &mut Vec<Action>) {
        self.started.get_or_insert(now);
        for sentinel in self.roster.start(seeds) {
            actions.push(Action::Link { sentinel });
        }
    }

    fn sentinel_up(
        &mut self,
        now: Instant,
        address: &Address,
        run_id: Option<String>,
        peer: Option<Address>,
        hearing: Hearing,
        actions: &mut Vec<Action>,
    ) {
        let serving = self.master.is_some();
        let Some(sentinel) = self.roster.get_mut(address) else {
            return;
        };
        if !sentinel.is_up() {
            actions.push(Action::Report(Event::SentinelUp {
                at: now,
                source: Source::Factory,
                sentinel: address.clone(),
            }));
        }
        sentinel.silence();
        sentinel.link = Link::Up { since: now, hearing };
        sentinel.meet(run_id, serving);
        sentinel.peer = peer.or(sentinel.peer.take());
        sentinel.services = None;
        sentinel.next_poll = Some(now);
        self.roster.changed = true;
    }

    fn sentinel_down(
        &mut self,
        now: Instant,
        address: &Address,
        reason: String,
        actions: &mut Vec<Action>,
    ) {
        let Some(sentinel) = self.roster.get_mut(address) else {
            return;
        };
        if !matches!(sentinel.link, Link::Down { .. }) {
            actions.push(Action::Report(Event::SentinelDown {
                at: now,
                source: Source::Factory,
                sentinel: address.clone(),
                reason: reason.clone(),
            }));
        }
        sentinel.silence();
        sentinel.link = Link::Down { reason };
        self.roster.changed = true;
    }

    fn answered(
        &mut self,
        now: Instant,
        address: &Address,
        answer: Answer,
        actions: &mut Vec<Action>,
    ) {
        let ended = self.ends_failover(now, address, &answer);
        // Another deployment may have led a known sentinel away.
        let belongs = match &answer {
            Answer::Names(view) => self.master.is_none() || self.is_served(&view.address),
            _ => false,
        };
        let Some(sentinel) = self.roster.get_mut(address).filter(|sentinel| sentinel.is_up())
        else {
            return;
        };
        let listing = sentinel.listing();
        let asked = sentinel.asking.take().unwrap_or(now);
        sentinel.answered = Some(now);
        sentinel.next_poll = None;
        if let Some(stranger) = &mut sentinel.stranger {
            stranger.view = match answer {
                Answer::Names(view) => Some((*view, asked)),
                _ => None,
            };
            if std::mem::take(&mut sentinel.again) {
                sentinel.ask_soon(now);
            }
            return;
        }
        sentinel.proved = Some(asked);
        if ended {
            self.abort = Some((address.clone(), "ended".to_owned()));
        }
        let moving = sentinel.moving;
        sentinel.moving = 0;
        sentinel.view = None;
        sentinel.view_asked = None;
        let mut first = None;
        match answer {
            Answer::Names(view) => {
                first = self.master.is_none().then(|| view.address.clone());
                sentinel.said = Said::Names;
                sentinel.take(*view, asked, belongs);
            }
            Answer::Unknown => {
                if sentinel.said != Said::Unknown {
                    actions.push(Action::ListServices { sentinel: address.clone() });
                }
                sentinel.said = Said::Unknown;
                sentinel.master_down = None;
                sentinel.failing_over = false;
                sentinel.selected = None;
            }
            Answer::Moving => {
                sentinel.said = Said::Moving;
                sentinel.moving = moving + 1;
                sentinel.again |= moving < MOVING_AT_ONCE;
            }
            Answer::Refused(text) => sentinel.said = Said::Refused(text),
        }
        if std::mem::take(&mut sentinel.again) {
            if std::mem::take(&mut sentinel.at_once) {
                sentinel.ask_now(now);
            } else {
                sentinel.ask_soon(now);
            }
        }
        let changed = !sentinel.lists_as(&listing);
        self.roster.changed |= changed;
        // At the start its connection is made while the others answer: one of them may be slow.
        if let Some(address) = first {
            self.verify_early(now, &address, actions);
        }
    }

    fn trouble(&mut self, now: Instant, generation: u64, what: Trouble) {
        if generation == self.generation() && self.master.is_some() {
            // A reply comes again for as long as its cause lasts; a lost connection may come once.
            let fades = match what.is_a_reply() {
                true => self.rules.refusal_fades,
                false => self.rules.trouble_fades,
            };
            self.reported = self.reported.max(Some(now + fades));
            if what == Trouble::OtherHistory {
                self.history_in_doubt.get_or_insert(now);
            }
            self.ask_all(now);
        }
    }

    fn review(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for change in self.tell_strangers(now) {
            self.changed(now, change, actions);
        }
        for change in self.roster.review(now, &self.rules) {
            self.changed(now, change, actions);
        }
    }

    pub(super) fn changed(&self, now: Instant, change: Change, actions: &mut Vec<Action>) {
        match change {
            Change::Found { sentinel, by } => {
                actions.push(Action::Link { sentinel: sentinel.clone() });
                let source = Source::Sentinel(by);
                actions.push(Action::Report(Event::SentinelFound { at: now, source, sentinel }));
            }
            Change::Forgotten(sentinel) => {
                actions.push(Action::Unlink { sentinel: sentinel.clone() });
                let source = Source::Factory;
                actions.push(Action::Report(Event::SentinelForgotten {
                    at: now,
                    source,
                    sentinel,
                }));
            }
        }
    }

    /// Whether two addresses are one node: the same place, unless their run ids tell otherwise.
    pub(super) fn same_node(&self, left: &Address, right: &Address) -> bool {
        if left == right {
            return true;
        }
        if let (Some(one), Some(other)) = (self.run_ids.get(left), self.run_ids.get(right)) {
            return one == other;
        }
        let (one, other) = (self.ids(left), self.ids(right));
        if one.is_empty() || other.is_empty() {
            return self.roster.same_place(left, right);
        }
        one.iter().any(|id| other.contains(id))
    }

    /// The run ids of a node: what it told itself, or what the sentinels list.
    fn ids(&self, address: &Address) -> &[String] {
        match self.run_ids.get(address) {
            Some(own) => std::slice::from_ref(own),
            None => self.aliases.ids(address),
        }
    }

    /// How many sentinels are a majority of the known ones.
    pub(crate) fn majority(&self) -> usize {
        self.electorate().majority()
    }

    /// The sentinels that count, and what they say, with each node's address spelled in one way.
    pub(super) fn electorate(&self) -> Electorate {
        let mut electorate = Electorate { contested: self.contested, ..Electorate::default() };
        for sentinel in self.roster.voters() {
            electorate.known += 1;
            electorate.configured += usize::from(sentinel.seed);
            let (Some(view), Some(at)) = (&sentinel.view, sentinel.answered) else {
                let pending = match sentinel.link {
                    Link::New => true,
                    Link::Up { .. } => matches!(sentinel.said, Said::Nothing | Said::Moving),
                    Link::Down { .. } => false,
                };
                electorate.pending += usize::from(pending);
                continue;
            };
            let address = self.spelled(&view.address, &electorate);
            electorate.claims.push(Claim {
                sentinel: sentinel.address.clone(),
                address,
                epoch: view.epoch,
                at,
                vouched: sentinel.vouched,
                configured: sentinel.seed,
            });
        }
        electorate
    }

    pub(super) fn spelled(&self, address: &Address, electorate: &Electorate) -> Address {
        let master = self.master.as_ref().map(|master| &master.address);
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.accepted.address);
        master
            .into_iter()
            .chain(candidate)
            .chain(electorate.claims.iter().map(|claim| &claim.address))
            .find(|known| self.same_node(known, address))
            .unwrap_or(address)
            .clone()
    }

    pub(super) fn switch(&mut self, now: Instant, proof: Proof, actions: &mut Vec<Action>) {
        let Some(Candidate { accepted, .. }) = self.candidate.take() else {
            return;
        };
        let Acceptance { address: to, epoch, evidence, sentinel, descent: _ } = accepted;
        let generation = self.generation() + 1;
        let before = self.master.as_ref().and_then(|master| master.epoch);
        let from = self.master.take().map(|master| (master.address, master.run_id));
        let run_id = proof.origin.run_id.clone();
        self.master =
            Some(Master { address: to.clone(), epoch, generation, run_id: run_id.clone() });
        let leader = match &evidence {
            Evidence::Promotion { leader, .. } | Evidence::Ordered { leader, .. } => Some(leader),
            _ => None,
        };
        self.doubt.unconfirmed =
            leader.cloned().map(|leader| Unconfirmed { since: now, leader, before, held: false });
        if from.is_none() {
            self.part_from_strangers(now, &to, actions);
        }
        self.release(&to);
        self.nodes.serve(&proof.origin, leader.is_none());
        if let Some((from, run_id)) = &from {
            self.quarantine(now, from.clone(), run_id.clone());
        }
        let from = from.map(|(address, _)| address);
        self.take_lists_of(&to);
        self.roster.changed = true;
        self.left = from.clone();
        self.reported = None;
        self.history_in_doubt = None;
        self.abort = None;
        // Every connection that was made before goes, and every dial under way is given up.
        self.proofs.clear();
        self.verifying.clear();
        self.doubt.told = false;
        self.holding.cut = None;
        self.deliberation.begin_anew();
        if let Some(replicas) = &mut self.replicas {
            replicas.switched();
        }
        if let Some(leader) = leader {
            self.expect_cut(&to, leader);
        }
        let fence = self.fence_of_the_next(now);
        let promoted = self.nodes.watched.get(&to).and_then(|node| node.fact);
        actions.push(Action::Switch {
            generation,
            from: from.clone(),
            to: to.clone(),
            epoch,
            run_id,
            evidence: evidence.clone(),
            fence: fence.clone(),
            promoted,
        });
        self.held_over(now, fence, actions);
        let source = match evidence {
            Evidence::Confirmation { .. }
            | Evidence::Unnumbered { .. }
            | Evidence::Promotion { .. }
            | Evidence::Ordered { .. } => Source::Sentinel(sentinel),
            _ => Source::Factory,
        };
        actions.push(Action::Report(Event::Switched {
            at: now,
            source,
            generation,
            from,
            to,
            epoch,
            evidence,
        }));
    }
}

impl Sentinel {
    /// Takes in the lists of the last answer. They are kept on empty ones: after a reset they fill again
    /// in seconds.
    pub(super) fn take_lists(&mut self) {
        let Some(view) = &self.view else { return };
        if let Some(replicas) = view.replicas.as_ref().filter(|list| !list.is_empty()) {
            self.replicas = Arc::clone(replicas);
        }
        if let Some(others) = view.sentinels.as_ref().filter(|list| !list.is_empty()) {
            self.others.clone_from(others);
        }
    }

    /// Takes an answer in; its lists only from a sentinel that belongs to the service: it names the master
    /// that is served, or no master is served yet.
    pub(super) fn take(&mut self, view: View, asked: Instant, belongs: bool) {
        // What was published after the question is newer than the answer.
        let newer = self.has_chosen_since(asked);
        if let Some(master) = &view.master {
            let down = master.flags.has("s_down") || master.flags.has("o_down");
            self.master_down = down.then(|| master.address.clone());
            self.failing_over = newer || master.flags.has("failover_in_progress");
        }
        // And where the answer may not tell, it counts for a while.
        let hearsay = self.selected.as_ref().is_some_and(|(node, at)| {
            !view.tells_choice() && *node != view.address && asked < *at + HEARSAY_HOLDS
        });
        match view.chosen() {
            Some(node) => self.selected = Some((node.clone(), asked)),
            None if newer || hearsay => {}
            None => {
                // Nothing else tells that its failover is over.
                self.failing_over &= self.selected.is_none() || view.master.is_some();
                self.selected = None;
            }
        }
        self.view = Some(view);
        self.view_asked = Some(asked);
        if belongs {
            self.take_lists();
        }
    }
}
