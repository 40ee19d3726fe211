//! Writes that wait on a master: [`Pause`].

use std::time::{Duration, Instant};

use redis::RedisResult;

use super::replica::Node;

/// The server ends it by itself at its deadline, whatever becomes of this command: that is the undo of last
/// resort.
pub(super) struct Pause {
    begun: Instant,
    until: Instant,
}

impl Pause {
    /// Lets no write begin on this master (`CLIENT PAUSE … WRITE`), for so long at most.
    pub(super) fn begin(master: &mut Node, longest: Duration) -> RedisResult<Pause> {
        let begun = Instant::now();
        let millis = longest.as_millis().to_string();
        master.ask::<()>(&["CLIENT", "PAUSE", &millis, "WRITE"])?;
        Ok(Pause { begun, until: begun + longest })
    }

    /// When the server lets writes go on by itself.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// How long it has lasted.
    pub(super) fn lasted(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Lets writes go on (`CLIENT UNPAUSE`).
    pub(super) fn end(&self, master: &mut Node) -> RedisResult<()> {
        master.ask(&["CLIENT", "UNPAUSE"])
    }
}
