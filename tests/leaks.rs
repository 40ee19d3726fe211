//! Handles that nobody gives back.

mod common;

use std::{
    panic::Location,
    thread,
    time::{Duration, Instant},
};

use common::*;
use crossbeam_channel::Receiver;
use parking_lot::Mutex;
use switchmaster::{Event, Factory};
use switchmaster_sandbox::{Cluster, wait_until};

const AFTER: Duration = Duration::from_millis(200);

fn watched(cluster: &Cluster) -> Factory {
    Factory::open(&format!("{}?leak_after=200ms&max_size=8", cluster.url())).unwrap()
}

/// The next leak that is told: the line where the handle was taken, and how long it was out.
fn leak(events: &Receiver<Event>) -> (&'static Location<'static>, Duration) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match events.recv_deadline(deadline).expect("a leak is told") {
            Event::Leaked { place, out, .. } => return (place, out),
            _ => continue,
        }
    }
}

/// Keeps every line of the log.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().push(format!("{}: {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

#[test]
fn a_handle_that_is_kept_is_told_once_with_the_place_where_it_was_taken() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let cluster = cluster();
    let factory = watched(&cluster);
    let events = factory.events();
    let line = line!() + 1;
    let kept = factory.get().unwrap();
    let (place, out) = leak(&events);
    assert_eq!((place.file(), place.line()), (file!(), line));
    assert!(out >= AFTER, "{out:?}");
    let text = format!("WARN: the handle taken at {place} has been out for");
    let logged = || LINES.0.lock().iter().filter(|line| line.starts_with(&text)).count();
    assert!(wait_until(PATIENCE, || logged() == 1), "{:?}", LINES.0.lock());

    // The next that is told is another's: the first is not told again.
    let line = line!() + 1;
    let kept_too = thread::scope(|scope| scope.spawn(|| factory.try_get()).join().unwrap());
    assert_eq!(leak(&events).0.line(), line);
    assert_eq!((factory.stats().leaks, logged()), (2, 1));
    drop((kept, kept_too));

    // Given back and taken again, it is told again.
    let line = line!() + 1;
    let again = factory.get_timeout(AFTER).unwrap();
    assert_eq!(leak(&events).0.line(), line);
    drop(again);
}

#[test]
fn a_kept_handle_to_a_replica_is_reported_once_also_after_its_replica_is_gone() {
    let cluster = cluster();
    let factory = watched(&cluster);
    let events = factory.events();
    let line = line!() + 1;
    let kept = factory.replica().unwrap();
    assert_eq!(leak(&events).0.line(), line);
    let node = cluster.node_at(kept.address().unwrap().port()).unwrap();
    let line = line!() + 1;
    let kept_too: Vec<_> = (0..2).map(|_| factory.replica().unwrap()).collect();
    node.kill().unwrap();
    assert_eq!([leak(&events).0.line(), leak(&events).0.line()], [line; 2]);
    let begun = Instant::now();
    assert!(wait_until(PATIENCE, || begun.elapsed() > 4 * AFTER));
    assert_eq!(factory.stats().leaks, 3);
    drop((kept, kept_too));
}

#[test]
fn work_that_runs_for_too_long_is_told_by_the_place_of_its_run() {
    let cluster = cluster();
    let factory = watched(&cluster);
    let events = factory.events();
    let line = line!() + 1;
    let work = factory.run(|_| {
        assert_eq!(leak(&events).0.line(), line);
        Ok(())
    });
    work.unwrap();
}

#[test]
fn handles_that_come_back_are_no_leaks_however_often_they_are_taken() {
    let cluster = cluster();
    let factory = watched(&cluster);
    let begun = Instant::now();
    while begun.elapsed() < 4 * AFTER {
        drop(factory.get().unwrap());
    }
    assert_eq!(factory.stats().leaks, 0);
    // Nor is anything told where it is not asked for.
    let factory = Factory::open(&cluster.url()).unwrap();
    let _kept = factory.get().unwrap();
    let begun = Instant::now();
    assert!(wait_until(PATIENCE, || begun.elapsed() > 4 * AFTER));
    assert_eq!(factory.stats().leaks, 0);
}

#[test]
fn a_handle_that_moved_is_still_told_by_the_place_where_it_was_taken() {
    let cluster = cluster();
    let factory = watched(&cluster);
    let line = line!() + 1;
    let mut kept = factory.get().unwrap();
    cluster.failover().unwrap();
    wait_for_switch(&factory, 1);
    // With its next command it moves to the new master.
    let events = factory.events();
    assert!(wait_until(PATIENCE, || redis::cmd("PING").query::<String>(&mut kept).is_ok()));
    assert_eq!(kept.generation(), 2);
    let generation = loop {
        let event = events.recv_timeout(PATIENCE).expect("a leak is told");
        if let Event::Leaked { place, generation, .. } = event
            && place.line() == line
        {
            break generation;
        }
    };
    assert!(generation == 1 || generation == 2);
}
