//! Many services on three scripted sentinels, all with one master and one replica.

use std::time::Duration;

use switchmaster::{Address, Builder};
use switchmaster_sandbox::{FailoverKind, FakeNode, FakeSentinel, FakeService};

/// The epoch of the failover.
const EPOCH: u64 = 1;

/// Three sentinels that know so many services, and the two nodes of them all.
pub struct Many {
    pub sentinels: Vec<FakeSentinel>,
    pub nodes: [FakeNode; 2],
    services: usize,
}

/// Settings that differ from service to service and do not concern the links to sentinels.
pub fn own_settings(builder: Builder, service: usize) -> Builder {
    let more = Duration::from_millis(service as u64);
    builder
        .client_name(format!("app-{service}"))
        .command_timeout(Duration::from_secs(2) + more)
        .db(i64::try_from(service % 16).unwrap_or(0))
        .address_mapper(Address::clone)
}

/// The name of a service.
pub fn name(service: usize) -> String {
    format!("service-{service}")
}

impl Many {
    pub fn serving(services: usize) -> switchmaster_sandbox::Result<Many> {
        let nodes = [FakeNode::start()?, FakeNode::start()?];
        nodes[1].demote(&nodes[0]);
        let sentinels = (0..3)
            .map(|_| FakeSentinel::start())
            .collect::<switchmaster_sandbox::Result<Vec<_>>>()?;
        for own in &sentinels {
            let mut known = FakeService::new(nodes[0].address()).with_replica(nodes[1].address());
            for other in sentinels.iter().filter(|other| other.address() != own.address()) {
                known = known.with_sentinel(other.address(), other.id());
            }
            known.run_id = nodes[0].run_id();
            known.replicas[0].run_id = nodes[1].run_id();
            (0..services).for_each(|service| own.serve(&name(service), known.clone()));
        }
        Ok(Many { sentinels, nodes, services })
    }

    fn change(&self, sentinel: &FakeSentinel, change: impl Fn(&mut FakeService)) {
        sentinel.model(|model| {
            (0..self.services).for_each(|service| change(model.service(&name(service))));
        });
    }

    /// The master is dead, and the first sentinel leads a failover of every service, elected by the
    /// others, and tells whom it has chosen.
    pub fn choose(&self) {
        let [old, new] = [&self.nodes[0], &self.nodes[1]].map(FakeNode::address);
        self.nodes[0].stop_listening();
        self.nodes[0].disconnect_all();
        self.sentinels.iter().for_each(|own| self.change(own, |service| service.find_down(true)));
        let leader = &self.sentinels[0];
        let id = leader.id();
        self.change(leader, |service| {
            service.stand(FailoverKind::MasterDown);
            service.elect(&id, EPOCH);
            service.choose(new);
        });
        for service in 0..self.services {
            let (name, new_port, old_port) = (name(service), new.port(), old.port());
            let payload = format!("slave {new} 127.0.0.1 {new_port} @ {name} 127.0.0.1 {old_port}");
            leader.publish("+selected-slave", payload.as_bytes());
        }
    }

    /// The chosen replica is a master now: the fact, which no sentinel tells of yet.
    pub fn promote(&self) {
        self.nodes[1].promote();
    }

    /// Both nodes are gone as hosts without power are: nothing comes back, also not a refusal. The
    /// sentinels have replaced the master by the other one all the same.
    pub fn vanish(&self) {
        for node in &self.nodes {
            node.silence(true);
            node.hang_connects();
        }
        self.sentinels.iter().for_each(|own| self.change(own, |service| service.find_down(true)));
        self.confirm();
    }

    /// Every sentinel names the new master.
    pub fn confirm(&self) {
        let new = self.nodes[1].address();
        self.sentinels.iter().for_each(|own| self.change(own, |known| known.learn(new, EPOCH)));
    }
}
