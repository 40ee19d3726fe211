//! Two failovers that are ordered at the same moment, from two sentinels: nobody votes, both lead.

mod common;

use std::thread;

use common::{
    load::Load,
    story::{Story, is_switch},
    *,
};
use switchmaster::Factory;
use switchmaster_sandbox::{Cluster, Probe, Rival, wait_until};

/// Rounds of each kind, on two clusters at the same time.
const ROUNDS: u64 = 10;

/// What a round was like.
#[derive(Debug, Default)]
struct Round {
    /// Both sentinels took the order.
    both: bool,
    /// So many replicas took writes.
    promoted: usize,
    /// So many times the factory switched.
    switches: usize,
}

fn round(
    cluster: &Cluster,
    factory: &Factory,
    order: impl Fn(&Cluster) -> switchmaster_sandbox::Result<[Rival; 2]>,
) -> Round {
    wait_until_calm(factory, cluster);
    let before = factory.generation();
    let old = cluster.master().unwrap();
    let mut story = Story::of(factory);
    let load = Load::begin(factory, 4);
    let probe = Probe::start(cluster).unwrap();
    // Sentinels that are not done with what was before refuse.
    let mut refusal = String::new();
    let mut taken = None;
    wait_until(PATIENCE, || {
        match order(cluster) {
            Ok(rivals) if rivals.iter().any(|rival| rival.answer.is_ok()) => taken = Some(rivals),
            Ok(_) => refusal = "neither sentinel took the order".to_owned(),
            Err(error) => refusal = error.to_string(),
        }
        taken.is_some()
    });
    let rivals = taken.unwrap_or_else(|| panic!("{refusal}"));

    story.switched(before + 1);
    let replaced = || cluster.master().is_ok_and(|master| master.port() != old.port());
    assert!(wait_until(PATIENCE, replaced), "{}", cluster.logs());
    let promoted = probe.promotions().len();
    // Two leaders that both bring it to an end make each one's choice a replica of the other's. The
    // sentinels find out that there is no master and begin again, in haste while this is under way.
    cluster.repair(PATIENCE).unwrap();
    let named = cluster.master().unwrap();
    let follows = || factory.master().is_some_and(|master| master.port() == named.port());
    assert!(
        wait_until(PATIENCE, follows),
        "the majority names {}:\n{}",
        named.address(),
        story.text()
    );
    load.wait_for(100);
    let tally = load.end();
    let last = factory.generation();

    // Its first switch ends the old master for it; whatever it served between that and the last one
    // took no write.
    for generation in before + 1..last {
        let written = tally.by_generation(generation);
        assert_eq!(written, 0, "{written} writes in generation {generation}:\n{}", story.text());
    }
    assert!(tally.by_generation(before) > 0 && tally.by_generation(last) > 0);
    let (first, _) = story.switched(before + 1);
    let late = tally.writes.iter().filter(|write| write.generation == before);
    let late = late.filter(|write| write.at > first.at()).count();
    // A writer notes the time a moment after its acknowledgement.
    assert!(late <= 4, "{late} writes to the old master after the switch:\n{}", story.text());
    let lost = tally.lost(&named);
    assert!(lost.is_empty(), "{}:\n{}", tally.describe(&lost), story.text());
    let unknown = tally.failures.len();
    assert!(unknown <= 4, "{}\n{}", tally.failures(), story.text());
    let switches = story.count(is_switch);
    assert_eq!(switches as u64, last - before);
    Round { both: rivals.iter().all(|rival| rival.answer.is_ok()), promoted, switches }
}

fn rounds(order: impl Fn(&Cluster) -> switchmaster_sandbox::Result<[Rival; 2]>) -> Vec<Round> {
    let cluster = cluster();
    // Where each is made a replica of the other, there is no master for some seconds, and now and
    // then for half a minute. By default the fence is down by then, and what the old master
    // acknowledges is lost when they have found one.
    let long = PATIENCE * 2;
    let factory = named_factory(&cluster)
        .get_timeout(long)
        .command_timeout(long)
        .fence_timeout(long)
        .build()
        .unwrap();
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round(&cluster, &factory, &order)).collect();
    let stats = factory.stats();
    assert_eq!((stats.overruled_commands, stats.watch_faults), (0, 0));
    assert_fresh(&factory, &cluster);
    rounds
}

#[test]
fn the_factory_writes_to_one_of_two_that_are_promoted_at_once() {
    let (alike, apart) = thread::scope(|scope| {
        let alike = scope.spawn(|| rounds(Cluster::two_failovers_at_once));
        let apart = scope.spawn(|| rounds(Cluster::two_failovers_apart));
        (alike.join().unwrap(), apart.join().unwrap())
    });
    println!("alike: {alike:?}\napart: {apart:?}");
    let all = || alike.iter().chain(&apart);
    let both = all().filter(|round| round.both).count();
    let two = apart.iter().filter(|round| round.promoted == 2).count();
    assert!(both >= 10, "they seldom led together");
    assert!(two >= 5, "{two} times two replicas were promoted");
    // A second one only where each made the other's choice a replica.
    assert!(all().all(|round| round.switches <= 2), "{alike:?}\n{apart:?}");
}
