//! How a factory is told what it needs to know: [`Builder`].

use std::{fmt, time::Duration};

use crossbeam_channel::Sender;

use crate::{
    address::Address,
    config::{Config, Protocol, Secret},
    credentials::{CredentialsProvider, Source},
    error::{Error, ErrorKind},
    options,
    policy::{OnLostMajority, SwitchOn},
    tls::TlsConfig,
};

/// Collects what a factory needs to know: at least one sentinel and the name of a service.
///
/// Setters never fail. What cannot work is reported when the factory is built, as
/// [`ErrorKind::InvalidConfig`] with the first fault: the setting, its value, and what would be
/// right. [`Builder::set`] takes every setting by name and as text, and reports a fault at once.
///
/// `Debug` hides the passwords.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    pub(crate) settings: Config,
    faults: Vec<String>,
    pub(crate) recording: Option<Sender<String>>,
}

impl Builder {
    /// A builder in which nothing is set.
    pub fn new() -> Builder {
        Builder { settings: Config::unset(), faults: Vec::new(), recording: None }
    }

    /// Adds a sentinel: `host`, `host:port`, `[ipv6]` or `[ipv6]:port`; the port is 26379 unless
    /// given. Several may be separated by commas.
    ///
    /// Name all of them, or several: any one that answers leads to the others, but a sentinel that
    /// nobody named cannot help while the named ones are down. The same sentinel twice counts once.
    /// A host name is resolved anew for each dial, and so are those that nodes announce.
    pub fn sentinel(self, host_port: impl fmt::Display) -> Builder {
        self.add("sentinel", &host_port.to_string())
    }

    /// Adds sentinels, each as in [`Builder::sentinel`].
    pub fn sentinels(self, host_ports: impl IntoIterator<Item = impl fmt::Display>) -> Builder {
        host_ports.into_iter().fold(self, Builder::sentinel)
    }

    /// The name under which Sentinel monitors the master, as in `sentinel monitor mymaster …`.
    ///
    /// No default: a guess that happens to name another service would write to the wrong data.
    pub fn service(mut self, name: impl Into<String>) -> Builder {
        self.settings.service = name.into();
        self
    }

    /// The ACL user at the nodes (Redis 6 on); needs a password. Empty text counts as none.
    ///
    /// Default none: the server's `default` user.
    pub fn username(mut self, name: impl Into<String>) -> Builder {
        self.settings.username = Some(name.into());
        self
    }

    /// The password at the nodes: the user's, or that of `requirepass`. Empty text without a user
    /// counts as none, so that an unset variable of the environment does no harm.
    ///
    /// Default none. It is not sent to the sentinels: they have [`Builder::sentinel_password`].
    pub fn password(mut self, password: impl Into<String>) -> Builder {
        self.settings.password = Some(Secret::new(password));
        self
    }

    /// Supplies user and password at the nodes, at each dial, instead of [`Builder::username`] and
    /// [`Builder::password`]: for passwords that are rotated. [`CredentialsProvider`] documents its calls
    /// and their time limit.
    ///
    /// When the credentials have changed, idle connections log in again (`AUTH`), and connections
    /// in use are closed when they are returned. The library calls it at dials. To apply a rotation
    /// earlier, call [`Factory::refresh`](crate::Factory::refresh).
    ///
    /// ```
    /// use switchmaster::{Builder, Credentials};
    ///
    /// let builder = Builder::new().credentials(|| {
    ///     let password = std::fs::read_to_string("/run/secrets/redis")?;
    ///     Ok(Credentials::new("app", password.trim_end()))
    /// });
    /// # drop(builder);
    /// ```
    ///
    /// Default none.
    pub fn credentials(mut self, provider: impl CredentialsProvider) -> Builder {
        self.settings.credentials = Some(Source::new(provider));
        self
    }

    /// Supplies user and password at the sentinels, as [`Builder::credentials`] does at the nodes. An open
    /// link to a sentinel stays logged in as it is; the next one uses the new credentials.
    ///
    /// Default none. The provider for the nodes is not asked instead.
    pub fn sentinel_credentials(mut self, provider: impl CredentialsProvider) -> Builder {
        self.settings.sentinel_credentials = Some(Source::new(provider));
        self
    }

    /// The database that handles start in (`SELECT`).
    ///
    /// Default 0, which is where the server starts every connection.
    pub fn db(mut self, number: i64) -> Builder {
        self.settings.db = number;
        self
    }

    /// The name of our connections in `CLIENT LIST`: printable ASCII without spaces, as Redis
    /// demands. Empty text counts as none.
    ///
    /// Default none, the server's own default.
    pub fn client_name(mut self, name: impl Into<String>) -> Builder {
        self.settings.client_name = Some(name.into());
        self
    }

    /// The protocol spoken to the nodes.
    ///
    /// Default [`Protocol::Resp3`], with a fallback to RESP2 where the server does not know it: its
    /// replies say what they are.
    pub fn protocol(mut self, protocol: Protocol) -> Builder {
        self.settings.protocol = protocol;
        self
    }

    /// The ACL user at the sentinels; needs a password. Empty text counts as none.
    ///
    /// Default none. The user at the nodes is not taken instead: the two are set up apart, and a
    /// sentinel that knows no such user would refuse to talk.
    pub fn sentinel_username(mut self, name: impl Into<String>) -> Builder {
        self.settings.sentinel_username = Some(name.into());
        self
    }

    /// The password at the sentinels. Empty text without a user counts as none.
    ///
    /// Default none. The password at the nodes is not taken instead: a password is told only to
    /// those it was meant for.
    pub fn sentinel_password(mut self, password: impl Into<String>) -> Builder {
        self.settings.sentinel_password = Some(Secret::new(password));
        self
    }

    /// Speaks TLS to the nodes, as this says. A URL does so by `rediss+sentinel://` and the options
    /// `tls_ca`, `tls_cert`, `tls_key` (files, or PEM text itself) and `tls_server_name`.
    ///
    /// Default: plain TCP. It takes one of the features `tls-rustls` and `tls-native-tls`. The sentinels
    /// are spoken to in TLS only by [`Builder::sentinel_tls`]: the two are set up apart. The handshake
    /// is part of [`Builder::dial_timeout`].
    pub fn tls(mut self, config: TlsConfig) -> Builder {
        self.settings.tls = true;
        self.settings.tls_config = config;
        self
    }

    /// Speaks TLS to the sentinels, as this says. A URL does so by `sentinel_tls=true` and the options
    /// `sentinel_tls_ca`, `sentinel_tls_cert`, `sentinel_tls_key` and `sentinel_tls_server_name`.
    ///
    /// Default: plain TCP. What [`Builder::tls`] got is not taken instead, for sentinels often have
    /// certificates of their own or none.
    pub fn sentinel_tls(mut self, config: TlsConfig) -> Builder {
        self.settings.sentinel_tls = true;
        self.settings.sentinel_tls_config = config;
        self
    }

    /// Connects to `to` where the sentinels announce `from`, both `host:port`: for nodes and
    /// sentinels behind NAT, in Docker, or at the end of a tunnel. Call it once per address.
    ///
    /// Default: every address is used as it is announced.
    pub fn address_map(self, from: impl fmt::Display, to: impl fmt::Display) -> Builder {
        self.add("address_map", &format!("{from}>{to}"))
    }

    /// Asks a function where to connect for an announced address that [`Builder::address_map`] does
    /// not name. It is asked anew for each dial, so it may answer differently when a tunnel moves or
    /// a registry of services says so; what is connected stays connected. A host name that it
    /// gives is resolved. It runs on the threads of the watch and of the pool, so it has to be quick;
    /// a panic in it is logged, and the address is used as it is announced.
    ///
    /// Default: every address is used as it is announced.
    pub fn address_mapper(
        mut self,
        function: impl Fn(&Address) -> Address + Send + Sync + 'static,
    ) -> Builder {
        self.settings.address_map.set_function(function);
        self
    }

    /// The most connections to the master that this factory holds, and so the most handles in use
    /// at a time.
    ///
    /// Default 8: a command takes well under a millisecond on the wire, so a few connections carry
    /// many threads, and every connection more is one to open anew at each switch.
    pub fn max_size(mut self, handles: u32) -> Builder {
        self.settings.max_size = handles;
        self
    }

    /// How many idle connections are kept open. 0 opens them on demand only.
    ///
    /// Default 1: the first `get()` after a quiet time, or after a switch, finds one ready.
    pub fn min_idle(mut self, handles: u32) -> Builder {
        self.settings.min_idle = handles;
        self
    }

    /// How long a connection is used before a new one takes its place when it comes back; `None`
    /// for ever. A random part is taken off each, so that they do not all end together.
    ///
    /// Default 30 minutes: connections spread again over what lies between (proxies, changed names
    /// and credentials), and a dial each half hour costs nothing.
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Builder {
        self.settings.max_lifetime = lifetime.into();
        self
    }

    /// How long a handle may be out before it is reported, once, with the place in the program where
    /// it was taken: in the log as a warning, as [`Event::Leaked`](crate::Event::Leaked), and in
    /// [`Stats::leaks`](crate::Stats::leaks). It is not taken away from whoever has it. `None`: never.
    ///
    /// Default `None`: a handle that a thread keeps for itself is no leak, and how long is too long
    /// only the program knows. Costs nothing at the checkout; once set, a background thread looks
    /// four times in this time, at most every 10 ms and at least every 5 s.
    pub fn leak_after(mut self, time: impl Into<Option<Duration>>) -> Builder {
        self.settings.leak_after = time.into();
        self
    }

    /// How long building the factory may take, from its start to the first verified master.
    ///
    /// Default 5 s: with a dead sentinel or two on the list and a failover in its last second, a
    /// master is still found; a wrong address is known before anybody loses patience.
    pub fn connect_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long one attempt to connect to one server may take, its handshake included.
    ///
    /// Default 500 ms: many round trips even between continents, and little enough to leave time
    /// for the next server when this one does not answer.
    pub fn dial_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.dial_timeout = timeout;
        self
    }

    /// How long `get()` may wait for a handle, a failover included.
    ///
    /// Default 5 s: a master that is gone is detected and replaced within it when
    /// `down-after-milliseconds` is a few seconds or less, so an outage costs latency, not errors.
    pub fn get_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.get_timeout = timeout;
        self
    }

    /// How long a command may take from its sending to the end of its reply. A command that blocks
    /// (`BLPOP` …) gets its own timeout on top.
    ///
    /// Default 2 s: far above any command that should run on a server with one thread, and below
    /// what people wait for.
    pub fn command_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.command_timeout = timeout;
        self
    }

    /// What it takes to switch to another master.
    ///
    /// Default [`SwitchOn::Promotion`]: the new master accepts writes from then on, and waiting for
    /// the sentinels to say so adds 0.8 to 2 s of outage.
    pub fn switch_on(mut self, switch_on: SwitchOn) -> Builder {
        self.settings.switch_on = switch_on;
        self
    }

    /// How long commands run on a master that was switched to at its promotion before a sentinel
    /// has named it. When this is over, and at once when the sentinel that leads the failover is
    /// lost, commands wait until some sentinel names a master.
    ///
    /// Default 1.5 s: the sentinels take 0.9 to 1.1 s to notice the promotion that they ordered. If
    /// their leader dies before, another replica may be promoted instead, and what was written in
    /// this time is lost; [`Event::Overruled`](crate::Event::Overruled) tells how much that was.
    pub fn confirm_within(mut self, timeout: Duration) -> Builder {
        self.settings.confirm_within = timeout;
        self
    }

    /// Whether commands wait while their master is being replaced: from the moment in which the
    /// sentinels chose its successor until the factory switched.
    ///
    /// Default `true`: without it a planned failover loses what the old master acknowledges after
    /// its successor was promoted. It costs a pause of about 0.1 s in a failover, and nothing
    /// otherwise. Commands that block (BLPOP …) are called back meanwhile, with
    /// `CLIENT UNBLOCK … ERROR`, and begin anew on the new master. The fence also stands for the
    /// moment in which Valkey's `SENTINEL FAILOVER … COORDINATED` cuts every connection.
    pub fn fence(mut self, on: bool) -> Builder {
        self.settings.fence = on;
        self
    }

    /// How long that wait may last before commands go on with the old master.
    ///
    /// They do not while a majority of the known sentinels names another one: what the old master
    /// acknowledged then would be lost. They wait until that one takes writes, as long as their own
    /// deadlines allow, and fail with the outcome `NotSent`.
    ///
    /// Default 3 s: a promotion comes within 0.1 s of the choice, 0.6 s when failovers follow each
    /// other, and where only a sentinel's word will do, about 1 s later.
    pub fn fence_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.fence_timeout = timeout;
        self
    }

    /// What to do when fewer than a majority of the known sentinels can be heard.
    ///
    /// Default [`OnLostMajority::Serve`]: sentinels may vanish without harm to those who only use
    /// the master. Choose [`OnLostMajority::Fence`] where an acknowledged write must not be lost
    /// even when a network partition shuts the program in with a master that is then replaced.
    pub fn on_lost_majority(mut self, policy: OnLostMajority) -> Builder {
        self.settings.on_lost_majority = policy;
        self
    }

    /// How far behind the master a replica may be that is read from; `None` for any distance, as long
    /// as it is in sync. At least 100 ms.
    ///
    /// A replica is read from while it is known to have everything that the master had acknowledged
    /// so long ago. That follows from replication offsets (`ROLE`): a replica that has reached the
    /// offset that the master answered has all that the master had acknowledged before it was asked.
    /// Nodes are asked every fifth of this time (at most 1 s apart, at least 20 ms), so a
    /// replica that keeps up counts as up to two fifths behind, and one that is too far behind is
    /// found out in time: the error is on the safe side. One that was left is read from again when it
    /// is within half of the bound.
    ///
    /// Default 10 s: replicas are milliseconds behind when all is well, and while their master is away,
    /// when nobody can tell how far behind they are, they are read from for that long.
    pub fn max_lag(mut self, bound: impl Into<Option<Duration>>) -> Builder {
        self.settings.max_lag = bound.into();
        self
    }

    /// Sends every line of a recording there, in order: what the sentinels and nodes told, with
    /// times, and what the factory did about it. `tests/recordings/README.md` in the source tree
    /// describes the lines, which end without a line feed. The first comes before the factory is
    /// built, the last when it is closed, and then the channel is disconnected.
    ///
    /// The watch never waits for the reader: lines that do not fit are dropped, and their number is
    /// told by a line `# lost N lines`, so an unbounded channel is the right one. A recording
    /// holds addresses, run ids and what sentinels publish, and no password.
    ///
    /// Default: nothing is recorded, which costs nothing.
    pub fn record(mut self, lines: Sender<String>) -> Builder {
        self.recording = Some(lines);
        self
    }

    /// Sets an option by its name and as text, as a URL and other languages do:
    /// `set("get_timeout", "500ms")`.
    ///
    /// The names are those of the setters ([`Builder::option_names`]). Durations carry a unit
    /// (`500ms`, `1.5s`, `1m`), lists are separated by commas (`sentinels`) or semicolons
    /// (`address_map=10.0.0.1:6379>127.0.0.1:7000;…`), `switch_on` is `promotion`, `confirmation`
    /// or `announcement`, `on_lost_majority` is `serve` or `fence:1s`, `fence`, `tls` and `sentinel_tls`
    /// are `true` or `false`, certificates and keys are the path of a PEM file or the PEM text itself,
    /// `protocol` is `2` or `3`, and `max_lifetime`, `leak_after` and `max_lag` may be `none`. `sentinel`,
    /// `sentinels` and `address_map` add to what is there; everything else replaces it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for an unknown option or a value that cannot work, quoting both
    /// (never the value of a password). The builder is as it was before.
    pub fn set(&mut self, key: &str, value: &str) -> Result<&mut Builder, Error> {
        options::set(&mut self.settings, key, value).map_err(invalid)?;
        Ok(self)
    }

    /// The names of all options that [`Builder::set`] and URLs take.
    pub fn option_names() -> impl Iterator<Item = &'static str> {
        options::OPTIONS.iter().map(|option| option.name)
    }

    /// Adds to a list, and keeps the fault for later when that cannot be.
    fn add(mut self, key: &str, value: &str) -> Builder {
        if let Err(fault) = options::set(&mut self.settings, key, value) {
            self.faults.push(fault);
        }
        self
    }

    /// Checks everything that was set.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] with the first fault.
    pub(crate) fn into_config(self) -> Result<Config, Error> {
        let Builder { settings: mut config, faults, .. } = self;
        config.username = config.username.filter(|name| !name.is_empty());
        config.sentinel_username = config.sentinel_username.filter(|name| !name.is_empty());
        config.client_name = config.client_name.filter(|name| !name.is_empty());
        if config.username.is_none() {
            config.password = config.password.filter(|password| !password.expose().is_empty());
        }
        if config.sentinel_username.is_none() {
            config.sentinel_password =
                config.sentinel_password.filter(|password| !password.expose().is_empty());
        }
        if let Some(fault) = faults.into_iter().next() {
            return Err(invalid(fault));
        }
        options::check(&config).map_err(invalid)?;
        Ok(config)
    }
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A user without a password may be a password in the wrong place: redis+sentinel://pw@host.
        let mut settings = self.settings.clone();
        if settings.password.is_none() {
            settings.username = settings.username.map(|_| "***".to_owned());
        }
        if settings.sentinel_password.is_none() {
            settings.sentinel_username = settings.sentinel_username.map(|_| "***".to_owned());
        }
        f.debug_struct("Builder")
            .field("settings", &settings)
            .field("faults", &self.faults)
            .finish()
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable() -> Builder {
        Builder::new().sentinel("10.0.0.1").service("mymaster")
    }

    #[test]
    fn a_sentinel_and_a_service_are_enough() {
        let config = usable().into_config().unwrap();
        assert_eq!(config.sentinels, ["10.0.0.1:26379".parse().unwrap()]);
        assert_eq!(config.service, "mymaster");
        assert_eq!((config.min_idle, config.max_size), (1, 8));
        assert_eq!(config.switch_on, SwitchOn::Promotion);
    }

    #[test]
    fn sentinels_count_once() {
        let config = usable()
            .sentinels(["10.0.0.1:26379", "[::ffff:10.0.0.1]:26379", "Sentinel.Example.Com."])
            .sentinels(["sentinel.example.com:26379".parse::<Address>().unwrap()])
            .into_config()
            .unwrap();
        let addresses: Vec<_> = config.sentinels.iter().map(Address::to_string).collect();
        assert_eq!(addresses, ["10.0.0.1:26379", "sentinel.example.com:26379"]);
    }

    #[test]
    fn what_cannot_work_is_reported_with_its_setting_and_value() {
        let zero = Duration::ZERO;
        let huge = Duration::MAX;
        let bare = Builder::new;
        let cases: Vec<(Builder, &[&str])> = vec![
            (bare().service("s"), &["sentinels", "no sentinel"]),
            (bare().sentinel("h"), &["service"]),
            (usable().service(""), &["service", "\"\""]),
            (usable().service("my master"), &["service", "\"my master\""]),
            (usable().service("my\nmaster"), &["service", "\\n"]),
            (usable().sentinel("h:70000"), &["sentinel", "\"70000\""]),
            (usable().sentinel(""), &["sentinel", "\"\""]),
            (usable().sentinel("h1,,h2"), &["sentinel", "\"h1,,h2\"", "\"\""]),
            (usable().max_size(0), &["max_size", "\"0\"", "at least 1"]),
            (usable().min_idle(9), &["min_idle", "\"9\"", "max_size=\"8\""]),
            (usable().get_timeout(zero), &["get_timeout", "\"0s\""]),
            (usable().connect_timeout(zero), &["connect_timeout", "\"0s\""]),
            (usable().dial_timeout(zero), &["dial_timeout", "\"0s\""]),
            (usable().command_timeout(huge), &["command_timeout", "365d"]),
            (usable().max_lifetime(zero), &["max_lifetime", "\"0s\""]),
            (usable().db(-1), &["db", "\"-1\""]),
            (usable().db(i64::MAX), &["db", "\"9223372036854775807\""]),
            (usable().client_name("a b"), &["client_name", "\"a b\""]),
            (usable().client_name("a\nb"), &["client_name", "\\n"]),
            (usable().username("bob"), &["username", "password"]),
            (usable().sentinel_username("bob"), &["sentinel_username", "sentinel_password"]),
            (usable().address_map("a", "b:1"), &["address_map", "\"a\"", "port"]),
            (usable().address_map("a:1", "b:x"), &["address_map", "\"x\""]),
            (
                usable().address_map("a:1", "b:1").address_map("a:1", "c:1"),
                &["address_map", "a:1", "b:1", "c:1"],
            ),
        ];
        for (builder, quoted) in cases {
            let error = builder.into_config().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            for part in quoted {
                assert!(error.to_string().contains(part), "{part} is not in: {error}");
            }
        }
    }

    #[test]
    fn the_first_fault_is_the_one_reported() {
        let error = usable().sentinel("h:0").sentinel("h:1x").max_size(0).into_config();
        assert!(error.unwrap_err().to_string().contains("h:0"));
    }

    #[test]
    fn a_setting_that_is_mended_is_no_fault() {
        usable().max_size(0).max_size(2).into_config().unwrap();
    }

    #[test]
    fn empty_credentials_count_as_none() {
        let config = usable().username("").password("").client_name("").into_config().unwrap();
        assert_eq!((config.username, config.password, config.client_name), (None, None, None));
        let config = usable().username("bob").password("").into_config().unwrap();
        assert_eq!(config.password, Some(Secret::new("")), "a user may be without (nopass)");
    }

    #[test]
    fn options_are_set_by_name_and_as_text() {
        let mut builder = Builder::new();
        for (key, value) in [
            ("sentinel", "h1"),
            ("sentinels", "h2:1,h1:26379"),
            ("service", "mymaster"),
            ("username", "bob"),
            ("password", "pw"),
            ("db", "3"),
            ("client_name", "app"),
            ("protocol", "3"),
            ("sentinel_username", "eve"),
            ("sentinel_password", "spw"),
            ("address_map", "10.0.0.1:6379>127.0.0.1:7000;10.0.0.2:6379>127.0.0.1:7001"),
            ("max_size", "16"),
            ("min_idle", "0"),
            ("max_lifetime", "none"),
            ("connect_timeout", "1m"),
            ("dial_timeout", "250ms"),
            ("get_timeout", "1.5s"),
            ("command_timeout", "2s"),
            ("switch_on", "announcement"),
        ] {
            builder.set(key, value).unwrap();
        }
        let by_setters = Builder::new()
            .sentinels(["h1", "h2:1"])
            .service("mymaster")
            .username("bob")
            .password("pw")
            .db(3)
            .client_name("app")
            .protocol(Protocol::Resp3)
            .sentinel_username("eve")
            .sentinel_password("spw")
            .address_map("10.0.0.1:6379", "127.0.0.1:7000")
            .address_map("10.0.0.2:6379", "127.0.0.1:7001")
            .max_size(16)
            .min_idle(0)
            .max_lifetime(None)
            .connect_timeout(Duration::from_secs(60))
            .dial_timeout(Duration::from_millis(250))
            .get_timeout(Duration::from_millis(1500))
            .command_timeout(Duration::from_secs(2))
            .switch_on(SwitchOn::Announcement);
        assert_eq!(builder.into_config().unwrap(), by_setters.into_config().unwrap());
    }

    #[test]
    fn a_value_that_cannot_work_leaves_the_builder_as_it_was() {
        let mut builder = usable().max_size(3).address_map("a:1", "b:1");
        let before = builder.settings.clone();
        for (key, value, quoted) in [
            ("max_size", "0", "at least 1"),
            ("max_size", "many", "\"many\""),
            ("max_size", "-1", "\"-1\""),
            ("get_timeout", "500", "unit"),
            ("get_timeout", "0", "unit"),
            ("get_timeout", "0s", "longer than 0"),
            ("get_timeout", "soon", "\"soon\""),
            ("get_timeout", "5 s", "\"5 s\""),
            ("protocol", "4", "2 or 3"),
            ("switch_on", "hope", "promotion"),
            ("db", "1.0", "\"1.0\""),
            ("service", "", "service"),
            ("sentinels", "h2,,h3", "\"\""),
            ("sentinels", "h2,h3:0", "\"h2,h3:0\""),
            ("address_map", "c:1>d:1;a:1>x:1", "b:1"),
            ("address_map", "c:1", ">"),
            ("maxsize", "1", "max_size"),
            ("tls", "yes", "true or false"),
            ("tls_server_name", "a b", "\"a b\""),
        ] {
            let error = builder.set(key, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            let text = error.to_string();
            assert!(text.contains(key) && text.contains(quoted), "{quoted} is not in: {text}");
            assert_eq!(builder.settings, before, "{key}={value}");
        }
    }

    #[test]
    fn settings_of_tls_without_tls_are_no_settings() {
        for (name, value) in [
            ("tls_ca", "ca.pem"),
            ("tls_cert", "c.pem"),
            ("tls_key", "k.pem"),
            ("tls_server_name", "h"),
            ("sentinel_tls_ca", "ca.pem"),
            ("sentinel_tls_server_name", "h"),
        ] {
            let mut builder = usable();
            builder.set(name, value).unwrap();
            let error = builder.into_config().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().starts_with(&format!("{name}: set while")), "{error}");
        }
    }

    #[test]
    fn a_private_key_is_never_printed() {
        let mut builder = usable();
        builder.set("tls_key", "-----BEGIN PRIVATE KEY-----\nhunter2").unwrap();
        builder.set("sentinel_tls_key", "-----BEGIN PRIVATE KEY-----\nhunter2").unwrap();
        let error = builder.clone().into_config().unwrap_err();
        for text in [format!("{builder:?}"), error.to_string(), builder.settings.to_string()] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[cfg(not(any(feature = "tls-rustls", feature = "tls-native-tls")))]
    #[test]
    fn a_build_without_tls_names_the_features() {
        for builder in [
            usable().tls(TlsConfig::new()),
            usable().sentinel_tls(TlsConfig::new().ca_file("ca.pem")),
        ] {
            let error = builder.into_config().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            let text = error.to_string();
            assert!(text.contains("tls-rustls") && text.contains("tls-native-tls"), "{text}");
        }
    }

    #[test]
    fn every_option_has_its_name() {
        let names: Vec<_> = Builder::option_names().collect();
        assert!(names.contains(&"get_timeout"));
        for (n, name) in names.iter().enumerate() {
            assert!(!names[..n].contains(name), "{name} twice");
        }
    }

    #[test]
    fn a_url_in_the_wrong_place_is_not_quoted() {
        let url = "redis://:hunter2@h:1";
        for builder in [usable().sentinel(url), usable().address_map("a:1", url)] {
            let text = format!("{builder:?} {}", builder.clone().into_config().unwrap_err());
            assert!(text.contains("credentials") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn debug_prints_no_password() {
        let builder = usable().username("bob").password("hunter2").sentinel_password("hunter3");
        let config = builder.clone().into_config().unwrap();
        for text in [format!("{builder:?}"), format!("{config:?}"), config.to_string()] {
            assert!(text.contains("bob") && text.contains("***"), "{text}");
            assert!(!text.contains("hunter"), "{text}");
        }
        let misplaced = format!("{:?}", usable().username("hunter2"));
        assert!(!misplaced.contains("hunter2"), "{misplaced}");
    }
}
