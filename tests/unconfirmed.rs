//! A master that was switched to at its promotion, and whose promotion nobody confirms at once.

mod common;

use std::time::{Duration, Instant};

use common::{
    load::{Failure, Load, Tally, Write},
    story::{Story, is_switch, is_unconfirmed},
    *,
};
use redis::Commands;
use switchmaster::{Address, ErrorKind, Event, Evidence, Factory, FenceEnd, Outcome, Source};
use switchmaster_sandbox::{Cluster, Node, Probe, Sentinel};

/// The sentinels begin again twice this after they began.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(3);

/// How late a fence may be that is due, on a machine that is busy with other tests.
const SLACK: Duration = Duration::from_millis(300);

fn cluster() -> Cluster {
    Cluster::builder().failover_timeout(FAILOVER_TIMEOUT).proxied(true).start().unwrap()
}

/// Short of patience, so that commands that are held fail soon.
fn factory(cluster: &Cluster) -> Factory {
    proxied_factory(cluster)
        .command_timeout(Duration::from_millis(400))
        .get_timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

fn node(cluster: &Cluster, address: &Address) -> Node {
    cluster.node_at(address.port()).expect("it is one of the nodes")
}

fn leader(cluster: &Cluster, story: &mut Story, evidence: &Evidence) -> Sentinel {
    let (Evidence::Promotion { leader, .. } | Evidence::Ordered { leader, .. }) = evidence else {
        panic!("{evidence} is no promotion:\n{}", story.text())
    };
    cluster.sentinel_at(leader.port()).expect("it is one of the sentinels")
}

fn to(switched: &Event) -> Address {
    let Event::Switched { to, .. } = switched else { panic!("{switched} is no switch") };
    to.clone()
}

/// The fence that is raised because nobody confirms, and how long after the switch that was.
fn held(story: &mut Story, switched: &Event) -> (Event, Duration) {
    let held = story.wait("commands are held", is_unconfirmed);
    let after = held.at() - switched.at();
    (held, after)
}

/// While commands are held, one fails at its deadline, and was not sent.
fn assert_held(factory: &Factory) {
    let mut redis = factory.get().unwrap();
    let begun = Instant::now();
    let error = redis.set::<_, _, ()>("held", 1).unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    let failure = Failure::of(&error);
    assert_eq!(failure.kind, Some(ErrorKind::Fenced), "{error}");
    assert_eq!(failure.outcome, Outcome::NotSent, "{error}");
    let stats = factory.stats();
    assert!(stats.errors_not_sent > 0);
}

/// The master that was served before the first switch of the story.
fn first_master(story: &mut Story) -> Address {
    let first = story.so_far().iter().find_map(|event| match event {
        Event::Switched { from, .. } => from.clone(),
        _ => None,
    });
    first.expect("there was a switch")
}

/// Makes the cluster whole, when the sentinels have another master than this one. Before that it
/// would come back as the master that they still know.
fn settle(cluster: &Cluster, first: &Address) {
    cluster.wait_for_master_other_than(first.port(), PATIENCE).unwrap();
    cluster.repair(PATIENCE).unwrap();
}

/// What is missing on the master of now, but for the last words of one that was killed then: it died
/// before a replica had them.
fn lost(cluster: &Cluster, tally: &Tally, killed: Instant) -> Vec<Write> {
    let last_words = killed - Duration::from_millis(50);
    let mut lost = tally.lost(&cluster.master().unwrap());
    lost.retain(|write| write.generation > 1 || write.at < last_words);
    lost
}

/// Whatever the sentinels made of it: the factory serves what they agree on, and it counted what ran
/// on the master that nobody had confirmed.
fn ends_well(cluster: &Cluster, factory: &Factory, story: &mut Story, load: Load, killed: Instant) {
    let first = first_master(story);
    let unconfirmed = factory.generation();
    let over = |event: &Event| match event {
        Event::Confirmed { generation, .. } | Event::Overruled { generation, .. } => {
            *generation == unconfirmed
        }
        _ => false,
    };
    let end = story.wait("the doubt is over", over);
    load.wait_for(100);
    settle(cluster, &first);
    let tally = load.end();
    let master = cluster.master().unwrap();
    let stats = factory.stats();
    let lost = lost(cluster, &tally, killed);
    match end {
        Event::Confirmed { master: own, commands, .. } => {
            println!("the same replica won: {commands} commands are safe");
            assert_eq!(own.port(), master.port());
            assert_eq!(lost.len(), 0, "{}\n{}", tally.describe(&lost), story.text());
            assert_eq!(factory.generation(), unconfirmed);
            assert_eq!(stats.overruled_commands, 0);
            let lifted =
                |e: &Event| matches!(e, Event::FenceLifted { end: FenceEnd::Confirmed, .. });
            story.wait("commands go on", lifted);
        }
        Event::Overruled { master: own, commands, .. } => {
            println!("another replica won: {} of {commands} writes are lost", lost.len());
            assert_ne!(own.port(), master.port());
            assert!(
                lost.iter().all(|write| write.generation == unconfirmed),
                "{}",
                tally.describe(&lost)
            );
            assert!(lost.len() as u64 <= commands, "{} lost, {commands} told", lost.len());
            assert_eq!(factory.generation(), unconfirmed + 1, "{}", story.text());
            assert_eq!(stats.overruled_commands, commands);
        }
        other => panic!("{other}"),
    }
    let (safe, overruled) = story.commands();
    let counted = (safe + overruled, overruled);
    assert_eq!((stats.doubtful_commands, stats.overruled_commands), counted, "{}", story.text());
    for failure in &tally.failures {
        // What was on its way when the leader was lost, or when the next switch came, is unknown.
        let held = failure.kind == Some(ErrorKind::Fenced) && failure.outcome == Outcome::NotSent;
        assert!(held || failure.outcome == Outcome::Unknown, "{}", failure.text);
    }
    assert_fresh(factory, cluster);
}

#[test]
fn a_leader_that_dies_after_the_switch_has_commands_held_at_once() {
    let cluster = cluster();
    let factory = factory(&cluster);
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    cluster.kill_master().unwrap();
    let killed = Instant::now();
    let (switched, evidence) = story.switched(2);
    leader(&cluster, &mut story, &evidence).kill().unwrap();
    let alone = Instant::now();
    let (fence, _) = held(&mut story, &switched);
    assert!(fence.at().saturating_duration_since(alone) < SLACK, "{}", story.text());
    assert_held(&factory);
    ends_well(&cluster, &factory, &mut story, load, killed);
}

#[test]
fn a_leader_that_falls_silent_has_commands_held_when_the_time_is_over() {
    let within = Duration::from_millis(1500);
    let cluster = cluster();
    let factory = factory(&cluster);
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    cluster.kill_master().unwrap();
    let killed = Instant::now();
    let (switched, evidence) = story.switched(2);
    let leader = leader(&cluster, &mut story, &evidence);
    leader.freeze().unwrap();
    let (_, after) = held(&mut story, &switched);
    assert!(after <= within + SLACK, "{after:?}\n{}", story.text());
    assert_held(&factory);
    assert_eq!(story.count(is_switch), 1, "{}", story.text());
    // One that had merely been stopped would not do anything for half a minute.
    leader.kill().unwrap();
    ends_well(&cluster, &factory, &mut story, load, killed);
}

#[test]
fn a_leader_that_dies_at_the_promotion_is_survived() {
    let cluster = cluster();
    let factory = factory(&cluster);
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    let probe = Probe::start(&cluster).unwrap();
    cluster.kill_master().unwrap();
    let killed = Instant::now();
    let left = cluster.kill_leader_at_promotion(&probe, PATIENCE).unwrap();
    // It may have told us of its choice in the last millisecond of its life, or not.
    let (switched, evidence) = story.switched(2);
    println!("generation 2: {evidence}");
    match &evidence {
        Evidence::Promotion { leader, .. } if leader.port() == left.sentinel.port() => {
            let (_, after) = held(&mut story, &switched);
            assert!(after <= Duration::from_millis(1500) + SLACK, "{after:?}\n{}", story.text());
            assert_held(&factory);
        }
        // Nobody proved that promotion, so nothing was written there before another leader did.
        _ => {
            let since = switched.at() - left.at;
            assert!(since > Duration::from_millis(500), "{evidence} after {since:?}");
        }
    }
    if story.position(is_unconfirmed).is_some() {
        return ends_well(&cluster, &factory, &mut story, load, killed);
    }
    load.wait_for(100);
    settle(&cluster, &first_master(&mut story));
    let tally = load.end();
    let lost = lost(&cluster, &tally, killed);
    assert_eq!(lost.len(), 0, "{}\n{}", tally.describe(&lost), story.text());
    assert_fresh(&factory, &cluster);
}

#[test]
fn a_leader_that_only_the_factory_loses_is_confirmed_by_another() {
    let cluster = cluster();
    let factory = factory(&cluster);
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    cluster.kill_master().unwrap();
    let killed = Instant::now();
    let (switched, evidence) = story.switched(2);
    let leader = leader(&cluster, &mut story, &evidence);
    leader.proxy().unwrap().refuse();
    let (_, after) = held(&mut story, &switched);
    let (confirmed, _) = story.confirmed(2);
    assert!(after < confirmed.at() - switched.at());
    let Source::Sentinel(by) = confirmed.source() else { panic!("{confirmed}") };
    assert_ne!(by.port(), leader.port());
    ends_well(&cluster, &factory, &mut story, load, killed);
    assert_eq!(story.count(is_switch), 1, "{}", story.text());
}

#[test]
fn a_leader_that_only_the_factory_cannot_hear_is_confirmed_by_another() {
    let cluster = cluster();
    let factory = factory(&cluster);
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    cluster.failover().unwrap();
    let (_, evidence) = story.switched(2);
    let leader = leader(&cluster, &mut story, &evidence);
    cluster.partition_client_from([&leader]).unwrap();
    let (confirmed, _) = story.confirmed(2);
    let Source::Sentinel(by) = confirmed.source() else { panic!("{confirmed}") };
    assert_ne!(by.port(), leader.port());
    load.wait_for(100);
    cluster.heal();
    settle(&cluster, &first_master(&mut story));
    wait_until_calm(&factory, &cluster);
    let tally = load.end();
    let lost = tally.lost(&cluster.master().unwrap());
    assert_eq!(lost.len(), 0, "{}", tally.describe(&lost));
    assert_eq!((factory.generation(), story.count(is_switch)), (2, 1), "{}", story.text());
    assert_fresh(&factory, &cluster);
}

#[test]
fn a_promoted_replica_that_dies_unconfirmed_is_replaced_by_the_next_choice() {
    let cluster = cluster();
    let factory = factory(&cluster);
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    let old = cluster.kill_master().unwrap();
    let killed = Instant::now();
    let (switched, _) = story.switched(2);
    let promoted = node(&cluster, &to(&switched));
    promoted.kill().unwrap();
    // The leader gives up when the failover's time is over, and somebody begins again.
    let (next, evidence) = story.switched(3);
    let last = node(&cluster, &to(&next));
    assert!(![old.port(), promoted.port()].contains(&last.port()), "{evidence}");
    let overruled = story.wait("generation 2 was overruled", |event| {
        matches!(event, Event::Overruled { generation: 2, .. })
    });
    let Event::Overruled { commands, .. } = overruled else { unreachable!() };
    load.wait_for(100);
    // It continues the data of the first master, the last one that was confirmed, so it is followed
    // at its promotion as well.
    assert!(matches!(evidence, Evidence::Promotion { .. }), "{evidence}:\n{}", story.text());
    story.confirmed(3);
    settle(&cluster, &promoted.address().into());
    let tally = load.end();
    let lost = lost(&cluster, &tally, killed);
    assert!(lost.len() as u64 <= commands, "{} of {commands} commands", tally.describe(&lost));
    assert!(lost.iter().all(|write| write.generation == 2), "{}", tally.describe(&lost));
    assert_eq!(factory.stats().overruled_commands, commands);
    assert_fresh(&factory, &cluster);
}
