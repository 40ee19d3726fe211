//! When to ask: often while anything is wrong, now and then while all is well, at once on a hint.

use std::time::{Duration, Instant};

use super::{
    Action,
    machine::Machine,
    roster::{Said, Sentinel},
};

/// A sentinel is not asked more often than this, whatever it publishes.
const QUERY_GAP: Duration = Duration::from_millis(5);

/// After the whole was asked at once, it is not asked so again within this time.
pub(super) const ASK_ALL_GAP: Duration = Duration::from_millis(10);

/// A query that was not answered for this long is sent again.
const QUERY_LOST: Duration = Duration::from_secs(1);

impl Sentinel {
    /// Asks as soon as may be: after the query that is under way, which may have been answered
    /// before what we know now.
    pub(super) fn ask_soon(&mut self, now: Instant) {
        if !self.is_up() {
            return;
        }
        if self.asking.is_some() {
            self.again = true;
        } else {
            self.next_poll = Some(self.asked.map_or(now, |asked| (asked + QUERY_GAP).max(now)));
        }
    }

    /// Asks at once, however shortly after the last answer.
    pub(super) fn ask_now(&mut self, now: Instant) {
        self.ask_soon(now);
        if self.asking.is_none() && self.is_up() {
            self.next_poll = Some(now);
        }
        self.at_once = self.asking.is_some();
    }

    fn due(&self) -> Option<Instant> {
        if !self.is_up() {
            return None;
        }
        match self.asking {
            Some(asked) => Some(asked + QUERY_LOST),
            None => self.next_poll,
        }
    }
}

impl Machine {
    pub(super) fn ask_all(&mut self, now: Instant) {
        for sentinel in &mut self.roster.sentinels {
            sentinel.ask_soon(now);
        }
    }

    /// What is wrong, in short words; nothing when all is well.
    pub(super) fn troubles(&self, now: Instant) -> Vec<&'static str> {
        let mut troubles = Vec::new();
        if self.started.is_none() {
            return troubles;
        }
        let electorate = self.electorate();
        let up = || self.roster.sentinels.iter().filter(|sentinel| sentinel.speaks());
        let mut add = |wrong: bool, word| {
            if wrong {
                troubles.push(word);
            }
        };
        add(self.master.is_none(), "no master");
        add(self.candidate.is_some(), "candidate");
        add(self.is_reported(now), "reported");
        add(self.doubt.unconfirmed.is_some(), "unconfirmed");
        add(self.master_is_down(), "master down");
        add(up().any(|sentinel| sentinel.failing_over), "failover");
        let differs = self.master.as_ref().is_some_and(|master| {
            electorate.claims.iter().any(|claim| claim.address != master.address)
        });
        add(differs || up().any(|sentinel| sentinel.said == Said::Moving), "disagreement");
        add(self.deliberation.is_insisted(), "insistence");
        add(self.roster.has_strangers(), "stranger");
        if electorate.known == 0 {
            add(true, "unknown service");
        } else {
            add(electorate.claims.len() < electorate.majority(), "minority");
        }
        troubles
    }

    /// Whether nothing is wrong, as far as is known: nobody has told of a failover.
    pub(crate) fn is_calm(&self) -> bool {
        self.last.is_some_and(|now| self.troubles(now).is_empty())
    }

    pub(super) fn is_reported(&self, now: Instant) -> bool {
        self.reported.is_some_and(|until| now < until)
    }

    pub(super) fn master_is_down(&self) -> bool {
        let Some(master) = &self.master else {
            return false;
        };
        self.roster
            .sentinels
            .iter()
            .filter(|sentinel| sentinel.speaks())
            .filter_map(|sentinel| sentinel.master_down.as_ref())
            .any(|down| self.same_node(down, &master.address))
    }

    /// Sends the queries that are due, and sets when the next ones are.
    pub(super) fn poll(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let troubled = !self.troubles(now).is_empty();
        let began = troubled && self.troubled_since.is_none();
        self.troubled_since = troubled.then(|| self.troubled_since.unwrap_or(now));
        let count = self.roster.sentinels.len() as u32;
        let pause = match self.troubled_since {
            Some(since) if now < since + self.rules.troubled_burst => self.rules.troubled_poll,
            _ => self.rules.lasting_poll,
        };
        let calm = self.rules.calm_poll;
        let started = self.started.unwrap_or(now);
        for (index, sentinel) in self.roster.sentinels.iter_mut().enumerate() {
            let soon = sentinel.asked.map_or(now, |asked| asked + pause).max(now);
            if began {
                sentinel.next_poll = sentinel.next_poll.map(|next| next.min(soon));
            }
            if sentinel.is_up() && sentinel.asking.is_none() && sentinel.next_poll.is_none() {
                let slot = started + calm * index as u32 / count;
                sentinel.next_poll = Some(if troubled { soon } else { after(now, slot, calm) });
            }
            if sentinel.due().is_some_and(|due| now >= due) {
                sentinel.asking = Some(now);
                sentinel.asked = Some(now);
                sentinel.next_poll = None;
                actions.push(Action::Query { sentinel: sentinel.address.clone() });
            }
        }
    }

    /// When to pass [`super::Input::Tick`] at the latest; `None` before the start.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.started?;
        let now = self.last?;
        let grace = self.master.is_none().then(|| self.deliberation.grace_ends(&self.rules));
        let retry = self.candidate.as_ref().map(|candidate| {
            match self.verifying.get(&candidate.accepted.address) {
                Some(since) => candidate.retry.max(*since + self.rules.verify_lost),
                None => candidate.retry,
            }
        });
        let fades = self.reported;
        let disagreeing = self
            .disagreeing
            .filter(|(_, told)| !told)
            .map(|(since, _)| since + self.rules.lower_epoch_patience);
        let times = self
            .roster
            .sentinels
            .iter()
            .filter_map(Sentinel::due)
            .chain(grace.flatten().filter(|ends| *ends > now))
            .chain(retry)
            .chain(fades.filter(|fades| *fades > now))
            .chain(disagreeing)
            .chain(self.next_deadline(now))
            .chain(self.next_doubt(now))
            .chain(self.next_cut(now))
            .chain(self.next_pull())
            .chain(self.patience_ends(now))
            .chain(self.next_survey(now))
            .chain(self.next_admission(&self.rules))
            .chain(self.roster.next_farewell(&self.rules));
        times.chain([now + self.rules.calm_poll]).min()
    }
}

/// The first instant after `now` in a series that starts at `slot` and comes every `step`.
fn after(now: Instant, slot: Instant, step: Duration) -> Instant {
    if now < slot || step.is_zero() {
        return slot.max(now);
    }
    let over = (now - slot).as_nanos() % step.as_nanos();
    now + (step - Duration::from_nanos(over as u64))
}
