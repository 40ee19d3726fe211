//! From an acceptance to a switch: the address has to say itself that it is a master.

use std::time::{Duration, Instant};

use crate::{
    address::Address,
    event::{Event, Evidence, Source},
    policy::SwitchOn,
};

use super::{
    Action, Identity, Origin, Standing, Verification,
    agreement::{Acceptance, Descent, Held},
    evidence::{Lack, Snapshot, Verdict, Witness, verdict},
    machine::{Candidate, Machine, Proof},
    roster::Sentinel,
};

/// A verification counts for this long. The connection it was made on is then still at hand.
pub(super) const PROOF_HOLDS: Duration = Duration::from_secs(1);

/// An answer says how things are for this long, when a promotion is judged by it.
const ANSWER_HOLDS: Duration = Duration::from_secs(2);

/// Messages cause at most one verification in this time.
const EARLY_GAP: Duration = Duration::from_millis(10);

/// The reason why an address that one sentinel names is not followed.
const FOREIGN: &str =
    "no majority of the sentinels names it, and its replication history is not that of the master";

/// So many run ids are remembered.
const RUN_IDS: usize = 256;

impl Machine {
    /// A replica that was promoted by right, as the sentinels' answers of that moment prove.
    fn promotion(&mut self, now: Instant, actions: &mut Vec<Action>) -> Option<Acceptance> {
        if self.rules.switch_on != SwitchOn::Promotion {
            return None;
        }
        let held = self.master.as_ref()?.epoch;
        for (address, at, descends) in self.facts() {
            let (sentinel, epoch, evidence) = match self.judge(now, &address, at, descends, held) {
                Verdict::Elected { leader, epoch, votes, of } => {
                    let evidence = Evidence::Promotion { leader: leader.clone(), votes, of };
                    (leader, Some(epoch), evidence)
                }
                // Its epoch is at least the next one.
                Verdict::Ordered { leader, of } => {
                    let evidence = Evidence::Ordered { leader: leader.clone(), of };
                    (leader, held.map(|held| held + 1), evidence)
                }
                Verdict::Open(lack) => {
                    self.not_proven(now, &address, lack, actions);
                    self.ask_since_it_spoke(now, &address, lack);
                    continue;
                }
            };
            let descent = Descent::Free;
            return Some(Acceptance { address, epoch, evidence, sentinel, descent });
        }
        None
    }

    fn judge(
        &self,
        now: Instant,
        address: &Address,
        at: Instant,
        descends: Option<bool>,
        epoch: Option<u64>,
    ) -> Verdict {
        // Of two that led at once, the one that still does need not be the one that won.
        let elsewhere = |own: &&Sentinel| {
            own.view.as_ref().is_some_and(|view| {
                view.epoch > epoch
                    && !self.is_served(&view.address)
                    && !self.same_node(&view.address, address)
            })
        };
        if self.roster.voters().any(|own| elsewhere(&own)) {
            return Verdict::Open(Lack::OneLeader);
        }
        let since = now.checked_sub(ANSWER_HOLDS).map_or(at, |recent| recent.max(at));
        let witnesses = self.roster.voters().map(|own| Witness {
            sentinel: &own.address,
            run_id: own.run_id.as_deref(),
            linked: own.speaks(),
            view: own.answered_since(since),
            finished: self.has_finished(own),
        });
        let snapshot = Snapshot {
            witnesses: witnesses.collect(),
            epoch,
            descends,
            patience_over: now >= at + self.rules.pull_patience,
        };
        verdict(&snapshot, |other| self.same_node(other, address))
    }

    /// Whether the failover that this sentinel still leads is the one that made the master that is
    /// served, or one before. It may take minutes to reconfigure the replicas, while another one
    /// leads the next.
    fn has_finished(&self, sentinel: &Sentinel) -> bool {
        let promoted = sentinel.view.as_ref().filter(|view| view.has_promoted());
        let (Some(view), Some(master)) = (promoted, &self.master) else { return false };
        let older = view.epoch.is_some() && view.epoch < master.epoch;
        older || self.same_node(&view.address, &master.address)
    }

    /// Weighs what the sentinels say, and pursues what follows.
    pub(super) fn follow(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.proofs.retain(|_, proof| now < proof.at + PROOF_HOLDS);
        // A switch, or the insight that two addresses are one node, changes what the same answers
        // mean. Either happens once for each address, so this ends; the bound is for certainty.
        for _ in 0..8 {
            self.collect_aliases();
            let leads = |own: &&&Sentinel| own.speaks() && own.leads() && !self.has_finished(own);
            let leaders = self.roster.members().iter().filter(leads).count();
            self.contested = leaders > 1 || (self.contested && leaders > 0);
            let electorate = self.electorate();
            let quarantined: Vec<Address> =
                self.nodes.quarantined().map(|own| self.spelled(own, &electorate)).collect();
            let troubled = self.is_reported(now) || self.master_is_down();
            let held = self.master.as_ref().map(|master| Held {
                address: &master.address,
                epoch: master.epoch,
                troubled,
                left: self.left.as_ref(),
                unconfirmed: self.doubt.unconfirmed.is_some(),
                quarantined: &quarantined,
            });
            let decision = self.deliberation.decide(now, &self.rules, &electorate, held);
            if let Some(master) = &mut self.master {
                master.epoch = decision.epoch;
            }
            // The same answers may have raised the epoch that a promotion has to surpass.
            let promoted = self.promotion(now, actions);
            if !self.pursue(now, promoted.or(decision.accept), actions) {
                return;
            }
        }
    }

    /// Returns whether the same answers have to be weighed again.
    fn pursue(
        &mut self,
        now: Instant,
        accept: Option<Acceptance>,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(accepted) = accept else {
            self.candidate = None;
            return false;
        };
        let (address, descent) = (accepted.address.clone(), accepted.descent);
        match &mut self.candidate {
            Some(candidate) if candidate.accepted.address == address => {
                candidate.accepted = accepted;
            }
            _ => {
                self.candidate = Some(Candidate {
                    accepted,
                    retry: now,
                    delay: self.rules.verify_retry,
                    reason: None,
                });
            }
        }
        if let Some(proof) = self.proofs.get(&address).cloned() {
            let follows = match descent {
                Descent::Free => true,
                Descent::Likely => {
                    self.nodes.continues(&proof.origin) != Some(false) || self.is_heard_of(&address)
                }
                Descent::Proven => self.nodes.continues(&proof.origin) == Some(true),
            };
            if follows {
                self.switch(now, proof, actions);
                return true;
            }
            self.is_foreign(now, address, actions);
            return false;
        }
        let due = self.candidate.as_ref().is_some_and(|candidate| now >= candidate.retry);
        if due && self.is_idle(now, &address) {
            self.verify(now, address, actions);
        }
        false
    }

    /// Returns true when another sentinel than the one that names this address lists it, or when it was
    /// the master before.
    fn is_heard_of(&self, address: &Address) -> bool {
        let by = self.candidate.as_ref().map(|candidate| &candidate.accepted.sentinel);
        let others = self.roster.sentinels.iter().filter(|own| Some(&own.address) != by);
        let mut listed = others.flat_map(|own| own.replicas.iter()).map(|own| &own.address);
        listed.any(|own| self.same_node(own, address))
            || self.left.as_ref().is_some_and(|left| self.same_node(left, address))
    }

    /// Handles a master, named by one sentinel, that seems to have data of its own. It is asked again after
    /// a while: a later report may show whose data it continues.
    fn is_foreign(&mut self, now: Instant, address: Address, actions: &mut Vec<Action>) {
        self.proofs.remove(&address);
        let pause = self.rules.lasting_poll;
        self.put_off(now, address, pause, FOREIGN.to_owned(), actions);
    }

    /// A message names this address: have its connection ready when the sentinels' answers come.
    pub(super) fn verify_early(
        &mut self,
        now: Instant,
        address: &Address,
        actions: &mut Vec<Action>,
    ) {
        let own = |known: Option<&Address>| known.is_some_and(|own| self.same_node(own, address));
        if own(self.master.as_ref().map(|master| &master.address))
            || own(self.candidate.as_ref().map(|candidate| &candidate.accepted.address))
            || self.proofs.contains_key(address)
            || !self.is_idle(now, address)
            || self.verified_early.is_some_and(|last| now < last + EARLY_GAP)
        {
            return;
        }
        self.verified_early = Some(now);
        self.verify(now, address.clone(), actions);
    }

    fn verify(&mut self, now: Instant, address: Address, actions: &mut Vec<Action>) {
        self.verifying.insert(address.clone(), now);
        actions.push(Action::Verify { address });
    }

    /// Verifies the master that is served, after its address was found to have another history, and
    /// once a majority of the known sentinels has named it since.
    pub(super) fn verify_again(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(since) = self.history_in_doubt.filter(|_| self.candidate.is_none()) else {
            return;
        };
        let Some(address) = self.master.as_ref().map(|master| master.address.clone()) else {
            return;
        };
        if self.named_by_most_since(since).is_some() && self.is_idle(now, &address) {
            self.verify(now, address, actions);
        }
    }

    /// The master that is served was verified while its history was in doubt.
    fn accept_history(&mut self, address: &Address, origin: &Origin, actions: &mut Vec<Action>) {
        if self.master.as_ref().is_none_or(|master| master.address != *address) {
            return;
        }
        let Some(since) = self.history_in_doubt.take() else { return };
        if self.candidate.is_none() && self.named_by_most_since(since).is_some() {
            let (address, origin) = (address.clone(), origin.clone());
            actions.push(Action::AcceptHistory { address, origin });
        }
    }

    /// Whether no verification is under way, or one that must have been lost.
    fn is_idle(&self, now: Instant, address: &Address) -> bool {
        self.verifying.get(address).is_none_or(|since| now >= *since + self.rules.verify_lost)
    }

    pub(super) fn verified(
        &mut self,
        now: Instant,
        address: Address,
        verification: Verification,
        actions: &mut Vec<Action>,
    ) {
        self.verifying.remove(&address);
        let reason = match verification {
            Verification::Master { origin } => {
                self.accept_history(&address, &origin, actions);
                self.proven(now, &address, origin, actions);
                return;
            }
            Verification::NotMaster { role } => {
                if self.master.as_ref().is_some_and(|master| master.address == address) {
                    self.history_in_doubt = None;
                    self.reported = self.reported.max(Some(now + self.rules.trouble_fades));
                    self.ask_all(now);
                }
                format!("it is no master, its role is {role}")
            }
            Verification::Failed { reason } => {
                // The next connection that is refused has it verified again.
                if self.master.as_ref().is_some_and(|master| master.address == address) {
                    self.history_in_doubt = None;
                }
                reason
            }
        };
        self.proofs.remove(&address);
        self.put_off(now, address, Duration::ZERO, reason, actions);
    }

    /// The candidate did not do: tries again after its delay, and after so long at least.
    fn put_off(
        &mut self,
        now: Instant,
        address: Address,
        least: Duration,
        reason: String,
        actions: &mut Vec<Action>,
    ) {
        let most = self.rules.verify_retry_max;
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        if candidate.accepted.address != address {
            return;
        }
        candidate.retry = now + candidate.delay.max(least);
        candidate.delay = (candidate.delay * 2).min(most);
        if candidate.reason.as_ref() != Some(&reason) {
            candidate.reason = Some(reason.clone());
            let source = Source::Node(address.clone());
            actions.push(Action::Report(Event::NotVerified { at: now, source, address, reason }));
        }
    }

    fn proven(
        &mut self,
        now: Instant,
        address: &Address,
        origin: Origin,
        actions: &mut Vec<Action>,
    ) {
        self.remember_run_id(address, origin.run_id.as_ref());
        match &mut self.master {
            // The same address as before: at most the process is another one.
            Some(master) if master.address == *address => master.run_id.clone_from(&origin.run_id),
            _ => {
                let proof = Proof { at: now, origin: origin.clone() };
                self.proofs.insert(address.clone(), proof);
            }
        }
        let identity = Identity { standing: Standing::Master, origin };
        if self.candidate.as_ref().is_none_or(|own| own.accepted.address != *address) {
            self.says(now, address, identity, actions);
        } else {
            // It is no news, but a promotion also has to be proven by what is told here.
            self.nodes.identify(address, identity);
        }
    }

    pub(super) fn remember_run_id(&mut self, address: &Address, run_id: Option<&String>) {
        if self.run_ids.get(address) == run_id {
            return;
        }
        self.roster.changed = true;
        if self.run_ids.len() >= RUN_IDS {
            self.run_ids.clear();
        }
        match run_id {
            Some(id) => self.run_ids.insert(address.clone(), id.clone()),
            None => self.run_ids.remove(address),
        };
    }
}
