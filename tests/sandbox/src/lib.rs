//! Real Redis and Sentinel clusters on loopback for tests and demos, with faults to order.
//!
//! * [`Cluster`] starts masters, replicas and sentinels on free ports within a fraction of a second. Its members can be
//!   killed, frozen, resumed and restarted, and failed over; [`Cluster::repair`] makes it whole for the next round.
//!   Sentinels that lead a failover can be killed at the promotion, and two of them can lead at once.
//!   Nothing of a cluster outlives the process that started it, whichever way that ends.
//! * [`Probe`] watches a cluster and says when a promoted replica accepted its first write (the instant P), and when
//!   each sentinel announced it. It shares no code with the clients that are compared with it.
//! * [`FaultProxy`] stands between a client and a server: delays, black holes, resets, half-open links, cut replies, connects that hang.
//!   [`Builder::proxied`] puts one in front of every member.
//! * [`FakeSentinel`] and [`FakeNode`] are scripted servers that say what no real one can be made to say, and go through
//!   a failover step by step.
//! * [`Client`] is the small blocking client that all of these use, and [`wait_until`] how tests wait: for a
//!   condition, with a deadline.
//!
//! It needs `redis-server` 6 or newer on `PATH`, or named by `SWITCHMASTER_REDIS_SERVER` (and, for another program as
//! sentinel, `SWITCHMASTER_REDIS_SENTINEL`), a POSIX `sh`, and Linux: processes are looked up in `/proc`.
//! [`Builder::server`] names another server for one cluster, and [`valkey_server`] finds a Valkey for it.
//!
//! ```
//! use std::time::Duration;
//! use switchmaster_sandbox::{Cluster, Probe};
//!
//! let cluster = Cluster::builder().replicas(1).sentinels(3).start()?;
//! println!("{}", cluster.url()); // redis+sentinel://127.0.0.1:…/mymaster
//!
//! let old = cluster.master()?;
//! let probe = Probe::start(&cluster)?;
//! cluster.failover()?; // or kill_master(), or freeze_master()
//!
//! let promotion = probe.promotion(Duration::from_secs(10)).expect("a promotion");
//! let announcement = probe.announcement(Duration::from_secs(10)).expect("an announcement");
//! assert_ne!(promotion.address, old.address());
//! assert!(announcement.at > promotion.at);
//!
//! cluster.wait_for_master_other_than(old.port(), Duration::from_secs(10))?;
//! cluster.repair(Duration::from_secs(10))?;
//! # Ok::<(), switchmaster_sandbox::Error>(())
//! ```
//!
//! `cargo run -p switchmaster-sandbox` starts a cluster to try things on and keeps it until its input ends.

mod acceptor;
mod builder;
mod client;
mod cluster;
mod error;
mod fake;
mod fake_failover;
mod fake_node;
mod fake_sentinel;
mod fake_service;
pub mod frame;
mod guardian;
mod health;
mod host;
mod leader;
mod member;
mod node;
mod patience;
mod ports;
mod probe;
mod program;
mod proxy;
mod sentinel;
mod settings;
mod tls;

pub use builder::Builder;
pub use client::Client;
pub use cluster::Cluster;
pub use error::{Error, ErrorKind, Result};
pub use fake::Place;
pub use fake_failover::FailoverKind;
pub use fake_node::{FakeNode, NodeModel};
pub use fake_sentinel::{FakeSentinel, SentinelModel};
pub use fake_service::{FakePeer, FakeReplica, FakeService};
pub use leader::{KilledLeader, Rival};
pub use member::Member;
pub use node::{Node, Role};
pub use patience::wait_until;
pub use probe::{Announcement, Probe, Promotion};
pub use program::{SENTINEL_VARIABLE, SERVER_VARIABLE, VALKEY_VARIABLE, valkey_server};
pub use proxy::FaultProxy;
pub use sentinel::Sentinel;
pub use tls::Tls;
