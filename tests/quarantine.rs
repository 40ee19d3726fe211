//! Whom a factory does not follow although a sentinel names it, and whom it follows late because it
//! could not be reached.

mod common;

use std::time::{Duration, Instant};

use common::{
    load::{Failure, Load, Tally},
    story::{Story, is_replacing, is_switch},
    *,
};
use redis::Commands;
use switchmaster::{Address, ErrorKind, Evidence, Factory, Outcome, SentinelLink, SentinelStatus};
use switchmaster_sandbox::{Cluster, Node, Probe, Role, Sentinel, wait_until};

const WRITERS: usize = 4;

/// A planned failover while one sentinel is down, and what it leaves: the master that was replaced,
/// which goes on as a master for some ten seconds, and the sentinel that has heard of nothing.
struct Aftermath {
    old: Node,
    stale: Sentinel,
    story: Story,
    load: Load,
}

impl Aftermath {
    fn of(cluster: &Cluster, factory: &Factory) -> Aftermath {
        wait_until_calm(factory, cluster);
        let old = cluster.master().unwrap();
        let stale = cluster.sentinels()[2].clone();
        stale.kill().unwrap();
        let load = Load::begin(factory, WRITERS);
        let mut story = Story::of(factory);
        cluster.failover().unwrap();
        let (_, evidence) = story.switched(2);
        // A sentinel that is down might be leading another failover, for all that is known.
        let Evidence::Confirmation { .. } = evidence else { panic!("{evidence}") };
        assert_eq!(old.role().unwrap(), Role::Master, "it has not been told yet");
        Aftermath { old, stale, story, load }
    }

    /// Waits until every server knows what happened. The factory is not led back meanwhile, and what
    /// it acknowledged is there.
    fn must_be_survived(mut self, cluster: &Cluster, factory: &Factory) {
        let new = cluster.node_at(factory.master().unwrap().port()).unwrap();
        let demoted = || matches!(self.old.role(), Ok(Role::Replica { .. }));
        assert!(wait_until(PATIENCE, demoted), "{}", cluster.logs());
        let told =
            || self.stale.master_of(cluster.service()).is_ok_and(|m| m == Some(new.address()));
        assert!(wait_until(PATIENCE, told), "{}", cluster.logs());
        wait_until_calm(factory, cluster);
        self.load.wait_for(100);
        let tally = self.load.end();
        let story = &mut self.story;
        assert_eq!((factory.generation(), story.count(is_switch)), (2, 1), "{}", story.text());
        assert_eq!(factory.stats().overruled_commands, 0);
        let lost = tally.lost(&new);
        assert!(lost.is_empty(), "{}\n{}", tally.describe(&lost), story.text());
        assert_only_overtaken(&tally, story);
        assert_fresh(factory, cluster);
    }
}

/// Nothing failed but what the fence overtook on its way to the old master: one command of a writer.
fn assert_only_overtaken(tally: &Tally, story: &mut Story) {
    let overtaken = |failure: &Failure| {
        failure.kind == Some(ErrorKind::Switched) && failure.outcome == Outcome::Unknown
    };
    let only = tally.failures.iter().all(overtaken) && tally.failures.len() <= WRITERS;
    assert!(only, "{}\n{}", tally.failures(), story.text());
}

/// What the factory has from this sentinel.
fn heard(factory: &Factory, sentinel: &Sentinel) -> SentinelStatus {
    let address: Address = sentinel.address().into();
    let sentinels = factory.topology().unwrap().sentinels;
    sentinels.into_iter().find(|own| own.address == address).expect("it is configured")
}

#[test]
fn a_sentinel_that_was_away_during_the_failover_does_not_lead_back() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    let aftermath = Aftermath::of(&cluster, &factory);
    let Aftermath { old, stale, .. } = &aftermath;
    stale.restart().unwrap();
    let is_up = || matches!(heard(&factory, stale).link, SentinelLink::Up { .. });
    assert!(wait_until(PATIENCE, is_up), "{}", cluster.logs());
    factory.refresh();
    aftermath.load.wait_for(100);
    assert_eq!(old.role().unwrap(), Role::Master, "it was to be led back to a master");
    aftermath.must_be_survived(&cluster, &factory);
}

#[test]
fn a_stale_sentinel_does_not_lead_back_when_nobody_contradicts_it() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    let aftermath = Aftermath::of(&cluster, &factory);
    let Aftermath { old, stale, .. } = &aftermath;
    // Whoever could tell it, or us, says nothing now.
    let others = &cluster.sentinels()[..2];
    others.iter().for_each(|other| other.freeze().unwrap());
    stale.restart().unwrap();
    let names: Address = old.address().into();
    let led = || {
        factory.refresh();
        let heard = heard(&factory, stale);
        heard.names.as_ref() == Some(&names) && heard.epoch == Some(0)
    };
    assert!(wait_until(PATIENCE, led), "{:#?}", factory.topology());
    let since = Instant::now();
    aftermath.load.wait_for(400);
    factory.refresh();
    let again = || heard(&factory, stale).answered > Some(since);
    assert!(wait_until(PATIENCE, again), "it is asked on");
    let mut handle = factory.get().unwrap();
    assert_ne!(run_id(&mut handle), old.run_id().unwrap());
    assert!(led(), "{:#?}", factory.topology());
    assert_eq!(old.role().unwrap(), Role::Master, "it was to be led back to a master");
    others.iter().for_each(|other| other.resume().unwrap());
    aftermath.must_be_survived(&cluster, &factory);
}

/// The replicas are out of the client's reach while one of them is promoted and announced.
fn promoted_out_of_reach(fault: impl FnOnce(&Cluster)) -> (Cluster, Factory, Load, Story) {
    let cluster = Cluster::builder().proxied(true).start().unwrap();
    let factory = proxied_factory(&cluster)
        .fence_timeout(Duration::from_secs(60))
        .command_timeout(Duration::from_secs(60))
        .get_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, WRITERS);
    let mut story = Story::of(&factory);
    let probe = Probe::start(&cluster).unwrap();
    let master = cluster.master().unwrap();
    let replicas = cluster.nodes().iter().filter(|node| node.port() != master.port());
    cluster.partition_client_from(replicas).unwrap();
    fault(&cluster);
    let announced = probe.wait_for_announcements(3, PATIENCE);
    assert_eq!(announced.len(), 3, "{}", cluster.logs());
    let new = announced[0].new;
    let known =
        || factory.topology().is_ok_and(|topology| topology.candidate == Some(Address::from(new)));
    assert!(wait_until(PATIENCE, known), "{:#?}", factory.topology());
    assert_eq!((factory.generation(), story.count(is_switch)), (1, 0), "{}", story.text());

    cluster.heal();
    let (switched, evidence) = story.switched(2);
    assert!(
        matches!(evidence, Evidence::Confirmation { .. } | Evidence::Announcement { .. }),
        "{evidence}:\n{}",
        story.text()
    );
    assert!(switched.at() > announced[2].at);
    assert_eq!(factory.master().unwrap(), Address::from(new));
    load.wait_for(100);
    assert!(factory.topology().unwrap().confirmed);
    (cluster, factory, load, story)
}

#[test]
fn a_promoted_replica_that_is_out_of_reach_is_followed_as_soon_as_it_is_reached() {
    let kill = |cluster: &Cluster| drop(cluster.kill_master().unwrap());
    let (cluster, factory, load, mut story) = promoted_out_of_reach(kill);
    let tally = load.end();
    let lost = tally.lost(&cluster.master().unwrap());
    assert!(lost.iter().all(|write| write.generation == 1), "{}", tally.describe(&lost));
    assert_eq!((factory.generation(), story.count(is_switch)), (2, 1), "{}", story.text());
    factory.get().unwrap().set::<_, _, ()>("reached", 1).unwrap();
    assert_fresh(&factory, &cluster);
}

#[test]
fn commands_wait_for_a_promoted_replica_that_is_out_of_reach_while_the_old_master_is_well() {
    let order = |cluster: &Cluster| cluster.failover().unwrap();
    let (cluster, factory, load, mut story) = promoted_out_of_reach(order);
    let tally = load.end();
    assert!(story.position(is_replacing) < story.position(is_switch), "{}", story.text());
    let lost = tally.lost(&cluster.master().unwrap());
    assert!(lost.is_empty(), "{}\n{}", tally.describe(&lost), story.text());
    assert_only_overtaken(&tally, &mut story);
    assert_eq!((factory.generation(), story.count(is_switch)), (2, 1), "{}", story.text());
    assert_fresh(&factory, &cluster);
}
