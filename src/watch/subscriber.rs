//! A link to one sentinel: subscribe, then ask; heartbeat; reconnect.
//!
//! With RESP3 one connection both hears events and answers questions. A sentinel that knows only
//! RESP2 takes nothing but subscriptions on a subscribed connection, so it gets a second one.
//! A sentinel whose ACL denies SUBSCRIBE is asked all the same.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Registry, Token};
use redis::{PushKind, Value, cmd};

use crate::{
    address::Address,
    address_map::Route,
    config::Protocol,
    connection::{Greeting, Role, Settings},
    error::{Error, ErrorKind},
    topology::{Hearing, QUERY, Reply},
    watch::{
        allowance::Allowance,
        channel::{Arrival, Channel},
        reach::{Reach, Step},
    },
};

/// A link that carried nothing for this long is asked PING, and one whose answer is out for this
/// long is given up: a half-open or frozen sentinel is noticed within twice this.
const SILENCE: Duration = Duration::from_secs(1);

/// A link that ends sooner after it was up counts as another failure: a sentinel that greets and then
/// breaks the protocol is dialled ever less often.
const PROVEN: Duration = Duration::from_secs(1);

/// What services count by it is told so often at most: there may be hundreds of them.
const PROOF_PAUSE: Duration = Duration::from_millis(500);

/// Tokens per link: one for asking, one for hearing.
pub(crate) const TOKENS: usize = 2;

/// What a link tells the driver.
pub(crate) enum News {
    /// The host name has to be resolved; the driver answers with [`Link::resolved`].
    Resolve,
    /// It is being asked something, …
    Asks,
    /// … and answered that.
    Answers,
    Up {
        run_id: Option<String>,
        peer: Address,
        hearing: Hearing,
    },
    Down {
        reason: String,
    },
    Message {
        channel: String,
        payload: Vec<u8>,
    },
    Answer {
        service: String,
        replies: Vec<Reply>,
        /// When it was asked.
        asked: Instant,
    },
    Services {
        names: Vec<String>,
    },
}

pub(crate) struct Link {
    address: Address,
    reach: Reach,
    token: usize,
    state: State,
    ask: Option<Channel>,
    listen: Option<Channel>,
    awaited: VecDeque<Awaited>,
    /// Services to be asked about once more when the answer under way is in: the question may have
    /// been answered before what the newer hint tells of.
    again: Vec<String>,
    run_id: Option<String>,
    hearing: Option<Hearing>,
    last_heard: Instant,
    up_since: Instant,
    /// When it was last told that it is being asked.
    told: Option<Instant>,
}

enum State {
    /// There is no connection, or it is not greeted: [`Reach`] sees to that.
    Away,
    /// Greeted; the subscription and the run id are on their way.
    Settling {
        deadline: Instant,
    },
    Up,
}

/// A reply that is on its way, and since when.
struct Awaited {
    what: Question,
    since: Instant,
    /// It was told, and so will the answer be.
    told: bool,
}

enum Question {
    Subscribe(Hearing),
    RunId,
    Service { name: String, replies: Vec<Reply> },
    Services,
    Name,
    Ping,
}

impl Link {
    pub(crate) fn new(route: Route, settings: Arc<Settings>, token: usize, now: Instant) -> Link {
        Link {
            address: route.announced.clone(),
            reach: Reach::new(route, settings, Allowance::of_sentinel(), Token(token), now),
            token,
            state: State::Away,
            ask: None,
            listen: None,
            awaited: VecDeque::new(),
            again: Vec::new(),
            run_id: None,
            hearing: None,
            last_heard: now,
            up_since: now,
            told: None,
        }
    }

    /// Is not dialled before then.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.reach.rest(until);
    }

    /// A link that is being made over this channel.
    #[cfg(any(fuzzing, test))]
    pub(super) fn scripted(channel: Channel, route: Route, settings: Arc<Settings>) -> Link {
        let now = Instant::now();
        let mut link = Link::new(route, settings, 0, now);
        link.reach.dials_a_script(now);
        link.ask = Some(channel.with_lists());
        link
    }

    /// Checks that its memory is bounded after any input.
    #[cfg(any(fuzzing, test))]
    pub(super) fn check_bounds(&self) {
        self.ask.iter().chain(&self.listen).for_each(Channel::check_bounds);
        assert!(self.awaited.len() < 64, "{} replies awaited", self.awaited.len());
        assert!(self.again.len() < 64);
    }

    #[cfg(any(fuzzing, test))]
    pub(super) fn is_connected(&self) -> bool {
        self.ask.is_some()
    }

    /// Returns true while it waits for its next dial.
    pub(crate) fn is_paused(&self) -> bool {
        self.reach.is_paused()
    }

    /// Bears another name in the sentinel's `CLIENT LIST`, or none. The second connection to a
    /// sentinel that knows only RESP2 bears it from its next dial, for it takes no such command.
    pub(crate) fn name(&mut self, name: Option<String>, now: Instant, news: &mut Vec<News>) {
        if !self.reach.name(&name) || matches!(self.state, State::Away) {
            return;
        }
        let mut rename = cmd("CLIENT");
        rename.arg("SETNAME").arg(name.unwrap_or_default());
        let packed = rename.get_packed_command();
        self.put(Question::Name, &packed, now, news);
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    /// What [`News::Up`] said, for a service that comes to an established link.
    pub(crate) fn up(&self) -> Option<News> {
        let peer = self.ask.as_ref()?.peer();
        let hearing = self.hearing?;
        self.is_up().then(|| News::Up { run_id: self.run_id.clone(), peer: peer.into(), hearing })
    }

    /// When the link wants to be looked at although nothing arrived.
    pub(crate) fn next_wake(&self) -> Instant {
        match &self.state {
            // Reached and not greeted: the dial's own deadline holds until then.
            State::Away => self.reach.next_wake().unwrap_or(self.last_heard + SILENCE),
            State::Settling { deadline } => *deadline,
            State::Up => match self.awaited.front() {
                Some(awaited) => awaited.since + SILENCE,
                None => self.last_heard + SILENCE,
            },
        }
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, now: Instant, registry: &Registry, news: &mut Vec<News>) {
        if now < self.next_wake() {
            return;
        }
        match &self.state {
            State::Away => {
                let step = self.reach.tick(now, registry);
                self.step(step, now, news);
            }
            State::Settling { .. } => {
                let within = self.reach.settings().dial_timeout;
                self.down(format!("no answer to SUBSCRIBE within {within:?}"), now, news);
            }
            State::Up if self.awaited.is_empty() => {
                let ping = cmd("PING").get_packed_command();
                self.put(Question::Ping, &ping, now, news);
                if let Some(listen) = &mut self.listen
                    && let Err(error) = listen.send(&ping)
                {
                    self.down(error.to_string(), now, news);
                }
            }
            State::Up => self.down(format!("no answer for {SILENCE:?}"), now, news),
        }
    }

    /// The addresses that the name stands for now, or why there are none.
    pub(crate) fn resolved(
        &mut self,
        addresses: Result<Vec<SocketAddr>, String>,
        now: Instant,
        registry: &Registry,
        news: &mut Vec<News>,
    ) {
        let step = self.reach.resolved(addresses, now, registry);
        self.step(step, now, news);
    }

    fn step(&mut self, step: Step, now: Instant, news: &mut Vec<News>) {
        match step {
            Step::Nothing => {}
            Step::Resolve => news.push(News::Resolve),
            Step::Dialling(channel) => self.ask = Some(channel.with_lists()),
            Step::Failed(reason) => self.cleared(reason, news),
        }
        self.last_heard = now;
    }

    /// One of the two sockets is ready.
    pub(crate) fn ready(
        &mut self,
        token: Token,
        now: Instant,
        registry: &Registry,
        news: &mut Vec<News>,
    ) {
        #[cfg(test)]
        super::recovery::strike(&self.address.to_string());
        let hears = token.0 != self.token;
        let channel = if hears { &mut self.listen } else { &mut self.ask };
        let Some(channel) = channel else { return };
        let mut arrivals = Vec::new();
        let outcome = channel.ready(now, &mut arrivals);
        let flooded = channel.is_flooded();
        if !arrivals.is_empty() {
            self.last_heard = now;
        }
        for arrival in arrivals {
            let done = match arrival {
                Arrival::Opened(greeting) if hears => self.subscribe_beside(&greeting),
                Arrival::Opened(greeting) => self.greeted(&greeting, now, registry, news),
                Arrival::Value(value) if hears => {
                    self.heard_beside(value, news);
                    Ok(())
                }
                Arrival::Value(value) => self.arrived(Reply::Value(value), now, news),
                Arrival::List(_) if hears => Ok(()),
                Arrival::List(bytes) => self.arrived(Reply::List(bytes), now, news),
            };
            if let Err(error) = done {
                return self.down(error.to_string(), now, news);
            }
        }
        match outcome {
            Ok(()) => self.settle(now, news),
            Err(error) if flooded && !self.reach.is_dialling() => {
                self.down(error.to_string(), now, news);
                self.reach.flooded(now);
            }
            Err(error) if hears && self.hearing.is_none() => {
                // The second connection could not be had. Asking alone still follows the master.
                log::warn!("sentinel {} sends no events: {error}", self.address);
                self.listen = None;
                self.hearing = Some(Hearing::Denied);
                self.settle(now, news);
            }
            Err(error) if self.reach.is_dialling() => {
                self.ask = None;
                let step = self.reach.refused(error.to_string(), now, registry);
                self.step(step, now, news);
            }
            Err(error) => self.down(error.to_string(), now, news),
        }
    }

    /// Returns true when one of the two sockets has more to read although no readiness will be reported.
    pub(crate) fn is_unfinished(&self, token: Token) -> bool {
        let channel = if token.0 == self.token { &self.ask } else { &self.listen };
        channel.as_ref().is_some_and(Channel::is_unfinished)
    }

    fn greeted(
        &mut self,
        greeting: &Greeting,
        now: Instant,
        registry: &Registry,
        news: &mut Vec<News>,
    ) -> Result<(), Error> {
        if let Some(role @ (Role::Master { .. } | Role::Replica { .. })) = &greeting.role {
            return Err(Error::new(
                ErrorKind::WrongRole,
                format!(
                    "{} is a data node ({role}), not a sentinel; name the sentinels, which usually \
                     listen on port 26379",
                    self.address
                ),
            ));
        }
        self.reach.reached();
        let deadline = now + self.reach.settings().dial_timeout;
        self.state = State::Settling { deadline };
        match greeting.protocol {
            Protocol::Resp3 => {
                let subscribe = cmd("PSUBSCRIBE").arg("*").get_packed_command();
                self.put(Question::Subscribe(Hearing::All), &subscribe, now, news);
            }
            Protocol::Resp2 => {
                let peer = self.ask.as_ref().map(Channel::peer);
                let token = Token(self.token + 1);
                match peer.map(|peer| {
                    let (host, settings) = (self.reach.dial_to(), self.reach.settings());
                    let allowance = Allowance::of_sentinel();
                    Channel::connect(
                        peer,
                        &self.address,
                        host,
                        settings,
                        allowance,
                        registry,
                        token,
                    )
                }) {
                    Some(Ok(channel)) => self.listen = Some(channel.only_hears()),
                    _ => self.hearing = Some(Hearing::Denied),
                }
            }
        }
        let run_id = cmd("SENTINEL").arg("MYID").get_packed_command();
        self.put(Question::RunId, &run_id, now, news);
        Ok(())
    }

    fn subscribe_beside(&mut self, _greeting: &Greeting) -> Result<(), Error> {
        match &mut self.listen {
            Some(listen) => listen.send(&cmd("PSUBSCRIBE").arg("*").get_packed_command()),
            None => Ok(()),
        }
    }

    /// What came on the second connection of a RESP2 sentinel.
    fn heard_beside(&mut self, value: Value, news: &mut Vec<News>) {
        match value {
            Value::ServerError(_) if self.hearing.is_none() => self.hearing = Some(Hearing::Denied),
            Value::Array(items) => match word(&items, 0).as_deref() {
                Some("psubscribe") => self.hearing = Some(Hearing::All),
                Some("pmessage") => message(&items[1..], news),
                _ => {}
            },
            _ => {}
        }
    }

    /// What came on the connection that is asked.
    fn arrived(&mut self, reply: Reply, now: Instant, news: &mut Vec<News>) -> Result<(), Error> {
        if let Reply::Value(Value::Push { kind, data }) = &reply {
            match kind {
                PushKind::PMessage => message(data, news),
                PushKind::Message => message_of_channel(data, news),
                PushKind::PSubscribe | PushKind::Subscribe => {
                    if let Some(Awaited { what: Question::Subscribe(hearing), .. }) =
                        self.awaited.front()
                    {
                        self.hearing = Some(*hearing);
                        self.awaited.pop_front();
                    }
                }
                _ => {}
            }
            return Ok(());
        }
        let Some(Awaited { what, since, told }) = self.awaited.pop_front() else {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!("sentinel {} answered more than it was asked", self.address),
            ));
        };
        if told {
            news.push(News::Answers);
        }
        match what {
            // An error: a confirmation would have come as a push.
            Question::Subscribe(Hearing::All) => {
                let subscribe = cmd("SUBSCRIBE").arg("+switch-master").get_packed_command();
                self.put(Question::Subscribe(Hearing::SwitchOnly), &subscribe, now, news);
            }
            Question::Subscribe(_) => self.hearing = Some(Hearing::Denied),
            Question::RunId => {
                if let Reply::Value(Value::BulkString(id)) = reply {
                    self.run_id = String::from_utf8(id).ok();
                }
            }
            Question::Service { name, mut replies } => {
                // Read here and once, however many services of this name wait for it.
                let reply = match reply {
                    Reply::List(bytes) if QUERY[replies.len()] == "REPLICAS" => {
                        let read = Reply::of_replicas(&bytes);
                        if let Some(ask) = &mut self.ask {
                            ask.reuse(bytes);
                        }
                        read
                    }
                    other => other,
                };
                replies.push(reply);
                if replies.len() < QUERY.len() {
                    let what = Question::Service { name, replies };
                    self.awaited.push_front(Awaited { what, since, told: false });
                } else {
                    let once_more = self.again.iter().position(|again| *again == name);
                    if let Some(index) = once_more {
                        self.again.swap_remove(index);
                        self.ask_about(&name, now, news);
                    }
                    news.push(News::Answer { service: name, replies, asked: since });
                }
            }
            Question::Services => {
                let names = reply.into_value().map_or(Vec::new(), |value| names(&value));
                news.push(News::Services { names });
            }
            Question::Name | Question::Ping => {}
        }
        Ok(())
    }

    /// Up, as soon as the subscription is in place (or denied) and the run id is known.
    fn settle(&mut self, now: Instant, news: &mut Vec<News>) {
        let settling = matches!(self.state, State::Settling { .. });
        let open = self.ask.as_ref().is_some_and(Channel::is_open);
        if settling && open && self.hearing.is_some() && self.awaited.is_empty() {
            self.state = State::Up;
            self.up_since = now;
            self.last_heard = now;
            news.extend(self.up());
        }
    }

    /// Asks about a service: one pipeline, answered by [`News::Answer`].
    pub(crate) fn ask_about(&mut self, service: &str, now: Instant, news: &mut Vec<News>) {
        if !self.is_up() {
            return;
        }
        let under_way = self
            .awaited
            .iter()
            .any(|a| matches!(&a.what, Question::Service { name, .. } if name == service));
        if under_way {
            if !self.again.iter().any(|again| again == service) {
                self.again.push(service.to_owned());
            }
            return;
        }
        let mut packed = Vec::with_capacity(256);
        for question in QUERY {
            cmd("SENTINEL").arg(question).arg(service).write_packed_command(&mut packed);
        }
        let what = Question::Service { name: service.to_owned(), replies: Vec::new() };
        self.put(what, &packed, now, news);
    }

    /// Asks for the names of all services, answered by [`News::Services`].
    pub(crate) fn ask_for_services(&mut self, now: Instant, news: &mut Vec<News>) {
        if self.is_up() {
            let packed = cmd("SENTINEL").arg("MASTERS").get_packed_command();
            self.put(Question::Services, &packed, now, news);
        }
    }

    fn put(&mut self, what: Question, packed: &[u8], now: Instant, news: &mut Vec<News>) {
        let told = self.told.is_none_or(|told| now >= told + PROOF_PAUSE);
        if told {
            self.told = Some(now);
            news.push(News::Asks);
        }
        self.awaited.push_back(Awaited { what, since: now, told });
        if let Some(ask) = &mut self.ask {
            ask.queue(packed);
        }
    }

    /// Whether there are questions that [`Link::flush`] is to send.
    pub(crate) fn has_unsent(&self) -> bool {
        self.ask.as_ref().is_some_and(Channel::has_unsent)
    }

    /// Sends the questions of this turn in one piece.
    pub(crate) fn flush(&mut self, now: Instant, news: &mut Vec<News>) {
        if let Some(Err(error)) = self.ask.as_mut().map(Channel::flush) {
            self.down(error.to_string(), now, news);
        }
    }

    fn down(&mut self, reason: impl Into<String>, now: Instant, news: &mut Vec<News>) {
        if self.is_up() && now >= self.up_since + PROVEN {
            self.reach.proven();
        }
        self.reach.lost(now);
        self.cleared(reason.into(), news);
    }

    fn cleared(&mut self, reason: String, news: &mut Vec<News>) {
        self.ask = None;
        self.listen = None;
        self.awaited.clear();
        self.again.clear();
        self.hearing = None;
        self.state = State::Away;
        news.push(News::Down { reason });
    }
}

/// `pattern channel payload`
fn message(items: &[Value], news: &mut Vec<News>) {
    message_of_channel(items.get(1..).unwrap_or(&[]), news);
}

/// `channel payload`
fn message_of_channel(items: &[Value], news: &mut Vec<News>) {
    if let (Some(channel), Some(Value::BulkString(payload))) = (word(items, 0), items.get(1)) {
        news.push(News::Message { channel, payload: payload.clone() });
    }
}

fn word(items: &[Value], index: usize) -> Option<String> {
    match items.get(index)? {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// The names in a reply to SENTINEL MASTERS: maps in RESP3, flat arrays in RESP2.
fn names(reply: &Value) -> Vec<String> {
    let Value::Array(masters) = reply else { return Vec::new() };
    masters
        .iter()
        .filter_map(|master| match master {
            Value::Map(fields) => fields
                .iter()
                .find(|(key, _)| word(std::slice::from_ref(key), 0).as_deref() == Some("name"))
                .and_then(|(_, name)| word(std::slice::from_ref(name), 0)),
            Value::Array(fields) => fields
                .chunks_exact(2)
                .find(|pair| word(pair, 0).as_deref() == Some("name"))
                .and_then(|pair| word(pair, 1)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_are_read_in_both_protocols() {
        let text = |s: &str| Value::BulkString(s.into());
        let resp2 = Value::Array(vec![Value::Array(vec![
            text("ip"),
            text("name"),
            text("name"),
            text("cache"),
        ])]);
        let resp3 = Value::Array(vec![Value::Map(vec![(text("name"), text("cache"))])]);
        assert_eq!(names(&resp2), ["cache"]);
        assert_eq!(names(&resp3), ["cache"]);
        assert!(names(&Value::Nil).is_empty());
    }
}
