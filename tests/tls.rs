//! Factories over TLS, to nodes and to sentinels, by both libraries.

#[path = "common/authority.rs"]
mod authority;
mod common;

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use authority::{Authority, Identity};
use common::{
    load::Load,
    queue::Readers,
    story::{Story, is_replacing},
    *,
};
use redis::Commands;
use switchmaster::{
    Builder, ErrorKind, Evidence, Factory, Hearing, SentinelLink, TlsBackend, TlsConfig,
};
use switchmaster_sandbox::{Cluster, Tls, wait_until};

const BACKENDS: [TlsBackend; 2] = [TlsBackend::Rustls, TlsBackend::NativeTls];
const HERE: &[&str] = &["127.0.0.1"];

/// PEM files, removed in the end.
struct Files {
    directory: PathBuf,
}

impl Files {
    fn of(authority: &Authority, own: &Identity) -> Files {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("switchmaster-files-{}-{number}", std::process::id());
        let files = Files { directory: std::env::temp_dir().join(name) };
        fs::create_dir(&files.directory).unwrap();
        fs::write(files.ca(), authority.pem()).unwrap();
        fs::write(files.cert(), &own.cert).unwrap();
        fs::write(files.key(), &own.key).unwrap();
        files
    }

    fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    fn cert(&self) -> PathBuf {
        self.directory.join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    fn tls(&self) -> Tls {
        Tls::new(self.ca(), self.cert(), self.key())
    }

    fn trusted(&self, backend: TlsBackend) -> TlsConfig {
        TlsConfig::new().ca_file(self.ca()).backend(backend)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A cluster whose members have a certificate for these names, and its files.
fn secure(names: &[&str], tls: impl FnOnce(Tls) -> Tls) -> (Cluster, Files) {
    let authority = Authority::new();
    let files = Files::of(&authority, &authority.issue(names));
    let cluster = Cluster::builder().tls(tls(files.tls())).start().expect("a cluster starts");
    (cluster, files)
}

/// The factory is not opened, and the error says why. On a busy machine it takes longer until everybody
/// has answered.
fn is_refused(builder: &Builder, kind: ErrorKind, parts: &[&str]) {
    let mut last = None;
    for timeout in [1500, 5000, 20_000] {
        let error = match builder.clone().connect_timeout(Duration::from_millis(timeout)).build() {
            Ok(factory) => panic!("{factory:?} was opened"),
            Err(error) => error,
        };
        let text = error.to_string();
        if error.kind() == kind && parts.iter().all(|part| text.contains(part)) {
            assert!(!text.contains('\n'), "{text}");
            return;
        }
        last = Some(error);
    }
    panic!("{kind:?} with {parts:?} is expected, and it is {last:?}");
}

/// Writers go on, and readers that wait in the server wake, when the master is killed.
fn a_kill_is_followed(cluster: &Cluster, factory: &Factory) {
    wait_until_calm(factory, cluster);
    let load = Load::begin(factory, 4);
    let readers = Readers::begin(factory, 2);
    readers.wait_until_blocked(&cluster.master().unwrap());
    let mut story = Story::of(factory);
    let old = cluster.kill_master().unwrap();
    let (_, evidence) = story.switched(2);
    assert!(matches!(evidence, Evidence::Promotion { .. }), "{evidence}:\n{}", story.text());
    story.confirmed(2);
    let new = cluster.wait_for_master_other_than(old.port(), PATIENCE).unwrap();
    readers.wait_until_blocked(&new);
    let (_, failures) = readers.end(factory);
    assert!(failures.len() >= 2, "both were woken: {failures:?}");
    load.wait_for(100);
    let tally = load.end();
    assert!(tally.by_generation(2) > 0, "{}", tally.failures());
    let later: Vec<_> = tally.lost(&new).into_iter().filter(|own| own.generation == 2).collect();
    assert!(later.is_empty(), "{}", tally.describe(&later));
    assert_fresh(factory, cluster);
}

/// Nothing fails in a planned failover: writers wait at the fence, and readers are called back.
///
/// Whether something is lost is looked at over plain TCP. Over TLS a server reads its master's stream a
/// record at a time, so one that has no time does not get to its end before it is promoted.
fn a_planned_failover_is_followed(cluster: &Cluster, factory: &Factory) {
    wait_until_calm(factory, cluster);
    let load = Load::begin(factory, 4);
    let readers = Readers::begin(factory, 2);
    readers.wait_until_blocked(&cluster.master().unwrap());
    let mut story = Story::of(factory);
    cluster.failover().unwrap();
    let (_, evidence) = story.switched(2);
    assert!(matches!(evidence, Evidence::Ordered { .. }), "{evidence}:\n{}", story.text());
    let new = cluster.node_at(factory.master().unwrap().port()).unwrap();
    readers.wait_until_blocked(&new);
    story.confirmed(2);
    assert_eq!(story.count(is_replacing), 1, "{}", story.text());
    load.wait_for(100);
    let (_, failures) = readers.end(factory);
    assert!(failures.is_empty(), "{failures:?}\n{}", story.text());
    let tally = load.end();
    assert!(tally.failures.is_empty(), "{}\n{}", tally.failures(), story.text());
    assert!(tally.by_generation(2) > 0, "{}", story.text());
    assert_fresh(factory, cluster);
}

fn to_both(cluster: &Cluster, config: &TlsConfig) -> Factory {
    let builder = named_factory(cluster).tls(config.clone()).sentinel_tls(config.clone());
    builder.build().expect("a factory opens")
}

#[test]
fn a_kill_is_followed_over_rustls() {
    let (cluster, files) = secure(HERE, |tls| tls);
    a_kill_is_followed(&cluster, &to_both(&cluster, &files.trusted(TlsBackend::Rustls)));
}

#[test]
fn a_kill_is_followed_over_the_platforms_tls() {
    let (cluster, files) = secure(HERE, |tls| tls);
    a_kill_is_followed(&cluster, &to_both(&cluster, &files.trusted(TlsBackend::NativeTls)));
}

#[test]
fn a_planned_failover_fails_nothing_over_rustls() {
    let (cluster, files) = secure(HERE, |tls| tls);
    let factory = to_both(&cluster, &files.trusted(TlsBackend::Rustls));
    a_planned_failover_is_followed(&cluster, &factory);
}

#[test]
fn a_planned_failover_fails_nothing_over_the_platforms_tls() {
    let (cluster, files) = secure(HERE, |tls| tls);
    let factory = to_both(&cluster, &files.trusted(TlsBackend::NativeTls));
    a_planned_failover_is_followed(&cluster, &factory);
}

#[test]
fn a_frozen_master_wakes_its_readers_at_the_switch() {
    let (cluster, files) = secure(HERE, |tls| tls);
    let factories = BACKENDS.map(|backend| to_both(&cluster, &files.trusted(backend)));
    for factory in &factories {
        wait_until_calm(factory, &cluster);
    }
    let readers = factories.each_ref().map(|factory| Readers::begin(factory, 1));
    let blocked = || {
        let master = cluster.master().unwrap();
        master.info("clients", "blocked_clients").is_ok_and(|count| count == "2")
    };
    assert!(wait_until(PATIENCE, blocked));
    let frozen = cluster.freeze_master().unwrap();
    for factory in &factories {
        wait_for_switch(factory, 1);
    }
    let new = cluster.wait_for_master_other_than(frozen.port(), PATIENCE).unwrap();
    let again = || new.info("clients", "blocked_clients").is_ok_and(|count| count == "2");
    assert!(wait_until(PATIENCE, again), "they wait at the new master");
    // Together, for each may be told to leave by what was meant for the other.
    thread::scope(|scope| {
        let ends = factories.iter().zip(readers);
        let ends: Vec<_> =
            ends.map(|(factory, readers)| scope.spawn(move || readers.end(factory))).collect();
        for end in ends {
            let (_, failures) = end.join().unwrap();
            assert!(!failures.is_empty(), "the old one's end was told");
        }
    });
}

#[test]
fn tls_to_the_nodes_alone() {
    let (cluster, files) = secure(HERE, |tls| tls);
    for (factory, fail_over) in [
        (files.trusted(TlsBackend::Rustls), a_kill_is_followed as fn(&Cluster, &Factory)),
        (files.trusted(TlsBackend::NativeTls), a_planned_failover_is_followed),
    ]
    .map(|(config, fail_over)| {
        // The sentinels speak TLS with each other, so that is what they tell of themselves.
        let sentinels = cluster.sentinels().iter();
        let plain = sentinels.map(|own| (own.tls_address().unwrap(), own.plain_address()));
        let builder = Factory::builder().service(cluster.service()).client_name(NAME).tls(config);
        let mapped = |builder: Builder, (from, to)| builder.sentinel(from).address_map(from, to);
        (plain.fold(builder, mapped), fail_over)
    }) {
        let factory = factory.build().unwrap();
        fail_over(&cluster, &factory);
        factory.close();
        cluster.repair(PATIENCE).unwrap();
    }
}

#[test]
fn tls_to_the_sentinels_alone() {
    let (cluster, files) = secure(HERE, Tls::beside);
    for (config, fail_over) in [
        (
            files.trusted(TlsBackend::Rustls),
            a_planned_failover_is_followed as fn(&Cluster, &Factory),
        ),
        (files.trusted(TlsBackend::NativeTls), a_kill_is_followed),
    ] {
        let factory = sentinels_mapped(named_factory(&cluster), &cluster);
        let factory = factory.sentinel_tls(config).build().unwrap();
        fail_over(&cluster, &factory);
        factory.close();
        cluster.repair(PATIENCE).unwrap();
    }
}

/// Reaches the sentinels at their TLS ports, where they announce their plain ones.
fn sentinels_mapped(builder: Builder, cluster: &Cluster) -> Builder {
    cluster.sentinels().iter().fold(builder, |builder, own| {
        builder.address_map(own.plain_address(), own.tls_address().unwrap())
    })
}

/// As [`sentinels_mapped`], for the nodes.
fn nodes_mapped(builder: Builder, cluster: &Cluster) -> Builder {
    cluster.nodes().iter().fold(builder, |builder, own| {
        builder.address_map(own.plain_address(), own.tls_address().unwrap())
    })
}

#[test]
fn a_sentinel_that_knows_resp2_alone_is_heard_on_a_second_connection() {
    let authority = Authority::new();
    let files = Files::of(&authority, &authority.issue(HERE));
    let builder = Cluster::builder().tls(files.tls());
    let cluster = builder.sentinel_line("rename-command hello \"\"").start().unwrap();
    for backend in BACKENDS {
        let config = files.trusted(backend);
        let builder = named_factory(&cluster).tls(config.clone()).sentinel_tls(config);
        let factory = builder.build().unwrap();
        let all = || {
            factory.topology().is_ok_and(|topology| {
                let hears = |link: &SentinelLink| {
                    matches!(link, SentinelLink::Up { hearing: Hearing::All, .. })
                };
                topology.sentinels.iter().filter(|own| hears(&own.link)).count() == 3
            })
        };
        assert!(wait_until(PATIENCE, all), "{:#?}", factory.topology());
        let own = format!(" name={NAME} ");
        for sentinel in cluster.sentinels() {
            // Those of the factory before go a moment later.
            let two = || {
                let clients = sentinel.ask(&["CLIENT", "LIST"]).unwrap().text();
                clients.lines().filter(|line| line.contains(&own)).count() == 2
            };
            assert!(wait_until(PATIENCE, two), "{:?}", sentinel.ask(&["CLIENT", "LIST"]));
        }
    }
}

#[test]
fn a_certificate_is_shown_to_servers_that_demand_one() {
    let authority = Authority::new();
    let files = Files::of(&authority, &authority.issue(HERE));
    let own = Files::of(&authority, &authority.issue(&["client"]));
    let cluster = Cluster::builder().tls(files.tls().demanding()).start().unwrap();
    for backend in BACKENDS {
        let without = || files.trusted(backend);
        let with = || without().client_cert_files(own.cert(), own.key());
        let builder = || named_factory(&cluster);
        is_refused(
            &builder().tls(with()).sentinel_tls(without()),
            ErrorKind::NoSentinel,
            &["sentinel_tls_cert", "sentinel_tls_key"],
        );
        let master = cluster.master().unwrap().address().to_string();
        is_refused(
            &builder().tls(without()).sentinel_tls(with()),
            ErrorKind::NoMaster,
            &[&master, "set tls_cert and tls_key"],
        );

        let factory = builder().tls(with()).sentinel_tls(with()).build().unwrap();
        factory.get().unwrap().set::<_, _, ()>("shown", 1).unwrap();
        wait_until_calm(&factory, &cluster);
    }
}

#[test]
fn who_is_not_to_be_trusted_is_not_and_the_error_says_what_to_do() {
    let (cluster, files) = secure(&["redis.test"], |tls| tls);
    let stranger = Authority::new();
    for backend in BACKENDS {
        let named = || files.trusted(backend).server_name("redis.test");
        let astray = || named().ca_pem(stranger.pem());
        let builder = || named_factory(&cluster);
        let master = cluster.master().unwrap().address().to_string();

        let sentinel = cluster.sentinels()[0].address().to_string();
        is_refused(
            &builder().tls(named()).sentinel_tls(astray()),
            ErrorKind::NoSentinel,
            &[&sentinel, "trusted authority", "sentinel_tls_ca"],
        );
        is_refused(
            &builder().tls(astray()).sentinel_tls(named()),
            ErrorKind::NoMaster,
            &[&master, "trusted authority", "set tls_ca "],
        );

        let unnamed = || files.trusted(backend);
        let parts = ["\"127.0.0.1\"", "set sentinel_tls_server_name"];
        is_refused(&builder().tls(named()).sentinel_tls(unnamed()), ErrorKind::NoSentinel, &parts);
        is_refused(
            &builder().tls(unnamed()).sentinel_tls(named()),
            ErrorKind::NoMaster,
            &[&master, "\"127.0.0.1\"", "set tls_server_name"],
        );

        let factory = builder().tls(named()).sentinel_tls(named()).build().unwrap();
        factory.get().unwrap().set::<_, _, ()>("named", 1).unwrap();
        wait_until_calm(&factory, &cluster);
    }
}

#[test]
fn an_expired_certificate_is_told() {
    let authority = Authority::new();
    let files = Files::of(&authority, &authority.issue_expired(HERE));
    let cluster = Cluster::builder().tls(files.tls().beside()).start().unwrap();
    for backend in BACKENDS {
        let config = files.trusted(backend);
        let builder = sentinels_mapped(named_factory(&cluster), &cluster);
        is_refused(
            &builder.sentinel_tls(config.clone()),
            ErrorKind::NoSentinel,
            &["expired", "renew"],
        );
        let builder = nodes_mapped(named_factory(&cluster), &cluster);
        is_refused(&builder.tls(config), ErrorKind::NoMaster, &["expired", "renew"]);
    }
}

#[test]
fn a_port_of_the_other_kind_is_told() {
    let (cluster, files) = secure(HERE, |tls| tls);
    for backend in BACKENDS {
        let config = || files.trusted(backend);
        let builder = || named_factory(&cluster);
        is_refused(&builder().tls(config()), ErrorKind::NoSentinel, &["expect TLS"]);
        is_refused(
            &builder().sentinel_tls(config()),
            ErrorKind::NoMaster,
            &["whether it expects TLS"],
        );

        let plain = cluster.sentinels().iter().map(|own| own.plain_address());
        let builder = Factory::builder().service(cluster.service()).sentinels(plain);
        is_refused(
            &builder.tls(config()).sentinel_tls(config()),
            ErrorKind::NoSentinel,
            &["that this port speaks TLS"],
        );
        let builder = cluster.nodes().iter().fold(named_factory(&cluster), |builder, own| {
            builder.address_map(own.tls_address().unwrap(), own.plain_address())
        });
        is_refused(
            &builder.tls(config()).sentinel_tls(config()),
            ErrorKind::NoMaster,
            &["that this port speaks TLS"],
        );
    }
}

#[test]
fn a_peer_that_is_silent_in_the_handshake_does_not_hold_the_others_up() {
    let (cluster, files) = secure(HERE, |tls| tls);
    for backend in BACKENDS {
        let config = files.trusted(backend);
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let builder = || {
            let builder = Factory::builder().service(cluster.service());
            builder.tls(config.clone()).sentinel_tls(config.clone())
        };
        let alone = builder().sentinel(address).dial_timeout(Duration::from_millis(200));
        let parts = [&*address.to_string(), "no answer within 200ms", "TLS"];
        is_refused(&alone, ErrorKind::NoSentinel, &parts);

        let others = cluster.sentinels().iter().map(|own| own.address());
        let factory = builder().sentinel(address).sentinels(others).build().unwrap();
        factory.get().unwrap().set::<_, _, ()>("held", "not").unwrap();
        let down = || {
            let topology = factory.topology().unwrap();
            topology.sentinels.iter().any(|own| {
                let link = format!("{:?}", own.link);
                own.address == address.into() && link.contains("no answer within")
            })
        };
        assert!(wait_until(PATIENCE, down), "{:#?}", factory.topology());
    }
}

#[test]
fn certificates_that_cannot_be_had_are_named_before_anybody_is_asked() {
    let (ca, key) = ("/no/ca.pem", "/no/key.pem");
    for backend in BACKENDS {
        let config = || TlsConfig::new().backend(backend);
        let builder = || Factory::builder().sentinel("127.0.0.1:1").service("mymaster");
        is_refused(
            &builder().tls(config().ca_file(ca)),
            ErrorKind::InvalidConfig,
            &["tls_ca=\"/no/ca.pem\"", "No such file"],
        );
        is_refused(
            &builder().sentinel_tls(config().ca_pem("nothing")),
            ErrorKind::InvalidConfig,
            &["sentinel_tls_ca: ", "no certificate"],
        );
        is_refused(
            &builder().sentinel_tls(config().client_cert_files(key, key)),
            ErrorKind::InvalidConfig,
            &["sentinel_tls_cert=\"/no/key.pem\""],
        );
        is_refused(
            &builder().tls(config().server_name("a b")),
            ErrorKind::InvalidConfig,
            &["tls_server_name=\"a b\""],
        );
    }
    for (options, part) in [
        ("tls_ca=/no/ca.pem", "tls_ca=\"/no/ca.pem\""),
        ("sentinel_tls=true&sentinel_tls_ca=/no/ca.pem", "sentinel_tls_ca=\"/no/ca.pem\""),
        ("tls_key=/no/key.pem", "tls_key: set without its certificate; set tls_cert"),
        ("tls_cert=/no/cert.pem", "tls_cert: set without its private key; set tls_key"),
        ("sentinel_tls_ca=/no/ca.pem", "sentinel_tls_ca: set while sentinel_tls is not"),
    ] {
        let builder = Builder::from_url(&format!("rediss+sentinel://127.0.0.1:1/s?{options}"));
        is_refused(&builder.unwrap(), ErrorKind::InvalidConfig, &[part]);
    }
}

#[test]
fn a_url_says_all_of_it() {
    let (cluster, files) = secure(HERE, Tls::demanding);
    let (cert, key) = (files.cert(), files.key());
    let own =
        |prefix: &str| format!("&{prefix}_cert={}&{prefix}_key={}", cert.display(), key.display());
    let url = format!("{}{}{}", cluster.url(), own("tls"), own("sentinel_tls"));
    assert!(url.starts_with("rediss+sentinel://"), "{url}");
    let factory = Factory::open(&url).unwrap();
    factory.get().unwrap().set::<_, _, ()>("by", "url").unwrap();
    assert_fresh(&factory, &cluster);
}

#[cfg(feature = "cli")]
#[test]
fn the_command_takes_such_urls_and_trusts_whom_the_platform_trusts() {
    use std::process::Command;

    let (cluster, files) = secure(HERE, |tls| tls);
    let master = cluster.master().unwrap().address().to_string();
    let run = |words: &[&str], url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchmaster"));
        command.args(words).args(["--url", url]);
        command.env("SSL_CERT_FILE", files.ca()).env_remove("SSL_CERT_DIR");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run(&["master"], &cluster.url()), (true, format!("{master}\n")));
    let url = cluster.url();
    let (bare, _) = url.split_once('?').unwrap();
    let (worked, tree) = run(&["topology"], &format!("{bare}?sentinel_tls=true"));
    assert!(worked && tree.contains(&master), "{tree}");
}
