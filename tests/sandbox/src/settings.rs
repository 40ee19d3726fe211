//! What a cluster consists of, and the configuration files that follow from it.

use std::{fmt::Write, path::Path, time::Duration};

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
    pub(crate) start_timeout: Duration,
}

/// A sentinel's place in the cluster, decided before any of them runs.
#[derive(Clone, Debug)]
pub(crate) struct SentinelSeat {
    pub(crate) name: String,
    pub(crate) ports: Ports,
    pub(crate) id: String,
}

/// A service's nodes, the master's ports first.
pub(crate) struct ServiceSeat {
    pub(crate) name: String,
    pub(crate) ports: Vec<Ports>,
}

impl Settings {
    pub(crate) fn quorum(&self) -> usize {
        self.quorum.unwrap_or(self.sentinels / 2 + 1)
    }

    /// A `redis.conf`. Replication starts without delay, nothing is stored.
    pub(crate) fn node_file(
        &self,
        directory: &Path,
        ports: Ports,
        replica_of: Option<u16>,
        own_password: &str,
        major: u32,
    ) -> String {
        let mut text = self.common(directory, ports, own_password);
        text.push_str(
            "save \"\"\n\
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
        if let Some(name) = &self.host.name {
            let _ = writeln!(text, "replica-announce-ip {name}");
        }
        if let Some(master) = replica_of {
            let _ = writeln!(text, "replicaof {} {master}", self.host.word());
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
        let mut text = self.common(directory, seat.ports, own_password);
        let host = self.host.word();
        if self.host.name.is_some() {
            text.push_str("sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n");
            let _ = writeln!(text, "sentinel announce-ip {host}");
        }
        let _ = writeln!(text, "sentinel myid {}", seat.id);
        if let Some(password) = &self.sentinel_password {
            let _ = writeln!(text, "requirepass {}", quoted(password));
        }
        for service in services {
            let name = &service.name;
            let Some((master, replicas)) = service.ports.split_first() else { continue };
            let _ = writeln!(
                text,
                "sentinel monitor {name} {host} {} {}",
                master.announced,
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
                let _ =
                    writeln!(text, "sentinel known-replica {name} {host} {}", replica.announced);
            }
            for other in seats.iter().filter(|other| other.id != seat.id) {
                let _ = writeln!(
                    text,
                    "sentinel known-sentinel {name} {host} {} {}",
                    other.ports.announced, other.id
                );
            }
        }
        lines(&mut text, &self.sentinel_lines);
        text
    }

    fn common(&self, directory: &Path, ports: Ports, own_password: &str) -> String {
        let mut text = format!(
            "port {}\n\
             bind {}\n\
             protected-mode no\n\
             daemonize no\n\
             dir {}\n\
             user {OWN_USER} on >{own_password} ~* &* +@all\n",
            ports.plain,
            self.host.bind(),
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
