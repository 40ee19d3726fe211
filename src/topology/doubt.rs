//! Whether the master that is served will stay: not before a sentinel confirmed a promotion, and not
//! while a majority of the sentinels is silent.

use std::time::Instant;

use crate::{
    address::Address,
    event::{Event, Source},
    policy::OnLostMajority,
};

use super::{
    Action,
    machine::Machine,
    roster::{Link, Sentinel},
};

/// A switch that rests on a promotion alone.
#[derive(Clone, Debug)]
pub(super) struct Unconfirmed {
    pub(super) since: Instant,
    /// The sentinel that promoted it, and will be the first to say so.
    pub(super) leader: Address,
    /// The epoch of the master before it.
    pub(super) before: Option<u64>,
    /// Commands wait until it is confirmed: for good, once begun.
    pub(super) held: bool,
}

/// What is open about the master that is served.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// While it rests on its promotion alone.
    pub(super) unconfirmed: Option<Unconfirmed>,
    /// Since when a majority of the sentinels has been silent, until one names the master again.
    pub(super) majority_lost: Option<Instant>,
    /// The driver was told of a doubt, and of no trust since.
    pub(super) told: bool,
}

impl Machine {
    /// Looks whether what was in doubt is settled, and whether anything has come into doubt.
    pub(super) fn settle_doubt(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let confirmed = self.confirm(now);
        let back = self.count_the_heard(now, actions);
        let doubtful = self.doubt.unconfirmed.is_some() || self.doubt.majority_lost.is_some();
        match (self.doubt.told, doubtful) {
            (false, true) => {
                // A switch starts in doubt; a silence began when the majority was last heard.
                let majority = self.doubt.majority_lost.map(|_| self.electorate().majority());
                let majority = majority.filter(|_| self.doubt.unconfirmed.is_none());
                actions.push(Action::Doubt { majority });
            }
            (true, false) => {
                let source = confirmed.map_or(Source::Factory, Source::Sentinel);
                actions.push(Action::Trust { source });
            }
            _ => {}
        }
        self.doubt.told = doubtful;
        if back && !doubtful {
            self.nodes.confirm();
        }
    }

    /// Returns the sentinel that confirms the master now.
    fn confirm(&mut self, now: Instant) -> Option<Address> {
        let unconfirmed = self.doubt.unconfirmed.as_ref()?;
        let (since, leader) = (unconfirmed.since, unconfirmed.leader.clone());
        // One that is behind the master before knows nothing of who came after it.
        let newer = |epoch: Option<u64>| epoch.is_none() || epoch > unconfirmed.before;
        let names_it = |own: &&Sentinel| {
            own.answered_since(since)
                .is_some_and(|view| newer(view.epoch) && self.is_served(&view.address))
        };
        let by = self.roster.sentinels.iter().find(names_it).map(|own| own.address.clone());
        let by = by.or_else(|| self.named_by_most_since(since));
        if by.is_some() {
            self.doubt.unconfirmed = None;
            self.nodes.confirm();
            return by;
        }
        let leader = self.roster.get(&leader);
        // Lost, or it no longer leads and does not name what it promoted either.
        let gone = leader.is_none_or(|own| !own.speaks());
        let gave_up = leader
            .and_then(|own| own.answered_since(since))
            .is_some_and(|view| view.leads().is_none());
        let late = now >= since + self.rules.confirm_within;
        let contested = self.contested;
        if let Some(unconfirmed) = &mut self.doubt.unconfirmed {
            unconfirmed.held |= gone || gave_up || late || contested;
        }
        None
    }

    /// One of a majority of the known sentinels that has named the master since then.
    pub(super) fn named_by_most_since(&self, since: Instant) -> Option<Address> {
        let voters: Vec<&Sentinel> = self.roster.voters().collect();
        let names_it = |own: &&&Sentinel| {
            own.answered_since(since).is_some_and(|view| self.is_served(&view.address))
        };
        let naming = voters.iter().filter(names_it).count();
        let one = voters.iter().find(names_it).filter(|_| naming > voters.len() / 2);
        one.map(|own| own.address.clone())
    }

    /// Returns whether a majority is back that names the master.
    fn count_the_heard(&mut self, now: Instant, actions: &mut Vec<Action>) -> bool {
        let voters: Vec<&Sentinel> = self.roster.voters().collect();
        let of = voters.len();
        let heard = voters.iter().filter(|own| self.is_heard(now, own)).count();
        let silent = self.master.is_some() && of > 0 && heard <= of / 2;
        let source = Source::Factory;
        match self.doubt.majority_lost {
            None if silent => {
                self.doubt.majority_lost = Some(now);
                let event = Event::MajorityLost { at: now, source, heard, of };
                actions.push(Action::Report(event));
                false
            }
            Some(since) if !silent => {
                if self.named_by_most_since(since).is_none() {
                    return false;
                }
                self.doubt.majority_lost = None;
                let event = Event::MajorityRegained { at: now, source, heard, of };
                actions.push(Action::Report(event));
                true
            }
            _ => false,
        }
    }

    /// Whether this sentinel counts as heard: its link stands, or, where commands are to wait for
    /// it, it answered a question that was asked within the time.
    fn is_heard(&self, now: Instant, sentinel: &Sentinel) -> bool {
        match self.silent_from(sentinel) {
            Some(from) => now < from,
            None => sentinel.stranger.is_none() && !matches!(sentinel.link, Link::Down { .. }),
        }
    }

    /// When it will count as silent unless it answers.
    fn silent_from(&self, sentinel: &Sentinel) -> Option<Instant> {
        let OnLostMajority::Fence { after } = self.rules.on_lost_majority else { return None };
        let heard = sentinel.proved.or(self.started)?;
        Some(heard + after)
    }

    /// When doubt changes by itself.
    pub(super) fn next_doubt(&self, now: Instant) -> Option<Instant> {
        let late = self
            .doubt
            .unconfirmed
            .as_ref()
            .filter(|unconfirmed| !unconfirmed.held)
            .map(|unconfirmed| unconfirmed.since + self.rules.confirm_within);
        let silent = self.roster.sentinels.iter().filter_map(|own| self.silent_from(own));
        silent.filter(|from| *from > now).chain(late).min()
    }
}
