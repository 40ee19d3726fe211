//! Opening and closing.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::*;
use crossbeam_channel::RecvTimeoutError;
use redis::Commands;
use switchmaster::{Error, ErrorKind, Factory, Outcome};
use switchmaster_sandbox::wait_until;

/// One test, because it counts what the whole process has.
#[test]
fn a_factory_leaves_nothing_behind_however_it_ends() {
    let cluster = cluster();
    let url = cluster.url();
    let open_and_close = || {
        let factory = Factory::open(&url).unwrap();
        let mut handle = factory.get().unwrap();
        handle.set::<_, _, ()>("opened", 1).unwrap();
        drop(handle);
        let begun = Instant::now();
        factory.close();
        assert!(begun.elapsed() < Duration::from_secs(1), "close() took {:?}", begun.elapsed());
    };
    let nothing_left = |descriptors_before: usize| {
        assert!(wait_until(PATIENCE, || library_threads() == 0), "{:?}", threads());
        let gone = wait_until(PATIENCE, || descriptors() <= descriptors_before);
        assert!(gone, "more than {descriptors_before}: {:#?}", descriptor_targets());
    };
    let before = descriptors();
    open_and_close();
    nothing_left(before);
    for _ in 0..100 {
        open_and_close();
    }
    nothing_left(before);
    let memory = resident_kib();
    for _ in 0..900 {
        open_and_close();
    }
    nothing_left(before);
    let grown = resident_kib().saturating_sub(memory);
    assert!(grown < 2048, "900 factories left {grown} KiB behind");

    // Dropped instead of closed, and with a handle that outlives it.
    let factory = Factory::open(&url).unwrap();
    let handle = factory.get().unwrap();
    drop(factory);
    drop(handle);
    nothing_left(before);

    // Two factories share one watch thread; it ends with the second.
    let first = Factory::open(&url).unwrap();
    let second = Factory::open(&url).unwrap();
    assert_eq!(threads().get("switchmaster-wa"), Some(&1), "{:?}", threads());
    first.close();
    assert!(second.get().is_ok());
    second.close();
    nothing_left(before);

    // A factory that could not be opened.
    let unknown = format!("{}?connect_timeout=300ms", url.replace("mymaster", "nobody"));
    assert_eq!(Factory::open(&unknown).unwrap_err().kind(), ErrorKind::UnknownService);
    nothing_left(before);

    a_closed_factory_refuses_everything(&url);
    nothing_left(before);
}

fn a_closed_factory_refuses_everything(url: &str) {
    let factory = Factory::open(&format!("{url}?max_size=1")).unwrap();
    let mut handle = factory.get().unwrap();
    let events = factory.events();
    let reader = {
        let factory = factory.clone();
        thread::spawn(move || factory.get())
    };
    assert!(wait_until(PATIENCE, || factory.stats().waiting == 1));
    factory.close();
    factory.close();
    assert_eq!(reader.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(factory.get().unwrap_err().kind(), ErrorKind::Closed);
    assert!(factory.try_get().is_none());
    assert!(factory.topology().is_err());
    assert_eq!(factory.master(), None);
    assert_eq!(factory.wait_for_generation(7, Duration::from_secs(60)), None);
    let error = handle.set::<_, _, ()>("closed", 1).unwrap_err();
    assert_eq!(Error::from_redis(&error).unwrap().kind(), ErrorKind::Closed, "{error}");
    assert_eq!(Outcome::of(&error), Outcome::NotSent);
    assert!(events.iter().count() < 1000, "the stream of events ends");
    let late = factory.events().recv_timeout(PATIENCE);
    assert_eq!(
        late.err(),
        Some(RecvTimeoutError::Disconnected),
        "one that is opened now ends, too"
    );
}
