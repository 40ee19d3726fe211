//! TLS: what it is to be like ([`TlsConfig`]), and one [`Session`] of it over a transport.
//!
//! The blocking connections and the watch's non-blocking links use the same [`Session`]: it never waits
//! by itself, and its transport decides what happens when there is nothing to read. Which library does
//! the work is chosen in this module and known nowhere else. In a build without one, a [`Session`] is a
//! type of which there is no value.

#[cfg(not(any(feature = "tls-rustls", feature = "tls-native-tls")))]
mod absent;
mod config;
mod explain;
#[cfg(feature = "tls-native-tls")]
mod native;
mod reload;
#[cfg(feature = "tls-rustls")]
mod rustls;
mod session;

use std::{
    fmt,
    io::{self, Read, Write},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};

pub(crate) use self::config::Pem;
pub use self::config::{TlsBackend, TlsConfig};
use self::{config::Material, reload::Looked, session::Engine};
pub(crate) use self::{
    reload::Reloading,
    session::{Session, Sight},
};
use crate::address::Address;

/// What a build without TLS says when it is asked for.
pub(crate) const MISSING: &str = "this build has no TLS: switch on one of the crate's features \
     tls-rustls and tls-native-tls";

/// Whether this build has TLS.
pub(crate) const AVAILABLE: bool = cfg!(any(feature = "tls-rustls", feature = "tls-native-tls"));

/// The names of the settings, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) ca: &'static str,
    pub(crate) cert: &'static str,
    pub(crate) key: &'static str,
    pub(crate) server_name: &'static str,
}

/// Those of TLS to the nodes.
pub(crate) const NODES: Names =
    Names { ca: "tls_ca", cert: "tls_cert", key: "tls_key", server_name: "tls_server_name" };

/// Those of TLS to the sentinels.
pub(crate) const SENTINELS: Names = Names {
    ca: "sentinel_tls_ca",
    cert: "sentinel_tls_cert",
    key: "sentinel_tls_key",
    server_name: "sentinel_tls_server_name",
};

/// Makes sessions: a [`TlsConfig`] whose files have been read. Cheap to clone.
///
/// Two are equal when their configuration is.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: Arc<Inner>,
}

struct Inner {
    config: TlsConfig,
    names: Names,
    /// Replaced when the files have changed.
    made: RwLock<Arc<Made>>,
    looked: Mutex<Looked>,
    /// The reason why the changed files are not used.
    fault: Mutex<Option<String>>,
}

/// The files as they were read, and the maker of sessions from them.
struct Made {
    material: Material,
    factory: Factory,
}

/// What a library makes sessions from.
enum Factory {
    #[cfg(feature = "tls-rustls")]
    Rustls(Arc<::rustls::ClientConfig>),
    #[cfg(feature = "tls-native-tls")]
    Native(native_tls::TlsConnector),
    #[cfg(not(any(feature = "tls-rustls", feature = "tls-native-tls")))]
    Absent(std::convert::Infallible),
}

impl Factory {
    fn new(
        backend: Option<TlsBackend>,
        material: &Material,
        names: &Names,
    ) -> Result<Factory, String> {
        #[cfg(feature = "tls-rustls")]
        if backend == Some(TlsBackend::Rustls) {
            return Ok(Factory::Rustls(rustls::factory(material, names)?));
        }
        #[cfg(feature = "tls-native-tls")]
        if backend == Some(TlsBackend::NativeTls) {
            return Ok(Factory::Native(native::factory(material, names)?));
        }
        #[cfg(not(any(feature = "tls-rustls", feature = "tls-native-tls")))]
        if backend.is_none() {
            return absent::factory().map(Factory::Absent);
        }
        let _ = (material, names);
        Err(match backend {
            Some(TlsBackend::Rustls) => {
                "TlsBackend::Rustls: this build lacks the feature tls-rustls"
            }
            Some(TlsBackend::NativeTls) => {
                "TlsBackend::NativeTls: this build lacks the feature tls-native-tls"
            }
            None => MISSING,
        }
        .to_owned())
    }
}

impl Connector {
    /// Reads the files. `Err` names the setting, the file, and what is wrong with it.
    pub(crate) fn new(config: &TlsConfig, names: Names) -> Result<Connector, String> {
        let material = config.read(&names)?;
        let factory = Factory::new(config.chosen(), &material, &names)?;
        let inner = Inner {
            config: config.clone(),
            names,
            made: RwLock::new(Arc::new(Made { material, factory })),
            looked: Mutex::default(),
            fault: Mutex::new(None),
        };
        Ok(Connector { inner: Arc::new(inner) })
    }

    fn made(&self) -> Arc<Made> {
        self.inner.made.read().clone()
    }

    /// Returns true when both are the same connector.
    fn is(&self, other: &Connector) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// A session that has not begun. The server is to prove that it has the name that is configured
    /// or, without one, that it is `host`.
    pub(crate) fn session<S: Read + Write>(
        &self,
        host: &Address,
        transport: S,
    ) -> io::Result<Session<S>> {
        let name = self.name(host);
        let made = self.made();
        let engine = match &made.factory {
            #[cfg(feature = "tls-rustls")]
            Factory::Rustls(config) => {
                Engine::Rustls(Box::new(rustls::Rustls::new(config, name, transport)?))
            }
            #[cfg(feature = "tls-native-tls")]
            Factory::Native(connector) => {
                Engine::Native(Box::new(native::Native::new(connector, name, transport)))
            }
            #[cfg(not(any(feature = "tls-rustls", feature = "tls-native-tls")))]
            Factory::Absent(factory) => {
                Engine::Absent(Box::new(absent::Absent::new(factory, name, transport)))
            }
        };
        Ok(Session::new(engine))
    }

    /// The name that a server's certificate has to be for.
    fn name<'a>(&'a self, host: &'a Address) -> &'a str {
        let name = self.inner.config.server_name.as_deref().unwrap_or_else(|| host.host());
        // A zone says where to send, and no certificate knows it.
        name.split('%').next().unwrap_or(name)
    }

    /// What an error means that ended a handshake, and what to do about it.
    pub(crate) fn explain(&self, error: &io::Error, host: &Address) -> String {
        self.with_fault(explain::explain(error, self.name(host), &self.inner.names))
    }

    /// Appends the reason why the changed files are not used, if there is one.
    fn with_fault(&self, text: String) -> String {
        match &*self.inner.fault.lock() {
            Some(fault) => format!("{text} (files that were in use before still are: {fault})"),
            None => text,
        }
    }

    /// As [`Connector::explain`], for an error after the handshake. A server that speaks TLS 1.3 says
    /// only then that it wants another certificate of ours.
    pub(crate) fn explain_later(&self, error: &io::Error, host: &Address) -> String {
        match error.kind() {
            io::ErrorKind::InvalidData => self.explain(error, host),
            _ => error.to_string(),
        }
    }

    /// What to do about a server that hung up at the first words after the handshake. One that wants
    /// another certificate of ours says so, and what it says may be lost with the connection.
    pub(crate) fn explain_hang_up(&self) -> String {
        let Names { cert, key, .. } = self.inner.names;
        self.with_fault(format!("if it admits only whom it knows, set {cert} and {key}"))
    }
}

impl PartialEq for Connector {
    fn eq(&self, other: &Connector) -> bool {
        self.is(other) || self.inner.config == other.inner.config
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
