//! A look as a tree: [`Tree`].

use std::collections::BTreeMap;

use switchmaster::{Address, Hearing, NodeStatus, SentinelLink, SentinelStatus, Topology};

use super::{
    look::{Look, is_replica},
    probe::Asked,
};
use crate::wrap::wrapped;

/// How a look is drawn.
pub(super) struct Tree {
    width: usize,
    lag: bool,
}

/// A line, and what belongs to it.
struct Branch {
    text: String,
    branches: Vec<Branch>,
}

impl Branch {
    fn leaf(text: String) -> Branch {
        Branch { text, branches: Vec::new() }
    }

    /// Draws it behind `first`, and what follows its first line behind `rest`.
    fn draw(&self, first: &str, rest: &str, width: usize, drawn: &mut String) {
        let bar = if self.branches.is_empty() { "" } else { "│" };
        let hanging = format!("{rest}{bar:<4}");
        let room = width.saturating_sub(hanging.chars().count());
        for (index, line) in wrapped(&self.text, room).iter().enumerate() {
            let lead = if index == 0 { first } else { &hanging };
            drawn.push_str(&format!("{lead}{line}\n"));
        }
        for (index, branch) in self.branches.iter().enumerate() {
            let (twig, below) = match index + 1 == self.branches.len() {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            branch.draw(&format!("{rest}{twig}"), &format!("{rest}{below}"), width, drawn);
        }
    }
}

impl Tree {
    pub(super) fn whole(width: usize) -> Tree {
        Tree { width, lag: true }
    }

    /// Without what changes as long as anything is written.
    pub(super) fn without_lag(width: usize) -> Tree {
        Tree { width, lag: false }
    }

    pub(super) fn drawn(&self, look: &Look) -> String {
        let topology = &look.topology;
        let mut branches: Vec<Branch> = remarks(topology).into_iter().map(Branch::leaf).collect();
        let (replicas, masters): (Vec<&NodeStatus>, Vec<&NodeStatus>) =
            topology.nodes.iter().partition(|node| is_replica(node.role));
        let replicas: Vec<Branch> =
            replicas.into_iter().map(|node| Branch::leaf(self.node(node, look))).collect();
        let named =
            look.only_named().into_iter().map(|address| Branch::leaf(named(&address, look)));
        match masters.first() {
            Some(master) => {
                branches.push(Branch { text: self.node(master, look), branches: replicas });
                branches.extend(named);
            }
            None => branches.extend(named.chain(replicas)),
        }
        let sentinels = topology.sentinels.iter();
        branches.push(Branch {
            text: "sentinels".to_owned(),
            branches: sentinels.map(|it| Branch::leaf(sentinel(it, look))).collect(),
        });
        let mut drawn = String::new();
        Branch { text: head(topology), branches }.draw("", "", self.width, &mut drawn);
        drawn
    }

    fn node(&self, node: &NodeStatus, look: &Look) -> String {
        let role = if is_replica(node.role) { "replica" } else { "master" };
        let mut text = format!("{}  {role}", node.address);
        let asked = look.node(&node.address);
        add_answer(&mut text, &node.address, asked);
        let probe = asked.and_then(|asked| asked.as_ref().ok());
        let own = probe.and_then(|probe| probe.role.as_deref());
        if let Some(own) = own.filter(|own| *own != flag(node)) {
            text.push_str(&format!(
                ", says it is a {}",
                if own == "slave" { "replica" } else { own }
            ));
        }
        if is_replica(node.role) {
            match probe.and_then(|probe| probe.link_up).or(node.link_up) {
                Some(true) => text.push_str(", link up"),
                Some(false) => text.push_str(", link down"),
                None => {}
            }
            match look.lag(&node.address).filter(|_| self.lag) {
                Some(0) | None => {}
                Some(lag) => text.push_str(&format!(", {lag} bytes behind")),
            }
            if let Some(master) = &node.master
                && look.topology.master.as_ref().is_some_and(|served| served != master)
            {
                text.push_str(&format!(", follows {master}"));
            }
            if node.priority == Some(0) {
                text.push_str(", never promoted (replica-priority 0)");
            }
        }
        let flags = node.flags.iter().map(String::as_str).filter(|name| *name != flag(node));
        let flags: Vec<&str> = flags.collect();
        if !flags.is_empty() {
            text.push_str(&format!(", {}", line(&flags.join(" "))));
        }
        if node.down {
            text.push_str(", down");
        }
        text
    }
}

fn head(topology: &Topology) -> String {
    let mut head = format!("{}: ", line(&topology.service));
    match &topology.master {
        Some(master) => head.push_str(&format!("master {master}")),
        None => head.push_str("no master"),
    }
    if let Some(epoch) = topology.epoch {
        head.push_str(&format!(", epoch {epoch}"));
    }
    let agreement = topology.agreement;
    head + &format!(", named by {} of {} sentinels", agreement.agreeing, agreement.known)
}

/// What is wrong with the service as a whole.
fn remarks(topology: &Topology) -> Vec<String> {
    let mut remarks = Vec::new();
    if !topology.troubles.is_empty() {
        remarks.push(format!("trouble: {}", topology.troubles.join(", ")));
    }
    if !topology.confirmed && topology.master.is_some() {
        remarks.push("not confirmed by a sentinel yet".to_owned());
    }
    if let Some(candidate) = &topology.candidate {
        remarks.push(format!("agreed on, and not a master yet: {candidate}"));
    }
    if let Some(fence) = &topology.fence {
        remarks.push(format!("commands wait: {fence}"));
    }
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sentinel in &topology.sentinels {
        if let Some(names) = &sentinel.names {
            named.entry(names.to_string()).or_default().push(sentinel.address.to_string());
        }
    }
    if named.len() > 1 {
        let sides = named.iter().map(|(name, by)| format!("{name} by {}", by.join(", ")));
        remarks.push(format!("the sentinels disagree: {}", sides.collect::<Vec<_>>().join("; ")));
    }
    remarks
}

/// A node that is none of the service's nodes yet.
fn named(address: &Address, look: &Look) -> String {
    let by = look.topology.sentinels.iter().filter(|it| it.names.as_ref() == Some(address)).count();
    let mut text = format!("{address}  named master by {by}");
    add_answer(&mut text, address, look.node(address));
    if let Some(Ok(probe)) = look.node(address)
        && let Some(role) = probe.role.as_deref()
    {
        text.push_str(&format!(
            ", says it is a {}",
            if role == "slave" { "replica" } else { role }
        ));
    }
    text
}

fn sentinel(sentinel: &SentinelStatus, look: &Look) -> String {
    let topology = &look.topology;
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
    // Why it is not reached is said already, and that it denies INFO matters little.
    if let Some(Ok(probe)) = look.sentinel(&sentinel.address)
        && let Some(version) = &probe.version
    {
        text.push_str(&format!(", {}", line(version)));
    }
    if let Some(stranger) = &sentinel.stranger {
        text.push_str(&format!(", a stranger (run id {})", line(stranger)));
    } else if let Some(refusal) = &sentinel.refusal {
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

/// What this server answered, behind its address.
fn add_answer(text: &mut String, address: &Address, asked: Option<&Asked>) {
    match asked {
        Some(Ok(probe)) => {
            if let Some(version) = &probe.version {
                text.push_str(&format!(", {}", line(version)));
            }
        }
        Some(Err(reason)) => {
            let reason = reason.strip_prefix(&format!("{address}: ")).unwrap_or(reason);
            text.push_str(&format!(", not reached: {}", line(reason)));
        }
        None => {}
    }
}

/// How servers name the role of a node.
fn flag(node: &NodeStatus) -> &'static str {
    if is_replica(node.role) { "slave" } else { "master" }
}

/// What a server sent, without what could move the cursor.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
