//! `switchmaster man`: its man pages, for packages.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::failure::Failure;

/// Write the man pages of the command and of each subcommand.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  switchmaster man --out .")]
pub(crate) struct Arguments {
    /// The folder, which has to be there.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// `command` is the whole that is told of.
pub(crate) fn run(arguments: &Arguments, command: Command) -> Result<(), Failure> {
    let command = command.disable_help_subcommand(true);
    clap_mangen::generate_to(command, &arguments.out).map_err(|error| {
        let folder = arguments.out.display();
        Failure::new(format!("--out {folder}: {error}; name a folder that can be written to"))
    })
}
