//! Real Redis and Sentinel clusters on loopback, for tests and demos.

mod acceptor;
mod builder;
mod client;
mod cluster;
mod error;
mod fake;
mod fake_node;
mod fake_sentinel;
pub mod frame;
mod guardian;
mod health;
mod member;
mod node;
mod patience;
mod ports;
mod probe;
mod program;
mod proxy;
mod sentinel;
mod settings;

pub use builder::Builder;
pub use client::Client;
pub use cluster::Cluster;
pub use error::{Error, ErrorKind, Result};
pub use fake::Place;
pub use fake_node::{FakeNode, NodeModel};
pub use fake_sentinel::{FakePeer, FakeReplica, FakeSentinel, FakeService, SentinelModel};
pub use member::Member;
pub use node::{Node, Role};
pub use patience::wait_until;
pub use probe::{Announcement, Probe, Promotion};
pub use program::{SENTINEL_VARIABLE, SERVER_VARIABLE};
pub use proxy::FaultProxy;
pub use sentinel::Sentinel;
