//! Strange sentinels that answer at the address of a known one.

mod common;

use std::{fs, time::Duration};

use common::{story::Story, *};
use redis::Commands;
use switchmaster::{Evidence, Factory, SentinelStatus};
use switchmaster_sandbox::{Cluster, Sentinel, wait_until};

/// The status of this sentinel, as the factory sees it.
fn status(factory: &Factory, sentinel: &Sentinel) -> SentinelStatus {
    let topology = factory.topology().unwrap();
    let found = topology.sentinels.iter().find(|own| own.address.port() == sentinel.port());
    found.unwrap_or_else(|| panic!("{}: {topology:#?}", sentinel.port())).clone()
}

#[test]
fn a_sentinel_of_another_deployment_at_a_dead_ones_address_leads_nowhere() {
    let ours = cluster();
    let epoch = "sentinel config-epoch mymaster 7";
    let foreign = Cluster::builder().sentinel_line(epoch).start().expect("a cluster starts");
    assert_eq!(ours.service(), foreign.service());
    let factory = named_factory(&ours).build().unwrap();
    wait_until_calm(&factory, &ours);
    let known = factory.topology().unwrap();

    let place = &ours.sentinels()[2];
    let own = fs::read_to_string(place.config_file()).unwrap();
    let taker = &foreign.sentinels()[2];
    let id = taker.ask(&["SENTINEL", "MYID"]).unwrap().text();
    taker.kill().unwrap();
    place.restart_as(taker).unwrap();
    assert_eq!(place.master_of("mymaster").unwrap(), Some(foreign.master().unwrap().address()));

    let mut story = Story::of(&factory);
    let is_stranger = || status(&factory, place).stranger.as_deref() == Some(&*id);
    assert!(wait_until(PATIENCE, is_stranger), "{:#?}", factory.topology());
    // Several looks at every sentinel, and a message of the stranger.
    let asked = || status(&factory, place).answered;
    let before = asked();
    foreign.failover().unwrap();
    foreign.wait_for_master_other_than(foreign.nodes()[0].port(), PATIENCE).unwrap();
    assert!(wait_until(PATIENCE, || asked() > before.map(|at| at + Duration::from_secs(2))));
    let topology = factory.topology().unwrap();
    assert_eq!((topology.generation, &topology.master), (1, &known.master), "{}", story.text());
    assert_eq!(topology.agreement.known, 3);
    let addresses = |topology: &switchmaster::Topology| -> Vec<String> {
        let nodes = topology.nodes.iter().map(|node| node.address.to_string());
        nodes.chain(topology.sentinels.iter().map(|own| own.address.to_string())).collect()
    };
    assert_eq!(addresses(&topology), addresses(&known));
    factory.get().unwrap().set::<_, _, ()>("ours", 1).unwrap();

    // The two that are left fail over, and are followed at the promotion.
    ours.kill_master().unwrap();
    let (_, evidence) = story.switched(2);
    let Evidence::Promotion { votes: 2, of: 3, .. } = evidence else {
        panic!("{evidence}\n{}", story.text())
    };
    assert_fresh(&factory, &ours);

    // Its former colleagues would greet any process that answers there, and the two deployments become one.
    drop(foreign);
    place.kill().unwrap();
    fs::write(place.config_file(), own).unwrap();
    place.restart().unwrap();
    let is_back = || {
        let agreement = factory.topology().unwrap().agreement;
        status(&factory, place).stranger.is_none() && agreement.agreeing == 3
    };
    assert!(wait_until(PATIENCE, is_back), "{:#?}", factory.topology());
    assert_eq!(factory.generation(), 2, "{}", story.text());
}

#[test]
fn a_sentinel_that_lost_its_id_counts_again_within_seconds() {
    let cluster = cluster();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let place = &cluster.sentinels()[2];
    let before = status(&factory, place).run_id;
    place.kill().unwrap();
    let text = fs::read_to_string(place.config_file()).unwrap();
    let is_kept = |line: &&str| !line.starts_with("sentinel myid");
    let text: Vec<&str> = text.lines().filter(is_kept).collect();
    fs::write(place.config_file(), text.join("\n") + "\n").unwrap();
    place.restart().unwrap();
    let id = place.ask(&["SENTINEL", "MYID"]).unwrap().text();
    let is_known = || {
        let own = status(&factory, place);
        own.run_id.as_deref() == Some(&*id) && own.stranger.is_none()
    };
    assert!(wait_until(PATIENCE, is_known), "{:#?}", factory.topology());
    assert_ne!(before.as_deref(), Some(&*id));
    wait_until_calm(&factory, &cluster);
    assert_eq!(factory.topology().unwrap().agreement.agreeing, 3);
}
