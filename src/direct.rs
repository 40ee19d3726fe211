//! Single connections to the servers of a deployment, for the command `switchmaster`: [`Dialer`],
//! [`Direct`]. They follow nobody, and nothing is decided by them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{ConnectionLike, PushKind, RedisResult, Value};

use crate::{
    address::Address,
    builder::Builder,
    config::Config,
    connection::{Arrival, Connection, Gate, Protocol, Settings},
    error::Error,
    policy::SwitchOn,
};

/// How to reach the servers of a deployment: as a factory with the same settings does, by its
/// address map, in TLS where it is spoken, and with its credentials.
#[derive(Clone, Debug)]
pub struct Dialer {
    config: Config,
    nodes: Settings,
    sentinels: Settings,
}

impl Dialer {
    /// Takes over what was set.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig), as for a factory.
    pub fn new(builder: Builder) -> Result<Dialer, Error> {
        let config = builder.into_config()?;
        let [node_tls, sentinel_tls] = config.connectors()?;
        let nodes = Settings { db: 0, protocol: Protocol::Resp2, ..config.node_settings(node_tls) };
        let sentinels = config.sentinel_settings(sentinel_tls);
        Ok(Dialer { config, nodes, sentinels })
    }

    /// The sentinels that were named.
    pub fn sentinels(&self) -> &[Address] {
        &self.config.sentinels
    }

    /// The service that was named.
    pub fn service(&self) -> &str {
        &self.config.service
    }

    /// What it takes to switch to another master.
    pub fn switch_on(&self) -> SwitchOn {
        self.config.switch_on
    }

    /// The same for another service.
    pub fn of_service(mut self, service: impl Into<String>) -> Dialer {
        self.config.service = service.into();
        self
    }

    /// Where a server is reached that announces itself by this address.
    pub fn reachable(&self, announced: &Address) -> Address {
        self.config.address_map.map(announced)
    }

    /// Whether a password is sent to the nodes, and to the sentinels.
    pub fn has_passwords(&self) -> (bool, bool) {
        (self.config.password.is_some(), self.config.sentinel_password.is_some())
    }

    /// How long a connection may take, and then each reply, on either kind of server.
    pub fn timeouts(&self) -> (Duration, Duration) {
        let longest = |of: fn(&Settings) -> Duration| of(&self.nodes).max(of(&self.sentinels));
        (longest(|settings| settings.dial_timeout), longest(|settings| settings.command_timeout))
    }

    /// The user of the nodes, and that of the sentinels.
    pub fn users(&self) -> (&str, &str) {
        fn user(settings: &Settings) -> &str {
            settings.username.as_deref().unwrap_or("default")
        }
        (user(&self.nodes), user(&self.sentinels))
    }

    /// Waits for replies no longer than that, nor for a connection.
    pub fn patience(mut self, timeout: Duration) -> Dialer {
        for settings in [&mut self.nodes, &mut self.sentinels] {
            settings.command_timeout = timeout;
            settings.dial_timeout = settings.dial_timeout.min(timeout);
        }
        self
    }

    /// Waits for a connection no longer than that.
    pub fn dial_within(mut self, timeout: Duration) -> Dialer {
        for settings in [&mut self.nodes, &mut self.sentinels] {
            settings.dial_timeout = settings.dial_timeout.min(timeout);
        }
        self
    }

    /// A connection to a sentinel: at most the dial timeout.
    ///
    /// # Errors
    /// As for a connection of a factory.
    pub fn sentinel(&self, announced: &Address) -> Result<Direct, Error> {
        self.dial(announced, &self.sentinels)
    }

    /// A connection to a master or a replica: at most the dial timeout.
    ///
    /// # Errors
    /// As for a connection of a factory, but for its role, which does not matter here.
    pub fn node(&self, announced: &Address) -> Result<Direct, Error> {
        self.dial(announced, &self.nodes)
    }

    fn dial(&self, announced: &Address, settings: &Settings) -> Result<Direct, Error> {
        let deadline = Instant::now() + settings.dial_timeout;
        let gate = Arc::new(Gate::new());
        let address = self.reachable(announced);
        let connection = Connection::open(&address, settings, &gate, deadline)?;
        Ok(Direct { connection, patience: settings.command_timeout, deadline: None })
    }
}

/// A connection to one server. One thread at a time uses it.
#[derive(Debug)]
pub struct Direct {
    connection: Connection,
    patience: Duration,
    /// No reply is waited for longer than until then.
    deadline: Option<Instant>,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where.
    pub channel: String,
    /// What; replaced where it is no UTF-8.
    pub payload: String,
}

impl Direct {
    /// From now on no reply to a single command is waited for longer than until then, nor longer
    /// than the dialer's patience. `None` is the patience alone.
    pub fn until(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Subscribes to these channels. From then on the connection is for [`Direct::next`] alone.
    ///
    /// # Errors
    /// What the server refuses, and the end of the connection.
    pub fn subscribe(&mut self, channels: &[&str]) -> RedisResult<()> {
        redis::cmd("SUBSCRIBE").arg(channels).exec(self)
    }

    /// The next message: waits for it until the deadline.
    ///
    /// # Errors
    /// The end of the connection.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Published>, Error> {
        loop {
            match self.connection.hear(deadline)? {
                Arrival::Value(value) => {
                    if let Some(published) = published(value) {
                        return Ok(Some(published));
                    }
                }
                Arrival::Part => {}
                Arrival::Nothing => return Ok(None),
            }
        }
    }
}

/// In RESP3 it is a push, in RESP2 an array that begins with its kind.
fn published(value: Value) -> Option<Published> {
    let texts = |values: &[Value]| -> Option<Published> {
        let [channel, payload] = values else { return None };
        let text = |value| redis::from_redis_value_ref::<Vec<u8>>(value).ok();
        let text = |value| Some(String::from_utf8_lossy(&text(value)?).into_owned());
        Some(Published { channel: text(channel)?, payload: text(payload)? })
    };
    match &value {
        Value::Push { kind: PushKind::Message, data } => texts(data),
        Value::Array(values) => match &values[..] {
            [Value::BulkString(kind), rest @ ..] if kind == b"message" => texts(rest),
            _ => None,
        },
        _ => None,
    }
}

impl ConnectionLike for Direct {
    fn req_packed_command(&mut self, packed: &[u8]) -> RedisResult<Value> {
        let Some(deadline) = self.deadline else {
            return self.connection.req_packed_command(packed);
        };
        let deadline = deadline.min(Instant::now() + self.patience);
        Ok(self.connection.request(packed, Some(deadline))?)
    }

    fn req_packed_commands(
        &mut self,
        packed: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        self.connection.req_packed_commands(packed, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }

    fn check_connection(&mut self) -> bool {
        self.connection.check_connection()
    }

    fn is_open(&self) -> bool {
        ConnectionLike::is_open(&self.connection)
    }
}
