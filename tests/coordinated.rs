//! Valkey: the failover in which the master hands over by itself, and those that Redis has, too.

mod common;

use common::{
    load::Load,
    queue::{Feeder, Readers, assert_taken},
    story::{Story, is_fence, is_replacing, is_switch},
    *,
};
use switchmaster::{Event, Evidence, Factory, FenceEnd, FenceReason};
use switchmaster_sandbox::{Cluster, Probe, valkey_server};

fn valkey() -> Cluster {
    let server = valkey_server().unwrap_or_else(|error| panic!("{error}"));
    Cluster::builder().server(server).start().unwrap()
}

fn is_cut(event: &Event) -> bool {
    matches!(event, Event::FenceRaised { reason: FenceReason::Cut, .. })
}

fn is_lifted(end: FenceEnd) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::FenceLifted { end: own, .. } if *own == end)
}

/// Nothing failed, as the program sees it and as the factory counts it.
fn assert_unnoticed(factory: &Factory) {
    let stats = factory.stats();
    assert_eq!((stats.errors_not_sent, stats.errors_unknown, stats.timeouts), (0, 0, 0));
    assert_eq!((stats.overruled_commands, stats.watch_faults), (0, 0));
}

#[test]
fn three_coordinated_failovers_under_load_lose_nothing_and_give_no_errors() {
    let cluster = valkey();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let readers = Readers::begin(&factory, 2);
    readers.wait_until_blocked(&cluster.master().unwrap());
    let load = Load::begin(&factory, 6);
    let feeder = Feeder::begin(&factory);
    let mut waits = 0;
    for round in 1..=3 {
        wait_until_calm(&factory, &cluster);
        let mut story = Story::of(&factory);
        let leader = &cluster.sentinels()[round as usize % 3];
        leader.failover_coordinated(cluster.service()).unwrap();
        let (switched, evidence) = story.switched(round + 1);
        let Evidence::Promotion { leader: own, votes, of: 3, .. } = &evidence else {
            panic!("{evidence}:\n{}", story.text())
        };
        assert_eq!(own.port(), leader.port());
        assert!(*votes >= 2, "{evidence}");
        let (confirmed, _) = story.confirmed(round + 1);
        assert!(switched.at() < confirmed.at());
        let cut = story.wait("the cut is awaited", is_cut);
        story.wait("the cut is over", is_lifted(FenceEnd::Cut));
        let order = [
            story.position(is_replacing),
            story.position(is_lifted(FenceEnd::Switched)),
            story.position(is_cut),
            story.position(is_lifted(FenceEnd::Cut)),
        ];
        assert!(order.is_sorted() && order[0].is_some(), "{order:?}:\n{}", story.text());
        // One that is due at the switch is the same wait for the commands.
        waits += 1 + u64::from(cut.at() > switched.at());
        load.wait_for(100);
        cluster.repair(PATIENCE).unwrap();
        let told = (story.count(is_fence), story.count(is_switch), factory.generation());
        assert_eq!(told, (2, 1, round + 1), "{}", story.text());
        // Shown when anything fails after the rounds.
        println!("{}", story.text());
    }
    let (pushed, not_pushed) = feeder.end(&factory);
    let (taken, not_taken) = readers.end(&factory);
    let tally = load.end();
    assert!(tally.failures.is_empty(), "{}", tally.failures());
    assert!(not_pushed.is_empty() && not_taken.is_empty(), "{not_pushed:?}\n{not_taken:?}");
    let lost = tally.lost(&cluster.master().unwrap());
    assert!(lost.is_empty(), "{}", tally.describe(&lost));
    assert!(pushed.len() > 100, "{}", pushed.len());
    assert_taken(&pushed, &taken);
    for generation in 1..=4 {
        assert!(tally.by_generation(generation) >= 6, "generation {generation} took no writes");
    }
    assert_unnoticed(&factory);
    assert_eq!(factory.stats().fences, waits);
    assert_fresh(&factory, &cluster);
}

#[test]
fn a_planned_failover_of_valkey_loses_nothing_and_gives_no_errors() {
    let cluster = valkey();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let readers = Readers::begin(&factory, 2);
    readers.wait_until_blocked(&cluster.master().unwrap());
    let load = Load::begin(&factory, 6);
    let mut story = Story::of(&factory);
    cluster.failover().unwrap();
    let (_, evidence) = story.switched(2);
    assert!(matches!(evidence, Evidence::Ordered { .. }), "{evidence}:\n{}", story.text());
    story.confirmed(2);
    readers.wait_until_blocked(&cluster.node_at(factory.master().unwrap().port()).unwrap());
    load.wait_for(100);
    assert_eq!((story.count(is_replacing), story.count(is_fence)), (1, 1), "{}", story.text());
    let tally = load.end();
    let (taken, not_taken) = readers.end(&factory);
    assert!(tally.failures.is_empty(), "{}", tally.failures());
    assert!(taken.is_empty() && not_taken.is_empty(), "{taken:?}\n{not_taken:?}");
    assert_fresh(&factory, &cluster);
    let lost = tally.lost(&cluster.master().unwrap());
    assert!(lost.is_empty(), "{}", tally.describe(&lost));
    assert_unnoticed(&factory);
}

#[test]
fn a_killed_master_of_valkey_is_replaced_before_anybody_says_so() {
    let cluster = valkey();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 6);
    let mut story = Story::of(&factory);
    let probe = Probe::start(&cluster).unwrap();
    cluster.kill_master().unwrap();
    let (switched, evidence) = story.switched(2);
    assert!(matches!(evidence, Evidence::Promotion { .. }), "{evidence}:\n{}", story.text());
    let announced = probe.announcement(PATIENCE).expect("a sentinel announces the new master");
    assert!(switched.at() < announced.at, "announced first:\n{}", story.text());
    story.confirmed(2);
    load.wait_for(100);
    let tally = load.end();
    assert_eq!(story.count(is_cut), 0, "its connections were cut at once:\n{}", story.text());
    assert_fresh(&factory, &cluster);
    // What the dead one acknowledged in its last moment is beyond any client.
    let lost = tally.lost(&cluster.master().unwrap());
    assert!(lost.iter().all(|write| write.generation == 1), "{}", tally.describe(&lost));
    // A writer, at most, has one command at a time under way.
    assert!(tally.failures.len() <= 6, "{}", tally.failures());
    assert_eq!(factory.generation(), 2);
}
