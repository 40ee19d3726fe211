//! Subscriptions at masters that do what no real one does to order.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{PATIENCE, audience::*, stage::Stage, story::is_replacing};
use switchmaster::{Delivery, ErrorKind, Event, GapReason, Protocol, Refusal};
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

/// Sends these bytes to the subscribers of the master over and over, as fast as they are read, while
/// `work` runs.
fn with_endless<T: Send>(stage: &Stage, bytes: &[u8], work: impl FnOnce() -> T + Send) -> T {
    let bytes = bytes.repeat((32 << 10) / bytes.len());
    let (over, ends) = crossbeam_channel::bounded::<()>(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while ends.try_recv() == Err(crossbeam_channel::TryRecvError::Empty) {
                stage.nodes[0].send_raw_to_subscribers(&bytes);
            }
        });
        let (done, result) = crossbeam_channel::bounded(1);
        scope.spawn(move || done.send(work()));
        let result = result.recv_timeout(PATIENCE);
        drop(over);
        // Without it a call that did not return would go on for ever.
        stage.nodes[0].disconnect_all();
        stage.factory.close();
        result.expect("the call returns although bytes come without end")
    })
}

#[test]
fn no_call_is_kept_beyond_its_deadline_by_a_peer_that_sends_without_end() {
    let timeout = Duration::from_millis(300);
    let message = ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n";
    // Pushes that are nothing to a subscription, and messages before the answer that is waited for.
    for (bytes, waits) in [(">1\r\n$5\r\nother\r\n", true), (message, false)] {
        let stage = Stage::with(0, |builder| builder.command_timeout(timeout));
        let mut subscription = stage.factory.subscribe("news").unwrap();
        stage.nodes[0].answer_to("SUBSCRIBE", b"");
        with_endless(&stage, bytes.as_bytes(), || {
            if waits {
                assert!(subscription.next_timeout(timeout).unwrap().is_none());
                assert!(subscription.try_next().unwrap().is_none());
            }
            let error = subscription.subscribe("more").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CommandTimeout, "{error}");
        });
    }
}

#[test]
fn a_refusal_that_comes_after_its_call_returned_is_yielded_and_the_connection_stays() {
    let timeout = Duration::from_millis(300);
    for protocol in PROTOCOLS {
        let stage = Stage::with(0, |builder| builder.command_timeout(timeout).protocol(protocol));
        let mut subscription = stage.factory.subscribe("news").unwrap();
        stage.nodes[0].answer_to("SUBSCRIBE", b"");
        let error = thread::scope(|scope| {
            let call = scope.spawn(|| subscription.subscribe(&["secret", "public"]).unwrap_err());
            // Signs of life, without which the connection would be given up.
            while !call.is_finished() {
                publish(&stage, 0, "before");
                thread::sleep(Duration::from_millis(10));
            }
            call.join().unwrap()
        });
        assert_eq!(error.kind(), ErrorKind::CommandTimeout, "{error}");
        stage.nodes[0].send_raw_to_subscribers(b"-NOPERM No permissions to access a channel\r\n");
        publish(&stage, 0, "after");
        let mut refused = Vec::new();
        loop {
            match next(&mut subscription) {
                Delivery::Message(own) if own.payload_bytes() == b"after" => break,
                Delivery::Message(own) => assert_eq!(own.payload_bytes(), b"before"),
                Delivery::Refused(refusal) => refused.push(refusal),
                Delivery::Gap(gap) => panic!("{gap}"),
            }
        }
        let channels: Vec<_> = refused.iter().map(Refusal::channel).collect();
        assert_eq!(channels, [Some("public".into()), Some("secret".into())]);
        assert!(refused.iter().all(|own| own.error().kind() == ErrorKind::Permission));
        assert!(subscription.is_subscribed());
        assert_eq!(subscription.channels().collect::<Vec<_>>(), [b"news"]);
    }
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
