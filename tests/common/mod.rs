//! What several tests share.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod audience;
pub mod bystander;
pub mod load;
pub mod many;
pub mod queue;
pub mod reads;
pub mod stage;
pub mod story;

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use redis::Commands;
use switchmaster::{Builder, Factory, Handle};
use switchmaster_sandbox::{Cluster, Node, Sentinel, wait_until};

/// Long enough for anything that is going to happen at all on a busy machine. Sentinels whose vote is
/// split wait for twice the failover timeout (6 s here) before they try again, and may split again.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster of one master, two replicas and three sentinels.
pub fn cluster() -> Cluster {
    Cluster::builder().start().expect("a cluster starts")
}

/// A factory for the cluster's service.
pub fn factory(cluster: &Cluster) -> Factory {
    Factory::open(&cluster.url()).expect("a factory opens")
}

/// As [`named_factory`], with the way to every member leading through that member's proxy.
pub fn proxied_factory(cluster: &Cluster) -> Builder {
    let mapped = |builder: Builder, (from, to)| builder.address_map(from, to);
    cluster.address_map().into_iter().fold(named_factory(cluster), mapped)
}

/// The run id of the server that this handle leads to.
pub fn run_id(handle: &mut Handle) -> String {
    let info: String = redis::cmd("INFO").arg("server").query(handle).expect("INFO server");
    let line = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    line.expect("INFO server names a run id").trim().to_owned()
}

/// The role that the server of this handle states.
pub fn role(handle: &mut Handle) -> String {
    let role: Vec<redis::Value> = redis::cmd("ROLE").query(handle).expect("ROLE");
    redis::from_redis_value(role[0].clone()).expect("ROLE begins with a word")
}

/// Asserts that every handle leads to one node, that this node says it is a master, that it is the
/// one that the factory names, and that the cluster comes to the same view.
pub fn assert_fresh(factory: &Factory, cluster: &Cluster) {
    let master = factory.master().expect("the factory names a master");
    let node = cluster.node_at(master.port()).expect("it is one of the cluster's nodes");
    let expected = node.run_id().unwrap();
    let mut handles: Vec<Handle> = (0..4).map(|_| factory.get().expect("a handle")).collect();
    for handle in &mut handles {
        assert_eq!(role(handle), "master");
        assert_eq!(run_id(handle), expected);
    }
    let agreed = wait_until(PATIENCE, || cluster.master().is_ok_and(|m| m.port() == node.port()));
    assert!(agreed, "the cluster does not agree that {master} is the master");
}

/// The name of the connections that [`wait_until_calm`] looks for.
pub const NAME: &str = "test";

/// A builder for a factory whose connections are named [`NAME`].
pub fn named_factory(cluster: &Cluster) -> Builder {
    let sentinels = cluster.sentinels().iter().map(|sentinel| sentinel.address());
    Factory::builder().service(cluster.service()).sentinels(sentinels).client_name(NAME)
}

/// Waits until nothing is wrong for the factory, it is linked to every node, and every replica gets
/// what is written. Its connections are named [`NAME`], and no other factory's are.
pub fn wait_until_calm(factory: &Factory, cluster: &Cluster) {
    let own = format!(" name={NAME} ");
    // One that distrusts its clock, after it stood still for two seconds, does nothing for thirty.
    let acts = |sentinel: &Sentinel| {
        let tilt = sentinel.info("sentinel", "sentinel_tilt");
        !sentinel.is_running() || tilt.is_ok_and(|tilt| tilt == "0")
    };
    let clients = |node: &Node| {
        node.ask(&["CLIENT", "LIST"]).map(|clients| clients.text()).unwrap_or_default()
    };
    let calm = wait_until(PATIENCE, || {
        factory.topology().is_ok_and(|topology| topology.troubles.is_empty())
            && cluster.nodes().iter().all(|node| clients(node).contains(&own))
            && cluster.sentinels().iter().all(acts)
    });
    let all: String = cluster.nodes().iter().map(clients).collect();
    assert!(calm, "{:#?}\n{all}", factory.topology());
    wait_until_replicated(&cluster.master().unwrap(), cluster.nodes().len() - 1);
    wait_until_unaware(cluster);
}

/// Waits until so many replicas have got a write. After a full synchronization a replica says that it
/// is connected, and gets nothing before its first word to the master, up to a second later.
pub fn wait_until_replicated(master: &Node, replicas: usize) {
    master.wait_replicated(replicas, PATIENCE).unwrap();
}

/// Waits until no sentinel is about to ask a replica for INFO. In a failover it does so a second after
/// the last time, and if that happens to be the moment of the promotion, it notices at once.
fn wait_until_unaware(cluster: &Cluster) {
    let unaware = |sentinel: &Sentinel| {
        let replicas = sentinel.ask(&["SENTINEL", "REPLICAS", cluster.service()]);
        let soon = |millis: u64| (400..1100).contains(&millis);
        replicas.is_ok_and(|replicas| {
            let mut ages =
                replicas.items().iter().map(|own| own.field_text("info-refresh").parse());
            ages.all(|age| age.is_ok_and(|age| !soon(age)))
        })
    };
    let all = || cluster.sentinels().iter().filter(|own| own.is_running()).all(unaware);
    assert!(wait_until(PATIENCE, all), "sentinels ask for INFO all the time");
}

/// Waits until the factory serves a generation later than `generation`.
pub fn wait_for_switch(factory: &Factory, generation: u64) -> u64 {
    factory.wait_for_generation(generation, PATIENCE).unwrap_or_else(|| {
        panic!("generation {generation} was not followed by another: {:#?}", factory.topology())
    })
}

/// Waits until a write through the factory succeeds.
pub fn wait_for_write(factory: &Factory) {
    let until = Instant::now() + PATIENCE;
    loop {
        let written = factory
            .get()
            .map_err(redis::RedisError::from)
            .and_then(|mut redis| redis.set::<_, _, ()>("written", 1));
        match written {
            Ok(()) => return,
            Err(error) => assert!(Instant::now() < until, "no write succeeds: {error}"),
        }
    }
}

/// The names of this process's threads, counted.
pub fn threads() -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        // A thread that ended meanwhile has no name left to read.
        if let Ok(name) = fs::read_to_string(task.path().join("comm")) {
            *names.entry(name.trim().to_owned()).or_default() += 1;
        }
    }
    names
}

/// How many threads belong to the library.
pub fn library_threads() -> usize {
    threads().iter().filter(|(name, _)| name.starts_with("switchmaster")).map(|(_, n)| n).sum()
}

/// How many descriptors this process has open.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// What they lead to.
pub fn descriptor_targets() -> Vec<String> {
    let targets = fs::read_dir("/proc/self/fd").expect("Linux").flatten();
    targets.filter_map(|fd| Some(fs::read_link(fd.path()).ok()?.display().to_string())).collect()
}

/// The memory that is resident in this process, in KiB.
pub fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}
