//! What a worker did and when: [`Operation`], [`Track`].

use std::time::Instant;

use redis::RedisError;
use switchmaster::{Error, Outcome};

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Duty {
    /// RPUSH of values that nobody else writes.
    Write,
    /// GET.
    Read,
    /// BLPOP without a limit.
    Block,
    /// RPUSH to the lists of those who block, one after the other.
    Feed,
}

impl Duty {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Duty::Write => "writer",
            Duty::Read => "reader",
            Duty::Block => "blocked",
            Duty::Feed => "feeder",
        }
    }

    /// All of them, as they are named when there are several.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Duty::Write => "writers",
            Duty::Read => "readers",
            Duty::Block => "blocked",
            Duty::Feed => "feeder",
        }
    }
}

/// One checkout with one command, or one pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Before the checkout.
    pub(crate) began: Instant,
    /// After the reply, or after the error.
    pub(crate) ended: Instant,
    /// The generation that the handle belonged to at the end; 0 for none.
    pub(crate) generation: u64,
    /// What was written first, or which list was fed.
    pub(crate) number: u64,
    /// How many commands it was: so many numbers were written.
    pub(crate) count: u32,
    pub(crate) trouble: Option<Trouble>,
}

impl Operation {
    /// The numbers that were written.
    pub(crate) fn numbers(&self) -> std::ops::Range<u64> {
        self.number..self.number + u64::from(self.count)
    }
}

/// How an operation failed.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) outcome: Outcome,
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Trouble {
        Trouble {
            outcome: Outcome::of(&error),
            kind: Error::from_redis(&error).map_or("reply", |ours| ours.kind().as_str()),
            message: error.to_string(),
        }
    }
}

/// Everything that one worker did.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) duty: Duty,
    /// Which of those with this duty.
    pub(crate) index: usize,
    pub(crate) operations: Vec<Operation>,
    /// Since when it has been in an operation that had not ended by the end of the drill.
    pub(crate) running: Option<Instant>,
}

impl Track {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.duty.as_str(), self.index)
    }

    pub(crate) fn done(&self) -> impl DoubleEndedIterator<Item = &Operation> {
        self.operations.iter().filter(|operation| operation.trouble.is_none())
    }

    pub(crate) fn failed(&self) -> impl Iterator<Item = (&Operation, &Trouble)> {
        self.operations
            .iter()
            .filter_map(|operation| Some((operation, operation.trouble.as_ref()?)))
    }
}
