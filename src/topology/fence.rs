//! When commands wait: while the master is being replaced, while it is not confirmed for too long,
//! and, where that is wished, while a majority of the sentinels is silent.

use std::time::{Duration, Instant};

use crate::{
    address::Address,
    event::{Event, FenceEnd, FenceReason, Source},
    policy::OnLostMajority,
};

use super::{
    Action,
    answer::View,
    machine::Machine,
    roster::{Said, Sentinel},
};

/// How often a sentinel that leads a failover asks a replica for INFO.
const INFO_PERIOD: Duration = Duration::from_secs(1);

/// The fence before a cut goes up so long before it is due, and stands so long after: the sentinel's
/// timer ticks every 52 to 100 ms.
const CUT_LEAD: Duration = Duration::from_millis(25);
const CUT_PATIENCE: Duration = Duration::from_millis(500);

/// The fence as it stands.
#[derive(Clone, Debug)]
pub(super) struct Fence {
    pub(super) reason: FenceReason,
    since: Instant,
}

/// A replica that a sentinel chose in the failover that it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) leader: Address,
    pub(super) node: Address,
}

/// A master that is about to be replaced.
#[derive(Debug)]
pub(super) struct Replacing {
    pub(super) choice: Choice,
    pub(super) until: Instant,
}

/// What commands wait for, and what they may have to wait for.
#[derive(Debug, Default)]
pub(super) struct Holding {
    pub(super) fence: Option<Fence>,
    /// The choice of a successor that was reported last, …
    told: Option<Choice>,
    /// … the one that commands wait for, …
    pub(super) replacing: Option<Replacing>,
    /// … and the one that they waited for in vain.
    spent: Option<Choice>,
    /// When the connections to the master will be cut, from and until.
    pub(super) cut: Option<(Instant, Instant)>,
}

impl Holding {
    /// The fence as it stands, for a machine that is rebuilt; one that waits for a successor ends
    /// at the deadline if nothing else ends it.
    pub(super) fn kept(&self, deadline: Instant) -> Holding {
        let replacing = self.replacing.as_ref().map(|own| {
            let until = own.until.min(deadline);
            Replacing { choice: own.choice.clone(), until }
        });
        Holding { fence: self.fence.clone(), replacing, cut: self.cut, ..Holding::default() }
    }
}

impl Machine {
    /// Raises or lifts the fence as what is known demands.
    pub(super) fn hold(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let end = self.replace(now, actions);
        let wanted = self.reason_to_hold(now);
        match (&self.holding.fence, wanted) {
            (None, Some(reason)) => self.raise(now, reason, now, actions),
            (Some(fence), Some(reason)) if fence.reason != reason => {
                let since = fence.since;
                self.raise(now, reason, since, actions);
            }
            (Some(fence), None) => {
                let end = match fence.reason {
                    FenceReason::Replacing { .. } => end.unwrap_or(FenceEnd::Aborted),
                    FenceReason::Unconfirmed => FenceEnd::Confirmed,
                    FenceReason::Cut => FenceEnd::Cut,
                    FenceReason::LostMajority => FenceEnd::MajorityBack,
                };
                actions.push(Action::Unfence);
                self.lifted(now, end, actions);
            }
            _ => {}
        }
    }

    fn raise(
        &mut self,
        now: Instant,
        reason: FenceReason,
        since: Instant,
        actions: &mut Vec<Action>,
    ) {
        actions.push(Action::Fence { reason: reason.clone() });
        self.raised(now, reason, since, actions);
    }

    fn raised(
        &mut self,
        now: Instant,
        reason: FenceReason,
        since: Instant,
        actions: &mut Vec<Action>,
    ) {
        let source = match (&reason, &self.holding.replacing) {
            (FenceReason::Replacing { .. }, Some(replacing)) => {
                Source::Sentinel(replacing.choice.leader.clone())
            }
            _ => Source::Factory,
        };
        self.holding.fence = Some(Fence { reason: reason.clone(), since });
        actions.push(Action::Report(Event::FenceRaised { at: now, source, reason }));
    }

    fn lifted(&mut self, now: Instant, end: FenceEnd, actions: &mut Vec<Action>) {
        if let Some(fence) = self.holding.fence.take() {
            let stood = now - fence.since;
            let source = Source::Factory;
            actions.push(Action::Report(Event::FenceLifted { at: now, source, end, stood }));
        }
    }

    /// A new master is served: says whether commands have to wait on that one too.
    pub(super) fn fence_of_the_next(&mut self, now: Instant) -> Option<FenceReason> {
        self.holding.spent = None;
        // Two failovers at once: another sentinel may have chosen another node meanwhile.
        let choice = self.choice().filter(|_| self.rules.fence);
        let until = now + self.rules.fence_timeout;
        self.holding.replacing = choice.map(|choice| Replacing { choice, until });
        self.reason_to_hold(now)
    }

    /// As [`Machine::hold`], for a switch that has been ordered with this fence.
    pub(super) fn held_over(
        &mut self,
        now: Instant,
        next: Option<FenceReason>,
        actions: &mut Vec<Action>,
    ) {
        self.lifted(now, FenceEnd::Switched, actions);
        if let Some(reason) = next {
            self.raised(now, reason, now, actions);
        }
    }

    fn reason_to_hold(&self, now: Instant) -> Option<FenceReason> {
        self.master.as_ref()?;
        if self.doubt.majority_lost.is_some()
            && self.rules.on_lost_majority != OnLostMajority::Serve
        {
            return Some(FenceReason::LostMajority);
        }
        if self.doubt.unconfirmed.as_ref().is_some_and(|unconfirmed| unconfirmed.held) {
            return Some(FenceReason::Unconfirmed);
        }
        if self.holding.cut.is_some_and(|(from, until)| now >= from && now < until) {
            return Some(FenceReason::Cut);
        }
        let replacing = self.holding.replacing.as_ref()?;
        Some(FenceReason::Replacing { by: replacing.choice.node.clone() })
    }

    /// Follows the choice of a successor: from the moment it is told to the switch, the abort or the
    /// deadline, neither of which counts while a majority names another master. A leader that is lost
    /// may have promoted it all the same.
    fn replace(&mut self, now: Instant, actions: &mut Vec<Action>) -> Option<FenceEnd> {
        let choice = self.choice();
        if let Some(choice) =
            choice.as_ref().filter(|choice| self.holding.told.as_ref() != Some(*choice))
        {
            actions.push(Action::Report(Event::Chosen {
                at: now,
                source: Source::Sentinel(choice.leader.clone()),
                node: choice.node.clone(),
            }));
        }
        self.holding.told.clone_from(&choice);
        // A link that ends and comes back makes no new choice of an old one.
        if self.holding.spent != choice
            && let Some(spent) = &self.holding.spent
            && (choice.is_some() || self.gave_up(spent))
        {
            self.holding.spent = None;
        }
        let replaced = self.is_replaced();
        if let Some(replacing) = &mut self.holding.replacing {
            if now >= replacing.until && !replaced {
                self.holding.spent =
                    self.holding.replacing.take().map(|replacing| replacing.choice);
                return Some(FenceEnd::Deadline);
            }
            if let Some(choice) = choice {
                replacing.choice = choice;
            } else if !replaced
                && self.holding.replacing.as_ref().is_some_and(|own| self.gave_up(&own.choice))
            {
                self.holding.replacing = None;
                return Some(FenceEnd::Aborted);
            }
        } else if let Some(choice) = self.holding.spent.take_if(|_| replaced) {
            // They had hardly begun to name it when the deadline came.
            self.holding.replacing = Some(Replacing { choice, until: now });
        } else if let Some(choice) =
            choice.filter(|_| self.rules.fence && self.holding.spent.is_none())
        {
            self.holding.replacing =
                Some(Replacing { choice, until: now + self.rules.fence_timeout });
        }
        None
    }

    /// Whether a majority of the known sentinels names another master than the one that is served,
    /// which is then followed as soon as it says itself that it is one. Two that replaced the same
    /// master at once make each one's choice a replica of the other's, and none of them takes writes
    /// for some 20 s. What the old master acknowledges meanwhile is lost, so no deadline and no abort
    /// of one of them leads back to it. The fence then ends with the switch, or when the majority
    /// names the old master again or is heard no longer; no time bounds it, for nothing makes those
    /// writes safe. Commands that wait have deadlines of their own.
    fn is_replaced(&self) -> bool {
        let electorate = self.electorate();
        electorate
            .addresses()
            .into_iter()
            .any(|named| !self.is_served(named) && electorate.count(named) >= electorate.majority())
    }

    /// When the fence comes down unless a majority stands against that.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        self.holding.replacing.as_ref().map(|own| own.until).filter(|until| *until > now)
    }

    /// When the sentinel that promoted this node without cutting its connections will cut them: it
    /// does when it asks for INFO, a second after the last time, and learns of the promotion.
    pub(super) fn expect_cut(&mut self, node: &Address, leader: &Address) {
        let quiet = self.nodes.watched.get(node).is_some_and(|node| node.quiet);
        let leader = self.roster.get(leader).filter(|_| quiet && self.rules.fence);
        self.holding.cut = leader.and_then(|leader| {
            let replicas = leader.view.as_ref()?.replicas.as_ref()?;
            let asked = replicas.iter().find(|own| self.same_node(&own.address, node))?;
            let ago = Duration::from_millis(asked.info_refresh?);
            let due = leader.view_asked? + INFO_PERIOD.saturating_sub(ago);
            Some((due - CUT_LEAD, due + CUT_PATIENCE))
        });
    }

    /// When the fence before a cut goes up or comes down.
    pub(super) fn next_cut(&self, now: Instant) -> Option<Instant> {
        let (from, until) = self.holding.cut?;
        [from, until].into_iter().find(|at| *at > now)
    }

    /// Whether the sentinel that made this choice says that nothing came of it. A leader that names
    /// the node has promoted it, and one that is lost may have.
    fn gave_up(&self, choice: &Choice) -> bool {
        let leader = self.roster.get(&choice.leader).filter(|own| own.speaks());
        leader.filter(|own| own.said != Said::Nothing).is_some_and(|own| {
            let names_it = |view: &View| self.same_node(&view.address, &choice.node);
            !own.view.as_ref().is_some_and(names_it) || !self.is_about_ours(own, choice)
        })
    }

    /// Who is to replace the master that is served, according to whoever leads.
    fn choice(&self) -> Option<Choice> {
        self.master.as_ref()?;
        let up = self.roster.sentinels.iter().filter(|own| own.speaks());
        up.filter_map(|own| {
            let node = own.chosen()?.clone();
            Some((own, Choice { leader: own.address.clone(), node }))
        })
        .find(|(own, choice)| !self.is_served(&choice.node) && self.is_about_ours(own, choice))
        .map(|(_, choice)| choice)
    }

    /// Whether the failover is one of the master that is served. A leader that has promoted its choice
    /// names it for as long as it reconfigures the replicas. Of two that replaced the same master at
    /// once both may carry that out, in one epoch: then each makes the other's choice a replica.
    fn is_about_ours(&self, leader: &Sentinel, choice: &Choice) -> bool {
        let (Some(view), Some(master)) = (&leader.view, &self.master) else { return true };
        let promoted = self.same_node(&view.address, &choice.node);
        !promoted || view.epoch.is_none() || view.epoch >= master.epoch
    }
}
