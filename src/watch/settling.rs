//! What ran on a generation that is over, once its last commands have ended: [`Settling`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::pool::Generation;

/// Whoever waited for a reply is woken by the retirement, and has this long to say what became of it.
const PATIENCE: Duration = Duration::from_millis(250);
/// The pause between two looks at that.
const STEP: Duration = Duration::from_millis(1);

/// A generation that is over and some of whose commands may still be under way.
pub(super) struct Settling {
    generation: Arc<Generation>,
    /// How many commands had run when it was certainly the only master.
    since: u64,
    doubted: bool,
    next: Instant,
    until: Instant,
}

impl Settling {
    pub(super) fn new(generation: Arc<Generation>, since: u64, doubted: bool) -> Settling {
        let now = Instant::now();
        Settling { generation, since, doubted, next: now, until: now + PATIENCE }
    }

    pub(super) fn generation(&self) -> &Generation {
        &self.generation
    }

    /// When it is to be looked at next.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Whether no command is under way any longer, or it is not waited for them any longer.
    pub(super) fn is_settled(&mut self, now: Instant) -> bool {
        self.next = now + STEP;
        now >= self.until || !self.generation.gate().begun().1
    }

    /// How many commands may be lost: at most so many. `None` when there is nothing to be told.
    pub(super) fn overruled(&self) -> Option<u64> {
        let commands = self.generation.gate().begun().0.saturating_sub(self.since);
        (self.doubted || commands > 0).then_some(commands)
    }
}
