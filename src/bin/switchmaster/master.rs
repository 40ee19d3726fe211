//! `switchmaster master`: where the master is.

use std::io::{self, Write};

use clap::Args;
use switchmaster::Factory;

use crate::{failure::Failure, target::Target};

/// Print host:port of the current master, which has said of itself that it is one.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    switchmaster master --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let factory = Factory::open(&arguments.target.url)?;
    let master = factory
        .master()
        .ok_or_else(|| Failure::new("the factory closed before it named a master; try again"))?;
    writeln!(io::stdout().lock(), "{master}")?;
    Ok(())
}
