//! A program that is shut in with the master, cut off from the sentinels and the replicas, while these
//! replace the master.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{
    load::{Failure, Load, Tally, Write},
    story::{Story, is_fence, is_switch},
    *,
};
use redis::Commands;
use switchmaster::{ErrorKind, Event, Factory, FenceEnd, FenceReason, OnLostMajority, Outcome};
use switchmaster_sandbox::{Cluster, Member, Node, Probe};

/// Less than the down-after of the sentinels, which is 1.2 s.
const AFTER: Duration = Duration::from_secs(1);

/// Of a command. The fence stands longer.
const DEADLINE: Duration = Duration::from_secs(1);

fn cluster() -> Cluster {
    Cluster::builder().proxied(true).start().unwrap()
}

fn factory(cluster: &Cluster, policy: OnLostMajority) -> Factory {
    let builder = proxied_factory(cluster).on_lost_majority(policy);
    builder.command_timeout(DEADLINE).build().unwrap()
}

/// Cuts the factory off from everybody but the master, and says when.
fn shut_in(cluster: &Cluster, master: &Node) -> Instant {
    let others = cluster.members().filter(|member| member.port() != master.port());
    cluster.partition_client_from(others.collect::<Vec<&Member>>()).unwrap();
    Instant::now()
}

fn is_majority_lost(event: &Event) -> bool {
    matches!(event, Event::MajorityLost { .. })
}

fn is_held(event: &Event) -> bool {
    matches!(event, Event::FenceRaised { reason: FenceReason::LostMajority, .. })
}

fn is_overruled(event: &Event) -> bool {
    matches!(event, Event::Overruled { .. })
}

fn commands(event: &Event) -> u64 {
    match event {
        Event::Overruled { commands, .. } | Event::Confirmed { commands, .. } => *commands,
        other => panic!("{other}"),
    }
}

/// A command fails at its deadline, and was not sent.
fn assert_held(factory: &Factory) {
    let mut redis = factory.get().unwrap();
    let begun = Instant::now();
    let error = redis.set::<_, _, ()>("held", 1).unwrap_err();
    assert!(begun.elapsed() >= DEADLINE, "{:?}", begun.elapsed());
    let failure = Failure::of(&error);
    assert_eq!((failure.kind, failure.outcome), (Some(ErrorKind::Fenced), Outcome::NotSent));
}

/// Commands that were held failed as that; those that were on their way just then are unknown.
fn assert_only_held(tally: &Tally, writers: usize) {
    let held = |failure: &&Failure| failure.kind == Some(ErrorKind::Fenced);
    assert!(tally.failures.iter().all(|failure| held(&failure)), "{}", tally.failures());
    let unknown = tally.failures.iter().filter(|failure| failure.outcome == Outcome::Unknown);
    assert!(unknown.count() <= writers, "{}", tally.failures());
    assert!(tally.failures.iter().all(|failure| failure.outcome != Outcome::Replied));
}

/// One partition in which the master is replaced, from beginning to end.
fn replaced(cluster: &Cluster, factory: &Factory, writers: usize) {
    wait_until_calm(factory, cluster);
    let before = factory.generation();
    let old = cluster.master().unwrap();
    let load = Load::begin(factory, writers);
    let mut story = Story::of(factory);
    let probe = Probe::start(cluster).unwrap();

    let cut = shut_in(cluster, &old);
    // Sentinels that lost the master in the same moment could not have replaced it before this.
    thread::sleep(cluster.down_after().saturating_sub(cut.elapsed()));
    cluster.failover().unwrap();
    let promotion = probe.promotion(PATIENCE).unwrap_or_else(|| panic!("{}", cluster.logs()));
    let held = story.wait("commands are held", is_held);
    assert!(held.at() < promotion.at, "too late:\n{}", story.text());
    assert_held(factory);
    let new = cluster.wait_for_master_other_than(old.port(), PATIENCE).unwrap();
    assert_eq!((factory.generation(), story.count(is_switch)), (before, 0), "{}", story.text());

    cluster.heal();
    let (switched, _) = story.switched(before + 1);
    assert_eq!(factory.master().unwrap().port(), new.port());
    load.wait_for(20);
    cluster.repair(PATIENCE).unwrap();
    let tally = load.end();
    assert_only_held(&tally, writers);
    assert!(!tally.failures.is_empty(), "nothing was held");
    let after = |write: &&Write| promotion.at < write.at && write.at < switched.at();
    let after = tally.writes.iter().filter(after).count();
    // A writer notes the time a moment after its acknowledgement.
    assert!(after <= writers, "{after} acknowledged by who was replaced:\n{}", story.text());
    let lost = tally.lost(&new);
    assert!(lost.is_empty(), "{}:\n{}", tally.describe(&lost), story.text());
    assert_eq!(story.count(is_switch), 1, "{}", story.text());
}

#[test]
fn a_factory_that_prefers_safety_loses_nothing_in_twenty_partitions() {
    thread::scope(|scope| {
        let partitions = (0..4).map(|_| {
            scope.spawn(|| {
                let cluster = cluster();
                let factory = factory(&cluster, OnLostMajority::Fence { after: AFTER });
                (0..5).for_each(|_| replaced(&cluster, &factory, 2));
                assert_eq!(factory.generation(), 6);
                assert_eq!(factory.stats().watch_faults, 0);
                assert_fresh(&factory, &cluster);
            })
        });
        let partitions: Vec<_> = partitions.collect();
        partitions.into_iter().for_each(|partition| partition.join().unwrap());
    });
}

#[test]
fn a_majority_that_comes_back_and_names_the_same_master_lets_commands_go_on() {
    let cluster = cluster();
    let factory = factory(&cluster, OnLostMajority::Fence { after: AFTER });
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    for _ in 0..3 {
        let mut story = Story::of(&factory);
        shut_in(&cluster, &cluster.master().unwrap());
        story.wait("commands are held", is_held);
        assert_held(&factory);
        cluster.heal();
        let lifted =
            story.wait("commands go on", |event| matches!(event, Event::FenceLifted { .. }));
        let back = matches!(lifted, Event::FenceLifted { end: FenceEnd::MajorityBack, .. });
        assert!(back, "{lifted}");
        let (_, safe) = story.confirmed(1);
        assert!(safe > 0, "{}", story.text());
        load.wait_for(50);
        assert_eq!(story.count(is_switch), 0, "{}", story.text());
    }
    let tally = load.end();
    assert_only_held(&tally, 3 * 4);
    assert!(tally.lost(&cluster.master().unwrap()).is_empty());
    let stats = factory.stats();
    assert_eq!((stats.switches, stats.fences, stats.overruled_commands), (1, 3, 0));
    assert!(stats.doubtful_commands > 0);
}

#[test]
fn one_sentinel_of_three_is_no_reason_to_wait() {
    let cluster = cluster();
    let factory = factory(&cluster, OnLostMajority::Fence { after: AFTER });
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    cluster.partition_client_from(&cluster.sentinels()[..1]).unwrap();
    // Which takes longer than the fence would.
    story.wait("it is lost", |event| matches!(event, Event::SentinelDown { .. }));
    load.wait_for(100);
    assert_eq!(story.count(is_fence), 0, "{}", story.text());
    cluster.heal();
    let tally = load.end();
    assert!(tally.failures.is_empty(), "{}", tally.failures());
    assert_eq!(factory.generation(), 1);
}

#[test]
fn a_factory_that_goes_on_serving_tells_what_may_be_lost() {
    let cluster = cluster();
    let factory = factory(&cluster, OnLostMajority::Serve);
    let mut told = 0;
    for round in 1..=2 {
        wait_until_calm(&factory, &cluster);
        let old = cluster.master().unwrap();
        let load = Load::begin(&factory, 4);
        let mut story = Story::of(&factory);
        shut_in(&cluster, &old);
        story.wait("the majority is lost", is_majority_lost);
        load.wait_for(100);
        cluster.failover().unwrap();
        let new = cluster.wait_for_master_other_than(old.port(), PATIENCE).unwrap();
        // Nothing tells the program that these are lost already.
        load.wait_for(100);
        assert_eq!((factory.generation(), story.count(is_fence)), (round, 0), "{}", story.text());
        cluster.heal();
        story.switched(round + 1);
        let overruled = commands(&story.wait("what may be lost is told", is_overruled));
        told += overruled;
        load.wait_for(100);
        cluster.repair(PATIENCE).unwrap();
        let tally = load.end();
        let lost = tally.lost(&new);
        println!("{} lost, {overruled} told", lost.len());
        assert!(lost.len() >= 100, "{}", tally.describe(&lost));
        assert!(lost.len() as u64 <= overruled, "{overruled} told; {}", tally.describe(&lost));
        assert!(lost.iter().all(|write| write.generation == round), "{}", tally.describe(&lost));
        assert_eq!(factory.stats().overruled_commands, told);
    }
    assert_fresh(&factory, &cluster);
}

#[test]
fn a_factory_that_goes_on_serving_tells_that_nothing_was_lost_when_nobody_was_replaced() {
    let cluster = cluster();
    let factory = factory(&cluster, OnLostMajority::Serve);
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    shut_in(&cluster, &cluster.master().unwrap());
    story.wait("the majority is lost", is_majority_lost);
    load.wait_for(100);
    cluster.heal();
    let (_, safe) = story.confirmed(1);
    assert!(safe >= 100, "{safe}");
    let tally = load.end();
    assert!(tally.failures.is_empty(), "{}", tally.failures());
    let stats = factory.stats();
    assert_eq!((stats.doubtful_commands, stats.overruled_commands), (safe, 0));
    assert_eq!((stats.fences, factory.generation()), (0, 1), "{}", story.text());
}

#[test]
fn a_partition_that_ends_before_it_is_noticed_is_told_of_too() {
    let cluster = cluster();
    let factory = factory(&cluster, OnLostMajority::Serve);
    wait_until_calm(&factory, &cluster);
    let old = cluster.master().unwrap();
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    let probe = Probe::start(&cluster).unwrap();
    shut_in(&cluster, &old);
    cluster.failover().unwrap();
    probe.announcement(PATIENCE).expect("a sentinel announces the new master");
    cluster.heal();
    story.switched(2);
    load.wait_for(100);
    cluster.repair(PATIENCE).unwrap();
    let tally = load.end();
    let lost = tally.lost(&cluster.master().unwrap());
    let told = factory.stats().overruled_commands;
    println!("{} lost, {told} told\n{}", lost.len(), story.text());
    assert!(lost.len() as u64 <= told, "{told} told; {}:\n{}", tally.describe(&lost), story.text());
}
