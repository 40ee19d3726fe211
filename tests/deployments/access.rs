//! Users with no more rights than the README lists, servers that speak RESP2 only, and renamed
//! commands.

use std::{thread, time::Duration};

use crossbeam_channel::{Receiver, bounded};
use redis::Commands;
use switchmaster::{ErrorKind, Event, Evidence, Factory, Outcome};
use switchmaster_sandbox::{Cluster, wait_until};

use super::{common::*, *};

/// The rights of the README's table, and the commands that these tests send as a program.
const NODE_RIGHTS: &str =
    "~* -@all +hello +auth +role +ping +info +client|unblock +set +get +blpop +rpush";
const SENTINEL_RIGHTS: &str = "&* -@all +hello +auth +ping +role +sentinel|get-master-addr-by-name \
                               +sentinel|master +sentinel|replicas +sentinel|sentinels \
                               +sentinel|myid +psubscribe";

#[test]
fn users_of_access_control_lists_are_used_at_nodes_and_sentinels() {
    // Nobody gets in without a user: the servers have users of their own among themselves.
    let cluster = Cluster::builder()
        .node_line("user default off")
        .node_line("user copier on >copierpass ~* &* +@all")
        .node_line("masteruser copier")
        .node_line("masterauth copierpass")
        .node_line(format!("user app on >app:p@ss/1 {NODE_RIGHTS}"))
        .sentinel_line("user default off")
        .sentinel_line("user gossip on >gossippass ~* &* +@all")
        .sentinel_line("sentinel sentinel-user gossip")
        .sentinel_line("sentinel sentinel-pass gossippass")
        .sentinel_line("sentinel auth-user mymaster copier")
        .sentinel_line("sentinel auth-pass mymaster copierpass")
        .sentinel_line(format!("user follower on >followerpass {SENTINEL_RIGHTS}"))
        .start()
        .unwrap();
    let url = cluster.url().replace("://", "://app:app%3Ap%40ss%2F1@");
    let url = format!("{url}?sentinel_username=follower&sentinel_password=followerpass");
    let factory = Factory::open(&url).unwrap();
    let events = factory.events();
    follows(&factory, &cluster);
    // These rights do for a switch at the promotion itself.
    let at_promotion = |event: &Event| {
        let Event::Switched { evidence, .. } = event else { return false };
        matches!(evidence, Evidence::Promotion { .. } | Evidence::Ordered { .. })
    };
    let events: Vec<Event> = events.try_iter().collect();
    assert!(events.iter().any(at_promotion), "{events:#?}");

    let reads = blocked_reader(&factory, &cluster);
    let generation = factory.generation();
    cluster.failover().unwrap();
    wait_for_switch(&factory, generation);
    factory.run(|redis| redis.rpush::<_, _, ()>(LIST, "moved")).unwrap();
    assert_eq!(reads.recv_timeout(PATIENCE).unwrap().unwrap(), "moved");
}

#[test]
fn rights_that_are_missing_are_named() {
    let cluster = Cluster::builder()
        .node_line("user app on >apppass ~* -@all +hello +auth +set +get")
        .start()
        .unwrap();
    let error = refused(hasty(&cluster).username("app").password("apppass"));
    assert_eq!(error.kind(), ErrorKind::NoMaster, "{error}");
    assert!(error.to_string().contains("+role") && error.to_string().contains("NOPERM"), "{error}");
}

#[test]
fn servers_that_know_no_hello_are_spoken_to_in_resp2() {
    let cluster = Cluster::builder()
        .node_line("rename-command HELLO \"\"")
        .sentinel_line("rename-command HELLO \"\"")
        .password("nodepass")
        .sentinel_password("sentinelpass")
        .start()
        .unwrap();
    let builder = named_factory(&cluster).password("nodepass").sentinel_password("sentinelpass");
    follows(&builder.build().unwrap(), &cluster);
}

#[test]
fn blocked_readers_move_without_an_error_in_resp2_too() {
    let cluster = Cluster::builder()
        .node_line("rename-command HELLO \"\"")
        .sentinel_line("rename-command HELLO \"\"")
        .start()
        .unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let reads = blocked_reader(&factory, &cluster);
    cluster.failover().unwrap();
    wait_for_switch(&factory, 1);
    factory.run(|redis| redis.rpush::<_, _, ()>(LIST, "moved")).unwrap();
    assert_eq!(reads.recv_timeout(PATIENCE).unwrap().unwrap(), "moved");
}

#[test]
fn nodes_without_role_are_asked_for_info() {
    let cluster = Cluster::builder().node_line("rename-command ROLE \"\"").start().unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let events = factory.events();
    follows(&factory, &cluster);
    let switches = |event: &Event| matches!(event, Event::Switched { .. });
    let at_promotion = |event: &Event| {
        let Event::Switched { evidence, .. } = event else { return false };
        matches!(evidence, Evidence::Promotion { .. } | Evidence::Ordered { .. })
    };
    let events: Vec<Event> = events.try_iter().filter(switches).collect();
    assert!(events.iter().any(at_promotion), "{events:#?}");
}

#[test]
fn nodes_without_client_are_followed_and_their_blocked_readers_told() {
    let cluster = Cluster::builder()
        .node_line("rename-command CLIENT hidden-client")
        .sentinel_line("sentinel rename-command mymaster CLIENT hidden-client")
        .start()
        .unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    follows(&factory, &cluster);

    let reads = blocked_reader(&factory, &cluster);
    let generation = factory.generation();
    cluster.failover().unwrap();
    wait_for_switch(&factory, generation);
    // Without CLIENT UNBLOCK it cannot be called back before its connection ends.
    let error = reads.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert_eq!(Outcome::of(&error), Outcome::Unknown, "{error}");
    wait_for_write(&factory);
}

const LIST: &str = "list";

/// A thread that is blocked in the master, and what it reads.
fn blocked_reader(factory: &Factory, cluster: &Cluster) -> Receiver<redis::RedisResult<String>> {
    let (tell, told) = bounded(1);
    let mut handle = factory.get().unwrap();
    thread::spawn(move || {
        let read = handle.blpop::<_, (String, String)>(LIST, 0.0);
        let _ = tell.send(read.map(|(_, value)| value));
    });
    let master = cluster.master().unwrap();
    let blocked = || master.info("clients", "blocked_clients").is_ok_and(|blocked| blocked == "1");
    assert!(wait_until(PATIENCE, blocked));
    assert_eq!(told.recv_timeout(Duration::ZERO).ok().map(|_| ()), None);
    told
}
