//! One fault under load, from the warm-up to the count of what is missing: [`Record`].

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use redis::Commands;
use switchmaster::{Event, Factory};

use super::{
    fault::Fault,
    ground::Ground,
    keys::Keys,
    load::{Load, Strength},
    operation::{Duty, Track},
};
use crate::failure::Failure;

/// From the fault until everyone works again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long everyone goes on after that.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// What happened, as instants.
pub(crate) struct Record {
    pub(crate) fault: Fault,
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
    pub(crate) lost: Vec<String>,
}

/// Does it once.
pub(crate) fn exercise(
    ground: &Ground,
    factory: &Factory,
    fault: Fault,
    strength: Strength,
) -> Result<Record, Failure> {
    let keys = Keys::new(strength.writers, strength.blocked);
    let done = with_keys(ground, factory, fault, strength, &keys);
    let removed = keys.remove(factory);
    let record = done?;
    removed?;
    Ok(record)
}

fn with_keys(
    ground: &Ground,
    factory: &Factory,
    fault: Fault,
    strength: Strength,
    keys: &Keys,
) -> Result<Record, Failure> {
    factory.run_idempotent(|redis| redis.set::<_, _, ()>(keys.read(), "a value"))?;
    let generation = factory.generation();
    let old = Identity::of(factory)?;
    let from = named_master(factory);
    let events = factory.events();
    let witness = ground.witness()?;
    let load = Load::start(factory, keys, strength)?;
    load.warm_up()?;

    let struck = ground.strike(fault)?;
    let deadline = struck + PATIENCE;
    let left = || deadline.saturating_duration_since(Instant::now());
    let switch = loop {
        match events.recv_deadline(deadline) {
            Ok(Event::Switched { at, generation: new, .. }) if new > generation => break Some(at),
            Ok(_) => {}
            Err(_) => break None,
        }
    };
    if let Some(switch) = switch {
        load.wait_through(switch, deadline);
    }
    let announcement = witness.announcement(left());
    let promotion = witness.promotion(Duration::ZERO);
    let stale = match Identity::of(factory) {
        Ok(new) => new.staleness(&old),
        Err(error) => Some(format!("it does not answer: {error}")),
    };
    thread::sleep(AFTERWARDS);
    let stopped = Instant::now();
    let tracks = load.stop();
    drop(witness);

    ground.restore()?;
    let to = named_master(factory);
    let lost = lost(factory, keys, &tracks)?;
    Ok(Record {
        fault,
        from,
        to,
        generation,
        struck,
        promotion,
        announcement,
        switch,
        stopped,
        tracks,
        stale,
        lost,
    })
}

fn named_master(factory: &Factory) -> String {
    factory.master().map_or_else(|| "none".to_owned(), |master| master.to_string())
}

/// What the server that a handle leads to says of itself.
struct Identity {
    role: String,
    run_id: String,
}

impl Identity {
    fn of(factory: &Factory) -> redis::RedisResult<Identity> {
        factory.run_idempotent(|redis| {
            let role: Vec<redis::Value> = redis::cmd("ROLE").query(redis)?;
            let role = role.first().map(redis::from_redis_value_ref).transpose()?;
            let info: String = redis::cmd("INFO").arg("server").query(redis)?;
            let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
            Ok(Identity {
                role: role.unwrap_or_default(),
                run_id: run_id.unwrap_or_default().trim().to_owned(),
            })
        })
    }

    fn staleness(&self, old: &Identity) -> Option<String> {
        if self.role != "master" {
            return Some(format!("its role is {:?}", self.role));
        }
        (self.run_id == old.run_id).then(|| format!("it is the old one, run id {}", old.run_id))
    }
}

/// Acknowledged writes that the master does not have.
fn lost(factory: &Factory, keys: &Keys, tracks: &[Track]) -> Result<Vec<String>, Failure> {
    let mut lost = Vec::new();
    for track in tracks.iter().filter(|track| track.duty == Duty::Write) {
        let key = keys.written_by(track.index);
        let there: Vec<u64> = factory.run_idempotent(|redis| redis.lrange(&key, 0, -1))?;
        let there: HashSet<u64> = there.into_iter().collect();
        let missing = track.done().filter(|done| !there.contains(&done.number));
        lost.extend(missing.map(|done| format!("{}: {}", track.name(), done.number)));
    }
    Ok(lost)
}
