//! What can be said of a drill on the command line: [`Arguments`], [`SwitchOn`].

use std::{fmt, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::Fault;
use crate::time::duration;

/// Carry out real failovers under load, and show what a program sees of them.
///
/// Without --url it works on a throw-away cluster on loopback. The exit code is 1 when the
/// library did not keep what it promises.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster drill --report out.html\n  \
    switchmaster drill --fault leader,partition,rolling\n  \
    switchmaster drill --fault kill --runs 10 --json\n  \
    switchmaster drill --fault planned --pace 0ms --value-size 1000 --pipeline 20\n  \
    switchmaster drill --fault kill --switch-on promotion,announcement --runs 20\n  \
    switchmaster drill --url redis+sentinel://10.0.0.1/mymaster --yes")]
pub(crate) struct Arguments {
    /// What happens to the master; several are separated by commas. [default: kill, freeze and
    /// planned, and planned alone with --url]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULT")]
    pub(crate) fault: Vec<Fault>,
    /// How many times each fault happens.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// Print one JSON document instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Threads that write, one after the other a value that nobody else writes.
    #[arg(long, default_value_t = 8, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) writers: u32,
    /// Threads that read.
    #[arg(long, default_value_t = 2, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=200))]
    pub(crate) readers: u32,
    /// Threads that wait in BLPOP without a limit, each on a list that is fed.
    #[arg(long, default_value_t = 2, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=200))]
    pub(crate) blocked: u32,
    /// How long a writer or reader pauses between two operations (0ms: not at all). After an error
    /// it pauses 1 ms.
    #[arg(long, default_value = "5ms", value_name = "TIME", value_parser = duration)]
    pub(crate) pace: Duration,
    /// The length of each value that is written or read, in bytes. The servers keep everything
    /// that a drill writes in memory until its end.
    #[arg(long, default_value_t = 0, value_name = "BYTES", hide_default_value = true, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) value_size: u32,
    /// Writes for each round trip of a writer. It counts as one operation, and is acknowledged when
    /// all of them are.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) pipeline: u32,
    /// What it takes to switch to another master. Several, separated by commas, are compared in
    /// the same failovers: each has a factory, all these threads and keys of its own. [default:
    /// promotion, or what --url says]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "EVIDENCE")]
    pub(crate) switch_on: Vec<SwitchOn>,
    /// Hold what was measured against the targets. The exit code is 1 when one is missed.
    #[arg(long)]
    pub(crate) targets: bool,
    /// The server program of the throw-away cluster, which is its sentinels' too (from Redis 6 or
    /// Valkey 7.2 on). [default: redis-server]
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub(crate) server: Option<PathBuf>,
    /// Let the throw-away cluster's sentinels refuse SUBSCRIBE, as the rights do that Redis
    /// documents for clients.
    #[arg(long, conflicts_with = "url")]
    pub(crate) deny_subscribe: bool,
    /// Write a report with timelines into this file: one HTML page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Draw with ASCII characters only (and also where the output is no terminal).
    #[arg(long)]
    pub(crate) ascii: bool,
    /// Draw the picture also where the output is no terminal.
    #[arg(long)]
    pub(crate) picture: bool,
    /// Drill this deployment, by SENTINEL FAILOVER alone. It loses the writes that its master
    /// acknowledges in the meantime without having replicated them.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Do not ask before a deployment is harmed.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SwitchOn {
    /// The promoted replica accepts writes, and the sentinels' state proves that it was chosen.
    Promotion,
    /// One sentinel names the new master.
    Confirmation,
    /// Most of the sentinels name the new master.
    Announcement,
}

impl SwitchOn {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            SwitchOn::Promotion => "promotion",
            SwitchOn::Confirmation => "confirmation",
            SwitchOn::Announcement => "announcement",
        }
    }
}

impl fmt::Display for SwitchOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<SwitchOn> for switchmaster::SwitchOn {
    fn from(evidence: SwitchOn) -> switchmaster::SwitchOn {
        match evidence {
            SwitchOn::Promotion => switchmaster::SwitchOn::Promotion,
            SwitchOn::Confirmation => switchmaster::SwitchOn::Confirmation,
            SwitchOn::Announcement => switchmaster::SwitchOn::Announcement,
        }
    }
}

impl From<switchmaster::SwitchOn> for SwitchOn {
    fn from(evidence: switchmaster::SwitchOn) -> SwitchOn {
        match evidence {
            switchmaster::SwitchOn::Confirmation => SwitchOn::Confirmation,
            switchmaster::SwitchOn::Announcement => SwitchOn::Announcement,
            _ => SwitchOn::Promotion,
        }
    }
}
