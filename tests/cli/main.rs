//! The command does what its help says.

mod browser;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod demotions;
mod doctor;
mod drills;
mod examples;
mod failovers;
mod faults;
mod help;
mod loads;
mod looks;
mod plain_load;
mod program;
mod replays;
mod reports;
mod rivals;
mod sandboxes;
mod scrapes;
mod screens;
mod selections;
mod terminal;
mod waits;
mod watches;
