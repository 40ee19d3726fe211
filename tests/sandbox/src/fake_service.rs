//! What a fake sentinel knows of one service: [`FakeService`], with its replicas and other sentinels.

use std::time::Duration;

use crate::{
    fake::{Place, new_run_id},
    fake_failover::has,
    frame::Frame,
};

/// A service as a [`FakeSentinel`](crate::FakeSentinel) sees it.
#[derive(Clone, Debug)]
pub struct FakeService {
    /// What `SENTINEL GET-MASTER-ADDR-BY-NAME` says.
    pub master: Place,
    /// What `SENTINEL MASTER` shows instead, as the leader does while it reconfigures the replicas.
    pub listed: Option<Place>,
    /// The master's run id.
    pub run_id: String,
    /// The epoch of the configuration.
    pub config_epoch: u64,
    /// The flags, separated by commas: `master` unless told.
    pub flags: String,
    /// The state of a failover, which is shown only when there is one.
    pub failover_state: Option<String>,
    /// The epoch of a failover that the sentinel leads, which becomes that of the configuration when it succeeds.
    pub failover_epoch: u64,
    /// What the master said it was: `master` unless told.
    pub role_reported: String,
    /// The replicas.
    pub replicas: Vec<FakeReplica>,
    /// The other sentinels.
    pub sentinels: Vec<FakePeer>,
    /// How many sentinels have to agree.
    pub quorum: usize,
    /// After how long a silence a member counts as down.
    pub down_after: Duration,
    /// The time for a failover.
    pub failover_timeout: Duration,
}

impl FakeService {
    /// A service in good order, of epoch 0 and without replicas and other sentinels.
    pub fn new(master: impl Into<Place>) -> FakeService {
        FakeService {
            master: master.into(),
            listed: None,
            run_id: new_run_id(),
            config_epoch: 0,
            flags: "master".to_owned(),
            failover_state: None,
            failover_epoch: 0,
            role_reported: "master".to_owned(),
            replicas: Vec::new(),
            sentinels: Vec::new(),
            quorum: 2,
            down_after: Duration::from_secs(1),
            failover_timeout: Duration::from_secs(6),
        }
    }

    /// The same with another replica in good order.
    pub fn with_replica(mut self, replica: impl Into<Place>) -> FakeService {
        self.replicas.push(FakeReplica::new(replica));
        self
    }

    /// The same with another sentinel.
    pub fn with_sentinel(
        mut self,
        sentinel: impl Into<Place>,
        run_id: impl Into<String>,
    ) -> FakeService {
        self.sentinels.push(FakePeer::new(sentinel, run_id));
        self
    }
}

/// A replica as a [`FakeSentinel`](crate::FakeSentinel) sees it.
#[derive(Clone, Debug)]
pub struct FakeReplica {
    /// Where it is.
    pub place: Place,
    /// Its run id.
    pub run_id: String,
    /// The flags, separated by commas: `slave` unless told.
    pub flags: String,
    /// Whether its link to the master is `ok`, or else `err`.
    pub link_ok: bool,
    /// The master it says it follows; the service's when not told.
    pub master: Option<Place>,
    /// Its priority.
    pub priority: u32,
    /// How far it has replicated.
    pub offset: u64,
}

impl FakeReplica {
    /// A replica in good order.
    pub fn new(place: impl Into<Place>) -> FakeReplica {
        FakeReplica {
            place: place.into(),
            run_id: new_run_id(),
            flags: "slave".to_owned(),
            link_ok: true,
            master: None,
            priority: 100,
            offset: 1000,
        }
    }
}

/// Another sentinel as a [`FakeSentinel`](crate::FakeSentinel) sees it.
#[derive(Clone, Debug)]
pub struct FakePeer {
    /// Where it is.
    pub place: Place,
    /// Its run id.
    pub run_id: String,
    /// The flags, separated by commas: `sentinel` unless told.
    pub flags: String,
    /// Whom it has voted for: a run id, `?` for nobody.
    pub voted_leader: String,
    /// The epoch of that vote.
    pub voted_leader_epoch: u64,
}

impl FakePeer {
    /// A sentinel that has not voted.
    pub fn new(place: impl Into<Place>, run_id: impl Into<String>) -> FakePeer {
        FakePeer {
            place: place.into(),
            run_id: run_id.into(),
            flags: "sentinel".to_owned(),
            voted_leader: "?".to_owned(),
            voted_leader_epoch: 0,
        }
    }
}

/// The fields of an entry, in the order of a real sentinel.
struct Fields(Vec<(Frame, Frame)>);

impl Fields {
    fn of(name: &str, place: &Place, run_id: &str, flags: &str) -> Fields {
        let mut fields = Fields(Vec::new());
        fields.add("name", name).add("ip", &place.host).add("port", place.port);
        fields.add("runid", run_id).add("flags", flags);
        fields.add("link-pending-commands", 0).add("link-refcount", 1);
        fields
    }

    fn add(&mut self, key: &str, value: impl ToString) -> &mut Fields {
        self.0.push((Frame::bulk(key), Frame::bulk(value.to_string())));
        self
    }

    fn pings(&mut self, flags: &str, service: &FakeService) -> &mut Fields {
        self.add("last-ping-sent", 0).add("last-ok-ping-reply", 10).add("last-ping-reply", 10);
        for (flag, name) in [("s_down", "s-down-time"), ("o_down", "o-down-time")] {
            if has(flags, flag) {
                self.add(name, 100);
            }
        }
        self.add("down-after-milliseconds", service.down_after.as_millis())
    }
}

impl FakeService {
    pub(crate) fn fields(&self, name: &str) -> Frame {
        let place = self.listed.as_ref().unwrap_or(&self.master);
        let mut fields = Fields::of(name, place, &self.run_id, &self.flags);
        if let Some(state) = &self.failover_state {
            fields.add("failover-state", state);
        }
        fields.pings(&self.flags, self);
        fields.add("info-refresh", 10).add("role-reported", &self.role_reported);
        fields.add("role-reported-time", 1000).add("config-epoch", self.config_epoch);
        fields.add("num-slaves", self.replicas.len());
        fields.add("num-other-sentinels", self.sentinels.len()).add("quorum", self.quorum);
        fields.add("failover-timeout", self.failover_timeout.as_millis()).add("parallel-syncs", 1);
        Frame::Map(fields.0)
    }

    pub(crate) fn check_quorum(&self) -> Frame {
        let up = self.sentinels.iter().filter(|other| !other.flags.contains("_down")).count();
        let (usable, voters) = (up + 1, self.sentinels.len() + 1);
        let mut lacks = Vec::new();
        if usable < self.quorum {
            lacks.push(
                "Not enough available Sentinels to reach the specified quorum for this master",
            );
        }
        if usable < voters / 2 + 1 {
            lacks.push(
                "Not enough available Sentinels to reach the majority and authorize a failover",
            );
        }
        if lacks.is_empty() {
            let text = "usable Sentinels. Quorum and failover authorization can be reached";
            return Frame::Simple(format!("OK {usable} {text}"));
        }
        Frame::Error(format!("NOQUORUM {usable} usable Sentinels. {}", lacks.join(". ")))
    }
}

impl FakeReplica {
    pub(crate) fn fields(&self, service: &FakeService) -> Frame {
        let master = self.master.as_ref().unwrap_or(&service.master);
        let name = self.place.to_string();
        let mut fields = Fields::of(&name, &self.place, &self.run_id, &self.flags);
        fields.pings(&self.flags, service);
        fields.add("info-refresh", 10).add("role-reported", "slave");
        fields.add("role-reported-time", 1000).add("master-link-down-time", 0);
        fields.add("master-link-status", if self.link_ok { "ok" } else { "err" });
        fields.add("master-host", &master.host).add("master-port", master.port);
        fields.add("slave-priority", self.priority).add("slave-repl-offset", self.offset);
        fields.add("replica-announced", 1);
        Frame::Map(fields.0)
    }
}

impl FakePeer {
    pub(crate) fn fields(&self, service: &FakeService) -> Frame {
        let mut fields = Fields::of(&self.run_id, &self.place, &self.run_id, &self.flags);
        fields.pings(&self.flags, service);
        fields.add("last-hello-message", 10).add("voted-leader", &self.voted_leader);
        fields.add("voted-leader-epoch", self.voted_leader_epoch);
        Frame::Map(fields.0)
    }
}
