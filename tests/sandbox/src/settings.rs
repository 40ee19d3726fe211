//! What a cluster consists of, and the configuration files that follow from it.

use std::{fmt::Write, net::IpAddr, path::Path, time::Duration};

use crate::{Tls, host::Host, ports::Ports};

/// The name under which the sandbox itself logs in everywhere, whatever passwords a test sets.
pub(crate) const OWN_USER: &str = "sandbox";

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The main service first.
    pub(crate) services: Vec<String>,
    pub(crate) replicas: usize,
    pub(crate) sentinels: usize,
    pub(crate) quorum: Option<usize>,
    pub(crate) down_after: Duration,
    pub(crate) failover_timeout: Duration,
    pub(crate) parallel_syncs: usize,
    pub(crate) node_lines: Vec<String>,
    pub(crate) sentinel_lines: Vec<String>,
    pub(crate) password: Option<String>,
    pub(crate) sentinel_password: Option<String>,
    pub(crate) tls: Option<Tls>,
    pub(crate) proxied: bool,
    pub(crate) host: Host,
    /// Where the nodes of a service, and where the sentinels listen instead, one after the other.
    pub(crate) node_ips: Vec<IpAddr>,
    pub(crate) sentinel_ips: Vec<IpAddr>,
    pub(crate) start_timeout: Duration,
}

/// A sentinel's place in the cluster, decided before any of them runs.
#[derive(Clone, Debug)]
pub(crate) struct SentinelSeat {
    pub(crate) name: String,
    pub(crate) host: Host,
    pub(crate) ports: Ports,
    pub(crate) id: String,
}

/// A service's nodes, the master first.
pub(crate) struct ServiceSeat {
    pub(crate) name: String,
    pub(crate) nodes: Vec<NodeSeat>,
}

/// Where a node is to listen.
#[derive(Clone, Debug)]
pub(crate) struct NodeSeat {
    pub(crate) host: Host,
    pub(crate) ports: Ports,
}

impl Settings {
    pub(crate) fn quorum(&self) -> usize {
        self.quorum.unwrap_or(self.sentinels / 2 + 1)
    }

    /// The host of the node with this number in its service.
    pub(crate) fn node_host(&self, index: usize) -> Host {
        self.host.or(&self.node_ips, index)
    }

    /// The host of the sentinel with this number.
    pub(crate) fn sentinel_host(&self, index: usize) -> Host {
        self.host.or(&self.sentinel_ips, index)
    }

    /// A `redis.conf`. Replication starts without delay. Something is stored after an hour, so no master is
    /// set up to come back empty, and no test sees it happen.
    pub(crate) fn node_file(
        &self,
        directory: &Path,
        seat: &NodeSeat,
        replica_of: Option<&NodeSeat>,
        own_password: &str,
        major: u32,
    ) -> String {
        let mut text = self.common(directory, &seat.host, seat.ports, own_password);
        text.push_str(
            "save 3600 1\n\
             appendonly no\n\
             repl-diskless-sync yes\n\
             repl-diskless-sync-delay 0\n\
             repl-ping-replica-period 1\n\
             repl-timeout 10\n",
        );
        if major >= 7 {
            text.push_str("enable-debug-command local\n");
        }
        if let Some(password) = &self.password {
            let _ = writeln!(text, "requirepass {}", quoted(password));
            let _ = writeln!(text, "masterauth {}", quoted(password));
        }
        if let Some(word) = seat.host.announced() {
            let _ = writeln!(text, "replica-announce-ip {word}");
        }
        if let Some(NodeSeat { host, ports }) = replica_of {
            let _ = writeln!(text, "replicaof {} {}", host.word(), ports.announced);
        }
        lines(&mut text, &self.node_lines);
        text
    }

    /// A `sentinel.conf` that knows all replicas and sentinels, so that nobody waits for a hello.
    pub(crate) fn sentinel_file(
        &self,
        directory: &Path,
        seats: &[SentinelSeat],
        seat: &SentinelSeat,
        services: &[ServiceSeat],
        own_password: &str,
    ) -> String {
        let mut text = self.common(directory, &seat.host, seat.ports, own_password);
        if self.host.name.is_some() {
            text.push_str("sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n");
        }
        if let Some(word) = seat.host.announced() {
            let _ = writeln!(text, "sentinel announce-ip {word}");
        }
        let _ = writeln!(text, "sentinel myid {}", seat.id);
        if let Some(password) = &self.sentinel_password {
            let _ = writeln!(text, "requirepass {}", quoted(password));
        }
        for service in services {
            let name = &service.name;
            let Some((master, replicas)) = service.nodes.split_first() else { continue };
            let _ = writeln!(
                text,
                "sentinel monitor {name} {} {} {}",
                master.host.word(),
                master.ports.announced,
                self.quorum()
            );
            let millis = self.down_after.as_millis();
            let _ = writeln!(text, "sentinel down-after-milliseconds {name} {millis}");
            let millis = self.failover_timeout.as_millis();
            let _ = writeln!(text, "sentinel failover-timeout {name} {millis}");
            let _ = writeln!(text, "sentinel parallel-syncs {name} {}", self.parallel_syncs);
            if let Some(password) = &self.password {
                let _ = writeln!(text, "sentinel auth-pass {name} {}", quoted(password));
            }
            for replica in replicas {
                let _ = writeln!(
                    text,
                    "sentinel known-replica {name} {} {}",
                    replica.host.word(),
                    replica.ports.announced
                );
            }
            for other in seats.iter().filter(|other| other.id != seat.id) {
                let _ = writeln!(
                    text,
                    "sentinel known-sentinel {name} {} {} {}",
                    other.host.word(),
                    other.ports.announced,
                    other.id
                );
            }
        }
        lines(&mut text, &self.sentinel_lines);
        text
    }

    fn common(&self, directory: &Path, host: &Host, ports: Ports, own_password: &str) -> String {
        let mut text = format!(
            "port {}\n\
             bind {}\n\
             protected-mode no\n\
             daemonize no\n\
             dir {}\n\
             user {OWN_USER} on >{own_password} ~* &* +@all\n",
            ports.plain,
            host.bind(),
            quoted(&directory.to_string_lossy())
        );
        if let (Some(tls), Some(port)) = (&self.tls, ports.tls) {
            text.push_str(&tls.lines(port));
        }
        text
    }
}

fn lines(text: &mut String, lines: &[String]) {
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}

/// A word in the double quotes that redis.conf understands.
pub(crate) fn quoted(word: &str) -> String {
    let mut out = String::from('"');
    for byte in word.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}
