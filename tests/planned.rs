//! Planned failovers: a master that is well is replaced, and nobody notices.

mod common;

use std::{
    thread::{self, JoinHandle},
    time::Duration,
};

use common::{
    bystander::Bystander,
    load::{Failure, Load},
    queue::{Feeder, Readers, assert_taken, push, wait_until_taken},
    story::{Story, is_fence, is_replacing, is_switch},
    *,
};
use redis::{Commands, RedisResult};
use switchmaster::{ErrorKind, Event, Evidence, Factory, FenceEnd, Handle, Outcome};
use switchmaster_sandbox::{Cluster, Node, Role, wait_until};

/// Sentinels that stood still for two seconds, or whose clock was set, take orders and carry none out
/// for so long.
const TILT: Duration = Duration::from_secs(30);

/// A planned failover from the order to the confirmation.
fn fail_over(cluster: &Cluster, factory: &Factory, story: &mut Story) {
    let before = factory.generation();
    cluster.failover().unwrap();
    let (_, evidence) = story.switched(before + 1);
    assert!(matches!(evidence, Evidence::Ordered { .. }), "{evidence}:\n{}", story.text());
    story.confirmed(before + 1);
}

#[test]
fn five_in_a_row_lose_nothing_and_give_no_errors() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    let bystander = Bystander::of(&cluster);
    let load = Load::begin(&factory, 6);
    for round in 1..=5 {
        wait_until_calm(&factory, &cluster);
        let mut story = Story::of(&factory);
        fail_over(&cluster, &factory, &mut story);
        assert_eq!(story.count(is_replacing), 1, "{}", story.text());
        let raised = story.position(is_replacing);
        let lifted =
            |event: &Event| matches!(event, Event::FenceLifted { end: FenceEnd::Switched, .. });
        assert!(raised < story.position(lifted), "{}", story.text());
        load.wait_for(100);
        cluster.repair(PATIENCE).unwrap();
        assert_eq!(factory.generation(), round + 1);
    }
    let (tally, witness) = (load.end(), bystander.end());
    for generation in 1..=6 {
        assert!(tally.by_generation(generation) >= 6, "generation {generation} took no writes");
    }
    let excused = tally.failures.iter().filter(|failure| witness.excuses(failure)).count();
    assert_eq!(tally.failures.len(), excused, "{}{witness:?}", tally.failures());
    let lost = tally.lost(&cluster.master().unwrap());
    assert!(lost.is_empty(), "{}", tally.describe(&lost));
    let stats = factory.stats();
    let errors = (stats.errors_not_sent, stats.errors_unknown, stats.timeouts);
    assert_eq!(errors, (0, excused as u64, 0));
    assert_eq!(stats.fences, 5);
}

#[test]
fn a_second_one_as_soon_as_the_sentinels_accept_it_loses_nothing_either() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let bystander = Bystander::of(&cluster);
    let load = Load::begin(&factory, 6);
    let mut story = Story::of(&factory);
    fail_over(&cluster, &factory, &mut story);
    // The same sentinel again: it accepts when the other replica follows the new master.
    wait_until_replicated(&cluster.master().unwrap(), 1);
    let accepted = wait_until(PATIENCE, || cluster.failover().is_ok());
    assert!(accepted, "{}", cluster.logs());
    let (second, evidence) = story.switched(3);
    let (first, _) = story.switched(2);
    let between = second.at() - first.at();
    assert!(between < Duration::from_secs(10), "{between:?}: the old master is no replica sooner");
    story.confirmed(3);
    load.wait_for(100);
    let (tally, witness) = (load.end(), bystander.end());
    cluster.repair(PATIENCE).unwrap();
    let lost = tally.lost(&cluster.master().unwrap());
    assert!(lost.is_empty(), "{} ({evidence})\n{}", tally.describe(&lost), story.text());
    let excused = tally.failures.iter().all(|failure| witness.excuses(failure));
    assert!(excused, "{}{witness:?}\n{}", tally.failures(), story.text());
    assert_eq!(story.count(is_switch), 2, "{}", story.text());
    assert_fresh(&factory, &cluster);
}

#[test]
fn blocked_readers_wait_on_at_the_new_master() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let readers = Readers::begin(&factory, 3);
    readers.wait_until_blocked(&cluster.master().unwrap());
    let mut story = Story::of(&factory);
    fail_over(&cluster, &factory, &mut story);
    let new = cluster.node_at(factory.master().unwrap().port()).unwrap();
    readers.wait_until_blocked(&new);
    let pushed: Vec<_> = (0..30).map(|n| push(&factory, format!("late:{n}")).unwrap()).collect();
    wait_until_taken(&factory);
    let (taken, failures) = readers.end(&factory);
    assert!(failures.is_empty(), "{failures:?}");
    assert_taken(&pushed, &taken);
}

#[test]
fn what_is_pushed_during_the_failover_is_taken_once() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    let readers = Readers::begin(&factory, 3);
    let feeder = Feeder::begin(&factory);
    for _ in 0..2 {
        wait_until_calm(&factory, &cluster);
        fail_over(&cluster, &factory, &mut Story::of(&factory));
        cluster.repair(PATIENCE).unwrap();
    }
    let (pushed, failures) = feeder.end(&factory);
    assert!(failures.is_empty(), "every push succeeds: {failures:?}");
    let (taken, failures) = readers.end(&factory);
    assert!(failures.is_empty(), "{failures:?}");
    assert!(pushed.len() > 100, "{}", pushed.len());
    assert_taken(&pushed, &taken);
}

/// Uses a handle until that fails, and how it failed.
fn use_until_it_fails(
    factory: &Factory,
    begin: &'static str,
    mut command: impl FnMut(&mut Handle) -> RedisResult<()> + Send + 'static,
) -> JoinHandle<(usize, Failure, Failure)> {
    let mut redis = factory.get().unwrap();
    let words: Vec<&str> = begin.split(' ').collect();
    redis::cmd(words[0]).arg(&words[1..]).exec(&mut redis).unwrap();
    thread::spawn(move || {
        let mut before = 0;
        loop {
            match command(&mut redis) {
                Ok(()) => before += 1,
                Err(error) => {
                    let then = command(&mut redis).unwrap_err();
                    return (before, Failure::of(&error), Failure::of(&then));
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
    })
}

#[test]
fn a_handle_that_holds_state_is_refused_with_nothing_sent() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let get = |redis: &mut Handle| redis.get::<_, Option<String>>("watched").map(drop);
    let queue = |redis: &mut Handle| redis::cmd("INCR").arg("queued").exec(redis);
    let threads = [
        use_until_it_fails(&factory, "WATCH watched", get),
        use_until_it_fails(&factory, "MULTI", queue),
        use_until_it_fails(&factory, "SELECT 3", get),
    ];
    let mut story = Story::of(&factory);
    fail_over(&cluster, &factory, &mut story);
    for thread in threads {
        let (before, failure, then) = thread.join().unwrap();
        assert!(before > 0, "it was of use before the failover");
        assert_eq!(failure.kind, Some(ErrorKind::Switched), "{}", failure.text);
        assert_eq!(failure.outcome, Outcome::NotSent, "{}", failure.text);
        assert_eq!(then.kind, Some(ErrorKind::Poisoned), "{}", then.text);
        assert_eq!(then.outcome, Outcome::NotSent, "{}", then.text);
    }
    let queued: Option<u64> = factory.get().unwrap().get("queued").unwrap();
    assert_eq!(queued, None, "a transaction that was not executed has no effect");
    assert_fresh(&factory, &cluster);
}

#[test]
fn without_the_fence_nothing_waits() {
    let cluster = cluster();
    let factory = named_factory(&cluster)
        .fence(false)
        // A switch that is confirmed late is another reason to wait.
        .confirm_within(Duration::from_secs(20))
        .build()
        .unwrap();
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    for _ in 0..2 {
        wait_until_calm(&factory, &cluster);
        fail_over(&cluster, &factory, &mut story);
        load.wait_for(50);
        cluster.repair(PATIENCE).unwrap();
    }
    let tally = load.end();
    assert_eq!(story.count(is_fence), 0, "{}", story.text());
    assert_eq!(factory.stats().fences, 0);
    assert_eq!(factory.generation(), 3);
    // What was on its way at the switch has an unknown outcome, and nothing else fails.
    assert!(tally.failures.len() <= 8, "{}", tally.failures());
    for failure in &tally.failures {
        assert_eq!(failure.kind, Some(ErrorKind::Switched), "{}", failure.text);
    }
    assert!(tally.by_generation(3) > 0);
    assert_fresh(&factory, &cluster);
}

/// The only replica is frozen before it is chosen, so it is not promoted in time. The story begins
/// with the order.
fn with_a_frozen_choice(cluster: &Cluster, factory: &Factory, story: &mut Story) -> Node {
    let is_chosen = |event: &Event| matches!(event, Event::Chosen { .. });
    let is_abort = |event: &Event| matches!(event, Event::FailoverAborted { .. });
    let master = cluster.master().unwrap();
    let replica = cluster.nodes().iter().find(|node| node.port() != master.port()).unwrap();
    for _ in 0..3 {
        story.begin_anew();
        replica.freeze().unwrap();
        cluster.failover().unwrap();
        let told = || story.count(is_chosen) + story.count(is_abort) > 0;
        assert!(wait_until(TILT + PATIENCE, told), "{}\n{}", story.text(), cluster.logs());
        if story.count(is_chosen) > 0 {
            return replica.clone();
        }
        // After a halt the sentinel chooses nobody who has been silent for all that time.
        replica.resume().unwrap();
        wait_until_calm(factory, cluster);
    }
    panic!("the replica is never chosen:\n{}\n{}", story.text(), cluster.logs());
}

#[test]
fn commands_go_on_with_the_old_master_when_the_fence_has_stood_too_long() {
    let cluster = Cluster::builder().replicas(1).start().unwrap();
    let factory = named_factory(&cluster)
        .fence_timeout(Duration::from_secs(1))
        .command_timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    with_a_frozen_choice(&cluster, &factory, &mut story);
    let lifted =
        story.wait("the fence was lifted", |event| matches!(event, Event::FenceLifted { .. }));
    let Event::FenceLifted { end, stood, .. } = lifted else { unreachable!() };
    assert_eq!(end, FenceEnd::Deadline, "{}", story.text());
    assert!(stood >= Duration::from_secs(1), "{stood:?}");
    load.wait_for(50);
    story.wait("the failover was given up", |event| matches!(event, Event::FailoverAborted { .. }));
    load.wait_for(50);
    let tally = load.end();
    assert!(tally.failures.is_empty(), "{}", tally.failures());
    assert_eq!(tally.lost(&cluster.master().unwrap()).len(), 0);
    assert_eq!((story.count(is_fence), story.count(is_switch)), (1, 0), "{}", story.text());
}

#[test]
fn commands_go_on_with_the_old_master_when_the_failover_is_given_up() {
    let cluster =
        Cluster::builder().replicas(1).failover_timeout(Duration::from_secs(2)).start().unwrap();
    let factory = named_factory(&cluster)
        .fence_timeout(Duration::from_secs(30))
        .command_timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    let mut story = Story::of(&factory);
    let chosen = with_a_frozen_choice(&cluster, &factory, &mut story);
    let lifted =
        story.wait("the fence was lifted", |event| matches!(event, Event::FenceLifted { .. }));
    let Event::FenceLifted { end, .. } = lifted else { unreachable!() };
    assert_eq!(end, FenceEnd::Aborted, "{}", story.text());
    load.wait_for(50);
    assert_eq!((story.count(is_replacing), story.count(is_switch)), (1, 0), "{}", story.text());

    // It finds the order to become a master now, when nobody wants it any longer.
    chosen.resume().unwrap();
    let node = chosen.address().into();
    story.wait(
        "the replica was promoted",
        |event| matches!(event, Event::Promoted { node: own, .. } if *own == node),
    );
    assert_eq!(chosen.role().unwrap(), Role::Master);
    load.wait_for(50);
    cluster.repair(PATIENCE).unwrap();
    load.wait_for(50);
    let tally = load.end();
    assert!(tally.failures.is_empty(), "{}\n{}", tally.failures(), story.text());
    assert_eq!(tally.lost(&cluster.master().unwrap()).len(), 0);
    assert_eq!((factory.generation(), story.count(is_switch)), (1, 0), "{}", story.text());
}
