//! A failover as a fake sentinel shows it, step by step: the steps of [`FakeService`].
//!
//! Every step changes what the sentinel answers and nothing else. It publishes nothing, and tells no other fake.

use crate::{FakeReplica, FakeService, Place};

/// Why the replica is promoted, which shows in the flags of the master and in the votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverKind {
    /// The master was found down by a quorum, and the leader is elected.
    MasterDown,
    /// `SENTINEL FAILOVER`: the master is well, and nobody votes.
    Forced,
    /// `SENTINEL FAILOVER … COORDINATED` of Valkey: the master is well, and the leader is elected.
    Coordinated,
}

/// The flags in the order in which a sentinel shows them.
const ORDER: [&str; 16] = [
    "s_down",
    "o_down",
    "master",
    "slave",
    "sentinel",
    "disconnected",
    "master_down",
    "failover_in_progress",
    "promoted",
    "reconf_sent",
    "reconf_inprog",
    "reconf_done",
    "force_failover",
    "script_kill_sent",
    "master_reboot",
    "coordinated_failover",
];

/// What a master has while it is being failed over, and not any longer.
const PROGRESS: [&str; 3] = ["failover_in_progress", "force_failover", "coordinated_failover"];

/// Whether a flag is among those separated by commas.
pub(crate) fn has(flags: &str, flag: &str) -> bool {
    flags.split(',').any(|one| one == flag)
}

fn with(flags: &mut String, more: &[&str]) {
    let mut all: Vec<&str> =
        flags.split(',').chain(more.iter().copied()).filter(|flag| !flag.is_empty()).collect();
    all.sort_by_key(|flag| ORDER.iter().position(|known| known == flag));
    all.dedup();
    *flags = all.join(",");
}

fn without(flags: &mut String, fewer: &[&str]) {
    let left: Vec<&str> = flags.split(',').filter(|flag| !fewer.contains(flag)).collect();
    *flags = left.join(",");
}

/// The steps of a failover. A leader goes through [`stand`](FakeService::stand), [`elect`](FakeService::elect),
/// [`choose`](FakeService::choose), [`cut`](FakeService::cut), [`notice`](FakeService::notice) and
/// [`learn`](FakeService::learn); any other sentinel through [`find_down`](FakeService::find_down) at most, and `learn`.
///
/// ```
/// use switchmaster_sandbox::{FailoverKind, FakeSentinel, FakeService};
///
/// let leader = FakeSentinel::start().unwrap();
/// let service = FakeService::new(("127.0.0.1", 7000)).with_replica(("127.0.0.1", 7001));
/// leader.serve("mymaster", service.with_sentinel(("127.0.0.1", 7011), "b".repeat(40)));
/// leader.model(|model| {
///     let id = model.run_id.clone();
///     let service = model.service("mymaster");
///     service.stand(FailoverKind::MasterDown);
///     service.elect(&id, 1);
///     service.choose(("127.0.0.1", 7001));
///     assert_eq!(service.replicas[0].flags, "slave,promoted");
///     assert_eq!(service.sentinels[0].voted_leader, id);
/// });
/// ```
impl FakeService {
    /// The master does not answer (`s_down`), and when it is `agreed`, a quorum says so (`o_down`).
    pub fn find_down(&mut self, agreed: bool) {
        with(&mut self.flags, if agreed { &["s_down", "o_down"] } else { &["s_down"] });
        with(&mut self.flags, &["disconnected"]);
        for replica in &mut self.replicas {
            replica.link_ok = false;
        }
    }

    /// It has begun a failover and waits to be elected (`wait_start`), as a rival who will not be does, too.
    pub fn stand(&mut self, kind: FailoverKind) {
        with(&mut self.flags, &["failover_in_progress"]);
        match kind {
            FailoverKind::MasterDown => self.find_down(true),
            FailoverKind::Forced => with(&mut self.flags, &["force_failover"]),
            FailoverKind::Coordinated => with(&mut self.flags, &["coordinated_failover"]),
        }
        self.failover_state = Some("wait_start".to_owned());
    }

    /// It leads (`select_slave`), in this epoch; `leader` is its own run id. All other sentinels have voted for it, unless
    /// the failover is [`Forced`](FailoverKind::Forced).
    pub fn elect(&mut self, leader: &str, epoch: u64) {
        self.failover_state = Some("select_slave".to_owned());
        self.failover_epoch = epoch;
        let voted = !has(&self.flags, "force_failover");
        for peer in self.sentinels.iter_mut().filter(|_| voted) {
            peer.voted_leader = leader.to_owned();
            peer.voted_leader_epoch = epoch;
            if has(&self.flags, "o_down") {
                with(&mut peer.flags, &["master_down"]);
            }
        }
    }

    /// It has chosen this replica and told it to become the master (`wait_promotion`, and the flag `promoted`). A replica
    /// that it does not have is added.
    pub fn choose(&mut self, replica: impl Into<Place>) {
        let place = replica.into();
        self.failover_state = Some("wait_promotion".to_owned());
        if !self.replicas.iter().any(|replica| replica.place == place) {
            self.replicas.push(FakeReplica::new(place.clone()));
        }
        for replica in &mut self.replicas {
            without(&mut replica.flags, &["promoted"]);
            if replica.place == place {
                with(&mut replica.flags, &["promoted"]);
            }
        }
    }

    /// The replica that is being promoted has cut the sentinel's connection, as it does at the promotion (`disconnected`),
    /// but for a coordinated one. [`FakeNode::promote`](crate::FakeNode::promote) is the replica's side.
    pub fn cut(&mut self) {
        for replica in self.replicas.iter_mut().filter(|replica| has(&replica.flags, "promoted")) {
            with(&mut replica.flags, &["disconnected"]);
        }
    }

    /// The leader has noticed the promotion (`reconf_slaves`): it names the new master when asked for the address, and
    /// lists the old one with the epoch of the new.
    pub fn notice(&mut self) {
        let promoted = self.replicas.iter_mut().find(|replica| has(&replica.flags, "promoted"));
        let Some(promoted) = promoted else { return };
        without(&mut promoted.flags, &["disconnected"]);
        self.listed = Some(std::mem::replace(&mut self.master, promoted.place.clone()));
        self.config_epoch = self.failover_epoch;
        self.failover_state = Some("reconf_slaves".to_owned());
    }

    /// It has switched: this is the master in this epoch, and the one before is a replica that has not been seen yet. The
    /// failover is over, for a leader as for those that were told.
    pub fn learn(&mut self, master: impl Into<Place>, epoch: u64) {
        let new = master.into();
        let before = self.listed.take().unwrap_or_else(|| self.master.clone());
        let old = FakeReplica {
            run_id: std::mem::take(&mut self.run_id),
            flags: "slave,disconnected".to_owned(),
            link_ok: false,
            ..FakeReplica::new(before)
        };
        if let Some(index) = self.replicas.iter().position(|replica| replica.place == new) {
            self.run_id = self.replicas.remove(index).run_id;
        }
        if old.place == new {
            self.run_id = old.run_id;
        } else {
            self.replicas.push(old);
        }
        for replica in &mut self.replicas {
            without(&mut replica.flags, &["promoted"]);
        }
        for peer in &mut self.sentinels {
            without(&mut peer.flags, &["master_down"]);
        }
        self.master = new;
        self.config_epoch = epoch;
        self.flags = "master".to_owned();
        self.failover_state = None;
    }

    /// The failover has failed, as after `-failover-abort-slave-timeout`: nobody is promoted. What was found down stays
    /// down, and the votes stay.
    pub fn abort(&mut self) {
        without(&mut self.flags, &PROGRESS);
        self.failover_state = None;
        for replica in &mut self.replicas {
            without(&mut replica.flags, &["promoted"]);
        }
    }
}
