//! The gate of a generation, in every order in which its threads can meet.
//!
//! `src/connection/gate.rs` itself is compiled here, over loom's locks and atomics in the place of
//! the real ones, and between sockets and a server that are no more than what the
//! gate's promises are about. Built by `make models` only; for everybody else this is empty.
//!
//! loom knows acquire, release, relaxed and fences. A sequentially consistent access it takes for
//! an acquiring or releasing one, so where that order matters the gate has a fence.
#![cfg(all(loom, test))]

#[path = "../../../src/connection/gate.rs"]
#[allow(dead_code, reason = "not everything in it is modelled")]
mod gate;
mod models;
mod stream;
mod sync;
