//! A little cluster that fails over as real ones do, with a court that watches the machine follow it.
//!
//! Sentinels notice that their master is down, elect a leader, choose, promote, tell the others and
//! reconfigure, in the order and at about the pace of Redis's `sentinel.c`, only with shorter
//! waits. Nothing that they tell is exact: messages get lost, answers are late, links end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    super::{Action, Answer, Identity, Origin, Pace, Report, Standing, SwitchOn, Verification},
    court::{Court, Voice, number, number_of},
    dice::Dice,
    failover::{Sentinel, Stage},
    fault::Fault,
    step::{Failover, NODES, Step, Told, node},
};

/// A data server.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) alive: bool,
    /// Whether the sentinels reach it.
    pub(super) reached: bool,
    pub(super) run: u32,
    /// Whom it replicates; nobody if it is a master.
    pub(super) of: Option<usize>,
    pub(super) history: u32,
    pub(super) former: Option<u32>,
}

/// What is on its way to the machine.
enum Parcel {
    Now(Box<Step>),
    /// Told as it is when it arrives.
    Answer(usize),
    Verification(usize),
    Role(usize),
}

pub(super) struct Cluster {
    pub(super) court: Court,
    pub(super) dice: Dice,
    pub(super) now: u64,
    start: Instant,
    pub(super) sentinels: Vec<Sentinel>,
    pub(super) nodes: Vec<Node>,
    post: BTreeMap<(u64, u64), Parcel>,
    posted: u64,
    histories: u32,
    /// In percent: how many messages are lost.
    pub(super) loss: u64,
    /// Whether anything is told that is not so.
    pub(super) lies: bool,
    /// Who has chosen whom, ever.
    pub(super) choices: BTreeSet<(usize, usize)>,
}

impl Cluster {
    pub(super) fn new(mut dice: Dice, switch_on: SwitchOn) -> Cluster {
        let count = *dice.pick(&[1, 3, 3, 3, 3, 5]);
        let after = dice.percent(30).then(|| Duration::from_millis(1000));
        let court = Court::new(switch_on, count, after);
        let replica =
            Node { alive: true, reached: true, run: 0, of: Some(0), history: 0, former: None };
        let mut nodes = vec![replica; *dice.pick(&[2, 3, 3, 4])];
        nodes[0].of = None;
        let mut cluster = Cluster {
            start: court.now,
            court,
            dice,
            now: 0,
            sentinels: vec![Sentinel::new(); count],
            nodes,
            post: BTreeMap::new(),
            posted: 0,
            histories: 0,
            loss: 0,
            lies: false,
            choices: BTreeSet::new(),
        };
        cluster.loss = *cluster.dice.pick(&[0, 0, 20, 100]);
        for number in 0..count {
            cluster.tell(Step::Up(number));
        }
        cluster
    }

    /// Runs until then, with these faults at their times.
    pub(super) fn run(&mut self, until: u64, faults: &mut Vec<(u64, Fault)>) {
        while self.now < until {
            let tick = self.now / 50 * 50 + 50;
            self.deliver(tick.min(until));
            self.now = tick.min(until);
            while faults.last().is_some_and(|(at, _)| *at <= self.now) {
                let (_, fault) = faults.pop().expect("a fault");
                self.strike(fault);
            }
            for number in 0..self.sentinels.len() {
                if self.dice.percent(75) {
                    self.act(number);
                }
            }
        }
    }

    /// Hands over what arrives until then, and wakes the machine in between.
    fn deliver(&mut self, until: u64) {
        let end = self.start + Duration::from_millis(until);
        loop {
            let post = self.post.first_key_value().map(|((at, _), _)| *at);
            let post = post.map(|at| self.start + Duration::from_millis(at));
            let wake = self.court.machine.next_wake();
            let next = wake.into_iter().chain(post).min().filter(|next| *next <= end);
            let Some(next) = next else { break };
            let actions = self.court.pass(next.max(self.court.now));
            self.carry_out(actions);
            if post == Some(next)
                && let Some((_, parcel)) = self.post.pop_first()
            {
                self.unpack(parcel);
            }
        }
        self.court.pass(end);
    }

    fn unpack(&mut self, parcel: Parcel) {
        let step = match parcel {
            Parcel::Now(step) => *step,
            Parcel::Answer(number) => match self.answer(number) {
                Some(step) => step,
                None => return,
            },
            Parcel::Verification(number) => self.verification(number),
            Parcel::Role(number) => {
                let (true, Some(own)) = (self.is_watched(number), self.nodes.get(number)) else {
                    return;
                };
                if !own.alive {
                    return;
                }
                let report = Report::Says(self.identity(number));
                Step::Node { node: number, report }
            }
        };
        self.tell(step);
    }

    pub(super) fn tell(&mut self, step: Step) {
        // What was on its way when the sentinel died, or the stranger left, arrives no more.
        let strange = match &step {
            Step::Names { sentinel, .. } | Step::Silent { sentinel, .. } => {
                Some((*sentinel, false))
            }
            Step::Foreign(sentinel) => Some((*sentinel, true)),
            _ => None,
        };
        if strange.is_some_and(|(number, strange)| self.is_strange(number) != strange) {
            return;
        }
        let actions = self.court.take(step);
        self.carry_out(actions);
    }

    fn send(&mut self, delay: u64, parcel: Parcel) {
        let elapsed = (self.court.now - self.start).as_millis() as u64;
        self.posted += 1;
        self.post.insert((elapsed + delay, self.posted), parcel);
    }

    /// Does what the driver does.
    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Query { sentinel } => {
                    let number = number_of(&sentinel);
                    let delay = match self.dice.below(20) {
                        0 => self.dice.between(20, 300),
                        _ => self.dice.between(1, 5),
                    };
                    if self.dice.percent(50) {
                        self.send(delay, Parcel::Answer(number));
                    } else if let Some(step) = self.answer(number) {
                        self.send(delay, Parcel::Now(Box::new(step)));
                    }
                }
                Action::Verify { address } => {
                    let delay = if self.dice.percent(5) { 150 } else { self.dice.between(1, 5) };
                    self.send(delay, Parcel::Verification(number(&address)));
                }
                Action::Watch { node, .. } => {
                    let delay = self.dice.between(1, 10);
                    self.send(delay, Parcel::Role(number(&node)));
                }
                Action::Switch { to, evidence, .. } if !self.lies => {
                    use crate::event::Evidence::{Ordered, Promotion};
                    if let Promotion { leader, .. } | Ordered { leader, .. } = evidence {
                        let choice = (number_of(&leader), number(&to));
                        assert!(self.choices.contains(&choice), "nobody chose {to}");
                    }
                }
                _ => {}
            }
        }
    }

    fn answer(&self, number: usize) -> Option<Step> {
        let own = &self.sentinels[number];
        if self.is_strange(number) {
            return Some(Step::Foreign(number));
        }
        if !own.alive || !own.linked {
            return None;
        }
        let silent = |answer| Some(Step::Silent { sentinel: number, answer });
        if !own.monitors {
            return silent(Answer::Unknown);
        }
        if !own.answers {
            return silent(Answer::Refused("NOPERM".to_owned()));
        }
        let failover = own.lead.as_ref().map(|lead| Failover {
            state: match lead.stage {
                Stage::WaitStart => "wait_start",
                Stage::Select => "select_slave",
                Stage::Send => "send_slaveof_noone",
                Stage::WaitPromotion => "wait_promotion",
                Stage::Reconfigure => "reconf_slaves",
            },
            forced: lead.forced,
            chosen: lead.chosen,
            votes: lead.votes.iter().map(|(voter, epoch)| (*voter, number, *epoch)).collect(),
        });
        let down = own.down_since.is_some_and(|since| self.now >= since);
        let (node, epoch) = (own.names, Some(own.epoch));
        let told = Told { node, epoch, down, failover, lists: true };
        Some(Step::Names { sentinel: number, told })
    }

    fn verification(&self, number: usize) -> Step {
        let verification = match self.nodes.get(number) {
            Some(own) if own.alive && own.of.is_none() => {
                Verification::Master { origin: self.identity(number).origin }
            }
            Some(own) if own.alive => Verification::NotMaster { role: "slave".to_owned() },
            _ => Verification::Failed { reason: "refused".to_owned() },
        };
        Step::Verified { node: number, verification }
    }

    fn identity(&self, number: usize) -> Identity {
        let own = &self.nodes[number];
        let origin = Origin {
            run_id: Some(format!("r{number}-{}", own.run)),
            replid: Some(format!("h{}", own.history)),
            former: own.former.map(|former| format!("h{former}")),
        };
        let standing = match own.of {
            None => Standing::Master,
            Some(of) => {
                let master = &self.nodes[of];
                let linked = master.alive && master.history == own.history;
                Standing::Replica { of: Some(node(of)), linked }
            }
        };
        Identity { standing, origin }
    }

    /// Returns true when another deployment's sentinel answers there.
    fn is_strange(&self, number: usize) -> bool {
        self.court.sentinels[number].voice == Voice::Strange
    }

    fn is_watched(&self, number: usize) -> bool {
        number < NODES && self.court.nodes[number].watched.is_some()
    }

    /// The connections to a node end, and are made anew if it lives.
    pub(super) fn cut(&mut self, number: usize) {
        if !self.is_watched(number) {
            return;
        }
        let (delay, back) = (self.dice.between(1, 3), self.dice.between(3, 30));
        let gone = Step::Node { node: number, report: Report::Gone };
        self.send(delay, Parcel::Now(Box::new(gone)));
        let back = if self.dice.percent(10) { 250 } else { back };
        self.send(back, Parcel::Role(number));
    }

    /// A node changed without its connections being cut: its next ROLE tells.
    pub(super) fn changed(&mut self, number: usize) {
        let delay = match self.court.nodes[number].watched {
            Some(Pace::Close) => self.dice.between(1, 10),
            Some(Pace::Brisk) => self.dice.between(50, 250),
            _ => self.dice.between(100, 1000),
        };
        self.send(delay, Parcel::Role(number));
    }

    pub(super) fn promote(&mut self, number: usize) {
        self.histories += 1;
        let history = self.histories;
        let own = &mut self.nodes[number];
        (own.of, own.former, own.history) = (None, Some(own.history), history);
    }

    /// A node becomes a replica of another one, as far as both live.
    pub(super) fn demote(&mut self, number: usize, of: usize) {
        let history = self.nodes[of].history;
        let own = &mut self.nodes[number];
        if number == of || !own.alive || own.of == Some(of) {
            return;
        }
        (own.of, own.history, own.former) = (Some(of), history, None);
        self.cut(number);
    }

    /// A sentinel publishes something.
    pub(super) fn publish(&mut self, number: usize, channel: &str, payload: String) {
        let own = &self.sentinels[number];
        if own.alive && own.linked && own.monitors && !self.dice.percent(self.loss) {
            let delay = self.dice.between(1, 4);
            let (channel, payload) = (channel.to_owned(), payload.into_bytes());
            let heard = Step::Hears { sentinel: number, channel, payload };
            self.send(delay, Parcel::Now(Box::new(heard)));
        }
    }
}
