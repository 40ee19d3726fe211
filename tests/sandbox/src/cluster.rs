//! A running cluster: [`Cluster`].

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Builder, Error, ErrorKind, FaultProxy, Member, Node, Result, Role, Sentinel,
    guardian::Guardian, health, patience::Patience, settings::Settings,
};

/// Masters, replicas and sentinels on free ports of 127.0.0.1.
///
/// All of them end when this is dropped, and also when the process is killed. All methods may be
/// called from any thread.
pub struct Cluster {
    guardian: Arc<Guardian>,
    services: Vec<Service>,
    sentinels: Vec<Sentinel>,
    settings: Settings,
}

pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    /// The first one is the master at the start.
    pub(crate) nodes: Vec<Node>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.guardian.end();
    }
}

impl Cluster {
    /// Describes a cluster; [`Builder::start`] starts it.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(
        guardian: Arc<Guardian>,
        services: Vec<Service>,
        sentinels: Vec<Sentinel>,
        settings: Settings,
    ) -> Cluster {
        Cluster { guardian, services, sentinels, settings }
    }

    /// `redis+sentinel://127.0.0.1:p1,127.0.0.1:p2,…/mymaster`, without passwords.
    pub fn url(&self) -> String {
        self.url_for(self.service())
    }

    /// Like [`url`](Cluster::url), for a service of this name.
    pub fn url_for(&self, service: &str) -> String {
        let sentinels: Vec<String> =
            self.sentinels.iter().map(|sentinel| sentinel.address().to_string()).collect();
        self.url_by(&sentinels, service)
    }

    fn url_by(&self, sentinels: &[String], service: &str) -> String {
        let (scheme, options) = match &self.settings.tls {
            Some(tls) if tls.members => ("rediss+sentinel", tls.options()),
            _ => ("redis+sentinel", String::new()),
        };
        format!("{scheme}://{}/{service}{options}", sentinels.join(","))
    }

    /// Like [`url`](Cluster::url), with the addresses of the proxies where there are some.
    pub fn proxied_url(&self) -> String {
        let sentinels: Vec<String> = self
            .sentinels
            .iter()
            .map(|sentinel| sentinel.proxy().map_or(sentinel.address(), FaultProxy::address))
            .map(|address| address.to_string())
            .collect();
        self.url_by(&sentinels, self.service())
    }

    /// The direct and the proxied address of every member; empty when the cluster is not proxied.
    pub fn address_map(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let proxied = |member: &Member| Some((member.address(), member.proxy()?.address()));
        self.members().filter_map(proxied).collect()
    }

    /// Cuts the clients off from these members, by a black hole in each one's proxy, while the members go on
    /// talking with each other: `cluster.partition_client_from(cluster.sentinels())`. Connections that are there
    /// stay and hear nothing more until [`heal`](Cluster::heal), new ones likewise.
    ///
    /// All [`members`](Cluster::members) but the master shut the clients in with it; a
    /// [`failover`](Cluster::failover) then replaces it without them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the cluster is not [`proxied`](Builder::proxied).
    pub fn partition_client_from<M: AsRef<Member>>(
        &self,
        members: impl IntoIterator<Item = M>,
    ) -> Result<()> {
        for member in members {
            let member = member.as_ref();
            let proxy = member.proxy().ok_or_else(|| {
                let message =
                    format!("{}: it has no proxy; build with `.proxied(true)`", member.name());
                Error::new(ErrorKind::Config, message)
            })?;
            proxy.black_hole();
        }
        Ok(())
    }

    /// Ends all faults of all proxies.
    pub fn heal(&self) {
        self.members().filter_map(Member::proxy).for_each(FaultProxy::pass);
    }

    /// The name of the (first) service.
    pub fn service(&self) -> &str {
        &self.services[0].name
    }

    /// The names of all services.
    pub fn services(&self) -> Vec<&str> {
        self.services.iter().map(|service| &*service.name).collect()
    }

    /// All sentinels, also those that are down.
    pub fn sentinels(&self) -> &[Sentinel] {
        &self.sentinels
    }

    /// All nodes of the first service, also those that are down.
    pub fn nodes(&self) -> &[Node] {
        &self.services[0].nodes
    }

    /// All nodes of a service; none for an unknown one.
    pub fn nodes_of(&self, service: &str) -> &[Node] {
        let found = self.services.iter().find(|known| &*known.name == service);
        found.map(|service| service.nodes.as_slice()).unwrap_or_default()
    }

    /// The node of any service that has this port.
    pub fn node_at(&self, port: u16) -> Option<Node> {
        self.services.iter().flat_map(|s| &s.nodes).find(|node| node.port() == port).cloned()
    }

    /// The sentinel that has this port.
    pub fn sentinel_at(&self, port: u16) -> Option<Sentinel> {
        self.sentinels.iter().find(|sentinel| sentinel.port() == port).cloned()
    }

    /// Every process: nodes of all services, then sentinels.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        let nodes = self.services.iter().flat_map(|service| &service.nodes).map(|node| &**node);
        nodes.chain(self.sentinels.iter().map(|sentinel| &**sentinel))
    }

    pub(crate) fn services_slice(&self) -> &[Service] {
        &self.services
    }

    /// The process that owns all servers. It ends with the cluster.
    pub fn guardian_pid(&self) -> u32 {
        self.guardian.pid()
    }

    /// Where logs and configuration files are, until the cluster ends.
    pub fn directory(&self) -> &Path {
        self.guardian.directory()
    }

    /// The `down-after-milliseconds` of the sentinels.
    pub fn down_after(&self) -> Duration {
        self.settings.down_after
    }

    /// The `failover-timeout` of the sentinels, as they were started.
    pub fn failover_timeout(&self) -> Duration {
        self.settings.failover_timeout
    }

    /// The master of the first service; see [`master_of`](Cluster::master_of).
    ///
    /// # Errors
    ///
    /// Those of `master_of`.
    pub fn master(&self) -> Result<Node> {
        self.master_of(self.service())
    }

    /// The node that most answering sentinels name. Without any sentinel, the only node whose ROLE is master.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for an unknown service, [`ErrorKind::Timeout`] when there is no such node at present.
    pub fn master_of(&self, service: &str) -> Result<Node> {
        let nodes = self.known(service)?;
        let mut votes: HashMap<SocketAddr, usize> = HashMap::new();
        for sentinel in self.sentinels.iter().filter(|sentinel| answers(sentinel)) {
            if let Ok(Some(address)) = sentinel.master_of(service) {
                *votes.entry(address).or_default() += 1;
            }
        }
        let named = votes.into_iter().max_by_key(|(_, count)| *count).map(|(address, _)| address);
        let found = match named {
            Some(address) => nodes.iter().find(|node| node.address() == address),
            None => {
                let mut masters = nodes
                    .iter()
                    .filter(|node| answers(node) && matches!(node.role(), Ok(Role::Master)));
                masters.next().filter(|_| masters.next().is_none())
            }
        };
        found.cloned().ok_or_else(|| {
            let message = format!("service {service:?} has no master at present: {named:?}");
            Error::new(ErrorKind::Timeout, message)
        })
    }

    fn known(&self, service: &str) -> Result<&[Node]> {
        let nodes = self.nodes_of(service);
        if nodes.is_empty() {
            let message = format!("no service {service:?}; there are {:?}", self.services());
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(nodes)
    }

    /// Starts a planned failover of the first service on the first sentinel that runs; returns at once.
    /// [`Sentinel::failover`] chooses the sentinel.
    ///
    /// # Errors
    ///
    /// Those of [`Sentinel::failover`].
    pub fn failover(&self) -> Result<()> {
        self.failover_of(self.service())
    }

    /// Like [`failover`](Cluster::failover), of another service.
    ///
    /// # Errors
    ///
    /// Those of [`Sentinel::failover`].
    pub fn failover_of(&self, service: &str) -> Result<()> {
        let sentinel =
            self.sentinels.iter().find(|sentinel| answers(sentinel)).ok_or_else(|| {
                let message = "failover: no sentinel is running; restart one";
                Error::new(ErrorKind::Start, message)
            })?;
        sentinel.failover(service)
    }

    /// Kills the master of the first service with SIGKILL, and says which node it was.
    ///
    /// # Errors
    ///
    /// Those of [`master`](Cluster::master) and [`Member::kill`].
    pub fn kill_master(&self) -> Result<Node> {
        let master = self.master()?;
        master.kill().map(|()| master)
    }

    /// Freezes the master of the first service with SIGSTOP, and says which node it was.
    ///
    /// # Errors
    ///
    /// Those of [`master`](Cluster::master) and [`Member::freeze`].
    pub fn freeze_master(&self) -> Result<Node> {
        let master = self.master()?;
        master.freeze().map(|()| master)
    }

    /// Waits until most of the sentinels name another master than the one with this port, and its ROLE is master.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], with the ends of the logs.
    pub fn wait_for_master_other_than(&self, port: u16, timeout: Duration) -> Result<Node> {
        let service = self.node_at(port).map(|node| node.service().to_owned());
        let service = service.unwrap_or_else(|| self.service().to_owned());
        Patience::until(Instant::now() + timeout).try_for(
            || {
                Ok(match self.master_of(&service) {
                    Ok(node) if node.port() == port => Err(format!("{} still is", node.name())),
                    Ok(node) => match node.role() {
                        Ok(Role::Master) => Ok(node),
                        role => Err(format!("{} is {role:?}", node.name())),
                    },
                    Err(error) => Err(error.to_string()),
                })
            },
            |last| health::describe(self, "has no other master", last),
        )
    }

    /// Waits until everything is up, every service has one master that all its nodes follow in sync, and every
    /// sentinel says so and sees nobody down: the state in which the next failover succeeds.
    ///
    /// After a planned failover, and after the restart of a dead master or the resumption of a frozen one, the
    /// sentinels themselves need 10 to 20 s for this. [`repair`](Cluster::repair) takes about a second.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], with what is missing and the ends of the logs.
    pub fn wait_settled(&self, timeout: Duration) -> Result<()> {
        health::wait_settled(self, Instant::now() + timeout)
    }

    /// Waits until the replicas of every service have what is written to its master, up to a second after the start:
    /// see [`Node::wait_replicated`].
    ///
    /// # Errors
    ///
    /// Those of [`Node::wait_replicated`] and [`Cluster::master_of`].
    pub fn wait_replicated(&self, timeout: Duration) -> Result<()> {
        for service in &self.services {
            let replicas = service.nodes.len() - 1;
            self.master_of(&service.name)?.wait_replicated(replicas, timeout)?;
        }
        Ok(())
    }

    /// Resumes whatever is frozen, restarts whatever is down, has no sentinel crash at a failover any more, points all
    /// nodes to their master and waits until everything has [settled](Cluster::wait_settled).
    ///
    /// Call it when the sentinels agree on a master. It does by hand and at once what the sentinels would
    /// do in some ten seconds, and has them ask PING and INFO more often meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`Member::restart`] and [`wait_settled`](Cluster::wait_settled).
    pub fn repair(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        for member in self.members() {
            if !member.is_running() {
                member.restart()?;
            } else if member.is_frozen() {
                member.resume()?;
            }
        }
        for sentinel in &self.sentinels {
            sentinel.crash_never()?;
        }
        self.hurried(|| {
            Patience::until(deadline).try_for(
                || {
                    for service in &self.services {
                        self.point_strays(service);
                    }
                    Ok(health::settled(self))
                },
                |last| health::describe(self, "could not be repaired", last),
            )
        })
    }

    /// Best effort: what fails is tried again in the next round.
    fn point_strays(&self, service: &Service) {
        let mut named = self.sentinels.iter().map(|sentinel| sentinel.master_of(&service.name));
        let Some(Ok(Some(address))) = named.next() else { return };
        if !named.all(|other| matches!(other, Ok(Some(other)) if other == address)) {
            return;
        }
        let Some(master) = service.nodes.iter().find(|node| node.address() == address) else {
            return;
        };
        if !matches!(master.role(), Ok(Role::Master)) {
            return;
        }
        for node in service.nodes.iter().filter(|node| node.address() != address) {
            match node.role() {
                Ok(Role::Replica { of, .. }) if of == Some(address) => {}
                _ => {
                    let _ = node.follow(master);
                }
            }
        }
    }

    /// Has the sentinels dial, ask for INFO and forget old verdicts of each other without their usual pauses
    /// while `work` is done. Those before 7.0 cannot; the work only takes longer with them.
    pub(crate) fn hurried<T>(&self, work: impl FnOnce() -> T) -> T {
        self.periods(["100", "200", "100"]);
        let done = work();
        self.periods(["1000", "10000", "1000"]);
        done
    }

    fn periods(&self, [ping, info, ask]: [&str; 3]) {
        for sentinel in self.sentinels.iter().filter(|sentinel| answers(sentinel)) {
            let words = ["ping-period", ping, "info-period", info, "ask-period", ask];
            let _ = sentinel.ask(&[&["SENTINEL", "DEBUG"], &words[..]].concat());
        }
    }

    /// The ends of all logs, each under the name of its member.
    pub fn logs(&self) -> String {
        self.members()
            .map(|member| {
                let (name, address) = (member.name(), member.address());
                format!("--- {name} {address} pid {}\n{}\n", member.pid(), member.log_tail(40))
            })
            .collect()
    }
}

pub(crate) fn answers(member: &Member) -> bool {
    member.is_running() && !member.is_frozen()
}
