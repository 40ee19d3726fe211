//! The first words on a connection: who we are, what we speak, and who the server is. No socket, no
//! clock: replies in, bytes out.
//!
//! Everything is sent at once, so a connection costs one round trip after it is made:
//! `HELLO 3 [AUTH …]`, `CLIENT SETNAME`, `CLIENT SETINFO` twice, `SELECT`, `ROLE`, and `PING` where
//! commands are to follow. A server before Redis 6 does not know HELLO; then a password needs a
//! second round, with AUTH. So does a server that refuses ROLE: `INFO replication` says the same.

use std::collections::VecDeque;

use redis::{ServerError, Value};

use super::{
    role::{Inquiry, Role},
    settings::Settings,
};
use crate::{
    address::Address,
    config::{Protocol, Secret},
    error::{Error, ErrorKind},
    origin::{ORIGIN, Origin},
};

/// What a server told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// What is spoken from here on.
    pub(crate) protocol: Protocol,
    /// What it says it is; none only when [`Settings::role_required`] is off.
    pub(crate) role: Option<Role>,
    /// What it answers when it is asked for its role.
    pub(crate) inquiry: Inquiry,
    /// `redis`, `valkey` …; HELLO tells, so RESP2 does not.
    pub(crate) server: Option<String>,
    pub(crate) version: Option<String>,
    /// `standalone`, `sentinel` or `cluster`.
    pub(crate) mode: Option<String>,
    /// The number of the connection at the server (`CLIENT ID`), where it is told.
    pub(crate) client_id: Option<i64>,
    /// The process and its history, if they were asked for and reported.
    pub(crate) origin: Origin,
}

/// A command of the handshake whose reply is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Hello,
    Auth,
    Name,
    Id,
    Info,
    Select,
    Role(Inquiry),
    /// A section of `INFO` that reports the origin.
    Origin,
    Ping,
}

/// The handshake with one server.
pub(crate) struct Handshake {
    address: Address,
    settings: Settings,
    awaited: VecDeque<Step>,
    /// HELLO was refused and the credentials with it: what else the first round brings is void.
    void: bool,
    /// `CLIENT ID` was asked.
    asked_id: bool,
    /// Whether it has to be ready to take commands.
    commands: bool,
    /// The origin is to be asked for, and the replies to that.
    asks_origin: bool,
    sections: Vec<Value>,
    /// Why ROLE was refused, which leaves INFO to be asked.
    role_refusal: Option<Error>,
    greeting: Greeting,
}

impl Handshake {
    pub(crate) fn new(address: &Address, settings: &Settings) -> Handshake {
        Handshake {
            address: address.clone(),
            settings: settings.clone(),
            awaited: VecDeque::new(),
            void: false,
            asked_id: false,
            commands: false,
            asks_origin: false,
            sections: Vec::new(),
            role_refusal: None,
            greeting: Greeting {
                protocol: settings.protocol,
                role: None,
                inquiry: Inquiry::Role,
                server: None,
                version: None,
                mode: None,
                client_id: None,
                origin: Origin::default(),
            },
        }
    }

    /// Also asks for the origin of the server's data, in the same round trip.
    pub(crate) fn asking_for_origin(mut self, asks: bool) -> Handshake {
        self.asks_origin = asks;
        self
    }

    /// For a connection that commands are sent on: a master that is still loading its data answers
    /// ROLE all the same, and nothing else, so it is asked PING, too.
    pub(crate) fn for_commands(mut self) -> Handshake {
        self.commands = true;
        self
    }

    /// Appends the first bytes to send.
    pub(crate) fn start(&mut self, out: &mut Vec<u8>) {
        match self.settings.protocol {
            Protocol::Resp3 => self.hello(out),
            Protocol::Resp2 => self.auth(out),
        }
        self.introduce(out);
    }

    /// Takes the next reply; appends what is to be sent then, if anything; ends with a greeting.
    pub(crate) fn reply(
        &mut self,
        reply: Value,
        out: &mut Vec<u8>,
    ) -> Result<Option<Greeting>, Error> {
        if matches!(reply, Value::Push { .. }) {
            return Ok(None);
        }
        let Some(step) = self.awaited.pop_front() else {
            return Err(self.error(
                ErrorKind::Protocol,
                "sent a reply that nobody asked for".to_owned(),
                "check what listens there",
            ));
        };
        // A reply wrapped in attributes is a reply.
        let reply = match reply {
            Value::Attribute { data, .. } => *data,
            reply => reply,
        };
        if !self.void {
            match reply {
                Value::ServerError(refusal) => self.refused(step, &refusal)?,
                reply => self.accepted(step, reply)?,
            }
        }
        if !self.awaited.is_empty() {
            return Ok(None);
        }
        self.next_round(out);
        if !self.awaited.is_empty() {
            return Ok(None);
        }
        if !self.sections.is_empty() {
            let is_master = matches!(self.greeting.role, Some(Role::Master { .. }) | None);
            self.greeting.origin = Origin::read(&self.sections, is_master);
        }
        Ok(Some(self.greeting.clone()))
    }

    /// What the replies so far leave to be asked.
    fn next_round(&mut self, out: &mut Vec<u8>) {
        if self.void {
            self.void = false;
            self.auth(out);
            self.introduce(out);
            return;
        }
        if self.settings.protocol != self.greeting.protocol && !self.asked_id {
            self.ask_id(out);
        }
        if self.role_refusal.is_some() && self.greeting.inquiry == Inquiry::Role {
            self.ask_role(Inquiry::Info, out);
        }
    }

    /// Asks for the number of the connection, which HELLO tells in its reply.
    fn ask_id(&mut self, out: &mut Vec<u8>) {
        self.asked_id = true;
        pack(out, &["CLIENT", "ID"]);
        self.awaited.push_back(Step::Id);
    }

    fn hello(&mut self, out: &mut Vec<u8>) {
        let user = self.settings.username.as_deref().unwrap_or("default");
        match &self.settings.password {
            Some(password) => {
                pack(out, &["HELLO", "3", "AUTH", user, password.expose()]);
            }
            None => pack(out, &["HELLO", "3"]),
        }
        self.awaited.push_back(Step::Hello);
    }

    fn auth(&mut self, out: &mut Vec<u8>) {
        match (&self.settings.username, &self.settings.password) {
            (Some(user), Some(password)) => pack(out, &["AUTH", user, password.expose()]),
            // The form that servers before Redis 6 know.
            (None, Some(password)) => pack(out, &["AUTH", password.expose()]),
            (_, None) => return,
        }
        self.awaited.push_back(Step::Auth);
    }

    fn introduce(&mut self, out: &mut Vec<u8>) {
        if let Some(name) = &self.settings.client_name {
            pack(out, &["CLIENT", "SETNAME", name]);
            self.awaited.push_back(Step::Name);
        }
        if self.greeting.protocol == Protocol::Resp2 {
            self.ask_id(out);
        }
        pack(out, &["CLIENT", "SETINFO", "LIB-NAME", env!("CARGO_PKG_NAME")]);
        self.awaited.push_back(Step::Info);
        pack(out, &["CLIENT", "SETINFO", "LIB-VER", env!("CARGO_PKG_VERSION")]);
        self.awaited.push_back(Step::Info);
        if self.settings.db != 0 {
            pack(out, &["SELECT", &self.settings.db.to_string()]);
            self.awaited.push_back(Step::Select);
        }
        self.ask_role(Inquiry::Role, out);
    }

    fn ask_role(&mut self, inquiry: Inquiry, out: &mut Vec<u8>) {
        self.greeting.inquiry = inquiry;
        inquiry.write(out);
        self.awaited.push_back(Step::Role(inquiry));
        // Once: a second round asks for the role alone.
        if self.asks_origin && self.sections.is_empty() {
            for section in ORIGIN {
                pack(out, &["INFO", section]);
                self.awaited.push_back(Step::Origin);
            }
        }
        if self.commands {
            // Last, so that what is no master is known as that before it is found unready.
            pack(out, &["PING"]);
            self.awaited.push_back(Step::Ping);
        }
    }

    fn accepted(&mut self, step: Step, reply: Value) -> Result<(), Error> {
        match step {
            Step::Hello => self.read_hello(&reply),
            Step::Role(inquiry) => match inquiry.read(&reply) {
                Some(role) => self.greeting.role = Some(role),
                None if self.settings.role_required => {
                    return Err(self.error(
                        ErrorKind::Protocol,
                        format!("answered {inquiry} with something that is no role"),
                        "check what listens there",
                    ));
                }
                None => {}
            },
            Step::Id => {
                if let Value::Int(id) = reply {
                    self.greeting.client_id = Some(id);
                }
            }
            Step::Origin => self.sections.push(reply),
            Step::Auth | Step::Name | Step::Info | Step::Select | Step::Ping => {}
        }
        Ok(())
    }

    fn read_hello(&mut self, reply: &Value) {
        let Value::Map(fields) = reply else { return };
        for (key, value) in fields {
            if let (Some("id"), Value::Int(id)) = (text(key).as_deref(), value) {
                self.greeting.client_id = Some(*id);
            }
            let (Some(key), Some(value)) = (text(key), text(value)) else { continue };
            match &*key {
                "server" => self.greeting.server = Some(value),
                "version" => self.greeting.version = Some(value),
                "mode" => self.greeting.mode = Some(value),
                _ => {}
            }
        }
    }

    fn refused(&mut self, step: Step, refusal: &ServerError) -> Result<(), Error> {
        let words = self.words(refusal);
        let kind = match refusal.code() {
            // What is no master is of no use anyhow.
            "LOADING" | "MASTERDOWN"
                if step == Step::Ping
                    && !matches!(self.greeting.role, Some(Role::Master { .. }) | None) =>
            {
                return Ok(());
            }
            "LOADING" | "MASTERDOWN" => {
                return Err(self.error(
                    ErrorKind::Disconnected,
                    format!("is not ready: {words}"),
                    "it will be tried again",
                ));
            }
            // Valkey 9 does not tell a stranger which commands it knows. One that knows HELLO would
            // have judged the credentials in it.
            "NOAUTH" if step == Step::Hello && self.settings.password.is_some() => "NOPROTO",
            "NOAUTH" => {
                return Err(self.error(
                    ErrorKind::Authentication,
                    format!("wants a password: {words}"),
                    "set the password for this kind of server",
                ));
            }
            "WRONGPASS" => {
                return Err(self.error(
                    ErrorKind::Authentication,
                    format!("refused the credentials: {words}"),
                    "check user and password",
                ));
            }
            "DENIED" => {
                return Err(self.error(
                    ErrorKind::Authentication,
                    format!("refused the connection: {words}"),
                    "set a password on the server, or its bind address",
                ));
            }
            "ERR" if refusal.details().is_some_and(|why| why.contains("max number of clients")) => {
                return Err(self.error(
                    ErrorKind::Disconnected,
                    format!("has no connection left: {words}"),
                    "raise its `maxclients`, or find out who holds the others (CLIENT LIST)",
                ));
            }
            code => code,
        };
        let permission = kind == "NOPERM";
        let unknown = is_unknown_command(refusal);
        match step {
            // Tolerated: they serve whoever looks at CLIENT LIST, and the calling back of blocking
            // commands; old servers and sentinels do not know them.
            Step::Name | Step::Id | Step::Info | Step::Ping => Ok(()),
            Step::Origin => {
                self.sections.push(Value::Nil);
                Ok(())
            }
            Step::Hello if permission || unknown || kind == "NOPROTO" => {
                self.greeting.protocol = Protocol::Resp2;
                // Without a password the rest of the round was heard all the same.
                self.void = self.settings.password.is_some();
                Ok(())
            }
            Step::Auth if has_no_password(refusal) => Err(self.error(
                ErrorKind::Authentication,
                format!("has no password set, but one was given: {words}"),
                "remove the password from the configuration, or set requirepass on the server",
            )),
            Step::Role(_) if !self.settings.role_required => Ok(()),
            Step::Role(Inquiry::Role) if permission => {
                self.role_refusal = Some(self.error(
                    ErrorKind::Permission,
                    format!("does not let this user ask for its role: {words}"),
                    "grant it with ACL SETUSER … +role, or +info, which says the same",
                ));
                Ok(())
            }
            Step::Role(Inquiry::Role) if unknown => {
                self.role_refusal = Some(self.error(
                    ErrorKind::WrongRole,
                    "knows neither ROLE nor INFO, so its role cannot be verified".to_owned(),
                    "check what listens there, and its `rename-command` settings",
                ));
                Ok(())
            }
            Step::Role(Inquiry::Info) if permission || unknown => Err(self
                .role_refusal
                .clone()
                .unwrap_or_else(|| self.error(ErrorKind::Internal, words, "report this"))),
            Step::Select if permission => Err(self.error(
                ErrorKind::Permission,
                format!("does not let this user select database {}: {words}", self.settings.db),
                "grant it with ACL SETUSER … +select, or use database 0",
            )),
            Step::Select if unknown => Err(self.error(
                ErrorKind::InvalidConfig,
                format!("does not know SELECT, but database {} was asked for", self.settings.db),
                "use database 0, or mind its `rename-command` settings",
            )),
            Step::Select => Err(self.error(
                ErrorKind::InvalidConfig,
                format!("refused database {}: {words}", self.settings.db),
                "choose one that the server has (its setting is `databases`)",
            )),
            Step::Auth if unknown => Err(self.error(
                ErrorKind::Authentication,
                "does not know AUTH, but a password was given".to_owned(),
                "check what listens there",
            )),
            Step::Auth => Err(self.error(
                ErrorKind::Authentication,
                format!("refused the credentials: {words}"),
                "check user and password",
            )),
            Step::Hello | Step::Role(_) => Err(self.error(
                ErrorKind::Disconnected,
                format!("refused the connection: {words}"),
                "see the server's own words",
            )),
        }
    }

    /// The server's words, fit for a log: an old server repeats the arguments of a command that it
    /// does not know, and the password is one of them.
    fn words(&self, refusal: &ServerError) -> String {
        if is_unknown_command(refusal) {
            return format!("{} unknown command", refusal.code());
        }
        let mut words = match refusal.details() {
            Some(details) => format!("{} {details}", refusal.code()),
            None => refusal.code().to_owned(),
        };
        if let Some(password) =
            self.settings.password.as_ref().map(Secret::expose).filter(|word| !word.is_empty())
        {
            words = words.replace(password, "***");
        }
        let words: String = words.chars().filter(|letter| !letter.is_control()).take(300).collect();
        format!("\"{words}\"")
    }

    fn error(&self, kind: ErrorKind, cause: String, next: &str) -> Error {
        Error::new(kind, format!("{} {cause}; {next}", self.address))
    }
}

fn is_unknown_command(refusal: &ServerError) -> bool {
    refusal.code() == "ERR"
        && refusal.details().is_some_and(|details| {
            details.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("unknown command"))
        })
}

/// "AUTH <password> called without any password configured for the default user …" since Redis 6,
/// "Client sent AUTH, but no password is set" before.
fn has_no_password(refusal: &ServerError) -> bool {
    refusal.details().is_some_and(|details| {
        details.contains("without any password") || details.contains("no password is set")
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}

fn pack(out: &mut Vec<u8>, words: &[&str]) {
    redis::Cmd::new().arg(words).write_packed_command(out);
}

#[cfg(test)]
mod tests;
