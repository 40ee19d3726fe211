//! Asks every server of a deployment, all at the same time, and collects what they tell: [`survey`].
//!
//! It sends nothing but questions. The last one subscribes to a channel on which nobody publishes, or
//! to the sentinels' events, and hangs up.

mod call;
mod merge;
mod node;
mod sentinel;

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use switchmaster::{Address, direct::Dialer};

use super::facts::{Contact, Facts, Node, Sentinel, Server};

/// Beyond what the timeouts say, for threads that wait for a processor.
const GRACE: Duration = Duration::from_secs(1);
/// Replies that are waited for, one after the other: the clock, everything, the subscription.
const REPLIES: u32 = 3;

/// Finds every server, asks it, and tells what came of it.
pub(crate) fn survey(dialer: &Dialer) -> Facts {
    let mut survey = Survey::new(dialer.clone());
    for address in dialer.sentinels() {
        survey.call(Kind::Sentinel, address, true);
    }
    survey.collect();
    merge::facts(dialer.service(), survey.sentinels, survey.nodes)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Sentinel,
    Node,
}

enum Answer {
    Sentinel(Box<Sentinel>),
    Node(Box<Node>),
}

struct Survey {
    dialer: Dialer,
    called: BTreeSet<(Kind, Address)>,
    /// Those that have not been heard yet, and whether they are named, or listed.
    awaited: Vec<(Kind, Address, bool)>,
    sender: Sender<Answer>,
    answers: Receiver<Answer>,
    deadline: Instant,
    sentinels: Vec<Sentinel>,
    nodes: Vec<Node>,
}

impl Survey {
    fn new(dialer: Dialer) -> Survey {
        let (sender, answers) = unbounded();
        Survey {
            dialer,
            called: BTreeSet::new(),
            awaited: Vec::new(),
            sender,
            answers,
            deadline: Instant::now(),
            sentinels: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// Calls a server on a thread of its own, once. A thread that hangs in looking up a name is left
    /// behind.
    fn call(&mut self, kind: Kind, address: &Address, first_hand: bool) {
        if !self.called.insert((kind, address.clone())) {
            return;
        }
        let (dial, reply) = self.dialer.timeouts();
        self.deadline = Instant::now() + dial + reply * REPLIES + GRACE;
        let (dialer, sender, at) = (self.dialer.clone(), self.sender.clone(), address.clone());
        let examine = move || {
            let answer = match kind {
                Kind::Sentinel => {
                    Answer::Sentinel(Box::new(sentinel::examine(&dialer, at, first_hand)))
                }
                Kind::Node => Answer::Node(Box::new(node::examine(&dialer, at, first_hand))),
            };
            // Nobody may be waiting any more.
            let _ = sender.send(answer);
        };
        match thread::Builder::new().name(format!("doctor {address}")).spawn(examine) {
            Ok(_) => self.awaited.push((kind, address.clone(), first_hand)),
            Err(error) => self.give_up(
                kind,
                address.clone(),
                first_hand,
                &format!("it was not called: no thread: {error}"),
            ),
        }
    }

    /// Takes answers, and calls whoever is named in them, until nobody is left to be heard.
    fn collect(&mut self) {
        while !self.awaited.is_empty() {
            match self.answers.recv_deadline(self.deadline) {
                Ok(Answer::Sentinel(sentinel)) => self.take_sentinel(*sentinel),
                Ok(Answer::Node(node)) => self.take_node(*node),
                Err(_) => {
                    for (kind, address, first_hand) in std::mem::take(&mut self.awaited) {
                        let why = format!("{address}: no answer in time; see what holds it up");
                        self.give_up(kind, address, first_hand, &why);
                    }
                }
            }
        }
    }

    fn heard(&mut self, kind: Kind, address: &Address) {
        self.awaited.retain(|(awaited, at, _)| (awaited, at) != (&kind, address));
    }

    fn take_sentinel(&mut self, sentinel: Sentinel) {
        self.heard(Kind::Sentinel, &sentinel.server.address);
        for address in sentinel.others.iter().filter_map(|listed| listed.address.as_ref()) {
            self.call(Kind::Sentinel, address, false);
        }
        let replicas = sentinel.replicas.iter().filter_map(|listed| listed.address.as_ref());
        for address in replicas.chain(&sentinel.master) {
            self.call(Kind::Node, address, true);
        }
        self.sentinels.push(sentinel);
    }

    fn take_node(&mut self, node: Node) {
        self.heard(Kind::Node, &node.server.address);
        // Replicas that sentinels do not tell of.
        if node.listed && node.says_master() {
            for (name, value) in node.server.info.iter() {
                if let Some(address) = connected_replica(name, value) {
                    self.call(Kind::Node, &address, false);
                }
            }
        }
        self.nodes.push(node);
    }

    fn give_up(&mut self, kind: Kind, address: Address, first_hand: bool, why: &str) {
        let server = Server::silent(address, why);
        match kind {
            Kind::Sentinel => self.sentinels.push(Sentinel::silent(server, first_hand)),
            Kind::Node => self.nodes.push(Node::silent(server, first_hand)),
        }
    }
}

/// Of `slave0:ip=127.0.0.1,port=6380,state=online,…`.
fn connected_replica(name: &str, value: &str) -> Option<Address> {
    let number = name.strip_prefix("slave")?;
    number.parse::<u32>().ok()?;
    let field = |name: &str| value.split(',').find_map(|pair| pair.strip_prefix(name));
    Address::new(field("ip=")?, field("port=")?.parse().ok()?).ok()
}

impl Server {
    fn silent(address: Address, why: &str) -> Server {
        Server {
            ip: address.ip(),
            address,
            called_at: None,
            contact: Contact::Silent(why.to_owned()),
            denied: Vec::new(),
            clock: None,
            info: Default::default(),
        }
    }
}

impl Sentinel {
    fn silent(server: Server, named: bool) -> Sentinel {
        Sentinel {
            server,
            named,
            astray: None,
            ids: Vec::new(),
            is_sentinel: true,
            master: None,
            about: None,
            knows_service: true,
            replicas: Vec::new(),
            others: Vec::new(),
            quorum_check: None,
        }
    }
}

impl Node {
    fn silent(server: Server, listed: bool) -> Node {
        Node {
            server,
            aliases: Vec::new(),
            listed,
            config: Default::default(),
            default_user: Vec::new(),
        }
    }
}
