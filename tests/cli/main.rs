//! The command does what its help says.

mod commands;
mod drills;
mod examples;
mod help;
mod looks;
mod program;
mod replays;
mod sandboxes;
mod scrapes;
mod watches;
