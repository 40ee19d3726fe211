//! What holds for every machine and every input: contract 7 (never backwards), 8 (no event is
//! needed) and 11 (the watch cannot die).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use proptest::{prelude::*, sample::select};
use redis::Value;

use crate::{address::Address, event::Evidence};

use super::{
    Action, Answer, Hearing, Input, Machine, Origin, Rules, SwitchOn, Trouble, Verification,
    answer::{Flags, MasterFields, View},
    shorthand::{address, error},
};

const SENTINELS: usize = 5;
const NODES: usize = 4;

/// One thing that happens, with sentinels and nodes by number.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Up(usize),
    Down(usize),
    Names { sentinel: usize, node: usize, epoch: Option<u64>, flags: &'static str },
    Says { sentinel: usize, answer: Answer },
    Verified { node: usize, verification: Verification },
    Hears { sentinel: usize, channel: String, payload: Vec<u8> },
    Trouble(u64),
    Refresh,
}

fn step() -> impl Strategy<Value = Step> {
    let sentinel = || 0..SENTINELS;
    let node = || 0..NODES;
    let epoch = prop_oneof![1 => Just(None), 6 => (0u64..5).prop_map(Some)];
    let flags = select(vec!["master", "master,s_down", "master,s_down,failover_in_progress"]);
    prop_oneof![
        6 => prop_oneof![0u64..300, 0u64..2000, Just(10_000)].prop_map(Step::Pass),
        3 => sentinel().prop_map(Step::Up),
        1 => sentinel().prop_map(Step::Down),
        12 => (sentinel(), node(), epoch, flags).prop_map(|(sentinel, node, epoch, flags)| {
            Step::Names { sentinel, node, epoch, flags }
        }),
        1 => (sentinel(), silent()).prop_map(|(sentinel, answer)| Step::Says { sentinel, answer }),
        8 => (node(), verification())
            .prop_map(|(node, verification)| Step::Verified { node, verification }),
        3 => (sentinel(), channel(), payload())
            .prop_map(|(sentinel, channel, payload)| Step::Hears { sentinel, channel, payload }),
        1 => (0u64..4).prop_map(Step::Trouble),
        1 => Just(Step::Refresh),
    ]
}

fn silent() -> impl Strategy<Value = Answer> {
    let refused = Answer::Refused("NOPERM".to_owned());
    select(vec![Answer::Unknown, Answer::Moving, refused])
}

fn verification() -> impl Strategy<Value = Verification> {
    prop_oneof![
        4 => Just(Verification::Master { origin: Origin::default() }),
        1 => Just(Verification::NotMaster { role: "slave".to_owned() }),
        1 => Just(Verification::Failed { reason: "refused".to_owned() }),
    ]
}

fn channel() -> impl Strategy<Value = String> {
    let known = vec![
        "+switch-master",
        "+promoted-slave",
        "+selected-slave",
        "-role-change",
        "+try-failover",
        "-failover-abort-no-good-slave",
        "+sdown",
        "-sdown",
        "+odown",
        "+sentinel-address-switch",
        "+reboot",
        "+monitor",
        "+new-epoch",
        "+vote-for-leader",
        "+tilt",
    ];
    prop_oneof![9 => select(known).prop_map(str::to_owned), 1 => ".*"]
}

/// Payloads that are right, cut short, and no text at all.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let words = prop_oneof![
        Just("mymaster"),
        Just("master"),
        Just("slave"),
        Just("sentinel"),
        Just("@"),
        Just("10.0.1.2"),
        Just("6379"),
        Just("0"),
        Just("99999"),
        Just("::1"),
        Just(""),
        Just("#quorum"),
        Just("new reported role is master"),
    ];
    let right = (1..=NODES, 1..=NODES).prop_flat_map(|(one, other)| {
        let (old, new) = (format!("10.0.1.{one} 6379"), format!("10.0.1.{other} 6379"));
        let instance = format!("slave 10.0.1.{other}:6379 {new} @ mymaster {old}");
        select(vec![
            format!("mymaster {old} {new}"),
            format!("master mymaster {old}"),
            format!("{instance} new reported role is master"),
            instance,
        ])
    });
    prop_oneof![
        4 => right.prop_map(String::into_bytes),
        2 => prop::collection::vec(words, 0..9).prop_map(|words| words.join(" ").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn node(number: usize) -> Address {
    address(&format!("n{}", number + 1))
}

fn sentinel(number: usize) -> Address {
    address(&format!("s{}", number + 1))
}

fn names(node: Address, epoch: Option<u64>, flags: &str) -> Answer {
    let master = epoch.map(|_| MasterFields {
        address: node.clone(),
        run_id: None,
        flags: Flags(flags.split(',').map(str::to_owned).collect()),
        failover_state: None,
        quorum: Some(2),
        down_after: None,
        failover_timeout: None,
    });
    Answer::Names(Box::new(View { address: node, epoch, master, replicas: None, sentinels: None }))
}

/// What a sentinel says, as the test knows it.
#[derive(Clone, PartialEq)]
enum Voice {
    Away,
    Silent,
    Outside,
    Names(Address, Option<u64>),
}

/// A machine, and beside it a plain account of what it was told, to judge it by.
struct Court {
    machine: Machine,
    now: Instant,
    switch_on: SwitchOn,
    voices: Vec<Voice>,
    /// Since when a majority has named each address.
    named: BTreeMap<Address, Instant>,
    proven: BTreeMap<Address, Instant>,
    served: Option<(Address, Option<u64>)>,
    generation: u64,
    queried: BTreeMap<Address, Instant>,
    queries: usize,
}

impl Court {
    fn new(switch_on: SwitchOn) -> Court {
        let mut court = Court {
            machine: Machine::new(Rules::new("mymaster", switch_on)),
            now: Instant::now(),
            switch_on,
            voices: vec![Voice::Away; SENTINELS],
            named: BTreeMap::new(),
            proven: BTreeMap::new(),
            served: None,
            generation: 0,
            queried: BTreeMap::new(),
            queries: 0,
        };
        court.feed(Input::Start { seeds: (0..SENTINELS).map(sentinel).collect() });
        court
    }

    fn known(&self) -> usize {
        self.voices.iter().filter(|voice| **voice != Voice::Outside).count()
    }

    fn naming<'a>(&'a self, address: &'a Address) -> impl Iterator<Item = Option<u64>> + 'a {
        self.voices.iter().filter_map(move |voice| match voice {
            Voice::Names(named, epoch) if named == address => Some(*epoch),
            _ => None,
        })
    }

    fn has_majority(&self, count: usize) -> bool {
        count * 2 > self.known()
    }

    /// Keeps the account of majorities; returns the step as an input.
    fn account(&mut self, step: Step) -> Input {
        let input = match step {
            Step::Pass(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                Input::Tick
            }
            Step::Up(number) => {
                self.voices[number] = Voice::Silent;
                let sentinel = sentinel(number);
                self.queried.remove(&sentinel);
                let (run_id, peer) = (Some(format!("id{number}")), Some(sentinel.clone()));
                Input::SentinelUp { sentinel, run_id, peer, hearing: Hearing::All }
            }
            Step::Down(number) => {
                self.voices[number] = Voice::Away;
                Input::SentinelDown { sentinel: sentinel(number), reason: "reset".to_owned() }
            }
            Step::Names { sentinel: number, node: named, epoch, flags } => {
                let named = node(named);
                self.speaks(number, Voice::Names(named.clone(), epoch));
                let answer = names(named, epoch, flags);
                Input::Answer { sentinel: sentinel(number), answer }
            }
            Step::Says { sentinel: number, answer } => {
                let voice = if answer == Answer::Unknown { Voice::Outside } else { Voice::Silent };
                self.speaks(number, voice);
                Input::Answer { sentinel: sentinel(number), answer }
            }
            Step::Verified { node: number, verification } => {
                let address = node(number);
                match verification {
                    Verification::Master { .. } => self.proven.insert(address.clone(), self.now),
                    _ => self.proven.remove(&address),
                };
                Input::Verified { address, verification }
            }
            Step::Hears { sentinel: number, channel, payload } => {
                Input::Message { sentinel: sentinel(number), channel, payload }
            }
            Step::Trouble(generation) => Input::Trouble { generation, what: Trouble::Disconnected },
            Step::Refresh => Input::Refresh,
        };
        for number in 0..NODES {
            let address = node(number);
            let count = self.naming(&address).count();
            if self.has_majority(count) {
                self.named.entry(address).or_insert(self.now);
            } else {
                self.named.remove(&address);
            }
        }
        input
    }

    fn speaks(&mut self, number: usize, voice: Voice) {
        if self.voices[number] != Voice::Away {
            self.voices[number] = voice;
        }
    }

    fn feed(&mut self, input: Input) -> Vec<Action> {
        let actions = self.machine.handle(self.now, input);
        for action in &actions {
            match action {
                Action::Switch { generation, from, to, epoch, evidence, .. } => {
                    assert_eq!(*generation, self.generation + 1);
                    assert_eq!(*from, self.served.as_ref().map(|(address, _)| address.clone()));
                    self.judge(to, *epoch, evidence);
                    self.generation = *generation;
                    self.served = Some((to.clone(), *epoch));
                }
                Action::Query { sentinel } => {
                    self.queries += 1;
                    let last = self.queried.insert(sentinel.clone(), self.now);
                    assert!(
                        last.is_none_or(|last| self.now >= last + Duration::from_millis(5)),
                        "{sentinel} is asked twice within 5 ms"
                    );
                }
                _ => {}
            }
        }
        let topology = self.machine.topology();
        assert_eq!(topology.generation, self.generation);
        if let Some((address, epoch)) = &mut self.served {
            assert_eq!(topology.master.as_ref(), Some(&*address));
            *epoch = topology.epoch;
        }
        let _ = self.machine.why_no_master();
        let wake = self.machine.next_wake().expect("a wake-up");
        assert!(wake > self.now && wake <= self.now + Duration::from_secs(10));
        actions
    }

    /// Whether what the sentinels said is reason enough for this switch.
    fn judge(&self, to: &Address, epoch: Option<u64>, evidence: &Evidence) {
        let proof = self.proven.get(to).expect("ROLE said master");
        assert!(self.now <= *proof + Duration::from_secs(1), "an old proof");
        let Some((from, held)) = &self.served else {
            assert!(self.naming(to).next().is_some(), "nobody names {to}");
            return;
        };
        assert_ne!(from, to);
        // What the present master is named with counts first: it may raise its epoch.
        let held = self.naming(from).max().flatten().max(*held);
        let same_or_newer = self.naming(to).filter(|own| own.is_none() || *own >= held).count();
        if epoch < held {
            let since = self.named.get(to).expect("a majority for the lower epoch");
            assert!(self.now >= *since + Duration::from_secs(3), "no patience for {to}");
            return;
        }
        let insisted =
            self.named.get(to).is_some_and(|since| self.now >= *since + Duration::from_secs(3));
        if self.switch_on == SwitchOn::Announcement {
            assert!(self.has_majority(same_or_newer) || insisted, "no majority for {to}");
        } else if epoch > held && held.is_some() {
            assert!(self.naming(to).any(|own| own == epoch), "nobody says {to} at {epoch:?}");
        } else if !matches!(evidence, Evidence::Unnumbered { .. }) {
            assert!(self.has_majority(same_or_newer) || insisted, "no majority for {to}");
        }
    }
}

fn switch_on() -> impl Strategy<Value = SwitchOn> {
    select(vec![SwitchOn::Confirmation, SwitchOn::Announcement, SwitchOn::Promotion])
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

    /// Never backwards, never to an address that did not verify, never asleep, never a flood.
    #[test]
    fn every_switch_has_its_reason(
        switch_on in switch_on(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut court = Court::new(switch_on);
        for number in 0..3 {
            let input = court.account(Step::Up(number));
            court.feed(input);
        }
        for step in steps {
            let input = court.account(step);
            court.feed(input);
        }
    }

    /// Whatever happened before: when a majority answers with a new epoch, the machine follows, with
    /// no message heard and within a bounded number of polls.
    #[test]
    fn no_event_is_needed(
        switch_on in switch_on(),
        steps in prop::collection::vec(step(), 0..40),
        up in 3..=SENTINELS,
    ) {
        let mut court = Court::new(switch_on);
        for step in steps {
            let input = court.account(step);
            court.feed(input);
        }
        let mut actions = Vec::new();
        for number in 0..SENTINELS {
            let step = if number < up { Step::Up(number) } else { Step::Down(number) };
            let input = court.account(step);
            actions.extend(court.feed(input));
        }
        let (start, before) = (court.now, court.queries);
        while court.machine.topology().master != Some(node(3)) {
            prop_assert!(court.now < start + Duration::from_secs(25), "not followed in 25 s");
            let mut replies = Vec::new();
            for action in actions.drain(..) {
                match action {
                    Action::Query { sentinel: asked } => {
                        let number = (0..SENTINELS).find(|n| sentinel(*n) == asked).unwrap();
                        let (node, epoch) = (3, Some(9));
                        replies.push(Step::Names { sentinel: number, node, epoch, flags: "master" });
                    }
                    Action::Verify { address } => {
                        let number = (0..NODES).find(|n| node(*n) == address);
                        let verification = Verification::Master { origin: Origin::default() };
                        replies.extend(
                            number.map(|node| Step::Verified { node, verification }),
                        );
                    }
                    _ => {}
                }
            }
            if replies.is_empty() {
                court.now = court.machine.next_wake().unwrap();
                replies.push(Step::Pass(0));
            } else {
                court.now += Duration::from_millis(1);
            }
            for step in replies {
                let input = court.account(step);
                actions.extend(court.feed(input));
            }
        }
        prop_assert!(court.queries - before <= 60 * up, "{} queries", court.queries - before);
    }

    /// No payload and no channel takes the machine down, or makes it switch.
    #[test]
    fn no_message_breaks_or_moves_it(
        messages in prop::collection::vec((channel(), payload()), 1..60),
    ) {
        let mut court = Court::new(SwitchOn::Confirmation);
        for step in [
            Step::Up(0),
            Step::Names { sentinel: 0, node: 0, epoch: Some(1), flags: "master" },
            Step::Pass(250),
            Step::Verified {
                node: 0,
                verification: Verification::Master { origin: Origin::default() },
            },
        ] {
            let input = court.account(step);
            court.feed(input);
        }
        prop_assert_eq!(court.generation, 1);
        for (channel, payload) in messages {
            let input = court.account(Step::Hears { sentinel: 0, channel, payload });
            court.feed(input);
        }
        prop_assert_eq!(court.generation, 1);
    }

    /// Any values for replies are an answer of some kind.
    #[test]
    fn any_reply_is_an_answer(replies in prop::collection::vec(value(), 0..7)) {
        let mut court = Court::new(SwitchOn::Confirmation);
        let input = court.account(Step::Up(0));
        court.feed(input);
        let answer = Answer::parse(&replies);
        court.machine.handle(court.now, Input::Answer { sentinel: sentinel(0), answer });
        let _ = court.machine.topology();
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
