//! One failover core for Redis Sentinel, for programs that block.

mod address;
mod error;

pub use address::Address;
pub use error::{Error, ErrorKind, Outcome};
