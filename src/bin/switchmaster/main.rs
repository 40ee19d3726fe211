//! The command `switchmaster`: a look at a deployment and at what happens to it, throw-away clusters,
//! and real failovers to try the library with.

mod arguments;
mod deployment;
mod doctor;
mod drill;
mod failover;
mod failure;
mod master;
mod sandbox;
mod stop;
mod target;
mod time;
mod topology;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Command::Sandbox(arguments) => sandbox::run(arguments),
        Command::Master(arguments) => master::run(arguments),
        Command::Topology(arguments) => topology::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Watch(arguments) => watch::run(arguments),
        Command::Drill(arguments) => drill::run(arguments),
        Command::Failover(arguments) => failover::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_silent() {
                eprintln!("switchmaster: {failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}
