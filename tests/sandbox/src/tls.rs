//! TLS for a cluster: [`Tls`].

use std::{fmt::Write, path::PathBuf};

use crate::settings::quoted;

/// A TLS port for every member, beside its plain one, with the certificate and key of these PEM files.
///
/// Members talk TLS among themselves too (`tls-replication yes`), and so the addresses that sentinels tell are those
/// of the TLS ports: [`Member::address`](crate::Member::address) is one. The sandbox itself uses the plain ports.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(crate) ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    demanding: bool,
    pub(crate) members: bool,
}

impl Tls {
    /// Everybody has this certificate, and trusts this authority. Clients are not asked for certificates.
    pub fn new(ca: impl Into<PathBuf>, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Tls {
        let (ca, cert, key) = (ca.into(), cert.into(), key.into());
        Tls { ca, cert, key, demanding: false, members: true }
    }

    /// Only clients with a certificate of the authority are let in (`tls-auth-clients yes`).
    #[must_use]
    pub fn demanding(mut self) -> Tls {
        self.demanding = true;
        self
    }

    /// Members talk plain TCP among themselves and announce their plain ports; clients find the TLS ports by
    /// [`Member::tls_address`](crate::Member::tls_address). So certificates may be as bad as a test wants them.
    #[must_use]
    pub fn beside(mut self) -> Tls {
        self.members = false;
        self
    }

    /// The lines of a configuration file.
    pub(crate) fn lines(&self, port: u16) -> String {
        let mut text = format!("tls-port {port}\n");
        let files =
            [("ca-cert-file", &self.ca), ("cert-file", &self.cert), ("key-file", &self.key)];
        for (name, file) in files {
            let _ = writeln!(text, "tls-{name} {}", quoted(&file.to_string_lossy()));
        }
        let demanding = if self.demanding { "yes" } else { "no" };
        let _ = writeln!(text, "tls-auth-clients {demanding}");
        if self.members {
            text.push_str("tls-replication yes\n");
        }
        text
    }

    /// What a client's URL needs beyond the sentinels and the service, to trust the members.
    pub(crate) fn options(&self) -> String {
        let encoded = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        };
        let ca: String = self.ca.to_string_lossy().bytes().map(encoded).collect();
        format!("?tls_ca={ca}&sentinel_tls=true&sentinel_tls_ca={ca}")
    }
}
