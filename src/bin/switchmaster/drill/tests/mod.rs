//! What is concluded from records made by hand.

mod faults;
mod page;

use std::time::{Duration, Instant};

use switchmaster::Outcome;

use super::{
    arguments::SwitchOn,
    contract,
    fault::Fault,
    figure::Statistic,
    operation::{Duty, Operation, Track, Trouble},
    picture,
    record::{Failover, Lost, Record},
    report::Report,
    table,
    target::Target,
};
use crate::wrap::WIDTH;

const WAYS: [SwitchOn; 3] = [SwitchOn::Promotion, SwitchOn::Confirmation, SwitchOn::Announcement];

/// The clock of a record: its fault is at 1000 ms, its promotion at 2000, its announcement at 3000.
struct Clock(Instant);

impl Clock {
    fn at(&self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }

    fn done(&self, began: u64, ended: u64, generation: u64, number: u64) -> Operation {
        let (began, ended) = (self.at(began), self.at(ended));
        Operation { began, ended, generation, number, count: 1, trouble: None }
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
            switch_on: SwitchOn::Promotion,
            subscribe_denied: false,
            began: self.at(1000),
            failovers: vec![self.failover()],
            steps: Vec::new(),
            events: Vec::new(),
            stopped: self.at(4000),
            tracks,
            stale: None,
            lost: Vec::new(),
        }
    }

    fn failover(&self) -> Failover {
        Failover {
            from: "a:1".to_owned(),
            to: "b:2".to_owned(),
            generation: 1,
            struck: self.at(1000),
            promotion: Some(self.at(2000)),
            announcement: Some(self.at(3000)),
            healed: None,
            switch: Some(self.at(2010)),
            next: 2,
        }
    }

    fn lost(&self, at: u64) -> Lost {
        let generation = if at < 2000 { 1 } else { 2 };
        Lost { writer: "writer 0".to_owned(), number: at, at: self.at(at), generation }
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
    let turn = &report.turns[0];
    assert_eq!(
        (turn.struck, turn.first_write, turn.last_writer),
        (-1000.0, Some(12.0), Some(12.0))
    );
    assert_eq!(report.waits, [("writer 0".to_owned(), 1021.0)]);
    assert_eq!(report.pause, Some(1021.0));
    assert_eq!(turn.part_of_announcement(turn.first_write), Some(0.012));
    assert_eq!((report.acknowledged, report.errors.total()), (4, 1));
}

fn assert_broken(record: Record, parts: &[&str]) {
    let (fault, broken) = (record.fault, contract::broken(&Report::of(record)));
    assert_eq!(broken.len(), parts.len(), "{broken:?}");
    for (breach, part) in broken.iter().zip(parts) {
        assert!(breach.starts_with(&format!("{fault}: ")), "{breach}");
        assert!(breach.contains(part), "{part} in {breach}");
    }
}

#[test]
fn each_broken_promise_is_told() {
    let clock = clock();
    let late =
        vec![clock.failed(1000, 1001), clock.failed(1001, 1002), clock.done(1005, 2400, 2, 1)];
    let mut record = clock.record(Fault::Freeze, vec![track(Duty::Write, late)]);
    record.stale = Some("its role is \"slave\"".to_owned());
    assert_broken(
        record,
        &[
            "first acknowledged write came 400.0 ms after the promotion",
            "last writer's first acknowledged write came 400.0 ms",
            "after the promotion, late: writer 0 by 400 ms",
            "2 errors",
            "slave",
        ],
    );

    let mut record = clock.record(Fault::Planned, Vec::new());
    record.failovers[0].switch = None;
    assert_broken(record, &["the factory did not switch in time", "acknowledged no write"]);
}

#[test]
fn whoever_waits_for_the_sentinels_is_judged_by_their_word() {
    let clock = clock();
    let record = |way, ended| {
        let writes = vec![clock.done(1005, ended, 2, 1)];
        let record = clock.record(Fault::Kill, vec![track(Duty::Write, writes)]);
        Record { switch_on: way, ..record }
    };
    for way in [SwitchOn::Confirmation, SwitchOn::Announcement] {
        assert_broken(record(way, 3050), &[]);
        let parts = ["200.0 ms after the first announcement", "announcement, late: writer 0"];
        assert_broken(record(way, 3200), &parts);
    }
    // A deployment's promotion is seen by nobody.
    let unseen = |ended| {
        let mut record = record(SwitchOn::Promotion, ended);
        record.failovers[0].promotion = None;
        record
    };
    assert_broken(unseen(3050), &[]);
    assert_broken(unseen(3200), &["the first announcement", "the first announcement"]);
}

#[test]
fn a_planned_failover_at_the_promotion_costs_no_write_and_no_error() {
    let clock = clock();
    let record = |way| {
        let writes = vec![clock.failed(1990, 1991), clock.done(1995, 2005, 2, 1)];
        let mut record = clock.record(Fault::Planned, vec![track(Duty::Write, writes)]);
        record.switch_on = way;
        record.lost = vec![clock.lost(1880), clock.lost(1800), clock.lost(1820)];
        record
    };
    assert_broken(record(SwitchOn::Promotion), &["1 errors", "3 acknowledged writes are lost"]);
    assert_broken(record(SwitchOn::Confirmation), &[]);

    // Where nobody hears of it, the last few are lost.
    let unheard = || Record { subscribe_denied: true, ..record(SwitchOn::Promotion) };
    assert_broken(unheard(), &["1 errors", "those of 80.0 ms"]);
    let mut few = unheard();
    few.lost.remove(0);
    assert_broken(few, &["1 errors"]);
}

#[test]
fn a_blocked_reader_that_is_woken_has_no_error() {
    let clock = clock();
    let readers = vec![
        track(Duty::Block, vec![clock.failed(1500, 2010)]),
        track(Duty::Read, vec![clock.failed(1500, 2010)]),
    ];
    let report = Report::of(clock.record(Fault::Freeze, readers));
    assert_eq!((report.errors.total(), report.errors.woken), (1, 1));
    let json = report.errors.to_json();
    assert_eq!(
        (&json["readers"], &json["blocked"], &json["woken"]),
        (&1.into(), &0.into(), &1.into())
    );

    let mut unsent = clock.failed(1500, 2010);
    unsent.trouble.as_mut().unwrap().outcome = Outcome::NotSent;
    let report = Report::of(clock.record(Fault::Freeze, vec![track(Duty::Block, vec![unsent])]));
    assert_eq!((report.errors.total(), report.errors.woken), (1, 0));
}

#[test]
fn a_target_is_missed_when_a_run_has_no_value() {
    let clock = clock();
    let run = |ended: Option<u64>| {
        let writes = ended.map(|ended| clock.done(1005, ended, 2, 1));
        Report::of(
            clock.record(Fault::Kill, vec![track(Duty::Write, writes.into_iter().collect())]),
        )
    };
    let target = |figure, statistic| {
        let mut targets = Target::of(Fault::Kill, false).iter();
        targets.find(|t| t.figure == figure && t.statistic == statistic).expect("a target")
    };
    let (fast, slow, never) = (run(Some(2003)), run(Some(2028)), run(None));
    let p50 = target("first_write_ms", Statistic::P50);
    let p99 = target("first_write_ms", Statistic::P99);
    let all = target("last_writer_ms", Statistic::P99);
    for (runs, met) in [
        (vec![&fast], [true, true, true]),
        (vec![&fast, &slow], [true, false, true]),
        (vec![&slow], [false, false, true]),
        (vec![&fast, &never], [false, false, false]),
    ] {
        assert_eq!([p50, p99, all].map(|target| target.is_met(&runs)), met);
    }
    assert_eq!(p50.value(&[&fast, &slow]), Some(3.0));
}

#[test]
fn every_target_is_for_a_figure_that_is_compared() {
    let clock = clock();
    for fault in [Fault::Kill, Fault::Freeze, Fault::Planned, Fault::Coordinated] {
        for denied in [false, true] {
            let targets = Target::of(fault, denied);
            let report = Report::of(clock.record(fault, Vec::new()));
            let text = table::compared(fault, &WAYS, &[report], targets);
            let verdicts =
                text.lines().filter(|line| line.ends_with(" ok") || line.ends_with(" MISSED"));
            assert_eq!(verdicts.count(), targets.len(), "{text}");
        }
    }
}

#[test]
fn a_blocked_reader_is_stuck_only_while_there_is_something_to_read() {
    let clock = clock();
    let stuck = |fed: u64| {
        let reader = Track { running: Some(clock.at(2020)), ..track(Duty::Block, Vec::new()) };
        let feeder = track(Duty::Feed, vec![clock.done(fed, fed, 2, 0)]);
        let record = clock.record(Fault::Kill, vec![reader, feeder]);
        Report::of(Record { switch_on: SwitchOn::Confirmation, ..record }).stuck
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
    assert_eq!(report.stuck, [("writer 0".to_owned(), 2000.0)]);
    let turn = &report.turns[0];
    assert_eq!((turn.first_write, turn.last_writer), (None, None));
    assert_eq!(report.waits, [("writer 0".to_owned(), 3099.0)]);
}

#[test]
fn what_is_printed_fits_the_width() {
    let clock = clock();
    let steady = |duty| {
        let each = (0..400).map(|n| clock.done(n * 10, n * 10 + 5, 1 + n / 201, n));
        track(duty, each.collect())
    };
    let report = |switch_on| {
        let mut writer = steady(Duty::Write);
        writer.operations.retain(|done| !(clock.at(2000)..clock.at(2300)).contains(&done.ended));
        writer.operations.push(clock.failed(1000, 1001));
        let mut late = clock.done(2010, 3900, 2, 0);
        late.trouble = clock.failed(0, 0).trouble.map(|trouble| Trouble {
            outcome: Outcome::NotSent,
            kind: "unknown-service",
            ..trouble
        });
        let mut reader = steady(Duty::Read);
        reader.operations.push(late);
        let mut record = clock.record(Fault::Planned, vec![writer, reader]);
        record.lost = vec![clock.lost(1880), clock.lost(2800)];
        Report::of(Record { switch_on, ..record })
    };
    let reports = WAYS.map(report);
    let picture = picture::draw(&reports[0], false);
    assert!(picture.contains('x') && picture.contains('█'), "{picture}");
    assert!(picture::draw(&reports[0], true).is_ascii());
    let targets = Target::of(Fault::Planned, false);
    let text = table::single(&reports)
        + &table::single(&reports[..1])
        + &picture
        + &table::spread(Fault::Planned, &reports[..1])
        + &table::compared(Fault::Planned, &WAYS, &reports, targets);
    assert!(text.contains("BROKEN: promotion: planned: "), "{text}");
    assert!(text.contains("at most") && text.contains("  120 MISSED"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
}
