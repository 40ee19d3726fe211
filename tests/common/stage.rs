//! Scripted sentinels and nodes, and a factory that follows them.

use std::time::Instant;

use redis::Commands;
use switchmaster::{Address, Builder, Event, Evidence, Factory, SentinelLink};
use switchmaster_sandbox::{
    FailoverKind, FakeNode, FakeSentinel, FakeService, SentinelModel, wait_until,
};

use super::{
    PATIENCE,
    story::{Story, is_switch},
};

pub const SERVICE: &str = "mymaster";

/// A master, two replicas and three sentinels, at this epoch, and a factory that is linked to all.
pub struct Stage {
    pub sentinels: Vec<FakeSentinel>,
    pub nodes: Vec<FakeNode>,
    pub factory: Factory,
    pub story: Story,
}

impl Stage {
    pub fn set() -> Stage {
        Stage::at_epoch(0)
    }

    pub fn at_epoch(epoch: u64) -> Stage {
        Stage::with(epoch, |builder| builder)
    }

    pub fn with(epoch: u64, options: impl FnOnce(Builder) -> Builder) -> Stage {
        let nodes: Vec<_> = (0..3).map(|_| FakeNode::start().unwrap()).collect();
        nodes[1..].iter().for_each(|replica| replica.demote(&nodes[0]));
        let sentinels: Vec<_> = (0..3).map(|_| FakeSentinel::start().unwrap()).collect();
        for own in &sentinels {
            let mut service = FakeService::new(nodes[0].address());
            for replica in &nodes[1..] {
                service = service.with_replica(replica.address());
            }
            for other in sentinels.iter().filter(|other| other.address() != own.address()) {
                service = service.with_sentinel(other.address(), other.id());
            }
            service.run_id = nodes[0].run_id();
            for (listed, replica) in service.replicas.iter_mut().zip(&nodes[1..]) {
                listed.run_id = replica.run_id();
            }
            service.config_epoch = epoch;
            own.serve(SERVICE, service);
        }
        let addresses = sentinels.iter().map(FakeSentinel::address);
        let builder = Factory::builder().sentinels(addresses).service(SERVICE);
        let factory = options(builder).build().unwrap();
        let story = Story::of(&factory);
        let stage = Stage { sentinels, nodes, factory, story };
        // A node that was asked where its data come from is linked and known.
        let known = |node: &FakeNode| node.received().iter().any(|words| words == "INFO server");
        let ready = || stage.all_up() && stage.nodes.iter().all(known);
        assert!(wait_until(PATIENCE, ready), "{:#?}", stage.factory.topology());
        stage
    }

    pub fn all_up(&self) -> bool {
        self.factory.topology().is_ok_and(|topology| {
            let up = |own: &&_| matches!(own, SentinelLink::Up { .. });
            topology.troubles.is_empty()
                && topology.sentinels.iter().map(|own| &own.link).filter(up).count() == 3
        })
    }

    pub fn address(&self, node: usize) -> Address {
        self.nodes[node].address().into()
    }

    /// The service as this sentinel sees it.
    pub fn change(&self, sentinel: usize, change: impl FnOnce(&mut FakeService)) {
        self.sentinels[sentinel].model(|model: &mut SentinelModel| change(model.service(SERVICE)));
    }

    /// The master is dead, and all sentinels say so.
    pub fn kill_master(&self) {
        self.nodes[0].stop_listening();
        self.nodes[0].disconnect_all();
        (0..3).for_each(|sentinel| self.change(sentinel, |service| service.find_down(true)));
    }

    /// This sentinel leads a failover, and tells of its choice.
    pub fn lead(&self, sentinel: usize, kind: FailoverKind, epoch: u64, node: usize) {
        let (id, chosen) = (self.sentinels[sentinel].id(), self.nodes[node].address());
        self.change(sentinel, |service| {
            service.stand(kind);
            service.elect(&id, epoch);
            service.choose(chosen);
        });
        self.tell_choice(sentinel, node);
    }

    pub fn tell_choice(&self, sentinel: usize, node: usize) {
        let (chosen, master) = (self.nodes[node].address(), self.nodes[0].address());
        let payload = format!(
            "slave {chosen} 127.0.0.1 {} @ {SERVICE} 127.0.0.1 {}",
            chosen.port(),
            master.port()
        );
        self.sentinels[sentinel].publish("+selected-slave", payload.as_bytes());
    }

    /// Waits until the choice is known, so that the fact is looked for closely.
    pub fn chosen(&mut self, node: usize) {
        let node = self.address(node);
        let is_it =
            |event: &Event| matches!(event, Event::Chosen { node: own, .. } if *own == node);
        self.story.wait("the choice is known", is_it);
    }

    /// The switch that is made although no sentinel names the new master yet.
    pub fn is_followed_at_once(&mut self, node: usize) -> Evidence {
        let (_, evidence) = self.story.switched(2);
        assert_eq!(self.factory.master().unwrap(), self.address(node));
        assert!(!self.factory.topology().unwrap().confirmed, "nobody has named it");
        evidence
    }

    /// The promotion is known, and is not followed, for this reason.
    pub fn is_not_followed(&mut self, node: usize, lack: &str) {
        let node = self.address(node);
        self.story.wait(
            "the promotion is known",
            |event| matches!(event, Event::Promoted { node: own, .. } if *own == node),
        );
        // When an answer is late, something else is missing before.
        let is_it = |event: &Event| {
            matches!(event, Event::NotProven { node: own, reason, .. }
                if *own == node && *reason == lack)
        };
        self.story.wait(&format!("{node}: {lack}"), is_it);
        self.is_left_alone();
    }

    /// Nothing is switched to, however often the sentinels are asked.
    pub fn is_left_alone(&mut self) {
        let since = Instant::now();
        // The third is the one that some of these tests take away.
        for sentinel in &self.sentinels[..2] {
            let asked = || {
                // While all is well they would be asked every ten seconds.
                if self.factory.topology().unwrap().troubles.is_empty() {
                    self.factory.refresh();
                }
                let received = sentinel.received_at();
                let is_later = |(at, words): &&(Instant, String)| {
                    *at > since && *words == format!("SENTINEL MASTER {SERVICE}")
                };
                received.iter().filter(is_later).count() >= 3
            };
            assert!(wait_until(PATIENCE, asked), "it is asked on");
        }
        assert_eq!(self.story.count(is_switch), self.switches(), "{}", self.story.text());
        assert_eq!(self.factory.generation(), 1, "{}", self.story.text());
    }

    /// The first master may be in the story as well.
    pub fn switches(&mut self) -> usize {
        self.story.count(|event| matches!(event, Event::Switched { generation: 1, .. }))
    }

    /// Sentinels name the new master, and so it is followed.
    pub fn is_followed_when_named(&mut self, by: &[usize], node: usize, epoch: u64) -> Evidence {
        let new = self.nodes[node].address();
        by.iter().for_each(|own| self.change(*own, |service| service.learn(new, epoch)));
        let (_, evidence) = self.story.switched(2);
        assert_eq!(self.factory.master().unwrap(), self.address(node));
        let named =
            matches!(evidence, Evidence::Confirmation { .. } | Evidence::Announcement { .. });
        assert!(named, "{evidence}:\n{}", self.story.text());
        evidence
    }

    /// What is written comes to this node.
    pub fn serves(&self, node: usize) {
        let value = format!("{:?}", Instant::now());
        self.factory.get().unwrap().set::<_, _, ()>("served", &value).unwrap();
        let stored = self.nodes[node].model(|model| model.values.get(&b"served"[..]).cloned());
        assert_eq!(stored, Some(value.into_bytes()));
    }
}

/// A promotion was not followed, since the sentinels' answers did not prove it.
pub fn is_not_proven(event: &Event) -> bool {
    matches!(event, Event::NotProven { .. })
}
