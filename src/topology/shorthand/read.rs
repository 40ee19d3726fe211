//! A line as an input.

use std::{sync::Arc, time::Duration};

use crate::{
    address::Address,
    topology::{
        Answer, Copied, Feed, Hearing, Identity, Input, Origin, Progress, Report, Standing,
        Trouble, Verification,
        answer::{Flags, MasterFields, ReplicaFields, SentinelFields, View},
    },
};

use super::escape;

type Read<T> = Result<T, String>;

/// The inputs that a line stands for: one for each address before the colon.
pub(crate) fn read_inputs(line: &str) -> Read<Vec<Input>> {
    one_or_more(line).map_err(|fault| format!("{line:?}: {fault}"))
}

fn one_or_more(line: &str) -> Read<Vec<Input>> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (head, tail) = rest.split_once(": ").unwrap_or((rest, ""));
    let heads = || addresses(head);
    let each = |input: &dyn Fn(Address) -> Input| -> Read<Vec<Input>> {
        Ok(heads()?.into_iter().map(input).collect())
    };
    match verb {
        "start" => Ok(vec![Input::Start { seeds: heads()? }]),
        "tick" => Ok(vec![Input::Tick]),
        "refresh" => Ok(vec![Input::Refresh]),
        "read" if rest == "replicas" => Ok(vec![Input::ReadReplicas]),
        "refused" => {
            let what = trouble(tail)?;
            each(&|replica| Input::Refused { replica, what })
        }
        "up" => heads()?.into_iter().map(|sentinel| up(sentinel, tail)).collect(),
        "down" => {
            let reason = escape::text(tail)?;
            each(&|sentinel| Input::SentinelDown { sentinel, reason: reason.clone() })
        }
        "resolved" => {
            let to = addresses(tail)?;
            each(&|address| Input::Resolved { address, to: to.clone() })
        }
        "answer" => {
            let answer = answer(tail)?;
            each(&|sentinel| Input::Answer { sentinel, answer: answer.clone() })
        }
        "services" => {
            let names: Vec<String> =
                tail.split_whitespace().map(escape::text).collect::<Read<_>>()?;
            each(&|sentinel| Input::Services { sentinel, names: names.clone() })
        }
        "node" => {
            let report = report(tail)?;
            each(&|node| Input::Node { node, report: report.clone() })
        }
        "verified" => {
            let verification = verification(tail)?;
            each(&|address| Input::Verified { address, verification: verification.clone() })
        }
        "trouble" => {
            let (generation, what) = rest.split_once(' ').ok_or("a generation and a trouble")?;
            Ok(vec![Input::Trouble { generation: number(generation)?, what: trouble(what)? }])
        }
        "message" => {
            let (sentinel, rest) = rest.split_once(' ').ok_or("a sentinel and a channel")?;
            let (channel, payload) = rest.split_once(' ').unwrap_or((rest, ""));
            let (sentinel, channel) = (address(sentinel)?, escape::text(channel)?);
            Ok(vec![Input::Message { sentinel, channel, payload: escape::bytes(payload)? }])
        }
        _ => Err(format!("{verb:?} is no input")),
    }
}

/// `up s1`: its run id is id1 and it was reached where it is. `id=- peer=… hearing=…` say otherwise.
fn up(sentinel: Address, tail: &str) -> Read<Input> {
    let own = short_number(&sentinel);
    let mut run_id = own.map(|number| format!("id{number}"));
    let mut peer = own.map(|_| sentinel.clone());
    let mut hearing = Hearing::All;
    for word in tail.split_whitespace() {
        match word.split_once('=') {
            Some(("id", "-")) => run_id = None,
            Some(("id", id)) => run_id = Some(escape::text(id)?),
            Some(("peer", "-")) => peer = None,
            Some(("peer", text)) => peer = Some(address(text)?),
            Some(("hearing", "switch")) => hearing = Hearing::SwitchOnly,
            Some(("hearing", "denied")) => hearing = Hearing::Denied,
            _ => return Err(format!("{word:?} says nothing of a link")),
        }
    }
    Ok(Input::SentinelUp { sentinel, run_id, peer, hearing })
}

fn verification(text: &str) -> Read<Verification> {
    Ok(match text.split_once(' ').unwrap_or((text, "")) {
        ("master", rest) => Verification::Master { origin: identity(rest)?.1 },
        ("role", role) => Verification::NotMaster { role: escape::text(role)? },
        ("failed", reason) => Verification::Failed { reason: escape::text(reason)? },
        _ => return Err(format!("{text:?} is no verification")),
    })
}

fn report(text: &str) -> Read<Report> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "gone" => return Ok(Report::Gone),
        "progress" => return progress(rest).map(Report::Progress),
        _ => {}
    }
    let (replica, origin) = identity(rest)?;
    let standing = match word {
        "master" => Standing::Master,
        "replica" => replica,
        _ => return Err(format!("{text:?} is no report of a node")),
    };
    Ok(Report::Says(Identity { standing, origin }))
}

/// `own offset=7`, or `of=n1 offset=7` with `broken` or `syncing`; and how long the reply took.
fn progress(text: &str) -> Read<Progress> {
    let (mut own, mut of, mut feed) = (false, None, Feed::Flowing);
    let (mut offset, mut took) = (None, Duration::ZERO);
    for word in text.split_whitespace() {
        match word.split_once('=') {
            None if word == "own" => own = true,
            None if word == "broken" => feed = Feed::Broken,
            None if word == "syncing" => feed = Feed::Whole,
            Some(("of", text)) => of = Some(address(text)?),
            Some(("offset", text)) => offset = Some(number(text)?),
            Some(("took", text)) => took = read_millis(text)?,
            _ => return Err(format!("{word:?} says nothing of a node's data")),
        }
    }
    let source = if own { Copied::Own } else { Copied::Of { master: of, feed } };
    Ok(Progress { source, offset, took })
}

/// `of=n1 id=r1 replid=a former=b`, and `broken` when a replica has lost its master.
fn identity(text: &str) -> Read<(Standing, Origin)> {
    let mut origin = Origin::default();
    let (mut of, mut linked) = (None, true);
    for word in text.split_whitespace() {
        match word.split_once('=') {
            Some(("of", text)) => of = Some(address(text)?),
            Some(("id", id)) => origin.run_id = Some(escape::text(id)?),
            Some(("replid", id)) => origin.replid = Some(escape::text(id)?),
            Some(("former", id)) => origin.former = Some(escape::text(id)?),
            None if word == "broken" => linked = false,
            _ => return Err(format!("{word:?} says nothing of a node")),
        }
    }
    Ok((Standing::Replica { of, linked }, origin))
}

fn trouble(text: &str) -> Read<Trouble> {
    Ok(match text {
        "readonly" => Trouble::ReadOnly,
        "masterdown" => Trouble::MasterDown,
        "loading" => Trouble::Loading,
        "no-replicas" => Trouble::NoReplicas,
        "misconfigured" => Trouble::Misconfigured,
        "other-history" => Trouble::OtherHistory,
        "unblocked" => Trouble::Unblocked,
        "disconnected" => Trouble::Disconnected,
        "timed-out" => Trouble::TimedOut,
        "not-master" => Trouble::NotMaster,
        _ => return Err(format!("{text:?} is no trouble")),
    })
}

fn answer(text: &str) -> Read<Answer> {
    match text.split_once(' ').unwrap_or((text, "")) {
        ("nil", _) => return Ok(Answer::Unknown),
        ("moving", _) => return Ok(Answer::Moving),
        ("error", text) => return Ok(Answer::Refused(escape::text(text)?)),
        _ => {}
    }
    let mut words = text.split_whitespace();
    let (named, epoch) = match words.next().ok_or("an answer names an address")?.split_once('@') {
        Some((named, "?")) => (named, Some(None)),
        Some((named, epoch)) => (named, Some(Some(number(epoch)?))),
        None => (text.split(' ').next().unwrap_or_default(), None),
    };
    let named = address(named)?;
    let mut master = Some(MasterFields {
        address: named.clone(),
        run_id: None,
        flags: Flags::from_iter(["master"]),
        failover_state: None,
        quorum: None,
        down_after: None,
        failover_timeout: None,
    });
    let (mut replicas, mut sentinels) = (Some(Vec::new()), Some(Vec::new()));
    let mut again = Some(named.clone());
    let mut refresh = Vec::new();
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            // Over RESP3 the same is said.
            if word == "resp3" {
                continue;
            }
            return Err(format!("{word:?} says nothing of an answer"));
        };
        match (name, value, &mut master) {
            ("again", "nil", _) => again = None,
            ("again", other, _) => again = Some(address(other)?),
            ("replicas", list, _) => replicas = instances(list, replica)?,
            ("refresh", times, _) => refresh = times.split(',').collect(),
            ("sentinels", list, _) => sentinels = instances(list, sentinel)?,
            ("master", "-", _) => master = None,
            ("master", other, Some(master)) => master.address = address(other)?,
            ("id", id, Some(master)) => master.run_id = Some(escape::text(id)?),
            ("state", state, Some(master)) => master.failover_state = Some(escape::text(state)?),
            ("flags", more, Some(master)) => {
                for flag in more.split(';') {
                    add_flag(&mut master.flags, flag)?;
                }
            }
            ("quorum", text, Some(master)) => master.quorum = Some(number(text)?),
            ("down-after", text, Some(master)) => master.down_after = Some(number(text)?),
            ("failover-timeout", text, Some(master)) => {
                master.failover_timeout = Some(number(text)?);
            }
            _ => return Err(format!("{word:?} says nothing of an answer")),
        }
    }
    refreshed(replicas.as_deref_mut().unwrap_or_default(), &refresh)?;
    if again.as_ref() != Some(&named) {
        return Ok(Answer::Moving);
    }
    Ok(Answer::Names(Box::new(View {
        address: named,
        // Without it, SENTINEL MASTER is denied.
        master: master.filter(|_| epoch.is_some()),
        epoch: epoch.flatten(),
        replicas: replicas.map(Arc::from),
        sentinels,
    })))
}

/// How long ago each replica answered INFO, in the order of their list.
fn refreshed(replicas: &mut [ReplicaFields], times: &[&str]) -> Read<()> {
    if times.len() > replicas.len() {
        return Err(format!("{} replicas do not have {} times", replicas.len(), times.len()));
    }
    for (replica, time) in replicas.iter_mut().zip(times).filter(|(_, time)| **time != "-") {
        replica.info_refresh = Some(number(time)?);
    }
    Ok(())
}

/// A flag beside the usual one; `-` takes that away.
fn add_flag(flags: &mut Flags, word: &str) -> Read<()> {
    match word {
        "-" => flags.0.clear(),
        _ => flags.push(&escape::text(word)?),
    }
    Ok(())
}

fn instances<T>(list: &str, one: impl Fn(&str, Vec<&str>) -> Read<T>) -> Read<Option<Vec<T>>> {
    if list == "denied" {
        return Ok(None);
    }
    let instance = |text: &str| match text.split_once('(') {
        None => one(text, Vec::new()),
        Some((at, attributes)) => {
            let inner = attributes.strip_suffix(')');
            let inner = inner.ok_or_else(|| format!("{text:?} closes no bracket"))?;
            one(at, inner.split(';').filter(|attribute| !attribute.is_empty()).collect())
        }
    };
    list.split(',').map(instance).collect::<Read<_>>().map(Some)
}

fn replica(at: &str, attributes: Vec<&str>) -> Read<ReplicaFields> {
    let mut replica = ReplicaFields {
        address: address(at)?,
        run_id: None,
        flags: Flags::from_iter(["slave"]),
        link_up: None,
        master: None,
        offset: None,
        priority: None,
        info_refresh: None,
    };
    for attribute in attributes {
        match attribute.split_once('=') {
            None => add_flag(&mut replica.flags, attribute)?,
            Some(("id", id)) => replica.run_id = Some(escape::text(id)?),
            Some(("link", link)) => replica.link_up = Some(link == "ok"),
            Some(("master", text)) => replica.master = Some(address(text)?),
            Some(("offset", text)) => replica.offset = Some(number(text)?),
            Some(("priority", text)) => replica.priority = Some(number(text)?),
            Some(("refresh", text)) => replica.info_refresh = Some(number(text)?),
            Some(_) => return Err(format!("{attribute:?} says nothing of a replica")),
        }
    }
    Ok(replica)
}

fn sentinel(at: &str, attributes: Vec<&str>) -> Read<SentinelFields> {
    let mut sentinel = SentinelFields {
        address: address(at)?,
        run_id: None,
        flags: Flags::from_iter(["sentinel"]),
        voted_leader: None,
        voted_leader_epoch: None,
    };
    for attribute in attributes {
        match attribute.split_once('=') {
            None => add_flag(&mut sentinel.flags, attribute)?,
            Some(("id", id)) => sentinel.run_id = Some(escape::text(id)?),
            Some(("vote", vote)) => {
                let (leader, epoch) = vote.split_once('@').ok_or("vote=<run id>@<epoch>")?;
                let known = |text: &&str| *text != "?";
                sentinel.voted_leader = Some(leader).filter(known).map(escape::text).transpose()?;
                sentinel.voted_leader_epoch = Some(epoch).filter(known).map(number).transpose()?;
            }
            Some(_) => return Err(format!("{attribute:?} says nothing of a sentinel")),
        }
    }
    Ok(sentinel)
}

/// `s1` is the sentinel 10.0.0.1:26379, `n1` the node 10.0.1.1:6379. Others are written with a port.
pub(super) fn address(text: &str) -> Read<Address> {
    let number = |prefix| text.strip_prefix(prefix).and_then(|number: &str| number.parse().ok());
    let made = if let Some(number) = number('s') {
        let _: u8 = number;
        Address::new(&format!("10.0.0.{number}"), 26379)
    } else if let Some(number) = number('n') {
        Address::new(&format!("10.0.1.{number}"), 6379)
    } else {
        Address::parse(text, 1)
    };
    made.map_err(|error| error.to_string())
}

fn addresses(text: &str) -> Read<Vec<Address>> {
    text.split_whitespace().map(address).collect()
}

fn number<N: std::str::FromStr>(text: &str) -> Read<N> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// A time in milliseconds.
pub(crate) fn read_millis(text: &str) -> Read<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let millis: u64 = number(whole)?;
    let nanos: u64 = number(&format!("{part:0<6}"))?;
    if part.len() > 6 {
        return Err(format!("{text:?} is finer than a nanosecond"));
    }
    Ok(Duration::from_millis(millis) + Duration::from_nanos(nanos))
}

/// The number of a sentinel that has a short name.
fn short_number(sentinel: &Address) -> Option<u8> {
    shortened(&sentinel.to_string()).strip_prefix('s')?.parse().ok()
}

pub(crate) fn shortened(text: &str) -> String {
    let mut out = text.to_owned();
    for number in (1..=9).rev() {
        out = out
            .replace(&format!("10.0.0.{number}:26379"), &format!("s{number}"))
            .replace(&format!("10.0.1.{number}:6379"), &format!("n{number}"));
    }
    out
}
