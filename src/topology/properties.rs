//! What holds for every machine and every input: contract 5 and 6 (proofs, fences), 7 (never
//! backwards), 8 (no event is needed) and 11 (the watch cannot die).
//!
//! A court ([`Court`]) keeps its own plain account of all that a machine is told, and judges by it
//! every action and the state after each. It is in session over noise ([`Step::any`]) and over a
//! simulated cluster that fails over ([`Cluster`]), with and without lies among what is told.

mod cluster;
mod court;
mod dice;
mod failover;
mod fault;
mod judge;
mod step;

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{TestError, TestRunner},
};
use redis::Value;

use super::{
    Action, Answer, Input, Machine, Origin, Reply, Rules, SwitchOn, Verification, shorthand::error,
};

use cluster::Cluster;
use court::{Court, Tally, number, number_of};
use dice::Dice;
use fault::Fault;
use step::{NODES, SENTINELS, Step, Theme, Told, sentinel};

impl Tally {
    /// Whether this was reached in so many of 10,000 cases: fewer than usual, for chance has its way
    /// with the least that are run. What is so rare that it may not come in a short run at all has to
    /// come in the long one, which `make test` makes as well.
    fn reached(&self, what: &str, count: u64, least: u64) {
        assert!(count >= self.cases * least / 10_000, "{what} in {count} cases: {self:?}");
    }

    /// Adds a case: each of these counts once in it.
    fn add(&mut self, case: Tally) {
        for (total, own) in [
            (&mut self.switches, case.switches),
            (&mut self.eager, case.eager),
            (&mut self.ordered, case.ordered),
            (&mut self.confirmed, case.confirmed),
            (&mut self.held, case.held),
            (&mut self.overruled, case.overruled),
            (&mut self.insisted, case.insisted),
            (&mut self.fences, case.fences),
            (&mut self.deadlines, case.deadlines),
            (&mut self.outlasted, case.outlasted),
            (&mut self.lost, case.lost),
            (&mut self.strange, case.strange),
        ] {
            *total += u64::from(own > 0);
        }
    }
}

/// Runs so many cases, or that many times as many as `SWITCHMASTER_CASES` says, each made of a seed
/// and a number of steps, and adds up what happened in them. `SWITCHMASTER_CASE=0x1234:56` runs the
/// one of that seed with so many steps first.
fn session(cases: u32, steps: usize, case: impl Fn(Dice, usize) -> Tally) -> Tally {
    if let Ok(again) = std::env::var("SWITCHMASTER_CASE") {
        let (seed, steps) = again.split_once(':').expect("a seed and a number of steps");
        let seed = u64::from_str_radix(seed.trim_start_matches("0x"), 16).expect("a seed");
        case(Dice(seed), steps.parse().expect("a number of steps"));
    }
    let times = std::env::var("SWITCHMASTER_CASES").map(|times| times.parse().expect("a number"));
    let cases = cases * times.unwrap_or(1);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let total = RefCell::new(Tally::default());
    // A case that fails is tried again with fewer steps of the same seed.
    let strategy = (any::<u64>().no_shrink(), 1..steps);
    let outcome = TestRunner::new(config).run(&strategy, |(seed, steps)| {
        total.borrow_mut().add(case(Dice(seed), steps));
        Ok(())
    });
    match outcome {
        Err(TestError::Fail(reason, (seed, steps))) => {
            panic!("SWITCHMASTER_CASE={seed:#x}:{steps}: {reason}")
        }
        outcome => outcome.expect("cases"),
    }
    let total = Tally { cases: cases.into(), ..total.into_inner() };
    println!("{total:?}");
    total
}

fn switch_on(dice: &mut Dice) -> SwitchOn {
    *dice.pick(&[
        SwitchOn::Promotion,
        SwitchOn::Promotion,
        SwitchOn::Promotion,
        SwitchOn::Confirmation,
        SwitchOn::Announcement,
    ])
}

fn plain(node: usize, epoch: u64) -> Told {
    Told { lists: true, ..Told::plain(node, Some(epoch)) }
}

fn master(history: &str) -> Verification {
    let origin = Origin { replid: Some(history.to_owned()), ..Origin::default() };
    Verification::Master { origin }
}

/// A court over a master that is served, with nothing wrong.
fn calm(dice: &mut Dice, sentinels: usize) -> Court {
    let after = dice.percent(10).then(|| Duration::from_secs(1));
    let mut court = Court::new(switch_on(dice), sentinels, after);
    for number in 0..3 {
        court.take(Step::Up(number));
        court.take(Step::Names { sentinel: number, told: plain(0, 1) });
    }
    court.take(Step::Verified { node: 0, verification: master("h0") });
    court
}

/// Never backwards, never to an address that did not verify or was not proven, never asleep, never a
/// flood; every fence ends, and nothing that nobody confirms is served for long.
#[test]
fn every_switch_has_its_reason() {
    let total = session(3_000, 60, |mut dice, steps| {
        let (theme, sentinels) = (Theme::any(&mut dice), *dice.pick(&[3, SENTINELS]));
        let mut court = match dice.percent(80) {
            true => calm(&mut dice, sentinels),
            false => Court::new(switch_on(&mut dice), sentinels, None),
        };
        for _ in 0..steps {
            court.take(match dice.percent(40) {
                true => theme.step(&mut dice),
                false => Step::any(&mut dice, sentinels),
            });
        }
        court.tally
    });
    total.reached("switches", total.switches, 7_000);
    total.reached("fences", total.fences, 3_000);
    total.reached("switches at the fact", total.eager, 200);
    total.reached("ordered ones", total.ordered, 30);
    total.reached("confirmed ones", total.confirmed, 80);
    total.reached("held ones", total.held, 10);
    total.reached("lost majorities", total.lost, 200);
}

/// Whatever goes wrong in a cluster, and in what is told of it.
#[test]
fn a_cluster_that_fails_over_is_followed_by_right() {
    let total = session(2_000, 12, |mut dice, steps| {
        let lies = dice.percent(30);
        let switch_on = switch_on(&mut dice);
        let mut faults = Fault::some(&mut dice, lies);
        let mut cluster = Cluster::new(dice, switch_on);
        cluster.lies = lies;
        cluster.run(500 * steps as u64, &mut faults);
        cluster.court.tally
    });
    total.reached("fences", total.fences, 6_000);
    total.reached("switches at the fact", total.eager, 700);
    total.reached("ordered ones", total.ordered, 800);
    total.reached("confirmed ones", total.confirmed, 1_000);
    total.reached("held ones", total.held, 200);
    total.reached("overruled ones", total.overruled, 30);
    total.reached("insistence", total.insisted, 10);
    total.reached("fences at their deadline", total.deadlines, 3);
    total.reached("fences beyond it", total.outlasted, 1);
    total.reached("lost majorities", total.lost, 500);
    total.reached("strangers", total.strange, 500);
}

/// When all is over, the machine serves what most sentinels name, and nothing waits.
#[test]
fn a_cluster_that_has_settled_is_served() {
    session(100, 2, |mut dice, _| {
        let switch_on = switch_on(&mut dice);
        let mut faults = Fault::some(&mut dice, false);
        let mut cluster = Cluster::new(dice, switch_on);
        cluster.run(6_000, &mut faults);
        cluster.strike(Fault::Heal);
        let settled = |cluster: &Cluster| {
            let master = cluster.master();
            let agree = cluster.sentinels.iter().filter(|own| own.names == master).count();
            cluster.sentinels.iter().all(|own| own.lead.is_none())
                && agree * 2 > cluster.sentinels.len()
                && cluster.nodes[master].of.is_none()
        };
        while !settled(&cluster) && cluster.now < 60_000 {
            let until = cluster.now + 500;
            cluster.run(until, &mut Vec::new());
        }
        assert!(settled(&cluster), "the cluster does not settle");
        let until = cluster.now + 8_000;
        cluster.run(until, &mut Vec::new());
        let court = &cluster.court;
        assert!(court.serves(cluster.master()), "{:?}", court.served);
        assert!(court.fence.is_none() && !court.doubtful, "{:?}", court.fence);
        court.tally
    });
}

/// Whatever happened before: when a majority answers with a new epoch, the machine follows, with no
/// message heard and within a bounded number of polls.
#[test]
fn no_event_is_needed() {
    session(200, 40, |mut dice, steps| {
        let mut court = calm(&mut dice, SENTINELS);
        for _ in 0..steps {
            court.take(Step::any(&mut dice, SENTINELS));
        }
        let up = 3 + dice.below(SENTINELS - 2);
        let mut actions = Vec::new();
        for number in 0..SENTINELS {
            actions.extend(court.take(if number < up {
                Step::Up(number)
            } else {
                Step::Down(number)
            }));
        }
        let (start, before) = (court.now, court.queries);
        let last = NODES - 1;
        while !court.serves(last) || court.served.as_ref().is_some_and(|own| own.epoch != Some(9)) {
            assert!(court.now < start + Duration::from_secs(25), "not followed in 25 s");
            let mut replies = Vec::new();
            for action in actions.drain(..) {
                match action {
                    Action::Query { sentinel } => {
                        let told = Told::plain(last, Some(9));
                        replies.push(Step::Names { sentinel: number_of(&sentinel), told });
                    }
                    Action::Verify { address } => {
                        let node = number(&address);
                        replies.push(Step::Verified { node, verification: master("h9") });
                    }
                    _ => {}
                }
            }
            if replies.is_empty() {
                let wake = court.machine.next_wake().expect("a wake-up");
                actions.extend(court.pass(wake));
            } else {
                actions.extend(court.take(Step::Pass(1)));
            }
            for step in replies {
                actions.extend(court.take(step));
            }
        }
        let queries = court.queries - before;
        assert!(queries <= 60 * up, "{queries} queries");
        court.tally
    });
}

/// No payload and no channel takes the machine down, or makes it switch.
#[test]
fn no_message_breaks_or_moves_it() {
    session(300, 60, |mut dice, messages| {
        let mut court = calm(&mut dice, SENTINELS);
        assert_eq!(court.generation, 1);
        for _ in 0..messages {
            let (channel, payload) = (step::channel(&mut dice), step::payload(&mut dice));
            court.take(Step::Hears { sentinel: 0, channel, payload });
        }
        assert_eq!(court.generation, 1);
        court.tally
    });
}

/// The reply values that could stand anywhere in an answer.
fn value() -> impl Strategy<Value = Value> {
    let names = select(vec!["ip", "port", "runid", "flags", "config-epoch", "10.0.1.1", "6379"]);
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<i64>().prop_map(Value::Int),
        names.prop_map(|name| Value::BulkString(name.as_bytes().to_vec())),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(Value::BulkString),
        ".{0,8}".prop_map(Value::SimpleString),
        Just(Value::Okay),
        any::<f64>().prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        Just(error("NOPERM no")),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Set),
            prop::collection::vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Any values for replies are an answer of some kind.
    #[test]
    fn any_reply_is_an_answer(replies in prop::collection::vec(value(), 0..7)) {
        let mut court = Court::new(SwitchOn::Confirmation, SENTINELS, None);
        court.take(Step::Up(0));
        let replies: Vec<Reply> = replies.into_iter().map(Reply::Value).collect();
        let answer = Answer::parse(&replies);
        court.machine.handle(court.now, Input::Answer { sentinel: sentinel(0), answer });
        let _ = court.machine.topology();
        let _ = court.machine.why_no_master();
    }
}

/// An instant from before the last one counts as the last one.
#[test]
fn time_never_runs_backwards() {
    let mut machine = Machine::new(Rules::new("mymaster", SwitchOn::Confirmation));
    assert_eq!(machine.next_wake(), None);
    let now = Instant::now() + Duration::from_secs(60);
    machine.handle(now, Input::Start { seeds: vec![sentinel(0)] });
    let wake = machine.next_wake();
    machine.handle(now - Duration::from_secs(30), Input::Tick);
    assert_eq!(machine.next_wake(), wake);
}
