//! switchmaster as a contender in a comparison of Redis clients that some other program drives.
//!
//! `contender switchmaster` holds one handle; `contender switchmaster-pool` checks a handle out for
//! each operation; `contender switchmaster-packed` sends what was encoded beforehand through a held
//! handle, and leaves the replies as they come. The server is at 127.0.0.1, on the port that the environment variable
//! `STEADY_PORT` names, and holds the keys `steady:k0000` to `steady:k0999` (64 bytes `v` each) and
//! `steady:big` (1 MiB of `v`). The driver speaks lines over standard input and output:
//!
//! ```text
//! (start)                 hello NAME
//! prepare CASE THREADS    ok | skip             connect anew for this case
//! run MILLISECONDS        ok OPERATIONS NANOSECONDS
//! count N                 ok N NANOSECONDS      exactly N operations
//! quit, or end of input   (exit)
//! ```
//!
//! The cases are `get`, `set`, `pipe1000`, `mget1000`, `get1m` and `checkout`. A reply that is not
//! the one expected ends the program. `benches/steady.conf` names the rows for such a driver.

mod operations;
mod sentinel;

use std::{
    env,
    io::{self, BufRead, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use operations::{Operation, Row};
use sentinel::Sentinel;

fn main() -> ExitCode {
    let name = env::args().nth(1).unwrap_or_default();
    let row = match name.as_str() {
        "switchmaster" => Row::Held,
        "switchmaster-pool" => Row::Pooled,
        "switchmaster-packed" => Row::Packed,
        sentinel::ROLE => return sentinel::serve(),
        _ => {
            eprintln!("usage: contender switchmaster|switchmaster-pool|switchmaster-packed");
            return ExitCode::from(2);
        }
    };
    let sentinel = match server_port().and_then(Sentinel::start) {
        Ok(sentinel) => sentinel,
        Err(fault) => {
            eprintln!("contender: {fault}");
            return ExitCode::FAILURE;
        }
    };
    match converse(&name, row, &sentinel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("contender: the driver is gone: {error}");
            ExitCode::FAILURE
        }
    }
}

fn server_port() -> Result<u16, String> {
    let port = env::var("STEADY_PORT").map_err(|_| "STEADY_PORT is not set".to_owned())?;
    port.parse().map_err(|_| format!("STEADY_PORT is no port: {port}"))
}

/// Answers the driver until it has enough.
fn converse(name: &str, row: Row, sentinel: &Sentinel) -> io::Result<()> {
    say(format_args!("hello {name}"))?;
    let mut operations: Vec<Operation> = Vec::new();
    let mut batch = 1;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["prepare", case, threads] => {
                // Connections of the case before end first.
                operations.clear();
                operations = operations::of(row, case, threads.parse().unwrap_or(1), sentinel);
                batch = operations::batch(case);
                say(format_args!("{}", if operations.is_empty() { "skip" } else { "ok" }))?;
            }
            ["run", millis] => {
                let length = Duration::from_millis(millis.parse().unwrap_or(20));
                let begun = Instant::now();
                let done = repeat(&mut operations, batch, begun + length);
                say(format_args!("ok {done} {}", begun.elapsed().as_nanos()))?;
            }
            ["count", times] => {
                let times: u64 = times.parse().unwrap_or(1);
                let begun = Instant::now();
                operations.iter_mut().take(1).for_each(|operation| operation(times));
                say(format_args!("ok {times} {}", begun.elapsed().as_nanos()))?;
            }
            ["quit"] => break,
            _ => say(format_args!("error unknown line {line:?}"))?,
        }
    }
    Ok(())
}

fn say(line: std::fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Does all of these at the same time, each on a thread, until `end`; how many were done.
fn repeat(operations: &mut [Operation], batch: u64, end: Instant) -> u64 {
    match operations {
        [one] => until(one, batch, end),
        many => thread::scope(|scope| {
            let threads: Vec<_> = many
                .iter_mut()
                .map(|operation| scope.spawn(move || until(operation, batch, end)))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("it ends well")).sum()
        }),
    }
}

fn until(operation: &mut Operation, batch: u64, end: Instant) -> u64 {
    let mut done = 0;
    loop {
        operation(batch);
        done += batch;
        if Instant::now() >= end {
            return done;
        }
    }
}
