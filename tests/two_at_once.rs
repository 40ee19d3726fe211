//! Two failovers that are ordered at the same moment, from two sentinels: nobody votes, both lead.

mod common;

use std::{thread, time::Duration};

use common::{
    load::Load,
    story::{Story, is_switch},
    *,
};
use switchmaster::Factory;
use switchmaster_sandbox::{Cluster, Probe, Rival, Sentinel, wait_until};

/// Rounds of each kind, on two clusters at the same time.
const ROUNDS: u64 = 10;

/// Within this a cluster is repaired, unless its sentinels do not agree.
const SOON: Duration = Duration::from_secs(10);

/// What a round was like.
#[derive(Debug, Default)]
struct Round {
    /// Both sentinels took the order.
    both: bool,
    /// So many replicas took writes.
    promoted: usize,
    /// So many times the factory switched.
    switches: usize,
    /// So many acknowledged writes the last master does not have.
    lost: usize,
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
    // Two leaders that both bring it to an end make each one's choice a replica of the other's. Then
    // nobody takes writes before the sentinels have found that out and elected one of themselves. It
    // takes them twice the period of INFO, 20 s, unless that is shorter.
    info_period(cluster, "100");
    load.wait_for(100);
    let named = || {
        let named = cluster.master().ok()?;
        let follows = factory.master()?.port() == named.port();
        (follows && named.port() != old.port()).then_some(named)
    };
    assert!(wait_until(PATIENCE, || named().is_some()), "{}\n{}", story.text(), cluster.logs());
    let named = named().unwrap();
    load.wait_for(100);
    let promoted = probe.promotions().len();
    info_period(cluster, "10000");
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
    // At most what the old master acknowledged and had not passed on yet.
    let lost = tally.lost(&named);
    let of_old = lost.iter().all(|write| write.generation == before && write.at < first.at());
    assert!(of_old, "{}:\n{}", tally.describe(&lost), story.text());
    let unknown = tally.failures.len();
    assert!(unknown <= 4, "{}\n{}", tally.failures(), story.text());
    let switches = story.count(is_switch);
    assert_eq!(switches as u64, last - before);
    make_whole(cluster);
    let both = rivals.iter().all(|rival| rival.answer.is_ok());
    Round { both, promoted, switches, lost: lost.len() }
}

fn info_period(cluster: &Cluster, millis: &str) {
    for sentinel in cluster.sentinels() {
        sentinel.ask(&["SENTINEL", "DEBUG", "info-period", millis]).unwrap();
    }
}

/// Sentinels that name different masters in one epoch do so until the next failover.
fn make_whole(cluster: &Cluster) {
    if cluster.repair(SOON).is_ok() {
        return;
    }
    let named = cluster.master().unwrap();
    let names = |own: &&Sentinel| {
        own.master_of(cluster.service()).is_ok_and(|own| own == Some(named.address()))
    };
    let sentinel = cluster.sentinels().iter().find(names).expect("most of them name it");
    sentinel.failover(cluster.service()).unwrap();
    cluster.wait_for_master_other_than(named.port(), PATIENCE).unwrap();
    cluster.repair(PATIENCE).unwrap();
}

fn rounds(order: impl Fn(&Cluster) -> switchmaster_sandbox::Result<[Rival; 2]>) -> Vec<Round> {
    let cluster = cluster();
    // Where each is made a replica of the other, there is no master for some 20 s. Whoever went on with
    // the old one meanwhile would lose that, so commands wait, far longer than `fence_timeout`.
    let factory =
        named_factory(&cluster).get_timeout(PATIENCE).command_timeout(PATIENCE).build().unwrap();
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round(&cluster, &factory, &order)).collect();
    let stats = factory.stats();
    assert_eq!(stats.watch_faults, 0);
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
    let lost: Vec<usize> = all().map(|round| round.lost).filter(|lost| *lost > 0).collect();
    assert!(lost.len() <= 2, "writes were lost in more than replication's lag: {lost:?}");
    assert!(two >= 5, "{two} times two replicas were promoted");
    // A second one only where each made the other's choice a replica.
    assert!(all().all(|round| round.switches <= 2), "{alike:?}\n{apart:?}");
}
