//! Strangers: sentinels that answer under the address of a known one and are not it.
//!
//! Addresses are reused. When a sentinel is gone for good, a sentinel of another deployment may get
//! its address, and that deployment may monitor a master under the same service name. Run ids tell the
//! two apart. The known sentinel keeps its place in every majority. The stranger in that place is asked,
//! and nothing that it says is used: no vote, no master, no message, no sentinel, no replica.
//!
//! A sentinel that lost its configuration has a new run id as well, by right. It is taken in when a
//! majority of the known sentinels vouches for it (each learns of it within 2 s), or when it names the
//! data of the factory: the master that is served, or a promoted node that continues its history.

use std::{sync::Arc, time::Instant};

use crate::address::Address;

use super::{
    Action, Rules,
    answer::View,
    machine::Machine,
    roster::{Change, Link, Roster, Said, Sentinel},
};

/// The process that answers in the place of a known sentinel.
#[derive(Clone, Debug)]
pub(super) struct Stranger {
    pub(super) run_id: String,
    /// The last answer that named a master, and when it was asked for.
    pub(super) view: Option<(View, Instant)>,
}

impl Sentinel {
    /// Returns true while the link is up and leads to the known sentinel.
    pub(super) fn speaks(&self) -> bool {
        self.is_up() && self.stranger.is_none()
    }

    /// Records the process that answers now, by the run id that it reported.
    pub(super) fn meet(&mut self, run_id: Option<String>, serving: bool) {
        let Some(run_id) = run_id else { return };
        // Configured sentinels are believed at the start; what others list may contradict them. Later
        // one that is new has to be vouched for like any other.
        let expected = match &self.run_id {
            Some(known) => *known == run_id || (self.seed && !serving),
            None => !serving,
        };
        if !expected {
            self.estrange(run_id);
        } else {
            self.run_id = Some(run_id);
            self.introduced = true;
        }
    }

    fn estrange(&mut self, run_id: String) {
        let view = self.view.take().zip(self.view_asked);
        let (asking, next_poll) = (self.asking, self.next_poll);
        self.silence();
        (self.asking, self.next_poll) = (asking, next_poll);
        self.said = Said::Stranger;
        self.stranger = Some(Stranger { run_id, view });
    }

    /// Forgets the sentinel of this place, which proved to be a stranger.
    fn expel(&mut self) {
        let Some(run_id) = self.run_id.take() else { return };
        self.replicas = Arc::default();
        self.others.clear();
        self.estrange(run_id);
    }

    /// The stranger is the sentinel of this place from now on.
    fn admit(&mut self) {
        let Some(Stranger { run_id, view }) = self.stranger.take() else { return };
        self.run_id = Some(run_id);
        self.introduced = true;
        self.said = Said::Nothing;
        if let Some((view, asked)) = view {
            self.proved = self.proved.max(Some(asked));
            self.said = Said::Names;
            self.take(view, asked, true);
        }
    }

    /// For the user.
    pub(super) fn strangeness(&self) -> String {
        let run_id = self.stranger.as_ref().map_or("unknown", |stranger| &stranger.run_id);
        format!(
            "a sentinel answers at this address that no majority of the known sentinels lists (run id \
             {run_id})"
        )
    }

    fn lists(&self, run_id: &str) -> bool {
        self.others.iter().any(|other| other.run_id.as_deref() == Some(run_id))
    }
}

impl Roster {
    pub(super) fn has_strangers(&self) -> bool {
        self.sentinels.iter().any(|own| own.stranger.is_some())
    }

    /// Returns true when a majority of the known sentinels vouches for the process in this place. That
    /// process counts as one of them, as a sentinel does when a leader is elected. Strangers do not
    /// vouch: the list of a place is the last list of its known sentinel.
    fn vouches(&self, voters: &[&Sentinel], place: &Sentinel) -> bool {
        // No other sentinel can vouch for the only one. An unchanged process suffices then.
        if voters.len() == 1 && place.stranger.is_none() {
            return true;
        }
        let told = match &place.stranger {
            Some(stranger) => Some(&stranger.run_id),
            None => place.run_id.as_ref().filter(|_| place.introduced),
        };
        let Some(run_id) = told else { return false };
        let listing = |own: &&&Sentinel| own.lists(run_id) && !self.same(own, place);
        let others = voters.iter().filter(listing).count();
        others > 0 && others + 1 > voters.len() / 2
    }

    /// Looks who is vouched for.
    fn vouch(&mut self) {
        let vouched: Vec<bool> = {
            let voters: Vec<&Sentinel> = self.voters().collect();
            self.sentinels.iter().map(|own| self.vouches(&voters, own)).collect()
        };
        for (own, vouched) in self.sentinels.iter_mut().zip(vouched) {
            own.vouched = vouched;
        }
    }

    /// At the start: a configured sentinel in whose place another one lists a different run id.
    fn contradicted(&self) -> Option<(Address, String)> {
        self.sentinels.iter().filter(|own| own.seed && own.introduced && !own.vouched).find_map(
            |own| {
                let told = own.run_id.as_deref()?;
                let places = self.places(own);
                let others = self.sentinels.iter().filter(|other| other.address != own.address);
                let listed = others.filter(|other| other.speaks()).flat_map(|other| &other.others);
                let another = listed
                    .filter(|listed| places.contains(&&listed.address))
                    .filter_map(|listed| listed.run_id.as_deref())
                    .find(|listed| *listed != told)?;
                Some((own.address.clone(), another.to_owned()))
            },
        )
    }

    /// Finds strangers among the configured sentinels, before a master is served. Lets go of the
    /// sentinels that only they list.
    fn find_strangers(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((address, expected)) = self.contradicted() {
            let Some(own) = self.get_mut(&address) else { break };
            own.expel();
            own.run_id = Some(expected);
            self.changed = true;
            changes.extend(self.cut());
            self.vouch();
        }
        changes
    }

    /// The first master is served: those that name another one belong here only if one that names it
    /// lists them, where any of those lists others.
    pub(super) fn take_sides(&mut self, is_served: impl Fn(&Address) -> bool) -> Vec<Change> {
        let ours = |own: &&Sentinel| own.view.as_ref().is_some_and(|view| is_served(&view.address));
        let ours: Vec<&Sentinel> = self.sentinels.iter().filter(ours).collect();
        if ours.iter().all(|own| own.others.is_empty()) {
            return Vec::new();
        }
        let others = self.sentinels.iter().filter(|own| own.introduced && own.view.is_some());
        let others = others.filter(|own| !ours.iter().any(|one| self.same(one, own)));
        let strangers: Vec<Address> = others
            .filter(|own| {
                own.run_id.as_ref().is_some_and(|id| !ours.iter().any(|one| one.lists(id)))
            })
            .map(|own| own.address.clone())
            .collect();
        for address in &strangers {
            if let Some(own) = self.get_mut(address) {
                own.expel();
            }
            self.changed = true;
        }
        if strangers.is_empty() { Vec::new() } else { self.cut() }
    }

    /// Lets go of the sentinels that only strangers list.
    fn cut(&mut self) -> Vec<Change> {
        let cut_off = self.cut_off();
        self.sentinels.retain(|own| !cut_off.contains(&own.address));
        cut_off.into_iter().map(Change::Forgotten).collect()
    }

    /// Discovered sentinels to which no list leads, from the configured ones on.
    fn cut_off(&self) -> Vec<Address> {
        let mut reached: Vec<bool> = self.sentinels.iter().map(|own| own.seed).collect();
        let leads = |from: &Sentinel, to: &Sentinel| {
            let places = self.places(to);
            from.others.iter().any(|listed| {
                places.contains(&&listed.address)
                    || (listed.run_id.is_some() && listed.run_id == to.run_id)
            })
        };
        loop {
            let next = self.sentinels.iter().enumerate().position(|(index, own)| {
                let from = self.sentinels.iter().zip(&reached).filter(|(_, reached)| **reached);
                !reached[index]
                    && (self.named_by_seed(&own.address)
                        || from.map(|(from, _)| from).any(|from| leads(from, own)))
            });
            match next {
                Some(index) => reached[index] = true,
                None => break,
            }
        }
        let rest = self.sentinels.iter().zip(reached).filter(|(_, reached)| !reached);
        rest.map(|(own, _)| own.address.clone()).collect()
    }

    /// Strangers on a majority of the known places, all of them configured, that list each other and
    /// name one master, while no known sentinel is heard: the deployment was set up again.
    fn is_replaced(&self) -> bool {
        let voters: Vec<&Sentinel> = self.voters().collect();
        let strange = |own: &&&Sentinel| own.is_up() && own.stranger.is_some() && own.seed;
        let strangers: Vec<(&str, &View)> = voters
            .iter()
            .filter(strange)
            .filter_map(|own| own.stranger.as_ref())
            .filter_map(|own| Some((own.run_id.as_str(), &own.view.as_ref()?.0)))
            .collect();
        let majority = voters.len() / 2 + 1;
        let lists = |view: &View, id: &str| {
            let others = view.sentinels.as_deref().unwrap_or_default();
            others.iter().any(|other| other.run_id.as_deref() == Some(id))
        };
        let known = |id: &str| 1 + strangers.iter().filter(|(_, view)| lists(view, id)).count();
        let agree = strangers.first().is_some_and(|(_, first)| {
            strangers.iter().all(|(_, view)| view.address == first.address)
        });
        strangers.len() >= majority
            && agree
            && strangers.iter().all(|(id, _)| known(id) >= majority)
            && !voters.iter().any(|own| own.speaks() || own.link == Link::New)
    }
}

impl Machine {
    /// Tells strangers from the sentinels that are known, and takes in those that belong here.
    pub(super) fn tell_strangers(&mut self, now: Instant) -> Vec<Change> {
        self.roster.vouch();
        let serving = self.master.is_some();
        let changes = if serving { Vec::new() } else { self.roster.find_strangers() };
        if !self.roster.has_strangers() {
            self.replaced_since = None;
            return changes;
        }
        let rebuilt = self.is_rebuilt(now);
        let heirs = self.heirs();
        let names_ours = |own: &Sentinel| {
            let view = own.stranger.as_ref().and_then(|stranger| stranger.view.as_ref());
            view.is_some_and(|(view, _)| {
                self.is_served(&view.address)
                    || heirs.iter().any(|heir| self.same_node(heir, &view.address))
            })
        };
        let strangers = self.roster.sentinels.iter().filter(|own| own.stranger.is_some());
        let admitted: Vec<Address> = strangers
            .filter(|own| own.vouched || rebuilt || (serving && names_ours(own)))
            .map(|own| own.address.clone())
            .collect();
        for address in admitted {
            if let Some(own) = self.roster.get_mut(&address) {
                own.admit();
                self.roster.changed = true;
            }
        }
        changes
    }

    /// The first master is served.
    pub(super) fn part_from_strangers(
        &mut self,
        now: Instant,
        master: &Address,
        actions: &mut Vec<Action>,
    ) {
        let named =
            self.roster.sentinels.iter().filter_map(|own| Some(&own.view.as_ref()?.address));
        let ours: Vec<Address> =
            named.filter(|named| self.same_node(named, master)).cloned().collect();
        for change in self.roster.take_sides(|named| ours.contains(named)) {
            self.changed(now, change, actions);
        }
    }

    /// Another master is served: those that name it belong to the service.
    pub(super) fn take_lists_of(&mut self, master: &Address) {
        let names = |own: &Sentinel| {
            own.view.as_ref().is_some_and(|view| self.same_node(&view.address, master))
        };
        let naming: Vec<bool> = self.roster.sentinels.iter().map(names).collect();
        for (own, names) in self.roster.sentinels.iter_mut().zip(naming) {
            if names {
                own.take_lists();
            }
        }
    }

    /// Promoted nodes that continue the data of the master that is served, by their own account.
    fn heirs(&self) -> Vec<Address> {
        let continues = |(address, _, descends)| (descends == Some(true)).then_some(address);
        self.facts().into_iter().filter_map(continues).collect()
    }

    /// Returns true when another deployment has had the configured addresses for a minute, while the master
    /// was away and no known sentinel was heard. Then it is the one that the user configured.
    fn is_rebuilt(&mut self, now: Instant) -> bool {
        let away = self.master.is_some() && self.nodes.is_away(|own| self.is_served(own));
        if !away || !self.roster.is_replaced() {
            self.replaced_since = None;
            return false;
        }
        let since = *self.replaced_since.get_or_insert(now);
        let over = now >= since + self.rules.forget_after;
        if over {
            self.replaced_since = None;
        }
        over
    }

    /// Returns the time at which strangers count as the deployment that replaced the known one.
    pub(super) fn next_admission(&self, rules: &Rules) -> Option<Instant> {
        self.replaced_since.map(|since| since + rules.forget_after)
    }
}
