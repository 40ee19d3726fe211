//! Fake sentinels and nodes that play a failover step by step.

use std::time::Duration;

use switchmaster::{Builder, Factory, SentinelLink};
use switchmaster_sandbox::{FakeNode, FakeSentinel, FakeService, wait_until};

use super::PATIENCE;

const SERVICE: &str = "mymaster";

/// Sentinels that agree on the first of the nodes, which the others replicate.
pub struct Stage {
    pub sentinels: Vec<FakeSentinel>,
    pub nodes: Vec<FakeNode>,
}

impl Stage {
    /// Three sentinels and three nodes.
    pub fn set() -> Stage {
        let nodes: Vec<FakeNode> = (0..3).map(|_| FakeNode::start().unwrap()).collect();
        for replica in &nodes[1..] {
            replica.demote(&nodes[0]);
        }
        let sentinels: Vec<FakeSentinel> = (0..3).map(|_| FakeSentinel::start().unwrap()).collect();
        for sentinel in &sentinels {
            let mut service = FakeService::new(nodes[0].address());
            service.run_id = nodes[0].run_id();
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
        Stage { sentinels, nodes }
    }

    /// A builder for a factory that is short of patience with commands that are held.
    pub fn builder(&self) -> Builder {
        let sentinels = self.sentinels.iter().map(FakeSentinel::address);
        let builder = Factory::builder().sentinels(sentinels).service(SERVICE);
        builder.command_timeout(Duration::from_millis(200))
    }

    /// A factory that hears all sentinels and is linked to all nodes.
    pub fn factory(&self) -> Factory {
        self.open(self.builder())
    }

    pub fn open(&self, builder: Builder) -> Factory {
        let factory = builder.build().unwrap();
        self.wait_until_linked(&factory);
        factory
    }

    pub fn wait_until_linked(&self, factory: &Factory) {
        let linked = wait_until(PATIENCE, || {
            let up = |topology: &switchmaster::Topology| {
                topology.sentinels.iter().all(|own| matches!(own.link, SentinelLink::Up { .. }))
            };
            let told = |node: &FakeNode| node.received().iter().any(|own| own == "INFO server");
            factory.topology().is_ok_and(|topology| up(&topology)) && self.nodes.iter().all(told)
        });
        assert!(linked, "{:#?}", factory.topology());
    }

    /// Changes what a sentinel says; it is given its own run id.
    pub fn at<T>(&self, sentinel: usize, change: impl FnOnce(&mut FakeService, &str) -> T) -> T {
        self.sentinels[sentinel].model(|model| {
            let id = model.run_id.clone();
            change(model.service(SERVICE), &id)
        })
    }

    /// Publishes the choice of a node, as its leader does.
    pub fn publish_choice(&self, leader: usize, node: usize) {
        let (old, new) = (self.nodes[0].address(), self.nodes[node].address());
        let payload =
            format!("slave {new} 127.0.0.1 {} @ {SERVICE} 127.0.0.1 {}", new.port(), old.port());
        self.sentinels[leader].publish("+selected-slave", payload.as_bytes());
    }

    /// Waits until all of these sentinels were asked about votes again, and a second time, so that
    /// whatever follows from what they say now has followed.
    pub fn wait_until_asked(&self, sentinels: &[usize]) {
        let asked = |sentinel: usize| {
            let all = self.sentinels[sentinel].received();
            all.iter().filter(|own| own.starts_with("SENTINEL SENTINELS")).count()
        };
        let before: Vec<usize> = sentinels.iter().map(|own| asked(*own)).collect();
        let again = || sentinels.iter().zip(&before).all(|(own, n)| asked(*own) >= n + 2);
        assert!(wait_until(PATIENCE, again), "the sentinels are not asked again");
    }
}
