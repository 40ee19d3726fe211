//! What TLS is to be like: [`TlsConfig`].

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use super::Names;

/// How servers prove who they are, and how we do: for [`Builder::tls`](crate::Builder::tls) and
/// [`Builder::sentinel_tls`](crate::Builder::sentinel_tls).
///
/// As it comes it trusts the authorities that the platform trusts, and shows no certificate of our
/// own. Certificates and keys are PEM, as files or as bytes. A server's certificate is always checked.
///
/// Files are read when the factory is built and again when they have changed: within 2 s, new
/// connections use the new ones; open connections keep theirs. Files that cannot be used
/// (unreadable, half written, a key of another certificate) leave the earlier ones in use; that is
/// logged as a warning once per change, and errors of later dials name the fault. One thread of the
/// process looks at the files once a second, and reads the platform's authorities again with them.
///
/// ```
/// use switchmaster::{Builder, TlsConfig};
///
/// let tls = TlsConfig::new()
///     .ca_file("/etc/redis/ca.pem")
///     .client_cert_files("/etc/redis/app.pem", "/etc/redis/app.key");
/// let builder = Builder::new().tls(tls.clone()).sentinel_tls(tls);
/// # drop(builder);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use = "it does nothing until a builder gets it"]
pub struct TlsConfig {
    pub(crate) ca: Option<Pem>,
    pub(crate) cert: Option<Pem>,
    pub(crate) key: Option<Pem>,
    pub(crate) server_name: Option<String>,
    pub(crate) backend: Option<TlsBackend>,
}

/// The library that does TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsBackend {
    /// rustls, with ring: TLS 1.2 and 1.3 in Rust. Needs the feature `tls-rustls`.
    Rustls,
    /// What the platform has: OpenSSL on Linux. Needs the feature `tls-native-tls`.
    NativeTls,
}

impl TlsConfig {
    /// The platform's authorities, and no certificate of our own.
    pub fn new() -> TlsConfig {
        TlsConfig::default()
    }

    /// Trusts the authorities in this PEM file, and no others.
    ///
    /// Default: those that the platform trusts. Where there are none of its own, `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name them on Linux.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> TlsConfig {
        self.ca = Some(Pem::File(path.into()));
        self
    }

    /// As [`TlsConfig::ca_file`], with the PEM text itself.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> TlsConfig {
        self.ca = Some(Pem::Bytes(pem.into()));
        self
    }

    /// Shows this certificate to servers that demand one (`tls-auth-clients yes`): PEM files of the
    /// certificate, with intermediate ones after it, and of its private key. The key is not encrypted;
    /// it is PKCS#8, and with [`TlsBackend::Rustls`] may be PKCS#1 or SEC1 as well.
    ///
    /// Default: none is shown.
    pub fn client_cert_files(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> TlsConfig {
        self.cert = Some(Pem::File(certificate.into()));
        self.key = Some(Pem::File(key.into()));
        self
    }

    /// As [`TlsConfig::client_cert_files`], with the PEM text itself.
    pub fn client_cert_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> TlsConfig {
        self.cert = Some(Pem::Bytes(certificate.into()));
        self.key = Some(Pem::Bytes(key.into()));
        self
    }

    /// Has every server prove that it has this name (or IP address), and names it to the server
    /// (SNI).
    ///
    /// Default: the host that is dialled, after the address map. Sentinels announce IP addresses
    /// unless they are told otherwise, so certificates for names alone need this.
    pub fn server_name(mut self, name: impl Into<String>) -> TlsConfig {
        self.server_name = Some(name.into());
        self
    }

    /// Which library does it.
    ///
    /// Default: rustls where the feature `tls-rustls` is on, for it behaves alike on every platform;
    /// else what `tls-native-tls` brings.
    pub fn backend(mut self, backend: TlsBackend) -> TlsConfig {
        self.backend = Some(backend);
        self
    }

    /// The library, if this build has one.
    pub(super) fn chosen(&self) -> Option<TlsBackend> {
        self.backend.or(match () {
            () if cfg!(feature = "tls-rustls") => Some(TlsBackend::Rustls),
            () if cfg!(feature = "tls-native-tls") => Some(TlsBackend::NativeTls),
            () => None,
        })
    }

    /// What several settings say together; a fault names them.
    pub(crate) fn check(&self, names: &Names) -> Result<(), String> {
        let Names { cert, key, .. } = names;
        match (&self.cert, &self.key) {
            (Some(_), None) => {
                Err(format!("{cert}: set without its private key; set {key} as well"))
            }
            (None, Some(_)) => {
                Err(format!("{key}: set without its certificate; set {cert} as well"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn read(&self, names: &Names) -> Result<Material, String> {
        let read = |pem: &Option<Pem>, name| match pem {
            Some(pem) => pem.read(name).map(Some),
            None => Ok(None),
        };
        let (cert, key) = (read(&self.cert, names.cert)?, read(&self.key, names.key)?);
        Ok(Material { ca: read(&self.ca, names.ca)?, own: cert.zip(key) })
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("ca", &self.ca)
            .field("cert", &self.cert)
            .field("key", &self.key)
            .field("server_name", &self.server_name)
            .field("backend", &self.backend)
            .finish()
    }
}

/// Where PEM text is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Pem {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Pem {
    /// Text that is PEM, or the path of a file.
    pub(crate) fn of(text: &str) -> Pem {
        if text.contains("-----BEGIN ") {
            Pem::Bytes(text.as_bytes().to_vec())
        } else {
            Pem::File(text.into())
        }
    }

    /// The file that it is in.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Pem::File(path) => Some(path),
            Pem::Bytes(_) => None,
        }
    }

    fn read(&self, option: &'static str) -> Result<Source, String> {
        let (file, pem) = match self {
            Pem::Bytes(pem) => (None, pem.clone()),
            Pem::File(path) => {
                let pem = fs::read(path).map_err(|error| {
                    format!("{option}={path:?}: the file cannot be read: {error}")
                })?;
                (Some(path.clone()), pem)
            }
        };
        Ok(Source { option, file, pem })
    }
}

/// Bytes may be a private key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => fmt::Debug::fmt(path, f),
            Pem::Bytes(_) => f.write_str("PEM"),
        }
    }
}

/// A [`TlsConfig`] whose files have been read.
#[derive(PartialEq)]
pub(super) struct Material {
    pub(super) ca: Option<Source>,
    /// The certificate and its key.
    pub(super) own: Option<(Source, Source)>,
}

/// PEM text, and where it came from.
#[derive(PartialEq)]
pub(super) struct Source {
    option: &'static str,
    file: Option<PathBuf>,
    pub(super) pem: Vec<u8>,
}

#[cfg(any(feature = "tls-rustls", feature = "tls-native-tls"))]
impl Source {
    /// A sentence about it, after its option and file.
    pub(super) fn fault(&self, why: impl fmt::Display) -> String {
        match &self.file {
            Some(path) => format!("{}={path:?}: {why}", self.option),
            None => format!("{}: {why}", self.option),
        }
    }
}
