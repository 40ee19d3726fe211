//! The schedule on which the machine of one service is rebuilt after a fault: [`Recovery`].

use std::time::{Duration, Instant};

/// The pause before the second rebuild in a row; it doubles up to the longest. The first rebuild
/// follows its fault at once. The service rests meanwhile, and no thread does.
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(10);

/// A machine that has run for so long without a fault is rebuilt at once again.
const SOUND: Duration = Duration::from_secs(60);

/// The faults of one service's machine.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    in_a_row: u32,
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Recovery {
    /// A fault: the machine takes no input until it is rebuilt.
    pub(super) fn failed(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now >= last + SOUND) {
            self.in_a_row = 0;
        }
        let rest = match self.in_a_row {
            0 => Duration::ZERO,
            again => FIRST_REST.saturating_mul(1 << (again - 1).min(10)).min(LONGEST_REST),
        };
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last = Some(now);
        self.due = Some(now + rest);
    }

    /// The time at which the machine is rebuilt; `None` while it works.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns true, once, when the machine is due to be rebuilt.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }
}

/// Makes the machines of a service fail, for tests: [`strike`] panics for the names in here.
#[cfg(test)]
static FAULTY: parking_lot::Mutex<Vec<String>> = parking_lot::Mutex::new(Vec::new());

#[cfg(test)]
pub(super) fn strike(service: &str) {
    let faulty = FAULTY.lock().iter().any(|name| name == service);
    assert!(!faulty, "a fault was injected into the machine of {service}");
}

#[cfg(test)]
mod tests {
    use switchmaster_sandbox::{FakeNode, FakeSentinel, FakeService, wait_until};

    use super::*;
    use crate::Factory;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_machine_that_fails_again_and_again_is_rebuilt_ever_less_often() {
        let mut recovery = Recovery::default();
        let mut now = Instant::now();
        let mut rests = Vec::new();
        for _ in 0..12 {
            recovery.failed(now);
            let due = recovery.due().unwrap();
            assert!(recovery.is_due(due));
            assert_eq!(recovery.due(), None);
            rests.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(rests[..5], [0, 50, 100, 200, 400]);
        assert_eq!(rests[11], LONGEST_REST.as_millis());
        recovery.failed(now + SOUND);
        assert_eq!(recovery.due(), Some(now + SOUND), "it had worked for long enough");
    }

    /// Sentinels, nodes, and factories of the services of these names.
    fn stage(names: &[&str]) -> (Vec<FakeSentinel>, Vec<FakeNode>, Vec<Factory>) {
        let nodes: Vec<_> = (0..2).map(|_| FakeNode::start().unwrap()).collect();
        nodes[1].demote(&nodes[0]);
        let sentinels: Vec<_> = (0..3).map(|_| FakeSentinel::start().unwrap()).collect();
        for own in &sentinels {
            let mut service = FakeService::new(nodes[0].address()).with_replica(nodes[1].address());
            for other in sentinels.iter().filter(|other| other.address() != own.address()) {
                service = service.with_sentinel(other.address(), other.id());
            }
            names.iter().for_each(|name| own.serve(name, service.clone()));
        }
        let open = |name: &&str| {
            let sentinels = sentinels.iter().map(FakeSentinel::address);
            Factory::builder().sentinels(sentinels).service(*name).build().unwrap()
        };
        let factories = names.iter().map(open).collect();
        (sentinels, nodes, factories)
    }

    /// The end of a failover, as every sentinel reports it.
    fn replace(sentinels: &[FakeSentinel], nodes: &[FakeNode], names: &[&str]) {
        let [old, new] = [&nodes[0], &nodes[1]].map(FakeNode::address);
        nodes[1].promote();
        nodes[0].demote(&nodes[1]);
        for sentinel in sentinels {
            for name in names {
                sentinel.model(|model| {
                    let service = model.service(name);
                    service.master = new.into();
                    service.config_epoch = 1;
                });
                let (old, new) = (old.port(), new.port());
                let payload = format!("{name} 127.0.0.1 {old} 127.0.0.1 {new}");
                sentinel.publish("+switch-master", payload.as_bytes());
            }
        }
    }

    #[test]
    fn a_fault_in_one_machine_affects_no_other_service() {
        let names = ["faulty", "sound"];
        let (sentinels, nodes, factories) = stage(&names);
        let [faulty, sound] = [&factories[0], &factories[1]];
        FAULTY.lock().push("faulty".to_owned());
        faulty.refresh();
        assert!(wait_until(PATIENCE, || faulty.stats().watch_faults >= 2));
        // It serves its master meanwhile.
        let mut handle = faulty.get().unwrap();
        redis::cmd("PING").query::<String>(&mut handle).unwrap();
        assert_eq!(faulty.generation(), 1);
        replace(&sentinels, &nodes, &names);
        assert_eq!(sound.wait_for_generation(1, PATIENCE), Some(2), "the other one is followed");
        assert_eq!(sound.stats().watch_faults, 0, "and has had no fault");
        assert_eq!(faulty.generation(), 1);
        FAULTY.lock().retain(|name| name != "faulty");
        assert_eq!(faulty.wait_for_generation(1, PATIENCE), Some(2), "rebuilt from the sentinels");
        assert_eq!(faulty.master().unwrap().port(), nodes[1].address().port());
        let topology = || faulty.topology().unwrap();
        assert!(wait_until(PATIENCE, || topology().agreement.agreeing == 3), "{:?}", topology());
        factories.iter().for_each(Factory::close);
    }

    #[test]
    fn a_fault_in_one_link_affects_no_other() {
        let names = ["linked"];
        let (sentinels, nodes, factories) = stage(&names);
        let factory = &factories[0];
        let struck = sentinels[2].address().to_string();
        FAULTY.lock().push(struck.clone());
        factory.refresh();
        assert!(wait_until(PATIENCE, || factory.stats().watch_faults >= 1));
        replace(&sentinels, &nodes, &names);
        assert_eq!(factory.wait_for_generation(1, PATIENCE), Some(2));
        FAULTY.lock().retain(|name| *name != struck);
        let topology = || factory.topology().unwrap();
        assert!(wait_until(PATIENCE, || topology().agreement.agreeing == 3), "{:?}", topology());
        factories.iter().for_each(Factory::close);
    }

    #[test]
    fn a_machine_that_is_rebuilt_serves_the_same_generation_and_follows_the_next() {
        let names = ["once"];
        let (sentinels, nodes, factories) = stage(&names);
        let factory = &factories[0];
        FAULTY.lock().push("once".to_owned());
        factory.refresh();
        assert!(wait_until(PATIENCE, || factory.stats().watch_faults >= 1));
        FAULTY.lock().retain(|name| name != "once");
        let topology = || factory.topology().unwrap();
        assert!(wait_until(PATIENCE, || topology().agreement.agreeing == 3), "{:?}", topology());
        let known = topology();
        assert_eq!((known.generation, factory.generation(), factory.stats().switches), (1, 1, 1));
        assert_eq!(known.nodes.len(), 2);
        replace(&sentinels, &nodes, &names);
        assert_eq!(factory.wait_for_generation(1, PATIENCE), Some(2));
        factories.iter().for_each(Factory::close);
    }
}
