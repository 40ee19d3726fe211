//! How the factory is used during a drill: [`Shape`].

use std::time::Duration;

/// How many threads of each kind every side has, and what they do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) writers: usize,
    pub(crate) readers: usize,
    pub(crate) blocked: usize,
    /// Between two operations of a writer or reader.
    pub(crate) pace: Duration,
    /// The length of a value that is written or read, in bytes.
    pub(crate) value_size: usize,
    /// Commands of a writer for each round trip.
    pub(crate) pipeline: u32,
}

impl Shape {
    /// All threads; with those who block, one that feeds their lists.
    pub(crate) fn threads(self) -> usize {
        self.writers + self.readers + self.blocked + usize::from(self.blocked > 0)
    }
}
