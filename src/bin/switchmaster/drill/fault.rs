//! What a drill does to the master: [`Fault`].

use std::fmt;

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// SIGKILL: connections break at once.
    Kill,
    /// SIGSTOP: connections stay open and nothing answers.
    Freeze,
    /// SENTINEL FAILOVER: the master is well, and becomes a replica.
    Planned,
}

impl Fault {
    pub(crate) const ALL: [Fault; 3] = [Fault::Kill, Fault::Freeze, Fault::Planned];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Freeze => "freeze",
            Fault::Planned => "planned",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
