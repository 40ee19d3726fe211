//! A drill in a deployment that a signal ends: [`Interrupt`].

use std::{process, sync::Arc, thread};

use parking_lot::Mutex;
use redis::RedisResult;
use switchmaster::{Builder, Factory};

use super::{keys::Keys, side::Side};
use crate::{failure::Failure, stop};

/// Until the replicas have the removal: else a failover that is under way could bring the keys back.
const REPLICATION_MS: u32 = 1000;

/// Removes the keys of a drill at SIGINT, SIGTERM or SIGHUP, and then ends the process with code 1.
///
/// The removal takes at most the `get_timeout` and `command_timeout` of the deployment's URL, and 1 s.
pub(crate) struct Interrupt {
    in_use: Arc<Mutex<Vec<(Factory, Keys)>>>,
}

impl Interrupt {
    /// Waits for a signal from now on. The factory that removes the keys is opened now, so that it
    /// follows the failovers of the drill. Blocks as [`Builder::build`] does.
    pub(crate) fn watch(builder: Builder) -> Result<Interrupt, Failure> {
        let factory = builder.max_size(1).build()?;
        let stopped = stop::requested(false)?;
        let in_use = Arc::<Mutex<Vec<(Factory, Keys)>>>::default();
        let interrupted = in_use.clone();
        let wait = move || {
            if stopped.recv().is_err() {
                return;
            }
            // Held to the end: the drill itself fails as its factories close, and waits for this.
            let in_use = interrupted.lock();
            // Nothing is written after that.
            in_use.iter().for_each(|(factory, _)| factory.close());
            let keys: Vec<&Keys> = in_use.iter().map(|(_, keys)| keys).collect();
            match remove(&factory, &keys) {
                Ok(()) => eprintln!("switchmaster: interrupted; the drill's keys were removed"),
                Err(error) => {
                    let prefixes: Vec<&str> = keys.iter().map(|keys| keys.prefix()).collect();
                    eprintln!(
                        "switchmaster: interrupted; the drill's keys could not be removed: {error}; \
                         delete those that begin with {}",
                        prefixes.join(" or ")
                    );
                }
            }
            process::exit(1);
        };
        thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(wait)
            .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
        Ok(Interrupt { in_use })
    }

    /// These keys are used from now on.
    pub(crate) fn begin(&self, sides: &[Side], keys: &[Keys]) {
        let factories = sides.iter().map(|side| side.factory.clone());
        *self.in_use.lock() = factories.zip(keys.iter().cloned()).collect();
    }

    /// Nothing writes to them any longer. Does not return once a signal came.
    pub(crate) fn end(&self) {
        self.in_use.lock().clear();
    }
}

fn remove(factory: &Factory, all: &[&Keys]) -> RedisResult<()> {
    for keys in all {
        keys.remove(factory)?;
    }
    let replicas = factory.topology()?.nodes.len().saturating_sub(1);
    factory.run_idempotent(|redis| {
        redis::cmd("WAIT").arg(replicas).arg(REPLICATION_MS).query::<usize>(redis)
    })?;
    Ok(())
}
