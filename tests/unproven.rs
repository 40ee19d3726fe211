//! Promotions that the state of the sentinels does not prove: followed when they are confirmed, and
//! not before.

mod common;

use common::{
    stage::Stage,
    story::{Story, is_switch},
    *,
};
use redis::Commands;
use switchmaster::{Error, ErrorKind, Event, Evidence, Factory, FenceEnd, Outcome};
use switchmaster_sandbox::FailoverKind::{Forced, MasterDown};

const OLD: usize = 0;
const X: usize = 1;
const Y: usize = 2;
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

impl Stage {
    /// This sentinel leads a failover and chose this node.
    fn leads(
        &self,
        leader: usize,
        kind: switchmaster_sandbox::FailoverKind,
        epoch: u64,
        node: usize,
    ) {
        let chosen = self.nodes[node].address();
        self.at(leader, |service, id| {
            service.stand(kind);
            service.elect(id, epoch);
            service.choose(chosen);
        });
        self.publish_choice(leader, node);
    }

    fn is_promoted(&self, story: &mut Story, node: usize) {
        self.nodes[node].promote();
        let address = self.nodes[node].address().into();
        story.wait(
            "the node was promoted",
            |event| matches!(event, Event::Promoted { node, .. } if *node == address),
        );
    }

    /// Although the sentinels were asked since, nothing follows from the promotion, and commands wait.
    fn is_not_followed(&self, factory: &Factory, story: &mut Story, asked: &[usize]) {
        self.wait_until_asked(asked);
        assert_eq!(story.count(is_switch), 0, "{}", story.text());
        let error = factory.get().unwrap().set::<_, _, ()>("held", 1).unwrap_err();
        assert_eq!(Error::from_redis(&error).unwrap().kind(), ErrorKind::Fenced, "{error}");
        assert_eq!(Outcome::of(&error), Outcome::NotSent, "{error}");
        assert_eq!(factory.generation(), 1);
    }

    /// The leader notices the promotion, and the others learn of it.
    fn is_confirmed(&self, node: usize, epoch: u64, by: &[usize]) {
        let address = self.nodes[node].address();
        for sentinel in by {
            self.at(*sentinel, |service, _| service.learn(address, epoch));
        }
    }

    fn is_followed(&self, factory: &Factory, story: &mut Story, node: usize) -> Evidence {
        let (_, evidence) = story.switched(2);
        let master = factory.master().unwrap();
        assert_eq!(master.port(), self.nodes[node].address().port(), "{}", story.text());
        factory.get().unwrap().set::<_, _, ()>("served", 1).unwrap();
        let written = |own: &switchmaster_sandbox::FakeNode| {
            own.model(|model| model.values.contains_key(&b"served"[..]))
        };
        assert!(written(&self.nodes[node]) && !written(&self.nodes[OLD]));
        evidence
    }
}

#[test]
fn a_promotion_that_is_proven_is_followed_at_once() {
    let stage = Stage::set();
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.leads(A, MasterDown, 1, X);
    // A rival who was not elected is no leader.
    stage.at(B, |service, _| service.stand(MasterDown));
    stage.is_promoted(&mut story, X);
    let evidence = stage.is_followed(&factory, &mut story, X);
    assert!(matches!(evidence, Evidence::Promotion { votes: 3, of: 3, .. }), "{evidence}");
    stage.at(A, |service, _| service.notice());
    story.confirmed(2);
}

#[test]
fn a_dead_sentinel_does_not_matter_to_an_election_by_the_others() {
    let stage = Stage::set();
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.sentinels[C].stop_listening();
    stage.sentinels[C].disconnect_all();
    story.wait("a sentinel is lost", |event| matches!(event, Event::SentinelDown { .. }));
    stage.leads(A, MasterDown, 1, X);
    stage.at(A, |service, _| service.sentinels[1].voted_leader = "?".to_owned());
    stage.is_promoted(&mut story, X);
    let evidence = stage.is_followed(&factory, &mut story, X);
    assert!(matches!(evidence, Evidence::Promotion { votes: 2, of: 3, .. }), "{evidence}");
}

#[test]
fn an_ordered_one_is_not_proven_while_a_sentinel_cannot_be_asked() {
    let stage = Stage::set();
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.sentinels[C].stop_listening();
    stage.sentinels[C].disconnect_all();
    story.wait("a sentinel is lost", |event| matches!(event, Event::SentinelDown { .. }));
    stage.leads(A, Forced, 1, X);
    stage.is_promoted(&mut story, X);
    stage.is_not_followed(&factory, &mut story, &[A, B]);
    stage.at(A, |service, _| service.notice());
    let evidence = stage.is_followed(&factory, &mut story, X);
    assert!(matches!(evidence, Evidence::Confirmation { .. }), "{evidence}");
}

#[test]
fn an_ordered_one_is_proven_when_all_were_asked() {
    let stage = Stage::set();
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.leads(A, Forced, 1, X);
    stage.is_promoted(&mut story, X);
    let evidence = stage.is_followed(&factory, &mut story, X);
    assert!(matches!(evidence, Evidence::Ordered { of: 3, .. }), "{evidence}");
}

#[test]
fn of_two_leaders_neither_is_believed_before_a_majority_names_one_choice() {
    let stage = Stage::set();
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.leads(A, Forced, 1, X);
    stage.leads(B, Forced, 1, Y);
    stage.is_promoted(&mut story, X);
    stage.is_promoted(&mut story, Y);
    stage.is_not_followed(&factory, &mut story, &[A, B, C]);
    // One leader alone, though its epoch is new: the other may tell the rest first.
    stage.at(A, |service, _| service.notice());
    stage.is_not_followed(&factory, &mut story, &[A, B, C]);
    stage.is_confirmed(Y, 1, &[B, C]);
    let (_, evidence) = story.switched(2);
    assert!(matches!(evidence, Evidence::Announcement { sentinels: 2, of: 3, .. }), "{evidence}");
    // The one that lost may still make the new master a replica of its own choice.
    stage.wait_until_asked(&[A, B, C]);
    let error = factory.get().unwrap().set::<_, _, ()>("held", 1).unwrap_err();
    assert_eq!(Error::from_redis(&error).unwrap().kind(), ErrorKind::Fenced, "{error}");
    stage.is_confirmed(Y, 1, &[A]);
    let given_up =
        |event: &Event| matches!(event, Event::FenceLifted { end: FenceEnd::Aborted, .. });
    story.wait("commands go on", given_up);
    stage.is_followed(&factory, &mut story, Y);
}

#[test]
fn a_leader_without_votes_is_not_believed() {
    let stage = Stage::set();
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.leads(A, MasterDown, 1, X);
    stage.at(A, |service, _| {
        for other in &mut service.sentinels {
            other.voted_leader = "?".to_owned();
            other.voted_leader_epoch = 0;
        }
    });
    stage.is_promoted(&mut story, X);
    stage.is_not_followed(&factory, &mut story, &[A, B, C]);
    stage.at(A, |service, _| service.notice());
    let evidence = stage.is_followed(&factory, &mut story, X);
    assert!(matches!(evidence, Evidence::Confirmation { .. }), "{evidence}");
}

#[test]
fn votes_of_an_epoch_that_is_over_count_for_nothing() {
    let stage = Stage::set();
    for sentinel in [A, B, C] {
        stage.at(sentinel, |service, _| service.config_epoch = 7);
    }
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.leads(A, MasterDown, 7, X);
    stage.is_promoted(&mut story, X);
    stage.is_not_followed(&factory, &mut story, &[A, B, C]);
    stage.is_confirmed(X, 8, &[A]);
    let evidence = stage.is_followed(&factory, &mut story, X);
    assert!(matches!(evidence, Evidence::Confirmation { .. }), "{evidence}");
}

#[test]
fn a_node_that_nobody_chose_is_not_followed() {
    let stage = Stage::set();
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.leads(A, MasterDown, 1, X);
    stage.is_promoted(&mut story, Y);
    stage.is_not_followed(&factory, &mut story, &[A, B, C]);
    stage.is_promoted(&mut story, X);
    let evidence = stage.is_followed(&factory, &mut story, X);
    assert!(matches!(evidence, Evidence::Promotion { .. }), "{evidence}");
}

#[test]
fn a_node_with_other_data_than_the_masters_is_not_followed_unconfirmed() {
    let stage = Stage::set();
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.leads(A, MasterDown, 1, X);
    stage.nodes[X].model(|model| model.replication_id = "f".repeat(40));
    stage.is_promoted(&mut story, X);
    stage.is_not_followed(&factory, &mut story, &[A, B, C]);
    stage.at(A, |service, _| service.notice());
    let evidence = stage.is_followed(&factory, &mut story, X);
    assert!(matches!(evidence, Evidence::Confirmation { .. }), "{evidence}");
}

#[test]
fn a_chosen_replica_that_restarts_is_no_promoted_one() {
    let stage = Stage::set();
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.leads(A, MasterDown, 1, X);
    let links = |story: &mut Story| story.count(|event| matches!(event, Event::Promoted { .. }));
    for _ in 0..3 {
        let before = stage.nodes[X].received().len();
        stage.nodes[X].restart();
        // The link is made again, and polled: it is a replica still.
        let polled = || stage.nodes[X].received()[before..].iter().any(|own| own == "ROLE");
        assert!(switchmaster_sandbox::wait_until(PATIENCE, polled));
        stage.is_not_followed(&factory, &mut story, &[A, B, C]);
    }
    assert_eq!(links(&mut story), 0, "{}", story.text());
    stage.is_promoted(&mut story, X);
    let evidence = stage.is_followed(&factory, &mut story, X);
    assert!(matches!(evidence, Evidence::Promotion { .. }), "{evidence}");
}

#[test]
fn the_leader_of_a_failover_that_is_over_is_no_rival_of_the_next() {
    let stage = Stage::set();
    let factory = stage.factory();
    let mut story = Story::of(&factory);
    stage.leads(A, MasterDown, 1, X);
    stage.is_promoted(&mut story, X);
    stage.is_followed(&factory, &mut story, X);
    // All name X, and the leader still waits for the other replica to follow it.
    stage.at(A, |service, _| service.notice());
    stage.is_confirmed(X, 1, &[B, C]);
    story.confirmed(2);
    stage.wait_until_asked(&[A]);
    stage.nodes[OLD].demote(&stage.nodes[X]);
    stage.nodes[Y].demote(&stage.nodes[X]);
    // Now another one is told to fail over once more.
    stage.leads(B, Forced, 2, Y);
    stage.is_promoted(&mut story, Y);
    let (_, evidence) = story.switched(3);
    assert!(matches!(evidence, Evidence::Ordered { of: 3, .. }), "{evidence}");
    assert_eq!(factory.master().unwrap().port(), stage.nodes[Y].address().port());
    factory.get().unwrap().set::<_, _, ()>("served", 1).unwrap();
}
