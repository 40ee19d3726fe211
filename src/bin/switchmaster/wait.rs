//! `switchmaster wait`: until a master can be written to, or a switch happened.

use std::{
    fmt,
    io::{self, Write},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use crossbeam_channel::unbounded;
use redis::{RedisError, RedisResult};
use switchmaster::{Address, Builder, ErrorKind, Factory};

use crate::{failure::Failure, target::Target, time::duration};

/// Wait for a master that takes writes, or for a switch to one, and print its host:port and its
/// generation.
///
/// Whether it takes writes is tried with one that changes nothing: SETRANGE switchmaster:wait 0 "".
/// A master that lacks replicas (min-replicas-to-write) or memory, or whose writes are paused, is
/// waited for further. Where the user may not write that key, it is enough that the master answers.
///
/// Generations are counted from 1 by each run of the command, the first master included. The exit
/// code is 1 when the time was up.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster wait --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster\n  \
    switchmaster wait --url redis+sentinel://10.0.0.1/mymaster --for switch\n  \
    switchmaster wait --url redis+sentinel://10.0.0.1/m --for switch --timeout 60s")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// What to wait for: master (any), switch (to another master than the first), or generation:N
    /// (the N-th master or a later one).
    #[arg(long, value_name = "WHAT", default_value = "master")]
    pub(crate) r#for: Goal,
    /// For how long at most.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Master,
    Switch,
    Generation(u64),
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Goal, String> {
        match text {
            "master" => Ok(Goal::Master),
            "switch" => Ok(Goal::Switch),
            _ => match text.strip_prefix("generation:").map(str::parse) {
                Some(Ok(number)) if number > 0 => Ok(Goal::Generation(number)),
                _ => Err("wait for master, switch, or generation:N with N from 1".to_owned()),
            },
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::Master => f.write_str("no master that can be written to"),
            Goal::Switch => f.write_str("no switch"),
            Goal::Generation(number) => write!(f, "no generation {number}"),
        }
    }
}

/// How long after a failed write it is tried again.
const STEP: Duration = Duration::from_millis(100);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let deadline = Instant::now() + arguments.timeout;
    let builder = Builder::from_url(&arguments.target.url)?.connect_timeout(arguments.timeout);
    let late = |why: &str| {
        Failure::new(format!(
            "{} within {:?}: {why}; `switchmaster topology` shows the deployment",
            arguments.r#for, arguments.timeout
        ))
    };
    let factory = builder.build().map_err(|error| match error.kind() {
        ErrorKind::InvalidConfig => error.into(),
        _ => late(&error.to_string()),
    })?;
    let after = match arguments.r#for {
        Goal::Master => 0,
        Goal::Switch => 1,
        Goal::Generation(number) => number - 1,
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if factory.wait_for_generation(after, left).is_none() {
        let master = factory.master().map_or("nobody".to_owned(), |master| master.to_string());
        return Err(late(&format!("{master} still serves as generation {}", factory.generation())));
    }
    let (master, generation) = writable(factory, deadline, late)?;
    writeln!(io::stdout().lock(), "{master} {generation}")?;
    Ok(())
}

/// Waits until a master takes a write, and gives it with its generation.
fn writable(
    factory: Factory,
    deadline: Instant,
    late: impl Fn(&str) -> Failure,
) -> Result<(Address, u64), Failure> {
    let (teller, told) = unbounded();
    // An answer may take longer than there is time: then nobody receives it.
    let try_on = move || {
        loop {
            let tried = write_nothing(&factory);
            let done = tried.is_ok();
            if teller.send(tried).is_err() || done {
                return;
            }
            thread::sleep(STEP);
        }
    };
    thread::Builder::new()
        .name("write".to_owned())
        .spawn(try_on)
        .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    let mut why = "no answer to a write yet".to_owned();
    loop {
        match told.recv_deadline(deadline) {
            Ok(Ok(master)) => return Ok(master),
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => return Err(late(&why)),
        }
    }
}

/// A write that changes nothing, even if there is such a key: it is refused when others are.
fn write_nothing(factory: &Factory) -> RedisResult<(Address, u64)> {
    let mut handle = factory.get().map_err(RedisError::from)?;
    let write = redis::cmd("SETRANGE").arg("switchmaster:wait").arg(0).arg("").exec(&mut handle);
    match write {
        // That this user may not write there, or that it holds a list, says nothing of the master.
        Err(error) if matches!(error.code(), Some("NOPERM" | "WRONGTYPE")) => {
            redis::cmd("PING").exec(&mut handle)?;
        }
        other => other?,
    }
    match handle.address() {
        Some(master) => Ok((master.clone(), handle.generation())),
        None => Err(io::Error::from(io::ErrorKind::NotConnected).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_has_a_name() {
        assert_eq!("master".parse(), Ok(Goal::Master));
        assert_eq!("switch".parse(), Ok(Goal::Switch));
        assert_eq!("generation:3".parse(), Ok(Goal::Generation(3)));
        for text in ["", "slave", "generation", "generation:", "generation:0", "generation:x"] {
            assert!(text.parse::<Goal>().unwrap_err().contains("generation:N"), "{text}");
        }
    }
}
