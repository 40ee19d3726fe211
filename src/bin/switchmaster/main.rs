//! The command `switchmaster`: a look at a deployment and at what happens to it, throw-away clusters,
//! and real failovers to try the library with.

mod arguments;
mod completions;
mod crew;
mod deployment;
mod doctor;
mod drill;
mod exec;
mod failover;
mod failure;
mod files;
mod man;
mod master;
mod metrics;
mod replay;
mod sandbox;
mod services;
mod stop;
mod target;
mod time;
mod topology;
mod wait;
mod watch;
mod window;
mod wrap;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Command::Sandbox(arguments) => sandbox::run(arguments),
        Command::Master(arguments) => master::run(arguments),
        Command::Topology(arguments) => topology::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Watch(arguments) => watch::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
        Command::Wait(arguments) => wait::run(arguments),
        Command::Exec(arguments) => exec::run(arguments),
        Command::Metrics(arguments) => metrics::run(arguments),
        Command::Drill(arguments) => drill::run(arguments),
        Command::Failover(arguments) => failover::run(arguments),
        Command::Completions(arguments) => completions::run(arguments, Arguments::command()),
        Command::Man(arguments) => man::run(arguments, Arguments::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_silent() {
                // Nobody may be left to read it; the exit code says it all the same.
                let _ = writeln!(io::stderr().lock(), "switchmaster: {failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}
