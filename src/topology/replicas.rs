//! Which replicas may be read from now: what [`Action::Read`] tells.
//!
//! A replica may be read from while it is known to have everything that the master had acknowledged
//! [`Rules::max_lag`](super::Rules::max_lag) ago. That is told by two replies to `ROLE`: whatever the
//! master had acknowledged before it was asked is covered by the offset that it answered, and a
//! replica that has come as far has all of it, whenever it says so.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    event::{Event, Source},
};

use super::{Action, Copied, Feed, Progress, Standing, Trouble, machine::Machine};

/// So many offsets of the master are kept: a replica that is behind them all is far behind.
const OFFSETS: usize = 64;

/// After a switch the sentinels point the other replicas to the new master, one after the other.
/// For this long one that has not been pointed yet is not blamed for it.
const REPOINTING: Duration = Duration::from_secs(10);

/// How often `ROLE` is asked while replicas are read from: at least, and where
/// [`Rules::max_lag`](super::Rules::max_lag) demands it, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// Why a replica may not be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// There is no link to it.
    Unreached,
    /// It has not told yet how far its data go.
    Unasked,
    /// It says that it is a master.
    Master,
    /// It was the master before, and has not been seen as a replica of the next one.
    Former,
    /// It copies a node that is not the master.
    Elsewhere,
    /// Its link to the master is down.
    Broken,
    /// It gets all data anew.
    Syncing,
    /// It refuses reads: it loads its data, or has lost its master.
    Refusing,
    /// It may lack something that was acknowledged longer than the bound ago.
    Behind,
}

impl Unfit {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Unfit::Unreached => "it cannot be reached",
            Unfit::Unasked => "it has not told yet how far its data go",
            Unfit::Master => "it says that it is a master",
            Unfit::Former => "it was the master before, and is no replica of the new one yet",
            Unfit::Elsewhere => "it copies a node that is not the master",
            Unfit::Broken => "its link to the master is down",
            Unfit::Syncing => "it gets all data from the master anew",
            Unfit::Refusing => "it refuses reads",
            Unfit::Behind => "it is, or may be, further behind than max_lag",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which replicas may be read from, and why the others may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readable {
    pub(crate) replicas: Vec<Address>,
    pub(crate) others: Vec<(Address, Unfit)>,
}

/// What is known of the data of the nodes, once somebody reads from replicas.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    /// Offsets of the master that is served, each with when it was asked, the earliest first.
    offsets: VecDeque<(Instant, u64)>,
    copies: BTreeMap<Address, Copy>,
    /// When the master that is served became that, if another one was served before.
    since: Option<Instant>,
    told: Option<Readable>,
    /// All nodes are to be asked for their ROLE soon, and again soon after.
    curious: bool,
}

/// The data of one node.
#[derive(Debug, Default)]
struct Copy {
    progress: Option<Progress>,
    /// Everything that the master had acknowledged by then is there.
    covered: Option<Instant>,
    /// It refused a read, and its link to the master has not been up since.
    refuses: bool,
    /// The run id of its process.
    run_id: Option<String>,
}

impl Replicas {
    /// Another master is served. What the others have of the one before they keep.
    pub(super) fn switched(&mut self, now: Instant, again: bool) {
        self.offsets.clear();
        self.since = again.then_some(now);
        self.curious = true;
    }

    /// The master told its offset.
    fn reached(&mut self, asked: Instant, offset: u64) {
        // A lower one is that of another history: the process is a new one.
        if self.offsets.back().is_some_and(|(_, last)| *last > offset) {
            self.offsets.clear();
        }
        if self.offsets.len() == OFFSETS {
            self.offsets.pop_front();
        }
        // A reply that was overtaken tells nothing more.
        if self.offsets.back().is_none_or(|(last, _)| *last < asked) {
            self.offsets.push_back((asked, offset));
        }
    }

    /// Until when a node at this offset has everything.
    fn covered(&self, offset: u64) -> Option<Instant> {
        let reached = |(_, own): &&(Instant, u64)| *own <= offset;
        self.offsets.iter().rev().find(reached).map(|(asked, _)| *asked)
    }

    fn is_told(&self, address: &Address) -> bool {
        self.told.as_ref().is_some_and(|told| told.replicas.contains(address))
    }
}

impl Machine {
    /// Somebody wants to read from replicas, from now on.
    pub(super) fn read_replicas(&mut self) {
        let curious = Replicas { curious: true, ..Replicas::default() };
        self.replicas.get_or_insert(curious);
    }

    /// Everything that follows from which replicas may be read from: nothing before it is asked for.
    pub(crate) fn readable(&self) -> Option<&Readable> {
        self.replicas.as_ref()?.told.as_ref()
    }

    /// A node told how far its data go.
    pub(super) fn progressed(&mut self, now: Instant, address: &Address, progress: Progress) {
        let served = self.is_served(address);
        let ours = self.feeds(address, &progress);
        let Some(replicas) = &mut self.replicas else { return };
        if served {
            let asked = now.checked_sub(progress.took).unwrap_or(now);
            match (&progress.source, progress.offset) {
                (Copied::Own, Some(offset)) => replicas.reached(asked, offset),
                _ => replicas.offsets.clear(),
            }
            replicas.copies.remove(address);
            return;
        }
        let copy = replicas.copies.entry(address.clone()).or_default();
        copy.refuses &= !matches!(progress.source, Copied::Of { feed: Feed::Flowing, .. });
        // One that changes is looked at closely: it is soon in sync, or gone.
        let before = copy.progress.as_ref().map(|before| &before.source);
        replicas.curious |= before != Some(&progress.source);
        // What is told of another history, or of none, says nothing of the master's.
        let offset = progress.offset.filter(|_| ours);
        copy.progress = Some(Progress { offset, ..progress });
    }

    /// Whether a node gets what the master that is served writes.
    fn feeds(&self, address: &Address, progress: &Progress) -> bool {
        match &progress.source {
            Copied::Of { master, feed: Feed::Flowing } => self.is_copied(address, master.as_ref()),
            _ => false,
        }
    }

    /// Whether what a node says that it copies is the master that is served. Replicas may know it
    /// by an address that nobody else uses; then the history that they copy tells.
    fn is_copied(&self, by: &Address, master: Option<&Address>) -> bool {
        let Some(master) = master else { return false };
        if self.nodes.watched.keys().any(|own| self.same_node(own, master)) {
            return self.is_served(master);
        }
        self.nodes.copies_served(by)
    }

    /// The link to a node ended.
    pub(super) fn lost_sight(&mut self, address: &Address) {
        let served = self.is_served(address);
        let Some(replicas) = &mut self.replicas else { return };
        if served {
            // It may come back as another process.
            replicas.offsets.clear();
        } else if let Some(copy) = replicas.copies.get_mut(address) {
            copy.progress = None;
        }
    }

    /// A node told who it is. A process that began anew may have lost what it had.
    pub(super) fn recognise(&mut self, address: &Address, run_id: Option<&String>) {
        let served = self.is_served(address);
        let Some(replicas) = self.replicas.as_mut().filter(|_| !served) else { return };
        let copy = replicas.copies.entry(address.clone()).or_default();
        if run_id.is_none() || copy.run_id.as_ref() != run_id {
            copy.covered = None;
            copy.run_id = run_id.cloned();
        }
        replicas.curious |= copy.progress.is_none();
    }

    /// A command on a replica met trouble.
    pub(super) fn refused(&mut self, address: &Address, what: Trouble) {
        let Some(replicas) = &mut self.replicas else { return };
        if let Some(copy) = replicas.copies.get_mut(address) {
            copy.refuses |= matches!(what, Trouble::MasterDown | Trouble::Loading);
        }
        replicas.curious = true;
    }

    /// Tells which replicas may be read from, when that has changed.
    pub(super) fn survey(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(mut replicas) = self.replicas.take() else { return };
        replicas.copies.retain(|address, _| self.nodes.watched.contains_key(address));
        let covered: Vec<_> = (replicas.copies.iter())
            .filter_map(|(address, copy)| {
                let offset = copy.progress.as_ref()?.offset?;
                Some((address.clone(), replicas.covered(offset)?))
            })
            .collect();
        for (address, until) in covered {
            if let Some(copy) = replicas.copies.get_mut(&address) {
                copy.covered = copy.covered.max(Some(until));
            }
        }
        if std::mem::take(&mut replicas.curious) {
            actions.push(Action::Pulse { every: self.pulse_pause() });
        }
        let mut readable = Readable::default();
        for address in self.listed_replicas() {
            match self.unfitness(now, &replicas, &address) {
                None => readable.replicas.push(address),
                Some(why) => readable.others.push((address, why)),
            }
        }
        self.tell(now, &mut replicas, readable, actions);
        self.replicas = Some(replicas);
    }

    fn tell(
        &self,
        now: Instant,
        replicas: &mut Replicas,
        readable: Readable,
        actions: &mut Vec<Action>,
    ) {
        if replicas.told.as_ref() == Some(&readable) {
            return;
        }
        let source = || Source::Factory;
        let before = replicas.told.take().unwrap_or_default();
        for gone in before.replicas.iter().filter(|own| !readable.replicas.contains(own)) {
            let why = readable.others.iter().find(|(own, _)| own == gone);
            let reason = match why {
                Some((_, why)) => why.as_str(),
                None if self.is_served(gone) => "it is the master",
                None => "no sentinel lists it any longer",
            };
            let (at, source, node) = (now, source(), gone.clone());
            actions.push(Action::Report(Event::ReplicaLeft { at, source, node, reason }));
        }
        for new in readable.replicas.iter().filter(|own| !before.replicas.contains(own)) {
            let (at, source, node) = (now, source(), new.clone());
            actions.push(Action::Report(Event::ReplicaJoined { at, source, node }));
        }
        actions.push(Action::Read(readable.clone()));
        replicas.told = Some(readable);
    }

    /// The replicas that the sentinels list, by the names that their links have.
    fn listed_replicas(&self) -> Vec<Address> {
        let mut replicas: Vec<Address> = Vec::new();
        for listed in self.roster.sentinels.iter().flat_map(|own| &own.replicas) {
            let known = self.nodes.watched.keys().find(|own| self.same_node(own, &listed.address));
            let address = known.unwrap_or(&listed.address);
            if !replicas.contains(address) && !self.is_served(address) {
                replicas.push(address.clone());
            }
        }
        replicas.sort();
        replicas
    }

    fn unfitness(&self, now: Instant, replicas: &Replicas, address: &Address) -> Option<Unfit> {
        let standing = match self.nodes.standing(address) {
            None => return Some(Unfit::Unreached),
            Some(standing) => standing,
        };
        if self.nodes.quarantined().any(|own| own == address) {
            return Some(Unfit::Former);
        }
        if *standing == Standing::Master {
            return Some(Unfit::Master);
        }
        let Some((copy, progress)) =
            (replicas.copies.get(address)).and_then(|copy| Some((copy, copy.progress.as_ref()?)))
        else {
            return Some(Unfit::Unasked);
        };
        let Copied::Of { master, feed } = &progress.source else { return Some(Unfit::Master) };
        if copy.refuses {
            return Some(Unfit::Refusing);
        }
        let ours = self.is_copied(address, master.as_ref());
        let left = master.as_ref().zip(self.left.as_ref());
        let of_the_last = left.is_some_and(|(of, left)| self.same_node(of, left));
        let orphaned = self.is_orphaned(now, replicas) && (ours || of_the_last);
        match feed {
            Feed::Whole => return Some(Unfit::Syncing),
            Feed::Flowing if ours => {}
            _ if orphaned => {}
            Feed::Flowing => return Some(Unfit::Elsewhere),
            Feed::Broken => return Some(Unfit::Broken),
        }
        let bound = self.rules.max_lag?;
        // Who comes back has to be well within the bound, or it would come and go.
        let bound = if replicas.is_told(address) { bound } else { bound / 2 };
        let within = copy.covered.is_some_and(|covered| now < covered + bound);
        (!within).then_some(Unfit::Behind)
    }

    /// Whether replicas have lost their master through no fault of their own: it is away, or was
    /// replaced just now.
    fn is_orphaned(&self, now: Instant, replicas: &Replicas) -> bool {
        let failover = || {
            let up = |own: &&super::roster::Sentinel| own.is_up() && own.failing_over;
            self.roster.sentinels.iter().any(|own| up(&own))
        };
        let away = || {
            let master = self.master.as_ref();
            master.is_some_and(|master| {
                self.nodes.is_away(|own| self.same_node(own, &master.address))
            })
        };
        replicas.since.is_some_and(|since| now < since + REPOINTING)
            || self.master_is_down()
            || failover()
            || away()
    }

    /// How often every node is asked.
    fn pulse_pause(&self) -> Duration {
        match self.rules.max_lag {
            Some(bound) => (bound / 5).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
            None => LONGEST_PAUSE,
        }
    }

    /// When a replica is to be left although nobody tells anything.
    pub(super) fn next_survey(&self, now: Instant) -> Option<Instant> {
        let replicas = self.replicas.as_ref()?;
        let told = replicas.copies.iter().filter(|(address, _)| replicas.is_told(address));
        let bound = self.rules.max_lag;
        let over = told.filter_map(|(_, copy)| Some(copy.covered? + bound?));
        let repointed = replicas.since.map(|since| since + REPOINTING);
        over.chain(repointed).filter(|at| *at > now).min()
    }
}
