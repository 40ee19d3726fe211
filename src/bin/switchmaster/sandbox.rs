//! `switchmaster sandbox`: a throw-away cluster.

use std::io::{self, Write};

use serde_json::json;
use switchmaster_sandbox::Cluster;

use crate::{arguments::SandboxArguments, failure::Failure, stop};

pub(crate) fn run(arguments: &SandboxArguments) -> Result<(), Failure> {
    // Before the start, so that an early signal does not leave a cluster half started.
    let stop = stop::requested(!arguments.stay)?;
    let cluster = Cluster::builder()
        .replicas(arguments.replicas)
        .sentinels(arguments.sentinels)
        .down_after(arguments.down_after)
        .service(&arguments.service)
        .start()?;
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
