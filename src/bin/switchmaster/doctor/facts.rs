//! What an examination has found out: [`Facts`]. Nothing is judged here.

use std::{collections::BTreeMap, net::IpAddr};

use switchmaster::Address;

use super::fields::Fields;

/// A deployment, as its servers tell of it.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) service: String,
    /// Each once, whether the URL names them or another sentinel lists them.
    pub(crate) sentinels: Vec<Sentinel>,
    /// Each once, whether sentinels or masters list them.
    pub(crate) nodes: Vec<Node>,
}

/// What every server is asked.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Where it says it is; the address in the URL while nobody lists it.
    pub(crate) address: Address,
    /// Where it was called, if that is somewhere else.
    pub(crate) called_at: Option<Address>,
    /// The machine: the IP address that `address` stands for.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) contact: Contact,
    pub(crate) denied: Vec<Denied>,
    pub(crate) clock: Option<Clock>,
    pub(crate) info: Fields,
}

/// What came of calling a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    Answered,
    /// The host has no address here.
    Unresolved(String),
    /// It answered and let nobody in: its words.
    Refused(String),
    /// It is not there, or says nothing.
    Silent(String),
}

/// A question that a server did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) command: &'static str,
    pub(crate) words: String,
}

/// A server's clock, in milliseconds ahead of ours, between two bounds: nobody knows when on its way
/// there and back the question was answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clock {
    pub(crate) least: f64,
    pub(crate) most: f64,
}

#[derive(Clone, Debug)]
pub(crate) struct Sentinel {
    pub(crate) server: Server,
    /// The URL names it.
    pub(crate) named: bool,
    /// Why its own address leads nowhere, while the one in the URL leads to it.
    pub(crate) astray: Option<Contact>,
    /// `SENTINEL MYID`, or what others list it as.
    pub(crate) ids: Vec<String>,
    /// It says that it is one.
    pub(crate) is_sentinel: bool,
    /// The master that it names.
    pub(crate) master: Option<Address>,
    /// `SENTINEL MASTER`; none where the service is unknown, or the question was denied.
    pub(crate) about: Option<Fields>,
    pub(crate) knows_service: bool,
    pub(crate) replicas: Vec<Listed>,
    pub(crate) others: Vec<Listed>,
    /// What `SENTINEL CKQUORUM` says.
    pub(crate) quorum_check: Option<Result<String, String>>,
}

/// An entry of `SENTINEL REPLICAS` or `SENTINEL SENTINELS`.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// None for what cannot be called, such as port 0.
    pub(crate) address: Option<Address>,
    pub(crate) fields: Fields,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) server: Server,
    /// Other addresses at which the same process answers.
    pub(crate) aliases: Vec<Address>,
    /// A sentinel lists it, as a master or as a replica.
    pub(crate) listed: bool,
    /// `CONFIG GET`, as far as it was allowed.
    pub(crate) config: Fields,
    /// Flags of the default user, where `ACL GETUSER` was allowed.
    pub(crate) default_user: Vec<String>,
}

impl Contact {
    pub(crate) fn answered(&self) -> bool {
        *self == Contact::Answered
    }
}

impl Server {
    pub(crate) fn name(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn answered(&self) -> bool {
        self.contact.answered()
    }

    /// The machine that it dies with.
    pub(crate) fn host(&self) -> String {
        self.ip.map_or_else(|| self.address.host().to_owned(), |ip| ip.to_canonical().to_string())
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.ip.is_some_and(|ip| ip.to_canonical().is_loopback())
    }

    /// `Redis 7.0.15` or `Valkey 9.1.2`.
    pub(crate) fn version(&self) -> Option<String> {
        match self.info.get("valkey_version") {
            Some(version) => Some(format!("Valkey {version}")),
            None => self.info.get("redis_version").map(|version| format!("Redis {version}")),
        }
    }

    pub(crate) fn deny(&mut self, command: &'static str, words: String) {
        self.denied.push(Denied { command, words });
    }

    pub(crate) fn is_denied(&self, command: &str) -> bool {
        self.denied.iter().any(|denied| denied.command == command)
    }
}

impl Listed {
    /// Whether whoever listed it finds it well.
    pub(crate) fn is_up(&self) -> bool {
        !["s_down", "o_down", "disconnected"].iter().any(|flag| self.fields.has_flag(flag))
    }

    pub(crate) fn name(&self) -> String {
        let field = |name| self.fields.get(name).unwrap_or("?");
        match &self.address {
            Some(address) => address.to_string(),
            None => format!("{}:{}", field("ip"), field("port")),
        }
    }
}

impl Sentinel {
    pub(crate) fn name(&self) -> String {
        self.server.name()
    }

    /// How many sentinels it counts: itself and all that it lists, dead ones too.
    pub(crate) fn known(&self) -> usize {
        1 + self.others.len()
    }

    pub(crate) fn setting(&self, name: &str) -> Option<u64> {
        self.about.as_ref()?.number(name)
    }
}

impl Node {
    pub(crate) fn name(&self) -> String {
        self.server.name()
    }

    pub(crate) fn is_at(&self, address: &Address) -> bool {
        self.server.address == *address || self.aliases.contains(address)
    }

    pub(crate) fn says_master(&self) -> bool {
        self.server.info.says("role", "master")
    }

    pub(crate) fn says_replica(&self) -> bool {
        self.server.info.says("role", "slave")
    }

    /// The master that it says it follows.
    pub(crate) fn follows(&self) -> Option<Address> {
        let port = self.server.info.number("master_port")?;
        Address::new(self.server.info.get("master_host")?, u16::try_from(port).ok()?).ok()
    }
}

impl Facts {
    /// The sentinels that answer and monitor the service.
    pub(crate) fn watching(&self) -> impl Iterator<Item = &Sentinel> {
        self.sentinels.iter().filter(|it| it.server.answered() && it.knows_service)
    }

    pub(crate) fn answering_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.server.answered())
    }

    pub(crate) fn node_at(&self, address: &Address) -> Option<&Node> {
        self.nodes.iter().find(|node| node.is_at(address))
    }

    /// The masters that sentinels name, and who names each; the most named one first.
    pub(crate) fn masters(&self) -> Vec<(&Node, Vec<&Sentinel>)> {
        let mut named: BTreeMap<Address, (&Node, Vec<&Sentinel>)> = BTreeMap::new();
        for sentinel in self.watching() {
            let Some(node) = sentinel.master.as_ref().and_then(|it| self.node_at(it)) else {
                continue;
            };
            let key = node.server.address.clone();
            named.entry(key).or_insert((node, Vec::new())).1.push(sentinel);
        }
        let mut named: Vec<_> = named.into_values().collect();
        named.sort_by_key(|(_, by)| std::cmp::Reverse(by.len()));
        named
    }

    /// The node that most sentinels name.
    pub(crate) fn master(&self) -> Option<&Node> {
        self.masters().first().map(|(node, _)| *node)
    }

    /// The master, where it answers.
    pub(crate) fn answering_master(&self) -> Option<&Node> {
        self.master().filter(|node| node.server.answered())
    }

    fn is_master(&self, node: &Node) -> bool {
        self.master().is_some_and(|master| std::ptr::eq(master, node))
    }

    /// All listed nodes but the master.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.listed && !self.is_master(node))
    }

    pub(crate) fn answering_replicas(&self) -> impl Iterator<Item = &Node> {
        self.replicas().filter(|node| node.server.answered())
    }

    /// Who of the sentinels finds this node well, and how many have an opinion.
    pub(crate) fn opinions(&self, node: &Node) -> (usize, usize) {
        let mut opinions = (0, 0);
        let mut count = |up: bool| {
            opinions.0 += usize::from(up);
            opinions.1 += 1;
        };
        for sentinel in self.watching() {
            let is_it = |at: &Option<Address>| at.as_ref().is_some_and(|at| node.is_at(at));
            if is_it(&sentinel.master) {
                if let Some(about) = sentinel.about.clone() {
                    count(Listed { address: None, fields: about }.is_up());
                }
            } else if let Some(listed) = sentinel.replicas.iter().find(|it| is_it(&it.address)) {
                count(listed.is_up());
            }
        }
        opinions
    }

    /// The same of a sentinel, by the others.
    pub(crate) fn opinions_of_sentinel(&self, sentinel: &Sentinel) -> (usize, usize) {
        let is_it = |listed: &&Listed| listed.address.as_ref() == Some(&sentinel.server.address);
        let entries: Vec<&Listed> =
            self.watching().flat_map(|other| other.others.iter().filter(is_it)).collect();
        (entries.iter().filter(|listed| listed.is_up()).count(), entries.len())
    }

    /// How many sentinels count for a majority: the most that one of them knows of.
    pub(crate) fn counted(&self) -> usize {
        self.watching().map(Sentinel::known).max().unwrap_or(self.sentinels.len())
    }

    pub(crate) fn majority(&self) -> usize {
        self.counted() / 2 + 1
    }

    /// The highest quorum that a sentinel was given.
    pub(crate) fn quorum(&self) -> Option<usize> {
        let of = |sentinel: &Sentinel| sentinel.setting("quorum");
        self.watching().filter_map(of).max().and_then(|quorum| usize::try_from(quorum).ok())
    }
}
