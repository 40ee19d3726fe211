//! Topologies and events as JSON, for the command and for C.

use serde_json::{Map, Value, json};

use crate::{
    address::Address,
    event::Event,
    topology::{Hearing, NodeRole, SentinelLink, Topology},
};

impl Topology {
    /// As JSON: what `switchmaster topology --json` prints. With the features `cli` and `capi`.
    pub fn to_json(&self) -> Value {
        let topology = self;
        let text = Address::to_string;
        let nodes = topology.nodes.iter().map(|node| {
            json!({
                "address": text(&node.address),
                "role": match node.role {
                    NodeRole::Master => "master",
                    NodeRole::Replica => "replica",
                },
                "run_id": node.run_id,
                "flags": node.flags,
                "link_up": node.link_up,
                "master": node.master.as_ref().map(text),
                "offset": node.offset,
                "lag": node.lag,
                "priority": node.priority,
                "down": node.down,
            })
        });
        let sentinels = topology.sentinels.iter().map(|sentinel| {
        let (link, reason) = match &sentinel.link {
            SentinelLink::Up { .. } => ("up", None),
            SentinelLink::Down { reason, .. } => ("down", Some(reason)),
            _ => ("connecting", None),
        };
        let hears = match &sentinel.link {
            SentinelLink::Up { hearing: Hearing::All, .. } => Some("all"),
            SentinelLink::Up { hearing: Hearing::SwitchOnly, .. } => Some("switches"),
            SentinelLink::Up { .. } => Some("nothing"),
            _ => None,
        };
        json!({
            "address": text(&sentinel.address),
            "run_id": sentinel.run_id,
            "configured": sentinel.configured,
            "link": link,
            "reason": reason,
            "hears": hears,
            "names": sentinel.names.as_ref().map(text),
            "epoch": sentinel.epoch,
            "refusal": sentinel.refusal,
            "stranger": sentinel.stranger,
            "failing_over": sentinel.failing_over,
            "tilt": sentinel.tilt,
            "malformed": sentinel.malformed,
            "quorum": sentinel.quorum,
            "down_after_ms": sentinel.down_after.map(|time| time.as_millis() as u64),
            "failover_timeout_ms": sentinel.failover_timeout.map(|time| time.as_millis() as u64),
        })
    });
        json!({
            "service": topology.service,
            "master": topology.master.as_ref().map(text),
            "epoch": topology.epoch,
            "generation": topology.generation,
            "confirmed": topology.confirmed,
            "fence": topology.fence.as_ref().map(ToString::to_string),
            "agreement": {
                "agreeing": topology.agreement.agreeing,
                "known": topology.agreement.known,
            },
            "nodes": nodes.collect::<Vec<_>>(),
            "sentinels": sentinels.collect::<Vec<_>>(),
            "candidate": topology.candidate.as_ref().map(text),
            "troubles": topology.troubles,
        })
    }
}

impl Event {
    /// As a JSON object: its `name`, `source` and `text`, and what it is about. With the features `cli`
    /// and `capi`.
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(self.name()));
        fields.insert("source".to_owned(), json!(self.source().to_string()));
        fields.insert("text".to_owned(), json!(self.to_string()));
        let mut add = |name: &str, value: Value| {
            if !value.is_null() {
                fields.insert(name.to_owned(), value);
            }
        };
        match self {
            Event::Switched { generation, from, to, epoch, evidence, .. } => {
                add("generation", json!(generation));
                add("from", json!(from.as_ref().map(ToString::to_string)));
                add("to", json!(to.to_string()));
                add("epoch", json!(epoch));
                add("evidence", json!(evidence.to_string()));
            }
            Event::Chosen { node, .. }
            | Event::Promoted { node, .. }
            | Event::NodeDown { node, .. }
            | Event::NodeUp { node, .. }
            | Event::NodeRestarted { node, .. }
            | Event::ReplicaJoined { node, .. } => add("node", json!(node.to_string())),
            Event::ReplicaLeft { node, reason, .. } => {
                add("node", json!(node.to_string()));
                add("reason", json!(reason));
            }
            Event::FenceRaised { reason, .. } => add("reason", json!(reason.to_string())),
            Event::FenceLifted { end, stood, .. } => {
                add("end", json!(end.as_str()));
                add("stood_ms", json!(stood.as_secs_f64() * 1000.0));
            }
            Event::Confirmed { generation, master, commands, .. }
            | Event::Overruled { generation, master, commands, .. } => {
                add("generation", json!(generation));
                add("master", json!(master.to_string()));
                add("commands", json!(commands));
            }
            Event::MajorityLost { heard, of, .. } | Event::MajorityRegained { heard, of, .. } => {
                add("heard", json!(heard));
                add("of", json!(of));
            }
            Event::SentinelUp { sentinel, .. }
            | Event::SentinelFound { sentinel, .. }
            | Event::SentinelForgotten { sentinel, .. } => {
                add("sentinel", json!(sentinel.to_string()));
            }
            Event::SentinelDown { sentinel, reason, .. } => {
                add("sentinel", json!(sentinel.to_string()));
                add("reason", json!(reason));
            }
            Event::FailoverAborted { reason, .. } => add("reason", json!(reason)),
            Event::NotVerified { address, reason, .. } => {
                add("node", json!(address.to_string()));
                add("reason", json!(reason));
            }
            Event::Leaked { place, out, generation, .. } => {
                add("place", json!(place.to_string()));
                add("out_ms", json!(out.as_secs_f64() * 1000.0));
                add("generation", json!(generation));
            }
            Event::Missed { count, .. } => add("count", json!(count)),
            Event::NotProven { node, reason, .. } => {
                add("node", json!(node.to_string()));
                add("reason", json!(reason));
            }
            Event::Disagreement { named, .. } => {
                let named = named
                    .iter()
                    .map(|(address, by)| json!({ "node": address.to_string(), "by": by }));
                add("named", named.collect());
            }
            Event::Malformed { channel, reason, .. } => {
                add("channel", json!(channel));
                add("reason", json!(reason));
            }
            Event::FailoverStarted { .. }
            | Event::ServiceRemoved { .. }
            | Event::ServiceMonitored { .. } => {}
        }
        Value::Object(fields)
    }
}
