//! The command does what its help says.

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod doctor;
mod drills;
mod examples;
mod failovers;
mod help;
mod looks;
mod program;
mod replays;
mod sandboxes;
mod scrapes;
mod watches;
