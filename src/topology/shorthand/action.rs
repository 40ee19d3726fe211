//! What a machine does, as text.

use std::fmt::Write as _;

use crate::{
    address::Address,
    topology::{Action, Pace, Readable},
};

use super::escape::word;

/// Actions as lines, with queries that follow each other on one line.
pub(crate) fn shown(actions: &[Action]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for action in actions {
        let line = match action {
            Action::Link { sentinel } => format!("link {sentinel}"),
            Action::Unlink { sentinel } => format!("unlink {sentinel}"),
            Action::Query { sentinel } => match lines.last_mut() {
                Some(last) if last.starts_with("query ") => {
                    let _ = write!(last, " {sentinel}");
                    continue;
                }
                _ => format!("query {sentinel}"),
            },
            Action::ListServices { sentinel } => format!("list services of {sentinel}"),
            Action::Verify { address } => format!("verify {address}"),
            Action::AcceptHistory { address, .. } => format!("accept the history of {address}"),
            Action::Switch { generation, from, to, epoch, run_id, evidence, fence, .. } => {
                let from = from.as_ref().map_or("nobody".to_owned(), Address::to_string);
                let epoch = epoch.map_or("?".to_owned(), |epoch| epoch.to_string());
                let id = run_id.as_deref().map_or("?".to_owned(), word);
                let fence =
                    fence.as_ref().map_or(String::new(), |fence| format!(", fenced: {fence}"));
                format!("switch {generation}: {from} -> {to}@{epoch} id={id} ({evidence}{fence})")
            }
            Action::Watch { node, pace: Pace::Calm } => format!("watch {node}"),
            Action::Watch { node, pace: Pace::Brisk } => format!("watch {node} briskly"),
            Action::Watch { node, pace: Pace::Close } => format!("watch {node} closely"),
            Action::Unwatch { node } => format!("unwatch {node}"),
            Action::Fence { reason } => format!("fence: {reason}"),
            Action::Unfence => "unfence".to_owned(),
            Action::Doubt { majority: None } => "doubt".to_owned(),
            Action::Doubt { majority: Some(majority) } => {
                format!("doubt since {majority} sentinels were heard")
            }
            Action::Trust { source } => format!("trust [{source}]"),
            Action::Pulse { every } => format!("pulse every {every:?}"),
            Action::Read(readable) => read(readable),
            Action::Report(event) => format!("report {event}"),
        };
        lines.push(line);
    }
    lines
}

fn read(readable: &Readable) -> String {
    let mut text = "read from".to_owned();
    for replica in &readable.replicas {
        let _ = write!(text, " {replica}");
    }
    if readable.replicas.is_empty() {
        text.push_str(" no replica");
    }
    for (other, why) in &readable.others {
        let _ = write!(text, "; not from {other}: {why}");
    }
    text
}
