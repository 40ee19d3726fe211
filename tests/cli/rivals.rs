//! `switchmaster failover`, beside others, and with servers that do not answer while writes wait.

use std::{
    fs::OpenOptions,
    os::unix::process::ExitStatusExt,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use switchmaster_sandbox::{Cluster, FakeSentinel, Sentinel, frame::Frame, valkey_server};

use crate::{
    failovers::{Failover, assert_writable, cluster, patient_cluster, waiting},
    plain_load::PlainLoad,
    program::{PATIENCE, output, text},
};

#[test]
fn whoever_interrupts_the_checks_ends_it_at_once() {
    let silent = FakeSentinel::start().unwrap();
    silent.silence(true);
    let url = format!("redis+sentinel://{}/mymaster", silent.address());
    let mut failover = Failover::of(&url, &[], Stdio::null());
    failover.wait_for("checks");
    failover.signal("TERM");
    let (status, told) = failover.end();
    assert_eq!(status.signal(), Some(15), "{told}");
}

#[test]
fn of_two_failovers_at_once_the_second_does_nothing() {
    let cluster = cluster();
    let master = cluster.master().unwrap();
    let first = waiting(&cluster);
    let second = output(&["failover", "--url", &cluster.url(), "--yes", "--now"]);
    let told = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.contains("nothing was done, for another `switchmaster failover`"), "{told}");
    first.signal("TERM");
    assert_eq!(first.end().0.code(), Some(1));
    assert_eq!(cluster.master().unwrap().port(), master.port());
}

#[test]
fn a_second_failover_that_begins_while_the_first_waits_is_seen_before_the_pause() {
    let cluster = cluster();
    let master = cluster.master().unwrap();
    let failover = waiting(&cluster);
    // The connection that says that the first is at work has ended, so another could begin.
    master.ask(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    let mut second = master.client().unwrap();
    second.expect(&["CLIENT", "SETNAME", "switchmaster-failover"]).unwrap();
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("nothing was done, for another `switchmaster failover`"), "{told}");
    assert!(!told.contains("catching up"), "{told}");
    assert_eq!(cluster.master().unwrap().port(), master.port());
}

#[test]
fn a_pause_that_somebody_else_has_set_is_not_ended_where_the_server_tells_of_it() {
    let server = valkey_server().expect("`make setup` brings one");
    let cluster = Cluster::builder().server(server).start().unwrap();
    cluster.wait_replicated(PATIENCE).unwrap();
    let master = cluster.master().unwrap();
    master.ask(&["CLIENT", "PAUSE", "60000", "WRITE"]).unwrap();
    let done = output(&["failover", "--url", &cluster.url(), "--yes", "--now"]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("nothing was done") && told.contains("(write)"), "{told}");
    assert_eq!(master.info("clients", "paused_actions").unwrap(), "write");
}

#[test]
fn a_failover_that_somebody_else_begins_meanwhile_is_left_alone() {
    let cluster = cluster();
    let failover = waiting(&cluster);
    cluster.failover().unwrap();
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("nothing was done, for ") && told.contains(" meanwhile"), "{told}");
    cluster.wait_settled(PATIENCE).expect("the other failover ends");
}

#[test]
fn whoever_interrupts_it_after_the_order_has_it_brought_to_its_end() {
    let cluster = cluster();
    let mut failover = Failover::start(&cluster, &["--now"]);
    failover.wait_for("promotion");
    failover.signal("TERM");
    failover.signal("INT");
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(told.contains("this is brought to its end"), "{told}");
    cluster.wait_settled(PATIENCE).expect("all is in its place");
}

/// The sentinel that a line names.
fn named(cluster: &Cluster, line: &str) -> Sentinel {
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
    port.and_then(|port| cluster.sentinel_at(port)).expect("one of the sentinels")
}

#[test]
fn frozen_sentinels_do_not_hold_up_the_demotion() {
    let cluster = cluster();
    let old = cluster.master().unwrap();
    let mut failover = Failover::start(&cluster, &["--now"]);
    let leader = named(&cluster, &failover.wait_for("promotion"));
    let others = cluster.sentinels().iter().filter(|sentinel| sentinel.id() != leader.id());
    others.for_each(|sentinel| sentinel.freeze().unwrap());
    // It waits in the old master for the end of the pause.
    let mut client = old.client_with(PATIENCE).unwrap();
    let written = thread::spawn(move || client.call(&["SET", "writes", "wait"]));
    failover.wait_for("settling");
    // It would wait for them for a minute.
    let began = Instant::now();
    failover.signal("TERM");
    let (status, told) = failover.end();
    assert!(began.elapsed() < PATIENCE, "it was not interrupted");
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(told.contains("no reply within") && !told.contains("is lost"), "{told}");
    // Refused, or its connection ended.
    if let Ok(reply) = written.join().unwrap() {
        assert!(matches!(reply, Frame::Error(_)), "{reply:?} from the old master: {told}");
    }
}

#[test]
fn an_order_that_is_not_answered_is_followed() {
    // The longer the pause, the more time there is here.
    let cluster = Cluster::builder()
        .down_after(Duration::from_secs(10))
        .failover_timeout(Duration::from_secs(3))
        .proxied(true)
        .start()
        .unwrap();
    cluster.wait_replicated(PATIENCE).unwrap();
    // The order is on its way for so long, and finds a sentinel that stands still.
    let proxies = || cluster.sentinels().iter().filter_map(|sentinel| sentinel.proxy());
    proxies().for_each(|proxy| proxy.delay(Duration::from_millis(60)));
    let mut failover = Failover::of(&cluster.proxied_url(), &["--now"], Stdio::piped());
    failover.wait_for("promotion");
    cluster.sentinels().iter().for_each(|sentinel| sentinel.freeze().unwrap());
    failover.wait_for_line("does not answer the order");
    cluster.sentinels().iter().for_each(|sentinel| sentinel.resume().unwrap());
    proxies().for_each(|proxy| proxy.pass());
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(0), "{told}");
    cluster.wait_settled(PATIENCE).expect("all is in its place");
}

#[test]
fn an_order_that_another_one_came_before_is_followed() {
    let cluster = patient_cluster();
    let load = PlainLoad::begin(&cluster, 4);
    // The order is on its way for so long, and another one comes before it.
    let proxies = || cluster.sentinels().iter().filter_map(|sentinel| sentinel.proxy());
    proxies().for_each(|proxy| proxy.delay(Duration::from_millis(40)));
    let mut failover = Failover::of(&cluster.proxied_url(), &["--now"], Stdio::piped());
    let line = failover.wait_for("promotion");
    let port: u16 = line.trim().rsplit(':').next().and_then(|port| port.parse().ok()).unwrap();
    let leads = |sentinel: &&Sentinel| {
        sentinel.port() == port || sentinel.proxy().is_some_and(|own| own.address().port() == port)
    };
    let leader = cluster.sentinels().iter().find(leads).expect("one of the sentinels");
    leader.failover(cluster.service()).unwrap();
    let (status, told) = failover.end();
    assert!(told.contains("by another order, which is followed"), "{told}");
    assert_eq!(status.code(), Some(0), "{told}");
    load.wait_for(50);
    let (all, lost) = load.end(&cluster.master().unwrap());
    assert_eq!(lost, 0, "of {all}: {told}");
}

#[test]
fn a_promotion_that_comes_after_the_pause_is_paused_again_and_loses_nothing() {
    let cluster = cluster();
    let load = PlainLoad::begin(&cluster, 4);
    let mut failover = Failover::start(&cluster, &["--now", "--timeout", "30s"]);
    let leader = named(&cluster, &failover.wait_for("promotion"));
    leader.freeze().unwrap();
    failover.wait_for_line("no replica was promoted in time");
    load.wait_for(50);
    leader.resume().unwrap();
    failover.wait_for_line("writes are paused again");
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(0), "{told}");
    load.wait_for(50);
    let (all, lost) = load.end(&cluster.master().unwrap());
    assert_eq!(lost, 0, "of {all}: {told}");
}

#[test]
fn of_two_leaders_the_one_that_the_sentinels_follow_is_followed() {
    let cluster = patient_cluster();
    let load = PlainLoad::begin(&cluster, 4);
    let mut failover = Failover::start(&cluster, &["--now"]);
    let leader = named(&cluster, &failover.wait_for("promotion"));
    let other = cluster.sentinels().iter().find(|sentinel| sentinel.id() != leader.id()).unwrap();
    // It may have heard of the first one already.
    let _ = other.failover(cluster.service());
    let (status, told) = failover.end();
    assert!(matches!(status.code(), Some(0 | 3)) && !told.contains("lost"), "{told}");
    load.wait_for(50);
    let (all, lost) = load.end(&cluster.master().unwrap());
    assert_eq!(lost, 0, "of {all}: {told}");
}

#[test]
fn a_failover_that_cannot_be_reported_is_not_told_as_one_that_failed() {
    let cluster = cluster();
    let old = cluster.master().unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let failover = Failover::of(&cluster.url(), &["--now"], Stdio::from(full));
    let (status, told) = failover.end();
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(told.contains("output: "), "{told}");
    let master = cluster.master().unwrap();
    assert_ne!(master.port(), old.port());
    assert_writable(&master);
}
