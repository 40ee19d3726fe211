//! What the feature `tracing` tells.

mod common;

use std::{
    fmt::{Debug, Write},
    sync::Arc,
    thread,
};

use common::*;
use parking_lot::Mutex;
use switchmaster::Factory;
use switchmaster_sandbox::wait_until;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
};

/// Keeps a line for every span and event of ours.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Lines {
    fn contain(&self, parts: &[&str]) -> bool {
        self.0.lock().iter().any(|line| parts.iter().all(|part| line.contains(part)))
    }

    fn count(&self, part: &str) -> usize {
        self.0.lock().iter().filter(|line| line.contains(part)).count()
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "switchmaster"
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut line = Line(format!("span {}", span.metadata().name()));
        span.record(&mut line);
        self.0.lock().push(line.0);
        span::Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().push(line.0);
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {
        self.0.lock().push("exit".to_owned());
    }
}

#[test]
fn events_and_waits_are_told() {
    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.clone()).unwrap();
    let cluster = cluster();
    let factory = Factory::open(&format!("{}?max_size=1", cluster.url())).unwrap();
    // The pool is there a moment before it is told.
    let first = ["INFO", "service=\"mymaster\"", "event=\"switched\"", "generation=1"];
    assert!(wait_until(PATIENCE, || lines.contain(&first)), "{:#?}", lines.0.lock());
    let held = factory.get().unwrap();
    // It may have waited itself, for the pool's first connection.
    let before = lines.count("span wait_for_handle");
    assert_eq!(lines.count("exit"), before);
    let waiter = thread::spawn({
        let factory = factory.clone();
        move || drop(factory.get().unwrap())
    });
    let waits = || lines.count("span wait_for_handle") == before + 1;
    assert!(wait_until(PATIENCE, waits), "{:#?}", lines.0.lock());
    assert!(lines.contain(&["span wait_for_handle", "place=tests/tracing.rs:"]));
    assert_eq!(lines.count("exit"), before, "it has not ended");
    drop(held);
    waiter.join().unwrap();
    assert_eq!(lines.count("exit"), before + 1);

    cluster.failover().unwrap();
    wait_for_switch(&factory, 1);
    for parts in
        [&["INFO", "event=\"fence-raised\""][..], &["INFO", "event=\"switched\"", "generation=2"]]
    {
        assert!(wait_until(PATIENCE, || lines.contain(parts)), "{:#?}", lines.0.lock());
    }
}
