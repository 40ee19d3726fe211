//! A call to one server: its name looked up, a connection, questions: [`Call`].

use std::{
    net::{IpAddr, ToSocketAddrs},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use redis::{Cmd, ConnectionLike, ErrorKind as RedisErrorKind, RedisError, Value};
use switchmaster::{
    Address, Error, ErrorKind,
    direct::{Dialer, Direct},
};

use crate::doctor::facts::{Clock, Contact, Denied, Server};

/// A question: the name by which a refusal of it is told, and its words.
pub(super) struct Question {
    name: &'static str,
    command: Cmd,
}

/// The name of the question is how the command begins; the rest may differ from call to call.
pub(super) fn question(name: &'static str, rest: &[&str]) -> Question {
    let mut command = Cmd::new();
    for word in name.split(' ').chain(rest.iter().copied()) {
        command.arg(word);
    }
    Question { name, command }
}

/// A server, and the connection to it while there is one.
pub(super) struct Call {
    pub(super) server: Server,
    connection: Option<Direct>,
}

impl Call {
    /// Looks the host up and connects.
    pub(super) fn dial(
        dialer: &Dialer,
        address: Address,
        connect: fn(&Dialer, &Address) -> Result<Direct, Error>,
    ) -> Call {
        let reachable = dialer.reachable(&address);
        let ip = look_up(&address).ok();
        let called_at = (reachable != address).then(|| reachable.clone());
        let server = Server {
            address: address.clone(),
            called_at,
            ip,
            contact: Contact::Answered,
            denied: Vec::new(),
            clock: None,
            info: Default::default(),
        };
        let mut call = Call { server, connection: None };
        if let Err(why) = look_up(&reachable) {
            let why = format!("the name {} has no address here: {why}", reachable.host());
            call.server.contact = Contact::Unresolved(why);
            return call;
        }
        match connect(dialer, &address) {
            Ok(connection) => call.connection = Some(connection),
            Err(error) => call.server.contact = contact(&error),
        }
        call
    }

    /// Asks several questions at once; none for each that was not answered.
    pub(super) fn ask(&mut self, questions: &[Question]) -> Vec<Option<Value>> {
        let nothing = || questions.iter().map(|_| None).collect();
        let Some(connection) = &mut self.connection else { return nothing() };
        let packed: Vec<u8> =
            questions.iter().flat_map(|question| question.command.get_packed_command()).collect();
        match connection.req_packed_commands(&packed, 0, questions.len()) {
            Ok(replies) => {
                let answers = questions.iter().zip(replies);
                answers.map(|(question, reply)| self.answer(question, reply)).collect()
            }
            Err(error) => {
                self.lose(&error);
                nothing()
            }
        }
    }

    /// Asks one question, and says between which moments it was answered.
    pub(super) fn ask_timed(&mut self, one: Question) -> Option<(Value, [f64; 2])> {
        let began = milliseconds();
        let waited = Instant::now();
        let reply = self.ask(&[one]).pop()??;
        Some((reply, [began, began + waited.elapsed().as_secs_f64() * 1000.0]))
    }

    /// Tries to subscribe, which ends the questions.
    pub(super) fn subscribe(mut self, command: &'static str, channel: &str) -> Server {
        self.ask(&[question(command, &[channel])]);
        self.server
    }

    fn answer(&mut self, question: &Question, reply: Value) -> Option<Value> {
        let Value::ServerError(refusal) = reply else { return Some(reply) };
        if !is_denial(&refusal) {
            return Some(Value::ServerError(refusal));
        }
        let words = format!("{} {}", refusal.code(), refusal.details().unwrap_or_default());
        self.server.denied.push(Denied { command: question.name, words });
        None
    }

    /// A connection that ends while it is asked counts as a server that does not answer.
    fn lose(&mut self, error: &RedisError) {
        self.connection = None;
        if error.kind() != RedisErrorKind::Client {
            let told = Error::from_redis(error).map(ToString::to_string);
            let told = told.unwrap_or_else(|| error.to_string());
            self.server.contact = Contact::Silent(told);
        }
    }
}

/// A server's clock, from the time that it told.
pub(super) fn clock(told: f64, [asked, heard]: [f64; 2]) -> Clock {
    Clock { least: told - heard, most: told - asked }
}

fn milliseconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

/// Whether it refuses the question, and not what it would have been about.
fn is_denial(refusal: &redis::ServerError) -> bool {
    let details = refusal.details().unwrap_or_default().to_ascii_lowercase();
    refusal.code() == "NOPERM"
        || details.starts_with("unknown command")
        || details.starts_with("unknown subcommand")
        || details.starts_with("unknown sentinel subcommand")
}

fn contact(error: &Error) -> Contact {
    match error.kind() {
        ErrorKind::Authentication | ErrorKind::Permission => Contact::Refused(error.to_string()),
        _ => Contact::Silent(error.to_string()),
    }
}

fn look_up(address: &Address) -> Result<IpAddr, String> {
    if let Some(ip) = address.ip() {
        return Ok(ip);
    }
    let found = (address.host(), address.port()).to_socket_addrs();
    let first = found.map_err(|error| error.to_string())?.next();
    first.map(|socket| socket.ip()).ok_or_else(|| "nothing was found".to_owned())
}
