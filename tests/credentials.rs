//! Credentials that a provider supplies, and that change while a factory is open, on real servers.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::*;
use crossbeam_channel::bounded;
use parking_lot::Mutex;
use redis::Commands;
use switchmaster::{
    Builder, Credentials, CredentialsProvider, ErrorKind, Factory, Handle, Protocol, SentinelLink,
};
use switchmaster_sandbox::{Cluster, Member, wait_until};

type Boxed = Box<dyn std::error::Error + Send + Sync>;

/// A safe from which the credentials come; counts how often it was opened.
#[derive(Clone)]
struct Vault(Arc<(Mutex<Result<Credentials, String>>, AtomicUsize)>);

impl Vault {
    fn of(user: &str, password: &str) -> Vault {
        Vault(Arc::new((Mutex::new(Ok(Credentials::new(user, password))), AtomicUsize::new(0))))
    }

    fn put(&self, content: Result<Credentials, String>) {
        *self.0.0.lock() = content;
    }

    fn calls(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

impl CredentialsProvider for Vault {
    fn credentials(&self) -> Result<Credentials, Boxed> {
        self.0.1.fetch_add(1, Ordering::SeqCst);
        self.0.0.lock().clone().map_err(Into::into)
    }
}

/// Creates the user with this password alone.
fn grant<'a>(members: impl IntoIterator<Item = &'a Member>, user: &str, password: &str) {
    let password = format!(">{password}");
    for member in members {
        let words =
            ["ACL", "SETUSER", user, "reset", "on", &password, "allkeys", "allchannels", "+@all"];
        assert_eq!(member.ask(&words).unwrap().text(), "OK");
    }
}

fn end_connections(cluster: &Cluster) {
    for node in cluster.nodes() {
        node.ask(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    }
}

fn user(handle: &mut Handle) -> String {
    redis::cmd("ACL").arg("WHOAMI").query(handle).unwrap()
}

fn id(handle: &mut Handle) -> i64 {
    redis::cmd("CLIENT").arg("ID").query(handle).unwrap()
}

/// The user of a connection to the master, while there is that connection.
fn user_of(cluster: &Cluster, id: i64) -> Option<String> {
    let list = cluster.master().unwrap().ask(&["CLIENT", "LIST"]).unwrap().text();
    let own = format!("id={id} ");
    let line = list.lines().find(|line| line.starts_with(&own))?;
    line.split(' ').find_map(|field| field.strip_prefix("user=")).map(str::to_owned)
}

fn writes(factory: &Factory) -> bool {
    factory.run(|redis| redis.set::<_, _, ()>("key", 1)).is_ok()
}

fn a_changed_password_is_used(protocol: Protocol) {
    let cluster = cluster();
    let members = || cluster.nodes().iter().map(AsRef::as_ref);
    grant(members(), "app", "one");
    let vault = Vault::of("app", "one");
    let builder = named_factory(&cluster).protocol(protocol).credentials(vault.clone());
    let factory = builder.build().unwrap();
    assert_eq!(user(&mut factory.get().unwrap()), "app");
    wait_until_calm(&factory, &cluster);

    grant(members(), "app", "two");
    vault.put(Ok(Credentials::new("app", "two")));
    let before = vault.calls();
    end_connections(&cluster);
    assert!(wait_until(PATIENCE, || writes(&factory)), "{:?}", factory.get().err());
    assert!(vault.calls() > before, "it is called at each dial");

    wait_until_calm(&factory, &cluster);
    cluster.failover().unwrap();
    assert!(factory.wait_for_generation(1, PATIENCE).is_some(), "the promotion is seen");
    assert_eq!(user(&mut factory.get().unwrap()), "app");
    assert!(writes(&factory));
}

#[test]
fn a_changed_password_is_used_for_new_connections_and_failovers_over_resp3() {
    a_changed_password_is_used(Protocol::Resp3);
}

#[test]
fn a_changed_password_is_used_for_new_connections_and_failovers_over_resp2() {
    a_changed_password_is_used(Protocol::Resp2);
}

#[test]
fn idle_connections_log_in_again_and_connections_in_use_are_closed_when_they_return() {
    let cluster = cluster();
    let members = || cluster.nodes().iter().map(AsRef::as_ref);
    grant(members(), "earlier", "one");
    grant(members(), "later", "two");
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let vault = Vault::of("earlier", "one");
        let builder = named_factory(&cluster).protocol(protocol).max_size(4);
        let factory = builder.credentials(vault.clone()).build().unwrap();
        let mut handles: Vec<_> = (0..4).map(|_| factory.get().unwrap()).collect();
        let ids: Vec<_> = handles.iter_mut().map(id).collect();
        let mut in_transaction = handles.remove(0);
        redis::cmd("WATCH").arg("key").exec(&mut in_transaction).unwrap();
        let mut in_use = handles.remove(0);
        drop(handles);
        let earlier = Some("earlier".to_owned());
        assert!(ids.iter().all(|id| user_of(&cluster, *id) == earlier));

        vault.put(Ok(Credentials::new("later", "two")));
        factory.refresh();
        let later = || ids[2..].iter().all(|id| user_of(&cluster, *id) == Some("later".to_owned()));
        assert!(wait_until(PATIENCE, later), "the idle ones log in without being used");
        assert_eq!(user(&mut in_use), "later", "with its next command");
        assert_eq!(user_of(&cluster, ids[0]), earlier, "a transaction is not disturbed");
        drop(in_transaction);
        assert!(wait_until(PATIENCE, || user_of(&cluster, ids[0]).is_none()));
        drop(in_use);
        let mut handles: Vec<_> = (0..4).map(|_| factory.get().unwrap()).collect();
        assert!(handles.iter_mut().all(|handle| user(handle) == "later"));
        assert!(ids[1..].iter().all(|id| user_of(&cluster, *id) == Some("later".to_owned())));
    }
}

#[test]
fn the_sentinels_have_a_provider_of_their_own() {
    let cluster = cluster();
    let sentinels = || cluster.sentinels().iter().map(AsRef::as_ref);
    grant(sentinels(), "watcher", "one");
    let vault = Vault::of("watcher", "one");
    let builder = named_factory(&cluster).sentinel_credentials(vault.clone());
    let factory = builder.build().unwrap();
    let hears_all = || {
        let topology = factory.topology().unwrap();
        topology.sentinels.iter().filter(|own| matches!(own.link, SentinelLink::Up { .. })).count()
            == 3
    };
    assert!(wait_until(PATIENCE, hears_all));
    // Ends their connections, too.
    for sentinel in cluster.sentinels() {
        assert_eq!(sentinel.ask(&["ACL", "DELUSER", "watcher"]).unwrap().text(), "1");
    }
    vault.put(Err("the vault is sealed".to_owned()));
    let told = || format!("{:?}", factory.topology()).contains("failed: the vault is sealed");
    assert!(wait_until(PATIENCE, told), "{:#?}", factory.topology());
    grant(sentinels(), "watcher", "two");
    vault.put(Ok(Credentials::new("watcher", "two")));
    assert!(wait_until(PATIENCE, hears_all), "{:#?}", factory.topology());
    assert!(writes(&factory));
}

/// A factory is not opened, and the error says why without a password.
fn is_refused(builder: Builder, parts: &[&str]) {
    let error = builder.connect_timeout(Duration::from_secs(2)).build().unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} is not all in: {text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_provider_that_fails_is_reported_and_shows_no_password() {
    let cluster = cluster();
    let of = |provider: fn() -> Result<Credentials, Boxed>| {
        named_factory(&cluster).credentials(provider)
    };
    let failed = "the credentials provider failed";
    is_refused(of(|| Err("the vault\nis sealed".into())), &[failed, "the vault is sealed"]);
    is_refused(of(|| panic!("a fault of the provider")), &[failed, "panicked"]);
    is_refused(of(|| Ok(Credentials::new("", "hunter2"))), &[failed, "empty user name"]);
    is_refused(of(|| Ok(Credentials::password(""))), &[failed, "empty password"]);
    is_refused(
        of(|| Ok(Credentials::new("app", "hunter2".repeat(5000)))),
        &[failed, "35000 bytes", "16384"],
    );
    let unknown = || Ok(Credentials::new("app", "hunter2"));
    is_refused(of(unknown), &["refused the credentials"]);
    let both = of(unknown).password("hunter2");
    let error = both.clone().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("credentials: set together with password"), "{error}");
    let shown = format!("{both:?} {:?}", Credentials::new("app", "hunter2"));
    assert!(!shown.contains("hunter2") && shown.contains("app"), "{shown}");
}

#[test]
fn a_provider_that_blocks_delays_a_call_for_a_dial_at_most() {
    let cluster = cluster();
    let (release, blocked) = bounded::<()>(0);
    let hangs = Arc::new(Mutex::new(false));
    let hanging = hangs.clone();
    let builder = named_factory(&cluster).dial_timeout(Duration::from_millis(200));
    grant(cluster.nodes().iter().map(AsRef::as_ref), "app", "one");
    let factory = builder
        .credentials(move || {
            let hangs = *hanging.lock();
            if hangs {
                let _ = blocked.recv();
            }
            Ok(Credentials::new("app", "one"))
        })
        .build()
        .unwrap();
    let beside = named_factory(&cluster).build().unwrap();
    assert!(writes(&factory));
    *hangs.lock() = true;
    end_connections(&cluster);
    let named = || {
        let error = factory.get_timeout(Duration::from_millis(300)).err();
        error.is_some_and(|error| error.to_string().contains("provider failed: no answer within"))
    };
    assert!(wait_until(PATIENCE, named), "{:?}", factory.get().err());
    assert!(wait_until(PATIENCE, || writes(&beside)), "another factory works");
    let overdue = || {
        let error = factory.get_timeout(Duration::from_millis(300)).err();
        error.is_some_and(|error| error.to_string().contains("its call has not returned for"))
    };
    assert!(wait_until(PATIENCE, overdue), "{:?}", factory.get().err());
    *hangs.lock() = false;
    drop(release);
    assert!(wait_until(PATIENCE, || writes(&factory)), "{:?}", factory.get().err());
}
