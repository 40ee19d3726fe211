//! One process through ten failovers.

mod common;

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use common::*;
use redis::Commands;
use switchmaster::{Factory, Outcome};
use switchmaster_sandbox::{Cluster, wait_until};

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Freeze,
    Planned,
}

/// Ten faults in an order that differs from run to run and is printed when the test fails.
fn faults() -> Vec<Fault> {
    use std::hash::{BuildHasher, RandomState};
    let mut faults: Vec<Fault> =
        [Fault::Kill, Fault::Freeze, Fault::Planned].into_iter().cycle().take(10).collect();
    let random = RandomState::new();
    for left in (1..faults.len()).rev() {
        faults.swap(left, (random.hash_one(left) % (left as u64 + 1)) as usize);
    }
    faults
}

fn suffer(cluster: &Cluster, factory: &Factory, fault: Fault) {
    let generation = factory.generation();
    let old = cluster.master().unwrap();
    match fault {
        Fault::Kill => old.kill().unwrap(),
        Fault::Freeze => old.freeze().unwrap(),
        Fault::Planned => cluster.failover().unwrap(),
    }
    wait_for_switch(factory, generation);
    // The factory is ahead of the sentinels, and what is repaired before they agree is pointed back
    // to the old master.
    cluster.wait_for_master_other_than(old.port(), PATIENCE).unwrap();
    cluster.repair(PATIENCE * 2).unwrap();
    wait_for_write(factory);
}

#[test]
fn ten_failovers_in_a_row_are_followed_and_nothing_piles_up() {
    let cluster = cluster();
    let factory = factory(&cluster);
    let stop = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let (factory, stop, written) = (factory.clone(), stop.clone(), written.clone());
            thread::spawn(move || {
                let mut errors = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let set = |redis: &mut switchmaster::Handle| {
                        redis.incr::<_, _, u64>(format!("worker:{worker}"), 1)
                    };
                    match factory.run(set) {
                        Ok(_) => drop(written.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => errors.push((Outcome::of(&error), error.to_string())),
                    }
                }
                errors
            })
        })
        .collect();
    let faults = faults();
    println!("{faults:?}");
    let mut at_third = (0, 0);
    for (index, fault) in faults.iter().enumerate() {
        suffer(&cluster, &factory, *fault);
        assert_fresh(&factory, &cluster);
        if index == 2 {
            // What the first failovers discovered (every sentinel, every node) is open now.
            at_third = (library_threads(), descriptors());
        }
    }
    let settled = wait_until(PATIENCE, || {
        // A link to a node that is just restarting may have been missing at the third.
        library_threads() <= at_third.0 && descriptors() <= at_third.1 + 2
    });
    let now = (library_threads(), descriptors());
    assert!(settled, "threads and descriptors: {at_third:?} at the third, {now:?} at the tenth");
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        let errors = worker.join().unwrap();
        assert!(errors.len() <= 10, "more than one error for each failover: {errors:#?}");
    }
    assert!(written.load(Ordering::Relaxed) > 0);
    assert!(factory.generation() >= 11);
}
