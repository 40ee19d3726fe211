//! Servers that announce host names, names that come to stand for another address, and IPv6.

use std::{
    env, fs,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    path::Path,
    process::Command,
};

use switchmaster_sandbox::{Builder, Cluster, Member, wait_until};

use super::{common::*, *};

fn seeds(cluster: &Cluster, host: &str) -> switchmaster::Builder {
    let sentinels = cluster.sentinels().iter().map(|own| format!("{host}:{}", own.port()));
    Factory::builder().service(cluster.service()).sentinels(sentinels).client_name(NAME)
}

#[test]
fn servers_that_announce_their_host_name_are_followed_by_it() {
    let cluster = Cluster::builder().announce_name("localhost").start().unwrap();
    let factory = seeds(&cluster, "localhost").build().unwrap();
    assert_eq!(factory.master().unwrap().host(), "localhost");
    follows(&factory, &cluster);
    assert_eq!(factory.master().unwrap().host(), "localhost");
}

#[test]
fn sentinels_configured_by_address_and_announced_by_name_count_once() {
    let cluster = Cluster::builder().announce_name("localhost").start().unwrap();
    let factory = seeds(&cluster, "127.0.0.1").build().unwrap();
    follows(&factory, &cluster);
    let known = || factory.topology().map(|own| own.sentinels.len()).unwrap_or_default();
    assert!(wait_until(PATIENCE, || known() == 3), "{:#?}", factory.topology());
}

#[test]
fn ipv6_is_followed() {
    if let Err(error) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        eprintln!("NOT TESTED: this machine has no IPv6 loopback: {error}");
        return;
    }
    let cluster = Cluster::builder().listen_on(Ipv6Addr::LOCALHOST).start().unwrap();
    assert!(cluster.url().contains("://[::1]:"), "{}", cluster.url());
    let factory = factory(&cluster);
    assert_eq!(factory.master().unwrap().host(), "::1");
    follows(&factory, &cluster);
}

/// In a process of its own, whose /etc/hosts is another.
const INSIDE: &str = "SWITCHMASTER_TEST_HOSTS";
const HOST: &str = "redis.switchmaster.test";

#[test]
fn a_name_is_resolved_anew_for_each_dial() {
    if let Some(hosts) = env::var_os(INSIDE) {
        return follows_a_name_that_changes(Path::new(&hosts));
    }
    let hosts = env::temp_dir().join(format!("switchmaster-hosts-{}", std::process::id()));
    fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    let inside = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg("mount --bind \"$1\" /etc/hosts && shift && exec \"$@\" || exit 77")
        .args(["sh", hosts.to_str().unwrap()])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "names::a_name_is_resolved_anew_for_each_dial", "--nocapture"])
        .env(INSIDE, &hosts)
        .output();
    fs::remove_file(&hosts).unwrap();
    match inside {
        Ok(output) if output.status.success() => {}
        Ok(output) if output.status.code() == Some(101) => {
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            panic!("inside: {out}\n{err}");
        }
        // The function of the address map stands in for it: `forwards_that_move_are_found_again`.
        other => eprintln!("NOT TESTED: no namespace with a hosts file of its own: {other:?}"),
    }
}

fn follows_a_name_that_changes(hosts: &Path) {
    let [old, new] = [2, 3].map(|last| IpAddr::from(Ipv4Addr::new(127, 0, 0, last)));
    // Written over, never truncated: sentinels look names up all the time, and stand still while they
    // look elsewhere for one that is missing.
    let point_to = |ip: IpAddr| {
        let mut file = fs::OpenOptions::new().write(true).open(hosts)?;
        file.write_all(format!("127.0.0.1 localhost\n{ip} {HOST}\n").as_bytes())
    };
    point_to(old).unwrap();
    let both = |builder: Builder| {
        let line = format!("bind {old} {new}");
        builder.node_line(&line).sentinel_line(line)
    };
    let cluster = both(Cluster::builder().announce_name(HOST).listen_on(old)).start().unwrap();
    let factory = seeds(&cluster, HOST).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let reached_at = |member: &Member, ip: IpAddr| {
        let clients = member.ask(&["CLIENT", "LIST"]).map(|clients| clients.text());
        let local = format!(" laddr={ip}:");
        let own = |line: &&str| line.contains(" name=test ");
        clients.is_ok_and(|clients| {
            let mut own = clients.lines().filter(own).peekable();
            own.peek().is_some() && own.all(|line| line.contains(&local))
        })
    };
    let all_at = |ip| wait_until(PATIENCE, || cluster.members().all(|own| reached_at(own, ip)));
    assert!(all_at(old), "they are reached where the name leads");

    point_to(new).unwrap();
    cluster.members().for_each(|member| member.restart().unwrap());
    assert!(all_at(new), "{:#?}", factory.topology());
    cluster.wait_settled(PATIENCE).unwrap();
    wait_for_write(&factory);
    follows(&factory, &cluster);
}
