//! The factory follows real failovers.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{load::Load, *};
use redis::Commands;
use switchmaster::{Error, ErrorKind, Event, Factory, Outcome, SwitchOn};

#[test]
fn a_killed_master_is_followed() {
    let cluster = cluster();
    let factory = factory(&cluster);
    assert_eq!(factory.generation(), 1);
    assert_fresh(&factory, &cluster);
    let old = cluster.kill_master().unwrap();
    wait_for_switch(&factory, 1);
    wait_for_write(&factory);
    assert_ne!(factory.master().unwrap().port(), old.port());
    assert_fresh(&factory, &cluster);
}

#[test]
fn a_frozen_master_is_followed_and_its_blocked_reader_wakes() {
    let cluster = cluster();
    let factory = factory(&cluster);
    let old = cluster.master().unwrap();
    let reader = thread::spawn({
        let mut handle = factory.get().unwrap();
        move || {
            let popped = handle.blpop::<_, Option<(String, String)>>("never:pushed", 0.0);
            (popped, Instant::now(), handle)
        }
    });
    // The reader is blocked in the server, not merely on its way to it.
    assert!(switchmaster_sandbox::wait_until(PATIENCE, || {
        old.info("clients", "blocked_clients").is_ok_and(|blocked| blocked == "1")
    }));
    cluster.freeze_master().unwrap();
    wait_for_switch(&factory, 1);
    let switched = Instant::now();
    let (popped, woken, mut handle) = reader.join().unwrap();
    let error = popped.unwrap_err();
    assert_eq!(Outcome::of(&error), Outcome::Unknown, "{error}");
    assert_eq!(Error::from_redis(&error).unwrap().kind(), ErrorKind::Switched);
    assert!(
        woken.saturating_duration_since(switched) < Duration::from_secs(1),
        "it woke by itself"
    );
    // It held no state, so it goes on with the new master.
    handle.set::<_, _, ()>("after", "the switch").unwrap();
    assert_eq!(handle.generation(), factory.generation());
    assert_fresh(&factory, &cluster);
}

#[test]
fn a_thawed_master_gets_nothing_from_handles_of_its_generation() {
    let cluster = cluster();
    let factory = factory(&cluster);
    let old = cluster.master().unwrap();
    let mut held: Vec<_> = (0..3).map(|_| factory.get().unwrap()).collect();
    for handle in &mut held {
        handle.set::<_, _, ()>("held", "before").unwrap();
    }
    cluster.freeze_master().unwrap();
    wait_for_switch(&factory, 1);
    old.resume().unwrap();
    let commands = |field: &str| old.info("commandstats", field).unwrap_or_default();
    let before = commands("cmdstat_set");
    for handle in &mut held {
        handle.set::<_, _, ()>("held", "after").unwrap();
        assert_eq!(handle.generation(), factory.generation());
    }
    assert_eq!(commands("cmdstat_set"), before, "the old master executed a SET after the switch");
}

#[test]
fn a_planned_failover_is_followed_in_every_mode() {
    let cluster = cluster();
    let modes = [SwitchOn::Promotion, SwitchOn::Confirmation, SwitchOn::Announcement];
    let open = |mode| {
        let sentinels = cluster.sentinels().iter().map(|sentinel| sentinel.address());
        let builder = Factory::builder().sentinels(sentinels).service(cluster.service());
        builder.switch_on(mode).build().unwrap()
    };
    let factories = modes.map(open);
    cluster.failover().unwrap();
    for factory in &factories {
        wait_for_switch(factory, 1);
    }
    cluster.wait_settled(PATIENCE).unwrap();
    for factory in &factories {
        wait_for_write(factory);
        assert_fresh(factory, &cluster);
    }
}

#[test]
fn what_the_old_master_acknowledged_after_the_promotion_is_told() {
    let cluster = cluster();
    let late = named_factory(&cluster).switch_on(SwitchOn::Announcement).fence(false);
    let factory = late.build().unwrap();
    wait_until_calm(&factory, &cluster);
    let load = Load::begin(&factory, 4);
    cluster.failover().unwrap();
    wait_for_switch(&factory, 1);
    load.wait_for(100);
    cluster.repair(PATIENCE).unwrap();
    let tally = load.end();
    let lost = tally.lost(&cluster.master().unwrap());
    let told = factory.stats().overruled_commands;
    assert!(!lost.is_empty(), "the announcement came before the promotion");
    assert!(lost.len() as u64 <= told, "{told} told; {}", tally.describe(&lost));
}

#[test]
fn a_handle_that_holds_state_is_refused_after_the_switch() {
    let cluster = cluster();
    let factory = factory(&cluster);
    let mut watching = factory.get().unwrap();
    redis::cmd("WATCH").arg("key").exec(&mut watching).unwrap();
    let mut queueing = factory.get().unwrap();
    redis::cmd("MULTI").exec(&mut queueing).unwrap();
    let mut elsewhere = factory.get().unwrap();
    redis::cmd("SELECT").arg(3).exec(&mut elsewhere).unwrap();
    cluster.failover().unwrap();
    wait_for_switch(&factory, 1);
    for handle in [&mut watching, &mut queueing, &mut elsewhere] {
        let error = handle.set::<_, _, ()>("key", "value").unwrap_err();
        assert_eq!(Outcome::of(&error), Outcome::NotSent, "{error}");
        assert_eq!(Error::from_redis(&error).unwrap().kind(), ErrorKind::Switched, "{error}");
        let error = handle.get::<_, Option<String>>("key").unwrap_err();
        assert_eq!(Error::from_redis(&error).unwrap().kind(), ErrorKind::Poisoned, "{error}");
        assert_eq!(Outcome::of(&error), Outcome::NotSent);
    }
    drop((watching, queueing, elsewhere));
    assert_fresh(&factory, &cluster);
}

#[test]
fn the_switch_is_told_as_an_event() {
    let cluster = cluster();
    let factory = factory(&cluster);
    let events = factory.events();
    let old = factory.master().unwrap();
    cluster.failover().unwrap();
    let until = Instant::now() + PATIENCE;
    let switched = std::iter::from_fn(|| events.recv_deadline(until).ok())
        .find(|event| matches!(event, Event::Switched { .. }));
    let Some(Event::Switched { generation, from, to, .. }) = switched else {
        panic!("no event told of the switch")
    };
    assert_eq!((generation, from), (2, Some(old)));
    assert_eq!(to, factory.master().unwrap());
}
