//! `switchmaster drill`: real failovers under load.

mod contract;
mod exercise;
mod fault;
mod figure;
mod ground;
mod keys;
mod listener;
mod load;
mod operation;
mod picture;
mod report;
mod table;
mod witness;
mod worker;

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};
use switchmaster::{Builder, Factory};
use switchmaster_sandbox::Cluster;

pub(crate) use fault::Fault;
use figure::{FIGURES, Spread};
use ground::Ground;
use load::Strength;
use report::Report;

use crate::{arguments::DrillArguments, deployment::Deployment, failure::Failure};

/// The width of everything that is printed.
const WIDTH: usize = 80;

pub(crate) fn run(arguments: &DrillArguments) -> Result<(), Failure> {
    let faults = faults(arguments)?;
    let ground = match &arguments.url {
        None => Ground::Sandbox(Box::new(Cluster::builder().start()?)),
        Some(url) => {
            let deployment = Deployment::of(url)?;
            if !arguments.yes {
                ask(&deployment, arguments.runs)?;
            }
            Ground::Deployment(deployment)
        }
    };
    let strength = Strength {
        writers: arguments.writers as usize,
        readers: arguments.readers as usize,
        blocked: arguments.blocked as usize,
    };
    let factory = factory(&ground, arguments, strength)?;
    let mut reports = Vec::new();
    for &fault in &faults {
        let first = reports.len();
        for run in 1..=arguments.runs {
            if arguments.runs > 1 && io::stderr().is_terminal() {
                eprintln!("{fault}, run {run} of {}", arguments.runs);
            }
            reports.push(Report::of(exercise::exercise(&ground, &factory, fault, strength)?));
        }
        if !arguments.json {
            show(arguments, fault, &reports[first..])?;
        }
    }
    factory.close();
    if arguments.json {
        writeln!(io::stdout().lock(), "{}", document(arguments, &faults, &reports))?;
    }
    match reports.iter().all(|report| contract::broken(report).is_empty()) {
        true => Ok(()),
        false => Err(Failure::told()),
    }
}

fn faults(arguments: &DrillArguments) -> Result<Vec<Fault>, Failure> {
    let mut faults = arguments.fault.clone();
    if arguments.url.is_some() {
        if let Some(fault) = faults.iter().find(|fault| **fault != Fault::Planned) {
            return Err(Failure::usage(format!(
                "--fault {fault}: with --url only planned failovers are drilled, since nothing \
                 here could bring that master back; use --fault planned, or drill a sandbox \
                 (without --url)"
            )));
        }
        faults.push(Fault::Planned);
    }
    if faults.is_empty() {
        faults.extend(Fault::ALL);
    }
    let mut once = Vec::new();
    for fault in faults {
        if !once.contains(&fault) {
            once.push(fault);
        }
    }
    Ok(once)
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

/// A pool in which every thread finds a handle, so that what is measured is the failover.
fn factory(
    ground: &Ground,
    arguments: &DrillArguments,
    strength: Strength,
) -> Result<Factory, Failure> {
    let mut builder = Builder::from_url(&ground.url())?.max_size(strength.threads() as u32 + 1);
    if let Some(evidence) = arguments.switch_on {
        builder = builder.switch_on(evidence.into());
    }
    Ok(builder.build()?)
}

fn show(arguments: &DrillArguments, fault: Fault, reports: &[Report]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    if let [report] = reports {
        writeln!(output, "{}", table::single(report))?;
        if arguments.ascii || arguments.picture || output.is_terminal() {
            writeln!(output, "{}", picture::draw(report, arguments.ascii))?;
        }
    } else {
        writeln!(output, "{}", table::spread(fault, reports))?;
    }
    output.flush()?;
    Ok(())
}

fn document(arguments: &DrillArguments, faults: &[Fault], reports: &[Report]) -> Value {
    let faults: Vec<Value> = faults
        .iter()
        .map(|fault| {
            let runs: Vec<&Report> = reports.iter().filter(|run| run.fault == *fault).collect();
            let spread: serde_json::Map<String, Value> = FIGURES
                .iter()
                .map(|figure| {
                    let values = runs.iter().filter_map(|run| (figure.of)(run));
                    let spread = Spread::of(values).map(|spread| spread.to_json());
                    (figure.key.to_owned(), json!(spread))
                })
                .collect();
            json!({
                "fault": fault.as_str(),
                "runs": runs.iter().map(|run| run.to_json()).collect::<Vec<_>>(),
                "spread": spread,
            })
        })
        .collect();
    let broken: Vec<String> = reports.iter().flat_map(contract::broken).collect();
    json!({
        "writers": arguments.writers,
        "readers": arguments.readers,
        "blocked": arguments.blocked,
        "faults": faults,
        "broken": broken,
    })
}
