//! Sentinels that lead a failover die in the middle of it, or lead two at a time.

use std::time::Duration;

use switchmaster_sandbox::{Cluster, ErrorKind, Probe, Rival, Role, Sentinel, wait_until};

const LONG: Duration = Duration::from_secs(20);
/// The others begin again after twice this.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(2);

fn cluster() -> Cluster {
    Cluster::builder().failover_timeout(FAILOVER_TIMEOUT).start().unwrap()
}

/// The only sentinel that has ended, by itself.
fn crashed(cluster: &Cluster) -> Sentinel {
    let down = || {
        let all = cluster.sentinels().iter();
        all.filter(|sentinel| !sentinel.is_running()).cloned().collect::<Vec<_>>()
    };
    assert!(wait_until(LONG, || !down().is_empty()), "{}", cluster.logs());
    let mut down = down();
    assert_eq!(down.len(), 1, "{}", cluster.logs());
    down.remove(0)
}

#[test]
fn a_leader_that_crashes_after_the_promotion_has_told_nobody_and_does_not_crash_again() {
    let cluster = cluster();
    for sentinel in cluster.sentinels() {
        sentinel.crash_after_promotion().unwrap();
    }
    let probe = Probe::start(&cluster).unwrap();
    let old = cluster.master().unwrap();
    cluster.failover().unwrap();
    let promotion = probe.promotion(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
    let leader = crashed(&cluster);
    eprintln!("the leader's end was seen {:?} after P", promotion.at.elapsed());
    assert_eq!(leader.port(), cluster.sentinels()[0].port(), "the one that was told to lead");
    assert!(leader.log().contains("+promoted-slave"), "{}", leader.log());
    assert!(probe.announcements().is_empty(), "it told somebody");
    assert_eq!(cluster.master().unwrap().address(), old.address());
    drop(probe);

    // It wrote the new configuration before it crashed, and the others learn it from the new process.
    let pid = leader.pid();
    cluster.repair(LONG).unwrap();
    assert_ne!(leader.pid(), pid);
    assert_eq!(leader.ask(&["SENTINEL", "MYID"]).unwrap().text(), leader.id());
    let old = cluster.master().unwrap();
    assert_eq!(old.address(), promotion.address);
    for sentinel in cluster.sentinels() {
        let old = cluster.master().unwrap();
        sentinel.failover("mymaster").unwrap();
        cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
        cluster.repair(LONG).unwrap();
        assert!(!sentinel.log_tail(1).contains("CRASH"), "{}", sentinel.log());
    }
}

#[test]
fn a_leader_that_crashes_after_its_election_promotes_nobody_and_another_leads_later() {
    let cluster = cluster();
    for sentinel in cluster.sentinels() {
        sentinel.crash_after_election().unwrap();
    }
    let probe = Probe::start(&cluster).unwrap();
    let old = cluster.kill_master().unwrap();
    let leader = crashed(&cluster);
    assert!(leader.log().contains("+elected-leader"), "{}", leader.log());
    assert!(probe.promotions().is_empty(), "{}", cluster.logs());
    for sentinel in cluster.sentinels().iter().filter(|sentinel| sentinel.is_running()) {
        sentinel.crash_never().unwrap();
    }
    assert!(probe.promotion(LONG).is_some(), "{}", cluster.logs());
    cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    cluster.repair(LONG).unwrap();
}

#[test]
fn a_leader_is_killed_at_the_promotion_before_it_notices() {
    let cluster = cluster();
    for planned in [true, false] {
        let probe = Probe::start(&cluster).unwrap();
        let old = cluster.master().unwrap();
        if planned {
            cluster.failover().unwrap();
        } else {
            old.kill().unwrap();
        }
        let killed = cluster.kill_leader_at_promotion(&probe, LONG).unwrap();
        eprintln!(
            "{} was gone {:?} after P",
            killed.sentinel.name(),
            killed.at - killed.promotion.at
        );
        assert!(!killed.sentinel.is_running());
        assert_eq!(probe.promotion(LONG), Some(killed.promotion));
        let log = killed.sentinel.log();
        let last_failover = &log[log.rfind("+try-failover").unwrap()..];
        assert!(last_failover.contains("+failover-state-wait-promotion"), "{log}");
        assert!(!last_failover.contains("+promoted-slave"), "{log}");
        assert!(probe.announcements().is_empty());
        if planned {
            // The master is well, and nobody else knows: it stays, and the promoted replica follows it again.
            assert_eq!(cluster.master().unwrap().address(), old.address());
        } else {
            let next = cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
            eprintln!("then {} won", next.name());
        }
        drop(probe);
        cluster.repair(LONG).unwrap();
    }
}

#[test]
fn no_leader_is_killed_without_a_promotion() {
    let cluster = Cluster::builder().replicas(1).sentinels(1).start().unwrap();
    let probe = Probe::start(&cluster).unwrap();
    let error = cluster.kill_leader_at_promotion(&probe, Duration::from_millis(50)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("nobody was promoted in time"), "{error}");
    assert!(cluster.sentinels()[0].is_running());
    assert_eq!(cluster.two_failovers_at_once().err().unwrap().kind(), ErrorKind::Config);
}

fn lead(cluster: &Cluster, rivals: [Rival; 2]) {
    for rival in rivals {
        rival.answer.unwrap();
        let log = rival.sentinel.log();
        assert!(log.contains("Executing user requested FAILOVER"), "{log}");
        assert!(wait_until(LONG, || rival.sentinel.log().contains("+elected-leader")), "{log}");
    }
    let epochs: Vec<String> = cluster.sentinels()[..2]
        .iter()
        .map(|sentinel| sentinel.log())
        .map(|log| log[log.find("+new-epoch").unwrap()..].lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(epochs[0], epochs[1]);
}

#[test]
fn two_failovers_at_once_have_two_leaders_in_one_epoch() {
    let cluster = cluster();
    let old = cluster.master().unwrap();
    let rivals = cluster.two_failovers_at_once().unwrap();
    lead(&cluster, rivals);
    cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    cluster.repair(LONG).unwrap();
}

#[test]
fn two_failovers_apart_promote_both_replicas() {
    let cluster = cluster();
    let old = cluster.master().unwrap();
    let probe = Probe::start(&cluster).unwrap();
    let rivals = cluster.two_failovers_apart().unwrap();
    lead(&cluster, rivals);
    assert!(wait_until(LONG, || probe.promotions().len() == 2), "{}", cluster.logs());
    let [one, other] = probe.promotions()[..] else { panic!("{:?}", probe.promotions()) };
    eprintln!("the second promotion came {:?} after the first", other.at - one.at);
    assert_ne!(one.address, other.address);
    let announcement = probe.announcement(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
    assert!(announcement.at > other.at, "both take writes before anybody is told");
    let new = cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    assert!([one.address, other.address].contains(&new.address()));
    drop(probe);
    cluster.repair(LONG).unwrap();
    for node in cluster.nodes() {
        let reply = node.ask(&["CONFIG", "GET", "replica-priority"]).unwrap();
        assert_eq!(reply.items()[1].text(), "100");
    }
    let masters = cluster.nodes().iter().filter(|node| node.role().unwrap() == Role::Master);
    assert_eq!(masters.count(), 1);
}
