//! The rate of queries to sentinels after replies that hint at a replaced master.

use std::time::{Duration, Instant};

use redis::{Commands, Value};
use switchmaster::{Factory, Handle};
use switchmaster_sandbox::{Cluster, FakeSentinel, FakeService, Node};

/// A real master, and a sentinel that counts.
struct Stage {
    _cluster: Cluster,
    master: Node,
    sentinel: FakeSentinel,
    factory: Factory,
}

impl Stage {
    fn set() -> Stage {
        let cluster =
            Cluster::builder().replicas(0).sentinels(1).start().expect("a cluster starts");
        let master = cluster.master().unwrap();
        let sentinel = FakeSentinel::start().unwrap();
        sentinel.serve("mymaster", FakeService::new(master.address()));
        let builder = Factory::builder().service("mymaster").sentinels([sentinel.address()]);
        let factory = builder.build().unwrap();
        Stage { _cluster: cluster, master, sentinel, factory }
    }

    /// The times at which the sentinel was asked for the master, counted from `since`.
    fn asked_after(&self, since: Instant) -> Vec<Duration> {
        let received = self.sentinel.received_at().into_iter();
        let asks = |words: &str| words.to_uppercase().contains("SENTINEL MASTER ");
        let asked = received.filter(|(at, words)| *at >= since && asks(words));
        asked.map(|(at, _)| at - since).collect()
    }

    /// Uses this handle for some seconds after a bad reply, and asserts that the sentinel was asked
    /// because of that reply, and that the rate is back to normal within a second.
    fn assert_calm_again(&self, what: &str, handle: &mut Handle, bad: Instant) {
        let calm = bad + Duration::from_secs(1);
        let mut commands = 0;
        while Instant::now() < calm + Duration::from_secs(2) {
            handle.set::<_, _, ()>("good", commands).unwrap();
            commands += 1;
        }
        let asked = self.asked_after(bad);
        assert!(!asked.is_empty(), "{what}: the sentinel is asked at once");
        let later = asked.iter().filter(|after| **after > Duration::from_secs(1)).count();
        // Each 10 s while all is well, and once more on a machine that is late.
        assert!(later <= 2, "{what}: asked {asked:?} during {commands} good commands");
        let topology = self.factory.topology().unwrap();
        assert_eq!(topology.troubled_since, None, "{what}: {:?}", topology.troubles);
    }
}

#[test]
fn sentinels_are_asked_as_before_once_a_master_has_replicas_enough_again() {
    let stage = Stage::set();
    for held in [false, true] {
        let mut handle = stage.factory.get().unwrap();
        if held {
            redis::cmd("WATCH").arg("k").exec(&mut handle).unwrap();
        }
        stage.master.ask(&["CONFIG", "SET", "min-replicas-to-write", "3"]).unwrap();
        let error = handle.set::<_, _, ()>("bad", 1).unwrap_err();
        assert!(error.to_string().contains("NOREPLICAS"), "{error}");
        stage.master.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]).unwrap();
        stage.assert_calm_again("NOREPLICAS", &mut handle, Instant::now());
    }
}

#[test]
fn sentinels_are_asked_as_before_after_any_reply_of_distress() {
    let stage = Stage::set();
    for code in ["MISCONF", "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS"] {
        for held in [false, true] {
            let mut handle = stage.factory.get().unwrap();
            if held {
                redis::cmd("WATCH").arg("k").exec(&mut handle).unwrap();
            }
            let script = format!("return redis.error_reply('{code} for a test')");
            let bad = Instant::now();
            let error = redis::cmd("EVAL").arg(script).arg(0).query::<Value>(&mut handle);
            assert_eq!(error.unwrap_err().code(), Some(code));
            stage.assert_calm_again(code, &mut handle, bad);
        }
    }
}
