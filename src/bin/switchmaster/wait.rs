//! `switchmaster wait`: until a master can be written to, or a switch happened.

use std::{
    fmt,
    io::{self, Write},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use redis::{RedisError, RedisResult};
use switchmaster::{Builder, ErrorKind, Factory};

use crate::{failure::Failure, target::Target, time::duration};

/// Wait for a master, or for a switch, and print its host:port and its generation.
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
    /// What to wait for: master (a server that says it is the master and is not fenced), switch
    /// (to another master than the first), or generation:N (the N-th master or a later one).
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

/// How often it is tried again whether the master takes commands.
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
        ErrorKind::InvalidConfig => Failure::usage(error.to_string()),
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
    if let Err(error) = writable(&factory, deadline) {
        return Err(late(&error.to_string()));
    }
    let master = factory.master().ok_or_else(|| late("the factory closed"))?;
    writeln!(io::stdout().lock(), "{master} {}", factory.generation())?;
    Ok(())
}

/// Waits until the master answers a command that a fence would hold back.
fn writable(factory: &Factory, deadline: Instant) -> RedisResult<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let handle = factory.get_timeout(left).map_err(RedisError::from);
        let asked = handle.and_then(|mut handle| redis::cmd("PING").exec(&mut handle));
        match asked {
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => thread::sleep(STEP.min(left)),
            Ok(()) => return Ok(()),
        }
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
