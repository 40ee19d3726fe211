//! The factory: what users hold, and what hands out handles.

use std::{
    fmt,
    panic::Location,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use redis::{RedisResult, ToRedisArgs};

use crate::{
    address::Address,
    broadcast::Broadcast,
    builder::Builder,
    config::{Config, Protocol},
    connection::{Limits, Settings},
    error::{Error, ErrorKind, Outcome},
    event::Event,
    metrics::{Counters, Stats},
    policy::ReadFrom,
    pool::{Handle, Place, Pool, PoolSettings, Replicas, after, closed},
    subscription::Subscription,
    tls::{self, Reloading, TlsConfig},
    topology::{Rules, Topology},
    watch::{self, Membership, Order, Recorder, SentinelSet},
    workers::{Workers, are_of_another_process},
};

/// How long `close()` waits for threads to end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Hands out handles to the current master of one service, and follows it.
///
/// A background watch, shared by every factory of the process that uses the same sentinels, listens
/// to all of them. When the master changes, the factory publishes a new generation (a new r2d2
/// pool, its first connection verified by `ROLE`) and retires the old one: handles that are out
/// move to the new master with their next command, threads that wait for a handle get one to it,
/// and threads blocked in a read on the old master wake.
///
/// Cloning is cheap and gives another reference to the same factory. It is `Send + Sync`: share it
/// between threads. The last clone to be dropped closes it, as [`Factory::close`] does.
#[derive(Clone)]
pub struct Factory {
    inner: Arc<Inner>,
}

/// What runs in the background for a factory.
struct Running {
    membership: Membership,
    workers: Arc<Workers>,
    /// The watch over the certificate files.
    files: Vec<Reloading>,
}

struct Inner {
    config: Config,
    pool: Arc<Pool>,
    replicas: Arc<Replicas>,
    events: Arc<Broadcast>,
    /// Taken by `close()`, so that a closed factory holds no descriptor and no thread.
    running: Mutex<Option<Running>>,
}

impl Factory {
    /// Opens a factory by URL:
    /// `redis+sentinel://[user][:password@]host[:port][,host[:port]…]/service[/db][?option=value&…]`.
    ///
    /// Blocks until the master was found and verified, at most for `connect_timeout` (5 s unless
    /// the URL says otherwise).
    ///
    /// # Errors
    /// [`InvalidUrl`](crate::ErrorKind::InvalidUrl) with the offending part, and everything that
    /// [`Builder::build`] may return.
    pub fn open(url: &str) -> Result<Factory, Error> {
        Builder::from_url(url)?.build()
    }

    /// A builder, for what a URL is too short for.
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn start(config: Config, recording: Option<Sender<String>>) -> Result<Factory, Error> {
        let deadline = Instant::now() + config.connect_timeout;
        let factory = Factory::begin(config, recording)?;
        match factory.inner.pool.wait_for_generation(0, deadline) {
            Some(_) => Ok(factory),
            None => {
                let waited = factory.inner.config.connect_timeout;
                Err(factory.inner.pool.why_no_master(waited))
            }
        }
    }

    fn begin(config: Config, recording: Option<Sender<String>>) -> Result<Factory, Error> {
        let workers = Workers::shared()?;
        let counters = Arc::new(Counters::default());
        let events = Arc::new(Broadcast::of(&config.service));
        let (node, node_files) = reloading(config.tls, &config.tls_config, tls::NODES)?;
        let (sentinel, sentinel_files) =
            reloading(config.sentinel_tls, &config.sentinel_tls_config, tls::SENTINELS)?;
        let pool = Pool::new(
            PoolSettings {
                node: Arc::new(config.node_settings(node)),
                max_size: config.max_size,
                min_idle: config.min_idle,
                max_lifetime: config.max_lifetime,
                leak_after: config.leak_after,
                get_timeout: config.get_timeout,
                workers: Arc::downgrade(&workers),
            },
            counters.clone(),
        );
        let replicas = Replicas::of(&pool);
        pool.watch_leaks(&workers, &events);
        #[cfg(feature = "metrics")]
        crate::metrics::export(&config.service, &pool, &workers);
        let set = SentinelSet::new(config.sentinels.clone(), config.sentinel_settings(sentinel));
        let order = Order {
            rules: config.rules(),
            map: config.address_map.clone(),
            client_name: config.client_name.clone(),
            pool: pool.clone(),
            replicas: replicas.clone(),
            events: events.clone(),
            counters,
            recorder: recording.map(|lines| Recorder::new(lines, &config)),
        };
        let membership = watch::follow(set, order, &workers)?;
        Ok(Factory {
            inner: Arc::new(Inner {
                config,
                pool,
                replicas,
                events,
                running: Mutex::new(Some(Running {
                    membership,
                    workers,
                    files: node_files.into_iter().chain(sentinel_files).collect(),
                })),
            }),
        })
    }

    /// A handle to the current master.
    ///
    /// Blocks for at most `get_timeout` (5 s by default): while all handles are in use, and while
    /// the master is down. An outage costs latency, not a storm of errors. A switch in the
    /// meantime ends the wait with a handle to the new master.
    ///
    /// # Errors
    /// All with [`Outcome::NotSent`]: [`PoolTimeout`](crate::ErrorKind::PoolTimeout),
    /// [`NoMaster`](crate::ErrorKind::NoMaster), [`Closed`](crate::ErrorKind::Closed).
    #[inline]
    #[track_caller]
    pub fn get(&self) -> Result<Handle, Error> {
        self.get_timeout(self.inner.config.get_timeout)
    }

    /// Returns a handle like [`Factory::get`], with a timeout of its own. Zero returns at once.
    ///
    /// # Errors
    /// As [`Factory::get`].
    #[inline]
    #[track_caller]
    pub fn get_timeout(&self, timeout: Duration) -> Result<Handle, Error> {
        self.inner.pool.checkout(timeout, Location::caller()).map(Handle::new)
    }

    /// Returns a handle if a connection to the current master is idle now. Never blocks.
    ///
    /// Just after another connection broke, another thread checks each idle one with the server first.
    /// Such a connection is handed out only after that answer. `None` also when the
    /// factory is closed.
    #[inline]
    #[track_caller]
    pub fn try_get(&self) -> Option<Handle> {
        self.inner.pool.try_checkout(Location::caller()).ok()?.map(Handle::new)
    }

    /// A handle to read with, from where `from` says; [`ReadFrom`] describes which replicas those are.
    ///
    /// A replica answers a write with `READONLY`. When the handle's replica is promoted, dies, falls
    /// behind [`Builder::max_lag`] or loses its master, the handle moves to another node by the same
    /// rules as one to a master that is replaced: the next command runs there without an error,
    /// unless the handle held state, and a command that waits for its reply ends with
    /// [`Outcome::Unknown`]. No fence concerns it.
    ///
    /// Blocks for at most `get_timeout`: while all handles to replicas are in use, and with
    /// [`ReadFrom::Replica`] while none may be read from, unless none is listed at all. The first call
    /// takes a few milliseconds more, in which the nodes are asked how far they are: before it the
    /// factory makes no connections to replicas but the one that it watches each by.
    ///
    /// # Errors
    /// All with [`Outcome::NotSent`]: [`NoReplica`](crate::ErrorKind::NoReplica) with
    /// [`ReadFrom::Replica`] alone, and says of each replica why;
    /// [`PoolTimeout`](crate::ErrorKind::PoolTimeout), [`Closed`](crate::ErrorKind::Closed);
    /// [`NoMaster`](crate::ErrorKind::NoMaster) where the master would have to do.
    #[track_caller]
    pub fn get_from(&self, from: ReadFrom) -> Result<Handle, Error> {
        if from == ReadFrom::Master {
            return self.get();
        }
        if self.inner.replicas.begin()
            && let Some(running) = &*self.inner.running.lock()
        {
            running.membership.read_replicas();
        }
        let deadline = after(self.inner.config.get_timeout);
        let lease = self.inner.replicas.checkout_until(from, deadline, Location::caller())?;
        Ok(Handle::reading(lease, from))
    }

    /// A handle to a replica: [`Factory::get_from`] with [`ReadFrom::Replica`].
    ///
    /// # Errors
    /// As [`Factory::get_from`].
    #[track_caller]
    pub fn replica(&self) -> Result<Handle, Error> {
        self.get_from(ReadFrom::Replica)
    }

    /// Runs `work` with a handle, and again with another when it failed and certainly nothing of
    /// its command was sent ([`Outcome::NotSent`]).
    ///
    /// Blocks for as long as `work` does, and for handles together at most for `get_timeout`. When
    /// `work` sends several commands, "again" repeats those before the one that failed, too: give
    /// it one command, or commands that may be repeated.
    ///
    /// # Errors
    /// The last error of `work`, or of the checkout.
    #[track_caller]
    pub fn run<T>(&self, mut work: impl FnMut(&mut Handle) -> RedisResult<T>) -> RedisResult<T> {
        self.repeat(|outcome| outcome == Outcome::NotSent, &mut work, Location::caller())
    }

    /// As [`Factory::run`], and again also after [`Outcome::Unknown`]: for work that may run twice
    /// without harm, such as SET, HSET, DEL and every read.
    ///
    /// # Errors
    /// As [`Factory::run`].
    #[track_caller]
    pub fn run_idempotent<T>(
        &self,
        mut work: impl FnMut(&mut Handle) -> RedisResult<T>,
    ) -> RedisResult<T> {
        self.repeat(|outcome| outcome != Outcome::Replied, &mut work, Location::caller())
    }

    fn repeat<T>(
        &self,
        again: impl Fn(Outcome) -> bool,
        work: &mut dyn FnMut(&mut Handle) -> RedisResult<T>,
        place: Place,
    ) -> RedisResult<T> {
        let deadline = after(self.inner.config.get_timeout);
        loop {
            let mut handle = Handle::new(self.inner.pool.checkout_until(deadline, place)?);
            match work(&mut handle) {
                Err(error)
                    if again(Outcome::of(&error))
                        && Instant::now() < deadline
                        && self.inner.pool.check_open().is_ok() => {}
                done => return done,
            }
        }
    }

    /// Subscribes to channels of the current master, and of every later one: one name, or a slice or
    /// vector of names. The [`Subscription`] is an iterator over what comes.
    ///
    /// Blocks until the server has confirmed all of them, at most for `get_timeout` (a dial that has
    /// begun may take `dial_timeout` longer); an outage, and a switch, end the wait with a
    /// subscription at the new master.
    ///
    /// # Errors
    /// [`NoMaster`](crate::ErrorKind::NoMaster) or
    /// [`CommandTimeout`](crate::ErrorKind::CommandTimeout) when that was not enough time;
    /// [`Permission`](crate::ErrorKind::Permission) when the user may not subscribe to one of them;
    /// [`Authentication`](crate::ErrorKind::Authentication),
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) when no channel is named,
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn subscribe(&self, channels: impl ToRedisArgs) -> Result<Subscription, Error> {
        Subscription::to_channels(self.inner.pool.clone(), channels)
    }

    /// As [`Factory::subscribe`], for patterns: `news.*`, `h?llo`, `h[ae]llo`.
    ///
    /// # Errors
    /// As [`Factory::subscribe`].
    pub fn psubscribe(&self, patterns: impl ToRedisArgs) -> Result<Subscription, Error> {
        Subscription::to_patterns(self.inner.pool.clone(), patterns)
    }

    /// Everything that happens from now on: switches, sentinels that come and go, and the like. The
    /// switch that led to the generation of this moment is not among it.
    ///
    /// Each call gives a receiver of its own. A reader that falls behind by more than a thousand
    /// events loses the oldest that do not fit, and finds [`Event::Missed`] in their place. The
    /// stream ends when the factory is closed, after the events that wait; of a closed factory it ends
    /// at once. A receiver that was dropped occupies less than 1 KiB until the next event.
    pub fn events(&self) -> Receiver<Event> {
        self.inner.events.subscribe(self.generation())
    }

    /// As [`Factory::events`]; `bell` is rung whenever there is something to receive.
    #[cfg(feature = "capi")]
    pub(crate) fn events_with(&self, bell: impl Fn() + Send + 'static) -> Receiver<Event> {
        self.inner.events.subscribe_with(self.generation(), Some(Box::new(bell)))
    }

    /// Blocks until a generation later than `after` is there, at most for `timeout`; gives its
    /// number, or `None` when the time was up or the factory was closed.
    pub fn wait_for_generation(&self, after: u64, timeout: Duration) -> Option<u64> {
        self.inner.pool.wait_for_generation(after, crate::pool::after(timeout))
    }

    /// The number of the current generation. It starts at 1 and rises with each switch.
    pub fn generation(&self) -> u64 {
        self.inner.pool.number()
    }

    /// The announced address of the current master; `None` after [`Factory::close`].
    pub fn master(&self) -> Option<Address> {
        self.inner.pool.current().map(|generation| generation.address().clone())
    }

    /// What is known of the service: every node and every sentinel. Blocks for a turn of the
    /// watch thread, well under a millisecond.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn topology(&self) -> Result<Topology, Error> {
        self.inner.pool.check_open()?;
        // Asked outside the lock: the answer takes a turn of another thread.
        let asker = self.inner.running.lock().as_ref().map(|running| running.membership.asker());
        asker.and_then(|asker| asker.topology()).ok_or_else(closed)
    }

    /// What happened so far, and the state of the pool. Never blocks for long: it reads counters.
    pub fn stats(&self) -> Stats {
        self.inner.pool.stats()
    }

    /// Queries every sentinel now, instead of at the next poll, and calls the providers of credentials.
    /// Does not wait for the answers.
    pub fn refresh(&self) {
        let config = &self.inner.config;
        for source in [&config.credentials, &config.sentinel_credentials].into_iter().flatten() {
            source.ask(drop);
        }
        if let Some(running) = &*self.inner.running.lock() {
            running.membership.refresh();
        }
    }

    /// Ends the factory: handles that are out fail with [`Closed`](crate::ErrorKind::Closed) from
    /// now on, threads that wait or read wake, and the watch's thread ends with its last factory.
    ///
    /// Blocks until those threads ended, at most 1 s. Calling it again does nothing.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Builder {
    /// Opens the factory: starts to follow the service and waits for its first master.
    ///
    /// Blocks until that master was found and verified, at most for `connect_timeout`.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with the first fault among the settings;
    /// [`NoSentinel`](crate::ErrorKind::NoSentinel), [`UnknownService`](crate::ErrorKind::UnknownService) or
    /// [`NoMaster`](crate::ErrorKind::NoMaster) with what
    /// each sentinel said; [`Internal`](crate::ErrorKind::Internal) when the system refuses a thread.
    pub fn build(mut self) -> Result<Factory, Error> {
        let recording = self.recording.take();
        Factory::start(self.into_config()?, recording)
    }

    /// As [`Builder::build`], and does not wait for a master: for whoever looks at a deployment that
    /// may have none.
    ///
    /// # Errors
    /// As [`Builder::build`], but for what the servers say.
    #[cfg(feature = "cli")]
    #[doc(hidden)]
    pub fn build_without_master(mut self) -> Result<Factory, Error> {
        let recording = self.recording.take();
        Factory::begin(self.into_config()?, recording)
    }
}

/// How long sent bytes may go without an acknowledgement before the kernel gives the connection up:
/// without it a powered-off server costs a quarter of an hour of retransmissions.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

impl Config {
    /// What the machine goes by.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            confirm_within: self.confirm_within,
            fence: self.fence,
            fence_timeout: self.fence_timeout,
            max_lag: self.max_lag,
            ..Rules::new(&*self.service, self.switch_on).on_lost_majority(self.on_lost_majority)
        }
    }

    /// How to talk to the nodes.
    pub(crate) fn node_settings(&self, tls: Option<tls::Connector>) -> Settings {
        Settings { tls, ..self.plain_settings() }
    }

    fn plain_settings(&self) -> Settings {
        Settings {
            username: self.username.clone(),
            password: self.password.clone(),
            credentials: self.credentials.clone(),
            db: self.db,
            client_name: self.client_name.clone(),
            protocol: self.protocol,
            tls: None,
            dial_timeout: self.dial_timeout,
            command_timeout: self.command_timeout,
            user_timeout: Some(USER_TIMEOUT),
            limits: Limits::default(),
            role_required: true,
        }
    }

    /// How to talk to the sentinels: RESP3 where they know it, because one connection then does for
    /// events and for questions.
    pub(crate) fn sentinel_settings(&self, tls: Option<tls::Connector>) -> Settings {
        Settings {
            username: self.sentinel_username.clone(),
            password: self.sentinel_password.clone(),
            credentials: self.sentinel_credentials.clone(),
            db: 0,
            protocol: Protocol::Resp3,
            tls,
            role_required: false,
            ..self.plain_settings()
        }
    }

    /// Makes the TLS sessions with the nodes and those with the sentinels, where TLS is spoken.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when certificates or keys cannot be read.
    #[cfg(feature = "cli")]
    pub(crate) fn connectors(&self) -> Result<[Option<tls::Connector>; 2], Error> {
        let connector = |spoken: bool, config, names| {
            spoken.then(|| tls::Connector::new(config, names).map_err(unusable)).transpose()
        };
        Ok([
            connector(self.tls, &self.tls_config, tls::NODES)?,
            connector(self.sentinel_tls, &self.sentinel_tls_config, tls::SENTINELS)?,
        ])
    }
}

/// Makes TLS sessions from files that are read again when they change, where TLS is spoken.
fn reloading(
    spoken: bool,
    config: &TlsConfig,
    names: tls::Names,
) -> Result<(Option<tls::Connector>, Option<Reloading>), Error> {
    let connector = spoken.then(|| tls::Connector::reloading(config, names)).transpose();
    Ok(connector.map_err(unusable)?.unzip())
}

fn unusable(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

impl Inner {
    fn close(&self) {
        if are_of_another_process() {
            // The threads are the parent's, and so are the connections. The system closes this
            // process's descriptors of them with the process, which ends none of them.
            std::mem::forget(self.running.lock().take());
            return;
        }
        let Some(Running { membership, workers, files }) = self.running.lock().take() else {
            return;
        };
        let deadline = Instant::now() + CLOSE_PATIENCE;
        self.pool.close();
        self.replicas.close();
        membership.leave(CLOSE_PATIENCE);
        self.events.close();
        workers.leave(deadline.saturating_duration_since(Instant::now()));
        files.into_iter().for_each(|files| files.leave(deadline));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Factory")
            .field("service", &self.inner.config.service)
            .field("master", &self.master())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}
