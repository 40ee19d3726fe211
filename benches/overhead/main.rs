//! What switchmaster costs on top of what it is built on, where nothing fails.
//!
//! `cargo bench --bench overhead -- [--quick] [--json]` starts a cluster of its own and measures
//! - checkout and return against plain r2d2 with a manager that does nothing,
//! - GET and SET of 64 bytes against `redis::Connection`, alone and under r2d2, against hiredis where
//!   that is installed, and against a bare loop over a socket,
//! - a thousand GETs in a pipeline, one MGET of a thousand keys, and a GET of 1 MiB, against the same.
//!
//! Server and client share one core where the system lets them be put there, but for the 8 threads of
//! the second case.
//!
//! The sides of a case take turns of 20 ms, in an order that changes from round to round. A ratio
//! is taken within a round and the median over the rounds is shown, so whatever slows the machine
//! down for longer than a round slows both sides down. Nothing is judged: no ratio fails the run.

mod checkout;
mod commands;
mod harness;
mod hiredis;
mod placement;
mod report;

use std::{env, process::ExitCode, time::Duration};

use harness::Case;
use report::{Conditions, Report};
use switchmaster_sandbox::Cluster;

/// How long one side is measured at a time.
const SLICE: Duration = Duration::from_millis(20);
/// Rounds of a full run: a minute and a half of slices.
const ROUNDS: usize = 100;
/// Longer than a run.
const NEVER: Duration = Duration::from_secs(3600);
/// Rounds with `--quick`.
const QUICK_ROUNDS: usize = 10;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    quick: bool,
    json: bool,
}

impl Options {
    /// Reads the arguments. `Err` with a message for one that is not known.
    fn read(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        for argument in arguments {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--json" => options.json = true,
                // Cargo says so to every benchmark.
                "--bench" => {}
                other => {
                    return Err(format!("unknown option {other:?}: there are --quick and --json"));
                }
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::read(env::args().skip(1)) {
        Ok(options) => options,
        Err(fault) => {
            eprintln!("overhead: {fault}");
            return ExitCode::from(2);
        }
    };
    // However busy the machine is, nothing is failed over while it is measured.
    let cluster = Cluster::builder().replicas(1).sentinels(3).down_after(NEVER).start();
    let cluster = match cluster {
        Ok(cluster) => cluster,
        Err(error) => {
            eprintln!("overhead: no cluster to measure with: {error}");
            return ExitCode::FAILURE;
        }
    };
    let report = measure(&cluster, if options.quick { QUICK_ROUNDS } else { ROUNDS });
    if options.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    ExitCode::SUCCESS
}

/// Runs every case on this cluster.
fn measure(cluster: &Cluster, rounds: usize) -> Report {
    let master = cluster.master().expect("the cluster has a master");
    let server = master.info("server", "redis_version").expect("the server names its version");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut cases: Vec<Case> = checkout::cases(cluster);
    let (commands, hiredis) = commands::cases(cluster);
    cases.extend(commands);
    // The threads that check handles out are many on purpose, and stay where they like.
    let processes = hiredis.iter().copied().chain([master.pid()]);
    let together = placement::share_a_core(&processes.collect::<Vec<u32>>());
    for case in &mut cases {
        case.warm_up(SLICE);
    }
    for round in 0..rounds {
        for case in &mut cases {
            case.round(round, SLICE);
        }
    }
    let conditions = Conditions { cores, together, server, rounds, slice: SLICE };
    Report::new(conditions, &cases)
}
