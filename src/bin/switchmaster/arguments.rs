//! What can be written on the command line: [`Arguments`].

use std::{fmt, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::drill::Fault;

/// Follows the master of a Redis Sentinel deployment.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Sandbox(SandboxArguments),
    Master(MasterArguments),
    Topology(TopologyArguments),
    Watch(WatchArguments),
    Drill(DrillArguments),
}

/// Start a throw-away cluster on loopback and print its addresses as one line of JSON.
///
/// It runs until the input ends (unless --stay) or the command is interrupted, and leaves nothing
/// behind.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    switchmaster sandbox --replicas 1 --service orders --stay")]
pub(crate) struct SandboxArguments {
    /// Replicas of the master.
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
    pub(crate) replicas: usize,
    /// Sentinels.
    #[arg(long, default_value_t = 3, value_name = "COUNT",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) sentinels: usize,
    /// How long a master must be silent before the sentinels take it for down (1200ms or more).
    #[arg(long, default_value = "1200ms", value_name = "TIME", value_parser = duration)]
    pub(crate) down_after: Duration,
    /// The name that the sentinels monitor the master under.
    #[arg(long, default_value = "mymaster", value_name = "NAME")]
    pub(crate) service: String,
    /// Keep running when the input ends.
    #[arg(long)]
    pub(crate) stay: bool,
}

/// Print host:port of the current master, which has said of itself that it is one.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    switchmaster master --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster")]
pub(crate) struct MasterArguments {
    /// The deployment: redis+sentinel://host[:port][,host[:port]…]/service[?option=value&…], or
    /// rediss+sentinel://… for TLS to the nodes.
    #[arg(long)]
    pub(crate) url: String,
}

/// Print every node and every sentinel of a service as a tree.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    switchmaster topology --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster --json")]
pub(crate) struct TopologyArguments {
    /// The deployment: redis+sentinel://host[:port][,host[:port]…]/service[?option=value&…], or
    /// rediss+sentinel://… for TLS to the nodes.
    #[arg(long)]
    pub(crate) url: String,
    /// Print one JSON document instead.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print what happens to a service as it happens: switches, failovers, sentinels and nodes that come
/// and go.
///
/// It runs until it is interrupted, or for the time that is given, and sends nothing but questions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster watch --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster\n  \
    switchmaster watch --url redis+sentinel://10.0.0.1/mymaster --json --for 10s\n  \
    switchmaster watch --url redis+sentinel://10.0.0.1/mymaster --record failover.txt")]
pub(crate) struct WatchArguments {
    /// The deployment: redis+sentinel://host[:port][,host[:port]…]/service[?option=value&…], or
    /// rediss+sentinel://… for TLS to the nodes.
    #[arg(long)]
    pub(crate) url: String,
    /// Also write what each sentinel and node told, with times, and what was done about it.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Print one JSON object for each event.
    #[arg(long)]
    pub(crate) json: bool,
    /// End after this time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) r#for: Option<Duration>,
}

/// Carry out real failovers under load, and show what a program sees of them.
///
/// Without --url it works on a throw-away cluster on loopback. The exit code is 1 when the
/// library did not keep what it promises.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster drill\n  \
    switchmaster drill --fault kill --runs 10 --json\n  \
    switchmaster drill --switch-on promotion,announcement --runs 20 --targets\n  \
    switchmaster drill --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster --fault planned")]
pub(crate) struct DrillArguments {
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

/// Reads `1200ms`, `1.5s` or `1m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "" => return Err("a time needs a unit, as in 1200ms or 1.5s".to_owned()),
        unit => return Err(format!("{unit:?} is no unit of time: use ms, s or m")),
    };
    let number: f64 =
        digits.parse().map_err(|_| format!("{digits:?} is no number: write 1200ms or 1.5s"))?;
    Duration::try_from_secs_f64(number * seconds)
        .map_err(|_| format!("{text:?} is not a possible time: write 1200ms or 1.5s"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("1200ms"), Ok(Duration::from_millis(1200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for (text, part) in [("5", "unit"), ("5h", "\"h\""), ("x5s", "number"), ("-1s", "possible")]
        {
            let error = duration(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
