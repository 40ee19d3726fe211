//! One fault under load, from the warm-up to the count of what is missing: [`Record`].

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use redis::{Commands, RedisResult};
use switchmaster::{Event, Factory, Handle};

use super::{
    arguments::SwitchOn,
    fault::Fault,
    ground::Ground,
    identity::Identity,
    keys::Keys,
    load::{Load, Strength},
    operation::{Duty, Track},
    side::Side,
};
use crate::failure::Failure;

/// From the fault until everyone works again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long everyone goes on after that.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// Until the replicas have what is written.
const REPLICATION: Duration = Duration::from_secs(10);

/// What happened to one side, as instants.
pub(crate) struct Record {
    pub(crate) fault: Fault,
    pub(crate) switch_on: SwitchOn,
    /// Whether the sentinels refuse SUBSCRIBE.
    pub(crate) subscribe_denied: bool,
    pub(crate) from: String,
    pub(crate) to: String,
    /// The generation before the fault.
    pub(crate) generation: u64,
    pub(crate) struck: Instant,
    pub(crate) promotion: Option<Instant>,
    pub(crate) announcement: Option<Instant>,
    pub(crate) switch: Option<Instant>,
    /// When the workers were asked to end.
    pub(crate) stopped: Instant,
    pub(crate) tracks: Vec<Track>,
    /// What is wrong with the server that a handle leads to after the switch.
    pub(crate) stale: Option<String>,
    /// Writes that were acknowledged and are missing in the end.
    pub(crate) lost: Vec<Lost>,
}

/// An acknowledged write that is missing.
pub(crate) struct Lost {
    pub(crate) writer: String,
    pub(crate) number: u64,
    /// When it was acknowledged.
    pub(crate) at: Instant,
}

/// Does it once, for all sides at the same time: a record for each of them.
pub(crate) fn exercise(
    ground: &Ground,
    sides: &[Side],
    fault: Fault,
    strength: Strength,
) -> Result<Vec<Record>, Failure> {
    let keys: Vec<Keys> = sides.iter().map(|side| Keys::new(side.switch_on, strength)).collect();
    let done = with_keys(ground, sides, fault, strength, &keys);
    let removed: Vec<RedisResult<()>> =
        sides.iter().zip(&keys).map(|(side, keys)| keys.remove(&side.factory)).collect();
    let records = done?;
    removed.into_iter().collect::<RedisResult<()>>()?;
    Ok(records)
}

fn with_keys(
    ground: &Ground,
    sides: &[Side],
    fault: Fault,
    strength: Strength,
    keys: &[Keys],
) -> Result<Vec<Record>, Failure> {
    let witness = ground.witness()?;
    let contenders: Result<Vec<Contender>, Failure> =
        sides.iter().zip(keys).map(|(side, keys)| Contender::start(side, keys, strength)).collect();
    let contenders = contenders?;
    for contender in &contenders {
        contender.load.warm_up()?;
    }

    let struck = ground.strike(fault)?;
    let deadline = struck + PATIENCE;
    let switches: Vec<Option<Instant>> =
        contenders.iter().map(|contender| contender.follow(deadline)).collect();
    let announcement = witness.announcement(deadline.saturating_duration_since(Instant::now()));
    let promotion = witness.promotion(Duration::ZERO);
    let stale: Vec<Option<String>> = contenders.iter().map(Contender::staleness).collect();
    thread::sleep(AFTERWARDS);
    let stopped = Instant::now();
    contenders.iter().for_each(|contender| contender.load.wind_down());
    let tracks: Vec<Vec<Track>> =
        contenders.iter().map(|contender| contender.load.stop()).collect();
    drop(witness);

    ground.restore(sides)?;
    let found = switches.into_iter().zip(stale).zip(tracks);
    let records = contenders.iter().zip(found).map(|(contender, ((switch, stale), tracks))| {
        let factory = &contender.side.factory;
        Ok(Record {
            fault,
            switch_on: contender.side.switch_on,
            subscribe_denied: ground.denies_subscribe(),
            from: contender.from.clone(),
            to: named_master(factory),
            generation: contender.generation,
            struck,
            promotion,
            announcement,
            switch,
            stopped,
            lost: lost(factory, contender.keys, &tracks)?,
            tracks,
            stale,
        })
    });
    records.collect()
}

/// A side in one failover.
struct Contender<'a> {
    side: &'a Side,
    keys: &'a Keys,
    generation: u64,
    old: Identity,
    from: String,
    events: Receiver<Event>,
    load: Load,
}

/// Writes what readers read, and waits until the replicas have it. After a full synchronization one
/// says that it is connected, and gets nothing before its first word to the master, up to a second
/// later: whoever is promoted before that has lost all, and no client can help it.
fn replicate(factory: &Factory, keys: &Keys) -> Result<(), Failure> {
    let deadline = Instant::now() + REPLICATION;
    loop {
        let (replicas, reached) = factory.run_idempotent(|redis| {
            redis.set::<_, _, ()>(keys.read(), "a value")?;
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
    fn start<'a>(
        side: &'a Side,
        keys: &'a Keys,
        strength: Strength,
    ) -> Result<Contender<'a>, Failure> {
        let factory = &side.factory;
        replicate(factory, keys)?;
        Ok(Contender {
            generation: factory.generation(),
            old: Identity::of(factory)?,
            from: named_master(factory),
            events: factory.events(),
            load: Load::start(factory, keys, strength)?,
            side,
            keys,
        })
    }

    /// Waits for the switch and then until every worker is through, and says when the switch was.
    fn follow(&self, deadline: Instant) -> Option<Instant> {
        let switch = loop {
            match self.events.recv_deadline(deadline) {
                Ok(Event::Switched { at, generation, .. }) if generation > self.generation => {
                    break at;
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        };
        self.load.wait_through(switch, deadline);
        Some(switch)
    }

    fn staleness(&self) -> Option<String> {
        match Identity::of(&self.side.factory) {
            Ok(new) => new.staleness(&self.old),
            Err(error) => Some(format!("it does not answer: {error}")),
        }
    }
}

fn named_master(factory: &Factory) -> String {
    factory.master().map_or_else(|| "none".to_owned(), |master| master.to_string())
}

/// Acknowledged writes that the master does not have.
fn lost(factory: &Factory, keys: &Keys, tracks: &[Track]) -> Result<Vec<Lost>, Failure> {
    let mut lost = Vec::new();
    for track in tracks.iter().filter(|track| track.duty == Duty::Write) {
        let key = keys.written_by(track.index);
        let there: Vec<u64> = factory.run_idempotent(|redis| redis.lrange(&key, 0, -1))?;
        let there: HashSet<u64> = there.into_iter().collect();
        let missing = track.done().filter(|done| !there.contains(&done.number));
        lost.extend(missing.map(|done| Lost {
            writer: track.name(),
            number: done.number,
            at: done.ended,
        }));
    }
    Ok(lost)
}
