//! A machine, and beside it a plain account of what it was told, to judge it by.

use std::time::{Duration, Instant};

use crate::{
    address::Address,
    event::{Event, Evidence, FenceReason},
    policy::OnLostMajority,
};

use super::{
    super::{
        Action, Answer, Hearing, Identity, Input, Machine, Origin, Pace, Report, Rules, Standing,
        SwitchOn, Trouble, Verification,
    },
    step::{NODES, SENTINELS, Step, Told, foreign, node, run_id, sentinel},
};

/// What a sentinel says, as the court knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Voice {
    Away,
    Silent,
    Outside,
    /// Another deployment's sentinel answers in its place.
    Strange,
    Names(usize, Option<u64>),
}

/// What is known of a sentinel.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub(super) voice: Voice,
    pub(super) told: Option<Told>,
    /// When the question was asked that it answered with that.
    pub(super) told_asked: Option<Instant>,
    /// When the latest question was asked that it answered at all.
    pub(super) proved: Option<Instant>,
    /// It has listed all others while it named the master that was served, or there was none.
    pub(super) lists: bool,
    /// It was up before a master was served, so its run id is known.
    met: bool,
    asking: Option<Instant>,
    /// The last three questions.
    asked: [Option<Instant>; 3],
}

/// What is known of a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) watched: Option<Pace>,
    pub(super) gone: Option<Instant>,
    /// Since when it has said that it is a master.
    pub(super) fact: Option<Instant>,
    /// When it was verified, and what it told then.
    pub(super) proof: Option<(Instant, Origin)>,
    /// What it told last.
    pub(super) origin: Origin,
    /// When it was replaced, with its run id, while it has not been a replica since.
    pub(super) quarantine: Option<(Instant, Option<String>)>,
    /// Since when a majority has named it.
    pub(super) named: Option<Instant>,
}

/// The master that is served.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) node: usize,
    pub(super) epoch: Option<u64>,
    pub(super) since: Instant,
    pub(super) run_id: Option<String>,
}

/// A switch that rests on a promotion alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unconfirmed {
    pub(super) since: Instant,
    pub(super) leader: usize,
    /// The epoch of the master before, at least and at most.
    pub(super) before: (Option<u64>, Option<u64>),
    /// There was reason to wait.
    pub(super) held: bool,
    /// It was named at an epoch that is newer only if the one before was lowered.
    pub(super) perhaps: bool,
}

/// How often what happened, or in how many cases it did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) cases: u64,
    pub(super) switches: u64,
    pub(super) eager: u64,
    pub(super) ordered: u64,
    pub(super) held: u64,
    pub(super) overruled: u64,
    pub(super) confirmed: u64,
    pub(super) insisted: u64,
    pub(super) fences: u64,
    pub(super) deadlines: u64,
    pub(super) outlasted: u64,
    pub(super) lost: u64,
    pub(super) strange: u64,
}

pub(super) struct Court {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) switch_on: SwitchOn,
    /// How long a majority may be silent, where that matters.
    pub(super) after: Option<Duration>,
    pub(super) sentinels: Vec<Witness>,
    pub(super) nodes: [Known; NODES],
    pub(super) served: Option<Served>,
    pub(super) generation: u64,
    /// The histories of the master that is served, and of the last one that was confirmed.
    pub(super) history: Option<String>,
    pub(super) confirmed_history: Option<String>,
    pub(super) fence: Option<(FenceReason, Instant)>,
    pub(super) unconfirmed: Option<Unconfirmed>,
    pub(super) lost: Option<Instant>,
    pub(super) doubtful: bool,
    /// Any sentinel has listed the others.
    pub(super) listed: bool,
    pub(super) queries: usize,
    pub(super) tally: Tally,
}

impl Court {
    pub(super) fn new(switch_on: SwitchOn, sentinels: usize, after: Option<Duration>) -> Court {
        let mut rules = Rules::new("mymaster", switch_on);
        if let Some(after) = after {
            rules = rules.on_lost_majority(OnLostMajority::Fence { after });
        }
        let now = Instant::now();
        let witness = Witness {
            voice: Voice::Away,
            told: None,
            told_asked: None,
            proved: None,
            lists: false,
            met: false,
            asking: None,
            asked: [None; 3],
        };
        let mut court = Court {
            machine: Machine::new(rules),
            now,
            start: now,
            switch_on,
            after,
            sentinels: vec![witness; sentinels],
            nodes: Default::default(),
            served: None,
            generation: 0,
            history: None,
            confirmed_history: None,
            fence: None,
            unconfirmed: None,
            lost: None,
            doubtful: false,
            listed: false,
            queries: 0,
            tally: Tally::default(),
        };
        court.feed(Input::Start { seeds: (0..sentinels).map(sentinel).collect() });
        court
    }

    /// Lets time pass, and wakes the machine whenever it asked for it.
    pub(super) fn pass(&mut self, to: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(wake) = self.machine.next_wake().filter(|wake| *wake <= to) {
            self.now = wake;
            self.check_wakes();
            actions.extend(self.feed(Input::Tick));
        }
        self.now = to;
        actions
    }

    /// Something happens.
    pub(super) fn take(&mut self, step: Step) -> Vec<Action> {
        self.check_wakes();
        let input = match step {
            Step::Pass(milliseconds) => {
                return self.pass(self.now + Duration::from_millis(milliseconds));
            }
            Step::Up(number) => {
                self.hush(number, Voice::Silent);
                self.sentinels[number].met |= self.served.is_none();
                let sentinel = sentinel(number);
                let (run_id, peer) = (Some(run_id(number)), Some(sentinel.clone()));
                Input::SentinelUp { sentinel, run_id, peer, hearing: Hearing::All }
            }
            Step::Down(number) => {
                self.hush(number, Voice::Away);
                Input::SentinelDown { sentinel: sentinel(number), reason: "reset".to_owned() }
            }
            Step::Taken(number) => {
                assert!(self.served.is_some(), "a stranger before any master");
                self.hush(number, Voice::Strange);
                self.tally.strange += 1;
                let (sentinel, run_id) = (sentinel(number), Some(format!("x{number}")));
                let peer = Some(sentinel.clone());
                Input::SentinelUp { sentinel, run_id, peer, hearing: Hearing::All }
            }
            Step::Foreign(number) => {
                self.sentinels[number].asking = None;
                Input::Answer { sentinel: sentinel(number), answer: foreign(number) }
            }
            Step::Names { sentinel: number, told } => {
                let answer = told.answer(number, self.sentinels.len());
                self.speaks(number, Voice::Names(told.node, told.epoch), Some(told));
                Input::Answer { sentinel: sentinel(number), answer }
            }
            Step::Silent { sentinel: number, answer } => {
                let voice = if answer == Answer::Unknown { Voice::Outside } else { Voice::Silent };
                self.speaks(number, voice, None);
                Input::Answer { sentinel: sentinel(number), answer }
            }
            Step::Verified { node: number, verification } => {
                self.verified(number, &verification);
                Input::Verified { address: node(number), verification }
            }
            Step::Node { node: number, report } => {
                self.reported(number, &report);
                Input::Node { node: node(number), report }
            }
            Step::Hears { sentinel: number, channel, payload } => {
                Input::Message { sentinel: sentinel(number), channel, payload }
            }
            Step::Trouble(generation) => Input::Trouble { generation, what: Trouble::Disconnected },
            Step::Refresh => Input::Refresh,
        };
        self.feed(input)
    }

    fn hush(&mut self, number: usize, voice: Voice) {
        let own = &mut self.sentinels[number];
        (own.voice, own.told, own.told_asked, own.asking) = (voice, None, None, None);
        own.asked = [None; 3];
    }

    fn speaks(&mut self, number: usize, voice: Voice, told: Option<Told>) {
        let lists = told.as_ref().is_some_and(|told| told.lists);
        let own = &mut self.sentinels[number];
        if matches!(own.voice, Voice::Away | Voice::Strange) {
            return;
        }
        self.listed |= lists;
        let belongs =
            |told: &Told| self.served.as_ref().is_none_or(|served| served.node == told.node);
        own.lists |= lists && told.as_ref().is_some_and(belongs);
        let asked = own.asking.take().unwrap_or(self.now);
        (own.voice, own.proved) = (voice, Some(asked));
        own.told_asked = told.is_some().then_some(asked);
        own.told = told;
    }

    fn verified(&mut self, number: usize, verification: &Verification) {
        let Verification::Master { origin } = verification else {
            self.nodes[number].proof = None;
            return;
        };
        self.nodes[number].proof = Some((self.now, origin.clone()));
        if let Some(served) = self.served.as_mut().filter(|served| served.node == number) {
            served.run_id.clone_from(&origin.run_id);
        }
        self.says(number, &Identity { standing: Standing::Master, origin: origin.clone() });
    }

    fn reported(&mut self, number: usize, report: &Report) {
        match report {
            _ if self.nodes[number].watched.is_none() => {}
            Report::Progress(_) => {}
            Report::Gone => self.nodes[number].gone = Some(self.now),
            Report::Says(identity) => self.says(number, identity),
        }
    }

    fn says(&mut self, number: usize, identity: &Identity) {
        let serves = self.serves(number);
        let Identity { standing, origin } = identity;
        let told = match standing {
            Standing::Master => serves,
            Standing::Replica { of, linked } => {
                self.nodes[number].proof = None;
                let ours = self.served.as_ref().map(|served| node(served.node));
                let of_ours = of.is_some() && *of == ours;
                let own = &mut self.nodes[number];
                let another = own.quarantine.as_ref().is_some_and(|(_, known)| {
                    known.is_some() && origin.run_id.is_some() && *known != origin.run_id
                });
                if of_ours || another {
                    own.quarantine = None;
                }
                of_ours && *linked
            }
        };
        if told && origin.replid.is_some() {
            self.history.clone_from(&origin.replid);
            if self.unconfirmed.is_none() {
                self.confirmed_history.clone_from(&self.history);
            }
        }
        let (now, own) = (self.now, &mut self.nodes[number]);
        own.origin = origin.clone();
        if own.watched.is_none() {
            return;
        }
        let gone = own.gone.take().filter(|gone| now < *gone + Duration::from_secs(2));
        own.fact = match standing {
            Standing::Master if !serves && own.quarantine.is_none() => {
                own.fact.or(gone).or(Some(now))
            }
            _ => None,
        };
    }

    pub(super) fn serves(&self, number: usize) -> bool {
        self.served.as_ref().is_some_and(|served| served.node == number)
    }

    /// Feeds the machine, and judges all that it does about it.
    fn feed(&mut self, input: Input) -> Vec<Action> {
        for number in 0..NODES {
            let many = self.is_majority(self.naming(number).count());
            let named = &mut self.nodes[number].named;
            *named = if many { named.or(Some(self.now)) } else { None };
        }
        let actions = self.machine.handle(self.now, input);
        for action in &actions {
            self.witness(action);
        }
        self.review();
        actions
    }

    fn witness(&mut self, action: &Action) {
        match action {
            Action::Switch { generation, from, to, epoch, evidence, fence, .. } => {
                assert_eq!(*generation, self.generation + 1);
                let left = self.served.as_ref().map(|served| node(served.node));
                assert_eq!(*from, left);
                let to = number(to);
                self.judge(to, *epoch, evidence);
                self.generation = *generation;
                self.switched(to, *epoch, evidence);
                self.fence = fence.clone().map(|reason| (reason, self.now));
            }
            Action::Query { sentinel } => self.queried(number_of(sentinel)),
            Action::Link { sentinel } => assert!(number_of(sentinel) < self.sentinels.len()),
            Action::Verify { address } => assert!(number(address) < NODES),
            Action::Watch { node, pace } => {
                let own = &mut self.nodes[number(node)];
                assert_ne!(own.watched, Some(*pace), "{node} is watched like that already");
                own.watched = Some(*pace);
            }
            Action::Unwatch { node } => {
                let own = &mut self.nodes[number(node)];
                assert!(own.watched.is_some(), "{node} is not watched");
                if let Some((since, _)) = own.quarantine.take() {
                    let minute = Duration::from_secs(60);
                    assert!(self.now >= since + minute, "{node} leaves quarantine unseen");
                }
                (own.watched, own.gone, own.fact) = (None, None, None);
            }
            Action::Fence { reason } => {
                assert!(self.served.is_some(), "a fence before any master");
                let same = |old: &FenceReason| {
                    std::mem::discriminant(old) == std::mem::discriminant(reason)
                };
                let since = self.fence.take().filter(|(old, _)| same(old));
                let since = since.map_or(self.now, |(_, since)| since);
                self.fence = Some((reason.clone(), since));
                self.tally.fences += 1;
            }
            Action::Unfence => {
                let (reason, since) = self.fence.take().expect("a fence to lift");
                let stood = self.now - since;
                if let FenceReason::Replacing { by } = reason {
                    assert!(!self.is_replaced(), "{by}: commands go back to a replaced master");
                    self.tally.deadlines += u64::from(stood >= Duration::from_secs(3));
                }
            }
            Action::Doubt { .. } => {
                assert!(self.served.is_some() && !self.doubtful, "doubt on doubt");
                self.doubtful = true;
            }
            Action::Trust { .. } => {
                assert!(self.doubtful, "trust without doubt");
                self.doubtful = false;
            }
            Action::Report(Event::MajorityLost { .. }) => {
                self.lost = Some(self.now);
                self.tally.lost += 1;
            }
            Action::Report(Event::MajorityRegained { .. }) => self.lost = None,
            _ => {}
        }
    }

    fn switched(&mut self, to: usize, epoch: Option<u64>, evidence: &Evidence) {
        self.tally.switches += 1;
        self.tally.overruled += u64::from(self.unconfirmed.is_some());
        let leader = match evidence {
            Evidence::Promotion { leader, .. } => {
                self.tally.eager += 1;
                Some(leader)
            }
            Evidence::Ordered { leader, .. } => {
                self.tally.ordered += 1;
                Some(leader)
            }
            _ => None,
        };
        self.tally.insisted += u64::from(matches!(evidence, Evidence::Insistence { .. }));
        let before = self.served.as_ref().map(|served| self.epoch_of(served)).unwrap_or_default();
        if let Some(from) = self.served.take() {
            self.nodes[from.node].quarantine = Some((self.now, from.run_id));
        }
        self.unconfirmed = leader.map(|leader| Unconfirmed {
            since: self.now,
            leader: number_of(leader),
            before,
            held: false,
            perhaps: false,
        });
        self.doubtful = false;
        // Those that name the new master belong to the service.
        for own in &mut self.sentinels {
            own.lists |= own.told.as_ref().is_some_and(|told| told.lists && told.node == to);
        }
        let own = &mut self.nodes[to];
        (own.fact, own.quarantine) = (None, None);
        let (_, origin) = own.proof.clone().expect("a proof");
        self.history = origin.replid;
        if leader.is_none() || self.confirmed_history.is_none() {
            self.confirmed_history.clone_from(&self.history);
        }
        let (node, since, run_id) = (to, self.now, origin.run_id);
        self.served = Some(Served { node, epoch, since, run_id });
    }

    fn queried(&mut self, number: usize) {
        self.queries += 1;
        let (now, own) = (self.now, &mut self.sentinels[number]);
        assert!(own.voice != Voice::Away, "a sentinel without a link is asked");
        assert!(
            own.asking.is_none_or(|asked| now >= asked + Duration::from_secs(1)),
            "it is asked before it has answered"
        );
        let [.., oldest] = own.asked;
        own.asked.rotate_right(1);
        own.asked[0] = Some(now);
        own.asking = Some(now);
        // A question may follow another at once, for the sake of a fact, and may have waited for that.
        assert!(
            oldest.is_none_or(|oldest| now >= oldest + Duration::from_millis(5)),
            "it is asked four times within 5 ms"
        );
    }

    pub(super) fn known(&self) -> usize {
        self.sentinels.iter().filter(|own| own.voice != Voice::Outside).count()
    }

    /// Returns true when a majority of the known sentinels vouches for this one, itself counted.
    pub(super) fn is_vouched(&self, number: usize) -> bool {
        let known =
            self.sentinels.iter().enumerate().filter(|(_, own)| own.voice != Voice::Outside);
        let listing = known.filter(|(other, own)| *other != number && own.lists).count();
        self.known() == 1 || (listing > 0 && listing + 1 > self.known() / 2)
    }

    pub(super) fn naming(&self, node: usize) -> impl Iterator<Item = Option<u64>> + '_ {
        let counted = self.sentinels.iter().enumerate().filter(|(number, _)| self.counts(*number));
        counted.filter_map(move |(_, own)| match own.voice {
            Voice::Names(named, epoch) if named == node => Some(epoch),
            _ => None,
        })
    }

    /// Returns false while a sentinel is a stranger by right: it came after the master was served, and no
    /// majority lists it.
    fn counts(&self, number: usize) -> bool {
        let own = self.machine.roster.get(&sentinel(number));
        self.sentinels[number].met || own.is_none_or(|own| own.stranger.is_none())
    }

    /// Whether a majority names another master than the one that is served.
    pub(super) fn is_replaced(&self) -> bool {
        let another = |node: &usize| self.served.is_some() && !self.serves(*node);
        (0..NODES).filter(another).any(|node| self.is_majority(self.naming(node).count()))
    }

    pub(super) fn is_majority(&self, count: usize) -> bool {
        count * 2 > self.known()
    }
}

pub(super) fn number(address: &Address) -> usize {
    (0..NODES).find(|number| node(*number) == *address).expect("a node of the case")
}

pub(super) fn number_of(address: &Address) -> usize {
    (0..SENTINELS).find(|number| sentinel(*number) == *address).expect("a sentinel of the case")
}
