//! Makes the recordings in `tests/recordings`: for each case a cluster, a factory that follows it
//! and records, and a fault.
//!
//! `make recordings` makes all of them, `make recordings CASES="kill freeze"` some.

mod cases;
mod stage;

use std::{env, fs, path::Path, process::ExitCode};

use cases::CASES;
use stage::{Case, Failure};

fn main() -> ExitCode {
    let wanted: Vec<String> = env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| CASES.iter().all(|case| case.name != **name)) {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        eprintln!("{unknown:?} is no case; the cases are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let is_wanted = |case: &&Case| wanted.is_empty() || wanted.iter().any(|name| name == case.name);
    let mut failed = false;
    for case in CASES.iter().filter(is_wanted) {
        match record(case) {
            Ok(bytes) => println!("{}: {} KB", case.name, bytes / 1024),
            Err(failure) => {
                failed = true;
                eprintln!("{}: {failure}", case.name);
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

/// Writes the file of a case, and says how long it is.
fn record(case: &Case) -> Result<usize, Failure> {
    let text = case.record()?;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    fs::write(directory.join(format!("{}.txt", case.name)), &text)?;
    Ok(text.len())
}
