//! One failover core for Redis Sentinel, for programs that block.

mod address;
mod config;
mod error;

pub use address::Address;
pub use config::SwitchOn;
pub use error::{Error, ErrorKind, Outcome};
