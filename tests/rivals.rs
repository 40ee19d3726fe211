//! Two leaders, of which one has come to an end with its failover and the other goes on.

mod common;

use std::time::Duration;

use common::{
    story::{Story, is_switch},
    *,
};
use redis::Commands;
use switchmaster::{
    Error, ErrorKind, Event, Evidence, Factory, FenceEnd, Outcome, SentinelLink, Topology,
};
use switchmaster_sandbox::{
    FailoverKind::{self, Forced, MasterDown},
    FakeNode, FakeSentinel, FakeService, wait_until,
};

const SERVICE: &str = "mymaster";

/// The nodes, the first master first, and the sentinels.
const OLD: usize = 0;
const X: usize = 1;
const Y: usize = 2;
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

struct Stage {
    sentinels: Vec<FakeSentinel>,
    nodes: Vec<FakeNode>,
    factory: Factory,
    story: Story,
}

impl Stage {
    fn set() -> Stage {
        let nodes: Vec<FakeNode> = (0..3).map(|_| FakeNode::start().unwrap()).collect();
        for replica in &nodes[1..] {
            replica.demote(&nodes[OLD]);
        }
        let sentinels: Vec<FakeSentinel> = (0..3).map(|_| FakeSentinel::start().unwrap()).collect();
        for sentinel in &sentinels {
            let mut service = FakeService::new(nodes[OLD].address());
            service.run_id = nodes[OLD].run_id();
            for replica in &nodes[1..] {
                service = service.with_replica(replica.address());
            }
            for (listed, replica) in service.replicas.iter_mut().zip(&nodes[1..]) {
                listed.run_id = replica.run_id();
            }
            for other in sentinels.iter().filter(|own| own.address() != sentinel.address()) {
                service = service.with_sentinel(other.address(), other.id());
            }
            sentinel.serve(SERVICE, service);
        }
        let factory = Factory::builder()
            .sentinels(sentinels.iter().map(FakeSentinel::address))
            .service(SERVICE)
            .command_timeout(Duration::from_millis(200))
            .fence_timeout(PATIENCE)
            .build()
            .unwrap();
        let story = Story::of(&factory);
        let mut stage = Stage { sentinels, nodes, factory, story };
        let up = |topology: Topology| {
            topology.sentinels.iter().all(|own| matches!(own.link, SentinelLink::Up { .. }))
        };
        let told = |node: &FakeNode| node.received().iter().any(|own| own == "INFO server");
        let linked = wait_until(PATIENCE, || {
            stage.factory.topology().is_ok_and(up) && stage.nodes.iter().all(told)
        });
        assert!(linked, "{:#?}", stage.factory.topology());
        stage.story.begin_anew();
        stage
    }

    /// Changes what a sentinel says; it is given its own run id.
    fn at(&self, sentinel: usize, change: impl FnOnce(&mut FakeService, &str)) {
        self.sentinels[sentinel].model(|model| {
            let id = model.run_id.clone();
            change(model.service(SERVICE), &id);
        });
    }

    /// The sentinel leads a failover, chose this node and tells so.
    fn leads(&self, leader: usize, kind: FailoverKind, epoch: u64, node: usize) {
        let chosen = self.nodes[node].address();
        self.at(leader, |service, id| {
            service.stand(kind);
            service.elect(id, epoch);
            service.choose(chosen);
        });
        let (old, port) = (self.nodes[OLD].address().port(), chosen.port());
        let payload = format!("slave {chosen} 127.0.0.1 {port} @ {SERVICE} 127.0.0.1 {old}");
        self.sentinels[leader].publish("+selected-slave", payload.as_bytes());
    }

    fn is_promoted(&mut self, node: usize) {
        self.nodes[node].promote();
        let address = self.nodes[node].address().into();
        self.story.wait(
            "the node was promoted",
            |event| matches!(event, Event::Promoted { node, .. } if *node == address),
        );
    }

    fn learn(&self, sentinels: &[usize], node: usize, epoch: u64) {
        let address = self.nodes[node].address();
        for sentinel in sentinels {
            self.at(*sentinel, |service, _| service.learn(address, epoch));
        }
    }

    /// Waits until all sentinels were asked again, and a second time, so that whatever follows from
    /// what they say now has followed.
    fn wait_until_asked(&self) {
        let asked = |sentinel: &FakeSentinel| {
            let all = sentinel.received();
            all.iter().filter(|own| own.starts_with("SENTINEL SENTINELS")).count()
        };
        let before: Vec<usize> = self.sentinels.iter().map(asked).collect();
        let again = || self.sentinels.iter().zip(&before).all(|(own, n)| asked(own) >= n + 2);
        assert!(wait_until(PATIENCE, again), "the sentinels are not asked again");
    }

    /// Commands wait, and fail at their deadline.
    fn holds(&mut self) {
        let error = self.factory.get().unwrap().set::<_, _, ()>("held", 1).unwrap_err();
        let kind = Error::from_redis(&error).unwrap().kind();
        assert_eq!(kind, ErrorKind::Fenced, "{error}:\n{}", self.story.text());
        assert_eq!(Outcome::of(&error), Outcome::NotSent, "{error}");
    }

    fn serves(&mut self, node: usize) {
        let written = self.factory.get().unwrap().set::<_, _, ()>("served", node);
        assert_eq!(written, Ok(()), "{}", self.story.text());
        let value = self.nodes[node].model(|model| model.values.get(&b"served"[..]).cloned());
        assert_eq!(value, Some(node.to_string().into_bytes()), "{}", self.story.text());
    }
}

#[test]
fn of_two_at_once_the_leader_that_still_leads_is_not_believed() {
    let mut stage = Stage::set();
    stage.leads(A, Forced, 1, X);
    stage.leads(B, Forced, 1, Y);
    stage.is_promoted(X);
    stage.is_promoted(Y);
    // Each names its own choice. Then one ends its failover, and there is a single leader left.
    stage.at(A, |service, _| service.notice());
    stage.learn(&[B], Y, 1);
    stage.wait_until_asked();
    assert_eq!(stage.story.count(is_switch), 0, "{}", stage.story.text());
    stage.holds();

    stage.learn(&[C], Y, 1);
    let (_, evidence) = stage.story.switched(2);
    let named = matches!(evidence, Evidence::Announcement { sentinels: 2, of: 3, .. });
    assert!(named, "{evidence}:\n{}", stage.story.text());
    // The one that is left goes on to make the new master a replica of its own choice.
    stage.wait_until_asked();
    stage.holds();

    stage.learn(&[A], Y, 1);
    stage.story.wait("commands go on", |event| {
        matches!(event, Event::FenceLifted { end: FenceEnd::Aborted, .. })
    });
    stage.serves(Y);
    assert_eq!(stage.story.count(is_switch), 1, "{}", stage.story.text());
}

#[test]
fn the_leader_of_a_failover_that_is_over_is_no_rival_of_the_next() {
    let mut stage = Stage::set();
    stage.leads(A, MasterDown, 1, X);
    stage.is_promoted(X);
    stage.story.switched(2);
    stage.serves(X);
    // All name it, and the leader still waits for the other replica to follow it.
    stage.at(A, |service, _| service.notice());
    stage.learn(&[B, C], X, 1);
    stage.story.confirmed(2);
    stage.wait_until_asked();
    stage.nodes[OLD].demote(&stage.nodes[X]);
    stage.nodes[Y].demote(&stage.nodes[X]);
    // Now another one is told to fail over once more.
    stage.leads(B, Forced, 2, Y);
    stage.is_promoted(Y);
    let (_, evidence) = stage.story.switched(3);
    assert!(matches!(evidence, Evidence::Ordered { of: 3, .. }), "{evidence}");
    stage.serves(Y);
}
