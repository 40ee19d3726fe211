//! `switchmaster metrics`: a service for Prometheus.

mod exposition;
mod server;

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use clap::Args;
use switchmaster::Builder;

use crate::{failure::Failure, stop, target::Target};

/// Serve the state of a service over HTTP, as text for Prometheus: GET /metrics.
///
/// It runs until it is interrupted, also while the service has no master.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    switchmaster metrics --url redis+sentinel://s1,s2/m --listen 127.0.0.1:9121")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Where to listen; port 0 is any that is free. Whoever reaches it can read it.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9121")]
    pub(crate) listen: SocketAddr,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let stop = stop::requested(false)?;
    let factory = Builder::from_url(&arguments.target.url)?.build_without_master()?;
    let page = move || match factory.topology() {
        Ok(topology) => exposition::page(&topology, &factory.stats()),
        // It is closed with the command.
        Err(error) => format!("# {error}\n"),
    };
    let address = server::start(arguments.listen, page)?;
    let mut output = io::stdout().lock();
    writeln!(output, "serving http://{address}/metrics")?;
    output.flush()?;
    let _ = stop.recv();
    Ok(())
}
