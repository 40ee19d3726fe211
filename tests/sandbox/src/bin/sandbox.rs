//! A cluster to try things on: prints its URL and its processes, and keeps it until the input ends.

use std::io::{Write, stdin, stdout};

use switchmaster_sandbox::{Cluster, Result};

fn main() -> Result<()> {
    let cluster = Cluster::builder().start()?;
    println!("url {}", cluster.url());
    println!("directory {}", cluster.directory().display());
    println!("guardian pid {}", cluster.guardian_pid());
    for member in cluster.members() {
        println!("{} {} pid {}", member.name(), member.address(), member.pid());
    }
    println!("end of input ends the cluster");
    let _ = stdout().flush();
    let mut line = String::new();
    while stdin().read_line(&mut line).is_ok_and(|count| count > 0) {}
    Ok(())
}
