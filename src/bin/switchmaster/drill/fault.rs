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
    /// SENTINEL FAILOVER … COORDINATED (Valkey 9 on): the master itself hands over.
    Coordinated,
}

impl Fault {
    /// Those that every server knows.
    pub(crate) const USUAL: [Fault; 3] = [Fault::Kill, Fault::Freeze, Fault::Planned];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Freeze => "freeze",
            Fault::Planned => "planned",
            Fault::Coordinated => "coordinated",
        }
    }

    /// Whether the master is well until it is replaced.
    pub(crate) fn is_ordered(self) -> bool {
        matches!(self, Fault::Planned | Fault::Coordinated)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
