//! The command does what its help says.

mod doctor;
mod drills;
mod help;
mod looks;
mod program;
mod sandboxes;
mod watches;
