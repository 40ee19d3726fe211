//! What the sentinels of a cluster do: notice, elect, choose, promote, tell.

use super::{
    cluster::Cluster,
    step::{about, about_master, about_switch},
};

/// Where a failover is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stage {
    WaitStart,
    Select,
    Send,
    WaitPromotion,
    Reconfigure,
}

/// A failover that a sentinel leads, or hopes to.
#[derive(Clone, Debug)]
pub(super) struct Lead {
    pub(super) stage: Stage,
    due: u64,
    pub(super) started: u64,
    epoch: u64,
    pub(super) forced: bool,
    coordinated: bool,
    pub(super) chosen: Option<usize>,
    /// A node that it must not choose, so that two that are ordered at once differ.
    avoid: Option<usize>,
    pub(super) votes: Vec<(usize, u64)>,
}

#[derive(Clone, Debug)]
pub(super) struct Sentinel {
    pub(super) alive: bool,
    /// It reaches the other sentinels.
    pub(super) joined: bool,
    /// There is a link to it.
    pub(super) linked: bool,
    pub(super) answers: bool,
    pub(super) monitors: bool,
    pub(super) names: usize,
    pub(super) epoch: u64,
    current: u64,
    voted: u64,
    pub(super) down_since: Option<u64>,
    retry: u64,
    pub(super) lead: Option<Lead>,
}

impl Sentinel {
    pub(super) fn new() -> Sentinel {
        Sentinel {
            alive: true,
            joined: true,
            linked: true,
            answers: true,
            monitors: true,
            names: 0,
            epoch: 1,
            current: 1,
            voted: 1,
            down_since: None,
            retry: 0,
            lead: None,
        }
    }
}

impl Cluster {
    fn peers(&self, number: usize) -> Vec<usize> {
        let joined = |other: &usize| self.sentinels[*other].alive && self.sentinels[*other].joined;
        let own = self.sentinels[number].joined;
        (0..self.sentinels.len()).filter(|other| own && *other != number).filter(joined).collect()
    }

    /// One turn of a sentinel's timer.
    pub(super) fn act(&mut self, number: usize) {
        if !self.sentinels[number].alive {
            return;
        }
        self.learn(number);
        let master = self.sentinels[number].names;
        let up = self.nodes[master].alive && self.nodes[master].reached;
        // One that says that it is a replica is given more time.
        let now = self.now;
        let odd = self.nodes[master].of.map(|_| now + 2_000);
        let own = &mut self.sentinels[number];
        own.down_since = own.down_since.filter(|_| !up || odd.is_some());
        if !up || odd.is_some() {
            own.down_since = own.down_since.or(odd.filter(|_| up)).or(Some(now));
        }
        if let Some(lead) = own.lead.clone() {
            self.lead(number, lead);
            return;
        }
        let is_down = |own: &Sentinel| own.down_since.is_some_and(|since| now >= since + 300);
        let agree = self.peers(number).into_iter().filter(|peer| is_down(&self.sentinels[*peer]));
        let enough = (1 + agree.count()) * 2 > self.sentinels.len();
        if is_down(&self.sentinels[number]) && enough && now >= self.sentinels[number].retry {
            self.publish(number, "+odown", format!("{} #quorum 2/2", about_master(master)));
            self.stand(number);
        }
    }

    /// Takes over what a peer knows better.
    fn learn(&mut self, number: usize) {
        for peer in self.peers(number) {
            let (names, epoch) = (self.sentinels[peer].names, self.sentinels[peer].epoch);
            let own = &mut self.sentinels[number];
            if epoch > own.epoch {
                let old = own.names;
                (own.names, own.epoch, own.lead, own.down_since) = (names, epoch, None, None);
                own.current = own.current.max(epoch);
                self.publish(number, "+switch-master", about_switch(old, names));
            }
        }
        // Who replicates another than the sentinels' master is told otherwise after a while.
        let master = self.sentinels[number].names;
        if self.nodes[master].of.is_none() && self.dice.percent(3) {
            let idle = self.sentinels[number].lead.is_none();
            let idle = idle && self.nodes[master].alive;
            for other in 0..self.nodes.len() {
                if idle && self.nodes[other].alive && self.nodes[other].reached {
                    self.demote(other, master);
                }
            }
        }
    }

    /// Asks the others to be elected.
    fn stand(&mut self, number: usize) {
        let master = self.sentinels[number].names;
        let peers = self.peers(number);
        let known = peers.iter().map(|peer| self.sentinels[*peer].current).max().unwrap_or(0);
        let epoch = known.max(self.sentinels[number].current) + 1;
        let votes = peers.into_iter().filter(|peer| self.sentinels[*peer].voted < epoch);
        let votes: Vec<(usize, u64)> = votes.map(|peer| (peer, epoch)).collect();
        for (peer, _) in &votes {
            let peer = &mut self.sentinels[*peer];
            (peer.current, peer.voted) = (epoch, epoch);
        }
        let own = &mut self.sentinels[number];
        (own.current, own.voted) = (epoch, epoch);
        own.lead = Some(Lead {
            stage: Stage::WaitStart,
            due: self.now + 50,
            started: self.now,
            epoch,
            forced: false,
            coordinated: false,
            chosen: None,
            avoid: None,
            votes,
        });
        self.publish(number, "+try-failover", about_master(master));
    }

    /// `SENTINEL FAILOVER`: nobody votes, unless it is a coordinated one.
    pub(super) fn order(&mut self, number: usize, coordinated: bool, avoid: Option<usize>) {
        if !self.sentinels[number].alive || self.sentinels[number].lead.is_some() {
            return;
        }
        self.stand(number);
        if let Some(lead) = &mut self.sentinels[number].lead {
            (lead.forced, lead.coordinated, lead.avoid) = (!coordinated, coordinated, avoid);
            if !coordinated {
                lead.votes.clear();
            }
        }
    }

    fn lead(&mut self, number: usize, mut lead: Lead) {
        if self.now < lead.due {
            return;
        }
        let old = self.sentinels[number].names;
        lead.due = self.now + self.dice.between(40, 90);
        let late = self.now >= lead.started + 2_000;
        match (lead.stage, lead.chosen) {
            (Stage::WaitStart, _) => {
                if lead.forced || (1 + lead.votes.len()) * 2 > self.sentinels.len() {
                    lead.stage = Stage::Select;
                } else if late {
                    return self.give_up(number, "not-elected");
                }
            }
            (Stage::Select, _) => {
                let good = (0..self.nodes.len()).filter(|other| {
                    let node = &self.nodes[*other];
                    *other != old && Some(*other) != lead.avoid && node.alive && node.reached
                });
                let good: Vec<usize> = good.collect();
                if good.is_empty() {
                    return self.give_up(number, "no-good-slave");
                }
                let chosen = *self.dice.pick(&good);
                (lead.chosen, lead.stage) = (Some(chosen), Stage::Send);
                self.choices.insert((number, chosen));
                self.publish(number, "+selected-slave", about(chosen, old));
            }
            (Stage::Send, Some(chosen)) => {
                if self.nodes[chosen].alive && self.nodes[chosen].reached {
                    self.promote(chosen);
                    if lead.coordinated && self.nodes[old].alive {
                        let history = self.nodes[chosen].history;
                        let node = &mut self.nodes[old];
                        (node.of, node.history, node.former) = (Some(chosen), history, None);
                        self.changed(old);
                        self.changed(chosen);
                    } else {
                        lead.coordinated = false;
                        self.cut(chosen);
                    }
                    lead.stage = Stage::WaitPromotion;
                    lead.due = self.now + self.dice.between(50, 900);
                    self.publish(number, "+failover-state-wait-promotion", about(chosen, old));
                } else if late {
                    return self.give_up(number, "slave-timeout");
                }
            }
            (Stage::WaitPromotion, Some(chosen)) => {
                let node = &self.nodes[chosen];
                if node.alive && node.reached && node.of.is_none() {
                    if lead.coordinated {
                        self.cut(chosen);
                    }
                    let own = &mut self.sentinels[number];
                    (own.names, own.epoch, own.down_since) = (chosen, lead.epoch, None);
                    lead.stage = Stage::Reconfigure;
                    lead.due = self.now + self.dice.between(200, 3_000);
                    self.publish(number, "+promoted-slave", about(chosen, old));
                } else if late {
                    return self.give_up(number, "slave-timeout");
                }
            }
            (Stage::Reconfigure, Some(chosen)) => {
                self.sentinels[number].lead = None;
                self.publish(number, "+failover-end", about_master(old));
                self.publish(number, "+switch-master", about_switch(old, chosen));
                if self.nodes[chosen].alive {
                    for other in 0..self.nodes.len() {
                        self.demote(other, chosen);
                    }
                }
                return;
            }
            _ => unreachable!("a choice"),
        }
        self.sentinels[number].lead = Some(lead);
    }

    fn give_up(&mut self, number: usize, why: &str) {
        let master = self.sentinels[number].names;
        let own = &mut self.sentinels[number];
        own.lead = None;
        own.retry = self.now + 1_000 + 700 * number as u64;
        self.publish(number, &format!("-failover-abort-{why}"), about_master(master));
    }
}
