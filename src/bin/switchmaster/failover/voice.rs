//! A sentinel, and what it says of the service: [`Voice`].

use std::{collections::HashMap, time::Instant};

use redis::{RedisResult, Value};
use switchmaster::{Address, direct::Dialer};

use super::line::Line;

/// A row of what a sentinel tells: fields by name.
pub(super) type Row = HashMap<String, String>;

/// A sentinel's report on a service at one moment.
pub(super) struct View {
    pub(super) master: Row,
    pub(super) names: Option<Address>,
    pub(super) replicas: Vec<Row>,
}

/// A sentinel that answers.
pub(super) struct Voice {
    pub(super) address: Address,
    pub(super) run_id: String,
    line: Line,
}

impl Voice {
    pub(super) fn connect(dialer: &Dialer, address: &Address) -> RedisResult<Voice> {
        let mut line = Line::to_sentinel(dialer, address);
        let run_id = line.ask(&["SENTINEL", "MYID"])?;
        Ok(Voice { address: address.clone(), run_id, line })
    }

    /// The same sentinel on a connection of its own.
    pub(super) fn again(&self, dialer: &Dialer) -> Voice {
        Voice {
            address: self.address.clone(),
            run_id: self.run_id.clone(),
            line: Line::to_sentinel(dialer, &self.address),
        }
    }

    fn ask<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        self.line.ask(&[&["SENTINEL"], words].concat())
    }

    /// Goes on with the patience of another dialer.
    pub(super) fn redial(&mut self, dialer: &Dialer) {
        self.line.redial(dialer);
    }

    /// From now on no answer is waited for longer than until then.
    pub(super) fn until(&mut self, deadline: Option<Instant>) {
        self.line.until(deadline);
    }

    /// Which master it names.
    pub(super) fn names(&mut self, service: &str) -> RedisResult<Option<Address>> {
        let named: Option<(String, u16)> = self.ask(&["GET-MASTER-ADDR-BY-NAME", service])?;
        Ok(named.and_then(|(host, port)| Address::new(&host, port).ok()))
    }

    /// The master as it sees it, with its own settings.
    pub(super) fn master(&mut self, service: &str) -> RedisResult<Row> {
        self.ask(&["MASTER", service])
    }

    /// The replicas as it lists them: not those with `replica-announced no`.
    pub(super) fn replicas(&mut self, service: &str) -> RedisResult<Vec<Row>> {
        self.ask(&["REPLICAS", service])
    }

    /// The master and its replicas as it sees them at one moment, and the master that it names.
    pub(super) fn view(&mut self, service: &str) -> RedisResult<View> {
        let mut replies = self
            .line
            .ask_all(&[
                &["SENTINEL", "MASTER", service],
                &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service],
                &["SENTINEL", "REPLICAS", service],
            ])?
            .into_iter();
        let mut next = || replies.next().unwrap_or(Ok(Value::Nil));
        let (master, named, replicas) = (next()?, next()?, next()?);
        let named: Option<(String, u16)> = redis::from_redis_value(named)?;
        Ok(View {
            master: redis::from_redis_value(master)?,
            names: named.and_then(|(host, port)| Address::new(&host, port).ok()),
            replicas: redis::from_redis_value(replicas)?,
        })
    }

    /// The answers to INFO that it keeps (`SENTINEL INFO-CACHE`): of the master and of every replica,
    /// those included that it does not list, each with its age in milliseconds.
    pub(super) fn cached_infos(&mut self, service: &str) -> RedisResult<Vec<(u64, String)>> {
        let reply: HashMap<String, Vec<(u64, Option<String>)>> =
            self.ask(&["INFO-CACHE", service])?;
        let infos = reply.into_values().flatten();
        Ok(infos.filter_map(|(age, info)| Some((age, info?))).collect())
    }

    /// The other sentinels that it knows.
    pub(super) fn others(&mut self, service: &str) -> RedisResult<Vec<Address>> {
        let rows: Vec<Row> = self.ask(&["SENTINELS", service])?;
        Ok(rows.iter().filter_map(address).collect())
    }

    /// Whether enough sentinels can be reached from it: an error where not.
    pub(super) fn has_quorum(&mut self, service: &str) -> RedisResult<()> {
        self.ask(&["CKQUORUM", service])
    }

    /// Whether it is in TILT mode, and does nothing.
    pub(super) fn is_tilted(&mut self) -> RedisResult<bool> {
        let info: String = self.line.ask(&["INFO", "sentinel"])?;
        Ok(info.lines().any(|line| line.trim() == "sentinel_tilt:1"))
    }

    /// Orders a failover. What follows the service's name are words of `SENTINEL FAILOVER`.
    pub(super) fn failover(&mut self, service: &str, words: &[&str]) -> RedisResult<()> {
        self.ask(&[&["FAILOVER", service], words].concat())
    }
}

/// Where a node or a sentinel is that a row tells of.
pub(super) fn address(row: &Row) -> Option<Address> {
    Address::new(row.get("ip")?, row.get("port")?.parse().ok()?).ok()
}

/// A number in a row.
pub(super) fn number(row: &Row, field: &str) -> Option<u64> {
    row.get(field)?.parse().ok()
}
