//! The switch at the promotion itself: before any sentinel announces it, and confirmed by one later.

mod common;

use common::{
    load::Load,
    story::{Story, is_switch},
    *,
};
use switchmaster::{Address, Event, Evidence, Factory, FenceEnd, Source};
use switchmaster_sandbox::{Cluster, FaultProxy, Probe};

/// What makes the sentinels replace the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Freeze,
    Planned,
}

impl Fault {
    fn befall(self, cluster: &Cluster) {
        match self {
            Fault::Kill => drop(cluster.kill_master().unwrap()),
            Fault::Freeze => drop(cluster.freeze_master().unwrap()),
            Fault::Planned => cluster.failover().unwrap(),
        }
    }
}

fn sentinels(cluster: &Cluster) -> Vec<Address> {
    cluster.sentinels().iter().map(|sentinel| sentinel.address().into()).collect()
}

/// One failover from beginning to end: the switch, what proved it, and what followed.
fn is_followed_at_the_promotion(cluster: &Cluster, factory: &Factory, fault: Fault) {
    let before = factory.generation();
    let counted = factory.stats();
    wait_until_calm(factory, cluster);
    let load = Load::begin(factory, 4);
    let mut story = Story::of(factory);
    let probe = Probe::start(cluster).unwrap();
    let old = factory.master().unwrap();
    fault.befall(cluster);

    let (switched, evidence) = story.switched(before + 1);
    let announced = probe.announcement(PATIENCE).expect("a sentinel announces the new master");
    assert!(switched.at() < announced.at, "{fault:?}: announced first:\n{}", story.text());
    let leader = match &evidence {
        Evidence::Promotion { leader, votes, of, .. } if fault != Fault::Planned => {
            assert!(*votes > of / 2, "{evidence}");
            assert_eq!(*of, 3);
            leader
        }
        Evidence::Ordered { leader, of, .. } if fault == Fault::Planned => {
            assert_eq!(*of, 3);
            leader
        }
        _ => panic!("{fault:?}: {evidence}:\n{}", story.text()),
    };
    assert!(sentinels(cluster).contains(leader), "{leader} is no sentinel");
    let Event::Switched { source, from, to, .. } = &switched else { unreachable!() };
    assert_eq!(*source, Source::Sentinel(leader.clone()));
    assert_eq!(*from, Some(old));
    assert_eq!(*to, Address::from(announced.new));

    // Writers go on before anybody has confirmed it, and the commands of that time are counted.
    let (confirmed, commands) = story.confirmed(before + 1);
    assert!(confirmed.at() > switched.at());
    let by = confirmed.source().clone();
    assert!(matches!(&by, Source::Sentinel(by) if sentinels(cluster).contains(by)), "{by}");
    let tally = load.end();
    let since = |at| switched.at() < at && at < confirmed.at();
    let meanwhile = tally.writes.iter().filter(|write| since(write.at)).count() as u64;
    assert!(commands > 0 && meanwhile > 0, "{commands} counted of {meanwhile}");
    // Each of the four writers may be between its command and its note of the time at either end.
    assert!(commands.abs_diff(meanwhile) <= 8, "{commands} counted of {meanwhile}");

    let stats = factory.stats();
    assert_eq!(stats.switches, counted.switches + 1);
    let overruled = stats.overruled_commands - counted.overruled_commands;
    assert_eq!(stats.doubtful_commands, counted.doubtful_commands + commands + overruled);
    assert_eq!(stats.watch_faults, 0);
    assert_eq!(story.count(is_switch), 1, "{}", story.text());
    let told = story.count(|event| matches!(event, Event::Overruled { .. }));
    assert_eq!(told, usize::from(overruled > 0), "{}", story.text());
    let lost = tally.lost(&cluster.master().unwrap());
    if fault == Fault::Planned {
        // Where nobody told of the choice in time, commands went on to the old master for a moment.
        assert!(lost.len() as u64 <= overruled, "{overruled} told; {}", tally.describe(&lost));
    } else {
        assert_eq!(overruled, 0, "{fault:?}:\n{}", story.text());
    }
    let raised = story.position(story::is_fence);
    let lifted =
        story.position(|event| matches!(event, Event::FenceLifted { end: FenceEnd::Switched, .. }));
    let switch = story.position(is_switch);
    if let Some(raised) = raised {
        assert!(Some(raised) < lifted && lifted.is_some(), "{}", story.text());
        assert!(Some(raised) < switch, "{}", story.text());
    }
    assert_eq!(stats.fences, counted.fences + u64::from(raised.is_some()), "{}", story.text());
    assert_fresh(factory, cluster);
}

#[test]
fn a_killed_master_is_replaced_before_anybody_says_so() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    is_followed_at_the_promotion(&cluster, &factory, Fault::Kill);
}

#[test]
fn a_frozen_master_is_replaced_before_anybody_says_so() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    is_followed_at_the_promotion(&cluster, &factory, Fault::Freeze);
}

#[test]
fn a_master_that_is_well_is_replaced_before_anybody_says_so() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    is_followed_at_the_promotion(&cluster, &factory, Fault::Planned);
    // And again, at a higher epoch, in the opposite roles.
    cluster.repair(PATIENCE).unwrap();
    is_followed_at_the_promotion(&cluster, &factory, Fault::Planned);
}

#[test]
fn no_message_is_part_of_the_evidence_where_sentinels_deny_subscriptions() {
    // The profile that Redis's documentation gives for clients of sentinels.
    let rights = "-@all +auth +client|getname +client|id +client|setname +command +hello +ping +role \
                  +sentinel|get-master-addr-by-name +sentinel|master +sentinel|myid \
                  +sentinel|replicas +sentinel|sentinels";
    let cluster = Cluster::builder()
        .sentinel_line(format!("user follower on >followerpass {rights}"))
        .start()
        .unwrap();
    let factory = named_factory(&cluster)
        .sentinel_username("follower")
        .sentinel_password("followerpass")
        .build()
        .unwrap();
    is_followed_at_the_promotion(&cluster, &factory, Fault::Kill);
    cluster.repair(PATIENCE).unwrap();
    is_followed_at_the_promotion(&cluster, &factory, Fault::Planned);
}

#[test]
fn no_message_is_part_of_the_evidence_where_all_are_swallowed() {
    let cluster = Cluster::builder().proxied(true).start().unwrap();
    let factory = proxied_factory(&cluster).build().unwrap();
    cluster.sentinels().iter().filter_map(|own| own.proxy()).for_each(FaultProxy::swallow_pubsub);
    is_followed_at_the_promotion(&cluster, &factory, Fault::Kill);
    cluster.repair(PATIENCE).unwrap();
    is_followed_at_the_promotion(&cluster, &factory, Fault::Planned);
}
