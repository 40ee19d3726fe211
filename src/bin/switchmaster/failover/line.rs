//! A connection to one server that is made when it is needed: [`Line`].

use std::time::Instant;

use redis::{ConnectionLike, FromRedisValue, RedisResult, Value};
use switchmaster::{
    Address, Error,
    direct::{Dialer, Direct},
};

/// It is dialled when it is asked, and again after its connection ended.
pub(super) struct Line {
    address: Address,
    dialer: Dialer,
    dial: fn(&Dialer, &Address) -> Result<Direct, Error>,
    link: Option<Direct>,
    deadline: Option<Instant>,
}

impl Line {
    pub(super) fn to_node(dialer: &Dialer, address: &Address) -> Line {
        Line::new(dialer, address, Dialer::node)
    }

    pub(super) fn to_sentinel(dialer: &Dialer, address: &Address) -> Line {
        Line::new(dialer, address, Dialer::sentinel)
    }

    fn new(
        dialer: &Dialer,
        address: &Address,
        dial: fn(&Dialer, &Address) -> Result<Direct, Error>,
    ) -> Line {
        Line { address: address.clone(), dialer: dialer.clone(), dial, link: None, deadline: None }
    }

    /// Goes on with the patience of another dialer, on a new connection.
    pub(super) fn redial(&mut self, dialer: &Dialer) {
        self.dialer = dialer.clone();
        self.link = None;
    }

    /// From now on no answer is waited for longer than until then; `None` is the dialer's patience
    /// alone.
    pub(super) fn until(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Sends a command. After a failure the next one begins with a new connection.
    pub(super) fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.dialled()?,
        };
        link.until(self.deadline);
        let reply = redis::Cmd::new().arg(words).query(&mut link);
        if ConnectionLike::is_open(&link) {
            self.link = Some(link);
        }
        reply
    }

    /// Sends these commands in one write, so that a Redis server runs them one after the other without a
    /// command of another client in between. Returns one reply or error reply for each.
    pub(super) fn ask_all(&mut self, commands: &[&[&str]]) -> RedisResult<Vec<RedisResult<Value>>> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.dialled()?,
        };
        let mut pipeline = redis::pipe();
        for words in commands {
            pipeline.add_command(redis::Cmd::new().arg(*words).clone());
        }
        let replies =
            link.req_packed_commands(&pipeline.get_packed_pipeline(), 0, commands.len())?;
        if ConnectionLike::is_open(&link) {
            self.link = Some(link);
        }
        Ok(replies.into_iter().map(Value::extract_error).collect())
    }

    /// Sends a command that may as well run twice: again, on a new connection, where the one there
    /// was has ended.
    pub(super) fn insist<T: FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        let had_link = self.link.is_some();
        match self.ask(words) {
            Err(_) if had_link && self.link.is_none() => self.ask(words),
            reply => reply,
        }
    }

    fn dialled(&self) -> RedisResult<Direct> {
        let dialled = match self.deadline {
            None => (self.dial)(&self.dialer, &self.address),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                (self.dial)(&self.dialer.clone().dial_within(left), &self.address)
            }
        };
        Ok(dialled?)
    }
}
