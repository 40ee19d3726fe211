//! The verdict on a promotion: a pure function of one snapshot of the sentinels and of the lineage.
//!
//! A replica that says that it is a master is a fact; that it is *the* master follows from what the
//! sentinels answer at that moment. Exactly one of them leads a failover, it has chosen this replica
//! (flag `promoted` in `SENTINEL REPLICAS`), and a majority of all known sentinels voted for it in one
//! epoch (`voted-leader` in its `SENTINEL SENTINELS`); or the failover was ordered, which nobody votes
//! about, and then every known sentinel has to have been asked. The replica's `master_replid2` shows
//! that it continues the data of the master that it replaces. No published message is part of it.

use crate::address::Address;

use super::answer::{MasterFields, View};

/// The states of a failover in which its sentinel leads it: it was elected, or ordered. Before
/// that, in `wait_start`, several may hope to be.
const LEADING: [&str; 5] =
    ["select_slave", "send_slaveof_noone", "wait_promotion", "reconf_slaves", "update_config"];

/// What the known sentinels answered to questions that were asked after the fact.
pub(super) struct Snapshot<'a> {
    /// Every known sentinel.
    pub(super) witnesses: Vec<Witness<'a>>,
    /// The configuration epoch of the master that is served.
    pub(super) epoch: Option<u64>,
    /// The replica descends from that master, or from the last one that was confirmed; `None` when
    /// it may not be asked (`INFO replication`).
    pub(super) descends: Option<bool>,
    /// Answers that are still missing are not waited for any longer.
    pub(super) patience_over: bool,
}

/// One known sentinel.
pub(super) struct Witness<'a> {
    pub(super) sentinel: &'a Address,
    pub(super) run_id: Option<&'a str>,
    /// The link to it stands.
    pub(super) linked: bool,
    pub(super) view: Option<&'a View>,
}

/// What follows from a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The leader was elected, and chose it.
    Elected { leader: Address, epoch: u64, votes: usize, of: usize },
    /// The leader was ordered to, and chose it. Its epoch is not told before it is confirmed.
    Ordered { leader: Address, of: usize },
    /// Not proven, and why.
    Open(Lack),
}

/// What a proof lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// An answer that may come at any moment.
    Answer,
    /// No sentinel leads a failover.
    Leader,
    /// More than one does.
    OneLeader,
    /// The leader did not choose this replica.
    Choice,
    /// The leader's own run id is not known, so no vote can be told to be for it.
    RunId,
    /// Fewer than a majority of the known sentinels voted for the leader, in one epoch that is newer.
    Votes,
    /// The failover was ordered, and some known sentinel was not asked: it may lead another.
    Everybody,
    /// The replica's data do not descend from the master's, or it may not be asked.
    Descent,
}

impl View {
    /// The failover that this sentinel leads, if it leads one.
    pub(super) fn leads(&self) -> Option<&MasterFields> {
        self.master.as_ref().filter(|master| {
            master.flags.has("failover_in_progress")
                && master.failover_state.as_deref().is_some_and(|state| LEADING.contains(&state))
        })
    }

    /// The replica that it has chosen in the failover that it leads.
    pub(super) fn chosen(&self) -> Option<&Address> {
        self.leads()?;
        let replicas = self.replicas.as_ref()?;
        replicas.iter().find(|own| own.flags.has("promoted")).map(|own| &own.address)
    }
}

/// Whether the replica was promoted by right. `is_it` knows it under all of its addresses.
pub(super) fn verdict(snapshot: &Snapshot<'_>, is_it: impl Fn(&Address) -> bool) -> Verdict {
    match prove(snapshot, is_it) {
        Ok(verdict) => verdict,
        Err(lack) => Verdict::Open(lack),
    }
}

fn prove(snapshot: &Snapshot<'_>, is_it: impl Fn(&Address) -> bool) -> Result<Verdict, Lack> {
    let of = snapshot.witnesses.len();
    let missing = snapshot.witnesses.iter().any(|own| own.linked && own.view.is_none());
    if missing && !snapshot.patience_over {
        return Err(Lack::Answer);
    }
    let mut leaders =
        snapshot.witnesses.iter().filter_map(|own| Some((own, own.view?, own.view?.leads()?)));
    let (leader, view, failover) = leaders.next().ok_or(Lack::Leader)?;
    if leaders.next().is_some() {
        return Err(Lack::OneLeader);
    }
    if !view.chosen().is_some_and(is_it) {
        return Err(Lack::Choice);
    }
    if snapshot.descends != Some(true) {
        return Err(Lack::Descent);
    }
    let address = leader.sentinel.clone();
    if failover.flags.has("force_failover") {
        if snapshot.witnesses.iter().any(|own| own.view.is_none()) {
            return Err(Lack::Everybody);
        }
        return Ok(Verdict::Ordered { leader: address, of });
    }
    let run_id = leader.run_id.ok_or(Lack::RunId)?;
    let (epoch, votes) = votes(snapshot, view, run_id).ok_or(Lack::Votes)?;
    if votes <= of / 2 || snapshot.epoch.is_some_and(|held| epoch <= held) {
        return Err(Lack::Votes);
    }
    Ok(Verdict::Elected { leader: address, epoch, votes, of })
}

/// The newest epoch in which known sentinels voted for the leader, and how many did, the leader
/// itself included. Votes of the past stand beside those of now until they are replaced.
fn votes(snapshot: &Snapshot<'_>, view: &View, leader: &str) -> Option<(u64, usize)> {
    let known = |address: &Address, run_id: Option<&str>| {
        snapshot.witnesses.iter().any(|own| match (own.run_id, run_id) {
            (Some(own), Some(id)) => own == id,
            _ => own.sentinel == address,
        })
    };
    let others = view.sentinels.as_deref().unwrap_or_default();
    let epochs: Vec<u64> = others
        .iter()
        .filter(|own| own.voted_leader.as_deref() == Some(leader))
        .filter(|own| own.run_id.as_deref() != Some(leader))
        .filter(|own| known(&own.address, own.run_id.as_deref()))
        .filter_map(|own| own.voted_leader_epoch)
        .collect();
    // A leader without peers has its own vote alone, and tells its epoch to nobody.
    let newest = match (epochs.iter().max(), snapshot.witnesses.len()) {
        (Some(newest), _) => *newest,
        (None, 1) => snapshot.epoch.unwrap_or(0) + 1,
        (None, _) => return None,
    };
    Some((newest, 1 + epochs.iter().filter(|epoch| **epoch == newest).count()))
}
