//! `switchmaster topology`: every node and every sentinel of a service.

mod document;
mod look;
mod probe;
mod screen;
mod tree;

use std::{
    io,
    time::{Duration, Instant},
};

use clap::Args;
use crossbeam_channel::{after, never, select};

use crate::{failure::Failure, services::Named, stop, target::Targets, time::duration, window};
use look::Looker;
use screen::Screen;

/// Print every node and every sentinel of a service as a tree.
///
/// A URL without a service (redis+sentinel://host) shows all services that the sentinels monitor.
/// The exit code is 1 when one of them has no master; what is known is printed all the same.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster topology --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster\n  \
    switchmaster topology --url redis+sentinel://10.0.0.1 --json\n  \
    switchmaster topology --url redis+sentinel://10.0.0.1/orders --watch --for 10s")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) targets: Targets,
    /// Print a JSON document instead: an object, or an array of them where the URL names no
    /// service. docs/topology.md describes it.
    #[arg(long)]
    pub(crate) json: bool,
    /// Go on: draw it again as it changes, or, where the output is no terminal, print what has
    /// changed below it.
    #[arg(long)]
    pub(crate) watch: bool,
    /// With --watch: end after this time.
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "watch")]
    pub(crate) r#for: Option<Duration>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let named = Named::of(&arguments.targets.url)?;
    if arguments.watch {
        return follow(arguments, named);
    }
    let mut looker = Looker::open(named)?;
    let looks = looker.look();
    Screen::new(arguments.json, false).show(&looks)?;
    match looks.without_master() {
        services if services.is_empty() => Ok(()),
        services => Err(Failure::new(format!(
            "no server says that it is the master of {}; above is who names whom, and who is not \
             reached",
            services.join(", ")
        ))),
    }
}

fn follow(arguments: &Arguments, named: Named) -> Result<(), Failure> {
    let stop = stop::requested(false)?;
    let end = arguments.r#for.map_or_else(never::<Instant>, after);
    let redraw = window::has_cursor(io::stdout());
    let mut screen = Screen::new(arguments.json, redraw);
    let looks = look::stream(named)?;
    loop {
        select! {
            recv(looks) -> looks => match looks {
                Ok(looks) => screen.show(&looks?)?,
                Err(_) => return Err(Failure::new("the deployment could not be looked at: a fault \
                    in switchmaster; please report it")),
            },
            recv(stop) -> _ => return Ok(()),
            recv(end) -> _ => return Ok(()),
        }
    }
}
