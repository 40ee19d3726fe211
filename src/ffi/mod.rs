//! The C interface: one file for each type of the header, in the order of its chapters.
//!
//! Every exported function is written in the same way. It is plain (cbindgen sees no macros), it runs
//! its body inside [`guard`], which lets no panic out and refuses to work in a forked child, and it
//! writes its results when it succeeded and not otherwise. Factories, handles, options and
//! subscriptions are numbers in the guise of pointers ([`id`]): one that was released, closed, or was
//! never given out is told apart, and never followed. Replies are memory of the caller's ([`reply`]).
//!
//! What the functions do is in the comments that the header is made of; here is how.

#![allow(unsafe_code, reason = "this is where C meets Rust; each block has its reason")]
#![allow(non_camel_case_types, reason = "the names of the header")]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod block;
mod corner;
mod fork;
mod guard;
mod id;
mod shares;
mod slots;

// The chapters of the header.
mod event;
mod factory;
mod handle;
mod options;
mod reply;
mod stats;
mod status;
mod subscription;
mod version;

// For a binding in Rust that has a calling convention of its own. Everybody else has the header, or
// this crate's own types.
pub use self::{
    event::*, factory::*, handle::*, options::*, reply::*, stats::*, status::*, subscription::*,
    version::*,
};
