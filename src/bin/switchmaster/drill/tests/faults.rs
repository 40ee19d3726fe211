//! What is promised of each fault, and how it is told that it was broken.

use super::*;

fn writes(operations: Vec<Operation>) -> Vec<Track> {
    vec![track(Duty::Write, operations)]
}

#[test]
fn whoever_was_cut_off_has_a_second_to_find_the_others() {
    let clock = clock();
    let record = |ended| {
        let held = clock.done(1900, ended, 2, 1);
        let mut record = clock.record(Fault::Partition, writes(vec![held]));
        record.failovers[0].healed = Some(clock.at(3100));
        record
    };
    assert_broken(record(4000), &[]);
    assert_broken(
        record(4200),
        &["1100.0 ms after the end of the partition", "end of the partition, late: writer 0"],
    );
}

#[test]
fn a_factory_that_is_shut_in_loses_nothing_and_sends_nothing_that_is_held() {
    let clock = clock();
    let mut held = clock.failed(1100, 3100);
    held.trouble.as_mut().unwrap().outcome = Outcome::NotSent;
    // Each of them fails again and again, which is what holding means.
    let mut operations = vec![held; 5];
    operations.push(clock.done(3100, 3110, 2, 1));
    let mut record = clock.record(Fault::Partition, writes(operations.clone()));
    record.failovers[0].healed = Some(clock.at(3050));
    assert_broken(record, &[]);

    operations.splice(..3, vec![clock.failed(1100, 1200); 3]);
    let mut record = clock.record(Fault::Partition, writes(operations));
    record.failovers[0].healed = Some(clock.at(3050));
    record.lost = vec![clock.lost(1500)];
    assert_broken(
        record,
        &["3 commands that failed may have run", "commands had to be held before the master"],
    );
}

#[test]
fn writes_to_an_unconfirmed_master_may_be_lost_as_far_as_that_is_told() {
    let clock = clock();
    let record = |lost: &[u64]| {
        let done = clock.done(1900, 3050, 2, 1);
        let mut record = clock.record(Fault::Leader, writes(vec![done]));
        record.lost = lost.iter().map(|at| clock.lost(*at)).collect();
        record
    };
    // The last words of a master that is killed, and those of one that nobody confirmed.
    assert_broken(record(&[980]), &[]);
    assert_broken(record(&[900]), &["1 writes are lost that were acknowledged more than 50 ms"]);
    assert_broken(record(&[2100, 2200]), &["2 writes to the unconfirmed master"]);
}

#[test]
fn a_dead_leader_has_nobody_wait_for_the_promotion() {
    let clock = clock();
    let record = |ended| {
        let done = clock.done(1000, ended, 2, 1);
        clock.record(Fault::Leader, writes(vec![done]))
    };
    assert_broken(record(3050), &[]);
    assert_broken(record(3200), &["after the first announcement", "announcement, late: writer 0"]);
}

#[test]
fn a_sentinel_that_is_slow_or_mute_is_no_excuse() {
    let clock = clock();
    for fault in [Fault::SlowSentinel, Fault::PubsubLoss] {
        let record = |ended| {
            let done = clock.done(1005, ended, 2, 1);
            clock.record(fault, writes(vec![done]))
        };
        assert_broken(record(2090), &[]);
        let parts = ["700.0 ms after the promotion", "last writer", "late: writer 0 by 700 ms"];
        assert_broken(record(2700), &parts);
    }
}

#[test]
fn each_of_several_failovers_is_judged_by_itself() {
    let clock = clock();
    let second = Failover {
        from: "b:2".to_owned(),
        to: "c:3".to_owned(),
        generation: 2,
        struck: clock.at(5000),
        promotion: Some(clock.at(6000)),
        announcement: Some(clock.at(7000)),
        healed: None,
        switch: Some(clock.at(6001)),
        next: 3,
    };
    // A writer that works from the first promotion on, and waits for the second.
    let record = |ended| {
        let mut operations = vec![clock.done(1990, 2003, 2, 0)];
        operations.extend((0..38).map(|n| clock.done(2100 + n * 100, 2101 + n * 100, 2, n + 1)));
        operations.push(clock.done(5900, ended, 3, 50));
        operations.push(clock.done(6700, 6701, 3, 51));
        operations.push(clock.done(7400, 7401, 3, 52));
        let mut record = clock.record(Fault::Flap, writes(operations));
        record.began = clock.at(1990);
        record.failovers.push(second.clone());
        record.stopped = clock.at(7500);
        record
    };
    let good = Report::of(record(6002));
    assert_eq!(contract::broken(&good), Vec::<String>::new());
    let [first, next] = &good.turns[..] else { panic!("two failovers") };
    assert_eq!((first.offset, first.first_write), (0.0, Some(3.0)));
    assert_eq!((next.offset, next.struck, next.first_write), (4000.0, -1000.0, Some(2.0)));
    assert_eq!(good.worst(|turn| turn.first_write), Some(3.0));
    assert_eq!(good.path(), "a:1 -> b:2 -> c:3");
    let text = table::single(&[good]);
    assert!(text.contains("The worst of 2 failovers"), "{text}");
    assert!(text.contains("failover 2: c:3, S 1.0, first write 2.0"), "{text}");

    assert_broken(
        record(6400),
        &[
            "failover 2: the first acknowledged write came 400.0 ms",
            "failover 2: the last writer's",
            "late: writer 0 by 400 ms",
        ],
    );
}

#[test]
fn a_rolling_restart_costs_no_error_no_write_and_no_long_pause() {
    let clock = clock();
    let record = |first: u64, failed: bool| {
        let mut operations: Vec<Operation> =
            (0..20).map(|n| clock.done(1000 + n * 50, 1001 + n * 50, 1, n)).collect();
        operations.retain(|done| done.ended < clock.at(first));
        operations.push(clock.done(1990, 2002, 2, 30));
        operations.extend((0..20).map(|n| clock.done(2050 + n * 90, 2051 + n * 90, 2, 31 + n)));
        if failed {
            operations.push(clock.failed(3900, 3901));
        }
        clock.record(Fault::Rolling, writes(operations))
    };
    assert_broken(record(2000, false), &[]);
    assert_broken(record(2000, true), &["1 errors, though the master was well"]);
    assert_broken(record(1000, false), &["a writer paused for 1002 ms"]);
    let mut lossy = record(2000, false);
    lossy.lost = vec![clock.lost(1880)];
    assert_broken(lossy, &["1 acknowledged writes are lost"]);
}
