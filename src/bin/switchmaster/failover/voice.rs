//! A sentinel, and what it says of the service: [`Voice`].

use std::collections::HashMap;

use redis::RedisResult;
use switchmaster::{
    Address,
    direct::{Dialer, Direct},
};

/// A row of what a sentinel tells: fields by name.
pub(super) type Row = HashMap<String, String>;

/// A sentinel that answers.
pub(super) struct Voice {
    pub(super) address: Address,
    pub(super) run_id: String,
    link: Direct,
}

impl Voice {
    pub(super) fn connect(dialer: &Dialer, address: &Address) -> RedisResult<Voice> {
        let mut link = dialer.sentinel(address)?;
        let run_id = redis::cmd("SENTINEL").arg("MYID").query(&mut link)?;
        Ok(Voice { address: address.clone(), run_id, link })
    }

    fn ask<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        redis::cmd("SENTINEL").arg(words).query(&mut self.link)
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

    pub(super) fn replicas(&mut self, service: &str) -> RedisResult<Vec<Row>> {
        self.ask(&["REPLICAS", service])
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
        let info: String = redis::cmd("INFO").arg("sentinel").query(&mut self.link)?;
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
