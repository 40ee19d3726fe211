//! One input of the machine that decides, without sockets: answers of sentinels that list replicas, as a
//! recording that is replayed.

use std::{fmt::Write, time::Instant};

use switchmaster::replay::replay;

use super::Fault;

const SENTINELS: [&str; 3] = ["127.0.0.1:26379", "127.0.0.1:26380", "127.0.0.1:26381"];
const MASTER: &str = "127.0.0.1:6379";
/// Replicas that are in sync.
pub(crate) const ALIVE: usize = 5;

/// Returns the milliseconds of one answer with news of offsets, when `listed` replicas are listed and all
/// but [`ALIVE`] of them are gone. Reading the line of the recording is part of it.
pub(crate) fn cost(listed: usize, answers: usize) -> Result<f64, Fault> {
    let took = |answers: usize| -> Result<f64, Fault> {
        let text = recording(listed, answers);
        let begun = Instant::now();
        let replayed = replay(&text, None)?;
        let took = begun.elapsed().as_secs_f64() * 1e3;
        let switches = replayed.steps.iter().flat_map(|step| &step.replayed);
        if switches.filter(|action| action.starts_with("switch ")).count() != 1 {
            return Err("the master of the recording is not served".into());
        }
        Ok(took)
    };
    // The start is taken off.
    Ok((took(answers + 1)? - took(1)?) / answers as f64)
}

fn recording(listed: usize, answers: usize) -> String {
    let mut text =
        String::from("# switchmaster recording 1\n# service=mymaster\n# switch_on=promotion\n");
    let mut at = 0;
    let mut line = |input: String| {
        at += 10_000;
        writeln!(text, "{at}.000000 {input}").expect("a string takes all");
    };
    line(format!("start {}", SENTINELS.join(" ")));
    for (index, sentinel) in SENTINELS.iter().enumerate() {
        line(format!("up {sentinel}: id=s{index} peer={sentinel}"));
    }
    for index in 0..SENTINELS.len() {
        line(answer(index, listed, 0));
    }
    line(format!("verified {MASTER}: master id=m replid=h"));
    for round in 0..answers {
        line(answer(round % SENTINELS.len(), listed, round));
    }
    text
}

/// The answer of one sentinel. Each lists the replicas in an order of its own, as sentinels do.
fn answer(index: usize, listed: usize, round: usize) -> String {
    let replica = |place: usize| {
        let own = (place + 7 * index) % listed;
        let state = match own < ALIVE {
            true => format!("link=ok;offset={}", 1_000 + round),
            false => "s_down;disconnected;link=err;offset=0".to_owned(),
        };
        format!("127.0.0.1:{}(id=r{own};{state};master={MASTER};priority=100)", 30_000 + own)
    };
    let replicas: Vec<String> = (0..listed).map(replica).collect();
    let others = SENTINELS.iter().enumerate().filter(|(other, _)| *other != index);
    let others: Vec<String> = others.map(|(other, at)| format!("{at}(id=s{other})")).collect();
    format!(
        "answer {}: {MASTER}@1 id=m quorum=2 down-after=1200 failover-timeout=6000 replicas={} sentinels={}",
        SENTINELS[index],
        replicas.join(","),
        others.join(",")
    )
}
