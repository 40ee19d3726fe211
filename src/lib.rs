//! One failover core for Redis Sentinel, for programs that block.
//!
//! Redis Sentinel watches a master and its replicas, and promotes a replica when the master dies.
//! A [`Factory`] follows: it hands out [`Handle`]s to the current master, and when the master
//! changes it rebuilds its pool, wakes every thread that waits on the old one, and hands out handles
//! to the new one. The program reconnects nothing and asks no sentinel anything.
//!
//! ```no_run
//! use redis::Commands;
//! use switchmaster::Factory;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let factory = Factory::open("redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster")?;
//! let mut redis = factory.get()?;
//! redis.set::<_, _, ()>("greeting", "hello")?;
//! let visits: i64 = factory.run(|redis| redis.incr("visits", 1))?;
//! # Ok(()) }
//! ```
//!
//! # The words
//! * A **service** is the name that Sentinel monitors a master under.
//! * A **generation** is everything that belongs to one accepted master. A **switch** is the step to
//!   the next one; [`Factory::generation`] counts them.
//! * An **outcome** is what an error says about the command: [`Outcome::NotSent`],
//!   [`Outcome::Unknown`] (it may have run) or [`Outcome::Replied`]. Nothing is sent again silently
//!   unless it was certainly not sent.
//!
//! # Subscriptions that survive
//! [`Factory::subscribe`] gives an iterator over what is published. It subscribes again by itself, at
//! the new master after a switch, and says where messages may be missing: no server keeps them for a
//! subscriber that is away.
//!
//! ```no_run
//! use switchmaster::{Delivery, Factory};
//!
//! # fn read_all_prices() {}
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let factory = Factory::open("redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster")?;
//! for delivery in factory.subscribe("prices")? {
//!     match delivery {
//!         Delivery::Message(message) => println!("{}", message.payload::<String>()?),
//!         // Subscribed again: what is read now, and what comes from now on, is complete.
//!         Delivery::Gap(_) => read_all_prices(),
//!         Delivery::Refused(refusal) => eprintln!("{refusal}"),
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # From a sentinel's message to a refreshed handle
//! The watch, one thread for all factories that use the same sentinels, listens to every sentinel
//! and asks them all, often while anything is wrong. What they say is weighed by configuration epoch
//! and majority; an event alone decides nothing, and none is needed. The address that is accepted is
//! dialled and says of itself, in reply to `ROLE`, that it is a master. Then the next generation is
//! published with that connection in its pool, and the old one is retired: its gate closes, its
//! sockets are shut down, and whoever waited finds the new one.
//!
//! # At the fact, not at the word
//! The sentinels name a new master 0.8 to 2 s after it accepts writes. The factory does not wait for
//! that ([`SwitchOn::Promotion`]). It keeps an idle connection to every node; a promotion cuts it, or
//! another answer to `ROLE` on it tells. At that moment every sentinel is asked what it is doing, and
//! the answers prove the promotion, or do not: exactly one sentinel leads a failover, it chose this
//! replica, and a majority of all known sentinels elected it (or the failover was ordered, and every
//! known sentinel says that it leads none itself). The replica's replication history has to be that of
//! the master. What is not proven waits for the sentinels' word.
//!
//! A sentinel has to confirm the switch within [`Builder::confirm_within`]; until then, if the leader
//! is lost, and for as long as the sentinels take, commands wait. [`Event::Confirmed`] and
//! [`Event::Overruled`] say how many commands ran in between.
//!
//! # The fence
//! While a master that is alive is being replaced, it goes on acknowledging writes that its successor
//! will not have. So commands wait from the moment in which the sentinels choose the successor to the
//! switch, and continue there: a planned failover loses nothing and shows no error, only a pause of
//! about 0.1 s. [`Builder::fence`] turns that off; [`OnLostMajority::Fence`] uses the same fence for a
//! program that a partition has shut in with a master.
//!
//! # What can be watched
//! [`Factory::stats`] counts and measures: gauges with HikariCP's meanings, totals, and how long threads
//! waited for handles and had them. [`Factory::events`] tells what happens as it happens, and
//! [`Builder::leak_after`] has handles told that nobody gives back, with the place where they were taken.
//! The feature `metrics` tells the stats through the facade of that name, once a second; `tracing`
//! tells the events, and each wait for a handle as a span.
//!
//! # TLS
//! Nodes and sentinels are spoken to in TLS by [`Builder::tls`] and [`Builder::sentinel_tls`], or by
//! `rediss+sentinel://` and `sentinel_tls=true` in a URL: [`TlsConfig`]. It takes one of the features
//! `tls-rustls` and `tls-native-tls`.
//!
//! # Threads
//! [`Factory`] is `Send + Sync` and cheap to clone. A [`Handle`] and a [`Subscription`] are `Send`; one
//! thread at a time uses each. In the background there is one watch thread for each set of sentinels
//! and four workers for the whole process, with up to sixteen more while servers do not answer; [`Factory::close`] of the last factory ends them.
//!
//! Threads and connections do not survive `fork`. In a child of a process that had a factory open,
//! opening another one fails with [`ErrorKind::Forked`], and closing the inherited one leaves the
//! parent's connections alone; its handles must not be used. Open factories after the fork.

mod address;
mod address_map;
mod broadcast;
mod builder;
mod config;
mod connection;
mod credentials;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod direct;
mod error;
mod event;
mod factory;
#[cfg(feature = "capi")]
#[doc(hidden)]
pub mod ffi;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "json")]
mod json;
mod metrics;
mod options;
mod origin;
mod policy;
mod pool;
#[cfg(any(test, feature = "cli"))]
#[doc(hidden)]
pub mod replay;
mod subscription;
mod sync;
mod tls;
mod topology;
mod trace;
mod trouble;
mod url;
mod watch;
mod workers;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use crate::metrics::figures;
pub use crate::metrics::{Histogram, Stats};
pub use address::Address;
pub use builder::Builder;
pub use config::Protocol;
pub use connection::{RawReplies, Readiness};
pub use credentials::{Credentials, CredentialsProvider};
pub use error::{Error, ErrorKind, Outcome};
pub use event::{Event, Evidence, FenceEnd, FenceReason, Source};
pub use factory::Factory;
pub use policy::{OnLostMajority, ReadFrom, SwitchOn};
pub use pool::Handle;
pub use redis;
pub use subscription::{Closer, Delivery, Gap, GapReason, Message, Refusal, Subscription};
pub use tls::{TlsBackend, TlsConfig};
pub use topology::{
    Agreement, Hearing, NodeRole, NodeStatus, SentinelLink, SentinelStatus, Topology,
};

/// The guide's examples compile.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../docs/timeouts.md")]
    mod timeouts {}
    #[doc = include_str!("../docs/outcomes.md")]
    mod outcomes {}
    #[doc = include_str!("../docs/sizing.md")]
    mod sizing {}
    #[doc = include_str!("../docs/credentials.md")]
    mod credentials {}
    #[doc = include_str!("../docs/sentinel.md")]
    mod sentinel {}
    #[doc = include_str!("../docs/containers.md")]
    mod containers {}
    #[doc = include_str!("../docs/from-r2d2.md")]
    mod from_r2d2 {}
}
