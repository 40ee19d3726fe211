//! What can happen to a machine, with sentinels and nodes by number, and any of it at random.

use super::{
    super::{
        Answer, Identity, Origin, Report, Standing, Verification,
        answer::{Flags, MasterFields, ReplicaFields, SentinelFields, View},
        shorthand::address,
    },
    dice::Dice,
};
use crate::address::Address;

/// At most so many sentinels take part …
pub(super) const SENTINELS: usize = 5;
/// … and so many nodes.
pub(super) const NODES: usize = 4;
/// The master of another deployment, which is no node of the case.
pub(super) const FOREIGN: usize = 8;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// So many milliseconds pass.
    Pass(u64),
    Up(usize),
    Down(usize),
    /// A sentinel of another deployment answers at the address of this one.
    Taken(usize),
    /// It names its own master, at an epoch that is higher.
    Foreign(usize),
    Names {
        sentinel: usize,
        told: Told,
    },
    /// It answers without naming a master.
    Silent {
        sentinel: usize,
        answer: Answer,
    },
    Verified {
        node: usize,
        verification: Verification,
    },
    Node {
        node: usize,
        report: Report,
    },
    Hears {
        sentinel: usize,
        channel: String,
        payload: Vec<u8>,
    },
    Trouble(u64),
    Refresh,
}

/// What a sentinel tells that names a master.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) node: usize,
    pub(super) epoch: Option<u64>,
    pub(super) down: bool,
    pub(super) failover: Option<Failover>,
    /// Whether it lists replicas and sentinels.
    pub(super) lists: bool,
}

/// The failover that a sentinel shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failover {
    pub(super) state: &'static str,
    pub(super) forced: bool,
    pub(super) chosen: Option<usize>,
    /// Who voted, for whom, in which epoch.
    pub(super) votes: Vec<(usize, usize, u64)>,
}

impl Failover {
    pub(super) fn leads(&self) -> bool {
        self.state != "wait_start"
    }

    pub(super) fn has_promoted(&self) -> bool {
        matches!(self.state, "reconf_slaves" | "update_config")
    }
}

pub(super) fn node(number: usize) -> Address {
    thread_local! {
        static NAMES: Vec<Address> =
            (1..=FOREIGN + 1).map(|number| address(&format!("n{number}"))).collect();
    }
    NAMES.with(|names| names[number].clone())
}

pub(super) fn sentinel(number: usize) -> Address {
    thread_local! {
        static NAMES: Vec<Address> =
            (1..=SENTINELS).map(|number| address(&format!("s{number}"))).collect();
    }
    NAMES.with(|names| names[number].clone())
}

pub(super) fn run_id(sentinel: usize) -> String {
    format!("id{sentinel}")
}

impl Told {
    pub(super) fn plain(node: usize, epoch: Option<u64>) -> Told {
        Told { node, epoch, ..Told::default() }
    }

    /// As it would come over the wire, from the sentinel with this number of so many.
    pub(super) fn answer(&self, own: usize, sentinels: usize) -> Answer {
        let failover = self.failover.as_ref();
        let master = self.epoch.map(|_| self.master());
        let replicas = (0..NODES).filter(|_| self.lists).filter(|number| *number != self.node);
        let replicas = replicas.map(|number| {
            let chosen = failover.is_some_and(|failover| failover.chosen == Some(number));
            let flags = if chosen { vec!["promoted".to_owned()] } else { Vec::new() };
            replica(number, flags)
        });
        // The leader goes on listing the one that it promoted, beside the old master.
        let promoted = failover.and_then(|failover| failover.chosen);
        let promoted = promoted.filter(|chosen| self.lists && *chosen == self.node);
        let replicas =
            replicas.chain(promoted.map(|chosen| replica(chosen, vec!["promoted".to_owned()])));
        let sentinels = (0..sentinels).filter(|_| self.lists).filter(|number| *number != own);
        let sentinels = sentinels.map(|number| {
            let votes = failover.map_or(&[][..], |failover| &failover.votes);
            let vote = votes.iter().find(|(voter, ..)| *voter == number);
            SentinelFields {
                address: sentinel(number),
                run_id: Some(run_id(number)),
                flags: Flags::default(),
                voted_leader: vote.map(|(_, leader, _)| run_id(*leader)),
                voted_leader_epoch: vote.map(|(.., epoch)| *epoch),
            }
        });
        Answer::Names(Box::new(View {
            address: node(self.node),
            epoch: self.epoch,
            master,
            replicas: Some(replicas.collect()),
            sentinels: Some(sentinels.collect()),
        }))
    }

    fn master(&self) -> MasterFields {
        let mut flags = vec!["master".to_owned()];
        if self.down {
            flags.push("s_down".to_owned());
        }
        if let Some(failover) = &self.failover {
            flags.push("failover_in_progress".to_owned());
            if failover.forced {
                flags.push("force_failover".to_owned());
            }
        }
        MasterFields {
            address: node(self.node),
            run_id: None,
            flags: flags.iter().map(String::as_str).collect(),
            failover_state: self.failover.as_ref().map(|failover| failover.state.to_owned()),
            quorum: Some(2),
            down_after: None,
            failover_timeout: None,
        }
    }
}

fn replica(number: usize, flags: Vec<String>) -> ReplicaFields {
    ReplicaFields {
        address: node(number),
        run_id: None,
        flags: flags.iter().map(String::as_str).collect(),
        link_up: None,
        master: None,
        offset: None,
        priority: None,
        info_refresh: Some(500),
    }
}

/// Returns the answer of another deployment's sentinel at the address of this one.
pub(super) fn foreign(own: usize) -> Answer {
    let mut told = match Told::plain(FOREIGN, Some(50)).answer(own, 0) {
        Answer::Names(view) => view,
        other => return other,
    };
    told.replicas = Some([replica(FOREIGN - 1, Vec::new())].into());
    told.sentinels = Some(vec![SentinelFields {
        address: address("s9"),
        run_id: Some("x9".to_owned()),
        flags: Flags::default(),
        voted_leader: None,
        voted_leader_epoch: None,
    }]);
    Answer::Names(told)
}

impl Step {
    /// Anything, of so many sentinels.
    pub(super) fn any(dice: &mut Dice, sentinels: usize) -> Step {
        let sentinel = dice.below(sentinels);
        let node = dice.below(NODES);
        match dice.below(100) {
            0..14 => Step::Pass(match dice.below(40) {
                0 => 10_000,
                1..4 => dice.between(0, 2_000),
                4..20 => dice.between(0, 300),
                _ => dice.between(0, 40),
            }),
            14..20 => Step::Up(sentinel),
            20..23 => Step::Down(sentinel),
            23..52 => Step::Names { sentinel, told: told(dice, sentinels) },
            52..55 => {
                let refused = Answer::Refused("NOPERM".to_owned());
                let answer = dice.pick(&[Answer::Unknown, Answer::Moving, refused]).clone();
                Step::Silent { sentinel, answer }
            }
            55..70 => Step::Verified { node, verification: verification(dice, node) },
            70..86 => Step::Node { node, report: report(dice, node) },
            86..95 => Step::Hears { sentinel, channel: channel(dice), payload: payload(dice) },
            95..98 => Step::Trouble(dice.between(0, 4)),
            _ => Step::Refresh,
        }
    }
}

/// What a case returns to between its noise, so that proofs come about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Theme {
    /// A failover to a replica that this sentinel leads.
    Failover { leader: usize, chosen: usize, epoch: u64, forced: bool },
    /// Most sentinels name this node.
    Chorus { node: usize, epoch: u64 },
}

impl Theme {
    pub(super) fn any(dice: &mut Dice) -> Theme {
        match dice.percent(75) {
            true => Theme::Failover {
                leader: dice.below(3),
                chosen: 1 + dice.below(2),
                epoch: dice.between(2, 4),
                forced: dice.percent(40),
            },
            false => Theme::Chorus { node: dice.below(3), epoch: dice.between(0, 3) },
        }
    }

    pub(super) fn step(self, dice: &mut Dice) -> Step {
        match self {
            Theme::Failover { chosen, .. } => match dice.below(5) {
                0 => Step::Node { node: chosen, report: Report::Gone },
                1 => {
                    let (standing, origin) = (Standing::Master, promoted(chosen));
                    let report = Report::Says(Identity { standing, origin });
                    Step::Node { node: chosen, report }
                }
                2 => {
                    let verification = Verification::Master { origin: promoted(chosen) };
                    Step::Verified { node: chosen, verification }
                }
                _ => self.answer(dice),
            },
            Theme::Chorus { node, epoch } => match dice.below(8) {
                0 => Step::Pass(dice.between(200, 1_500)),
                1 => {
                    let verification = Verification::Master { origin: promoted(node) };
                    Step::Verified { node, verification }
                }
                _ => {
                    let told = Told { lists: true, ..Told::plain(node, Some(epoch)) };
                    Step::Names { sentinel: dice.below(3), told }
                }
            },
        }
    }

    /// What the leader answers, or one of those that follow.
    fn answer(self, dice: &mut Dice) -> Step {
        let Theme::Failover { leader, chosen, epoch, forced } = self else {
            return Step::Refresh;
        };
        let sentinel = dice.below(3);
        let mut told = Told { lists: true, ..Told::plain(0, Some(epoch - 1)) };
        if sentinel == leader {
            let votes = (0..SENTINELS).filter(|voter| *voter != leader && !forced);
            let votes = votes.map(|voter| (voter, leader, epoch)).collect();
            let chosen = Some(chosen);
            told.failover = Some(Failover { state: "wait_promotion", forced, chosen, votes });
        }
        Step::Names { sentinel, told }
    }
}

fn any_told(dice: &mut Dice) -> Told {
    Told {
        node: dice.below(NODES),
        epoch: (!dice.percent(12)).then(|| dice.between(0, 5)),
        down: dice.percent(30),
        failover: None,
        lists: dice.percent(60),
    }
}

fn told(dice: &mut Dice, sentinels: usize) -> Told {
    let failover = dice.percent(35).then(|| {
        let states = ["wait_start", "select_slave", "wait_promotion", "reconf_slaves"];
        let leader = dice.below(sentinels);
        let vote = |voter, dice: &mut Dice| {
            let leader = if dice.percent(70) { leader } else { dice.below(sentinels) };
            (voter, leader, dice.between(0, 6))
        };
        Failover {
            state: states[dice.below(states.len())],
            forced: dice.percent(40),
            chosen: dice.percent(80).then(|| dice.below(NODES)),
            votes: (0..sentinels).map(|voter| vote(voter, dice)).collect(),
        }
    });
    Told { failover, ..any_told(dice) }
}

/// The history that a node had before, and has since it was promoted.
fn promoted(node: usize) -> Origin {
    Origin {
        run_id: Some(format!("r{node}")),
        replid: Some(format!("h{node}")),
        former: Some("h0".to_owned()),
    }
}

fn origin(dice: &mut Dice, node: usize) -> Origin {
    let history = |dice: &mut Dice| dice.percent(80).then(|| format!("h{}", dice.below(3)));
    Origin {
        run_id: dice.percent(80).then(|| format!("r{node}{}", dice.pick(&["", "", "b"]))),
        replid: history(dice),
        former: history(dice),
    }
}

fn verification(dice: &mut Dice, node: usize) -> Verification {
    match dice.below(6) {
        0 => Verification::NotMaster { role: "slave".to_owned() },
        1 => Verification::Failed { reason: "refused".to_owned() },
        _ => Verification::Master { origin: origin(dice, node) },
    }
}

fn report(dice: &mut Dice, node: usize) -> Report {
    let standing = match dice.below(10) {
        0..3 => return Report::Gone,
        3..6 => {
            let of = dice.percent(90).then(|| self::node(dice.below(NODES)));
            Standing::Replica { of, linked: dice.percent(80) }
        }
        _ => Standing::Master,
    };
    Report::Says(Identity { standing, origin: origin(dice, node) })
}

pub(super) fn channel(dice: &mut Dice) -> String {
    let known = [
        "+switch-master",
        "+promoted-slave",
        "+selected-slave",
        "+selected-slave",
        "+failover-state-wait-promotion",
        "-role-change",
        "+try-failover",
        "+failover-end",
        "-failover-abort-no-good-slave",
        "-failover-abort-slave-timeout",
        "+sdown",
        "-sdown",
        "+odown",
        "+sentinel-address-switch",
        "+reboot",
        "+monitor",
        "+new-epoch",
        "+vote-for-leader",
        "+tilt",
    ];
    if dice.percent(5) {
        return (0..dice.below(12)).map(|_| char::from(dice.below(128) as u8)).collect();
    }
    (*dice.pick(&known)).to_owned()
}

/// Payloads that are right, cut short, and no text at all.
pub(super) fn payload(dice: &mut Dice) -> Vec<u8> {
    let words = [
        "mymaster",
        "master",
        "slave",
        "sentinel",
        "@",
        "10.0.1.2",
        "6379",
        "0",
        "99999",
        "::1",
        "",
        "#quorum",
        "new reported role is master",
    ];
    match dice.below(10) {
        0..7 => {
            let (old, new) = (dice.below(NODES), dice.below(NODES));
            let texts = [
                format!("mymaster {} {}", place(old), place(new)),
                format!("master mymaster {}", place(old)),
                about(new, old),
                about(new, old),
                format!("{} new reported role is master", about(new, old)),
            ];
            dice.pick(&texts).clone().into_bytes()
        }
        7..9 => {
            let words: Vec<&str> = (0..dice.below(9)).map(|_| *dice.pick(&words)).collect();
            words.join(" ").into_bytes()
        }
        _ => (0..dice.below(40)).map(|_| dice.below(256) as u8).collect(),
    }
}

fn place(number: usize) -> String {
    format!("10.0.1.{} 6379", number + 1)
}

/// How messages call a replica.
pub(super) fn about(replica: usize, master: usize) -> String {
    let place = place(replica);
    format!("slave {}:6379 {place} @ mymaster {}", node(replica).host(), self::place(master))
}

/// How messages call a master.
pub(super) fn about_master(master: usize) -> String {
    format!("master mymaster {}", place(master))
}

/// What `+switch-master` carries.
pub(super) fn about_switch(from: usize, to: usize) -> String {
    format!("mymaster {} {}", place(from), place(to))
}
