//! What the court holds a machine to.

use std::time::{Duration, Instant};

use crate::event::{Evidence, FenceReason};

use super::{
    super::SwitchOn,
    court::{Court, Served, Voice, Witness, number_of},
    step::node,
};

const PATIENCE: Duration = Duration::from_secs(3);
const FENCE_TIMEOUT: Duration = Duration::from_secs(3);
const CONFIRM_WITHIN: Duration = Duration::from_millis(1500);
/// A sentinel asks every second, and the cut may be late.
const CUT: Duration = Duration::from_millis(1_260);
const PULL_PATIENCE: Duration = Duration::from_millis(50);

impl Court {
    /// Whether what the sentinels and the node said is reason enough for this switch.
    pub(super) fn judge(&self, to: usize, epoch: Option<u64>, evidence: &Evidence) {
        let (proof, _) = self.nodes[to].proof.as_ref().expect("ROLE said master");
        assert!(self.now <= *proof + Duration::from_secs(1), "an old proof");
        let Some(served) = &self.served else {
            assert!(self.naming(to).next().is_some(), "nobody names {to}");
            assert!(matches!(evidence, Evidence::Start { .. }));
            return;
        };
        assert_ne!(served.node, to);
        // What the present master is named with counts first: it may raise its epoch.
        let (held, _) = self.epoch_of(served);
        let insisted = |named: Instant| self.now >= named.max(served.since) + PATIENCE;
        let served = &Served { epoch: held, ..served.clone() };
        if epoch < held {
            assert!(matches!(evidence, Evidence::Insistence { .. }), "{evidence}");
        }
        let eager = matches!(evidence, Evidence::Promotion { .. } | Evidence::Ordered { .. });
        assert!(!eager || self.switch_on == SwitchOn::Promotion, "{evidence}");
        let one = matches!(evidence, Evidence::Confirmation { .. } | Evidence::Unnumbered { .. });
        assert!(!one || self.switch_on != SwitchOn::Announcement, "{evidence}");
        if one || eager {
            assert!(self.nodes[to].quarantine.is_none(), "back to {to} without a majority");
        }
        let certain = self.unconfirmed.is_none_or(|own| own.perhaps);
        assert!(!one || certain, "{evidence}, though nobody is confirmed");
        let origin = self.nodes[to].proof.as_ref().map(|(_, origin)| origin);
        let continues = origin.is_some_and(|origin| {
            let told = [&origin.replid, &origin.former];
            let known = [&self.history, &self.confirmed_history];
            told.into_iter().any(|told| told.is_some() && known.contains(&told))
        });
        // No other sentinel can list the only one.
        let alone = self.known() == 1;
        assert!(
            !one || self.listed || alone || continues,
            "{evidence}, which no sentinel vouches for"
        );
        match evidence {
            Evidence::Start { .. } => panic!("a second start"),
            Evidence::Insistence { .. } => {
                let named = self.nodes[to].named.expect("a majority for the past");
                assert!(insisted(named), "no patience for {to}");
            }
            Evidence::Announcement { .. } => {
                let newer = |own: &Option<u64>| own.is_none() || *own >= held;
                let newer = self.naming(to).filter(newer).count();
                assert!(self.is_majority(newer), "no majority for {to}");
            }
            Evidence::Confirmation { sentinel } => {
                let voice = self.sentinels[number_of(sentinel)].voice;
                assert_eq!(voice, Voice::Names(to, epoch));
                assert!(held.is_some() && epoch > held, "{epoch:?} is no news after {held:?}");
                // A claim without a voucher does not block one that has some.
                let counts = |number: usize| {
                    self.is_vouched(number) || !self.is_vouched(number_of(sentinel))
                };
                let rival = |own: &Witness| matches!(own.voice, Voice::Names(other, own) if other != to && own >= epoch);
                let mut rivals =
                    (0..self.sentinels.len()).filter(|number| rival(&self.sentinels[*number]));
                assert!(!rivals.any(counts), "another one at {epoch:?}");
                assert!(self.leaders(served).count() < 2, "{evidence} in a contest");
            }
            Evidence::Unnumbered { sentinel } => {
                let voice = self.sentinels[number_of(sentinel)].voice;
                assert!(matches!(voice, Voice::Names(named, _) if named == to), "{voice:?}");
            }
            Evidence::Promotion { leader, votes, of } => {
                let leader = number_of(leader);
                self.judge_promotion(served, to, leader);
                let told = self.sentinels[leader].told.as_ref().expect("an answer");
                let failover = told.failover.as_ref().expect("a failover");
                assert!(!failover.forced);
                let voters = |at: u64| {
                    let is_known = |voter: &usize| {
                        self.sentinels.get(*voter).is_some_and(|own| own.voice != Voice::Outside)
                    };
                    let others = failover.votes.iter().filter(|(voter, for_whom, epoch)| {
                        is_known(voter) && *voter != leader && (*for_whom, *epoch) == (leader, at)
                    });
                    1 + others.count()
                };
                let epoch = epoch.expect("an epoch");
                let alone = self.sentinels.len() == 1 || self.known() == 1;
                assert!(served.epoch.is_none_or(|held| epoch > held), "{epoch} is not newer");
                assert_eq!(*of, self.known());
                assert!(alone || *votes == voters(epoch), "{votes} of {failover:?}");
                assert!(self.is_majority(*votes), "elected by {votes} of {of}");
            }
            Evidence::Ordered { leader, of } => {
                let leader = number_of(leader);
                self.judge_promotion(served, to, leader);
                assert_eq!(*of, self.known());
                let fact = self.nodes[to].fact.expect("a fact");
                let known = self.sentinels.iter().filter(|own| own.voice != Voice::Outside);
                let missing = known.filter(|own| own.told_asked.is_none_or(|asked| asked < fact));
                assert_eq!(missing.count(), 0, "somebody was not asked after the fact");
                let told = self.sentinels[leader].told.as_ref().expect("an answer");
                assert!(told.failover.as_ref().is_some_and(|failover| failover.forced));
            }
        }
    }

    /// The epoch of the master that is served, at least and at most. A majority that goes on naming it
    /// may have lowered it.
    pub(super) fn epoch_of(&self, served: &Served) -> (Option<u64>, Option<u64>) {
        let told = self.naming(served.node).max().flatten();
        let most = told.max(served.epoch);
        let insisted = |named: Instant| self.now >= named.max(served.since) + PATIENCE;
        let lowered = self.nodes[served.node].named.is_some_and(insisted);
        (if lowered { told } else { most }, most)
    }

    /// One leader that chose this node, as answered to questions from after the fact, and a history
    /// that continues the master's.
    fn judge_promotion(&self, served: &Served, to: usize, leader: usize) {
        let own = &self.nodes[to];
        let fact = own.fact.expect("it says that it is a master");
        let recent = |asked: Instant| asked >= fact && self.now <= asked + Duration::from_secs(2);
        let since = |witness: &Witness| witness.told_asked.is_some_and(recent);
        let leaders: Vec<usize> =
            self.leaders(served).filter(|number| since(&self.sentinels[*number])).collect();
        assert_eq!(leaders, [leader], "who leads");
        let told = self.sentinels[leader].told.as_ref().expect("an answer");
        let failover = told.failover.as_ref().expect("a failover");
        assert_eq!(failover.chosen, Some(to));
        let late = self.sentinels.iter().any(|own| {
            !matches!(own.voice, Voice::Away | Voice::Outside | Voice::Strange) && !since(own)
        });
        assert!(!late || self.now >= fact + PULL_PATIENCE, "an answer was not waited for");
        let former = own.origin.former.as_ref().expect("a history");
        let known = [&self.history, &self.confirmed_history];
        assert!(
            known.iter().any(|known| known.as_ref() == Some(former)),
            "{to} continues {former}, not one of {known:?}"
        );
    }

    /// The sentinels that lead a failover of the master that is served, as they answered.
    fn leaders<'a>(&'a self, served: &'a Served) -> impl Iterator<Item = usize> + 'a {
        self.sentinels.iter().enumerate().filter_map(move |(number, own)| {
            let told = own.told.as_ref().filter(|told| told.epoch.is_some())?;
            let failover = told.failover.as_ref().filter(|failover| failover.leads())?;
            let past = told.node == served.node || told.epoch < served.epoch;
            (!failover.has_promoted() || !past).then_some(number)
        })
    }

    /// Time has passed, and the machine was woken whenever it wished: it must have missed nothing.
    pub(super) fn check_wakes(&self) {
        if let Some((reason, since)) = &self.fence {
            let stood = self.now - *since;
            match reason {
                FenceReason::Replacing { .. } => {
                    assert!(stood <= FENCE_TIMEOUT || self.is_replaced(), "{stood:?}");
                }
                FenceReason::Cut => assert!(stood <= CUT, "{stood:?}"),
                FenceReason::Unconfirmed | FenceReason::LostMajority => {}
            }
        }
        let reason = self.fence.as_ref().map(|(reason, _)| reason);
        let held = matches!(reason, Some(FenceReason::Unconfirmed | FenceReason::LostMajority));
        if let Some(own) = self.unconfirmed.filter(|own| !held && !own.perhaps) {
            assert!(self.now <= own.since + CONFIRM_WITHIN, "held late");
        }
        let before = self.now.checked_sub(Duration::from_millis(1)).expect("a moment ago");
        let waits = matches!(reason, Some(FenceReason::LostMajority));
        assert!(
            self.served.is_none() || waits || !self.is_silent(before),
            "a silence went unnoticed"
        );
    }

    /// Whether fewer than a majority answered a question of the time before, where that matters.
    fn is_silent(&self, at: Instant) -> bool {
        let Some(after) = self.after else { return false };
        let known = self.sentinels.iter().filter(|own| own.voice != Voice::Outside);
        let heard = known.filter(|own| own.proved.unwrap_or(self.start) + after > at);
        self.known() > 0 && !self.is_majority(heard.count())
    }

    /// What has to hold whenever the machine has done all that it wants.
    pub(super) fn review(&mut self) {
        let wake = self.machine.next_wake().expect("a wake-up");
        assert!(wake > self.now, "it is due now");
        assert!(wake <= self.now + Duration::from_secs(10), "it oversleeps");
        let Some(served) = &mut self.served else {
            assert!(self.fence.is_none() && !self.doubtful);
            return;
        };
        let master = self.machine.master.as_ref().expect("a master");
        assert_eq!((&master.address, master.generation), (&node(served.node), self.generation));
        served.epoch = master.epoch;
        self.review_confirmation();
        self.review_majority();
        let Some((reason, since)) = &self.fence else { return };
        let stood = self.now - *since;
        match reason {
            FenceReason::Replacing { by } => {
                // Its deadline leads back to no master that a majority has replaced.
                let late = stood >= FENCE_TIMEOUT;
                assert!(!late || self.is_replaced(), "replaced by {by} for {stood:?}");
                self.tally.outlasted += u64::from(late);
                let served = self.served.as_ref().map(|served| node(served.node));
                assert_ne!(Some(by), served.as_ref());
            }
            FenceReason::Cut => assert!(stood < CUT, "{stood:?}"),
            FenceReason::Unconfirmed => assert!(self.unconfirmed.is_some(), "it is confirmed"),
            FenceReason::LostMajority => assert!(self.lost.is_some() && self.after.is_some()),
        }
    }

    /// A switch at the fact is confirmed by the first word for it; commands wait when it is late, and
    /// when its leader is lost.
    fn review_confirmation(&mut self) {
        let (Some(own), Some(served)) = (&mut self.unconfirmed, &self.served) else { return };
        let names_it = |witness: &&Witness| {
            witness.told_asked.is_some_and(|asked| asked >= own.since)
                && matches!(witness.voice, Voice::Names(named, _) if named == served.node)
        };
        // One that is behind the master before knows nothing of it.
        let newer = |witness: &Witness, before: Option<u64>| {
            let newer = |epoch: Option<u64>| epoch.is_none() || epoch > before;
            matches!(witness.voice, Voice::Names(_, epoch) if newer(epoch))
        };
        let (least, most) = own.before;
        let naming: Vec<&Witness> = self.sentinels.iter().filter(names_it).collect();
        let known = self.sentinels.iter().filter(|own| own.voice != Voice::Outside).count();
        if naming.iter().any(|witness| newer(witness, most)) || naming.len() * 2 > known {
            self.unconfirmed = None;
            self.confirmed_history.clone_from(&self.history);
            self.tally.confirmed += 1;
            return;
        }
        own.perhaps |= naming.iter().any(|witness| newer(witness, least));
        if own.perhaps {
            return;
        }
        assert!(self.doubtful, "nobody confirmed it");
        let lost = matches!(self.sentinels[own.leader].voice, Voice::Away | Voice::Strange);
        if own.held || lost || self.now >= own.since + CONFIRM_WITHIN {
            let reason = self.fence.as_ref().map(|(reason, _)| reason);
            assert!(
                matches!(reason, Some(FenceReason::Unconfirmed | FenceReason::LostMajority)),
                "held by {reason:?}"
            );
            self.tally.held += u64::from(!own.held);
            own.held = true;
        }
    }

    /// While a majority is silent there is doubt, and where that is wished commands wait, until a
    /// majority names the master.
    fn review_majority(&mut self) {
        let silent = self.is_silent(self.now);
        let waits = matches!(self.fence, Some((FenceReason::LostMajority, _)));
        assert!(!silent || waits, "a majority is silent, and commands do not wait");
        assert!(!silent || self.doubtful, "a majority is silent, and nobody doubts");
        let (Some(lost), Some(served)) = (self.lost, &self.served) else { return };
        let names = |own: &&Witness| {
            own.told_asked.is_some_and(|asked| asked >= lost)
                && matches!(own.voice, Voice::Names(named, _) if named == served.node)
        };
        let back = !silent && self.is_majority(self.sentinels.iter().filter(names).count());
        assert!(!waits || !back, "a majority is back, and commands wait");
    }
}
