//! Why the command failed, and the exit code that says so: [`Failure`], [`complaint`].

use std::{fmt, io};

use switchmaster::{Address, ErrorKind};

/// A failure of the command: one message, and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// What was asked for was tried and failed: exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), code: 1 }
    }

    /// What was asked for makes no sense: exit code 2, as for arguments that cannot be read.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), code: 2 }
    }

    /// Another exit code, which the subcommand's help explains.
    pub(crate) fn with_code(self, code: u8) -> Failure {
        Failure { code, ..self }
    }

    /// Exit code 1, after the output has said why.
    pub(crate) fn told() -> Failure {
        Failure::new("")
    }

    /// Another exit code, after the output has said why.
    pub(crate) fn told_as(code: u8) -> Failure {
        Failure { message: String::new(), code }
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

/// An error with the server that it is about, which some name already.
pub(crate) fn complaint(address: &Address, error: &impl ToString) -> String {
    let (address, error) = (address.to_string(), error.to_string());
    if error.starts_with(&address) { error } else { format!("{address}: {error}") }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<switchmaster::Error> for Failure {
    fn from(error: switchmaster::Error) -> Failure {
        match error.kind() {
            ErrorKind::InvalidUrl | ErrorKind::InvalidConfig => Failure::usage(error.to_string()),
            _ => Failure::new(error.to_string()),
        }
    }
}

impl From<switchmaster_sandbox::Error> for Failure {
    fn from(error: switchmaster_sandbox::Error) -> Failure {
        Failure::new(format!("sandbox: {error}"))
    }
}

impl From<redis::RedisError> for Failure {
    fn from(error: redis::RedisError) -> Failure {
        Failure::new(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        // Nobody reads on: there is nobody left to tell, as with any other filter.
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::told(),
            _ => Failure::new(format!("output: {error}")),
        }
    }
}
