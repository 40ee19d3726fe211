//! The keys that a drill uses: [`Keys`].

use std::{
    process,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use redis::{Commands, RedisResult};
use switchmaster::Factory;

use super::{arguments::SwitchOn, shape::Shape};

/// Names that begin with `switchmaster:drill:` and that no other drill or side uses.
#[derive(Clone)]
pub(crate) struct Keys {
    prefix: Arc<str>,
    writers: usize,
    lists: usize,
}

impl Keys {
    pub(crate) fn new(side: SwitchOn, shape: Shape) -> Keys {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let prefix = format!("switchmaster:drill:{}:{}:{side}", process::id(), now.as_nanos());
        Keys { prefix: prefix.into(), writers: shape.writers, lists: shape.blocked }
    }

    /// The list that a writer appends to.
    pub(crate) fn written_by(&self, writer: usize) -> String {
        format!("{}:written:{writer}", self.prefix)
    }

    /// What the readers read.
    pub(crate) fn read(&self) -> String {
        format!("{}:read", self.prefix)
    }

    /// The list that a blocked reader waits at.
    pub(crate) fn list(&self, blocked: usize) -> String {
        format!("{}:list:{blocked}", self.prefix)
    }

    /// The beginning of the name of each.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Removes all of them.
    pub(crate) fn remove(&self, factory: &Factory) -> RedisResult<()> {
        let mut all = vec![self.read()];
        all.extend((0..self.writers).map(|writer| self.written_by(writer)));
        all.extend((0..self.lists).map(|list| self.list(list)));
        factory.run_idempotent(|redis| redis.del(&all))
    }
}
