//! `switchmaster sandbox`: a throw-away cluster.

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::Args;
use serde_json::json;
use switchmaster_sandbox::Cluster;

use crate::{failure::Failure, stop, time::duration};

/// Start a throw-away cluster on loopback and print its addresses as one line of JSON.
///
/// It runs until the input ends (unless --stay) or the command is interrupted, and leaves nothing
/// behind.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    switchmaster sandbox --replicas 1 --service orders --stay")]
pub(crate) struct Arguments {
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

/// How long the replicas may take to have what the master is written.
const REPLICATION: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Before the start, so that an early signal does not leave a cluster half started.
    let stop = stop::requested(!arguments.stay)?;
    let cluster = Cluster::builder()
        .replicas(arguments.replicas)
        .sentinels(arguments.sentinels)
        .down_after(arguments.down_after)
        .service(&arguments.service)
        .start()?;
    // A failover before that would lose what is written, and whoever tries it would blame the client.
    cluster.wait_replicated(REPLICATION)?;
    let mut output = io::stdout().lock();
    writeln!(output, "{}", addresses(&cluster)?)?;
    output.flush()?;
    // Whoever could send is either this or a thread that has sent: both mean the end.
    let _ = stop.recv();
    Ok(())
}

fn addresses(cluster: &Cluster) -> Result<serde_json::Value, Failure> {
    let master = cluster.master()?;
    let replicas = cluster.nodes().iter().filter(|node| node.port() != master.port());
    Ok(json!({
        "url": cluster.url(),
        "service": cluster.service(),
        "master": master.address().to_string(),
        "replicas": replicas.map(|node| node.address().to_string()).collect::<Vec<_>>(),
        "sentinels": cluster
            .sentinels()
            .iter()
            .map(|sentinel| sentinel.address().to_string())
            .collect::<Vec<_>>(),
        "pids": cluster.members().map(|member| member.pid()).collect::<Vec<_>>(),
    }))
}
