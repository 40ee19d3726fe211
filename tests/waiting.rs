//! Threads that wait for a handle.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::*;
use redis::Commands;
use switchmaster::{ErrorKind, Factory};
use switchmaster_sandbox::{Cluster, wait_until};

fn small(cluster: &Cluster, size: u32) -> Factory {
    Factory::open(&format!("{}?max_size={size}&get_timeout=20s", cluster.url())).unwrap()
}

#[test]
fn waiters_of_an_exhausted_pool_move_to_the_new_master() {
    let cluster = cluster();
    let factory = small(&cluster, 2);
    let held = [factory.get().unwrap(), factory.get().unwrap()];
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let factory = factory.clone();
            thread::spawn(move || factory.get().map(|handle| handle.generation()))
        })
        .collect();
    assert!(wait_until(PATIENCE, || factory.stats().waiting == 2));
    cluster.failover().unwrap();
    wait_for_switch(&factory, 1);
    // The two that are out belong to the old generation and do not count against the new one.
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap().unwrap(), 2);
    }
    assert!(held.iter().all(|handle| handle.generation() == 1));
}

#[test]
fn an_exhausted_pool_says_so_within_the_timeout_of_the_call() {
    let cluster = cluster();
    let factory = small(&cluster, 1);
    let _held = factory.get().unwrap();
    let begun = Instant::now();
    let error = factory.get_timeout(Duration::from_millis(100)).unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert_eq!(error.kind(), ErrorKind::PoolTimeout, "{error}");
    let text = error.to_string();
    assert!(text.contains("1 in use") && text.contains("max_size"), "{text}");
    assert!(factory.try_get().is_none());
    assert_eq!(factory.get_timeout(Duration::ZERO).unwrap_err().kind(), ErrorKind::PoolTimeout);
}

#[test]
fn a_handle_given_back_goes_to_the_first_that_waits() {
    let cluster = cluster();
    let factory = small(&cluster, 1);
    let held = factory.get().unwrap();
    let (served, order) = crossbeam_channel::unbounded();
    let mut waiters = Vec::new();
    for number in 0..5 {
        let (factory2, served) = (factory.clone(), served.clone());
        waiters.push(thread::spawn(move || {
            let mut handle = factory2.get().unwrap();
            served.send(number).unwrap();
            handle.set::<_, _, ()>("served", number).unwrap();
        }));
        assert!(wait_until(PATIENCE, || factory.stats().waiting == number + 1));
    }
    drop(held);
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    assert_eq!(order.try_iter().collect::<Vec<u32>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn an_outage_costs_latency_and_no_storm_of_errors() {
    let cluster = cluster();
    let factory = small(&cluster, 8);
    // Idle connections to a master that is about to die.
    let handles: Vec<_> = (0..8).map(|_| factory.get().unwrap()).collect();
    drop(handles);
    cluster.kill_master().unwrap();
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let factory = factory.clone();
            thread::spawn(move || {
                (0..20)
                    .map(|n| factory.get()?.set::<_, _, ()>(format!("outage:{worker}"), n))
                    .filter(Result::is_err)
                    .count()
            })
        })
        .collect();
    let errors: usize = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert!(errors <= 8, "{errors} errors of 160 writes: more than one for each thread");
    assert_eq!(factory.generation(), 2);
}

#[test]
fn a_short_timeout_is_kept_while_a_server_is_asked_about_idle_connections() {
    const LONG: Duration = Duration::from_secs(20);
    let cluster = Cluster::builder().replicas(0).sentinels(1).start().expect("a cluster starts");
    let builder = named_factory(&cluster).max_size(2).min_idle(0).dial_timeout(LONG);
    let factory = builder.build().unwrap();
    let master = cluster.master().unwrap();
    for timeout in [None, Some(Duration::ZERO), Some(Duration::from_millis(50))] {
        let (mut broken, idle) = (factory.get().unwrap(), factory.get().unwrap());
        let id: i64 = redis::cmd("CLIENT").arg("ID").query(&mut broken).unwrap();
        // From this error on, idle connections are in doubt.
        master.ask(&["CLIENT", "KILL", "ID", &id.to_string()]).unwrap();
        redis::cmd("PING").exec(&mut broken).unwrap_err();
        drop(idle);
        master.freeze().unwrap();
        let begun = Instant::now();
        let got = match timeout {
            None => factory.try_get().is_some(),
            Some(timeout) => factory.get_timeout(timeout).is_ok(),
        };
        let took = begun.elapsed();
        master.resume().unwrap();
        assert!(!got, "the server was frozen");
        assert!(took < LONG / 4, "{timeout:?} took {took:?}");
        // Once the server has answered, the connection is handed out.
        assert!(wait_until(PATIENCE, || factory.get_timeout(Duration::ZERO).is_ok()));
        let _both = (factory.get().unwrap(), factory.get().unwrap());
    }
}
