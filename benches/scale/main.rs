//! What it costs to follow many services, to follow one while nothing happens, and to start where
//! a sentinel does not answer.
//!
//! `make bench-scale` lets a second process play three sentinels and two nodes
//! ([`stage`]), so that threads, memory and processor time are those of the factories alone. It
//! prints figures, and fails where one misses its target. `cargo bench --features cli --bench scale -- services` is one part of it alone:
//! `starts`, `idle`, `services`, `inputs`, `stale` or `holes`. It needs the feature `cli`, to replay a recording.

mod inputs;
#[path = "../../tests/common/many.rs"]
#[allow(dead_code, reason = "a test uses the rest")]
mod many;
mod process;
mod stage;

use std::{
    env,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use switchmaster::{Event, Factory, SentinelLink};

use many::{name, own_settings};
use process::Usage;
use stage::Stage;

/// How many services one process follows.
const SERVICES: usize = 200;
/// The number of listed replicas that are gone, beside the one that lives.
const STALE: usize = 199;
/// The number of queries about them to every sentinel, the number of rounds, and the target in
/// milliseconds for the switch beside one without them.
const LOOKS: u32 = 50;
const STALE_ROUNDS: usize = 5;
const SWITCH_TARGET: f64 = 2.0;
/// The number of answers that a machine is given, and the target in milliseconds for one of them.
const INPUTS: usize = 1_000;
const INPUT_TARGET: f64 = 0.2;
/// A sentinel promotes a replica so long after it has chosen it.
const CHOICE_TO_PROMOTION: Duration = Duration::from_millis(69);
/// How long an idle factory is looked at.
const IDLE: Duration = Duration::from_secs(30);
/// Starts of each kind.
const STARTS: usize = 20;
/// The number of services whose nodes fall into a black hole, the number of measurements, and the
/// milliseconds by which the switch of another service may be later then.
const LOST: usize = 20;
const HOLE_ROUNDS: usize = 7;
const HOLE_TARGET: f64 = 5.0;
/// How long anything may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(30);

type Fault = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|own| own != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => measure(),
        ["starts"] => starts(),
        ["idle"] => idle(),
        ["services"] => services(),
        ["inputs"] => inputs(),
        ["stale"] => stale(),
        ["holes"] => holes(),
        ["stage", services] => services.parse().map_err(Fault::from).and_then(stage::play),
        _ => Err("it takes the name of a part, or nothing".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("scale: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Fault> {
    starts()?;
    idle()?;
    services()?;
    inputs()?;
    stale()?;
    holes()
}

fn open(sentinels: &[String], service: usize) -> Result<Factory, Fault> {
    let builder = own_settings(Factory::builder(), service);
    Ok(builder.sentinels(sentinels).service(name(service)).build()?)
}

fn is_calm(factory: &Factory) -> bool {
    factory.topology().is_ok_and(|topology| {
        let up = |own: &&_| matches!(own, SentinelLink::Up { .. });
        topology.troubles.is_empty()
            && topology.sentinels.iter().map(|own| &own.link).filter(up).count() == 3
    })
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), Fault> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what}: not within {PATIENCE:?}").into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// From nothing to a connection that is ready, with three sentinels, and where the first of them is
/// a black hole: nobody accepts, and nobody refuses.
fn starts() -> Result<(), Fault> {
    let mut stage = Stage::begin(1)?;
    let sound = stage.sentinels.clone();
    let mut holed = sound.clone();
    holed[0] = stage.hole()?;
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..STARTS {
        for turn in 0..2 {
            let side = (round + turn) % 2;
            let begun = Instant::now();
            let factory = open([&sound, &holed][side], 0)?;
            drop(factory.get()?);
            times[side].push(begun.elapsed().as_secs_f64() * 1e3);
            factory.close();
        }
    }
    let [sound, holed] = times.map(median);
    println!("start-up, three sentinels            {sound:8.2} ms");
    println!("start-up, the first one a black hole {holed:8.2} ms  {:.2}x", holed / sound);
    Ok(())
}

/// One idle factory.
fn idle() -> Result<(), Fault> {
    let stage = Stage::begin(1)?;
    let factory = open(&stage.sentinels, 0)?;
    wait_until("all sentinels are up", || is_calm(&factory))?;
    thread::sleep(Duration::from_secs(1));
    let before = Usage::now()?;
    thread::sleep(IDLE);
    let after = Usage::now()?;
    let share = (after.cpu - before.cpu).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let wakes = (after.wakes - before.wakes) as f64 / IDLE.as_secs_f64();
    println!("an idle factory                      {share:8.4} % of a core, {wakes:.1} wake-ups/s");
    Ok(())
}

/// Hundreds of services, all of whose masters are replaced at once.
fn services() -> Result<(), Fault> {
    let mut stage = Stage::begin(SERVICES)?;
    let before = Usage::now()?;
    let begun = Instant::now();
    let factories: Vec<Factory> =
        (0..SERVICES).map(|service| open(&stage.sentinels, service)).collect::<Result<_, _>>()?;
    let opened = begun.elapsed();
    wait_until("all are calm", || factories.iter().all(is_calm))?;
    let after = Usage::now()?;
    let kib = (after.resident.saturating_sub(before.resident)) as f64 / 1024.0 / SERVICES as f64;
    println!("{SERVICES} services opened                  {:8.1} ms", opened.as_secs_f64() * 1e3);
    println!(
        "{SERVICES} services: {} threads, {} links to sentinels, {kib:.1} KiB a service",
        after.threads,
        stage.links()?
    );
    let stories: Vec<Receiver<Event>> = factories.iter().map(Factory::events).collect();
    stage.order("choose")?;
    for story in &stories {
        await_event(story, |event| matches!(event, Event::Chosen { .. }))?;
    }
    let before = Usage::now()?.cpu;
    stage.order("promote")?;
    let mut evidence: Option<Instant> = None;
    let mut switches = Vec::new();
    for story in &stories {
        let promoted = await_event(story, |event| matches!(event, Event::Promoted { .. }))?;
        evidence = Some(evidence.map_or(promoted.at(), |first| first.min(promoted.at())));
        let switched = await_event(story, |event| matches!(event, Event::Switched { .. }))?;
        switches.push(switched.at());
    }
    let computed = (Usage::now()?.cpu - before).as_secs_f64() * 1e3;
    let first = evidence.ok_or("there are no services")?;
    let mut took: Vec<f64> =
        switches.iter().map(|at| at.saturating_duration_since(first).as_secs_f64() * 1e3).collect();
    took.sort_by(f64::total_cmp);
    println!(
        "first evidence to switch: median {:.1} ms, the last of all {:.1} ms",
        took[took.len() / 2],
        took[took.len() - 1]
    );
    println!("… for which this process computed    {computed:8.1} ms");
    Ok(())
}

/// A switch of one service, alone and while others have lost all their nodes into a black hole.
fn holes() -> Result<(), Fault> {
    let mut times = [Vec::new(), Vec::new()];
    let mut threads = 0;
    for round in 0..HOLE_ROUNDS {
        for turn in 0..2 {
            let beside = (round + turn) % 2;
            let lost = if beside == 1 { LOST } else { 0 };
            let mut hole = Stage::begin(lost.max(1))?;
            let factories: Vec<Factory> = (0..lost)
                .map(|service| open(&hole.sentinels, service))
                .collect::<Result<_, _>>()?;
            let stories: Vec<Receiver<Event>> = factories.iter().map(Factory::events).collect();
            if lost > 0 {
                wait_until("all are calm", || factories.iter().all(is_calm))?;
                hole.order("vanish")?;
                factories.iter().for_each(Factory::refresh);
                // The dials into the hole are under way, and the first has been given up.
                await_event(&stories[0], |event| matches!(event, Event::NotVerified { .. }))?;
            }
            times[beside].push(switch()?);
            threads = threads.max(Usage::now()?.threads);
            factories.iter().for_each(Factory::close);
        }
    }
    let [alone, beside] = times.map(median);
    println!("a switch, and a command on the new master      {alone:8.2} ms");
    println!(
        "… while {LOST} services dial into a black hole     {beside:8.2} ms, {threads} threads at most"
    );
    if beside > alone + HOLE_TARGET {
        return Err(format!("the target is at most {HOLE_TARGET} ms more than alone").into());
    }
    Ok(())
}

/// Milliseconds from the first evidence to the reply of the new master.
fn switch() -> Result<f64, Fault> {
    let mut stage = Stage::begin(1)?;
    let factory = open(&stage.sentinels, 0)?;
    wait_until("all sentinels are up", || is_calm(&factory))?;
    let story = factory.events();
    stage.order("choose")?;
    await_event(&story, |event| matches!(event, Event::Chosen { .. }))?;
    let waiting = factory.clone();
    let first = thread::spawn(move || {
        waiting.wait_for_generation(1, PATIENCE).ok_or("there was no switch")?;
        let mut handle = waiting.get().map_err(|error| error.to_string())?;
        redis::cmd("ECHO").arg(1).exec(&mut handle).map_err(|error| error.to_string())?;
        Ok::<Instant, String>(Instant::now())
    });
    stage.order("promote")?;
    let promoted = await_event(&story, |event| matches!(event, Event::Promoted { .. }))?;
    let answered = first.join().map_err(|_| "the thread panicked")??;
    factory.close();
    Ok(answered.saturating_duration_since(promoted.at()).as_secs_f64() * 1e3)
}

/// One answer as an input of the machine that decides, where 2 replicas are listed and where 200 are.
fn inputs() -> Result<(), Fault> {
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..STALE_ROUNDS {
        for (side, listed) in [2, STALE + 1].into_iter().enumerate() {
            costs[side].push(inputs::cost(listed, INPUTS)?);
        }
    }
    let [few, many] = costs.map(median);
    println!("an input that lists 2 replicas                 {few:8.3} ms");
    println!(
        "… {} replicas, {} of them gone               {many:8.3} ms (target: {INPUT_TARGET:.3})",
        STALE + 1,
        STALE + 1 - inputs::ALIVE
    );
    if many > INPUT_TARGET {
        return Err("an input with many replicas costs more than the target".into());
    }
    Ok(())
}

/// A service of which the sentinels list many replicas that are gone, and one without: the processor time of
/// an answer without news, and the time from the promotion to the switch.
fn stale() -> Result<(), Fault> {
    let (mut answers, mut switches) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for round in 0..STALE_ROUNDS {
        for turn in 0..2 {
            let side = (round + turn) % 2;
            let (answer, switch) = among([0, STALE][side])?;
            answers[side].push(answer);
            switches[side].push(switch);
        }
    }
    let [few_cost, cost] = answers.map(median);
    let [few_switch, switch] = switches.map(median);
    println!(
        "an answer that lists 2 nodes                   {few_cost:8.3} ms of a processor, read and handled"
    );
    println!("… {} nodes, {STALE} of them gone                {cost:8.3} ms", STALE + 2);
    println!("from the promotion to the switch, 2 nodes      {few_switch:8.3} ms");
    println!(
        "… {} nodes, {STALE} of them gone                {switch:8.3} ms (target: {:.3}, {SWITCH_TARGET} more)",
        STALE + 2,
        few_switch + SWITCH_TARGET
    );
    if switch > few_switch + SWITCH_TARGET {
        return Err("replicas that are gone delay the switch by more than the target".into());
    }
    Ok(())
}

/// Milliseconds of a processor for an answer, and milliseconds from the promotion to the switch.
fn among(gone: usize) -> Result<(f64, f64), Fault> {
    let mut stage = Stage::begin(1)?;
    stage.list_stale(gone)?;
    let factory = open(&stage.sentinels, 0)?;
    wait_until("all sentinels are up", || is_calm(&factory))?;
    thread::sleep(Duration::from_secs(1));
    let before = Usage::now()?.cpu;
    for _ in 0..LOOKS {
        factory.refresh();
        thread::sleep(Duration::from_millis(10));
    }
    let answer = (Usage::now()?.cpu - before) / (LOOKS * 3);
    let story = factory.events();
    stage.order("choose")?;
    await_event(&story, |event| matches!(event, Event::Chosen { .. }))?;
    thread::sleep(CHOICE_TO_PROMOTION);
    let begun = Instant::now();
    stage.order("promote")?;
    let switched = await_event(&story, |event| matches!(event, Event::Switched { .. }))?;
    factory.close();
    let took = switched.at().saturating_duration_since(begun);
    Ok((answer.as_secs_f64() * 1e3, took.as_secs_f64() * 1e3))
}

fn await_event(story: &Receiver<Event>, is_it: impl Fn(&Event) -> bool) -> Result<Event, Fault> {
    loop {
        let event = story.recv_timeout(PATIENCE).map_err(|_| "an event did not come")?;
        if is_it(&event) {
            return Ok(event);
        }
    }
}
