//! The command does what its help says.

#[path = "../common/mod.rs"]
mod common;
mod doctor;
mod drills;
mod failovers;
mod help;
mod looks;
mod program;
mod sandboxes;
mod watches;
