//! One failover core for Redis Sentinel, for programs that block.

mod address;
mod address_map;
mod broadcast;
mod config;
mod connection;
mod error;
mod event;
mod factory;
mod metrics;
mod options;
mod pool;
mod topology;
mod trouble;
mod url;
mod watch;
mod workers;

pub use address::Address;
pub use config::{Builder, Protocol, SwitchOn};
pub use error::{Error, ErrorKind, Outcome};
pub use event::{Event, Evidence, Source};
pub use factory::Factory;
pub use metrics::Stats;
pub use pool::Handle;
pub use redis;
pub use topology::{
    Agreement, Hearing, NodeRole, NodeStatus, SentinelLink, SentinelStatus, Topology,
};
