//! Clusters start, fail over and settle again.

use std::time::{Duration, Instant};

use switchmaster_sandbox::{Cluster, ErrorKind, Probe, Role};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_cluster_is_ready_when_it_has_started() {
    let begun = Instant::now();
    let cluster = Cluster::builder().start().unwrap();
    eprintln!("started in {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(cluster.nodes().len(), 3);
    assert_eq!(cluster.master().unwrap().role().unwrap(), Role::Master);
    for sentinel in cluster.sentinels() {
        let master = cluster.master().unwrap().address();
        assert_eq!(sentinel.master_of("mymaster").unwrap(), Some(master));
        assert_eq!(sentinel.ask(&["SENTINEL", "MYID"]).unwrap().text(), sentinel.id());
    }
    cluster.master().unwrap().ask(&["SET", "a", "1"]).unwrap();
    assert!(cluster.master().unwrap().ask(&["DEBUG", "SLEEP", "0"]).is_ok());
}

fn promotes(fault: impl FnOnce(&Cluster)) {
    let cluster = Cluster::builder().start().unwrap();
    let old = cluster.master().unwrap();
    let probe = Probe::start(&cluster).unwrap();
    let begun = Instant::now();
    fault(&cluster);
    let promotion = probe.promotion(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
    let announcement = probe.announcement(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
    eprintln!(
        "P at {:?}, announced {:?} later",
        promotion.at - begun,
        announcement.at - promotion.at
    );
    assert_ne!(promotion.address, old.address());
    assert_eq!(announcement.new, promotion.address);
    assert_eq!(announcement.old, old.address());
    assert!(announcement.at > promotion.at);
    assert_eq!(probe.wait_for_announcements(3, LONG).len(), 3);
    assert_eq!(probe.promotions().len(), 1);
    let new = cluster.wait_for_master_other_than(old.port(), LONG).unwrap();
    assert_eq!(new.address(), promotion.address);
    let begun = Instant::now();
    drop(probe);
    assert!(begun.elapsed() < Duration::from_secs(1));
    cluster.repair(LONG).unwrap();
    eprintln!("repaired in {:?}", begun.elapsed());
}

#[test]
fn a_killed_master_is_replaced_and_the_probe_sees_it_before_the_sentinels_say_so() {
    promotes(|cluster| {
        let old = cluster.kill_master().unwrap();
        assert!(!old.is_running());
    });
}

#[test]
fn a_frozen_master_is_replaced_and_the_probe_sees_it_before_the_sentinels_say_so() {
    promotes(|cluster| {
        let old = cluster.freeze_master().unwrap();
        assert!(old.is_running());
        assert_eq!(old.role().unwrap_err().kind(), ErrorKind::Timeout);
    });
}

#[test]
fn a_planned_failover_promotes_and_the_probe_sees_it_before_the_sentinels_say_so() {
    promotes(|cluster| cluster.failover().unwrap());
}
