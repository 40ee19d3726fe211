//! One fault under load, from the warm-up to the count of what is missing: [`exercise`].

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use redis::{Commands, RedisResult};
use switchmaster::{Event, Factory, Handle};

use super::{
    course::Course,
    fault::Fault,
    faults::Step,
    ground::Ground,
    identity::Identity,
    interrupt::Interrupt,
    keys::Keys,
    load::Load,
    operation::{Duty, Track},
    record::{Failover, Lost, Record},
    shape::Shape,
    side::Side,
    value,
};
use crate::failure::Failure;

/// How long everyone goes on at the end.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// Values of a list that are read at a time.
const PIECE: isize = 500;
/// Until the replicas have what is written.
const REPLICATION: Duration = Duration::from_secs(10);

/// Does it once, for all sides at the same time: a record for each of them.
pub(crate) fn exercise(
    ground: &Ground,
    sides: &[Side],
    fault: Fault,
    shape: Shape,
    interrupt: Option<&Interrupt>,
) -> Result<Vec<Record>, Failure> {
    let keys: Vec<Keys> = sides.iter().map(|side| Keys::new(side.switch_on, shape)).collect();
    if let Some(interrupt) = interrupt {
        interrupt.begin(sides, &keys);
    }
    let done = with_keys(ground, sides, fault, shape, &keys);
    let removed: Vec<RedisResult<()>> =
        sides.iter().zip(&keys).map(|(side, keys)| keys.remove(&side.factory)).collect();
    if let Some(interrupt) = interrupt {
        interrupt.end();
    }
    let records = done?;
    removed.into_iter().collect::<RedisResult<()>>()?;
    Ok(records)
}

fn with_keys(
    ground: &Ground,
    sides: &[Side],
    fault: Fault,
    shape: Shape,
    keys: &[Keys],
) -> Result<Vec<Record>, Failure> {
    let contenders: Result<Vec<Contender>, Failure> =
        sides.iter().zip(keys).map(|(side, keys)| Contender::start(side, keys, shape)).collect();
    let mut contenders = contenders?;
    for contender in &contenders {
        contender.load.warm_up()?;
    }
    let course = Course::new(ground, sides, fault);
    for number in 0..fault.failovers() {
        fail_over(ground, &course, number, &mut contenders)?;
    }
    let concluding = Instant::now();
    course.conclude()?;
    for contender in &contenders {
        contender.load.wait_through(concluding, concluding + course.patience());
    }
    thread::sleep(AFTERWARDS);
    let stopped = Instant::now();
    contenders.iter().for_each(|contender| contender.load.wind_down());
    let tracks: Vec<Vec<Track>> =
        contenders.iter().map(|contender| contender.load.stop()).collect();
    let steps = course.steps();

    ground.restore(fault, sides)?;
    let records = contenders.into_iter().zip(tracks).map(|(contender, tracks)| {
        Ok(Record {
            fault,
            switch_on: contender.side.switch_on,
            subscribe_denied: ground.denies_subscribe(),
            began: began(&steps, &contender.failovers),
            failovers: contender.failovers,
            steps: steps.clone(),
            events: contender.told.into_iter().chain(contender.events.try_iter()).collect(),
            stopped,
            lost: lost(&contender.side.factory, contender.keys, &tracks)?,
            tracks,
            stale: contender.stale,
        })
    });
    records.collect()
}

/// When something was done for the first time.
fn began(steps: &[Step], failovers: &[Failover]) -> Instant {
    let steps = steps.iter().map(|step| step.at);
    let all = steps.chain(failovers.iter().map(|failover| failover.struck));
    all.min().unwrap_or_else(Instant::now)
}

/// One master is replaced, for all sides at the same time.
fn fail_over(
    ground: &Ground,
    course: &Course,
    number: usize,
    contenders: &mut [Contender],
) -> Result<(), Failure> {
    course.prepare(number)?;
    let witness = ground.witness()?;
    let olds: Result<Vec<Old>, Failure> =
        contenders.iter().map(|contender| Old::of(&contender.side.factory)).collect();
    let olds = olds?;
    let struck = course.strike(&witness)?;
    let deadline = struck + course.patience();
    let announcement = witness.announcement(deadline.saturating_duration_since(Instant::now()));
    if announcement.is_some() {
        course.announced();
    }
    // One that is cut off learns of it when that ends.
    let known = announcement.max(course.healed());
    for (contender, old) in contenders.iter_mut().zip(olds) {
        let switch = contender.follow(&old, known, deadline);
        let staleness = contender.staleness(&old);
        contender.stale = contender.stale.take().or(staleness);
        let factory = &contender.side.factory;
        contender.failovers.push(Failover {
            from: old.name,
            to: named_master(factory),
            generation: old.generation,
            struck,
            promotion: witness.promotion(),
            announcement,
            healed: course.healed(),
            switch: switch.map(|(at, _)| at),
            next: switch.map_or(old.generation + 1, |(_, generation)| generation),
        });
    }
    Ok(())
}

/// The master before a failover, as a factory knows it.
struct Old {
    generation: u64,
    identity: Identity,
    name: String,
}

impl Old {
    fn of(factory: &Factory) -> Result<Old, Failure> {
        Ok(Old {
            generation: factory.generation(),
            identity: Identity::of(factory)?,
            name: named_master(factory),
        })
    }
}

/// A side in one drill.
struct Contender<'a> {
    side: &'a Side,
    keys: &'a Keys,
    events: Receiver<Event>,
    told: Vec<Event>,
    load: Load,
    failovers: Vec<Failover>,
    stale: Option<String>,
}

/// Writes what readers read, and waits until the replicas have it. After a full synchronization one
/// says that it is connected, and gets nothing before its first word to the master, up to a second
/// later: whoever is promoted before that has lost all, and no client can help it.
fn replicate(factory: &Factory, keys: &Keys, shape: Shape) -> Result<(), Failure> {
    let deadline = Instant::now() + REPLICATION;
    loop {
        let (replicas, reached) = factory.run_idempotent(|redis| {
            redis.set::<_, _, ()>(keys.read(), value::of(0, shape.value_size))?;
            let replicas: usize = connected(redis)?;
            let wait = redis::cmd("WAIT").arg(replicas).arg(500).query::<usize>(redis)?;
            Ok((replicas, wait))
        })?;
        if reached >= replicas {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(format!(
                "{reached} of {replicas} replicas got what was written within {REPLICATION:?}: a \
                 failover now would lose it, whatever the client does"
            )));
        }
    }
}

/// How many replicas the master has.
fn connected(redis: &mut Handle) -> RedisResult<usize> {
    let replication: String = redis::cmd("INFO").arg("replication").query(redis)?;
    let count = replication.lines().find_map(|line| line.strip_prefix("connected_slaves:"));
    Ok(count.and_then(|count| count.trim().parse().ok()).unwrap_or(0))
}

impl Contender<'_> {
    fn start<'a>(side: &'a Side, keys: &'a Keys, shape: Shape) -> Result<Contender<'a>, Failure> {
        let factory = &side.factory;
        replicate(factory, keys, shape)?;
        Ok(Contender {
            events: factory.events(),
            told: Vec::new(),
            load: Load::start(factory, keys, shape)?,
            side,
            keys,
            failovers: Vec::new(),
            stale: None,
        })
    }

    /// Waits for a switch and then until every worker has gone on after it and after the new master
    /// was `known`. The last switch until then is the one that counts.
    fn follow(
        &mut self,
        old: &Old,
        known: Option<Instant>,
        deadline: Instant,
    ) -> Option<(Instant, u64)> {
        let begun = self.told.len();
        let (first, _) = loop {
            let event = self.events.recv_deadline(deadline).ok()?;
            let switch = switch_after(old.generation, &event);
            self.told.push(event);
            if let Some(switch) = switch {
                break switch;
            }
        };
        self.load.wait_through(known.map_or(first, |known| known.max(first)), deadline);
        self.told.extend(self.events.try_iter());
        self.told[begun..].iter().rev().find_map(|event| switch_after(old.generation, event))
    }

    fn staleness(&self, old: &Old) -> Option<String> {
        match Identity::of(&self.side.factory) {
            Ok(new) => new.staleness(&old.identity),
            Err(error) => Some(format!("it does not answer: {error}")),
        }
    }
}

fn switch_after(old: u64, event: &Event) -> Option<(Instant, u64)> {
    match event {
        Event::Switched { at, generation, .. } if *generation > old => Some((*at, *generation)),
        _ => None,
    }
}

fn named_master(factory: &Factory) -> String {
    factory.master().map_or_else(|| "none".to_owned(), |master| master.to_string())
}

/// Acknowledged writes that the master does not have.
fn lost(factory: &Factory, keys: &Keys, tracks: &[Track]) -> Result<Vec<Lost>, Failure> {
    let mut lost = Vec::new();
    for track in tracks.iter().filter(|track| track.duty == Duty::Write) {
        let there = written(factory, &keys.written_by(track.index))?;
        for done in track.done() {
            let missing = done.numbers().filter(|number| !there.contains(number));
            lost.extend(missing.map(|number| Lost {
                writer: track.name(),
                number,
                at: done.ended,
                generation: done.generation,
            }));
        }
    }
    Ok(lost)
}

/// The numbers in a list, in pieces, so that long values do not make one long reply.
fn written(factory: &Factory, key: &str) -> Result<HashSet<u64>, Failure> {
    let mut there = HashSet::new();
    for piece in 0.. {
        let from = piece * PIECE;
        let values: Vec<String> =
            factory.run_idempotent(|redis| redis.lrange(key, from, from + PIECE - 1))?;
        there.extend(values.iter().filter_map(|value| value::number(value)));
        if values.len() < PIECE as usize {
            break;
        }
    }
    Ok(there)
}
