//! Which sentinels are known, and which of them are one and the same process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use crate::address::Address;

use super::{
    Rules,
    answer::{ReplicaFields, SentinelFields, View},
    snapshot::Hearing,
    strangers::Stranger,
};

/// More sentinels than this are not linked to, whatever a sentinel lists.
const MOST: usize = 100;

/// The link to a sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// No attempt has ended yet.
    New,
    Up {
        since: Instant,
        hearing: Hearing,
    },
    Down {
        reason: String,
    },
}

/// What a sentinel said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Names,
    Unknown,
    Moving,
    Refused(String),
    /// A stranger answers in its place.
    Stranger,
}

/// What is known of one sentinel.
#[derive(Clone, Debug)]
pub(super) struct Sentinel {
    pub(super) address: Address,
    pub(super) seed: bool,
    pub(super) link: Link,
    pub(super) peer: Option<Address>,
    /// The run id of the known sentinel, even while another process answers at its address.
    pub(super) run_id: Option<String>,
    /// True when the process at the other end of the link reported that run id itself.
    pub(super) introduced: bool,
    /// True when a majority of the known sentinels, itself included, lists the run id that it reported.
    pub(super) vouched: bool,
    /// The process that answers in its place.
    pub(super) stranger: Option<Stranger>,
    pub(super) said: Said,
    /// The last answer that named a master, while [`Sentinel::said`] is [`Said::Names`].
    pub(super) view: Option<View>,
    pub(super) answered: Option<Instant>,
    /// When the question was asked that [`Sentinel::view`] answers.
    pub(super) view_asked: Option<Instant>,
    /// When the latest question was asked that was answered at all: it lived then. Kept when the
    /// link ends.
    pub(super) proved: Option<Instant>,
    /// The replica that it chose to promote, and when we knew.
    pub(super) selected: Option<(Address, Instant)>,
    /// The last list of replicas that was not empty.
    pub(super) replicas: Arc<[ReplicaFields]>,
    /// The last list of other sentinels that was not empty.
    pub(super) others: Vec<SentinelFields>,
    /// The services that it monitors, once it was asked.
    pub(super) services: Option<Vec<String>>,
    /// The master that it cannot reach.
    pub(super) master_down: Option<Address>,
    /// It leads a failover, or tries to.
    pub(super) failing_over: bool,
    pub(super) tilt: bool,
    pub(super) malformed: u64,
    /// When the query that is under way was sent.
    pub(super) asking: Option<Instant>,
    pub(super) asked: Option<Instant>,
    /// Ask again as soon as the query that is under way is answered.
    pub(super) again: bool,
    /// And without the pause between two queries.
    pub(super) at_once: bool,
    /// How often in a row it answered [`super::Answer::Moving`].
    pub(super) moving: u32,
    pub(super) next_poll: Option<Instant>,
    /// Since when a majority has not listed it.
    pub(super) unlisted: Option<Instant>,
}

impl Sentinel {
    fn new(address: Address, seed: bool) -> Sentinel {
        Sentinel {
            address,
            seed,
            link: Link::New,
            peer: None,
            run_id: None,
            introduced: false,
            vouched: false,
            stranger: None,
            said: Said::Nothing,
            view: None,
            answered: None,
            view_asked: None,
            proved: None,
            selected: None,
            replicas: Arc::default(),
            others: Vec::new(),
            services: None,
            master_down: None,
            failing_over: false,
            tilt: false,
            malformed: 0,
            asking: None,
            asked: None,
            again: false,
            at_once: false,
            moving: 0,
            next_poll: None,
            unlisted: None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// Its view, if it is the answer to a question that was asked at that time or later.
    pub(super) fn answered_since(&self, at: Instant) -> Option<&View> {
        self.view
            .as_ref()
            .filter(|_| self.speaks() && self.view_asked.is_some_and(|asked| asked >= at))
    }

    /// The replica that it chose to promote, in the failover that it leads.
    pub(super) fn chosen(&self) -> Option<&Address> {
        self.selected.as_ref().map(|(node, _)| node)
    }

    /// Whether it was heard to have chosen after that time.
    pub(super) fn has_chosen_since(&self, at: Instant) -> bool {
        self.selected.as_ref().is_some_and(|(_, heard)| *heard > at)
    }

    /// It leads a failover: a rival that only hopes to does not.
    pub(super) fn leads(&self) -> bool {
        self.selected.is_some() || self.view.as_ref().is_some_and(|view| view.leads().is_some())
    }

    /// What it said and heard holds no longer than its link; what it listed is kept.
    pub(super) fn silence(&mut self) {
        self.introduced = false;
        self.stranger = None;
        self.said = Said::Nothing;
        self.view = None;
        self.view_asked = None;
        self.selected = None;
        self.master_down = None;
        self.failing_over = false;
        self.tilt = false;
        self.asking = None;
        self.again = false;
        self.at_once = false;
        self.moving = 0;
        self.next_poll = None;
    }
}

/// The sentinels that are known: the seeds first, in the order they were given.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pub(super) sentinels: Vec<Sentinel>,
    /// What host names stand for, of sentinels and nodes.
    names: BTreeMap<Address, Vec<Address>>,
    /// Discovered sentinels that were let go and are still listed by a minority.
    forgotten: BTreeSet<Address>,
    /// True when the sentinels' lists of nodes, or the meaning of names, may have changed.
    pub(super) changed: bool,
    /// The run ids of sentinels that were known to a machine that failed.
    remembered: BTreeMap<Address, String>,
}

/// What became of the list of sentinels.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Found { sentinel: Address, by: Address },
    Forgotten(Address),
}

impl Roster {
    /// The run ids of the sentinels, for a machine that is rebuilt: by them it recognizes strangers.
    /// Those that were handed to this roster stay known: the machine may have failed before its start.
    pub(super) fn kept(&self) -> Roster {
        let known = |own: &Sentinel| Some((own.address.clone(), own.run_id.clone()?));
        let mut remembered = self.remembered.clone();
        remembered.extend(self.sentinels.iter().filter_map(known));
        Roster { remembered, ..Roster::default() }
    }

    pub(super) fn start(&mut self, seeds: Vec<Address>) -> Vec<Address> {
        let mut new = Vec::new();
        for seed in seeds {
            if self.get(&seed).is_none() {
                let mut sentinel = Sentinel::new(seed.clone(), true);
                sentinel.run_id = self.remembered.get(&seed).cloned();
                self.sentinels.push(sentinel);
                new.push(seed);
            }
        }
        new
    }

    pub(super) fn get(&self, address: &Address) -> Option<&Sentinel> {
        self.sentinels.iter().find(|sentinel| sentinel.address == *address)
    }

    pub(super) fn get_mut(&mut self, address: &Address) -> Option<&mut Sentinel> {
        self.sentinels.iter_mut().find(|sentinel| sentinel.address == *address)
    }

    pub(super) fn resolved(&mut self, address: Address, to: Vec<Address>) {
        self.changed = true;
        self.names.insert(address, to);
    }

    /// Whether a host name and an address, or two host names, stand for one place.
    pub(super) fn same_place(&self, left: &Address, right: &Address) -> bool {
        left == right
            || self.stands_for(left).any(|one| self.stands_for(right).any(|other| one == other))
    }

    pub(super) fn stands_for<'a>(
        &'a self,
        address: &'a Address,
    ) -> impl Iterator<Item = &'a Address> {
        std::iter::once(address).chain(self.names.get(address).into_iter().flatten())
    }

    /// Where a sentinel is known to be. A name that stands for several addresses says nothing
    /// until one of them was reached.
    pub(super) fn places<'a>(&'a self, sentinel: &'a Sentinel) -> Vec<&'a Address> {
        let mut places = vec![&sentinel.address];
        if let Some(peer) = &sentinel.peer {
            places.push(peer);
        } else if let Some([only]) = self.names.get(&sentinel.address).map(Vec::as_slice) {
            places.push(only);
        }
        places
    }

    /// Whether two entries are one process: by run id where both are known, by place otherwise.
    pub(super) fn same(&self, left: &Sentinel, right: &Sentinel) -> bool {
        if let (Some(left), Some(right)) = (&left.run_id, &right.run_id) {
            return left == right;
        }
        let right = self.places(right);
        self.places(left).iter().any(|place| right.contains(place))
    }

    /// A name for several sentinels that was not reached: those count, the name does not.
    fn is_only_a_name(&self, sentinel: &Sentinel) -> bool {
        let Some(to) = self.names.get(&sentinel.address) else {
            return false;
        };
        sentinel.peer.is_none() && to.len() > 1 && to.iter().any(|one| self.get(one).is_some())
    }

    /// One entry for each process that is known, the one that says most, and whether it counts: a
    /// sentinel that does not monitor the service has no voice in it.
    pub(super) fn members(&self) -> Vec<&Sentinel> {
        let voice = |own: &Sentinel| (own.view.is_some(), own.speaks(), own.answered);
        // Each entry that was looked at, with the index of its process.
        let mut seen: Vec<(&Sentinel, usize)> = Vec::with_capacity(self.sentinels.len());
        let mut members: Vec<&Sentinel> = Vec::with_capacity(self.sentinels.len());
        for sentinel in self.sentinels.iter().filter(|own| !self.is_only_a_name(own)) {
            let same = seen.iter().filter(|(own, _)| self.same(own, sentinel));
            let index = match same.map(|(_, index)| *index).min() {
                Some(index) => {
                    if voice(sentinel) > voice(members[index]) {
                        members[index] = sentinel;
                    }
                    index
                }
                None => {
                    members.push(sentinel);
                    members.len() - 1
                }
            };
            seen.push((sentinel, index));
        }
        members
    }

    pub(super) fn voters(&self) -> impl Iterator<Item = &Sentinel> {
        self.members().into_iter().filter(|sentinel| sentinel.said != Said::Unknown)
    }

    /// Takes a sentinel in that another one, or a message, named. Returns whether it is new.
    pub(super) fn discover(&mut self, address: &Address, run_id: Option<&str>) -> bool {
        let by_id = run_id
            .and_then(|id| self.sentinels.iter().find(|own| own.run_id.as_deref() == Some(id)));
        if let Some(own) = by_id
            && (own.speaks() || self.places(own).contains(&address))
        {
            return false;
        }
        let other = match self.names.get(address).map(Vec::as_slice) {
            Some([only]) => only,
            _ => address,
        };
        let by_place = self.sentinels.iter().position(|own| {
            let places = self.places(own);
            places.contains(&address) || places.contains(&other)
        });
        if let Some(index) = by_place {
            let own = &mut self.sentinels[index];
            if own.run_id.is_none() {
                own.run_id = run_id.map(str::to_owned);
            }
            return false;
        }
        if self.sentinels.len() >= MOST || self.forgotten.contains(address) {
            return false;
        }
        let mut sentinel = Sentinel::new(address.clone(), false);
        sentinel.run_id = run_id.map(str::to_owned);
        self.sentinels.push(sentinel);
        true
    }

    /// Somebody vouches for this address: it may be discovered again.
    pub(super) fn pardon(&mut self, address: &Address) {
        self.forgotten.remove(address);
    }

    pub(super) fn remove_discovered(&mut self, address: &Address) -> bool {
        let before = self.sentinels.len();
        self.sentinels.retain(|own| own.seed || own.address != *address);
        self.sentinels.len() < before
    }

    /// Takes in what the sentinels list, and lets go of what a majority has not listed for long.
    pub(super) fn review(&mut self, now: Instant, rules: &Rules) -> Vec<Change> {
        let mut changes = Vec::new();
        for (by, address, run_id) in self.listed() {
            if self.discover(&address, run_id.as_deref()) {
                changes.push(Change::Found { sentinel: address, by });
            }
        }
        for address in self.doubles() {
            self.sentinels.retain(|own| own.address != address);
            changes.push(Change::Forgotten(address));
        }
        let unlisted: Vec<bool> = {
            let members = self.members();
            self.sentinels.iter().map(|own| !own.seed && self.is_unlisted(own, &members)).collect()
        };
        for (own, unlisted) in self.sentinels.iter_mut().zip(unlisted) {
            own.unlisted = if unlisted { own.unlisted.or(Some(now)) } else { None };
        }
        let over: Vec<Address> = self
            .sentinels
            .iter()
            .filter(|own| own.unlisted.is_some_and(|since| now >= since + rules.forget_after))
            .map(|own| own.address.clone())
            .collect();
        for address in over {
            self.sentinels.retain(|own| own.address != address);
            self.forgotten.insert(address.clone());
            changes.push(Change::Forgotten(address));
        }
        self.forgive();
        changes
    }

    /// Discovered sentinels that turned out to be ones to which another link stands.
    fn doubles(&self) -> Vec<Address> {
        let up = |own: &&Sentinel| own.speaks();
        let double = |index: usize, own: &Sentinel| {
            !own.seed && self.sentinels[..index].iter().filter(up).any(|o| self.same(o, own))
        };
        let all = self.sentinels.iter().enumerate();
        all.filter(|(index, own)| double(*index, own)).map(|(_, own)| own.address.clone()).collect()
    }

    /// When the next sentinel is let go.
    pub(super) fn next_farewell(&self, rules: &Rules) -> Option<Instant> {
        self.sentinels
            .iter()
            .filter_map(|own| own.unlisted)
            .min()
            .map(|since| since + rules.forget_after)
    }

    fn listed(&self) -> Vec<(Address, Address, Option<String>)> {
        let listed = self.sentinels.iter().filter(|own| own.speaks()).flat_map(|own| {
            let by = own.address.clone();
            own.others.iter().map(move |o| (by.clone(), o.address.clone(), o.run_id.clone()))
        });
        // A name that stands for several sentinels lists them too.
        let named = self.sentinels.iter().filter(|own| own.seed).flat_map(|own| {
            let to = self.names.get(&own.address).filter(|to| to.len() > 1);
            to.into_iter().flatten().map(|one| (own.address.clone(), one.clone(), None))
        });
        let mut all: Vec<_> = listed.chain(named).collect();
        // Of those that are known already only a run id may be news.
        all.retain(|(_, address, run_id)| {
            self.get(address).is_none_or(|own| own.run_id.is_none() && run_id.is_some())
        });
        all
    }

    /// Whether a majority of the other sentinels lists others, and not this one.
    fn is_unlisted(&self, sentinel: &Sentinel, members: &[&Sentinel]) -> bool {
        let places = self.places(sentinel);
        if self.named_by_seed(&sentinel.address) {
            return false;
        }
        let others: Vec<_> = members.iter().filter(|own| !self.same(own, sentinel)).collect();
        let silent = others
            .iter()
            .filter(|own| own.speaks() && !own.others.is_empty())
            .filter(|own| !own.others.iter().any(|listed| places.contains(&&listed.address)))
            .count();
        silent > others.len() / 2
    }

    pub(super) fn named_by_seed(&self, address: &Address) -> bool {
        self.sentinels.iter().any(|own| {
            own.seed && self.names.get(&own.address).is_some_and(|to| to.contains(address))
        })
    }

    /// Forgotten ones that a majority lists, or nobody any longer, may come back.
    fn forgive(&mut self) {
        if self.forgotten.is_empty() {
            return;
        }
        let members = self.members();
        let still: BTreeSet<Address> = self
            .forgotten
            .iter()
            .filter(|address| {
                let listing = members
                    .iter()
                    .filter(|own| own.others.iter().any(|listed| listed.address == **address))
                    .count();
                listing > 0 && listing <= members.len() / 2
            })
            .cloned()
            .collect();
        self.forgotten = still;
    }
}
