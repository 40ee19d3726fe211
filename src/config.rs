//! What holds for a factory: [`Config`], and [`Protocol`].

use std::{fmt, time::Duration};

use crate::{
    address::Address,
    address_map::AddressMap,
    credentials::Source,
    policy::{OnLostMajority, SwitchOn},
    tls::TlsConfig,
};

/// The version of the Redis protocol that is spoken to the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RESP2, which every server understands.
    Resp2,
    /// RESP3, from Redis 6 on: maps, sets, doubles and booleans come as such. An older server is
    /// spoken to in RESP2.
    #[default]
    Resp3,
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for the handshake alone.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Settings that have passed every check of [`Builder::into_config`](crate::Builder).
///
/// `Debug` hides the passwords. `Display` writes it as a URL, with `***` for each password.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// At least one, each once, in the order given.
    pub(crate) sentinels: Vec<Address>,
    pub(crate) service: String,
    /// Never without a password.
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    /// Never with a user or a password.
    pub(crate) credentials: Option<Source>,
    pub(crate) db: i64,
    pub(crate) client_name: Option<String>,
    pub(crate) protocol: Protocol,
    /// Never without a password.
    pub(crate) sentinel_username: Option<String>,
    pub(crate) sentinel_password: Option<Secret>,
    /// As `credentials`, of the sentinels.
    pub(crate) sentinel_credentials: Option<Source>,
    /// Whether the nodes are spoken to in TLS. Without it `tls_config` is empty.
    pub(crate) tls: bool,
    pub(crate) tls_config: TlsConfig,
    /// As `tls`, of the sentinels.
    pub(crate) sentinel_tls: bool,
    pub(crate) sentinel_tls_config: TlsConfig,
    pub(crate) address_map: AddressMap,
    pub(crate) max_size: u32,
    /// At most `max_size`.
    pub(crate) min_idle: u32,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) leak_after: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) dial_timeout: Duration,
    pub(crate) get_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) switch_on: SwitchOn,
    pub(crate) confirm_within: Duration,
    pub(crate) fence: bool,
    pub(crate) fence_timeout: Duration,
    pub(crate) on_lost_majority: OnLostMajority,
    pub(crate) max_lag: Option<Duration>,
}

impl Config {
    /// What holds where nothing is said. The setters of [`Builder`](crate::Builder) give the reasons.
    pub(crate) fn unset() -> Config {
        Config {
            sentinels: Vec::new(),
            service: String::new(),
            username: None,
            password: None,
            credentials: None,
            db: 0,
            client_name: None,
            protocol: Protocol::Resp3,
            sentinel_username: None,
            sentinel_password: None,
            sentinel_credentials: None,
            tls: false,
            tls_config: TlsConfig::default(),
            sentinel_tls: false,
            sentinel_tls_config: TlsConfig::default(),
            address_map: AddressMap::default(),
            max_size: 8,
            min_idle: 1,
            max_lifetime: Some(Duration::from_secs(30 * 60)),
            leak_after: None,
            connect_timeout: Duration::from_secs(5),
            dial_timeout: Duration::from_millis(500),
            get_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_secs(2),
            switch_on: SwitchOn::Promotion,
            confirm_within: Duration::from_millis(1500),
            fence: true,
            fence_timeout: Duration::from_secs(3),
            on_lost_majority: OnLostMajority::Serve,
            max_lag: Some(Duration::from_secs(10)),
        }
    }
}
