//! How a connection introduces itself, and how long it waits.

use std::time::Duration;

use super::wire::Limits;
use crate::{
    config::{Protocol, Secret},
    credentials::Source,
    tls::Connector,
};

/// What is needed to open connections to a kind of server, and to use them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// The user of the access control list; none is the default user.
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    /// Supplies the two at each dial instead.
    pub(crate) credentials: Option<Source>,
    /// Selected when it is not 0.
    pub(crate) db: i64,
    /// For `CLIENT LIST`.
    pub(crate) client_name: Option<String>,
    pub(crate) protocol: Protocol,
    /// None is plain TCP.
    pub(crate) tls: Option<Connector>,
    /// From the first packet to the end of the handshake.
    pub(crate) dial_timeout: Duration,
    /// From a command to its reply, the fence included. Blocking commands get theirs on top.
    pub(crate) command_timeout: Duration,
    /// How long sent bytes may stay unacknowledged (TCP_USER_TIMEOUT; Linux only).
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) limits: Limits,
    /// Whether a server that does not tell its role is good enough.
    pub(crate) role_required: bool,
}

impl Settings {
    /// The version of the credentials that connections are to have logged in with.
    #[inline]
    pub(crate) fn login_version(&self) -> u64 {
        self.credentials.as_ref().map_or(0, Source::version)
    }
}

#[cfg(test)]
impl Default for Settings {
    fn default() -> Settings {
        Settings {
            username: None,
            password: None,
            credentials: None,
            db: 0,
            client_name: None,
            protocol: Protocol::default(),
            tls: None,
            dial_timeout: Duration::from_millis(500),
            command_timeout: Duration::from_secs(2),
            user_timeout: Some(Duration::from_secs(10)),
            limits: Limits::default(),
            role_required: true,
        }
    }
}
