//! The watch against sentinels that do not behave.

mod common;

use std::time::Duration;

use common::*;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use redis::Commands;
use switchmaster::{Event, Factory, SentinelLink};
use switchmaster_sandbox::{FakeNode, FakeSentinel, FakeService, wait_until};

/// Three sentinels that name one master among two nodes.
struct Stage {
    sentinels: Vec<FakeSentinel>,
    nodes: [FakeNode; 2],
    _guard: Guard,
}

/// One test measures the processor time of the watch's thread, and no other runs beside it.
static BESIDE: RwLock<()> = RwLock::new(());

enum Guard {
    Beside(#[allow(dead_code, reason = "it is held")] RwLockReadGuard<'static, ()>),
    Alone(#[allow(dead_code, reason = "it is held")] RwLockWriteGuard<'static, ()>),
}

impl Stage {
    fn set() -> Stage {
        Stage::with(Guard::Beside(BESIDE.read()))
    }

    fn alone() -> Stage {
        Stage::with(Guard::Alone(BESIDE.write()))
    }

    fn with(guard: Guard) -> Stage {
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
        Stage { sentinels, nodes, _guard: guard }
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

/// A push that says nothing.
const EMPTY_PUSH: &[u8] = b">1\r\n$1\r\nx\r\n";

/// The processor time that the watch's thread has taken so far.
fn watch_time() -> Duration {
    let mut taken = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let times = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        if name.starts_with("switchmaster-wa")
            && let Some(nanos) = times.split(' ').next().and_then(|word| word.parse().ok())
        {
            taken += Duration::from_nanos(nanos);
        }
    }
    taken
}

/// The reason of the next failed link to this sentinel.
fn down_of(events: &crossbeam_channel::Receiver<Event>, sentinel: &FakeSentinel) -> String {
    let port = sentinel.address().port();
    std::iter::from_fn(|| events.recv_timeout(PATIENCE).ok())
        .find(|event| {
            matches!(event, Event::SentinelDown { sentinel, .. } if sentinel.port() == port)
        })
        .expect("the link is given up")
        .to_string()
}

fn is_closed_in_time(factory: Factory) {
    let begun = std::time::Instant::now();
    factory.close();
    assert!(begun.elapsed() < Duration::from_secs(1), "close() took {:?}", begun.elapsed());
}

#[test]
fn a_sentinel_that_floods_blinds_no_service_and_is_given_up() {
    let stage = Stage::set();
    let factory = stage.factory();
    assert!(wait_until(PATIENCE, || all_up(&factory)));
    let events = factory.events();
    stage.sentinels[2].flood(Some(EMPTY_PUSH));
    let down = down_of(&events, &stage.sentinels[2]);
    assert!(down.contains("floods this link"), "{down}");
    stage.promote(1);
    stage.announce(0);
    wait_for_switch(&factory, 1);
    stage.sentinels[2].flood(None);
    assert!(wait_until(PATIENCE, || all_up(&factory)), "one that has stopped is heard again");
    is_closed_in_time(factory);
}

#[test]
fn a_sentinel_that_floods_before_its_greeting_blinds_no_service() {
    let stage = Stage::set();
    stage.sentinels[2].silence(true);
    stage.sentinels[2].flood(Some(EMPTY_PUSH));
    let factory = stage.factory();
    let events = factory.events();
    stage.promote(1);
    stage.announce(0);
    wait_for_switch(&factory, 1);
    assert!(wait_until(PATIENCE, || stage.sentinels[2].accepted() > 3), "it is dialled again");
    let topology = factory.topology().unwrap();
    let port = stage.sentinels[2].address().port();
    let link = topology.sentinels.iter().find(|own| own.address.port() == port);
    let why = format!("{:?}", link.map(|own| &own.link));
    assert!(why.contains("instead of a greeting"), "{why}");
    drop(events);
    is_closed_in_time(factory);
}

#[test]
fn a_sentinel_that_floods_with_answers_or_with_one_endless_reply_is_given_up() {
    for (endless, why) in [
        (&b"*1000000000\r\n"[..], "elements"),
        (b"$1000000000\r\n", "string"),
        (b"+OK\r\n", "more than it was asked"),
        (b"*2\r\n$2\r\nab\r\n", ""),
    ] {
        let stage = Stage::set();
        let factory = stage.factory();
        assert!(wait_until(PATIENCE, || all_up(&factory)));
        let events = factory.events();
        stage.sentinels[2].flood(Some(endless));
        let down = down_of(&events, &stage.sentinels[2]);
        assert!(down.contains(why), "{down}");
        stage.promote(1);
        stage.announce(0);
        wait_for_switch(&factory, 1);
        is_closed_in_time(factory);
    }
}

#[test]
fn a_node_that_floods_blinds_no_service() {
    for greeted in [true, false] {
        let stage = Stage::set();
        let flooding = FakeNode::start().unwrap();
        flooding.become_replica(stage.nodes[0].address());
        for sentinel in &stage.sentinels {
            sentinel.model(|model| {
                let service = model.service("mymaster").clone().with_replica(flooding.address());
                model.services.insert("mymaster".to_owned(), service);
            });
        }
        flooding.silence(!greeted);
        flooding.flood(Some(EMPTY_PUSH));
        let factory = stage.factory();
        assert!(wait_until(PATIENCE, || flooding.accepted() >= 3), "it is dialled again");
        assert!(wait_until(PATIENCE, || all_up(&factory)));
        stage.promote(1);
        stage.announce(0);
        wait_for_switch(&factory, 1);
        is_closed_in_time(factory);
    }
}

#[test]
fn a_flood_costs_the_watch_a_part_of_a_second_and_not_a_core() {
    let stage = Stage::alone();
    let factory = stage.factory();
    assert!(wait_until(PATIENCE, || all_up(&factory)));
    let events = factory.events();
    let before = watch_time();
    // With a pause of 1 s, 2 s and 4 s after each.
    for _ in 0..3 {
        stage.sentinels[2].flood(Some(EMPTY_PUSH));
        let down = down_of(&events, &stage.sentinels[2]);
        assert!(down.contains("floods this link"), "{down}");
        stage.sentinels[2].flood(None);
        assert!(wait_until(PATIENCE, || all_up(&factory)), "it is dialled again");
    }
    let taken = watch_time() - before;
    assert!(taken < Duration::from_millis(1500), "three floods took {taken:?} of the thread");
}

#[test]
fn a_sentinel_that_trickles_is_held_to_its_deadlines() {
    let stage = Stage::set();
    let factory = stage.factory();
    assert!(wait_until(PATIENCE, || all_up(&factory)));
    let events = factory.events();
    // An answer takes some 10 s at this pace.
    stage.sentinels[2].trickle(Some(Duration::from_millis(4)));
    factory.refresh();
    let down = down_of(&events, &stage.sentinels[2]);
    assert!(down.contains("no answer for 1s"), "{down}");
    let link = || {
        let topology = factory.topology().unwrap();
        let port = stage.sentinels[2].address().port();
        let own = topology.sentinels.iter().find(|own| own.address.port() == port);
        format!("{:?}", own.map(|own| &own.link))
    };
    // And so does a greeting.
    assert!(wait_until(PATIENCE, || link().contains("no answer within 500ms")), "{}", link());
    stage.promote(1);
    stage.announce(0);
    wait_for_switch(&factory, 1);
    is_closed_in_time(factory);
}

#[test]
fn a_node_that_trickles_is_held_to_its_deadlines() {
    let stage = Stage::set();
    let factory = stage.factory();
    assert!(wait_until(PATIENCE, || all_up(&factory)));
    stage.nodes[1].trickle(Some(Duration::from_millis(6)));
    let accepted = stage.nodes[1].accepted();
    stage.nodes[1].disconnect_all();
    assert!(wait_until(PATIENCE, || stage.nodes[1].accepted() > accepted + 2), "given up thrice");
    stage.nodes[1].trickle(None);
    stage.promote(1);
    stage.announce(0);
    wait_for_switch(&factory, 1);
    is_closed_in_time(factory);
}
