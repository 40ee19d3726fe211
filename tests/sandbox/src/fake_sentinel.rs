//! A sentinel that says what a test wants: [`FakeSentinel`].

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    FakeService, Result,
    fake::{Brain, Fake, Identity, Place, Session, Words, new_run_id},
    frame::Frame,
};

/// What a [`FakeSentinel`] knows. Tests change it while it runs.
#[derive(Clone, Debug)]
pub struct SentinelModel {
    /// Its own run id, 40 hexadecimal digits.
    pub run_id: String,
    /// The services by name.
    pub services: BTreeMap<String, FakeService>,
    /// The user that the password belongs to: `default` unless told.
    pub username: String,
    /// What it takes to be answered.
    pub password: Option<String>,
    /// Whether `HELLO` is unknown.
    pub resp2_only: bool,
    /// Whether subscriptions are not permitted.
    pub deny_subscribe: bool,
    /// The version it claims to be.
    pub version: String,
}

impl SentinelModel {
    /// A service to change. One that is not there is added, with a master where nobody listens: 127.0.0.1:1.
    pub fn service(&mut self, name: &str) -> &mut FakeService {
        let nowhere = || FakeService::new(Place::from(("127.0.0.1", 1)));
        self.services.entry(name.to_owned()).or_insert_with(nowhere)
    }
}

/// A sentinel on a free port of 127.0.0.1 that answers from a [`SentinelModel`].
///
/// It knows `HELLO`, `AUTH`, `PING`, `CLIENT`, `ROLE`, `SENTINEL` and subscriptions, in RESP2 and RESP3, and like a
/// real one nothing else. It monitors nothing and talks to nobody. Dropping it disconnects everybody and ends its
/// threads.
///
/// ```
/// use std::time::Duration;
/// use switchmaster_sandbox::{Client, FakeSentinel, FakeService};
///
/// let sentinel = FakeSentinel::start().unwrap();
/// sentinel.serve("mymaster", FakeService::new(("127.0.0.1", 6379)));
/// let mut client = Client::connect(sentinel.address(), Duration::from_secs(1)).unwrap();
/// let reply = client.call(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"]).unwrap();
/// assert_eq!(reply.items()[1].text(), "6379");
/// ```
pub struct FakeSentinel {
    fake: Fake,
    model: Arc<Mutex<SentinelModel>>,
}

impl FakeSentinel {
    /// Starts one without services.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) when no port or no thread can be had.
    pub fn start() -> Result<FakeSentinel> {
        let model = Arc::new(Mutex::new(SentinelModel {
            run_id: new_run_id(),
            services: BTreeMap::new(),
            username: "default".to_owned(),
            password: None,
            resp2_only: false,
            deny_subscribe: false,
            version: "7.4.0".to_owned(),
        }));
        let brain = Arc::new(SentinelBrain { model: model.clone() });
        Ok(FakeSentinel { fake: Fake::start("fake sentinel", brain)?, model })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.fake.address()
    }

    /// Its run id.
    pub fn id(&self) -> String {
        self.model.lock().run_id.clone()
    }

    /// Looks at the model or changes it; between two commands, never within one.
    pub fn model<T>(&self, change: impl FnOnce(&mut SentinelModel) -> T) -> T {
        change(&mut self.model.lock())
    }

    /// Adds a service, or replaces it.
    pub fn serve(&self, name: &str, service: FakeService) {
        self.model(|model| model.services.insert(name.to_owned(), service));
    }

    /// Whether it knows no `HELLO`, like servers before Redis 6.
    pub fn resp2_only(&self, only: bool) {
        self.model(|model| model.resp2_only = only);
    }

    /// Whether subscriptions are answered with `-NOPERM`.
    pub fn deny_subscribe(&self, deny: bool) {
        self.model(|model| model.deny_subscribe = deny);
    }

    /// Publishes a message, and says how many subscriptions it went to.
    pub fn publish(&self, channel: &str, payload: &[u8]) -> usize {
        self.fake.publish(channel, payload)
    }

    /// Sends bytes as they are on all connections.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.fake.send_raw(bytes);
    }

    /// Answers the next command, whichever it is, with these bytes; calls of this add up.
    pub fn answer_with(&self, bytes: &[u8]) {
        self.fake.answer_with(bytes);
    }

    /// Answers all commands of this name, or of this name and subcommand (`"SENTINEL MASTER"`), with these bytes.
    pub fn answer_to(&self, command: &str, bytes: &[u8]) {
        self.fake.answer_to(command, bytes);
    }

    /// Takes [`answer_with`](FakeSentinel::answer_with) and [`answer_to`](FakeSentinel::answer_to) back.
    pub fn answer_normally(&self) {
        self.fake.answer_normally();
    }

    /// Closes all connections; new ones are accepted.
    pub fn disconnect_all(&self) {
        self.fake.disconnect_all();
    }

    /// Whether it says nothing at all. What it is asked meanwhile it never answers.
    pub fn silence(&self, silent: bool) {
        self.fake.silence(silent);
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

    /// Takes [`stop_listening`](FakeSentinel::stop_listening) and [`hang_connects`](FakeSentinel::hang_connects) back.
    ///
    /// # Errors
    ///
    /// [`PortTaken`](crate::ErrorKind::PortTaken) when somebody else has taken the port meanwhile.
    pub fn listen_again(&self) -> Result<()> {
        self.fake.listen_again()
    }
}

struct SentinelBrain {
    model: Arc<Mutex<SentinelModel>>,
}

impl Brain for SentinelBrain {
    fn identity(&self) -> Identity {
        let model = self.model.lock();
        Identity {
            mode: "sentinel",
            role: None,
            version: model.version.clone(),
            username: model.username.clone(),
            password: model.password.clone(),
            resp2_only: model.resp2_only,
        }
    }

    fn answer(&self, session: &mut Session, words: &Words, out: &mut Vec<u8>) {
        let model = self.model.lock();
        let frame = match words.name.as_str() {
            "PING" if words.len() > 1 => Frame::bulk(words.text(1)),
            "PING" => Frame::Simple("PONG".to_owned()),
            "ROLE" => {
                let names = model.services.keys().map(Frame::bulk).collect();
                Frame::Array(vec![Frame::bulk("sentinel"), Frame::Array(names)])
            }
            "SENTINEL" => model.answer(words),
            "SUBSCRIBE" | "PSUBSCRIBE" if model.deny_subscribe => Frame::Error(format!(
                "NOPERM User {} has no permissions to run the '{}' command",
                model.username,
                words.name.to_lowercase()
            )),
            "SUBSCRIBE" | "PSUBSCRIBE" | "UNSUBSCRIBE" | "PUNSUBSCRIBE" => {
                return session.subscribe(words, out);
            }
            _ => words.unknown(),
        };
        session.reply(&frame, out);
    }
}

impl SentinelModel {
    /// The reply to `SENTINEL …`.
    fn answer(&self, words: &Words) -> Frame {
        let what = words.upper(1);
        let service = || {
            self.services
                .get(&words.text(2))
                .ok_or_else(|| Frame::Error("ERR No such master with that name".to_owned()))
        };
        let found = match (what.as_str(), words.len()) {
            ("MYID", 2) => Ok(Frame::bulk(&self.run_id)),
            ("MASTERS", 2) => {
                Ok(Frame::Array(self.services.iter().map(|(n, s)| s.fields(n)).collect()))
            }
            ("GET-MASTER-ADDR-BY-NAME", 3) => Ok(service().map_or(Frame::Nil, |service| {
                let Place { host, port } = &service.master;
                Frame::Array(vec![Frame::bulk(host), Frame::bulk(port.to_string())])
            })),
            ("MASTER", 3) => service().map(|service| service.fields(&words.text(2))),
            ("REPLICAS" | "SLAVES", 3) => service().map(|service| {
                Frame::Array(service.replicas.iter().map(|r| r.fields(service)).collect())
            }),
            ("SENTINELS", 3) => service().map(|service| {
                Frame::Array(service.sentinels.iter().map(|s| s.fields(service)).collect())
            }),
            ("CKQUORUM", 3) => service().map(FakeService::check_quorum),
            (
                "MYID"
                | "MASTERS"
                | "CKQUORUM"
                | "GET-MASTER-ADDR-BY-NAME"
                | "MASTER"
                | "REPLICAS"
                | "SLAVES"
                | "SENTINELS",
                _,
            ) => Err(Frame::Error(format!(
                "ERR wrong number of arguments for 'sentinel|{}' command",
                what.to_lowercase()
            ))),
            _ => Err(Frame::Error(format!(
                "ERR unknown subcommand '{}'. Try SENTINEL HELP.",
                words.text(1)
            ))),
        };
        found.unwrap_or_else(|error| error)
    }
}
