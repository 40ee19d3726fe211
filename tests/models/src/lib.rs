//! The gate of a generation and the shelf of a pool, in every order in which their threads can meet.
//!
//! `src/connection/gate.rs`, `src/pool/shelf.rs` and `src/pool/waiting.rs` themselves are compiled
//! here, over loom's locks and atomics in the place of the real ones; the gate between sockets and a
//! server that are no more than what its promises are about, the shelf in a pool without r2d2. Built by `make models` only; for everybody else this is empty.
//!
//! loom knows acquire, release, relaxed and fences. A sequentially consistent access it takes for
//! an acquiring or releasing one, so where that order matters the gate has a fence.
#![cfg(all(loom, test))]

#[path = "../../../src/connection/gate.rs"]
#[allow(dead_code, reason = "not everything in it is modelled")]
mod gate;
mod models;
mod pool;
#[path = "../../../src/pool/shelf.rs"]
#[allow(dead_code, reason = "not everything in it is modelled")]
mod shelf;
mod stream;
mod sync;
#[path = "../../../src/pool/waiting.rs"]
mod waiting;
