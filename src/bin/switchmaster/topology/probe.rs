//! What a server says of itself: [`Probe`].

use std::{collections::HashMap, time::Duration};

use switchmaster::{
    Address,
    direct::{Dialer, Direct},
};

use crate::crew::at_once;

/// How long a server may take for its answer, once it is reached.
const PATIENCE: Duration = Duration::from_secs(1);

/// The answer to INFO.
#[derive(Clone, Debug, Default)]
pub(super) struct Probe {
    pub(super) version: Option<String>,
    pub(super) role: Option<String>,
    /// Of a replica: whether it is connected with its master.
    pub(super) link_up: Option<bool>,
    /// How far its data go.
    pub(super) offset: Option<u64>,
}

/// What became of asking: the answer, or why there is none.
pub(super) type Asked = Result<Probe, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Node,
    Sentinel,
}

/// Asks them all, many at once: none takes longer than the dial timeout and a second for each of two
/// answers.
pub(super) fn ask(
    dialer: &Dialer,
    servers: impl IntoIterator<Item = (Kind, Address)>,
) -> HashMap<(Kind, Address), Asked> {
    let dialer = dialer.clone().patience(PATIENCE);
    let servers: Vec<(Kind, Address)> = servers.into_iter().collect();
    let asked = at_once(&servers, |(kind, address)| probe(&dialer, *kind, address));
    let broken = || Err("a fault in switchmaster".to_owned());
    servers.into_iter().zip(asked.into_iter().map(|asked| asked.unwrap_or_else(broken))).collect()
}

fn probe(dialer: &Dialer, kind: Kind, address: &Address) -> Asked {
    let reached = match kind {
        Kind::Node => dialer.node(address),
        Kind::Sentinel => dialer.sentinel(address),
    };
    let mut server = reached.map_err(|error| error.to_string())?;
    let mut probe = Probe::default();
    read(&info(&mut server, "server")?, &mut probe);
    if kind == Kind::Node {
        read(&info(&mut server, "replication")?, &mut probe);
    }
    Ok(probe)
}

fn info(server: &mut Direct, section: &str) -> Result<String, String> {
    redis::cmd("INFO").arg(section).query(server).map_err(|error| error.to_string())
}

fn read(info: &str, probe: &mut Probe) {
    let mut own = None;
    for (name, value) in info.lines().filter_map(|line| line.trim_end().split_once(':')) {
        match name {
            // Valkey calls the version of Redis that it is compatible with redis_version.
            "valkey_version" => probe.version = Some(format!("Valkey {value}")),
            "redis_version" if probe.version.is_none() => {
                probe.version = Some(format!("Redis {value}"));
            }
            "role" => probe.role = Some(value.to_owned()),
            "master_link_status" => probe.link_up = Some(value == "up"),
            "slave_repl_offset" => probe.offset = value.parse().ok(),
            "master_repl_offset" => own = value.parse().ok(),
            _ => {}
        }
    }
    if probe.role.as_deref() == Some("master") {
        probe.offset = own;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_as_far_as_what_it_received() {
        let mut probe = Probe::default();
        read(
            "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.0\r\n",
            &mut probe,
        );
        read(
            "role:slave\r\nmaster_link_status:down\r\nslave_repl_offset:40\r\n\
             master_repl_offset:50\r\n",
            &mut probe,
        );
        assert_eq!(probe.version.as_deref(), Some("Valkey 9.1.0"));
        assert_eq!((probe.link_up, probe.offset), (Some(false), Some(40)));
    }
}
