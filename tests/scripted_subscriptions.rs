//! Subscriptions at masters that do what no real one does to order.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{PATIENCE, audience::*, stage::Stage, story::is_replacing};
use switchmaster::{Event, GapReason, Protocol};
use switchmaster_sandbox::{FailoverKind, wait_until};

const PROTOCOLS: [Protocol; 2] = [Protocol::Resp2, Protocol::Resp3];

/// Waits until the fake master has a subscriber, and publishes to it.
fn publish(stage: &Stage, node: usize, payload: &str) {
    let reached =
        wait_until(PATIENCE, || stage.nodes[node].publish("news", payload.as_bytes()) > 0);
    assert!(reached, "nobody is subscribed");
}

#[test]
fn nonsense_ends_the_connection_and_is_a_gap() {
    for protocol in PROTOCOLS {
        let stage = Stage::with(0, |builder| builder.protocol(protocol));
        let mut subscription = stage.factory.subscribe("news").unwrap();
        for nonsense in ["?what\r\n", "+OK\r\n", "*1\r\n$4\r\nnews\r\n", "-ERR out of the blue\r\n"]
        {
            publish(&stage, 0, "before");
            assert_eq!(next_text(&mut subscription), "before");
            stage.nodes[0].send_raw(nonsense.as_bytes());
            let gap = next_gap(&mut subscription);
            assert_eq!(gap.reason, GapReason::Protocol, "{nonsense:?}: {gap}");
            assert_eq!((gap.from_generation, gap.to_generation), (1, 1));
        }
        publish(&stage, 0, "after");
        assert_eq!(next_text(&mut subscription), "after");
    }
}

#[test]
fn a_message_that_trickles_in_is_a_sign_of_life() {
    let timeout = Duration::from_millis(300);
    let stage = Stage::with(0, |builder| builder.command_timeout(timeout));
    let mut subscription = stage.factory.subscribe("news").unwrap();
    // Longer on its way than a silent server is waited for.
    let letters = 40;
    let head = format!(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${letters}\r\n");
    stage.nodes[0].send_raw(head.as_bytes());
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..letters {
                thread::sleep(Duration::from_millis(50));
                stage.nodes[0].send_raw(b"x");
            }
            stage.nodes[0].send_raw(b"\r\n");
        });
        assert_eq!(next_text(&mut subscription), "x".repeat(letters));
    });
    assert!(subscription.is_subscribed());
}

#[test]
fn behind_the_fence_subscriptions_stay_and_new_ones_are_made() {
    let lasting = |builder: switchmaster::Builder| builder.fence_timeout(Duration::from_secs(3600));
    let mut stage = Stage::with(0, lasting);
    let mut subscription = stage.factory.subscribe("news").unwrap();
    stage.lead(0, FailoverKind::Forced, 1, 1);
    stage.story.wait("the master is being replaced", is_replacing);
    publish(&stage, 0, "behind the fence");
    assert_eq!(next_text(&mut subscription), "behind the fence");
    let mut second = stage.factory.psubscribe("n*").unwrap();
    subscription.subscribe("more").unwrap();
    publish(&stage, 0, "both");
    assert_eq!(next_text(&mut subscription), "both");
    assert_eq!(next_text(&mut second), "both");
    let lifted = |event: &Event| matches!(event, Event::FenceLifted { .. });
    assert_eq!(stage.story.position(lifted), None, "{}", stage.story.text());
    stage.nodes[1].promote();
    stage.story.switched(2);
    for own in [&mut subscription, &mut second] {
        let gap = next_gap(own);
        assert_eq!(gap.reason, GapReason::Switched, "{gap}");
        assert_eq!((gap.from_generation, gap.to_generation), (1, 2));
    }
    publish(&stage, 1, "after");
    assert_eq!(next_text(&mut subscription), "after");
    assert_eq!(next_text(&mut second), "after");
}

#[test]
fn a_master_that_comes_and_goes_is_tried_with_pauses() {
    let stage = Stage::with(0, |builder| builder.min_idle(0));
    let listener = Listener::begin(stage.factory.subscribe("news").unwrap());
    let greeted = || {
        let received = stage.nodes[0].received();
        received.iter().filter(|words| *words == "SUBSCRIBE news").count()
    };
    let begun = Instant::now();
    // Whoever subscribes is thrown out at once.
    let often = wait_until(PATIENCE, || {
        if stage.nodes[0].publish("news", b"1") > 0 {
            stage.nodes[0].disconnect_all();
        }
        begun.elapsed() >= Duration::from_secs(3)
    });
    assert!(often);
    // Without pauses it would be thousands; with them 20 + 40 + … + 640 + 1000 ms are over soon.
    let attempts = greeted();
    assert!((3..30).contains(&attempts), "{attempts} attempts in {:?}", begun.elapsed());
    publish(&stage, 0, "2");
    listener.wait_for_number(2);
    assert!(listener.gaps().len() < 30);
}
