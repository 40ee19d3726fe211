//! Connections over TLS, by both libraries.

#[path = "../../../tests/common/authority.rs"]
mod authority;

use std::{
    fs,
    io::ErrorKind::{TimedOut, WouldBlock},
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use self::authority::{Authority, Identity};
use super::*;
use crate::{
    TlsBackend, TlsConfig,
    tls::{Connector, NODES},
};

const BACKENDS: [TlsBackend; 2] = [TlsBackend::Rustls, TlsBackend::NativeTls];
const HERE: &[&str] = &["127.0.0.1", "redis.test"];

/// A server that speaks TLS, and its files.
struct Secure {
    redis: Redis,
    address: Address,
    directory: PathBuf,
}

impl Secure {
    /// Its certificate is this one; it asks clients for theirs where `clients` says so.
    fn start(authority: &Authority, own: &Identity, clients: bool) -> Secure {
        Secure::start_with(authority, own, clients, &[])
    }

    /// As [`Secure::start`], with further options of the server.
    fn start_with(
        authority: &Authority,
        own: &Identity,
        clients: bool,
        options: &[&str],
    ) -> Secure {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("switchmaster-tls-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let file = |name: &str, pem: &str| {
            let path = directory.join(name);
            fs::write(&path, pem).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (ca, cert) = (file("ca", &authority.pem()), file("cert", &own.cert));
        let key = file("key", &own.key);
        let clients = if clients { "yes" } else { "no" };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::from(listener.local_addr().unwrap());
        drop(listener);
        let port = address.port().to_string();
        let mut arguments = vec![
            "--tls-port",
            &port,
            "--tls-ca-cert-file",
            &ca,
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-auth-clients",
            clients,
        ];
        arguments.extend(options);
        let redis = Redis::start(&arguments);
        Secure { redis, address, directory }
    }

    fn try_open(&self, config: &TlsConfig) -> Result<Connection, Error> {
        Connection::open(&self.address, &secure_settings(config), &gate(), in_time())
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn secure_settings(config: &TlsConfig) -> Settings {
    Settings { tls: Some(Connector::new(config, NODES).unwrap()), ..settings() }
}

/// A server that is trusted, and for each library what trusts it.
fn trusted() -> (Secure, [TlsConfig; 2]) {
    let authority = Authority::new();
    let server = Secure::start(&authority, &authority.issue(HERE), false);
    (server, trusting(&authority))
}

fn trusting(authority: &Authority) -> [TlsConfig; 2] {
    BACKENDS.map(|backend| TlsConfig::new().ca_pem(authority.pem()).backend(backend))
}

#[test]
fn every_dial_succeeds_at_a_server_that_keeps_no_sessions() {
    let authority = Authority::new();
    let no_caching = &["--tls-session-caching", "no"];
    let server = Secure::start_with(&authority, &authority.issue(HERE), true, no_caching);
    let own = authority.issue(&["client"]);
    for config in trusting(&authority) {
        let settings = secure_settings(&config.client_cert_pem(own.cert.clone(), own.key.clone()));
        let refusals: Vec<_> = (0..20)
            .filter_map(|_| Connection::open(&server.address, &settings, &gate(), in_time()).err())
            .collect();
        assert!(refusals.is_empty(), "{} of 20: {}", refusals.len(), refusals[0]);
    }
}

#[test]
fn commands_and_replies_of_every_size_travel() {
    let (server, configs) = trusted();
    for config in configs {
        let mut connection = server.try_open(&config).unwrap();
        for size in [0, 1, 16 << 10, (16 << 10) + 1, 1 << 20, 5 << 20] {
            let value = vec![b'x'; size];
            redis::cmd("SET").arg("key").arg(&value).exec(&mut connection).unwrap();
            let read: Vec<u8> = redis::cmd("GET").arg("key").query(&mut connection).unwrap();
            assert!(read == value, "{size} bytes");
        }
        assert!(connection.is_fresh());
    }
}

/// As [`scripted`], over TLS.
fn scripted_tls(
    authority: &Authority,
    script: impl FnOnce(&mut dyn ReadWrite) + Send + 'static,
) -> (Address, thread::JoinHandle<()>) {
    let own = authority.issue(HERE);
    let cert = CertificateDer::from_pem_slice(own.cert.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (peer, _) = listener.accept().unwrap();
        let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut peer = rustls::StreamOwned::new(session, peer);
        let (mut seen, mut byte) = (Vec::new(), [0]);
        let answers: [(&[u8], &[u8]); 2] = [(b"PING\r\n", GREETING), (b"ID\r\n", b":7\r\n")];
        for (end, answer) in answers {
            while !seen.ends_with(end) {
                peer.read_exact(&mut byte).unwrap();
                seen.push(byte[0]);
            }
            peer.write_all(answer).unwrap();
        }
        script(&mut peer);
    });
    (address, server)
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

#[test]
fn a_pipeline_larger_than_all_buffers_is_read_while_it_is_written() {
    // Not a real server: Redis 7.0 cuts a client off whose replies pile up ("bad length").
    const COUNT: usize = 20_000;
    let authority = Authority::new();
    for config in trusting(&authority) {
        let word = "x".repeat(1 << 10);
        let (length, reply) = (packed(&["ECHO", &word]).len(), format!("$1024\r\n{word}\r\n"));
        let (address, server) = scripted_tls(&authority, move |peer| {
            let (mut come, mut answered) = (0, 0);
            let mut chunk = [0; 1 << 14];
            while answered < COUNT {
                come += peer.read(&mut chunk).unwrap();
                while (answered + 1) * length <= come {
                    // Reads no more until there is room for this.
                    peer.write_all(reply.as_bytes()).unwrap();
                    answered += 1;
                }
            }
        });
        let settings = secure_settings(&config);
        let mut connection = Connection::open(&address, &settings, &gate(), in_time()).unwrap();
        let mut pipe = redis::pipe();
        for _ in 0..COUNT {
            pipe.cmd("ECHO").arg(&word);
        }
        let replies: Vec<String> = pipe.query(&mut connection).unwrap();
        assert_eq!(replies.len(), COUNT);
        assert!(replies.iter().all(|reply| *reply == word));
        server.join().unwrap();
    }
}

#[test]
fn a_reader_blocked_in_blpop_wakes_when_its_gate_retires() {
    let (server, configs) = trusted();
    let mut observer = server.redis.open();
    for config in configs {
        let gate = gate();
        let settings = secure_settings(&config);
        let mut reader = Connection::open(&server.address, &settings, &gate, in_time()).unwrap();
        let thread = thread::spawn(move || {
            let error = reader.request(&packed(&["BLPOP", "queue", "0"]), None).unwrap_err();
            (error, Instant::now())
        });
        wait_until("the reader is blocked", || {
            let info = redis::cmd("INFO").arg("clients").query::<String>(&mut observer).unwrap();
            info.contains("blocked_clients:1\r\n")
        });
        let retired = Instant::now();
        gate.retire();
        let (error, at) = thread.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Switched, "{error}");
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert!(at - retired < Duration::from_secs(1), "{:?}", at - retired);
    }
}

#[test]
fn what_was_not_sent_before_the_retirement_has_not_run() {
    let (server, configs) = trusted();
    for config in configs {
        let mut connection = server.try_open(&config).unwrap();
        // As the gate does it, in the moment after the command passed.
        connection.link.stream.socket().shutdown();
        let error = connection.request(&packed(&["INCR", "n"]), None).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::NotSent));
    }
    let mut observer = server.redis.open();
    assert_eq!(redis::cmd("EXISTS").arg("n").query::<u64>(&mut observer).unwrap(), 0);
}

#[test]
fn a_silent_server_is_late() {
    let (server, configs) = trusted();
    let mut other = server.redis.open();
    for config in configs {
        let settings =
            Settings { command_timeout: Duration::from_millis(150), ..secure_settings(&config) };
        let gate = gate();
        let mut connection =
            Connection::open(&server.address, &settings, &gate, in_time()).unwrap();
        redis::cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").exec(&mut other).unwrap();
        let started = Instant::now();
        let error = connection.request(&packed(&["SET", "key", "1"]), None).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::CommandTimeout, Outcome::Unknown));
        assert!(started.elapsed() >= Duration::from_millis(150), "{:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        redis::cmd("CLIENT").arg("UNPAUSE").exec(&mut other).unwrap();
    }
}

/// Stands before a server, and lets its bytes through one at a time once it is told to.
fn trickling(server: &Address) -> (Address, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    let trickles = Arc::new(AtomicBool::new(false));
    let (told, port) = (trickles.clone(), server.port());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.set_nodelay(true).unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        let mut chunk = [0; 1 << 14];
        while let Ok(read @ 1..) = server.read(&mut chunk) {
            if !told.load(Ordering::SeqCst) {
                client.write_all(&chunk[..read]).unwrap();
                continue;
            }
            for byte in &chunk[..read] {
                if client.write_all(&[*byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
    (address, trickles)
}

#[test]
fn a_reply_that_trickles_in_does_not_stretch_the_deadline() {
    let (server, configs) = trusted();
    for config in configs {
        let (address, trickles) = trickling(&server.address);
        let settings =
            Settings { command_timeout: Duration::from_millis(200), ..secure_settings(&config) };
        let gate = gate();
        let mut connection = Connection::open(&address, &settings, &gate, in_time()).unwrap();
        trickles.store(true, Ordering::SeqCst);
        let started = Instant::now();
        // A reply of some 1100 bytes takes more than 20 s.
        let word = "x".repeat(1 << 10);
        let error = connection.request(&packed(&["ECHO", &word]), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CommandTimeout, "{error}");
        assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

#[test]
fn an_idle_connection_shows_whether_it_is_fresh() {
    let (server, configs) = trusted();
    for config in configs {
        let mut connection = server.try_open(&config).unwrap();
        assert!(connection.is_fresh());
        connection.request(&packed(&["SUBSCRIBE", "news"]), None).unwrap();
        let mut other = server.redis.open();
        redis::cmd("PUBLISH").arg("news").arg("one").exec(&mut other).unwrap();
        wait_until("the message is noticed", || !connection.is_fresh());
        // Looking took nothing away.
        connection.request(&packed(&["PING"]), None).unwrap();
        assert_eq!(connection.take_dropped(), 1, "the message was there");
        assert!(connection.is_fresh());
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").exec(&mut other).unwrap();
        wait_until("the end is noticed", || !connection.is_fresh());
    }
}

#[test]
fn a_peer_that_does_not_answer_the_handshake_is_not_waited_for() {
    for config in trusting(&Authority::new()) {
        for beginning in [&[][..], &[0x16, 3, 3, 0x40]] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = Address::from(listener.local_addr().unwrap());
            let peer = thread::spawn(move || {
                let (mut peer, _) = listener.accept().unwrap();
                peer.write_all(beginning).unwrap();
                peer.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
                // Something comes all the time, and never the whole of it.
                while !beginning.is_empty() && peer.write_all(&[0]).is_ok() {
                    thread::sleep(Duration::from_millis(5));
                }
                let mut byte = [0];
                loop {
                    match peer.read(&mut byte) {
                        Ok(0) => break,
                        Err(error) if ![WouldBlock, TimedOut].contains(&error.kind()) => break,
                        _ => {}
                    }
                }
            });
            let settings =
                Settings { dial_timeout: Duration::from_millis(150), ..secure_settings(&config) };
            let started = Instant::now();
            let error = Connection::open(&address, &settings, &gate(), in_time()).unwrap_err();
            assert!(started.elapsed() >= Duration::from_millis(150), "{:?}", started.elapsed());
            assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
            assert_eq!(error.kind(), ErrorKind::Disconnected);
            let text = error.to_string();
            assert!(text.contains("TLS handshake failed: no answer within"), "{text}");
            peer.join().unwrap();
        }
    }
}

#[test]
fn the_retirement_of_the_gate_ends_a_handshake() {
    for config in trusting(&Authority::new()) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::from(listener.local_addr().unwrap());
        let (gate, settings) = (gate(), secure_settings(&config));
        let theirs = Arc::clone(&gate);
        let dial = thread::spawn(move || {
            Connection::open(&address, &settings, &theirs, in_time()).unwrap_err()
        });
        let (mut peer, _) = listener.accept().unwrap();
        let mut byte = [0];
        assert_eq!(peer.read(&mut byte).unwrap(), 1, "the handshake has begun");
        gate.retire();
        assert_eq!(dial.join().unwrap().kind(), ErrorKind::Switched);
    }
}

#[test]
fn who_is_not_to_be_trusted_is_not_and_the_error_says_why() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let own = ours.issue(&["client"]);
    let stranger = theirs.issue(&["client"]);
    let elsewhere = ours.issue(&["elsewhere.test"]);
    let (good, expired) = (ours.issue(HERE), ours.issue_expired(HERE));
    let open = Secure::start(&ours, &good, false);
    let strict = Secure::start(&ours, &good, true);
    let old = Secure::start(&ours, &expired, false);
    let other = Secure::start(&ours, &elsewhere, false);
    for config in trusting(&ours) {
        let refused = |server: &Secure, config: TlsConfig, parts: &[&str]| {
            let error = match server.try_open(&config) {
                Ok(_) => panic!("{config:?} is accepted"),
                Err(error) => error,
            };
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Disconnected, Outcome::NotSent)
            );
            let text = error.to_string();
            assert!(text.contains(&server.address.to_string()) && !text.contains('\n'), "{text}");
            for part in parts {
                assert!(text.contains(part), "{part} is not in: {text}");
            }
        };
        let config = || config.clone();
        refused(&open, config().ca_pem(theirs.pem()), &["no trusted authority", "tls_ca"]);
        refused(&old, config(), &["expired", "renew"]);
        refused(&other, config(), &["\"127.0.0.1\"", "tls_server_name"]);
        refused(&open, config().server_name("wrong.test"), &["\"wrong.test\"", "tls_server_name"]);
        refused(&strict, config(), &["tls_cert", "tls_key"]);
        let stranger = config().client_cert_pem(&*stranger.cert, &*stranger.key);
        refused(&strict, stranger, &["tls_cert", "tls_key"]);
        open.try_open(&config().server_name("redis.test")).unwrap();
        open.try_open(&config().server_name("127.0.0.1")).unwrap();
        other.try_open(&config().server_name("elsewhere.test")).unwrap();
        let known = config().client_cert_pem(&*own.cert, &*own.key);
        let mut connection = strict.try_open(&known).unwrap();
        connection.request(&packed(&["PING"]), None).unwrap();
    }
}

#[test]
fn tls_at_a_plain_port_and_plain_words_at_a_tls_port_are_told() {
    let (server, configs) = trusted();
    for config in configs {
        // A server that waits for the end of a line says nothing to a handshake.
        let settings =
            Settings { dial_timeout: Duration::from_millis(500), ..secure_settings(&config) };
        let port = &server.redis.address;
        let error = Connection::open(port, &settings, &gate(), in_time()).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()), "{error}");
        assert!(error.contains("TLS handshake failed"), "{error}");
        assert!(error.contains("check that this port speaks TLS"), "{error}");
    }
    let error = Connection::open(&server.address, &settings(), &gate(), in_time()).unwrap_err();
    assert!(error.to_string().contains("whether it expects TLS"), "{error}");
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let (own, other) = (authority.issue(&["client"]), authority.issue(&["client"]));
    let empty = std::env::temp_dir().join(format!("switchmaster-no-pem-{}", std::process::id()));
    fs::write(&empty, "nothing").unwrap();
    let (empty_ca, empty_cert) = (format!("tls_ca={empty:?}"), format!("tls_cert={empty:?}"));
    let ca_parts = [&*empty_ca, "no certificate"];
    let cert_parts = [&*empty_cert, "no certificate"];
    for backend in BACKENDS {
        let config = || TlsConfig::new().ca_pem(authority.pem()).backend(backend);
        let cases: Vec<(TlsConfig, &[&str])> = vec![
            (config().ca_file("/no/ca.pem"), &["tls_ca=\"/no/ca.pem\"", "No such file"]),
            (config().ca_file("/"), &["tls_ca=\"/\"", "directory"]),
            (config().ca_file(&empty), &ca_parts),
            (config().ca_pem("nothing"), &["tls_ca: ", "no certificate"]),
            (config().client_cert_files("/no/c", "/no/k"), &["tls_cert=\"/no/c\"", "No such file"]),
            (config().client_cert_files(&empty, &empty), &cert_parts),
            (config().client_cert_pem(&*own.cert, "nothing"), &["tls_key: ", "no private key"]),
            (config().client_cert_pem(&*own.cert, &*own.cert), &["tls_key: ", "no private key"]),
            (config().client_cert_pem(&*own.key, &*own.key), &["tls_cert: ", "no certificate"]),
            (
                config().client_cert_pem(&*own.cert, &*other.key),
                &["tls_key: ", "not the key of tls_cert"],
            ),
        ];
        for (config, parts) in cases {
            let text = Connector::new(&config, NODES).err().unwrap();
            assert!(!text.contains('\n') && !text.contains("PRIVATE KEY-----"), "{text}");
            for part in parts {
                assert!(text.contains(part), "{backend:?}: {part} is not in: {text}");
            }
        }
    }
    fs::remove_file(empty).unwrap();
}
