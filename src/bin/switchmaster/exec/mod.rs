//! `switchmaster exec`: one Redis command.

mod reply;

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    os::unix::ffi::OsStrExt,
};

use clap::Args;
use redis::{Cmd, RedisError};
use switchmaster::{Factory, Outcome, ReadFrom};

use crate::{failure::Failure, target::Target};

/// Send one Redis command to the master and print its reply.
///
/// It is sent again only when it was certainly not sent before. Over a pipe strings are printed
/// as they are, one on a line; on a terminal they are quoted and lists are numbered. The exit code
/// is 1 when there is no reply, or it is an error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster exec --url redis+sentinel://10.0.0.1/mymaster SET greeting hello\n  \
    switchmaster exec --url redis+sentinel://10.0.0.1/mymaster --json GET greeting\n  \
    switchmaster exec --url redis+sentinel://10.0.0.1/mymaster --replica DBSIZE")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Send it to a replica.
    #[arg(long)]
    pub(crate) replica: bool,
    /// Print the reply as JSON; a string that is no UTF-8 as {"hex": "…"}.
    #[arg(long)]
    pub(crate) json: bool,
    /// The command and its arguments; they may hold any bytes.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut command = Cmd::new();
    for word in &arguments.command {
        command.arg(word.as_bytes());
    }
    let factory = Factory::open(&arguments.target.url)?;
    let answer: Result<redis::Value, RedisError> = match arguments.replica {
        true => {
            let handle = factory.get_from(ReadFrom::Replica).map_err(RedisError::from);
            handle.and_then(|mut handle| command.query(&mut handle))
        }
        false => factory.run(|handle| command.query(handle)),
    };
    let reply = answer.map_err(|error| failure(&error))?;
    let mut output = io::stdout().lock();
    match (arguments.json, output.is_terminal()) {
        (true, _) => writeln!(output, "{}", reply::json(&reply))?,
        (false, true) => writeln!(output, "{}", reply::formatted(&reply, 0))?,
        (false, false) => {
            output.write_all(&reply::raw(&reply))?;
            output.write_all(b"\n")?;
        }
    }
    output.flush()?;
    match reply {
        redis::Value::ServerError(_) => Err(Failure::told()),
        _ => Ok(()),
    }
}

fn failure(error: &RedisError) -> Failure {
    let next = match Outcome::of(error) {
        Outcome::NotSent => "; it was not sent: it may be sent again",
        Outcome::Unknown => "; it may have run: look before it is sent again",
        Outcome::Replied => "",
    };
    Failure::new(format!("{error}{next}"))
}
