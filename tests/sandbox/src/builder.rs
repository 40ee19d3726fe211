//! How a cluster is described and started: [`Builder`].

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Cluster, Error, ErrorKind, FaultProxy, Member, Node, Result, Sentinel, Tls,
    cluster::Service,
    guardian::Guardian,
    health,
    host::Host,
    ports::{self, Ports},
    program::Programs,
    settings::{NodeSeat, SentinelSeat, ServiceSeat, Settings},
};

/// Below this, sentinels fail over a healthy new master once more.
const MIN_DOWN_AFTER: Duration = Duration::from_millis(1200);
/// Another process may take a port between its choice and its use; then the start begins anew.
const ATTEMPTS: usize = 5;

/// Describes a cluster. Get one from [`Cluster::builder`].
///
/// One service `mymaster` with one master, 2 replicas and 3 sentinels when nothing else is said.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    settings: Settings,
    server: Option<PathBuf>,
    sentinel: Option<PathBuf>,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder {
            settings: Settings {
                services: vec!["mymaster".to_owned()],
                replicas: 2,
                sentinels: 3,
                quorum: None,
                down_after: MIN_DOWN_AFTER,
                failover_timeout: Duration::from_secs(6),
                parallel_syncs: 1,
                node_lines: Vec::new(),
                sentinel_lines: Vec::new(),
                password: None,
                sentinel_password: None,
                tls: None,
                proxied: false,
                host: Host::default(),
                node_ips: Vec::new(),
                sentinel_ips: Vec::new(),
                start_timeout: Duration::from_secs(30),
            },
            server: None,
            sentinel: None,
        }
    }

    /// Replicas of each service (2).
    pub fn replicas(mut self, count: usize) -> Builder {
        self.settings.replicas = count;
        self
    }

    /// Sentinels (3).
    pub fn sentinels(mut self, count: usize) -> Builder {
        self.settings.sentinels = count;
        self
    }

    /// How many sentinels must find the master down (a majority).
    pub fn quorum(mut self, count: usize) -> Builder {
        self.settings.quorum = Some(count);
        self
    }

    /// The name of the service (`mymaster`).
    pub fn service(mut self, name: impl Into<String>) -> Builder {
        self.settings.services[0] = name.into();
        self
    }

    /// One more service, with a master and replicas of its own, watched by the same sentinels.
    pub fn service_also(mut self, name: impl Into<String>) -> Builder {
        self.settings.services.push(name.into());
        self
    }

    /// `down-after-milliseconds` (1200 ms, and not less: sentinels would fail over the new master again).
    pub fn down_after(mut self, time: Duration) -> Builder {
        self.settings.down_after = time;
        self
    }

    /// `failover-timeout` (6 s). After a failed attempt the sentinels wait for twice this time; a slow replica
    /// delays the leader's `+switch-master` by up to this time.
    pub fn failover_timeout(mut self, time: Duration) -> Builder {
        self.settings.failover_timeout = time;
        self
    }

    /// `parallel-syncs` (1): replicas pointed to the new master at a time.
    pub fn parallel_syncs(mut self, count: usize) -> Builder {
        self.settings.parallel_syncs = count;
        self
    }

    /// A line for every `redis.conf`, behind all others.
    pub fn node_line(mut self, line: impl Into<String>) -> Builder {
        self.settings.node_lines.push(line.into());
        self
    }

    /// A line for every `sentinel.conf`, behind all others; `user …` lines work too.
    pub fn sentinel_line(mut self, line: impl Into<String>) -> Builder {
        self.settings.sentinel_lines.push(line.into());
        self
    }

    /// The password of the nodes: `requirepass`, `masterauth` and `sentinel auth-pass`.
    pub fn password(mut self, password: impl Into<String>) -> Builder {
        self.settings.password = Some(password.into());
        self
    }

    /// The password of the sentinels: `requirepass`, which they use among themselves too.
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Builder {
        self.settings.sentinel_password = Some(password.into());
        self
    }

    /// Gives every member a TLS port. [`Cluster::url`] asks for TLS, and names the authority, where the members talk TLS
    /// with each other.
    pub fn tls(mut self, tls: Tls) -> Builder {
        self.settings.tls = Some(tls);
        self
    }

    /// Puts a [`FaultProxy`] in front of every member, for clients only: members talk with each other directly, and
    /// sentinels announce direct addresses. [`Cluster::proxied_url`] and [`Cluster::address_map`] lead through the proxies.
    pub fn proxied(mut self, yes: bool) -> Builder {
        self.settings.proxied = yes;
        self
    }

    /// The address that all members listen on, such as `::1` (`127.0.0.1`).
    pub fn listen_on(mut self, ip: impl Into<IpAddr>) -> Builder {
        self.settings.host.ip = ip.into();
        self
    }

    /// Spreads the members over several addresses of this machine, each a host of its own: the nodes of each service
    /// in turn over the first, the sentinels over the second (`listen_on`, where there are none).
    ///
    /// On Linux all of 127.0.0.0/8 is there. At an address that is none of loopback others may reach the members, which
    /// should have passwords then.
    pub fn hosts(
        mut self,
        nodes: impl IntoIterator<Item = IpAddr>,
        sentinels: impl IntoIterator<Item = IpAddr>,
    ) -> Builder {
        self.settings.node_ips = nodes.into_iter().collect();
        self.settings.sentinel_ips = sentinels.into_iter().collect();
        self
    }

    /// The name that all members use for each other and announce to clients, such as `localhost`, with
    /// `resolve-hostnames` and `announce-hostnames`. They listen on both loopback addresses then.
    pub fn announce_name(mut self, name: impl Into<String>) -> Builder {
        self.settings.host.name = Some(name.into());
        self
    }

    /// How long [`start`](Builder::start) may take (30 s; about half a second is usual).
    pub fn start_timeout(mut self, time: Duration) -> Builder {
        self.settings.start_timeout = time;
        self
    }

    /// The server program, instead of `SWITCHMASTER_REDIS_SERVER` or `redis-server` on `PATH`. It runs the sentinels
    /// too, with `--sentinel`, unless [`sentinel_program`](Builder::sentinel_program) names another one.
    ///
    /// So one process can run Redis for one cluster and Valkey for another: [`valkey_server`](crate::valkey_server).
    pub fn server(mut self, path: impl Into<PathBuf>) -> Builder {
        self.server = Some(path.into());
        self
    }

    /// The sentinel program, instead of the [`server`](Builder::server) or, where that is not named either,
    /// `SWITCHMASTER_REDIS_SENTINEL`. It becomes a sentinel with `--sentinel`.
    pub fn sentinel_program(mut self, path: impl Into<PathBuf>) -> Builder {
        self.sentinel = Some(path.into());
        self
    }

    /// Starts everything and waits until it is [settled](Cluster::wait_settled) and every sentinel finds a quorum.
    ///
    /// In the second after that, a killed master is found down up to a second later than `down_after`
    /// says, because a sentinel dials a lost member only once a second.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for settings that cannot work, [`ErrorKind::Missing`] without the programs,
    /// [`ErrorKind::Start`] when a server ends by itself, [`ErrorKind::Timeout`] when the cluster is not
    /// ready in time; the last two carry the ends of the logs.
    pub fn start(self) -> Result<Cluster> {
        self.check()?;
        let programs = Programs::find(self.server.as_deref(), self.sentinel.as_deref())?;
        let mut attempt = 1;
        loop {
            match launch(&self.settings, &programs) {
                Err(error) if error.kind() == ErrorKind::PortTaken && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        let settings = &self.settings;
        if settings.down_after < MIN_DOWN_AFTER {
            return refuse(format!(
                "down_after {:?}: below {MIN_DOWN_AFTER:?} sentinels find the new master down right after a \
                 failover and replace it again; use {MIN_DOWN_AFTER:?} or more",
                settings.down_after
            ));
        }
        if settings.failover_timeout.as_millis() == 0 {
            return refuse("failover_timeout 0: sentinels need a positive time".to_owned());
        }
        if settings.parallel_syncs == 0 {
            return refuse(
                "parallel_syncs 0: sentinels would never point a replica anew".to_owned(),
            );
        }
        if settings.quorum() == 0 || settings.quorum() > settings.sentinels.max(1) {
            return refuse(format!(
                "quorum {} of {} sentinels: no failover could ever start",
                settings.quorum(),
                settings.sentinels
            ));
        }
        for (index, name) in settings.services.iter().enumerate() {
            let legal = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            if name.is_empty() || !name.chars().all(legal) {
                return refuse(format!("service {name:?}: Sentinel allows A-z 0-9 . - _ only"));
            }
            if settings.services[..index].contains(name) {
                return refuse(format!("service {name:?} is named twice"));
            }
        }
        Ok(())
    }
}

fn launch(settings: &Settings, programs: &Programs) -> Result<Cluster> {
    let deadline = Instant::now() + settings.start_timeout;
    let guardian = Arc::new(Guardian::start(programs)?);
    let own_password: Arc<str> = format!("{:016x}{:016x}", ports::random(), ports::random()).into();

    let mut service_seats = Vec::new();
    for name in &settings.services {
        let seat = |index| {
            Ok(NodeSeat { host: settings.node_host(index), ports: Ports::choose(settings)? })
        };
        let nodes: Result<Vec<NodeSeat>> = (0..=settings.replicas).map(seat).collect();
        service_seats.push(ServiceSeat { name: name.clone(), nodes: nodes? });
    }
    let mut sentinel_seats = Vec::new();
    for index in 0..settings.sentinels {
        let id: String = (0..3).map(|_| format!("{:016x}", ports::random())).collect();
        sentinel_seats.push(SentinelSeat {
            name: format!("sentinel-{index}"),
            host: settings.sentinel_host(index),
            ports: Ports::choose(settings)?,
            id: id[..40].to_owned(),
        });
    }

    let launch = Launch { settings, programs, guardian: &guardian, own_password: &own_password };
    let services: Result<Vec<Service>> = thread::scope(|scope| {
        let starts: Vec<_> = service_seats
            .iter()
            .map(|seat| scope.spawn(|| launch.service(seat, deadline)))
            .collect();
        starts.into_iter().map(|start| start.join().unwrap_or_else(|_| Err(panicked()))).collect()
    });
    let services = services?;

    let mut sentinels = Vec::new();
    for seat in &sentinel_seats {
        let member = launch.member(&seat.name, true, &seat.host, seat.ports, |directory| {
            settings.sentinel_file(directory, &sentinel_seats, seat, &service_seats, &own_password)
        })?;
        sentinels.push(Sentinel::new(member, seat.id.as_str().into()));
    }
    let started: Result<Vec<()>> = thread::scope(|scope| {
        let starts: Vec<_> =
            sentinels.iter().map(|sentinel| scope.spawn(|| sentinel.start(deadline))).collect();
        starts.into_iter().map(|start| start.join().unwrap_or_else(|_| Err(panicked()))).collect()
    });
    started?;

    let cluster = Cluster::new(guardian, services, sentinels, settings.clone());
    cluster.hurried(|| health::wait_ready(&cluster, deadline))?;
    Ok(cluster)
}

fn panicked() -> Error {
    Error::new(ErrorKind::Start, "a thread that started servers panicked")
}

struct Launch<'a> {
    settings: &'a Settings,
    programs: &'a Programs,
    guardian: &'a Arc<Guardian>,
    own_password: &'a Arc<str>,
}

impl Launch<'_> {
    fn member(
        &self,
        name: &str,
        sentinel: bool,
        host: &Host,
        ports: Ports,
        file: impl FnOnce(&std::path::Path) -> String,
    ) -> Result<Arc<Member>> {
        let directory = self.guardian.directory().join(name);
        std::fs::create_dir(&directory)
            .map_err(|error| Error::io(format_args!("make {}", directory.display()), &error))?;
        let proxy = match self.settings.proxied {
            true => Some(FaultProxy::to(host.address(ports.announced))?),
            false => None,
        };
        let member = Member::new(
            name.to_owned(),
            sentinel,
            ports,
            host.clone(),
            self.guardian.clone(),
            self.own_password.clone(),
            proxy,
        );
        let path = member.config_file();
        std::fs::write(&path, file(&directory))
            .map_err(|error| Error::io(format_args!("write {}", path.display()), &error))?;
        Ok(Arc::new(member))
    }

    /// The master first; then one replica at a time, since a master serves simultaneous full
    /// syncs one after the other, with a second's pause between.
    fn service(&self, seat: &ServiceSeat, deadline: Instant) -> Result<Service> {
        let name: Arc<str> = seat.name.as_str().into();
        let mut nodes = Vec::new();
        for (index, own) in seat.nodes.iter().enumerate() {
            let master = (index > 0).then(|| &seat.nodes[0]);
            let NodeSeat { host, ports } = own;
            let member = self.member(&format!("{name}-{index}"), false, host, *ports, |dir| {
                let major = self.programs.major;
                self.settings.node_file(dir, own, master, self.own_password, major)
            })?;
            let node = Node::new(member, name.clone());
            node.start(deadline)?;
            if master.is_some() {
                node.wait_in_sync(deadline)?;
            }
            nodes.push(node);
        }
        Ok(Service { name, nodes })
    }
}
