//! What is known of a service in Prometheus's text format: [`page`].

use std::{fmt::Write as _, time::Duration};

use switchmaster::{
    NodeRole, SentinelLink, Stats, Topology,
    figures::{COUNTERS, GAUGES, HISTOGRAMS},
};

pub(super) fn page(topology: &Topology, stats: &Stats) -> String {
    let mut page = Page { text: String::new(), service: escaped(&topology.service) };
    for (name, what, value) in COUNTERS {
        page.head(name, "counter", what);
        page.sample(name, &[], value(stats));
    }
    for (name, what, value) in GAUGES {
        page.head(name, "gauge", what);
        page.sample(name, &[], value(stats));
    }
    for (name, what, durations) in HISTOGRAMS {
        page.head(name, "histogram", what);
        let (durations, mut sum) = (durations(stats), 0);
        for (bound, count) in durations.buckets() {
            sum += count;
            let bound = match bound {
                Duration::MAX => "+Inf".to_owned(),
                bound => bound.as_secs_f64().to_string(),
            };
            page.sample(&format!("{name}_bucket"), &[("le", &bound)], sum);
        }
        page.sample(&format!("{name}_sum"), &[], durations.total().as_secs_f64());
        page.sample(&format!("{name}_count"), &[], sum);
    }
    page.topology(topology);
    page.text
}

struct Page {
    text: String,
    service: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, what: &str) {
        let _ = writeln!(self.text, "# HELP {name} {what}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.text, "{name}{{service=\"{}\"", self.service);
        for (label, text) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.text, "}} {value}");
    }

    fn gauge(&mut self, name: &str, what: &str, value: u64) {
        self.head(name, "gauge", what);
        self.sample(name, &[], value);
    }

    fn topology(&mut self, topology: &Topology) {
        let has_master = u64::from(topology.master.is_some());
        self.gauge("switchmaster_master_known", "Whether there is a master", has_master);
        self.head("switchmaster_master_info", "gauge", "Who the master is");
        if let Some(master) = &topology.master {
            self.sample("switchmaster_master_info", &[("node", &master.to_string())], 1);
        }
        let generation = topology.generation;
        self.gauge("switchmaster_generation", "How many masters there were so far", generation);
        self.gauge(
            "switchmaster_epoch",
            "The configuration epoch of the master",
            topology.epoch.unwrap_or_default(),
        );
        self.gauge(
            "switchmaster_sentinels_known",
            "Sentinels that monitor the service, reachable or not",
            topology.agreement.known as u64,
        );
        self.gauge(
            "switchmaster_sentinels_agreeing",
            "Sentinels that name the master",
            topology.agreement.agreeing as u64,
        );
        self.gauge(
            "switchmaster_troubles",
            "So many things are wrong with the service",
            topology.troubles.len() as u64,
        );
        let name = "switchmaster_sentinel_up";
        self.head(name, "gauge", "Whether the link to a sentinel stands");
        for sentinel in &topology.sentinels {
            let up = matches!(sentinel.link, SentinelLink::Up { .. });
            self.sample(name, &[("sentinel", &sentinel.address.to_string())], u64::from(up));
        }
        let name = "switchmaster_node_up";
        self.head(name, "gauge", "Whether most sentinels reach a node");
        for node in &topology.nodes {
            let role = if node.role == NodeRole::Master { "master" } else { "replica" };
            let labels = [("node", &*node.address.to_string()), ("role", role)];
            self.sample(name, &labels, u64::from(!node.down));
        }
        let name = "switchmaster_node_lag_bytes";
        self.head(name, "gauge", "Bytes that a replica is behind the most advanced one");
        for node in &topology.nodes {
            if let Some(lag) = node.lag {
                self.sample(name, &[("node", &node.address.to_string())], lag);
            }
        }
    }
}

/// As the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
