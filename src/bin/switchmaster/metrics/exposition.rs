//! What is known of services in Prometheus's text format: [`page`].

use std::{
    fmt::{Display, Write},
    time::Duration,
};

use switchmaster::{
    NodeRole, SentinelLink, Stats, Topology,
    figures::{COUNTERS, GAUGES, HISTOGRAMS},
};

/// A service as it is now.
pub(super) struct State {
    pub(super) topology: Topology,
    pub(super) stats: Stats,
}

/// Each figure of every service: the format wants those of one name together.
pub(super) fn page(states: &[State]) -> String {
    let mut page = Page { text: String::new(), states };
    for (name, what, value) in COUNTERS {
        page.family(name, "counter", what, |state, sample| sample(&[], value(&state.stats)));
    }
    for (name, what, value) in GAUGES {
        page.family(name, "gauge", what, |state, sample| sample(&[], value(&state.stats)));
    }
    for (name, what, durations) in HISTOGRAMS {
        page.head(name, "histogram", what);
        for state in states {
            let (durations, mut sum) = (durations(&state.stats), 0);
            let service = &state.topology.service;
            for (bound, count) in durations.buckets() {
                sum += count;
                let bound = match bound {
                    Duration::MAX => "+Inf".to_owned(),
                    bound => bound.as_secs_f64().to_string(),
                };
                page.sample(&format!("{name}_bucket"), service, &[("le", &bound)], sum);
            }
            let total = durations.total().as_secs_f64();
            page.sample(&format!("{name}_sum"), service, &[], total);
            page.sample(&format!("{name}_count"), service, &[], sum);
        }
    }
    page.topologies();
    page.text
}

type Labels<'a> = &'a [(&'a str, &'a str)];

struct Page<'a> {
    text: String,
    states: &'a [State],
}

impl Page<'_> {
    fn head(&mut self, name: &str, kind: &str, what: &str) {
        let _ = writeln!(self.text, "# HELP {name} {what}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, service: &str, labels: Labels<'_>, value: impl Display) {
        let _ = write!(self.text, "{name}{{service=\"{}\"", escaped(service));
        for (label, text) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.text, "}} {value}");
    }

    /// A figure of every service, of which `samples` gives any number.
    fn family(
        &mut self,
        name: &str,
        kind: &str,
        what: &str,
        samples: impl Fn(&State, &mut dyn FnMut(Labels<'_>, u64)),
    ) {
        self.head(name, kind, what);
        for state in self.states {
            samples(state, &mut |labels, value| {
                self.sample(name, &state.topology.service, labels, value);
            });
        }
    }

    fn gauge(&mut self, name: &str, what: &str, value: fn(&Topology) -> u64) {
        self.family(name, "gauge", what, |state, sample| sample(&[], value(&state.topology)));
    }

    fn topologies(&mut self) {
        self.gauge("switchmaster_master_known", "Whether there is a master", |it| {
            u64::from(it.master.is_some())
        });
        let name = "switchmaster_master_info";
        self.family(name, "gauge", "Who the master is", |state, sample| {
            if let Some(master) = &state.topology.master {
                sample(&[("node", &master.to_string())], 1);
            }
        });
        self.gauge("switchmaster_generation", "How many masters there were so far", |it| {
            it.generation
        });
        self.gauge("switchmaster_epoch", "The configuration epoch of the master", |it| {
            it.epoch.unwrap_or_default()
        });
        self.gauge(
            "switchmaster_sentinels_known",
            "Sentinels that monitor the service, reachable or not",
            |it| it.agreement.known as u64,
        );
        self.gauge("switchmaster_sentinels_agreeing", "Sentinels that name the master", |it| {
            it.agreement.agreeing as u64
        });
        self.gauge("switchmaster_troubles", "So many things are wrong with the service", |it| {
            it.troubles.len() as u64
        });
        let (name, what) = ("switchmaster_sentinel_up", "Whether the link to a sentinel stands");
        self.family(name, "gauge", what, |state, sample| {
            for sentinel in &state.topology.sentinels {
                let up = matches!(sentinel.link, SentinelLink::Up { .. });
                sample(&[("sentinel", &sentinel.address.to_string())], u64::from(up));
            }
        });
        let (name, what) = ("switchmaster_node_up", "Whether most sentinels reach a node");
        self.family(name, "gauge", what, |state, sample| {
            for node in &state.topology.nodes {
                let role = if node.role == NodeRole::Master { "master" } else { "replica" };
                let labels = [("node", &*node.address.to_string()), ("role", role)];
                sample(&labels, u64::from(!node.down));
            }
        });
        let name = "switchmaster_node_lag_bytes";
        let what = "Bytes that a replica is behind the most advanced one";
        self.family(name, "gauge", what, |state, sample| {
            for node in &state.topology.nodes {
                if let Some(lag) = node.lag {
                    sample(&[("node", &node.address.to_string())], lag);
                }
            }
        });
    }
}

/// As the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
