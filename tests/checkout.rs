//! Taking handles and giving them back.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::*;
use redis::Commands;
use switchmaster::{Factory, Handle, Stats};
use switchmaster_sandbox::{Cluster, wait_until};

fn open(cluster: &Cluster, options: &str) -> Factory {
    Factory::open(&format!("{}?get_timeout=60s&{options}", cluster.url())).unwrap()
}

/// What the server calls the connection of this handle.
fn client_id(handle: &mut Handle) -> i64 {
    redis::cmd("CLIENT").arg("ID").query(handle).unwrap()
}

/// Waits until all connections lie idle.
fn wait_until_idle(factory: &Factory) -> Stats {
    assert!(wait_until(PATIENCE, || factory.stats().in_use == 0), "{:?}", factory.stats());
    factory.stats()
}

#[test]
fn a_thread_gets_the_connection_back_that_it_gave_back() {
    let cluster = cluster();
    let factory = open(&cluster, "max_size=8");
    let first = client_id(&mut factory.get().unwrap());
    for _ in 0..100 {
        assert_eq!(client_id(&mut factory.get().unwrap()), first);
        assert_eq!(client_id(&mut factory.try_get().unwrap()), first);
    }
    // From another thread as well, while nobody else has it.
    let mut other = factory.get().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || assert_eq!(client_id(&mut other), first));
    });
    assert_eq!(client_id(&mut factory.get().unwrap()), first);
}

#[test]
fn the_gauges_and_totals_count_what_is_out_and_what_was() {
    let cluster = cluster();
    let factory = open(&cluster, "max_size=4&min_idle=2");
    let handles: Vec<Handle> = (0..3).map(|_| factory.get().unwrap()).collect();
    let stats = factory.stats();
    assert_eq!((stats.max, stats.min, stats.in_use), (4, 2, 3));
    assert_eq!(stats.total, stats.idle + stats.in_use);
    assert_eq!((stats.checkouts, stats.used.count()), (3, 0));
    drop(handles);
    let stats = factory.stats();
    assert_eq!((stats.in_use, stats.idle), (0, stats.total));
    assert_eq!((stats.checkouts, stats.used.count()), (3, 3));

    // What is over still counts in the totals.
    let begun = Instant::now();
    let mut watching = factory.get().unwrap();
    redis::cmd("WATCH").arg("key").query::<()>(&mut watching).unwrap();
    assert!(wait_until(PATIENCE, || begun.elapsed() >= Duration::from_millis(50)));
    drop(watching);
    let later = wait_until_idle(&factory);
    assert_eq!((later.checkouts, later.used.count()), (4, 4));
    assert!(later.used.quantile(1.0) > Duration::from_millis(30), "{:?}", later.used);
    // The coarse clock is behind by a tick at most, on both sides.
    let used = later.used.total() - stats.used.total();
    assert!(used > Duration::from_millis(30), "{used:?}");
    assert!(used <= begun.elapsed() + Duration::from_millis(20), "{used:?}");
}

#[test]
fn a_connection_that_holds_state_or_has_lived_its_life_is_not_handed_out_again() {
    let cluster = cluster();
    let factory = open(&cluster, "max_size=2&min_idle=0");
    let mut handle = factory.get().unwrap();
    let with_state = client_id(&mut handle);
    redis::cmd("MULTI").query::<()>(&mut handle).unwrap();
    drop(handle);
    assert_ne!(client_id(&mut factory.get().unwrap()), with_state);

    let factory = open(&cluster, "max_size=1&min_idle=0&max_lifetime=100ms");
    let mortal = client_id(&mut factory.get().unwrap());
    assert!(wait_until(PATIENCE, || client_id(&mut factory.get().unwrap()) != mortal));
    assert!(factory.stats().connections_created < 10, "it is not replaced at each checkout");
}

#[test]
fn an_idle_connection_that_the_server_closed_is_not_handed_out() {
    let cluster = cluster();
    let factory = open(&cluster, "max_size=1&min_idle=0");
    let closed = client_id(&mut factory.get().unwrap());
    let given_back = Instant::now();
    cluster.master().unwrap().ask(&["CLIENT", "KILL", "ID", &closed.to_string()]).unwrap();
    // From half a second on it is looked at before it is handed out.
    assert!(wait_until(PATIENCE, || given_back.elapsed() > Duration::from_millis(600)));
    let mut handle = factory.get().unwrap();
    assert_ne!(client_id(&mut handle), closed);
    let stats = factory.stats();
    assert_eq!((stats.connections_broken, stats.errors_unknown, stats.moved), (0, 0, 0));
}

#[test]
fn whoever_comes_later_does_not_overtake() {
    let cluster = cluster();
    let factory = open(&cluster, "max_size=1");
    for round in 0..200 {
        let held = factory.get().unwrap();
        let served = Arc::new(AtomicBool::new(false));
        let waiter = {
            let (factory, served) = (factory.clone(), served.clone());
            thread::spawn(move || {
                let handle = factory.get().unwrap();
                served.store(true, Ordering::SeqCst);
                drop(handle);
            })
        };
        assert!(wait_until(PATIENCE, || factory.stats().waiting == 1));
        drop(held);
        let late = factory.get().unwrap();
        assert!(served.load(Ordering::SeqCst), "overtaken in round {round}");
        drop(late);
        waiter.join().unwrap();
    }
}

#[test]
fn many_threads_share_few_connections_and_none_starves() {
    const THREADS: u64 = 16;
    const EACH: u64 = 500;
    let cluster = cluster();
    let factory = open(&cluster, "max_size=2");
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for n in 0..EACH {
                    let mut handle = factory.get().unwrap();
                    if n % 10 == 0 {
                        handle.incr::<_, _, ()>("counted", 1).unwrap();
                    }
                }
            });
        }
    });
    let counted: u64 = factory.get().unwrap().get("counted").unwrap();
    assert_eq!(counted, THREADS * EACH / 10);
    let stats = wait_until_idle(&factory);
    assert_eq!((stats.checkouts, stats.timeouts, stats.waiting), (THREADS * EACH + 1, 0, 0));
    assert_eq!((stats.waits, stats.total), (stats.waited.count(), 2));
}

/// Ends the threads of a test, also when it fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Takes handles and gives them back until it is over, and says how often. Every sixteenth is used.
fn take_and_give_back(factory: &Factory, over: &AtomicBool) -> u64 {
    let (mut checkouts, mut last) = (0, 0);
    while !over.load(Ordering::SeqCst) {
        // Read before: a handle of an earlier generation would be a stale one.
        let current = factory.generation();
        let mut handle = factory.get().expect("a switch costs no checkout");
        assert!(handle.generation() >= current, "handed out after the switch");
        assert!(handle.generation() >= last, "backwards");
        last = handle.generation();
        checkouts += 1;
        if checkouts % 16 == 0 {
            // What was on its way at the switch fails, and what becomes of that is tested elsewhere.
            let _ = handle.get::<_, Option<u64>>("key");
        }
    }
    checkouts
}

#[test]
fn threads_take_and_give_back_through_switches() {
    let cluster = cluster();
    let factory = open(&cluster, "max_size=4");
    let over = AtomicBool::new(false);
    let checkouts = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..6).map(|_| scope.spawn(|| take_and_give_back(&factory, &over))).collect();
        let end = Over(&over);
        for generation in 1..=3 {
            wait_for_write(&factory);
            assert!(wait_until(PATIENCE, || cluster.failover().is_ok()), "it cannot be ordered");
            wait_for_switch(&factory, generation);
        }
        wait_for_write(&factory);
        drop(end);
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    assert_eq!(factory.generation(), 4);
    assert!(checkouts > 1000, "{checkouts} checkouts");
    let stats = wait_until_idle(&factory);
    assert!(stats.total <= 4 && stats.checkouts >= checkouts, "{stats:?}");
    assert_fresh(&factory, &cluster);
}
