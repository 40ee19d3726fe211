//! Epochs and majorities: whom to accept, given what the sentinels answered.
//!
//! A configuration epoch numbers the failovers of a service; it is the only thing by which an old
//! opinion can be told from a new one. So a higher epoch wins, an equal one needs a majority, and a
//! lower one needs a majority that insists on it for some seconds, which is what a service that was
//! removed and is monitored anew looks like.
//!
//! A majority is always one of all sentinels that are known, reachable or not.
//!
//! One sentinel moves the factory to a higher epoch only if a majority lists the run id that it told
//! (a vouched claim), or if the master that it names continues the data of the one that is served. Even
//! a vouched claim does not lead to other data at an unheard-of node while a majority names the master
//! that is served: a known sentinel may itself have been led away by another deployment.

use std::time::Instant;

use crate::{address::Address, event::Evidence, policy::SwitchOn};

use super::Rules;

/// What one sentinel that is up names. Addresses of one node are spelled in one way here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) sentinel: Address,
    pub(super) address: Address,
    pub(super) epoch: Option<u64>,
    /// When it was answered.
    pub(super) at: Instant,
    /// A majority of the known sentinels lists the run id of this one.
    pub(super) vouched: bool,
    /// The sentinel was configured, not discovered.
    pub(super) configured: bool,
}

/// The sentinels that count, and what they say.
#[derive(Clone, Debug, Default)]
pub(super) struct Electorate {
    /// How many sentinels are known.
    pub(super) known: usize,
    /// How many of them have neither answered nor failed yet.
    pub(super) pending: usize,
    /// The number of configured ones among them.
    pub(super) configured: usize,
    pub(super) claims: Vec<Claim>,
    /// More than one sentinel has led a failover at the same time.
    pub(super) contested: bool,
}

impl Electorate {
    pub(super) fn majority(&self) -> usize {
        self.known / 2 + 1
    }

    /// The addresses that are named, in the order of the sentinels.
    pub(super) fn addresses(&self) -> Vec<&Address> {
        let mut addresses: Vec<&Address> = Vec::new();
        for claim in &self.claims {
            if !addresses.contains(&&claim.address) {
                addresses.push(&claim.address);
            }
        }
        addresses
    }

    pub(super) fn count(&self, address: &Address) -> usize {
        self.naming(address).count()
    }

    fn naming<'a>(&'a self, address: &'a Address) -> impl Iterator<Item = &'a Claim> {
        self.claims.iter().filter(move |claim| claim.address == *address)
    }

    /// The highest epoch beside which the address is named.
    fn epoch(&self, address: &Address) -> Option<u64> {
        self.naming(address).filter_map(|claim| claim.epoch).max()
    }
}

/// The master that is served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub(super) address: &'a Address,
    pub(super) epoch: Option<u64>,
    /// Whether handles or sentinels report trouble with it.
    pub(super) troubled: bool,
    /// The master before it.
    pub(super) left: Option<&'a Address>,
    /// It was promoted, and no sentinel has named it yet.
    pub(super) unconfirmed: bool,
    /// Former masters that have not been seen as replicas since.
    pub(super) quarantined: &'a [Address],
}

/// An address to serve as soon as it verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acceptance {
    pub(super) address: Address,
    pub(super) epoch: Option<u64>,
    pub(super) evidence: Evidence,
    /// A sentinel that named it.
    pub(super) sentinel: Address,
    /// The proof that the address has to give of continuing the served data.
    pub(super) descent: Descent,
}

/// The condition for following a claim, besides the master role of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Descent {
    /// Nothing: a majority names it, or another proof is there.
    Free,
    /// It must not say that it has other data, unless another sentinel lists it as a replica.
    Likely,
    /// It has to say that it continues the data that are served.
    Proven,
}

impl Descent {
    /// Returns the condition for following one sentinel.
    fn of(electorate: &Electorate, held: Held<'_>, vouched: bool) -> Descent {
        match vouched {
            false => Descent::Proven,
            true if electorate.count(held.address) >= electorate.majority() => Descent::Likely,
            true => Descent::Free,
        }
    }
}

/// What follows from the claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) accept: Option<Acceptance>,
    /// The epoch of the master that is served.
    pub(super) epoch: Option<u64>,
}

/// The part of deciding that remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliberation {
    first_answer: Option<Instant>,
    /// Since when a majority has insisted on an address that speaks of the past.
    insisted: Option<(Address, Instant)>,
}

impl Deliberation {
    /// When the first answer stops waiting for others.
    pub(super) fn grace_ends(&self, rules: &Rules) -> Option<Instant> {
        self.first_answer.map(|first| first + rules.start_grace)
    }

    /// Another master is served: who named one of the past may not have heard of it yet.
    pub(super) fn begin_anew(&mut self) {
        self.insisted = None;
    }

    /// Whether a majority names what speaks of the past.
    pub(super) fn is_insisted(&self) -> bool {
        self.insisted.is_some()
    }

    pub(super) fn decide(
        &mut self,
        now: Instant,
        rules: &Rules,
        electorate: &Electorate,
        held: Option<Held<'_>>,
    ) -> Decision {
        match held {
            None => Decision { accept: self.first(now, rules, electorate), epoch: None },
            Some(held) => self.next(now, rules, electorate, held),
        }
    }

    /// The first master: what a majority names at the highest epoch heard; failing that, when all
    /// have spoken or the grace is over, the highest epoch heard, and among equals the most named.
    fn first(
        &mut self,
        now: Instant,
        rules: &Rules,
        electorate: &Electorate,
    ) -> Option<Acceptance> {
        if electorate.claims.is_empty() {
            return None;
        }
        let first = *self.first_answer.get_or_insert(now);
        // Where a majority names one address, only a sentinel that is vouched for contradicts it. A
        // majority of the configured ones comes first: others were discovered from any of them.
        let configured = |address: &&Address| {
            let naming = electorate.naming(address).filter(|claim| claim.configured).count();
            naming > electorate.configured / 2
        };
        let many = |address: &&Address| electorate.count(address) >= electorate.majority();
        let named = electorate.addresses();
        let most = named.iter().copied().find(configured).or(named.iter().copied().find(many));
        let counts =
            |claim: &&Claim| most.is_none_or(|most| claim.vouched || claim.address == *most);
        let highest = electorate.claims.iter().filter(counts).filter_map(|claim| claim.epoch).max();
        let spoken = electorate.pending == 0 || now >= first + rules.start_grace;
        // A majority first, then the highest epoch, then the count; among equals the first named.
        let mut best: Option<(&Address, (bool, bool, usize))> = None;
        for address in electorate.addresses() {
            if !electorate.naming(address).any(|claim| counts(&claim)) {
                continue;
            }
            let named = electorate
                .naming(address)
                .filter(|claim| claim.epoch.is_none() || claim.epoch == highest)
                .count();
            let numbered = electorate.epoch(address) == highest;
            let rank = (named >= electorate.majority(), numbered, named);
            if best.is_none_or(|(_, most)| rank > most) {
                best = Some((address, rank));
            }
        }
        let (address, (many, _, named)) = best?;
        if !many && !spoken {
            return None;
        }
        let highest = electorate.epoch(address);
        let evidence = Evidence::Start { sentinels: named, of: electorate.known };
        accept(electorate, address, highest, evidence)
    }

    fn next(
        &mut self,
        now: Instant,
        rules: &Rules,
        electorate: &Electorate,
        held: Held<'_>,
    ) -> Decision {
        // The address that is served, with a higher epoch: only the epoch rises.
        let epoch = held.epoch.max(electorate.epoch(held.address));
        // A claim without a voucher does not block the others.
        let vouched = |claim: &Claim| claim.vouched;
        let any = |_: &Claim| true;
        if let Some(accept) = confirmed(rules, electorate, held, epoch, vouched)
            .or_else(|| announced(electorate, held, epoch))
            .or_else(|| unnumbered(rules, electorate, held, epoch))
            .or_else(|| confirmed(rules, electorate, held, epoch, any))
        {
            self.insisted = None;
            return Decision { accept: Some(accept), epoch };
        }
        let Some(address) = self.insisted_on(now, rules, electorate, held, epoch) else {
            return Decision { accept: None, epoch };
        };
        let number = electorate.epoch(&address);
        if address == *held.address {
            return Decision { accept: None, epoch: number };
        }
        let evidence =
            Evidence::Insistence { sentinels: electorate.count(&address), of: electorate.known };
        Decision { accept: accept(electorate, &address, number.or(epoch), evidence), epoch }
    }

    /// The address that speaks of the past and that a majority has named for long enough: one with
    /// a lower epoch than the one in use, or the master that was left last, with the same.
    fn insisted_on(
        &mut self,
        now: Instant,
        rules: &Rules,
        electorate: &Electorate,
        held: Held<'_>,
        epoch: Option<u64>,
    ) -> Option<Address> {
        let past = electorate.addresses().into_iter().find(|address| {
            let number = electorate.epoch(address);
            let lower = number.is_some() && number < epoch;
            let left = held.left == Some(*address) && number.is_none_or(|own| Some(own) <= epoch);
            electorate.count(address) >= electorate.majority() && (lower || left)
        });
        let Some(address) = past.cloned() else {
            self.insisted = None;
            return None;
        };
        let since = match &self.insisted {
            Some((insisted, since)) if *insisted == address => *since,
            _ => {
                self.insisted = Some((address, now));
                return None;
            }
        };
        // Answers from before count for the start of the wait, not for its end.
        let still = electorate
            .naming(&address)
            .filter(|claim| claim.at >= since + rules.lower_epoch_patience)
            .count();
        (still >= electorate.majority()).then_some(address)
    }
}

/// A higher epoch than the one in use: one sentinel is enough, unless others name another address
/// at the same epoch or lead a failover of their own (two forced failovers at once), or the present
/// master is itself not confirmed, or that address was replaced and has not been a replica since. Only
/// claims that count are looked at.
fn confirmed(
    rules: &Rules,
    electorate: &Electorate,
    held: Held<'_>,
    epoch: Option<u64>,
    counts: impl Fn(&Claim) -> bool,
) -> Option<Acceptance> {
    if rules.switch_on == SwitchOn::Announcement || held.unconfirmed || electorate.contested {
        return None;
    }
    let counted = || electorate.claims.iter().filter(|claim| counts(claim));
    let highest = counted().filter_map(|claim| claim.epoch).max()?;
    if highest <= epoch? {
        return None;
    }
    let mut at_highest = counted().filter(|claim| claim.epoch == Some(highest));
    let claim = at_highest.next()?;
    let address = &claim.address;
    if at_highest.any(|other| other.address != *address)
        || address == held.address
        || held.quarantined.contains(address)
    {
        return None;
    }
    Some(Acceptance {
        address: address.clone(),
        epoch: Some(highest),
        evidence: Evidence::Confirmation { sentinel: claim.sentinel.clone() },
        sentinel: claim.sentinel.clone(),
        descent: Descent::of(electorate, held, claim.vouched),
    })
}

/// A majority that does not speak of the past. Of the master that was left last only a higher epoch
/// is news, or that the present one is in trouble: sentinels that are late name it for a while.
fn announced(electorate: &Electorate, held: Held<'_>, epoch: Option<u64>) -> Option<Acceptance> {
    electorate.addresses().into_iter().filter(|address| *address != held.address).find_map(
        |address| {
            let late = held.left == Some(address) && !held.troubled;
            let named = electorate
                .naming(address)
                .filter(|claim| match claim.epoch {
                    None => !late,
                    own if late => own > epoch,
                    own => own >= epoch,
                })
                .count();
            if named < electorate.majority() {
                return None;
            }
            let evidence = Evidence::Announcement { sentinels: named, of: electorate.known };
            accept(electorate, address, electorate.epoch(address).max(epoch), evidence)
        },
    )
}

/// Sentinels that may not tell their epochs: one is enough when the master is in trouble anyway,
/// nobody contradicts, and it does not name the master that was left last.
fn unnumbered(
    rules: &Rules,
    electorate: &Electorate,
    held: Held<'_>,
    epoch: Option<u64>,
) -> Option<Acceptance> {
    if rules.switch_on == SwitchOn::Announcement || !held.troubled || held.unconfirmed {
        return None;
    }
    let mut others = electorate.claims.iter().filter(|claim| {
        claim.address != *held.address && (claim.epoch.is_none() || epoch.is_none())
    });
    let claim = others.next()?;
    if others.any(|other| other.address != claim.address)
        || held.left == Some(&claim.address)
        || held.quarantined.contains(&claim.address)
    {
        return None;
    }
    let evidence = Evidence::Unnumbered { sentinel: claim.sentinel.clone() };
    let epoch = electorate.epoch(&claim.address).max(epoch);
    let accepted = accept(electorate, &claim.address, epoch, evidence)?;
    let vouched = electorate.naming(&claim.address).any(|claim| claim.vouched);
    Some(Acceptance { descent: Descent::of(electorate, held, vouched), ..accepted })
}

fn accept(
    electorate: &Electorate,
    address: &Address,
    epoch: Option<u64>,
    evidence: Evidence,
) -> Option<Acceptance> {
    let sentinel = electorate
        .naming(address)
        .find(|claim| claim.epoch == epoch)
        .or_else(|| electorate.naming(address).next())?
        .sentinel
        .clone();
    Some(Acceptance { address: address.clone(), epoch, evidence, sentinel, descent: Descent::Free })
}
