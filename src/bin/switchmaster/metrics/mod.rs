//! `switchmaster metrics`: services for Prometheus.

mod exposition;
mod server;

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use clap::Args;
use switchmaster::{Error, Factory};

use crate::{failure::Failure, services::Named, stop, target::Targets};
use exposition::State;

/// Serve the state of a service over HTTP, as text for Prometheus: GET /metrics.
///
/// A URL without a service (redis+sentinel://host) is about all services that the sentinels monitor
/// when the command starts. It runs until it is interrupted, also while a service has no master.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster metrics --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster\n  \
    switchmaster metrics --url redis+sentinel://s1,s2 --listen 127.0.0.1:9121")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) targets: Targets,
    /// Where to listen; port 0 is any that is free. Whoever reaches it can read it.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9121")]
    pub(crate) listen: SocketAddr,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let stop = stop::requested(false)?;
    let factories = Named::of(&arguments.targets.url)?.factories()?;
    let page = move || {
        let states: Result<Vec<State>, Error> = factories.iter().map(state).collect();
        match states {
            Ok(states) => exposition::page(&states),
            // They are closed with the command.
            Err(error) => format!("# {error}\n"),
        }
    };
    let address = server::start(arguments.listen, page)?;
    let mut output = io::stdout().lock();
    writeln!(output, "serving http://{address}/metrics")?;
    output.flush()?;
    let _ = stop.recv();
    Ok(())
}

fn state(factory: &Factory) -> Result<State, Error> {
    Ok(State { topology: factory.topology()?, stats: factory.stats() })
}
