//! `switchmaster drill`: real failovers under load.

mod arguments;
mod contract;
mod course;
mod delay;
mod document;
mod errors;
mod exercise;
mod fault;
mod faults;
mod fence;
mod figure;
mod ground;
mod html;
mod identity;
mod interrupt;
mod keys;
mod listener;
mod load;
mod millis;
mod operation;
mod picture;
mod progress;
mod record;
mod report;
mod shape;
mod side;
mod table;
mod target;
mod turn;
mod value;
mod witness;
mod worker;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::Path,
};

use jiff::{Timestamp, tz::TimeZone};

pub(crate) use arguments::{Arguments, SwitchOn};
pub(crate) use fault::Fault;
use ground::Ground;
use interrupt::Interrupt;
use progress::Progress;
use report::Report;
use shape::Shape;
use side::Side;
use target::Target;

use crate::{deployment::Deployment, failure::Failure};

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let deployment = arguments.url.as_deref().map(Deployment::of).transpose()?;
    let faults = faults(arguments)?;
    let ways = ways(arguments, deployment.as_ref())?;
    // Before anything is done that would be in vain.
    let page = arguments.report.as_deref().map(open).transpose()?;
    let ground = match deployment {
        None => Ground::sandbox(arguments, &faults)?,
        Some(deployment) => {
            if !arguments.yes {
                ask(&deployment, arguments.runs)?;
            }
            Ground::Deployment(Box::new(deployment))
        }
    };
    let interrupt = match &ground {
        Ground::Deployment(deployment) => Some(Interrupt::watch(deployment.factory())?),
        // It ends with this process.
        Ground::Sandbox { .. } => None,
    };
    let shape = Shape {
        writers: arguments.writers as usize,
        readers: arguments.readers as usize,
        blocked: arguments.blocked as usize,
        pace: arguments.pace,
        value_size: arguments.value_size as usize,
        pipeline: arguments.pipeline,
    };
    let mut progress = Progress::of(arguments.runs * faults.len() as u32);
    let mut results = Vec::new();
    for &fault in &faults {
        let sides: Result<Vec<Side>, Failure> =
            ways.iter().map(|way| side(&ground, fault, *way, shape)).collect();
        let sides = sides?;
        let mut reports = Vec::new();
        for run in 1..=arguments.runs {
            progress.begin(fault, run, arguments.runs);
            let records = exercise::exercise(&ground, &sides, fault, shape, interrupt.as_ref())?;
            reports.extend(records.into_iter().map(Report::of));
            progress.done();
        }
        sides.iter().for_each(|side| side.factory.close());
        let targets = match arguments.targets {
            true => Target::of(fault, ground.denies_subscribe()),
            false => &[],
        };
        let result = Series { fault, reports, targets };
        if !arguments.json {
            show(arguments, &ways, &result)?;
        }
        results.push(result);
    }
    drop(progress);
    if let Some((mut file, path)) = page {
        let page = html::page(shape, &ways, &results, &now());
        let written = file.set_len(0).and_then(|()| file.write_all(page.as_bytes()));
        written.map_err(|error| unwritten(path, &error))?;
    }
    if arguments.json {
        writeln!(io::stdout().lock(), "{}", document::of(arguments, &ways, &results))?;
    }
    match results.iter().all(Series::is_good) {
        true => Ok(()),
        false => Err(Failure::told()),
    }
}

/// What is in the file stays there until there is something else to write.
fn open(path: &Path) -> Result<(File, &Path), Failure> {
    let file = File::options().write(true).create(true).truncate(false).open(path);
    file.map(|file| (file, path)).map_err(|error| unwritten(path, &error))
}

fn now() -> String {
    Timestamp::now()
        .to_zoned_datetime(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S %:z")
        .to_string()
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::usage(format!("--report {path}: {error}; name a file that can be written"))
}

/// What became of all runs of one fault.
struct Series {
    fault: Fault,
    /// Those of each run together, in the order of the sides.
    reports: Vec<Report>,
    targets: &'static [Target],
}

impl Series {
    fn of_side(&self, way: SwitchOn) -> Vec<&Report> {
        self.reports.iter().filter(|report| report.switch_on == way).collect()
    }

    fn is_good(&self) -> bool {
        let promoted = self.of_side(SwitchOn::Promotion);
        self.reports.iter().all(|report| contract::broken(report).is_empty())
            && self.targets.iter().all(|target| target.is_met(&promoted))
    }
}

fn faults(arguments: &Arguments) -> Result<Vec<Fault>, Failure> {
    if arguments.url.is_some()
        && let Some(fault) = arguments.fault.iter().find(|fault| !fault.is_for_deployments())
    {
        return Err(Failure::usage(format!(
            "--fault {fault}: with --url only planned and coordinated failovers are drilled, since \
             nothing here could bring that master back; use --fault planned, or drill a sandbox \
             (without --url)"
        )));
    }
    Ok(match (&arguments.fault[..], &arguments.url) {
        ([], None) => Fault::USUAL.to_vec(),
        ([], Some(_)) => vec![Fault::Planned],
        (faults, _) => each_once(faults),
    })
}

/// The ways to switch that are compared.
fn ways(arguments: &Arguments, deployment: Option<&Deployment>) -> Result<Vec<SwitchOn>, Failure> {
    let ways = match &arguments.switch_on[..] {
        [] => {
            let said = deployment.map(Deployment::switch_on);
            vec![said.map_or(SwitchOn::Promotion, SwitchOn::from)]
        }
        ways => each_once(ways),
    };
    if arguments.targets && !ways.contains(&SwitchOn::Promotion) {
        return Err(Failure::usage(
            "--targets: they are for a switch at the promotion; add it to --switch-on",
        ));
    }
    Ok(ways)
}

fn each_once<T: Copy + PartialEq>(items: &[T]) -> Vec<T> {
    let mut once = Vec::new();
    for item in items {
        if !once.contains(item) {
            once.push(*item);
        }
    }
    once
}

fn ask(deployment: &Deployment, runs: u32) -> Result<(), Failure> {
    let (url, service) = (deployment.sentinels(), deployment.service());
    let mut input = io::stdin().lock();
    if !input.is_terminal() {
        return Err(Failure::usage(format!(
            "--url: this would fail over {service:?}; say --yes when nobody can be asked"
        )));
    }
    let mut output = io::stderr().lock();
    write!(
        output,
        "This fails over {service:?} of {url:?} {runs} times and writes to it. Its users will see \
         errors, and writes may be lost. Type yes to go on: "
    )?;
    output.flush()?;
    let mut answer = String::new();
    io::BufRead::read_line(&mut input, &mut answer)?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err(Failure::new("nothing was done, since the answer was not \"yes\"")),
    }
}

/// Its pool is one in which every thread finds a handle, so that what is measured is the failover.
fn side(ground: &Ground, fault: Fault, way: SwitchOn, shape: Shape) -> Result<Side, Failure> {
    let builder = ground.factory(fault)?.max_size(shape.threads() as u32 + 1);
    let builder = builder.switch_on(way.into());
    Ok(Side { switch_on: way, factory: builder.build()? })
}

fn show(arguments: &Arguments, ways: &[SwitchOn], result: &Series) -> Result<(), Failure> {
    let Series { fault, reports, targets } = result;
    let mut output = io::stdout().lock();
    let text = if arguments.targets || ways.len() > 1 && arguments.runs > 1 {
        table::compared(*fault, ways, reports, targets)
    } else if arguments.runs > 1 {
        table::spread(*fault, reports)
    } else {
        table::single(reports)
    };
    writeln!(output, "{text}")?;
    let drawn = arguments.ascii || arguments.picture || output.is_terminal();
    if arguments.runs == 1 && drawn {
        for report in reports {
            writeln!(output, "{}", picture::draw(report, arguments.ascii))?;
        }
    }
    output.flush()?;
    Ok(())
}
