//! A data server that says what a test wants: [`FakeNode`].

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    Result,
    fake::{Brain, Fake, Identity, Place, Session, Words, integer, new_run_id},
    frame::{Frame, Protocol},
};

/// What a [`FakeNode`] is. Tests change it while it runs.
#[derive(Clone, Debug)]
pub struct NodeModel {
    /// The run id of `INFO`, 40 hexadecimal digits.
    pub run_id: String,
    /// The master it follows, which makes it a replica; `None` for a master.
    pub master: Option<Place>,
    /// The state of a replica's link: `connected` unless told.
    pub link: String,
    /// The replicas that a master names.
    pub replicas: Vec<Place>,
    /// How far replication has come.
    pub offset: u64,
    /// The id of the history of its data.
    pub replication_id: String,
    /// The id of the history before, and where that one ended.
    pub second_replication: Option<(String, u64)>,
    /// Whether it is loading its data and takes no other commands.
    pub loading: bool,
    /// Whether it answers no data commands because its master is down (`-MASTERDOWN`).
    pub master_down: bool,
    /// Whether it takes no writes.
    pub readonly: bool,
    /// The data, of all databases together.
    pub values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The user that the password belongs to: `default` unless told.
    pub username: String,
    /// What it takes to be answered.
    pub password: Option<String>,
    /// Whether `HELLO` is unknown.
    pub resp2_only: bool,
    /// The version it claims to be.
    pub version: String,
}

/// A data server on a free port of 127.0.0.1 that answers from a [`NodeModel`].
///
/// It knows `HELLO`, `AUTH`, `SELECT`, `CLIENT`, `ROLE`, `INFO`, `PING`, `ECHO`, `GET`, `SET` and subscriptions. It replicates
/// nothing. Dropping it disconnects everybody and ends its threads.
///
/// ```
/// use std::time::Duration;
/// use switchmaster_sandbox::{Client, FakeNode};
///
/// let node = FakeNode::start().unwrap();
/// let mut client = Client::connect(node.address(), Duration::from_secs(1)).unwrap();
/// assert_eq!(client.call(&["SET", "a", "1"]).unwrap().text(), "OK");
/// node.become_replica(("127.0.0.1", 6379));
/// assert!(client.call(&["SET", "a", "2"]).unwrap().text().starts_with("READONLY"));
/// ```
pub struct FakeNode {
    fake: Fake,
    model: Arc<Mutex<NodeModel>>,
}

impl FakeNode {
    /// Starts an empty master.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) when no port or no thread can be had.
    pub fn start() -> Result<FakeNode> {
        let model = Arc::new(Mutex::new(NodeModel {
            run_id: new_run_id(),
            master: None,
            link: "connected".to_owned(),
            replicas: Vec::new(),
            offset: 1000,
            replication_id: new_run_id(),
            second_replication: None,
            loading: false,
            master_down: false,
            readonly: false,
            values: BTreeMap::new(),
            username: "default".to_owned(),
            password: None,
            resp2_only: false,
            version: "7.4.0".to_owned(),
        }));
        let brain = Arc::new(NodeBrain { model: model.clone() });
        Ok(FakeNode { fake: Fake::start("fake node", brain)?, model })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.fake.address()
    }

    /// Its run id.
    pub fn run_id(&self) -> String {
        self.model.lock().run_id.clone()
    }

    /// Looks at the model or changes it; between two commands, never within one.
    pub fn model<T>(&self, change: impl FnOnce(&mut NodeModel) -> T) -> T {
        change(&mut self.model.lock())
    }

    /// Makes it a master that takes writes, with the history it has. Connections stay; a real one closes them:
    /// [`promote`](FakeNode::promote).
    pub fn become_master(&self) {
        self.model(|model| {
            model.master = None;
            model.readonly = false;
        });
    }

    /// Makes it a replica that takes no writes, with the history it has. Connections stay; a real one closes them:
    /// [`demote`](FakeNode::demote).
    pub fn become_replica(&self, of: impl Into<Place>) {
        self.model(|model| {
            model.master = Some(of.into());
            model.readonly = true;
        });
    }

    /// Makes it a master as a sentinel does: it takes writes, begins a new history that descends from the one before
    /// (`master_replid2`, `second_repl_offset`), and closes all connections in the same moment.
    ///
    /// A master stays as it is, and its connections are closed all the same.
    pub fn promote(&self) {
        self.fake.disconnect_after(|| self.promote_quietly());
    }

    /// Like [`promote`](FakeNode::promote), and all connections stay, as with a bare `REPLICAOF NO ONE` and at the
    /// promotion of a coordinated failover.
    pub fn promote_quietly(&self) {
        self.model(NodeModel::promote);
    }

    /// Makes it a replica of a promoted node: it takes no writes, has that one's history and lineage, and closes all
    /// connections in the same moment.
    pub fn demote(&self, master: &FakeNode) {
        let followed = master.model(|model| model.clone());
        self.fake
            .disconnect_after(|| self.model(|model| model.follow(&followed, master.address())));
    }

    /// Ends and comes back at once, as another process without stored data: with a new run id, all connections closed, and
    /// in the role it had. A master is empty and begins a history of no descent; a replica has its master's data again.
    ///
    /// For some time in between, put [`stop_listening`](FakeNode::stop_listening) and [`listen_again`](FakeNode::listen_again)
    /// around it.
    pub fn restart(&self) {
        self.fake.disconnect_after(|| self.model(NodeModel::restart));
    }

    /// Publishes a message, and says how many subscriptions it went to.
    pub fn publish(&self, channel: &str, payload: &[u8]) -> usize {
        self.fake.publish(channel, payload)
    }

    /// Sends bytes as they are on all connections.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.fake.send_raw(bytes);
    }

    /// Sends bytes as they are on the connections that subscribe to something.
    pub fn send_raw_to_subscribers(&self, bytes: &[u8]) {
        self.fake.send_raw_to_subscribers(bytes);
    }

    /// Answers the next command, whichever it is, with these bytes; calls of this add up.
    ///
    /// The command has no effect. No bytes are no answer.
    pub fn answer_with(&self, bytes: &[u8]) {
        self.fake.answer_with(bytes);
    }

    /// Answers all commands of this name with these bytes, and they have no effect.
    pub fn answer_to(&self, command: &str, bytes: &[u8]) {
        self.fake.answer_to(command, bytes);
    }

    /// Takes [`answer_with`](FakeNode::answer_with) and [`answer_to`](FakeNode::answer_to) back.
    pub fn answer_normally(&self) {
        self.fake.answer_normally();
    }

    /// Whether it says nothing at all. What it is asked meanwhile has no effect and is never answered.
    pub fn silence(&self, silent: bool) {
        self.fake.silence(silent);
    }

    /// Closes the connection on which the nth command from now comes, 1 for the next, instead of the reply.
    ///
    /// All connections are counted together. The command takes effect, as when a server dies before it can say so.
    pub fn disconnect_at(&self, nth: usize) {
        self.fake.disconnect_at(nth);
    }

    /// Closes all connections; new ones are accepted.
    pub fn disconnect_all(&self) {
        self.fake.disconnect_all();
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.fake.connections()
    }

    /// All commands so far, in order, their words separated by blanks.
    pub fn received(&self) -> Vec<String> {
        self.fake.received().into_iter().map(|(_, command)| command).collect()
    }

    /// All commands so far, with the instants at which they were read.
    pub fn received_at(&self) -> Vec<(Instant, String)> {
        self.fake.received()
    }

    /// Answers commands of this name, or of this name and subcommand (`"SENTINEL MASTER"`), so much later. Later
    /// commands of the same connection wait meanwhile.
    pub fn answer_late(&self, command: &str, time: Duration) {
        self.fake.answer_late(command, time);
    }

    /// Sends these bytes again and again on every connection, as fast as they are taken, beside what is answered;
    /// `None` ends that. Connections that are accepted later are flooded from their beginning.
    pub fn flood(&self, bytes: Option<&[u8]>) {
        self.fake.flood(bytes);
    }

    /// Pauses so long after each byte of an answer; `None` ends that.
    pub fn trickle(&self, pause: Option<Duration>) {
        self.fake.trickle(pause);
    }

    /// Returns the number of connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.fake.accepted()
    }

    /// Refuses new connections, as a server that is down. Those that exist go on.
    pub fn stop_listening(&self) {
        self.fake.stop_listening();
    }

    /// Accepts nothing and keeps the backlog full, so that `connect()` hangs as it does for a host that is off.
    pub fn hang_connects(&self) {
        self.fake.hang_connects();
    }

    /// Takes [`stop_listening`](FakeNode::stop_listening) and [`hang_connects`](FakeNode::hang_connects) back.
    ///
    /// # Errors
    ///
    /// [`PortTaken`](crate::ErrorKind::PortTaken) when somebody else has taken the port meanwhile.
    pub fn listen_again(&self) -> Result<()> {
        self.fake.listen_again()
    }
}

struct NodeBrain {
    model: Arc<Mutex<NodeModel>>,
}

impl Brain for NodeBrain {
    fn identity(&self) -> Identity {
        let model = self.model.lock();
        Identity {
            mode: "standalone",
            role: Some(if model.master.is_some() { "replica" } else { "master" }),
            version: model.version.clone(),
            username: model.username.clone(),
            password: model.password.clone(),
            resp2_only: model.resp2_only,
        }
    }

    fn answer(&self, session: &mut Session, words: &Words, out: &mut Vec<u8>) {
        let mut model = self.model.lock();
        let frame = match (words.name.as_str(), words.len()) {
            ("SELECT", 2) if words.text(1).parse::<u8>().is_ok_and(|database| database < 16) => {
                Frame::ok()
            }
            ("SELECT", 2) => Frame::Error("ERR DB index is out of range".to_owned()),
            ("ROLE", 1) => model.role(),
            ("INFO", _) => return model.info(session, words, out),
            ("ECHO", 2) => Frame::bulk(&words.bytes[1]),
            ("SUBSCRIBE" | "PSUBSCRIBE" | "UNSUBSCRIBE" | "PUNSUBSCRIBE", _) => {
                return session.subscribe(words, out);
            }
            ("PING" | "GET" | "SET", _) if model.loading => {
                Frame::Error("LOADING Redis is loading the dataset in memory".to_owned())
            }
            ("PING" | "GET" | "SET", _) if model.master_down => {
                let text = "Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
                Frame::Error(format!("MASTERDOWN {text}"))
            }
            ("PING", 1) => Frame::Simple("PONG".to_owned()),
            ("PING", 2) => Frame::bulk(&words.bytes[1]),
            ("GET", 2) => match model.values.get(&words.bytes[1]) {
                Some(value) => Frame::bulk(value),
                None => return session.reply_null(out),
            },
            ("SET", 3..) if model.readonly => {
                Frame::Error("READONLY You can't write against a read only replica.".to_owned())
            }
            ("SET", 3..) => {
                model.values.insert(words.bytes[1].clone(), words.bytes[2].clone());
                Frame::ok()
            }
            ("SELECT" | "ROLE" | "ECHO" | "PING" | "GET" | "SET", _) => words.wrong_number(),
            _ => words.unknown(),
        };
        session.reply(&frame, out);
    }
}

impl NodeModel {
    fn promote(&mut self) {
        if self.master.take().is_some() {
            let before = std::mem::replace(&mut self.replication_id, new_run_id());
            self.second_replication = Some((before, self.offset + 1));
        }
        self.readonly = false;
        self.link = "connected".to_owned();
    }

    fn follow(&mut self, master: &NodeModel, address: SocketAddr) {
        self.master = Some(address.into());
        self.link = "connected".to_owned();
        self.readonly = true;
        self.replicas.clear();
        self.replication_id.clone_from(&master.replication_id);
        self.second_replication.clone_from(&master.second_replication);
        self.offset = master.offset;
        self.values.clone_from(&master.values);
    }

    fn restart(&mut self) {
        self.run_id = new_run_id();
        if self.master.is_none() {
            self.replication_id = new_run_id();
            self.second_replication = None;
            self.offset = 0;
            self.values.clear();
        }
    }

    fn role(&self) -> Frame {
        let offset = i64::try_from(self.offset).unwrap_or(i64::MAX);
        match &self.master {
            None => {
                let replica = |place: &Place| {
                    let words = [place.host.clone(), place.port.to_string(), offset.to_string()];
                    Frame::Array(words.map(Frame::bulk).to_vec())
                };
                let replicas = self.replicas.iter().map(replica).collect();
                let role = Frame::bulk("master");
                Frame::Array(vec![role, Frame::Integer(offset), Frame::Array(replicas)])
            }
            Some(Place { host, port }) => Frame::Array(vec![
                Frame::bulk("slave"),
                Frame::bulk(host),
                integer(usize::from(*port)),
                Frame::bulk(&self.link),
                Frame::Integer(offset),
            ]),
        }
    }

    /// Appends `INFO`: the sections that were asked for, or all that there are.
    fn info(&self, session: &Session, words: &Words, out: &mut Vec<u8>) {
        let asked: Vec<String> = (1..words.len()).map(|i| words.text(i).to_lowercase()).collect();
        let all =
            asked.iter().all(|name| ["default", "all", "everything"].contains(&name.as_str()));
        let sections = [
            ("Server", self.server_info()),
            ("Persistence", vec![format!("loading:{}", u8::from(self.loading))]),
            ("Replication", self.replication_info()),
        ];
        let wanted = |name: &str| all || asked.contains(&name.to_lowercase());
        let sections: Vec<String> = sections
            .into_iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, lines)| format!("# {name}\r\n{}\r\n", lines.join("\r\n")))
            .collect();
        let text = sections.join("\r\n");
        if session.protocol == Protocol::Resp3 {
            out.extend_from_slice(format!("={}\r\ntxt:{text}\r\n", text.len() + 4).as_bytes());
        } else {
            session.reply(&Frame::bulk(text), out);
        }
    }

    fn server_info(&self) -> Vec<String> {
        vec![
            format!("redis_version:{}", self.version),
            "redis_mode:standalone".to_owned(),
            format!("run_id:{}", self.run_id),
        ]
    }

    fn replication_info(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match &self.master {
            None => lines.push("role:master".to_owned()),
            Some(Place { host, port }) => {
                let status = if self.link == "connected" { "up" } else { "down" };
                lines.push("role:slave".to_owned());
                lines.push(format!("master_host:{host}"));
                lines.push(format!("master_port:{port}"));
                lines.push(format!("master_link_status:{status}"));
                lines.push(format!("slave_read_repl_offset:{}", self.offset));
                lines.push(format!("slave_repl_offset:{}", self.offset));
                lines.push(format!("slave_read_only:{}", u8::from(self.readonly)));
            }
        }
        lines.push(format!("connected_slaves:{}", self.replicas.len()));
        for (index, Place { host, port }) in self.replicas.iter().enumerate() {
            let offset = self.offset;
            let line =
                format!("slave{index}:ip={host},port={port},state=online,offset={offset},lag=0");
            lines.push(line);
        }
        lines.push("master_failover_state:no-failover".to_owned());
        lines.push(format!("master_replid:{}", self.replication_id));
        let (before, end) = match &self.second_replication {
            Some((id, end)) => (id.clone(), end.to_string()),
            None => ("0".repeat(40), "-1".to_owned()),
        };
        lines.push(format!("master_replid2:{before}"));
        lines.push(format!("master_repl_offset:{}", self.offset));
        lines.push(format!("second_repl_offset:{end}"));
        lines
    }
}
