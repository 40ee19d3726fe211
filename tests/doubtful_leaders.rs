//! Sentinels whose answers at a promotion do not prove it: it is not followed before one of them
//! names the new master. The same answers without the flaw are followed at once, so that it is the
//! flaw that these tests are about.

mod common;

use std::{thread, time::Instant};

use common::{
    stage::{SERVICE, Stage, is_not_proven},
    story::is_fence,
    *,
};
use redis::Commands;
use switchmaster::{Address, Builder, Event, Evidence, FenceEnd, FenceReason};
use switchmaster_sandbox::{FailoverKind, FakeService, wait_until};

/// What the proof lacks, in the words of the event.
const TWO: &str = "more than one sentinel leads a failover";
const VOTES: &str = "no majority of the known sentinels voted for the one that leads";
const CHOICE: &str = "the sentinel that leads the failover did not choose it";
const LEADER: &str = "no sentinel leads a failover";
const EVERYBODY: &str =
    "the failover was ordered, and not every known sentinel could be asked about another";
const DESCENT: &str = "its replication history is not that of the master, or INFO may not be asked";

fn is_lifted(event: &Event) -> bool {
    matches!(event, Event::FenceLifted { .. })
}

// What is followed at once.

#[test]
fn a_leader_that_was_elected_is_believed() {
    let mut stage = Stage::at_epoch(4);
    stage.kill_master();
    stage.lead(0, FailoverKind::MasterDown, 5, 1);
    stage.chosen(1);
    stage.nodes[1].promote();
    let evidence = stage.is_followed_at_once(1);
    let Evidence::Promotion { leader, votes: 3, of: 3, .. } = &evidence else {
        panic!("{evidence}")
    };
    assert_eq!(*leader, Address::from(stage.sentinels[0].address()));
    assert_eq!(stage.factory.topology().unwrap().epoch, Some(5));
    stage.change(0, FakeService::notice);
    stage.story.confirmed(2);
}

#[test]
fn a_leader_is_believed_though_it_published_nothing_and_a_rival_stood() {
    let mut stage = Stage::set();
    stage.sentinels.iter().for_each(|sentinel| {
        sentinel.deny_subscribe(true);
        sentinel.disconnect_all();
    });
    assert!(wait_until(PATIENCE, || stage.all_up()));
    stage.kill_master();
    stage.change(2, |service| service.stand(FailoverKind::MasterDown));
    stage.lead(0, FailoverKind::MasterDown, 1, 1);
    // One of its two peers has voted for the rival.
    stage.change(0, |service| service.sentinels[1].voted_leader = "f".repeat(40));
    stage.nodes[1].promote();
    let evidence = stage.is_followed_at_once(1);
    let Evidence::Promotion { votes: 2, of: 3, .. } = &evidence else { panic!("{evidence}") };
}

#[test]
fn a_leader_that_was_ordered_is_believed() {
    let mut stage = Stage::set();
    stage.lead(1, FailoverKind::Forced, 1, 2);
    stage.chosen(2);
    stage.nodes[2].promote();
    let evidence = stage.is_followed_at_once(2);
    let Evidence::Ordered { leader, of: 3, .. } = &evidence else { panic!("{evidence}") };
    assert_eq!(*leader, Address::from(stage.sentinels[1].address()));
    stage.change(1, FakeService::notice);
    stage.story.confirmed(2);
}

#[test]
fn a_leader_that_was_elected_for_a_master_that_is_well_is_believed_though_nothing_is_cut() {
    let mut stage = Stage::set();
    stage.lead(0, FailoverKind::Coordinated, 1, 1);
    stage.chosen(1);
    stage.nodes[1].promote_quietly();
    let evidence = stage.is_followed_at_once(1);
    let Evidence::Promotion { votes: 3, of: 3, .. } = &evidence else { panic!("{evidence}") };
}

#[test]
fn an_elected_leader_is_believed_while_another_sentinel_is_out_of_reach() {
    let mut stage = Stage::set();
    stage.kill_master();
    stage.sentinels[2].stop_listening();
    stage.sentinels[2].disconnect_all();
    stage.lead(0, FailoverKind::MasterDown, 1, 1);
    stage.chosen(1);
    stage.nodes[1].promote();
    let evidence = stage.is_followed_at_once(1);
    let Evidence::Promotion { votes: 3, of: 3, .. } = &evidence else { panic!("{evidence}") };
}

// What is not.

#[test]
fn of_two_leaders_with_two_choices_neither_is_believed() {
    let mut stage = Stage::set();
    stage.lead(0, FailoverKind::Forced, 1, 1);
    stage.lead(1, FailoverKind::Forced, 1, 2);
    stage.nodes[1].promote();
    stage.is_not_followed(1, TWO);
    stage.nodes[2].promote();
    stage.is_not_followed(2, TWO);
    // The second was first with the third.
    stage.is_followed_when_named(&[1, 2], 2, 1);
    stage.change(0, |service| service.learn(stage.nodes[2].address(), 1));
    stage.serves(2);
    assert_eq!(stage.factory.generation(), 2);
}

#[test]
fn of_two_leaders_with_one_choice_neither_is_believed() {
    let mut stage = Stage::set();
    stage.lead(0, FailoverKind::Forced, 1, 1);
    stage.lead(2, FailoverKind::Forced, 1, 1);
    stage.nodes[1].promote();
    stage.is_not_followed(1, TWO);
    stage.is_followed_when_named(&[0, 1, 2], 1, 1);
    stage.serves(1);
}

#[test]
fn a_leader_without_a_majority_of_votes_is_not_believed() {
    let mut stage = Stage::set();
    stage.kill_master();
    stage.lead(0, FailoverKind::MasterDown, 1, 1);
    stage.change(0, |service| {
        for peer in &mut service.sentinels {
            peer.voted_leader = "?".to_owned();
            peer.voted_leader_epoch = 0;
        }
    });
    stage.nodes[1].promote();
    stage.is_not_followed(1, VOTES);
    stage.is_followed_when_named(&[0], 1, 1);
    stage.serves(1);
}

#[test]
fn votes_of_a_failover_that_is_past_are_not_counted() {
    let mut stage = Stage::at_epoch(5);
    stage.kill_master();
    // In epoch 5 it was elected, and made the master that is served now.
    stage.lead(0, FailoverKind::MasterDown, 5, 1);
    stage.nodes[1].promote();
    stage.is_not_followed(1, VOTES);
    stage.is_followed_when_named(&[0], 1, 6);
    stage.serves(1);
}

#[test]
fn votes_for_another_sentinel_are_not_counted() {
    let mut stage = Stage::set();
    stage.kill_master();
    stage.lead(0, FailoverKind::MasterDown, 1, 1);
    let rival = stage.sentinels[2].id();
    stage.change(0, |service| {
        service.sentinels.iter_mut().for_each(|peer| peer.voted_leader.clone_from(&rival));
    });
    stage.nodes[1].promote();
    stage.is_not_followed(1, VOTES);
    stage.is_followed_when_named(&[0], 1, 1);
    stage.serves(1);
}

#[test]
fn a_leader_is_not_believed_while_another_sentinel_names_a_master_of_that_epoch() {
    let mut stage = Stage::set();
    stage.kill_master();
    stage.lead(0, FailoverKind::MasterDown, 1, 1);
    stage.chosen(1);
    let other = stage.nodes[2].address();
    stage.change(2, |service| service.learn(other, 1));
    stage.nodes[1].promote();
    // Whoever made that one the master has led a failover, too.
    stage.is_not_followed(1, TWO);
    stage.is_followed_when_named(&[0, 1], 1, 1);
    stage.serves(1);
}

#[test]
fn an_order_is_not_believed_while_a_sentinel_is_out_of_reach() {
    let mut stage = Stage::set();
    stage.sentinels[2].stop_listening();
    stage.sentinels[2].disconnect_all();
    stage.lead(0, FailoverKind::Forced, 1, 1);
    stage.chosen(1);
    stage.nodes[1].promote();
    stage.is_not_followed(1, EVERYBODY);
    stage.is_followed_when_named(&[0], 1, 1);
    stage.serves(1);
}

#[test]
fn an_order_is_not_believed_while_a_sentinel_is_silent() {
    let mut stage = Stage::set();
    stage.lead(0, FailoverKind::Forced, 1, 1);
    stage.chosen(1);
    stage.sentinels[2].silence(true);
    stage.nodes[1].promote();
    stage.is_not_followed(1, EVERYBODY);
    stage.is_followed_when_named(&[0], 1, 1);
    stage.serves(1);
}

#[test]
fn another_replica_than_the_chosen_one_is_not_believed() {
    let mut stage = Stage::set();
    stage.lead(0, FailoverKind::Forced, 1, 1);
    stage.chosen(1);
    stage.nodes[2].promote();
    stage.is_not_followed(2, CHOICE);
    // And the chosen one is, all the same.
    stage.nodes[1].promote();
    let (_, evidence) = stage.story.switched(2);
    assert!(matches!(evidence, Evidence::Ordered { .. }), "{evidence}");
    assert_eq!(stage.factory.master().unwrap(), stage.address(1));
}

#[test]
fn a_replica_that_nobody_chose_is_not_believed() {
    let mut stage = Stage::set();
    stage.nodes[1].promote();
    stage.is_not_followed(1, LEADER);
    assert_eq!(stage.story.count(is_fence), 0, "{}", stage.story.text());
    stage.serves(0);
}

#[test]
fn a_replica_of_another_history_is_not_believed() {
    let mut stage = Stage::set();
    stage.kill_master();
    stage.lead(0, FailoverKind::MasterDown, 1, 1);
    stage.chosen(1);
    stage.nodes[1].model(|model| model.replication_id = "d".repeat(40));
    stage.nodes[1].promote();
    stage.is_not_followed(1, DESCENT);
    stage.is_followed_when_named(&[0], 1, 1);
    stage.serves(1);
}

#[test]
fn a_replica_that_does_not_tell_its_history_is_not_believed() {
    let mut stage = Stage::set();
    stage.kill_master();
    stage.lead(0, FailoverKind::MasterDown, 1, 1);
    stage.chosen(1);
    let refusal = b"-NOPERM User app has no permissions to run the 'info' command\r\n";
    stage.nodes[1].answer_to("INFO", refusal);
    stage.nodes[1].promote();
    stage.is_not_followed(1, DESCENT);
    stage.is_followed_when_named(&[0], 1, 1);
    stage.serves(1);
}

/// The chosen replica restarts when it was to be promoted. Its links end, as at a promotion.
fn restarts_instead(restart: impl FnOnce(&mut Stage)) {
    let mut stage = Stage::set();
    stage.kill_master();
    stage.lead(0, FailoverKind::MasterDown, 1, 1);
    stage.chosen(1);
    let since = Instant::now();
    restart(&mut stage);
    // It is asked for its role on a new link, every few milliseconds.
    let asked = || {
        let received = stage.nodes[1].received_at();
        received.iter().filter(|(at, words)| *at > since && words == "ROLE").count() >= 5
    };
    assert!(wait_until(PATIENCE, asked), "{:#?}", stage.nodes[1].received());
    stage.is_left_alone();
    let promoted = stage.story.count(|event| matches!(event, Event::Promoted { .. }));
    assert_eq!((promoted, stage.story.count(is_not_proven)), (0, 0), "{}", stage.story.text());
    // It takes the order after all.
    stage.nodes[1].promote();
    let evidence = stage.is_followed_at_once(1);
    assert!(matches!(evidence, Evidence::Promotion { .. }), "{evidence}");
}

#[test]
fn a_chosen_replica_that_restarts_is_not_taken_for_promoted() {
    restarts_instead(|stage| stage.nodes[1].restart());
}

#[test]
fn a_chosen_replica_that_is_away_for_a_while_is_not_taken_for_promoted() {
    restarts_instead(|stage| {
        stage.nodes[1].stop_listening();
        stage.nodes[1].restart();
        stage.is_left_alone();
        stage.nodes[1].listen_again().unwrap();
    });
}

/// Commands wait as long as they have to, on a slow machine, too.
fn patient(builder: Builder) -> Builder {
    builder.fence_timeout(PATIENCE).command_timeout(PATIENCE)
}

/// A choice raises the fence and its end lifts it; commands go on with the master as before.
fn is_given_up(mut stage: Stage, give_up: impl FnOnce(&Stage)) {
    stage.lead(0, FailoverKind::Forced, 1, 1);
    let raised = stage.story.wait("the fence is up", is_fence);
    let Event::FenceRaised { reason: FenceReason::Replacing { by, .. }, .. } = &raised else {
        panic!("{raised}")
    };
    assert_eq!(*by, stage.address(1));
    let factory = stage.factory.clone();
    let held = thread::spawn(move || factory.get().unwrap().set::<_, _, ()>("held", 1));
    stage.is_left_alone();
    assert!(!held.is_finished());
    give_up(&stage);
    let lifted = stage.story.wait("the fence is down", is_lifted);
    let Event::FenceLifted { end, .. } = lifted else { unreachable!("it is one") };
    assert_eq!(end, FenceEnd::Aborted, "{}", stage.story.text());
    held.join().unwrap().unwrap();
    let received = stage.nodes[0].received_at();
    let (at, _) = received.iter().find(|(_, words)| words == "SET held 1").expect("it was sent");
    assert!(*at > lifted.at(), "it was sent {:?} before", lifted.at() - *at);
    stage.serves(0);
    stage.is_left_alone();
    assert_eq!(stage.story.count(is_fence), 1, "{}", stage.story.text());
    let stats = stage.factory.stats();
    assert_eq!((stats.fences, stats.errors_not_sent, stats.errors_unknown), (1, 0, 0));
}

#[test]
fn commands_go_on_with_the_old_master_when_an_abort_is_published() {
    let stage = Stage::with(0, patient);
    is_given_up(stage, |stage| {
        stage.change(0, FakeService::abort);
        let port = stage.nodes[0].address().port();
        let payload = format!("master {SERVICE} 127.0.0.1 {port}");
        stage.sentinels[0].publish("-failover-abort-slave-timeout", payload.as_bytes());
    });
}

#[test]
fn commands_go_on_with_the_old_master_when_the_answers_tell_of_an_abort() {
    let stage = Stage::with(0, patient);
    stage.sentinels.iter().for_each(|sentinel| {
        sentinel.deny_subscribe(true);
        sentinel.disconnect_all();
    });
    assert!(wait_until(PATIENCE, || stage.all_up()));
    stage.factory.refresh();
    is_given_up(stage, |stage| stage.change(0, FakeService::abort));
}

#[test]
fn commands_go_on_with_the_old_master_when_a_choice_is_only_hearsay() {
    let mut stage = Stage::with(0, patient);
    stage.tell_choice(0, 1);
    stage.story.wait("the fence is up", is_fence);
    let lifted = stage.story.wait("the fence is down", is_lifted);
    assert!(matches!(lifted, Event::FenceLifted { end: FenceEnd::Aborted, .. }), "{lifted}");
    stage.serves(0);
    stage.nodes[1].promote();
    stage.is_not_followed(1, LEADER);
    stage.serves(0);
}
