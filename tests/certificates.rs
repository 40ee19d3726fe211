//! Certificates that are rotated while a factory is open, on real servers that demand them.

#[allow(dead_code, reason = "one of the tests that share it needs expired certificates")]
#[path = "common/authority.rs"]
mod authority;
mod common;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use authority::{Authority, Identity};
use common::*;
use parking_lot::Mutex;
use redis::Commands;
use switchmaster::{Builder, Factory, TlsBackend, TlsConfig};
use switchmaster_sandbox::{Cluster, Tls, wait_until};

const BACKENDS: [TlsBackend; 2] = [TlsBackend::Rustls, TlsBackend::NativeTls];

/// Three PEM files, which are replaced as Kubernetes replaces those of a secret: the files are links
/// through the link `..data`, and that is exchanged in one step.
struct Secret {
    directory: PathBuf,
    versions: AtomicU32,
}

impl Secret {
    fn new(authority: &Authority, own: &Identity) -> Secret {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("switchmaster-secret-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let secret = Secret { directory, versions: AtomicU32::new(0) };
        secret.replace(&authority.pem(), &own.cert, &own.key);
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            symlink(Path::new("..data").join(name), secret.path(name)).unwrap();
        }
        secret
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn replace(&self, ca: &str, cert: &str, key: &str) {
        let version = format!("..version-{}", self.versions.fetch_add(1, Ordering::Relaxed));
        let directory = self.path(&version);
        fs::create_dir(&directory).unwrap();
        for (name, pem) in [("ca.pem", ca), ("cert.pem", cert), ("key.pem", key)] {
            fs::write(directory.join(name), pem).unwrap();
        }
        symlink(&version, self.path("..next")).unwrap();
        fs::rename(self.path("..next"), self.path("..data")).unwrap();
    }

    fn config(&self, backend: TlsBackend) -> TlsConfig {
        let (cert, key) = (self.path("cert.pem"), self.path("key.pem"));
        TlsConfig::new().ca_file(self.path("ca.pem")).client_cert_files(cert, key).backend(backend)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A cluster whose TLS ports admit only clients of this authority.
fn cluster_of(authority: &Authority) -> (Cluster, Secret) {
    let files = Secret::new(authority, &authority.issue(&["127.0.0.1"]));
    let tls = Tls::new(files.path("ca.pem"), files.path("cert.pem"), files.path("key.pem"));
    (Cluster::builder().tls(tls.beside().demanding()).start().unwrap(), files)
}

/// Makes every member present certificates of this authority, and admit only its clients.
fn servers_change(cluster: &Cluster, files: &Secret, authority: &Authority) {
    let own = authority.issue(&["127.0.0.1"]);
    files.replace(&authority.pem(), &own.cert, &own.key);
    let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"]
        .map(|name| files.path(name).to_string_lossy().into_owned());
    for node in cluster.nodes() {
        let set = ["CONFIG", "SET", "tls-cert-file", &cert, "tls-key-file", &key];
        let words = [&set[..], &["tls-ca-cert-file", &ca]].concat();
        assert_eq!(node.ask(&words).unwrap().text(), "OK");
    }
    for sentinel in cluster.sentinels() {
        sentinel.restart().unwrap();
    }
}

fn builder(cluster: &Cluster, config: &TlsConfig) -> Builder {
    let members = cluster.members();
    let builder = named_factory(cluster).tls(config.clone()).sentinel_tls(config.clone());
    members.fold(builder, |builder, own| {
        builder.address_map(own.plain_address(), own.tls_address().unwrap())
    })
}

/// Ends every connection to the master, so that the next command needs a new one.
fn end_connections(cluster: &Cluster) {
    cluster.master().unwrap().ask(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
}

fn writes(factory: &Factory) -> bool {
    factory.run(|redis| redis.set::<_, _, ()>("key", 1)).is_ok()
}

fn hears_every_sentinel(factory: &Factory) -> bool {
    factory.topology().is_ok_and(|topology| {
        let up = |link: &switchmaster::SentinelLink| {
            matches!(link, switchmaster::SentinelLink::Up { .. })
        };
        topology.sentinels.iter().filter(|own| up(&own.link)).count() == 3
    })
}

fn a_rotation_is_followed(backend: TlsBackend) {
    let (earlier, later) = (Authority::new(), Authority::new());
    let (cluster, servers) = cluster_of(&earlier);
    let first = earlier.issue(&["client"]);
    let own = Secret::new(&earlier, &first);
    let factory = builder(&cluster, &own.config(backend)).build().unwrap();
    assert!(writes(&factory) && hears_every_sentinel(&factory));

    let second = later.issue(&["client"]);
    own.replace(&later.pem(), &second.cert, &second.key);
    servers_change(&cluster, &servers, &later);
    let outdated = TlsConfig::new()
        .ca_pem(later.pem())
        .client_cert_pem(first.cert, first.key)
        .backend(backend);
    let refused = builder(&cluster, &outdated).connect_timeout(Duration::from_millis(1500)).build();
    assert!(refused.is_err(), "a certificate of the earlier authority is refused");

    end_connections(&cluster);
    assert!(wait_until(PATIENCE, || writes(&factory)), "{:?}", factory.get().err());
    assert!(wait_until(PATIENCE, || hears_every_sentinel(&factory)), "{:#?}", factory.topology());
    let promoted = factory.generation();
    cluster.failover().unwrap();
    assert!(factory.wait_for_generation(promoted, PATIENCE).is_some());
    assert!(writes(&factory));
}

#[test]
fn changed_certificates_are_used_for_new_connections_by_rustls() {
    a_rotation_is_followed(TlsBackend::Rustls);
}

#[test]
fn changed_certificates_are_used_for_new_connections_by_the_platforms_tls() {
    a_rotation_is_followed(TlsBackend::NativeTls);
}

/// Keeps the warnings about files.
struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl Warnings {
    fn of(&self, secret: &Secret) -> Vec<String> {
        let path = secret.directory.to_string_lossy().into_owned();
        self.0.lock().iter().filter(|line| line.contains(&path)).cloned().collect()
    }
}

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) && record.args().to_string().contains("changed files") {
            self.0.lock().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn files_that_cannot_be_used_leave_the_earlier_ones_in_use_and_are_reported_once() {
    log::set_logger(&WARNINGS).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let authority = Authority::new();
    let (cluster, servers) = cluster_of(&authority);
    for backend in BACKENDS {
        let first = authority.issue(&["client"]);
        let own = Secret::new(&authority, &first);
        let (ca, stranger) = (authority.pem(), Authority::new().issue(&["client"]));
        // The nodes alone, so that each fault is reported by one connector.
        let sentinels = TlsConfig::new().ca_pem(ca.clone());
        let sentinels = sentinels.client_cert_pem(first.cert.clone(), first.key.clone());
        let members = builder(&cluster, &own.config(backend));
        let factory = members.sentinel_tls(sentinels.backend(backend)).build().unwrap();
        let half = &first.cert[..first.cert.len() / 2];
        let broken = [
            (half, &*first.key, "tls_cert"),
            (&*first.cert, &*stranger.key, "tls_key"),
            (&*first.cert, "", "tls_key"),
        ];
        for (nth, (cert, key, setting)) in broken.into_iter().enumerate() {
            own.replace(&ca, cert, key);
            let reported = || WARNINGS.of(&own).len() > nth;
            assert!(wait_until(PATIENCE, reported), "{setting} of fault {nth} is not reported");
            assert!(WARNINGS.of(&own)[nth].contains(setting), "{:?}", WARNINGS.of(&own));
            end_connections(&cluster);
            assert!(wait_until(PATIENCE, || writes(&factory)), "{:?}", factory.get().err());
        }

        // A server that admits them no longer shows in an error why the new ones are not used.
        let later = Authority::new();
        servers_change(&cluster, &servers, &later);
        end_connections(&cluster);
        let named = || {
            let error = factory.get_timeout(Duration::from_millis(200)).err();
            error.is_some_and(|error| error.to_string().contains("files that were in use before"))
        };
        assert!(wait_until(PATIENCE, named), "{:?}", factory.get().err());
        let second = later.issue(&["client"]);
        own.replace(&later.pem(), &second.cert, &second.key);
        assert!(wait_until(PATIENCE, || writes(&factory)), "{:?}", factory.get().err());
        assert_eq!(WARNINGS.of(&own).len(), broken.len(), "{:?}", WARNINGS.of(&own));
        servers_change(&cluster, &servers, &authority);
    }
}
