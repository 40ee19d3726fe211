//! Which replicas may be read from now: what [`Action::Read`] tells.
//!
//! A replica may be read from while it is known to have everything that the master had acknowledged
//! [`Rules::max_lag`](super::Rules::max_lag) ago. That is told by two replies to `ROLE`: whatever the
//! master had acknowledged before it was asked is covered by the offset that it answered, and a
//! replica that has come as far has all of it, whenever it says so.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
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
    /// An offset that it told, and when; until the master was asked after that.
    claim: Option<(Instant, u64)>,
    /// It gets what the master that is served writes.
    ours: bool,
    /// When the master was asked next, it had come at least as far …
    agrees: bool,
    /// … or had not: this is another history, though its link seems to be up. So it is when the
    /// master's host went away without a word, and came back.
    contradicts: bool,
    /// It told an offset while it got what the master that is served writes, and has kept that since.
    synced: bool,
    /// What it had was replaced, or may have been, by what another node has.
    strayed: bool,
    /// It refused a read, and its link to the master has not been up since.
    refuses: bool,
    /// It told something else of its source than before.
    changed: bool,
}

impl Copy {
    fn take(&mut self, at: Instant, progress: Progress, ours: bool) {
        let before = self.progress.replace(progress);
        let (Some(now), before) = (&self.progress, before.as_ref()) else { return };
        // One that changes is looked at closely: it is soon in sync, or gone.
        self.changed = before.is_none_or(|before| before.source != now.source);
        let flowing = matches!(now.source, Copied::Of { feed: Feed::Flowing, .. });
        let goes_on = !self.changed && before.is_some_and(|before| before.offset <= now.offset);
        let replaced = matches!(now.source, Copied::Of { feed: Feed::Whole, .. } | Copied::Own);
        // Fed anew by a node that is not the master: nobody knows with what.
        self.strayed = !ours && (self.strayed || replaced || (flowing && !goes_on));
        if self.strayed || replaced {
            self.covered = None;
            self.synced = false;
        }
        if !goes_on {
            (self.agrees, self.contradicts, self.claim) = (false, false, None);
        }
        self.refuses &= !flowing;
        self.ours = ours;
        let claim = now.offset.filter(|_| ours).map(|offset| (at, offset));
        self.synced |= claim.is_some();
        self.claim = self.claim.or(claim);
    }

    /// Compares it with what the master answered.
    fn compare(&mut self, offsets: &VecDeque<(Instant, u64)>) {
        let told = self.progress.as_ref().filter(|_| self.ours).and_then(|told| told.offset);
        let Some(offset) = told else { return };
        if let Some((at, claimed)) = self.claim
            && let Some((_, reached)) = offsets.iter().find(|(asked, _)| *asked >= at)
        {
            self.agrees |= claimed <= *reached;
            self.contradicts |= claimed > *reached;
            self.claim = None;
        }
        if self.agrees && !self.contradicts {
            let reached = |(_, own): &&(Instant, u64)| *own <= offset;
            let until = offsets.iter().rev().find(reached).map(|(asked, _)| *asked);
            self.covered = self.covered.max(until);
        }
    }
}

impl Replicas {
    /// Another master is served. What the others have counts for nothing before they follow it: the
    /// one before may have come back, and have fed them anything.
    pub(super) fn switched(&mut self) {
        self.begin_anew();
        for copy in self.copies.values_mut() {
            copy.covered = None;
            copy.synced = false;
            copy.ours = false;
            copy.strayed = true;
        }
        self.curious = true;
    }

    /// The master told its offset.
    fn reached(&mut self, asked: Instant, offset: u64) {
        // A lower one is that of another history: the process is a new one.
        if self.offsets.back().is_some_and(|(_, last)| *last > offset) {
            self.begin_anew();
        }
        if self.offsets.len() == OFFSETS {
            self.offsets.pop_front();
        }
        // A reply that was overtaken tells nothing more.
        if self.offsets.back().is_none_or(|(last, _)| *last < asked) {
            self.offsets.push_back((asked, offset));
        }
    }

    /// The master may be another process, which writes another history.
    fn begin_anew(&mut self) {
        self.offsets.clear();
        self.copies.values_mut().for_each(|copy| copy.agrees = false);
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
                _ => replicas.begin_anew(),
            }
            replicas.copies.remove(address);
            return;
        }
        let copy = replicas.copies.entry(address.clone()).or_default();
        copy.take(now, progress, ours);
        replicas.curious |= copy.changed;
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
            replicas.begin_anew();
        } else if let Some(copy) = replicas.copies.get_mut(address) {
            copy.progress = None;
        }
    }

    /// A node told who it is, and that is not noted yet. A process that began anew may have lost what
    /// it had.
    pub(super) fn recognise(&mut self, address: &Address, run_id: Option<&String>) {
        let served = self.is_served(address);
        let Some(replicas) = self.replicas.as_mut().filter(|_| !served) else { return };
        let copy = replicas.copies.entry(address.clone()).or_default();
        if run_id.is_none() || self.run_ids.get(address) != run_id {
            copy.covered = None;
            copy.synced = false;
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
        let Replicas { copies, offsets, .. } = &mut replicas;
        copies.values_mut().for_each(|copy| copy.compare(offsets));
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
        let listed = self.roster.sentinels.iter().flat_map(|own| own.replicas.iter());
        let mut seen: HashSet<&Address> = HashSet::new();
        let mut replicas: Vec<Address> = Vec::new();
        for listed in listed.map(|own| &own.address) {
            let known = self.known_as(listed, |own| self.nodes.watched.contains_key(own));
            let address = known.unwrap_or(listed);
            if seen.insert(address) && !self.is_served(address) {
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
        match feed {
            Feed::Whole => return Some(Unfit::Syncing),
            Feed::Flowing if ours && !copy.contradicts => {}
            Feed::Flowing => return Some(Unfit::Elsewhere),
            // Its master is away, and not for its own fault. It still has what it had of it.
            Feed::Broken if ours && copy.synced && !copy.contradicts && self.is_orphaned() => {}
            Feed::Broken => return Some(Unfit::Broken),
        }
        let bound = self.rules.max_lag?;
        // Who comes back has to be well within the bound, or it would come and go.
        let bound = if replicas.is_told(address) { bound } else { bound / 2 };
        let within = copy.covered.is_some_and(|covered| now < covered + bound);
        (!within).then_some(Unfit::Behind)
    }

    /// Whether the master is away, so that every replica has lost it.
    fn is_orphaned(&self) -> bool {
        let is_it = |own: &Address| self.is_served(own);
        let mut sentinels = self.roster.sentinels.iter();
        self.master_is_down()
            || sentinels.any(|own| own.speaks() && own.failing_over)
            || self.nodes.is_away(is_it)
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
        over.filter(|at| *at > now).min()
    }
}
