//! Inputs and actions of a machine as lines of text: what recordings are made of, and scenarios.
//!
//! Whatever an input holds, the line that it is written as is read back as the same input.
//! `tests/recordings/README.md` describes the text. Only tests, fuzzers and `switchmaster replay` read it.

mod action;
mod escape;
mod input;
#[cfg(any(test, fuzzing, feature = "cli"))]
mod read;
mod repeat;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wire;

pub(crate) use action::shown;
pub(crate) use input::{answered, millis, written};
pub(crate) use repeat::beside;

#[cfg(any(test, fuzzing, feature = "cli"))]
pub(crate) use read::read_inputs;
#[cfg(any(test, feature = "cli"))]
pub(crate) use read::read_millis;
#[cfg(test)]
pub(super) use read::shortened;
#[cfg(any(test, feature = "cli"))]
pub(crate) use repeat::restored;
#[cfg(test)]
pub(super) use scenario::{address, duration, inputs, shown_shortened};
#[cfg(test)]
pub(super) use wire::error;
