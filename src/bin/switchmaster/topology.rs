//! `switchmaster topology`: every node and every sentinel of a service.

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use switchmaster::{
    Factory, Hearing, NodeRole, NodeStatus, SentinelLink, SentinelStatus, Topology,
};

use crate::{failure::Failure, target::Target};

/// Print every node and every sentinel of a service as a tree.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    switchmaster topology --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print one JSON document instead.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A factory opens with the first answers; the other sentinels get this long for theirs.
const ANSWERS: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(10);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let factory = Factory::open(&arguments.target.url)?;
    let deadline = Instant::now() + ANSWERS;
    let topology = loop {
        let topology = factory.topology()?;
        if topology.sentinels.iter().all(heard) || Instant::now() > deadline {
            break topology;
        }
        thread::sleep(STEP);
    };
    let mut output = io::stdout().lock();
    if arguments.json {
        writeln!(output, "{}", topology.to_json())?;
    } else {
        output.write_all(tree(&topology).as_bytes())?;
    }
    Ok(())
}

/// Whether it is known what becomes of this sentinel.
fn heard(sentinel: &SentinelStatus) -> bool {
    match sentinel.link {
        SentinelLink::Down { .. } => true,
        _ => sentinel.answered.is_some(),
    }
}

fn tree(topology: &Topology) -> String {
    let mut head = format!("{}: ", topology.service);
    match &topology.master {
        Some(master) => head.push_str(&format!("master {master}")),
        None => head.push_str("no master"),
    }
    if let Some(epoch) = topology.epoch {
        head.push_str(&format!(", epoch {epoch}"));
    }
    let agreement = topology.agreement;
    head.push_str(&format!(", named by {} of {} sentinels\n", agreement.agreeing, agreement.known));
    if !topology.troubles.is_empty() {
        head.push_str(&format!("│  trouble: {}\n", topology.troubles.join(", ")));
    }
    if !topology.confirmed && topology.master.is_some() {
        head.push_str("│  not confirmed by a sentinel yet\n");
    }
    if let Some(fence) = &topology.fence {
        head.push_str(&format!("│  commands wait: {fence}\n"));
    }
    let nodes = topology.nodes.iter().map(node).collect();
    let sentinels = topology.sentinels.iter().map(|it| sentinel(it, topology)).collect();
    head + &branch("├─ ", "│  ", "nodes", nodes) + &branch("└─ ", "   ", "sentinels", sentinels)
}

fn branch(first: &str, rest: &str, name: &str, leaves: Vec<String>) -> String {
    let mut text = format!("{first}{name}\n");
    for (index, leaf) in leaves.iter().enumerate() {
        let twig = if index + 1 == leaves.len() { "└─ " } else { "├─ " };
        text.push_str(&format!("{rest}{twig}{leaf}\n"));
    }
    text
}

fn node(node: &NodeStatus) -> String {
    let mut text = format!("{}  {}", node.address, role(node.role));
    match node.link_up {
        Some(true) => text.push_str(", link up"),
        Some(false) => text.push_str(", link down"),
        None => {}
    }
    match node.lag {
        Some(0) | None => {}
        Some(lag) => text.push_str(&format!(", {lag} bytes behind")),
    }
    if node.role == NodeRole::Replica && node.priority == Some(0) {
        text.push_str(", never promoted (replica-priority 0)");
    }
    let noteworthy: Vec<&str> = node
        .flags
        .iter()
        .map(String::as_str)
        .filter(|flag| *flag != role_flag(node.role))
        .collect();
    if !noteworthy.is_empty() {
        text.push_str(&format!(", {}", line(&noteworthy.join(" "))));
    }
    if node.down {
        text.push_str(", down");
    }
    text
}

fn sentinel(sentinel: &SentinelStatus, topology: &Topology) -> String {
    let mut text = format!("{}  ", sentinel.address);
    match &sentinel.link {
        SentinelLink::Up { hearing, .. } => text.push_str(match hearing {
            Hearing::All => "up",
            Hearing::SwitchOnly => "up, publishes switches only (its ACL allows no more)",
            _ => "up, publishes nothing (its ACL denies SUBSCRIBE)",
        }),
        SentinelLink::Down { reason, .. } => text.push_str(&format!("down: {}", line(reason))),
        _ => text.push_str("not reached yet"),
    }
    if let Some(refusal) = &sentinel.refusal {
        text.push_str(&format!(", refuses: {}", line(refusal)));
    }
    if sentinel.failing_over {
        text.push_str(", fails over");
    }
    if sentinel.tilt {
        text.push_str(", in TILT mode");
    }
    match &sentinel.names {
        Some(named) if topology.master.as_ref() != Some(named) => {
            text.push_str(&format!(", names {named}"));
        }
        _ => {}
    }
    match sentinel.epoch {
        Some(epoch) if topology.epoch != Some(epoch) => text.push_str(&format!(", epoch {epoch}")),
        _ => {}
    }
    if !sentinel.configured {
        text.push_str(", discovered");
    }
    text
}

/// What a server sent, without what could move the cursor.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn role(role: NodeRole) -> &'static str {
    match role {
        NodeRole::Master => "master",
        _ => "replica",
    }
}

/// How Sentinel's flags name a role.
fn role_flag(role: NodeRole) -> &'static str {
    match role {
        NodeRole::Master => "master",
        _ => "slave",
    }
}
