//! What the feature `metrics` tells.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use common::*;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;
use switchmaster::Factory;
use switchmaster_sandbox::wait_until;

/// Keeps what it is told, by name and service.
#[derive(Clone, Default)]
struct Kept {
    values: Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>,
    described: Arc<Mutex<BTreeSet<String>>>,
}

impl Kept {
    fn place(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
        let name = format!("{} {}", key.name(), labels.join(","));
        self.values.lock().entry(name).or_default().clone()
    }

    fn count(&self, name: &str) -> u64 {
        let values = self.values.lock();
        values.get(&format!("{name} mymaster")).map_or(0, |value| value.load(Ordering::SeqCst))
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.count(name))
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().insert(key.as_str().to_owned());
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().insert(key.as_str().to_owned());
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().insert(key.as_str().to_owned());
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.place(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.place(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Durations(self.place(key))))
    }
}

/// Counts durations.
struct Durations(Arc<AtomicU64>);

impl metrics::HistogramFn for Durations {
    fn record(&self, seconds: f64) {
        assert!((0.0..60.0).contains(&seconds), "{seconds} s");
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_stats_are_told_under_the_name_of_the_service() {
    let kept = Kept::default();
    metrics::set_global_recorder(kept.clone()).unwrap();
    let cluster = cluster();
    let url = format!("{}?max_size=2&min_idle=2", cluster.url());
    let factory = Factory::open(&url).unwrap();
    assert!(wait_until(PATIENCE, || factory.stats().idle == 2), "{:?}", factory.stats());
    let held = [factory.get().unwrap(), factory.get().unwrap()];
    let waiter = thread::spawn({
        let factory = factory.clone();
        move || drop(factory.get().unwrap())
    });
    let pending = || kept.gauge("switchmaster_connections_pending") == 1.0;
    assert!(wait_until(PATIENCE, pending), "{:?}", kept.values.lock());
    assert_eq!(kept.gauge("switchmaster_connections_active"), 2.0);
    drop(held);
    waiter.join().unwrap();
    let calm = || {
        kept.gauge("switchmaster_connections_idle") == 2.0
            && kept.count("switchmaster_usage_seconds") == 3
    };
    assert!(wait_until(PATIENCE, calm), "{:?}", kept.values.lock());
    let told = |name| (kept.gauge(name), kept.described.lock().contains(name));
    assert_eq!(told("switchmaster_connections"), (2.0, true));
    assert_eq!(told("switchmaster_connections_max"), (2.0, true));
    assert_eq!(told("switchmaster_connections_min"), (2.0, true));
    let counted = |name| (kept.count(name), kept.described.lock().contains(name));
    assert_eq!(counted("switchmaster_checkouts_total"), (3, true));
    assert_eq!(counted("switchmaster_waits_total"), (1, true));
    assert_eq!(counted("switchmaster_wait_seconds"), (1, true));
    assert_eq!(counted("switchmaster_switches_total"), (1, true));
}
