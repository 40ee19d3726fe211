//! `switchmaster master`: where the master is.

use std::io::{self, Write};

use switchmaster::Factory;

use crate::{arguments::MasterArguments, failure::Failure};

pub(crate) fn run(arguments: &MasterArguments) -> Result<(), Failure> {
    let factory = Factory::open(&arguments.url)?;
    let master = factory
        .master()
        .ok_or_else(|| Failure::new("the factory closed before it named a master; try again"))?;
    writeln!(io::stdout().lock(), "{master}")?;
    Ok(())
}
