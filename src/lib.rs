//! One failover core for Redis Sentinel, for programs that block.

mod address;
#[allow(dead_code)]
mod address_map;
#[allow(dead_code)]
mod config;
mod error;
#[allow(dead_code)]
mod options;
mod url;

pub use address::Address;
pub use config::{Builder, Protocol, SwitchOn};
pub use error::{Error, ErrorKind, Outcome};
