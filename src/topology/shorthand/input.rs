//! An input as a line.

use std::{fmt::Display, time::Duration};

use crate::{
    address::Address,
    topology::{
        Answer, Copied, Feed, Hearing, Identity, Input, Origin, Progress, Report, Standing,
        Trouble, Verification,
        answer::{Flags, MasterFields, ReplicaFields, SentinelFields, View},
    },
};

use super::escape::{rest, word};

/// A time in milliseconds, to the last digit that a clock has.
pub(crate) fn millis(time: Duration) -> String {
    format!("{}.{:06}", time.as_millis(), time.subsec_nanos() % 1_000_000)
}

/// The line that is read as this input.
pub(crate) fn written(input: &Input) -> String {
    match input {
        Input::Start { seeds } => joined("start", addresses(seeds)),
        Input::Tick => "tick".to_owned(),
        Input::Refresh => "refresh".to_owned(),
        Input::SentinelUp { sentinel, run_id, peer, hearing } => {
            let run_id = run_id.as_deref().map_or("-".to_owned(), word);
            let peer = peer.as_ref().map_or("-".to_owned(), Address::to_string);
            let hearing = match hearing {
                Hearing::All => "",
                Hearing::SwitchOnly => " hearing=switch",
                Hearing::Denied => " hearing=denied",
            };
            format!("up {sentinel}: id={run_id} peer={peer}{hearing}")
        }
        Input::SentinelDown { sentinel, reason } => {
            about("down", sentinel, rest(reason.as_bytes()))
        }
        Input::Resolved { address, to } => about("resolved", address, addresses(to)),
        Input::Message { sentinel, channel, payload } => {
            joined(&format!("message {sentinel} {}", word(channel)), rest(payload))
        }
        Input::Answer { sentinel, answer } => about("answer", sentinel, answered(answer)),
        Input::Services { sentinel, names } => {
            let names: Vec<String> = names.iter().map(|name| word(name)).collect();
            about("services", sentinel, names.join(" "))
        }
        Input::Node { node, report } => about("node", node, reported(report)),
        Input::Verified { address, verification } => {
            about("verified", address, verified(verification))
        }
        Input::Trouble { generation, what } => format!("trouble {generation} {}", trouble(*what)),
        Input::ReadReplicas => "read replicas".to_owned(),
        Input::Refused { replica, what } => about("refused", replica, trouble(*what).to_owned()),
    }
}

fn joined(start: &str, end: String) -> String {
    if end.is_empty() { start.to_owned() } else { format!("{start} {end}") }
}

fn about(verb: &str, whom: &Address, what: String) -> String {
    if what.is_empty() { format!("{verb} {whom}") } else { format!("{verb} {whom}: {what}") }
}

fn addresses(addresses: &[Address]) -> String {
    let texts: Vec<String> = addresses.iter().map(Address::to_string).collect();
    texts.join(" ")
}

fn trouble(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::ReadOnly => "readonly",
        Trouble::MasterDown => "masterdown",
        Trouble::Loading => "loading",
        Trouble::NoReplicas => "no-replicas",
        Trouble::Misconfigured => "misconfigured",
        Trouble::OtherHistory => "other-history",
        Trouble::Unblocked => "unblocked",
        Trouble::Disconnected => "disconnected",
        Trouble::TimedOut => "timed-out",
        Trouble::NotMaster => "not-master",
    }
}

fn verified(verification: &Verification) -> String {
    match verification {
        Verification::Master { origin } => joined("master", descent(origin)),
        Verification::NotMaster { role } => joined("role", rest(role.as_bytes())),
        Verification::Failed { reason } => joined("failed", rest(reason.as_bytes())),
    }
}

fn reported(report: &Report) -> String {
    match report {
        Report::Gone => "gone".to_owned(),
        Report::Progress(progress) => progressed(progress),
        Report::Says(Identity { standing: Standing::Master, origin }) => {
            joined("master", descent(origin))
        }
        Report::Says(Identity { standing: Standing::Replica { of, linked }, origin }) => {
            let mut words = vec!["replica".to_owned()];
            words.extend(of.iter().map(|of| format!("of={of}")));
            words.extend((!linked).then(|| "broken".to_owned()));
            joined(&words.join(" "), descent(origin))
        }
    }
}

fn progressed(progress: &Progress) -> String {
    let mut words = vec!["progress".to_owned()];
    match &progress.source {
        Copied::Own => words.push("own".to_owned()),
        Copied::Of { master, feed } => {
            words.extend(given("of", master.as_ref()));
            let feed = match feed {
                Feed::Flowing => None,
                Feed::Broken => Some("broken"),
                Feed::Whole => Some("syncing"),
            };
            words.extend(feed.map(str::to_owned));
        }
    }
    words.extend(given("offset", progress.offset));
    words.extend(given("took", Some(millis(progress.took))));
    words.join(" ")
}

fn descent(origin: &Origin) -> String {
    let ids = [("id", &origin.run_id), ("replid", &origin.replid), ("former", &origin.former)];
    let words: Vec<String> = ids.iter().filter_map(|(name, id)| told(name, id)).collect();
    words.join(" ")
}

/// `name=text`, when there is one.
fn told(name: &str, text: &Option<String>) -> Option<String> {
    text.as_ref().map(|text| format!("{name}={}", word(text)))
}

/// `name=value`, of what needs no escaping.
fn given(name: &str, value: Option<impl Display>) -> Option<String> {
    value.map(|value| format!("{name}={value}"))
}

/// What a sentinel answered, as the end of its line.
pub(crate) fn answered(answer: &Answer) -> String {
    match answer {
        Answer::Names(view) => viewed(view),
        Answer::Unknown => "nil".to_owned(),
        Answer::Moving => "moving".to_owned(),
        Answer::Refused(text) => joined("error", rest(text.as_bytes())),
    }
}

fn viewed(view: &View) -> String {
    let epoch = match (view.epoch, &view.master) {
        (Some(epoch), _) => format!("@{epoch}"),
        (None, Some(_)) => "@?".to_owned(),
        (None, None) => String::new(),
    };
    let mut words = vec![format!("{}{epoch}", view.address)];
    match &view.master {
        Some(master) => words.extend(fields(master, &view.address)),
        None => words.extend(view.epoch.map(|_| "master=-".to_owned())),
    }
    words.extend(list("replicas", view.replicas.as_deref(), replica));
    words.extend(view.replicas.as_deref().and_then(refresh));
    words.extend(list("sentinels", view.sentinels.as_deref(), sentinel));
    words.join(" ")
}

fn fields(master: &MasterFields, named: &Address) -> Vec<String> {
    let flags = beside("master", &master.flags).join(";");
    let words = [
        given("master", Some(&master.address).filter(|own| *own != named)),
        told("id", &master.run_id),
        given("flags", Some(flags).filter(|flags| !flags.is_empty())),
        told("state", &master.failover_state),
        given("quorum", master.quorum),
        given("down-after", master.down_after),
        given("failover-timeout", master.failover_timeout),
    ];
    words.into_iter().flatten().collect()
}

/// An empty list is what is usual, so it is not written.
fn list<T>(name: &str, list: Option<&[T]>, one: impl Fn(&T) -> String) -> Option<String> {
    match list {
        None => Some(format!("{name}=denied")),
        Some([]) => None,
        Some(list) => {
            let texts: Vec<String> = list.iter().map(one).collect();
            Some(format!("{name}={}", texts.join(",")))
        }
    }
}

fn replica(replica: &ReplicaFields) -> String {
    let link = replica.link_up.map(|up| if up { "ok" } else { "err" });
    let attributes = [
        told("id", &replica.run_id),
        given("link", link),
        given("master", replica.master.as_ref()),
        given("offset", replica.offset),
        given("priority", replica.priority),
    ];
    instance(&replica.address, beside("slave", &replica.flags), attributes)
}

/// What changes with every answer is kept apart from the list.
fn refresh(replicas: &[ReplicaFields]) -> Option<String> {
    replicas.iter().find(|replica| replica.info_refresh.is_some())?;
    let time =
        |replica: &ReplicaFields| replica.info_refresh.map_or("-".into(), |time| time.to_string());
    let times: Vec<String> = replicas.iter().map(time).collect();
    Some(format!("refresh={}", times.join(",")))
}

fn sentinel(sentinel: &SentinelFields) -> String {
    let vote =
        (sentinel.voted_leader.is_some() || sentinel.voted_leader_epoch.is_some()).then(|| {
            let leader = sentinel.voted_leader.as_deref().map_or("?".to_owned(), word);
            let epoch =
                sentinel.voted_leader_epoch.map_or("?".to_owned(), |epoch| epoch.to_string());
            format!("{leader}@{epoch}")
        });
    let attributes = [told("id", &sentinel.run_id), given("vote", vote)];
    instance(&sentinel.address, beside("sentinel", &sentinel.flags), attributes)
}

fn instance<const N: usize>(
    address: &Address,
    mut words: Vec<String>,
    attributes: [Option<String>; N],
) -> String {
    words.extend(attributes.into_iter().flatten());
    if words.is_empty() { address.to_string() } else { format!("{address}({})", words.join(";")) }
}

/// The flags beside the first one that is usual; after a `-`, all that there are.
fn beside(usual: &str, flags: &Flags) -> Vec<String> {
    match flags.0.split_first() {
        Some((first, others)) if first == usual => others.iter().map(|flag| word(flag)).collect(),
        _ => {
            let all = flags.0.iter().map(|flag| word(flag));
            std::iter::once("-".to_owned()).chain(all).collect()
        }
    }
}
