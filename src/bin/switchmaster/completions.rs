//! `switchmaster completions`: for a shell to complete subcommands and options.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;

/// Print a script with which a shell completes subcommands and options.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster completions bash > switchmaster.bash\n  \
    switchmaster completions zsh > _switchmaster")]
pub(crate) struct Arguments {
    /// For which shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// `command` is the whole that is completed.
pub(crate) fn run(arguments: &Arguments, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "switchmaster", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}
