//! The fakes answer from their models, and misbehave to order.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use switchmaster_sandbox::{
    Client, FakeNode, FakeReplica, FakeSentinel, FakeService, FaultProxy, Place, frame::Frame,
    wait_until,
};

const LONG: Duration = Duration::from_secs(5);
/// Within this nothing comes that should not come.
const SHORT: Duration = Duration::from_millis(60);

fn connect(address: SocketAddr) -> Client {
    Client::connect(address, LONG).unwrap()
}

fn resp3(address: SocketAddr) -> Client {
    let mut client = connect(address);
    assert_eq!(client.expect(&["HELLO", "3"]).unwrap().field_text("proto"), "3");
    client
}

fn texts(frame: &Frame) -> Vec<String> {
    frame.items().iter().map(Frame::text).collect()
}

fn ask(client: &mut Client, command: &str) -> Frame {
    client.call(&command.split(' ').collect::<Vec<_>>()).unwrap()
}

/// A sentinel with one service: a master, two replicas and another sentinel.
fn sentinel() -> FakeSentinel {
    let sentinel = FakeSentinel::start().unwrap();
    let service = FakeService::new(("127.0.0.1", 7000))
        .with_replica(("127.0.0.1", 7001))
        .with_replica(("::1", 7002))
        .with_sentinel(("127.0.0.1", 7011), "b".repeat(40));
    sentinel.serve("mymaster", service);
    sentinel
}

#[test]
fn a_sentinel_says_hello_in_both_protocols_or_in_one() {
    let sentinel = sentinel();
    let mut client = connect(sentinel.address());
    let hello = ask(&mut client, "HELLO");
    assert!(matches!(hello, Frame::Array(_)));
    assert_eq!(
        (hello.field_text("mode"), hello.field_text("proto")),
        ("sentinel".into(), "2".into())
    );
    let hello = ask(&mut client, "HELLO 3 SETNAME me");
    assert!(matches!(hello, Frame::Map(_)));
    assert_eq!(ask(&mut client, "CLIENT GETNAME").text(), "me");
    assert!(ask(&mut client, "HELLO 4").text().starts_with("NOPROTO"));
    sentinel.resp2_only(true);
    let mut old = connect(sentinel.address());
    assert!(ask(&mut old, "HELLO 3").text().starts_with("ERR unknown command"));
    assert_eq!(ask(&mut old, "PING").text(), "PONG");
    assert!(ask(&mut old, "GET a").text().starts_with("ERR unknown command 'GET'"));
    assert_eq!(ask(&mut old, "CLIENT SETINFO LIB-NAME x"), Frame::ok());
}

#[test]
fn a_sentinel_asks_for_its_password() {
    let sentinel = sentinel();
    let mut client = connect(sentinel.address());
    assert!(
        ask(&mut client, "AUTH secret").text().starts_with("ERR AUTH <password> called without")
    );
    sentinel.model(|model| model.password = Some("secret".to_owned()));
    assert!(ask(&mut client, "PING").text().starts_with("NOAUTH"));
    assert!(ask(&mut client, "HELLO 3").text().starts_with("NOAUTH"));
    assert!(ask(&mut client, "AUTH wrong").text().starts_with("WRONGPASS"));
    assert_eq!(ask(&mut client, "AUTH secret"), Frame::ok());
    assert_eq!(ask(&mut client, "PING").text(), "PONG");
    let mut client = connect(sentinel.address());
    assert!(matches!(ask(&mut client, "HELLO 3 AUTH default secret"), Frame::Map(_)));
}

#[test]
fn a_sentinel_answers_from_its_model() {
    let sentinel = sentinel();
    for mut client in [connect(sentinel.address()), resp3(sentinel.address())] {
        let role = ask(&mut client, "ROLE");
        assert_eq!(role.items()[0].text(), "sentinel");
        assert_eq!(texts(&role.items()[1]), ["mymaster"]);
        assert_eq!(ask(&mut client, "SENTINEL myid").text(), sentinel.id());
        assert_eq!(sentinel.id().len(), 40);
        let address = ask(&mut client, "SENTINEL get-master-addr-by-name mymaster");
        assert_eq!(texts(&address), ["127.0.0.1", "7000"]);
        let nobody = ask(&mut client, "SENTINEL GET-MASTER-ADDR-BY-NAME other");
        assert_eq!(nobody, Frame::Nil);
        let error = ask(&mut client, "SENTINEL MASTER other").text();
        assert_eq!(error, "ERR No such master with that name");
        let master = ask(&mut client, "SENTINEL MASTER mymaster");
        assert_eq!(master.field_text("port"), "7000");
        assert_eq!(master.field_text("num-slaves"), "2");
        assert_eq!(master.field_text("down-after-milliseconds"), "1000");
        assert_eq!(master.field("failover-state"), None);
        assert_eq!(ask(&mut client, "SENTINEL MASTERS").items(), [master]);
        let replicas = ask(&mut client, "SENTINEL REPLICAS mymaster");
        let names: Vec<_> = replicas.items().iter().map(|r| r.field_text("name")).collect();
        assert_eq!(names, ["127.0.0.1:7001", "[::1]:7002"]);
        assert_eq!(replicas.items()[1].field_text("ip"), "::1");
        assert_eq!(replicas.items()[0].field_text("master-port"), "7000");
        let others = ask(&mut client, "SENTINEL SENTINELS mymaster");
        assert_eq!(others.items()[0].field_text("runid"), "b".repeat(40));
        assert_eq!(others.items()[0].field_text("voted-leader"), "?");
        assert!(ask(&mut client, "SENTINEL MASTER").is_error());
        assert!(ask(&mut client, "SENTINEL DANCE").text().starts_with("ERR unknown subcommand"));
    }
    let master = ask(&mut resp3(sentinel.address()), "SENTINEL MASTER mymaster");
    assert!(matches!(master, Frame::Map(_)));
}

#[test]
fn a_sentinel_can_be_in_the_middle_of_a_failover() {
    let sentinel = sentinel();
    let mut client = connect(sentinel.address());
    sentinel.model(|model| {
        let service = model.service("mymaster");
        service.listed = Some(service.master.clone());
        service.master = Place::from(("127.0.0.1", 7001));
        service.config_epoch = 3;
        service.flags = "master,failover_in_progress".to_owned();
        service.failover_state = Some("reconf_slaves".to_owned());
        service.replicas[0].flags = "slave,promoted".to_owned();
        service.replicas[1].link_ok = false;
        service.replicas.push(FakeReplica::new(("127.0.0.1", 7000)));
        service.sentinels[0].voted_leader = "c".repeat(40);
        service.sentinels[0].voted_leader_epoch = 3;
    });
    let address = ask(&mut client, "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster");
    assert_eq!(texts(&address), ["127.0.0.1", "7001"]);
    let master = ask(&mut client, "SENTINEL MASTER mymaster");
    assert_eq!(master.field_text("port"), "7000");
    assert_eq!(master.field_text("config-epoch"), "3");
    assert_eq!(master.field_text("failover-state"), "reconf_slaves");
    let replicas = ask(&mut client, "SENTINEL REPLICAS mymaster");
    assert_eq!(replicas.items()[0].field_text("flags"), "slave,promoted");
    assert_eq!(replicas.items()[1].field_text("master-link-status"), "err");
    assert_eq!(replicas.items().len(), 3);
    let others = ask(&mut client, "SENTINEL SENTINELS mymaster");
    assert_eq!(others.items()[0].field_text("voted-leader-epoch"), "3");
}

#[test]
fn a_sentinel_publishes_to_those_who_subscribed() {
    let sentinel = sentinel();
    let mut old = connect(sentinel.address());
    let mut new = resp3(sentinel.address());
    let mut deaf = connect(sentinel.address());
    let confirmed = ask(&mut old, "SUBSCRIBE +switch-master +sdown");
    assert_eq!(texts(&confirmed), ["subscribe", "+switch-master", "1"]);
    assert!(matches!(confirmed, Frame::Array(_)));
    assert_eq!(texts(&old.read(LONG).unwrap().unwrap()), ["subscribe", "+sdown", "2"]);
    let confirmed = ask(&mut new, "PSUBSCRIBE +switch-*");
    assert!(matches!(confirmed, Frame::Push(_)));
    assert_eq!(texts(&confirmed), ["psubscribe", "+switch-*", "1"]);

    let payload = "mymaster 127.0.0.1 7000 127.0.0.1 7001";
    assert_eq!(sentinel.publish("+switch-master", payload.as_bytes()), 2);
    assert_eq!(sentinel.publish("-sdown", b"nobody asked"), 0);
    let message = old.read(LONG).unwrap().unwrap();
    assert_eq!(texts(&message), ["message", "+switch-master", payload]);
    let message = new.read(LONG).unwrap().unwrap();
    assert!(matches!(message, Frame::Push(_)));
    assert_eq!(texts(&message), ["pmessage", "+switch-*", "+switch-master", payload]);
    assert_eq!(sentinel.publish("+sdown", b"\xff\x00"), 1);
    let message = old.read(LONG).unwrap().unwrap();
    assert_eq!(message.items()[2], Frame::Bulk(b"\xff\x00".to_vec()));

    assert_eq!(ask(&mut new, "SENTINEL MYID").text(), sentinel.id(), "RESP3 asks beside");
    assert!(ask(&mut old, "SENTINEL MYID").text().starts_with("ERR Can't execute 'sentinel'"));
    assert_eq!(texts(&ask(&mut old, "PING")), ["pong", ""]);
    assert_eq!(texts(&ask(&mut old, "UNSUBSCRIBE +sdown")), ["unsubscribe", "+sdown", "1"]);
    assert_eq!(texts(&ask(&mut old, "UNSUBSCRIBE")), ["unsubscribe", "+switch-master", "0"]);
    assert_eq!(ask(&mut old, "UNSUBSCRIBE").items()[1], Frame::Nil);
    assert_eq!(ask(&mut old, "PING").text(), "PONG");
    assert_eq!(deaf.read(SHORT).unwrap(), None);
}

#[test]
fn a_sentinel_denies_subscriptions_and_nothing_else() {
    let sentinel = sentinel();
    sentinel.deny_subscribe(true);
    let mut client = connect(sentinel.address());
    for command in ["SUBSCRIBE +switch-master", "PSUBSCRIBE *"] {
        assert!(ask(&mut client, command).text().starts_with("NOPERM"));
    }
    assert_eq!(ask(&mut client, "SENTINEL MYID").text(), sentinel.id());
    sentinel.deny_subscribe(false);
    assert!(!ask(&mut client, "SUBSCRIBE +switch-master").is_error());
}

#[test]
fn a_sentinel_misbehaves_to_order() {
    let sentinel = sentinel();
    let mut client = connect(sentinel.address());
    assert_eq!(ask(&mut client, "PING").text(), "PONG");
    sentinel.send_raw(b"+surprise\r\n");
    assert_eq!(client.read(LONG).unwrap().unwrap().text(), "surprise");

    sentinel.silence(true);
    client.send(&["SENTINEL", "MYID"]).unwrap();
    assert!(wait_until(LONG, || sentinel.received() == ["PING", "SENTINEL MYID"]));
    assert_eq!(client.read(SHORT).unwrap(), None);
    sentinel.silence(false);
    assert_eq!(ask(&mut client, "PING").text(), "PONG", "the answers before are lost");

    sentinel.answer_to("sentinel", b"-ERR not today\r\n");
    sentinel.answer_with(b":1\r\n");
    assert_eq!(ask(&mut client, "SENTINEL MYID"), Frame::Integer(1));
    assert_eq!(ask(&mut client, "SENTINEL MYID").text(), "ERR not today");
    sentinel.answer_normally();
    assert_eq!(ask(&mut client, "SENTINEL MYID").text(), sentinel.id());

    assert_eq!(sentinel.connections(), 1);
    sentinel.disconnect_all();
    assert_eq!(sentinel.connections(), 0);
    assert!(client.read(LONG).is_err());
    assert_eq!(ask(&mut connect(sentinel.address()), "PING").text(), "PONG");
}

#[test]
fn a_node_is_master_or_replica() {
    let node = FakeNode::start().unwrap();
    node.model(|model| model.replicas.push(Place::from(("127.0.0.1", 7001))));
    for mut client in [connect(node.address()), resp3(node.address())] {
        node.become_master();
        let hello = ask(&mut client, "HELLO");
        assert_eq!(hello.field_text("role"), "master");
        let role = ask(&mut client, "ROLE");
        assert_eq!(role.items()[0].text(), "master");
        assert_eq!(texts(&role.items()[2].items()[0]), ["127.0.0.1", "7001", "1000"]);
        let info = ask(&mut client, "INFO").text();
        assert!(info.contains(&format!("\r\nrun_id:{}\r\n", node.run_id())), "{info}");
        assert!(info.contains("\r\nrole:master\r\n"));
        node.become_replica(("127.0.0.1", 7002));
        let role = ask(&mut client, "ROLE");
        assert_eq!(texts(&role), ["slave", "127.0.0.1", "7002", "connected", "1000"]);
        assert_eq!(role.items()[2], Frame::Integer(7002));
        let info = ask(&mut client, "INFO replication").text();
        assert!(info.contains("\r\nrole:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:7002\r\n"));
    }
}

#[test]
fn a_node_keeps_values_and_refuses_as_a_real_one() {
    let node = FakeNode::start().unwrap();
    let mut client = connect(node.address());
    assert_eq!(ask(&mut client, "SELECT 3"), Frame::ok());
    assert!(ask(&mut client, "SELECT 16").is_error());
    client.send(&["GET", "a"]).unwrap();
    assert_eq!(client.read_bytes(SHORT).unwrap(), b"$-1\r\n");
    assert_eq!(ask(&mut client, "SET a 1 EX 5"), Frame::ok());
    assert_eq!(ask(&mut client, "GET a").text(), "1");
    assert_eq!(ask(&mut client, "ECHO hi").text(), "hi");
    assert_eq!(ask(&mut client, "PING").text(), "PONG");
    assert!(ask(&mut client, "GET").text().starts_with("ERR wrong number"));
    assert!(ask(&mut client, "DANCE a b").text().starts_with("ERR unknown command 'DANCE'"));
    node.become_replica(("127.0.0.1", 7002));
    assert!(ask(&mut client, "SET a 2").text().starts_with("READONLY"));
    assert_eq!(ask(&mut client, "GET a").text(), "1");
    node.model(|model| model.loading = true);
    for command in ["GET a", "SET a 2", "PING"] {
        assert!(ask(&mut client, command).text().starts_with("LOADING"));
    }
    assert!(!ask(&mut client, "ROLE").is_error());
    assert!(ask(&mut client, "INFO persistence").text().contains("\r\nloading:1\r\n"));
    node.model(|model| (model.loading, model.password) = (false, Some("secret".to_owned())));
    assert!(ask(&mut client, "GET a").text().starts_with("NOAUTH"));
    assert_eq!(ask(&mut client, "AUTH default secret"), Frame::ok());
    assert_eq!(ask(&mut client, "GET a").text(), "1");
    assert!(ask(&mut resp3_with_password(&node), "GET b") == Frame::Nil);
}

fn resp3_with_password(node: &FakeNode) -> Client {
    let mut client = connect(node.address());
    assert!(matches!(ask(&mut client, "HELLO 3 AUTH default secret"), Frame::Map(_)));
    client
}

#[test]
fn a_node_misbehaves_to_order() {
    let node = FakeNode::start().unwrap();
    let (mut one, mut two) = (connect(node.address()), connect(node.address()));
    node.answer_with(b"-MISCONF no disk\r\n");
    assert!(ask(&mut one, "SET a 1").text().starts_with("MISCONF"));
    assert_eq!(ask(&mut one, "GET a"), Frame::Nil, "it had no effect");

    node.disconnect_at(2);
    assert_eq!(ask(&mut two, "PING").text(), "PONG");
    assert!(one.call(&["SET", "a", "2"]).is_err());
    assert_eq!(ask(&mut two, "GET a").text(), "2", "it took effect");
    assert_eq!(node.received(), ["SET a 1", "GET a", "PING", "SET a 2", "GET a"]);

    node.silence(true);
    two.send(&["SET", "a", "3"]).unwrap();
    assert_eq!(two.read(SHORT).unwrap(), None);
    node.silence(false);
    assert_eq!(ask(&mut two, "GET a").text(), "2");
    assert!(wait_until(LONG, || node.connections() == 1));

    two.send_bytes(b"*1\r\n$4\r\nPI").unwrap();
    two.send_bytes(b"NG\r\n*1\r\n$4\r\nPING\r\n").unwrap();
    for _ in 0..2 {
        assert_eq!(two.read(LONG).unwrap().unwrap().text(), "PONG");
    }
    two.send_bytes(b"GET / HTTP/1.1\r\n").unwrap();
    assert!(two.read(LONG).unwrap().unwrap().text().starts_with("ERR Protocol error"));
    assert!(two.read(LONG).is_err());
}

#[test]
fn dropping_a_fake_ends_everything_at_once() {
    let node = FakeNode::start().unwrap();
    let mut client = connect(node.address());
    assert_eq!(ask(&mut client, "PING").text(), "PONG");
    let (address, begun) = (node.address(), Instant::now());
    drop(node);
    assert!(begun.elapsed() < Duration::from_millis(500));
    assert!(client.read(LONG).is_err());
    assert!(Client::connect(address, LONG).is_err());
}

#[test]
fn a_proxy_before_a_sentinel_makes_a_subscriber_deaf() {
    let sentinel = sentinel();
    let proxy = FaultProxy::to(sentinel.address()).unwrap();
    let (mut old, mut new) = (connect(proxy.address()), resp3(proxy.address()));
    proxy.swallow_pubsub();
    for client in [&mut old, &mut new] {
        assert_eq!(texts(&ask(client, "SUBSCRIBE +sdown")), ["subscribe", "+sdown", "1"]);
    }
    assert_eq!(sentinel.publish("+sdown", b"lost"), 2);
    assert_eq!(texts(&ask(&mut old, "PING")), ["pong", ""]);
    assert_eq!(ask(&mut new, "SENTINEL MYID").text(), sentinel.id());
    proxy.pass();
    assert_eq!(sentinel.publish("+sdown", b"heard"), 2);
    for client in [&mut old, &mut new] {
        assert_eq!(texts(&client.read(LONG).unwrap().unwrap()), ["message", "+sdown", "heard"]);
    }
    let begun = Instant::now();
    for _ in 0..500 {
        assert_eq!(ask(&mut new, "PING").text(), "PONG");
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?} for 500 pings", begun.elapsed());
}

#[test]
fn a_late_answer_delays_its_command_only_and_its_instant_is_known() {
    let sentinel = sentinel();
    let late = Duration::from_millis(100);
    sentinel.answer_late("SENTINEL MYID", late);
    let mut client = connect(sentinel.address());
    let begun = Instant::now();
    assert_eq!(ask(&mut client, "SENTINEL MYID").text(), sentinel.id());
    assert!(begun.elapsed() >= late);
    let (at, command) = sentinel.received_at().pop().unwrap();
    assert_eq!(command, "SENTINEL MYID");
    assert!(at.duration_since(begun) < begun.elapsed());
    sentinel.answer_to("SENTINEL CKQUORUM", b"+fine\r\n");
    assert_eq!(ask(&mut client, "SENTINEL CKQUORUM mymaster").text(), "fine");
    assert!(ask(&mut client, "SENTINEL MASTERS").items().len() == 1);
    sentinel.answer_late("SENTINEL", Duration::from_secs(60));
    client.send(&["SENTINEL", "MASTERS"]).unwrap();
    let begun = Instant::now();
    drop(sentinel);
    assert!(begun.elapsed() < LONG, "an answer that waits does not hold up the end");
}

#[test]
fn a_fake_can_be_down_or_unreachable_and_come_back_on_its_port() {
    let node = FakeNode::start().unwrap();
    let mut old = connect(node.address());
    assert_eq!(ask(&mut old, "PING").text(), "PONG");
    node.stop_listening();
    assert!(Client::connect(node.address(), LONG).err().unwrap().to_string().contains("refused"));
    assert_eq!(ask(&mut old, "PING").text(), "PONG");
    node.listen_again().unwrap();
    assert_eq!(ask(&mut connect(node.address()), "PING").text(), "PONG");
    node.model(|model| model.master_down = true);
    assert!(ask(&mut old, "GET a").text().starts_with("MASTERDOWN Link"));
    node.model(|model| model.master_down = false);
    node.hang_connects();
    let begun = Instant::now();
    assert!(Client::connect(node.address(), SHORT).is_err());
    assert!(begun.elapsed() >= SHORT);
    node.listen_again().unwrap();
    assert_eq!(ask(&mut connect(node.address()), "PING").text(), "PONG");
}

#[test]
fn a_sentinel_counts_who_is_usable() {
    let sentinel = sentinel();
    let mut client = connect(sentinel.address());
    sentinel.model(|model| {
        let service = model.service("mymaster");
        service.quorum = 2;
        service.sentinels.iter_mut().for_each(|other| other.flags = "sentinel,s_down".to_owned());
    });
    let reply = ask(&mut client, "SENTINEL CKQUORUM mymaster");
    assert!(reply.text().starts_with("NOQUORUM 1 usable Sentinels. "), "{reply:?}");
}
