//! Whatever an input holds, its line is read back as the same input.

use std::{sync::Arc, time::Duration};

use proptest::{option, prelude::*, sample::select};

use crate::{
    address::Address,
    topology::{
        Answer, Copied, Feed, Hearing, Identity, Input, Origin, Progress, Report, Standing,
        Trouble, Verification,
        answer::{Flags, MasterFields, ReplicaFields, SentinelFields, View},
    },
};

use super::{answered, beside, millis, read_inputs, read_millis, restored, written};

fn address() -> impl Strategy<Value = Address> {
    let hosts = ["127.0.0.1", "10.0.0.1", "10.0.1.2", "::1", "fe80::1%eth0", "s1", "node-1.local"];
    (select(hosts.to_vec()), select(vec![1, 6379, 26379]))
        .prop_map(|(host, port)| Address::new(host, port).unwrap())
}

/// Any text, and above all what has a meaning in a line.
fn text() -> impl Strategy<Value = String> {
    let words =
        ["", "-", "?", "nil", "denied", "a b", " ", ": ", r"\e", r"\x", "\\", "\r\n", "none"];
    let marks = r"[-,;()=@:?\\ a\u{a0}\u{2028}\u{7f}ß]{0,8}";
    prop_oneof![select(words.to_vec()).prop_map(str::to_owned), marks, ".{0,12}", "[0-9a-f]{8}"]
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    option::of(text())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..4)
}

fn flags() -> impl Strategy<Value = Flags> {
    let usual = select(vec!["master", "slave", "sentinel"]).prop_map(str::to_owned);
    (option::of(usual), texts()).prop_map(|(usual, others)| {
        usual.iter().chain(&others).map(String::as_str).collect::<Flags>()
    })
}

fn origin() -> impl Strategy<Value = Origin> {
    (maybe(), maybe(), maybe()).prop_map(|(run_id, replid, former)| Origin {
        run_id,
        replid,
        former,
    })
}

fn number() -> impl Strategy<Value = Option<u64>> {
    option::of(any::<u64>())
}

fn master() -> impl Strategy<Value = MasterFields> {
    (address(), maybe(), flags(), maybe(), number(), number(), number()).prop_map(
        |(address, run_id, flags, failover_state, quorum, down_after, failover_timeout)| {
            MasterFields {
                address,
                run_id,
                flags,
                failover_state,
                quorum,
                down_after,
                failover_timeout,
            }
        },
    )
}

fn replica() -> impl Strategy<Value = ReplicaFields> {
    let link = option::of(any::<bool>());
    let numbers = (number(), number(), number());
    (address(), maybe(), flags(), link, option::of(address()), numbers).prop_map(
        |(address, run_id, flags, link_up, master, numbers)| ReplicaFields {
            address,
            run_id,
            flags,
            link_up,
            master,
            offset: numbers.0,
            priority: numbers.1,
            info_refresh: numbers.2,
        },
    )
}

fn sentinel() -> impl Strategy<Value = SentinelFields> {
    (address(), maybe(), flags(), maybe(), number()).prop_map(
        |(address, run_id, flags, voted_leader, voted_leader_epoch)| SentinelFields {
            address,
            run_id,
            flags,
            voted_leader,
            voted_leader_epoch,
        },
    )
}

fn view() -> impl Strategy<Value = View> {
    let replicas = option::of(prop::collection::vec(replica(), 0..3));
    let sentinels = option::of(prop::collection::vec(sentinel(), 0..3));
    (address(), number(), option::of(master()), replicas, sentinels).prop_map(
        |(address, epoch, master, replicas, sentinels)| View {
            address,
            epoch,
            master,
            replicas: replicas.map(Arc::from),
            sentinels,
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => view().prop_map(|view| Answer::Names(Box::new(view))),
        1 => Just(Answer::Unknown),
        1 => Just(Answer::Moving),
        1 => text().prop_map(Answer::Refused),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    let replica = (option::of(address()), any::<bool>())
        .prop_map(|(of, linked)| Standing::Replica { of, linked });
    let standing = prop_oneof![Just(Standing::Master), replica];
    let says = (standing, origin())
        .prop_map(|(standing, origin)| Report::Says(Identity { standing, origin }));
    prop_oneof![1 => Just(Report::Gone), 4 => says, 2 => progress().prop_map(Report::Progress)]
}

fn progress() -> impl Strategy<Value = Progress> {
    let feed = select(vec![Feed::Flowing, Feed::Broken, Feed::Whole]);
    let copied =
        (option::of(address()), feed).prop_map(|(master, feed)| Copied::Of { master, feed });
    let took =
        (0u64..5000, 0u32..1_000_000_000).prop_map(|(secs, nanos)| Duration::new(secs, nanos));
    (prop_oneof![Just(Copied::Own), copied], number(), took)
        .prop_map(|(source, offset, took)| Progress { source, offset, took })
}

fn verification() -> impl Strategy<Value = Verification> {
    prop_oneof![
        origin().prop_map(|origin| Verification::Master { origin }),
        text().prop_map(|role| Verification::NotMaster { role }),
        text().prop_map(|reason| Verification::Failed { reason }),
    ]
}

const TROUBLES: [Trouble; 10] = [
    Trouble::OtherHistory,
    Trouble::ReadOnly,
    Trouble::MasterDown,
    Trouble::Loading,
    Trouble::NoReplicas,
    Trouble::Misconfigured,
    Trouble::Unblocked,
    Trouble::Disconnected,
    Trouble::TimedOut,
    Trouble::NotMaster,
];

fn input() -> impl Strategy<Value = Input> {
    let addresses = || prop::collection::vec(address(), 0..4);
    let hearing = select(vec![Hearing::All, Hearing::SwitchOnly, Hearing::Denied]);
    let payload = prop_oneof![
        text().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop_oneof![
        addresses().prop_map(|seeds| Input::Start { seeds }),
        select(vec![Input::Tick, Input::Refresh]),
        (address(), maybe(), option::of(address()), hearing).prop_map(
            |(sentinel, run_id, peer, hearing)| Input::SentinelUp {
                sentinel,
                run_id,
                peer,
                hearing
            }
        ),
        (address(), text()).prop_map(|(sentinel, reason)| Input::SentinelDown { sentinel, reason }),
        (address(), addresses()).prop_map(|(address, to)| Input::Resolved { address, to }),
        (address(), text(), payload).prop_map(|(sentinel, channel, payload)| Input::Message {
            sentinel,
            channel,
            payload
        }),
        (address(), answer()).prop_map(|(sentinel, answer)| Input::Answer { sentinel, answer }),
        (address(), texts()).prop_map(|(sentinel, names)| Input::Services { sentinel, names }),
        (address(), report()).prop_map(|(node, report)| Input::Node { node, report }),
        (address(), verification())
            .prop_map(|(address, verification)| Input::Verified { address, verification }),
        (any::<u64>(), select(TROUBLES.to_vec()))
            .prop_map(|(generation, what)| Input::Trouble { generation, what }),
        Just(Input::ReadReplicas),
        (address(), select(TROUBLES.to_vec()))
            .prop_map(|(replica, what)| Input::Refused { replica, what }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_read_as_it_was(input in input()) {
        let line = written(&input);
        prop_assert_eq!(line.lines().collect::<Vec<_>>(), [line.as_str()]);
        prop_assert_eq!(line.trim_end(), &line);
        prop_assert_eq!(read_inputs(&line).map_err(|fault| fault + &line), Ok(vec![input]));
    }

    #[test]
    fn an_answer_is_told_beside_the_one_before(one in answer(), other in answer()) {
        let mut third = other.clone();
        if let (Answer::Names(one), Answer::Names(third)) = (&one, &mut third) {
            third.address = one.address.clone();
            third.epoch = one.epoch;
            third.sentinels = one.sentinels.clone();
        }
        let mut before = answered(&one);
        for answer in [&one, &other, &third, &other] {
            let told = beside(&before, &answered(answer));
            let text = restored(Some(&before), &told).map_err(TestCaseError::fail)?;
            let line = format!("answer s1: {text}");
            let input = Input::Answer {
                sentinel: Address::new("10.0.0.1", 26379).unwrap(),
                answer: answer.clone(),
            };
            prop_assert_eq!(read_inputs(&line), Ok(vec![input]), "{} beside {}", told, before);
            before = answered(answer);
        }
    }

    #[test]
    fn times_are_kept_to_the_nanosecond(nanos in 0..u64::MAX / 2) {
        let time = std::time::Duration::from_nanos(nanos);
        prop_assert_eq!(read_millis(&millis(time)), Ok(time));
    }

    #[test]
    fn no_line_breaks_the_reader(line in ".*", verb in "(answer|up|node|message|trouble) s1") {
        let _ = read_inputs(&line);
        let _ = read_inputs(&format!("{verb}: {line}"));
        let _ = read_inputs(&format!("answer s1: n1@3 {line}"));
        let _ = read_millis(&line);
    }
}

#[test]
fn lines_are_short_where_nothing_is_unusual() {
    let answer = "answer 127.0.0.1:26379: 127.0.0.1:6379@3 id=ab12 flags=s_down;o_down \
                  state=wait_promotion quorum=2 down-after=1200 \
                  replicas=127.0.0.1:6380(promoted;id=cd34;link=err;offset=7),127.0.0.1:6381 \
                  sentinels=127.0.0.1:26380(id=ef56;vote=ab12@3)";
    for line in [
        answer,
        "answer 127.0.0.1:26379: 127.0.0.1:6379 replicas=denied sentinels=denied",
        "answer 127.0.0.1:26379: error NOPERM this user has no permissions",
        "message 127.0.0.1:26379 +switch-master mymaster 127.0.0.1 6379 127.0.0.1 6380",
        "up 127.0.0.1:26379: id=ab12 peer=127.0.0.1:26379",
        "down 127.0.0.1:26379: connection refused",
        "node 127.0.0.1:6380: replica of=127.0.0.1:6379 broken id=ab12 replid=cd34",
        "verified 127.0.0.1:6380: master id=ab12 replid=cd34 former=ef56",
        "trouble 1 disconnected",
        "start 127.0.0.1:26379 127.0.0.1:26380",
        "tick",
    ] {
        let read = read_inputs(line).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(written(&read[0]), line);
    }
    let before = "127.0.0.1:6379@3 flags=o_down quorum=2 refresh=7,1007";
    let after = "127.0.0.1:6379@3 quorum=2 state=wait_promotion refresh=9,12";
    assert_eq!(beside(before, after), "as before state=wait_promotion refresh=9,12 -flags");
    assert_eq!(beside(before, before), "as before");
    assert_eq!(beside("error ERR a b", "error ERR a c"), "error ERR a c");
    assert_eq!(millis(read_millis("1303.5").unwrap()), "1303.500000");
}
