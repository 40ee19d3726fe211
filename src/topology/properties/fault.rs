//! What goes wrong in a cluster.

use super::{
    cluster::Cluster,
    dice::Dice,
    failover::{Sentinel, Stage},
    step::{SENTINELS, Step, Theme},
};

/// Something that goes wrong, or is ordered, or is over again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The present master dies; a minute later it would be back.
    Kill,
    /// No sentinel reaches the present master, which goes on.
    Isolate,
    /// A sentinel is ordered to fail over.
    Order,
    /// Two are, at once; they choose differently if they can.
    OrderTwo,
    Coordinate,
    /// A replica restarts.
    Restart,
    /// An operator makes a replica a master.
    Promote,
    /// The link to a sentinel ends, and is back.
    Unlink(usize),
    /// A sentinel dies, and is back.
    Crash(usize),
    /// A sentinel dies, and one of another deployment takes its address.
    TakeOver(usize),
    /// Whoever has just promoted a node dies.
    CrashLeader,
    /// A sentinel does not reach the others.
    Part(usize),
    /// All links but one end.
    ShutIn(usize),
    Refuse(usize),
    Remove(usize),
    /// The links to the nodes end, and are back.
    CutNodes,
    /// Something that is not so.
    Lie,
    /// All that went wrong is over.
    Heal,
}

impl Fault {
    /// Some of them, the last one first, within so many milliseconds.
    pub(super) fn some(dice: &mut Dice, lies: bool) -> Vec<(u64, Fault)> {
        let cause = *dice.pick(&[
            Fault::Kill,
            Fault::Kill,
            Fault::Isolate,
            Fault::Order,
            Fault::Order,
            Fault::OrderTwo,
            Fault::Coordinate,
        ]);
        let at = dice.between(400, 800);
        let mut faults = vec![(at, cause)];
        for _ in 0..dice.below(4) {
            let number = dice.below(SENTINELS);
            let fault = match dice.below(16) {
                0 => Fault::Kill,
                1 => Fault::Order,
                2 => Fault::Restart,
                3 => Fault::Promote,
                4 => Fault::Unlink(number),
                5 => Fault::Crash(number),
                6..9 => Fault::CrashLeader,
                9 => Fault::Part(number),
                10 => Fault::ShutIn(number),
                11 => Fault::Refuse(number),
                12 => Fault::Remove(number),
                13 | 14 => Fault::TakeOver(number),
                _ => Fault::CutNodes,
            };
            faults.push((at + dice.between(0, 2_500), fault));
            if dice.percent(40) {
                faults.push((at + dice.between(500, 4_000), Fault::Heal));
            }
        }
        for _ in 0..if lies { 2 + dice.below(8) } else { 0 } {
            faults.push((at + dice.between(0, 2_000), Fault::Lie));
        }
        faults.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        faults
    }
}

impl Cluster {
    pub(super) fn strike(&mut self, fault: Fault) {
        let count = self.sentinels.len();
        let master = self.master();
        match fault {
            Fault::Kill => self.kill(master),
            Fault::Isolate => self.nodes[master].reached = false,
            Fault::Order => {
                let number = self.dice.below(count);
                self.order(number, false, None);
            }
            Fault::OrderTwo => {
                self.order(0, false, Some(1));
                if count > 1 {
                    self.order(1, false, Some(2));
                }
            }
            Fault::Coordinate => {
                let number = self.dice.below(count);
                self.order(number, true, None);
            }
            Fault::Restart => {
                let number = self.dice.below(self.nodes.len());
                self.nodes[number].run += 1;
                self.cut(number);
            }
            Fault::Promote => {
                let number = self.dice.below(self.nodes.len());
                if self.nodes[number].of.is_some() {
                    self.promote(number);
                    self.cut(number);
                }
            }
            Fault::Unlink(number) => {
                self.unlink(number % count);
                if self.dice.percent(50) {
                    self.relink(number % count);
                }
            }
            Fault::Crash(number) => self.crash(number % count),
            Fault::TakeOver(number) => {
                let number = number % count;
                self.crash(number);
                if self.court.served.is_some() && self.sentinels[number].linked {
                    self.tell(Step::Taken(number));
                }
            }
            Fault::CrashLeader => {
                let promoting = |own: &Sentinel| {
                    own.lead.as_ref().is_some_and(|lead| {
                        matches!(lead.stage, Stage::Send | Stage::WaitPromotion)
                    })
                };
                if let Some(leader) = self.sentinels.iter().position(promoting) {
                    self.crash(leader);
                }
            }
            Fault::Part(number) => self.sentinels[number % count].joined = false,
            Fault::ShutIn(number) => {
                for other in (0..count).filter(|other| *other != number % count) {
                    self.unlink(other);
                }
            }
            Fault::Refuse(number) => self.sentinels[number % count].answers = false,
            Fault::Remove(number) => {
                let own = &mut self.sentinels[number % count];
                (own.monitors, own.lead) = (false, None);
            }
            Fault::CutNodes => {
                for number in 0..self.nodes.len() {
                    self.cut(number);
                }
            }
            Fault::Lie => {
                let step = match self.dice.percent(40) {
                    true => Theme::any(&mut self.dice).step(&mut self.dice),
                    false => Step::any(&mut self.dice, count),
                };
                // Time is the cluster's.
                match step {
                    Step::Pass(_) => {}
                    Step::Names { sentinel, .. } if sentinel >= count => {}
                    step => self.tell(step),
                }
            }
            Fault::Heal => self.heal(),
        }
    }

    /// Whom most sentinels name.
    pub(super) fn master(&self) -> usize {
        let votes = |node| self.sentinels.iter().filter(|own| own.names == node).count();
        (0..self.nodes.len()).max_by_key(|node| votes(*node)).expect("a node")
    }

    fn kill(&mut self, number: usize) {
        self.cut(number);
        self.nodes[number].alive = false;
        let generation = self.court.generation;
        self.tell(Step::Trouble(generation));
    }

    fn unlink(&mut self, number: usize) {
        let own = &mut self.sentinels[number];
        if std::mem::replace(&mut own.linked, false) && own.alive {
            self.tell(Step::Down(number));
        }
    }

    fn relink(&mut self, number: usize) {
        let own = &mut self.sentinels[number];
        if !std::mem::replace(&mut own.linked, true) && own.alive {
            self.tell(Step::Up(number));
        }
    }

    fn crash(&mut self, number: usize) {
        let own = &mut self.sentinels[number];
        own.lead = None;
        if std::mem::replace(&mut own.alive, false) && own.linked {
            self.tell(Step::Down(number));
        }
    }

    pub(super) fn heal(&mut self) {
        for number in 0..self.sentinels.len() {
            let own = &mut self.sentinels[number];
            (own.joined, own.answers, own.monitors) = (true, true, true);
            if !std::mem::replace(&mut own.alive, true) && own.linked {
                self.tell(Step::Up(number));
            }
            self.relink(number);
        }
        for number in 0..self.nodes.len() {
            let own = &mut self.nodes[number];
            own.reached = true;
            if !std::mem::replace(&mut own.alive, true) {
                own.run += 1;
                self.cut(number);
            }
        }
    }
}
