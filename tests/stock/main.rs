//! `switchmaster failover` beside clients of other makers: what each has lost, and how long it could not
//! write.
//!
//! As a test, one failover. `make bench-stock RUNS=20` has many, and prints figures; with
//! `MANNER=--plain` they are those of the sentinels' own way, which loses writes.

#[path = "../common/mod.rs"]
mod common;
mod writer;

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{PATIENCE, load::Load};
use serde_json::Value;
use switchmaster::Factory;
use switchmaster_sandbox::{Cluster, wait_until};
use writer::{Client, Writer};

/// How many more writes each client has to have acknowledged before and after.
const WRITES: usize = 100;

/// What one client saw of one failover.
struct Seen {
    name: String,
    acknowledged: usize,
    lost: usize,
    errors: usize,
    /// The longest time between two acknowledged writes.
    pause: Duration,
}

#[test]
fn clients_of_every_make_lose_nothing() {
    let count = |name: &str, usual: usize| {
        std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
    };
    let (runs, manner) = (count("RUNS", 1), std::env::var("MANNER").ok());
    let plain = manner.as_deref() == Some("--plain");
    let clients = Client::all();
    let mut all: Vec<Seen> = Vec::new();
    let mut pauses = Vec::new();
    for run in 1..=runs {
        let (report, seen) = fail_over(&clients, manner.as_deref());
        if let Some(pause) = report["paused_ms"].as_f64() {
            pauses.push(pause);
        }
        for one in &seen {
            println!(
                "run {run:>2}  {:<14} {:>5} of {:>6} acknowledged writes lost, {:>4} errors, pause {:>6.0} ms",
                one.name,
                one.lost,
                one.acknowledged,
                one.errors,
                one.pause.as_secs_f64() * 1e3,
            );
        }
        all.extend(seen);
    }
    summary(&all, &mut pauses);
    let lost: usize = all.iter().map(|one| one.lost).sum();
    assert_eq!(all.len(), runs * (clients.len() + 1));
    assert!(plain || lost == 0, "{lost} acknowledged writes are lost");
}

/// One failover of a cluster of its own, with all clients at once.
fn fail_over(clients: &[Client], manner: Option<&str>) -> (Value, Vec<Seen>) {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_replicated(PATIENCE).unwrap();
    let writers: Vec<Writer> =
        clients.iter().map(|client| Writer::start(client, &cluster)).collect();
    let factory = Factory::open(&cluster.url()).expect("a factory opens");
    let load = Load::begin(&factory, 4);
    for writer in &writers {
        writer.wait_for(WRITES);
    }

    let mut words = vec!["failover", "--url"];
    let url = cluster.url();
    words.extend([&*url, "--yes", "--json"]);
    words.extend(manner);
    let done = Command::new(env!("CARGO_BIN_EXE_switchmaster"))
        .args(&words)
        .stdin(Stdio::null())
        .output()
        .expect("the command runs");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{printed}{told}");
    let report: Value = serde_json::from_str(&printed).expect("one JSON document");

    load.wait_for(WRITES as u64);
    for writer in &writers {
        writer.wait_for(WRITES);
    }
    let tally = load.end();
    let tallies: Vec<writer::Tally> = writers.into_iter().map(Writer::end).collect();
    let master = cluster.master().unwrap();
    assert_eq!(report["to"].as_str(), Some(&*master.address().to_string()), "{report}");
    let caught_up = || cluster.wait_settled(Duration::ZERO).is_ok();
    assert!(wait_until(PATIENCE, caught_up), "the cluster does not settle:\n{}", cluster.logs());
    let mut seen: Vec<Seen> = tallies.iter().map(|tally| tally.seen(&master)).collect();
    let times: Vec<Instant> = tally.writes.iter().map(|write| write.at).collect();
    seen.push(Seen {
        name: "switchmaster".to_owned(),
        acknowledged: tally.writes.len(),
        lost: tally.lost(&master).len(),
        errors: tally.failures.len(),
        pause: longest_pause(times.iter().copied()),
    });
    (report, seen)
}

/// The longest time between two that follow each other.
fn longest_pause(times: impl Iterator<Item = Instant> + Clone) -> Duration {
    let next = times.clone().skip(1);
    times.zip(next).map(|(one, next)| next - one).max().unwrap_or_default()
}

fn summary(all: &[Seen], pauses: &mut [f64]) {
    let mut names: Vec<&str> = Vec::new();
    for one in all {
        if !names.contains(&&*one.name) {
            names.push(&one.name);
        }
    }
    for name in names {
        let own: Vec<&Seen> = all.iter().filter(|one| one.name == name).collect();
        let mut times: Vec<Duration> = own.iter().map(|one| one.pause).collect();
        times.sort();
        println!(
            "{name:<14} {} runs: {} writes lost (most in one: {}), pause median {:.0} ms, longest {:.0} ms",
            own.len(),
            own.iter().map(|one| one.lost).sum::<usize>(),
            own.iter().map(|one| one.lost).max().unwrap_or(0),
            times[times.len() / 2].as_secs_f64() * 1e3,
            times[times.len() - 1].as_secs_f64() * 1e3,
        );
    }
    pauses.sort_by(f64::total_cmp);
    if let (Some(median), Some(longest)) = (pauses.get(pauses.len() / 2), pauses.last()) {
        println!("writes paused: median {median:.0} ms, longest {longest:.0} ms");
    }
}
