//! The watch against sentinels that do not behave.

mod common;

use std::time::Duration;

use common::*;
use redis::Commands;
use switchmaster::{Event, Factory, SentinelLink};
use switchmaster_sandbox::{FakeNode, FakeSentinel, FakeService, wait_until};

/// Three sentinels that name one master among two nodes.
struct Stage {
    sentinels: Vec<FakeSentinel>,
    nodes: [FakeNode; 2],
}

impl Stage {
    fn set() -> Stage {
        let nodes = [FakeNode::start().unwrap(), FakeNode::start().unwrap()];
        nodes[0].become_master();
        nodes[1].become_replica(nodes[0].address());
        let sentinels: Vec<FakeSentinel> = (0..3).map(|_| FakeSentinel::start().unwrap()).collect();
        for sentinel in &sentinels {
            let mut service = FakeService::new(nodes[0].address()).with_replica(nodes[1].address());
            for other in &sentinels {
                if other.address() != sentinel.address() {
                    service = service.with_sentinel(other.address(), other.id());
                }
            }
            sentinel.serve("mymaster", service);
        }
        Stage { sentinels, nodes }
    }

    fn factory(&self) -> Factory {
        let sentinels = self.sentinels.iter().map(FakeSentinel::address);
        Factory::builder().sentinels(sentinels).service("mymaster").build().unwrap()
    }

    /// What a failover looks like once it is over; nobody is told.
    fn promote(&self, epoch: u64) {
        self.nodes[1].become_master();
        self.nodes[0].become_replica(self.nodes[1].address());
        for sentinel in &self.sentinels {
            let to = self.nodes[1].address();
            sentinel.model(|model| {
                let service = model.service("mymaster");
                service.master = to.into();
                service.config_epoch = epoch;
            });
        }
    }

    fn announce(&self, sentinel: usize) {
        let [from, to] = [&self.nodes[0], &self.nodes[1]].map(FakeNode::address);
        let (from_port, to_port) = (from.port(), to.port());
        let payload = format!("mymaster 127.0.0.1 {from_port} 127.0.0.1 {to_port}");
        self.sentinels[sentinel].publish("+switch-master", payload.as_bytes());
    }
}

fn all_up(factory: &Factory) -> bool {
    factory.topology().is_ok_and(|topology| {
        topology.sentinels.len() == 3
            && topology.sentinels.iter().all(|s| matches!(s.link, SentinelLink::Up { .. }))
    })
}

#[test]
fn sentinels_that_know_only_resp2_are_followed_by_their_events() {
    let stage = Stage::set();
    stage.sentinels.iter().for_each(|sentinel| sentinel.resp2_only(true));
    let factory = stage.factory();
    assert!(wait_until(PATIENCE, || all_up(&factory)));
    stage.promote(1);
    stage.announce(1);
    wait_for_switch(&factory, 1);
    assert_eq!(factory.master().unwrap().port(), stage.nodes[1].address().port());
}

#[test]
fn payloads_that_cannot_be_read_are_counted_and_survived() {
    let stage = Stage::set();
    let factory = stage.factory();
    assert!(wait_until(PATIENCE, || all_up(&factory)));
    let events = factory.events();
    let hostile: [(&str, &[u8]); 7] = [
        ("+switch-master", b"mymaster 127.0.0.1"),
        ("+switch-master", b""),
        ("+switch-master", b"mymaster 127.0.0.1 x 127.0.0.1 y"),
        ("+sdown", b"master"),
        ("+sdown", b"\xff\xfe\xfd"),
        ("+selected-slave", b"slave @"),
        ("+vote-for-leader", b"nobody"),
    ];
    for (channel, payload) in hostile {
        stage.sentinels[0].publish(channel, payload);
    }
    let told = std::iter::from_fn(|| events.recv_timeout(PATIENCE).ok())
        .find(|event| matches!(event, Event::Malformed { .. }));
    assert!(told.is_some(), "an event tells of it");
    assert!(wait_until(PATIENCE, || factory.stats().malformed_messages >= 5));
    assert_eq!((factory.generation(), factory.stats().watch_faults), (1, 0));
    stage.promote(1);
    stage.announce(0);
    wait_for_switch(&factory, 1);
}

#[test]
fn a_message_alone_switches_nothing() {
    let stage = Stage::set();
    let factory = stage.factory();
    assert!(wait_until(PATIENCE, || all_up(&factory)));
    // A forged announcement of a node that even says it is a master.
    stage.nodes[1].become_master();
    let asked = stage.sentinels[0].received().len();
    stage.announce(0);
    stage.announce(1);
    assert!(wait_until(PATIENCE, || stage.sentinels[0].received().len() > asked));
    factory.refresh();
    assert!(wait_until(PATIENCE, || stage.sentinels[2].received().len() > asked));
    assert_eq!(factory.generation(), 1);
    assert_eq!(factory.master().unwrap().port(), stage.nodes[0].address().port());
}

#[test]
fn a_sentinel_that_does_not_speak_resp_is_left_and_dialled_again() {
    let stage = Stage::set();
    let factory = stage.factory();
    assert!(wait_until(PATIENCE, || all_up(&factory)));
    let events = factory.events();
    stage.sentinels[2].send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let down = std::iter::from_fn(|| events.recv_timeout(PATIENCE).ok())
        .find(|event| matches!(event, Event::SentinelDown { .. }));
    let down = down.expect("the link is given up").to_string();
    assert!(down.contains("HTTP"), "{down}");
    assert!(wait_until(PATIENCE, || all_up(&factory)), "and made again");
    factory.get().unwrap().set::<_, _, ()>("still", "served").unwrap();
}

#[test]
fn a_silent_sentinel_is_noticed_by_the_heartbeat() {
    let stage = Stage::set();
    let factory = stage.factory();
    assert!(wait_until(PATIENCE, || all_up(&factory)));
    stage.sentinels[1].silence(true);
    assert!(wait_until(PATIENCE, || !all_up(&factory)));
    stage.sentinels[1].silence(false);
    assert!(wait_until(PATIENCE, || all_up(&factory)));
}

#[test]
fn a_mapper_that_panics_does_not_end_the_watch() {
    let stage = Stage::set();
    let factory = Factory::builder()
        .sentinels(stage.sentinels.iter().map(FakeSentinel::address))
        .service("mymaster")
        .address_mapper(|_| panic!("the user's own fault"))
        .build()
        .unwrap();
    stage.promote(3);
    stage.announce(0);
    wait_for_switch(&factory, 1);
    assert!(factory.get_timeout(Duration::from_secs(5)).is_ok());
}
