//! What is concluded from records made by hand.

use std::time::{Duration, Instant};

use switchmaster::Outcome;

use super::{
    WIDTH, contract,
    exercise::Record,
    fault::Fault,
    operation::{Duty, Operation, Track, Trouble},
    picture,
    report::Report,
    table,
};

/// The clock of a record: its fault is at 1000 ms, its promotion at 2000, its announcement at 3000.
struct Clock(Instant);

impl Clock {
    fn at(&self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }

    fn done(&self, began: u64, ended: u64, generation: u64, number: u64) -> Operation {
        let (began, ended) = (self.at(began), self.at(ended));
        Operation { began, ended, generation, number, trouble: None }
    }

    fn failed(&self, began: u64, ended: u64) -> Operation {
        let trouble = Trouble {
            outcome: Outcome::Unknown,
            kind: "disconnected",
            message: "the connection broke".to_owned(),
        };
        Operation { trouble: Some(trouble), ..self.done(began, ended, 1, 0) }
    }

    fn record(&self, fault: Fault, tracks: Vec<Track>) -> Record {
        Record {
            fault,
            from: "a:1".to_owned(),
            to: "b:2".to_owned(),
            generation: 1,
            struck: self.at(1000),
            promotion: Some(self.at(2000)),
            announcement: Some(self.at(3000)),
            switch: Some(self.at(2010)),
            stopped: self.at(4000),
            tracks,
            stale: None,
            lost: Vec::new(),
        }
    }
}

fn track(duty: Duty, operations: Vec<Operation>) -> Track {
    Track { duty, index: 0, operations, running: None }
}

fn clock() -> Clock {
    Clock(Instant::now())
}

#[test]
fn a_good_failover_breaks_nothing() {
    let clock = clock();
    let writes = vec![
        clock.done(990, 991, 1, 0),
        clock.failed(1000, 1001),
        clock.done(1005, 2012, 2, 1),
        clock.done(3001, 3002, 2, 2),
        clock.done(3900, 3901, 2, 3),
    ];
    let report = Report::of(clock.record(Fault::Kill, vec![track(Duty::Write, writes)]));
    assert_eq!(contract::broken(&report), Vec::<String>::new());
    assert_eq!(report.struck, -1000.0);
    assert_eq!(report.first_write, Some(12.0));
    assert_eq!(report.last_writer, Some(12.0));
    assert_eq!(report.waits, [("writer 0".to_owned(), 1021.0)]);
    assert_eq!((report.acknowledged, report.errors()), (4, 1));
}

#[test]
fn each_broken_promise_is_told() {
    let clock = clock();
    let late =
        vec![clock.failed(1000, 1001), clock.failed(1001, 1002), clock.done(1005, 3200, 2, 1)];
    let mut record = clock.record(Fault::Freeze, vec![track(Duty::Write, late)]);
    record.stale = Some("its role is \"slave\"".to_owned());
    let broken = contract::broken(&Report::of(record));
    let parts = ["200.0 ms after the first announcement", "writer 0 by 200", "2 errors", "slave"];
    assert_eq!(broken.len(), parts.len(), "{broken:?}");
    for (breach, part) in broken.iter().zip(parts) {
        assert!(breach.starts_with("freeze: ") && breach.contains(part), "{part} in {breach}");
    }

    let mut record = clock.record(Fault::Planned, Vec::new());
    record.switch = None;
    let broken = contract::broken(&Report::of(record));
    assert_eq!(broken, ["planned: the factory did not switch in time"]);
}

#[test]
fn a_blocked_reader_is_stuck_only_while_there_is_something_to_read() {
    let clock = clock();
    let stuck = |fed: u64| {
        let reader = Track { running: Some(clock.at(2020)), ..track(Duty::Block, Vec::new()) };
        let feeder = track(Duty::Feed, vec![clock.done(fed, fed, 2, 0)]);
        Report::of(clock.record(Fault::Kill, vec![reader, feeder])).stuck
    };
    assert_eq!(stuck(3200), [("blocked 0".to_owned(), 800.0)]);
    assert_eq!(stuck(2030), [("blocked 0".to_owned(), 1000.0)]);
    assert_eq!(stuck(3950), []);
    // What it was fed before it began to wait was somebody's before.
    assert_eq!(stuck(2010), []);
}

#[test]
fn a_worker_that_never_goes_on_is_stuck() {
    let clock = clock();
    let writer = Track {
        running: Some(clock.at(1000)),
        ..track(Duty::Write, vec![clock.done(900, 901, 1, 0)])
    };
    let report = Report::of(clock.record(Fault::Kill, vec![writer]));
    assert_eq!(report.stuck, [("writer 0".to_owned(), 1000.0)]);
    assert_eq!((report.first_write, report.last_writer), (None, None));
    assert_eq!(report.waits, [("writer 0".to_owned(), 3099.0)]);
}

#[test]
fn what_is_printed_fits_the_width() {
    let clock = clock();
    let steady = |duty| {
        let each = (0..400).map(|n| clock.done(n * 10, n * 10 + 5, 1 + n / 201, n));
        track(duty, each.collect())
    };
    let mut writer = steady(Duty::Write);
    writer.operations.push(clock.failed(1000, 1001));
    let report = Report::of(clock.record(Fault::Planned, vec![writer, steady(Duty::Read)]));
    let picture = picture::draw(&report, false);
    assert!(picture.contains('x') && picture.contains('█'), "{picture}");
    assert!(picture::draw(&report, true).is_ascii());
    let text = table::single(&report) + &picture + &table::spread(Fault::Planned, &[report]);
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
}
