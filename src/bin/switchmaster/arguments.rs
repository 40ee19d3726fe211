//! What can be written on the command line: [`Arguments`]. Each subcommand's own arguments stand with it.

use clap::{Parser, Subcommand};

use crate::{doctor, drill, failover, master, sandbox, topology, watch};

/// Follows the master of a Redis Sentinel deployment.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Sandbox(sandbox::Arguments),
    Master(master::Arguments),
    Topology(topology::Arguments),
    Doctor(doctor::Arguments),
    Watch(watch::Arguments),
    Drill(drill::Arguments),
    Failover(failover::Arguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }
}
