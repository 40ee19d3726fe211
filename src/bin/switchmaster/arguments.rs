//! What can be written on the command line: [`Arguments`]. Each subcommand's own arguments stand with it.

use clap::{Parser, Subcommand};

use crate::{
    completions, doctor, drill, exec, failover, man, master, metrics, replay, sandbox, topology,
    wait, watch,
};

/// Follows the master of a Redis Sentinel deployment.
///
/// Exit codes: 0 it is done; 1 it was tried and failed; 2 the arguments make no sense; others where
/// the help of a subcommand says so.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 80, arg_required_else_help = true)]
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
    Replay(replay::Arguments),
    Wait(wait::Arguments),
    Exec(exec::Arguments),
    Metrics(metrics::Arguments),
    Drill(drill::Arguments),
    Failover(failover::Arguments),
    Completions(completions::Arguments),
    #[command(hide = true)]
    Man(man::Arguments),
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
