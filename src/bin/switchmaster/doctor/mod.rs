//! `switchmaster doctor`: what is wrong with a deployment, why it matters, and how to mend it.
//!
//! `survey` asks every server and collects `facts`; `rules` judge the facts, each one fault; `report`
//! prints the findings. Rules ask nobody, so a table of facts is all that a test of one needs.

mod facts;
mod fields;
mod finding;
mod report;
mod rules;
mod survey;
mod words;

use std::{io, time::Instant};

use clap::Args;

use crate::{deployment::Deployment, failure::Failure, target::Target};
use report::Report;

/// Examine a deployment: what is wrong, why it matters, and how to mend it.
///
/// Every sentinel and every node is asked, all at the same time, and nothing is changed. A server that
/// does not answer is waited for as long as dial_timeout and command_timeout in the URL say.
///
/// docs/doctor.md tells more about each finding.
///
/// Exit code: 0 nothing worse than a note, 1 warnings, 3 errors; 2 arguments that make no sense.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster doctor --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster\n  \
    switchmaster doctor --url redis+sentinel://:secret@10.0.0.1/mymaster --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print one JSON document instead.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let deployment = Deployment::of(&arguments.target.url)?;
    let began = Instant::now();
    let facts = survey::survey(deployment.dialer());
    let report = Report::new(&facts, rules::findings(&facts), began.elapsed());
    report.print(&mut io::stdout().lock(), arguments.json)?;
    match report.exit_code() {
        0 => Ok(()),
        code => Err(Failure::told_as(code)),
    }
}
