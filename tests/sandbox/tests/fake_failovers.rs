//! Fakes go through a failover, step by step, and show it as real servers do.

use std::{net::SocketAddr, time::Duration};

use switchmaster_sandbox::{
    Client, Cluster, FailoverKind, FakeNode, FakeSentinel, FakeService, Place, Probe, Sentinel,
    frame::Frame, valkey_server, wait_until,
};

const LONG: Duration = Duration::from_secs(20);
/// Within this nothing comes that should not come.
const SHORT: Duration = Duration::from_millis(60);

fn connect(address: SocketAddr) -> Client {
    Client::connect(address, LONG).unwrap()
}

fn ask(client: &mut Client, command: &str) -> Frame {
    client.expect(&command.split(' ').collect::<Vec<_>>()).unwrap()
}

fn info(client: &mut Client, section: &str) -> Vec<(String, String)> {
    let text = ask(client, &format!("INFO {section}")).text();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn value(info: &[(String, String)], name: &str) -> String {
    let found = info.iter().find(|(found, _)| found == name);
    found.map(|(_, value)| value.clone()).unwrap_or_else(|| panic!("no {name} in {info:?}"))
}

fn names(entry: &Frame) -> Vec<String> {
    entry.items().iter().step_by(2).map(Frame::text).collect()
}

/// What a sentinel says of the failover of `mymaster`, without what only time tells.
#[derive(Debug, PartialEq)]
struct View {
    address: Vec<String>,
    master: Vec<String>,
    master_fields: Vec<String>,
    promoted: Vec<(String, String, Vec<String>)>,
    others: Vec<String>,
    votes: Vec<(String, String, String, Vec<String>)>,
}

fn view(client: &mut Client) -> View {
    let master = ask(client, "SENTINEL MASTER mymaster");
    let (mut promoted, mut others) = (Vec::new(), Vec::new());
    for entry in ask(client, "SENTINEL REPLICAS mymaster").items() {
        let (name, flags) = (entry.field_text("name"), entry.field_text("flags"));
        match flags.contains("promoted") {
            true => promoted.push((name, flags, names(entry))),
            false => others.push(name),
        }
    }
    others.sort();
    let mut votes = Vec::new();
    for entry in ask(client, "SENTINEL SENTINELS mymaster").items() {
        let field = |name| entry.field_text(name);
        votes.push((
            field("name"),
            field("voted-leader"),
            field("voted-leader-epoch"),
            names(entry),
        ));
    }
    votes.sort();
    // Last, since it is the answer that changes with the state that was read before.
    let address = ask(client, "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster");
    let fields = ["ip", "port", "flags", "failover-state", "config-epoch", "num-slaves"];
    View {
        address: address.items().iter().map(Frame::text).collect(),
        master: fields.map(|name| master.field_text(name)).to_vec(),
        master_fields: names(&master),
        promoted,
        others,
        votes,
    }
}

/// The leader, as soon as it is in this state.
fn leader(cluster: &Cluster, state: &str) -> Sentinel {
    let mut found = None;
    let done = wait_until(LONG, || {
        let is = |sentinel: &&Sentinel| {
            sentinel.describe("mymaster").unwrap().field_text("failover-state") == state
        };
        found = cluster.sentinels().iter().find(is).cloned();
        found.is_some()
    });
    assert!(done, "nobody is in {state}: {}", cluster.logs());
    found.unwrap()
}

fn shows_like_a_real_leader(cluster: &Cluster, kind: FailoverKind) {
    let old = cluster.master().unwrap();
    let probe = Probe::start(cluster).unwrap();
    match kind {
        FailoverKind::MasterDown => old.kill().unwrap(),
        FailoverKind::Forced => cluster.failover().unwrap(),
        FailoverKind::Coordinated => {
            cluster.sentinels()[0].failover_coordinated("mymaster").unwrap();
        }
    }
    let promotion = probe.promotion(LONG).unwrap_or_else(|| panic!("{}", cluster.logs()));
    let leader = leader(cluster, "wait_promotion");

    let fake = FakeSentinel::start().unwrap();
    let mut service = FakeService::new(old.address());
    for node in cluster.nodes().iter().filter(|node| node.port() != old.port()) {
        service = service.with_replica(node.address());
    }
    for other in cluster.sentinels().iter().filter(|other| other.port() != leader.port()) {
        service = service.with_sentinel(other.address(), other.id());
    }
    service.stand(kind);
    service.elect(leader.id(), 1);
    service.choose(promotion.address);
    if kind != FailoverKind::Coordinated {
        service.cut();
    }
    fake.serve("mymaster", service);
    let mut fake_client = connect(fake.address());
    let mut real_client = leader.client().unwrap();
    let mut compare = |when: &str, state: &str| {
        let mut shown = view(&mut fake_client);
        let mut real = view(&mut real_client);
        // Links end and begin a moment after the rest, and votes are forgotten some time after it.
        let voted = |view: &View| view.votes.iter().any(|vote| vote.1 == leader.id());
        assert!(when == "after it" || voted(&real) == (kind != FailoverKind::Forced), "{real:?}");
        wait_until(LONG, || {
            real = view(&mut real_client);
            for (shown, real) in shown.votes.iter_mut().zip(&real.votes) {
                // A majority is enough: the third may be a rival, or vote for one.
                if when == "after it" || real.1 != leader.id() {
                    (shown.1, shown.2) = (real.1.clone(), real.2.clone());
                }
            }
            shown == real
        });
        assert_eq!(shown, real, "{kind:?} {when}");
        assert_eq!(shown.master[3], state);
    };
    compare("at the promotion", "wait_promotion");
    fake.model(|model| model.service("mymaster").notice());
    compare("when it was noticed", "reconf_slaves");
    fake.model(|model| model.service("mymaster").learn(promotion.address, 1));
    compare("after it", "");
}

#[test]
fn a_fake_leader_shows_the_failover_of_a_dead_master_as_a_real_one() {
    shows_like_a_real_leader(&Cluster::builder().start().unwrap(), FailoverKind::MasterDown);
}

#[test]
fn a_fake_leader_shows_a_forced_failover_as_a_real_one() {
    shows_like_a_real_leader(&Cluster::builder().start().unwrap(), FailoverKind::Forced);
}

#[test]
fn a_fake_leader_shows_a_coordinated_failover_as_a_real_one() {
    let cluster = Cluster::builder().server(valkey_server().unwrap()).start().unwrap();
    shows_like_a_real_leader(&cluster, FailoverKind::Coordinated);
}

fn service() -> FakeService {
    FakeService::new(("127.0.0.1", 7000))
        .with_replica(("127.0.0.1", 7001))
        .with_replica(("127.0.0.1", 7002))
        .with_sentinel(("127.0.0.1", 7011), "b".repeat(40))
}

#[test]
fn a_rival_stands_without_votes_and_an_aborted_failover_promotes_nobody() {
    let mut rival = service();
    rival.stand(FailoverKind::MasterDown);
    assert_eq!(rival.flags, "s_down,o_down,master,disconnected,failover_in_progress");
    assert_eq!(rival.failover_state.as_deref(), Some("wait_start"));
    assert_eq!(rival.sentinels[0].voted_leader, "?");
    rival.elect(&"a".repeat(40), 4);
    rival.choose(("127.0.0.1", 7002));
    rival.abort();
    assert_eq!(rival.flags, "s_down,o_down,master,disconnected");
    assert_eq!(rival.failover_state, None);
    assert!(rival.replicas.iter().all(|replica| replica.flags == "slave"));
    assert_eq!((rival.master.port, rival.config_epoch), (7000, 0));
    assert_eq!(rival.sentinels[0].voted_leader_epoch, 4);
}

#[test]
fn who_is_told_of_a_failover_swaps_the_master_and_the_replica_with_their_run_ids() {
    let mut told = service();
    let (old, new) = (told.run_id.clone(), told.replicas[1].run_id.clone());
    told.find_down(false);
    assert_eq!(told.flags, "s_down,master,disconnected");
    told.learn(("127.0.0.1", 7002), 9);
    assert_eq!((told.flags.as_str(), told.config_epoch), ("master", 9));
    assert_eq!((told.master.port, &told.run_id), (7002, &new));
    let ports: Vec<u16> = told.replicas.iter().map(|replica| replica.place.port).collect();
    assert_eq!(ports, [7001, 7000]);
    assert_eq!(told.replicas[1].run_id, old);
}

/// The descent that INFO shows, and whether its fields come in the order of a real node.
fn promoted(client: &mut Client, promote: impl FnOnce()) -> Vec<String> {
    let before = info(client, "replication");
    assert_eq!(value(&before, "master_replid2"), "0".repeat(40));
    assert_eq!(value(&before, "second_repl_offset"), "-1");
    promote();
    let after = info(client, "replication");
    let offset: u64 = value(&before, "slave_repl_offset").parse().unwrap();
    assert_eq!(value(&after, "role"), "master");
    assert_eq!(value(&after, "master_replid2"), value(&before, "master_replid"));
    assert_eq!(value(&after, "second_repl_offset"), (offset + 1).to_string());
    assert_ne!(value(&after, "master_replid"), value(&before, "master_replid"));
    before.into_iter().chain(after).map(|(name, _)| name).collect()
}

#[test]
fn a_promoted_node_shows_its_descent_as_a_real_one() {
    let cluster = Cluster::builder().replicas(1).sentinels(0).start().unwrap();
    cluster.nodes()[0].ask(&["SET", "a", "1"]).unwrap();
    let replica = &cluster.nodes()[1];
    assert!(wait_until(LONG, || replica.ask(&["GET", "a"]).unwrap().text() == "1"));
    // A replica whose master is down has a history that has come to its end.
    cluster.nodes()[0].freeze().unwrap();
    let mut client = replica.client().unwrap();
    let real = promoted(&mut client, || {
        replica.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    });
    let fake = FakeNode::start().unwrap();
    fake.become_replica(cluster.nodes()[0].address());
    let mut client = connect(fake.address());
    let shown = promoted(&mut client, || fake.promote_quietly());
    let mut rest = real.iter();
    for name in &shown {
        assert!(rest.any(|real| real == name), "{name} is not there, or elsewhere: {real:?}");
    }
    for name in ["redis_version", "run_id"] {
        let shown = value(&info(&mut client, "server"), name);
        assert_eq!(shown.is_empty(), replica.info("server", name).unwrap().is_empty(), "{name}");
    }
}

#[test]
fn a_promotion_closes_all_connections_and_a_quiet_one_none() {
    let node = FakeNode::start().unwrap();
    node.become_replica(("127.0.0.1", 7000));
    let (mut one, mut idle) = (connect(node.address()), connect(node.address()));
    for client in [&mut one, &mut idle] {
        assert_eq!(ask(client, "ROLE").items()[0].text(), "slave");
    }
    node.promote_quietly();
    assert_eq!(ask(&mut one, "ROLE").items()[0].text(), "master");
    assert_eq!(idle.read(SHORT).unwrap(), None);
    assert_eq!(ask(&mut idle, "SET a 1"), Frame::ok());

    node.become_replica(("127.0.0.1", 7000));
    node.promote();
    for client in [&mut one, &mut idle] {
        assert!(client.read(LONG).is_err());
    }
    let mut new = connect(node.address());
    assert_eq!(ask(&mut new, "ROLE").items()[0].text(), "master");
    assert_eq!(ask(&mut new, "GET a").text(), "1");
    assert_eq!(new.read(SHORT).unwrap(), None, "who comes after it stays");
}

#[test]
fn a_demoted_node_has_the_history_and_the_data_of_its_master() {
    let (old, new) = (FakeNode::start().unwrap(), FakeNode::start().unwrap());
    let first = old.model(|model| model.replication_id.clone());
    new.demote(&old);
    let mut client = connect(new.address());
    assert_eq!(value(&info(&mut client, "replication"), "master_replid"), first);
    assert!(client.call(&["SET", "a", "1"]).unwrap().text().starts_with("READONLY"));
    new.promote();
    let mut client = connect(new.address());
    assert_eq!(ask(&mut client, "SET a 2"), Frame::ok());
    let mut idle = connect(old.address());
    assert_eq!(ask(&mut idle, "PING").text(), "PONG");
    old.demote(&new);
    assert!(idle.read(LONG).is_err());
    let mut client = connect(old.address());
    assert_eq!(ask(&mut client, "GET a").text(), "2");
    let info = info(&mut client, "replication");
    assert_eq!(value(&info, "master_replid2"), first);
    assert_eq!(value(&info, "master_port"), new.address().port().to_string());
}

#[test]
fn a_restarted_node_is_another_process_in_the_same_role() {
    let (master, replica) = (FakeNode::start().unwrap(), FakeNode::start().unwrap());
    replica.demote(&master);
    for (node, role) in [(&master, "master"), (&replica, "slave")] {
        let mut old = connect(node.address());
        let run_id = value(&info(&mut old, "server"), "run_id");
        let history = value(&info(&mut old, "replication"), "master_replid");
        if role == "master" {
            ask(&mut old, "SET a 1");
        }
        node.restart();
        assert!(old.read(LONG).is_err());
        let mut new = connect(node.address());
        assert_ne!(value(&info(&mut new, "server"), "run_id"), run_id);
        let after = info(&mut new, "replication");
        assert_eq!(value(&after, "role"), role);
        assert_eq!(value(&after, "master_replid") == history, role == "slave");
        assert_eq!(value(&after, "master_replid2"), "0".repeat(40));
        assert_eq!(ask(&mut new, "GET a"), Frame::Nil);
    }
}

#[test]
fn a_node_tells_the_sections_of_info_that_are_asked_for() {
    let node = FakeNode::start().unwrap();
    let mut client = connect(node.address());
    let sections = |text: String| {
        let heads = text.lines().filter_map(|line| line.strip_prefix("# ")).map(str::to_owned);
        heads.collect::<Vec<_>>()
    };
    assert_eq!(sections(ask(&mut client, "INFO replication").text()), ["Replication"]);
    assert_eq!(
        sections(ask(&mut client, "INFO SERVER replication").text()),
        ["Server", "Replication"]
    );
    let all = ["Server", "Persistence", "Replication"];
    assert_eq!(sections(ask(&mut client, "INFO").text()), all);
    assert_eq!(sections(ask(&mut client, "INFO everything").text()), all);
    assert!(sections(ask(&mut client, "INFO nothing").text()).is_empty());
    node.model(|model| model.replicas.push(Place::from(("127.0.0.1", 7001))));
    assert_eq!(value(&info(&mut client, "replication"), "connected_slaves"), "1");
}
