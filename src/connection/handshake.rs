//! The first words on a connection: who we are, what we speak, and who the server is. No socket, no
//! clock: replies in, bytes out.
//!
//! Everything is sent at once, so a connection costs one round trip after it is made:
//! `HELLO 3 [AUTH …]`, `CLIENT SETNAME`, `CLIENT SETINFO` twice, `SELECT`, `ROLE`. A server before
//! Redis 6 does not know HELLO; then a password needs a second round, with AUTH.

use std::collections::VecDeque;

use redis::{ServerError, Value};

use super::{role::Role, settings::Settings};
use crate::{
    address::Address,
    config::{Protocol, Secret},
    error::{Error, ErrorKind},
};

/// What a server told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// What is spoken from here on.
    pub(crate) protocol: Protocol,
    /// What it says it is; none only when [`Settings::role_required`] is off.
    pub(crate) role: Option<Role>,
    /// `redis`, `valkey` …; HELLO tells, so RESP2 does not.
    pub(crate) server: Option<String>,
    pub(crate) version: Option<String>,
    /// `standalone`, `sentinel` or `cluster`.
    pub(crate) mode: Option<String>,
    /// The number of the connection at the server (`CLIENT ID`), where it is told.
    pub(crate) client_id: Option<i64>,
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
    Role,
}

/// The handshake with one server.
pub(crate) struct Handshake {
    address: Address,
    settings: Settings,
    awaited: VecDeque<Step>,
    /// HELLO was refused and the credentials with it: what else the first round brings is void.
    void: bool,
    greeting: Greeting,
}

impl Handshake {
    pub(crate) fn new(address: &Address, settings: &Settings) -> Handshake {
        Handshake {
            address: address.clone(),
            settings: settings.clone(),
            awaited: VecDeque::new(),
            void: false,
            greeting: Greeting {
                protocol: settings.protocol,
                role: None,
                server: None,
                version: None,
                mode: None,
                client_id: None,
            },
        }
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
        if self.void {
            self.void = false;
            self.auth(out);
            self.introduce(out);
            return Ok(None);
        }
        Ok(Some(self.greeting.clone()))
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
            // HELLO tells it in its reply.
            pack(out, &["CLIENT", "ID"]);
            self.awaited.push_back(Step::Id);
        }
        pack(out, &["CLIENT", "SETINFO", "LIB-NAME", env!("CARGO_PKG_NAME")]);
        self.awaited.push_back(Step::Info);
        pack(out, &["CLIENT", "SETINFO", "LIB-VER", env!("CARGO_PKG_VERSION")]);
        self.awaited.push_back(Step::Info);
        if self.settings.db != 0 {
            pack(out, &["SELECT", &self.settings.db.to_string()]);
            self.awaited.push_back(Step::Select);
        }
        pack(out, &["ROLE"]);
        self.awaited.push_back(Step::Role);
    }

    fn accepted(&mut self, step: Step, reply: Value) -> Result<(), Error> {
        match step {
            Step::Hello => self.read_hello(&reply),
            Step::Role => match Role::from_reply(&reply) {
                Some(role) => self.greeting.role = Some(role),
                None if self.settings.role_required => {
                    return Err(self.error(
                        ErrorKind::Protocol,
                        "answered ROLE with something that is no role".to_owned(),
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
            Step::Auth | Step::Name | Step::Info | Step::Select => {}
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
            "LOADING" | "MASTERDOWN" => {
                return Err(self.error(
                    ErrorKind::Disconnected,
                    format!("is not ready: {words}"),
                    "it will be tried again",
                ));
            }
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
            code => code,
        };
        let permission = kind == "NOPERM";
        let unknown = is_unknown_command(refusal);
        match step {
            // Tolerated: they serve whoever looks at CLIENT LIST, and the calling back of blocking
            // commands; old servers and sentinels do not know them.
            Step::Name | Step::Id | Step::Info => Ok(()),
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
            Step::Role if !self.settings.role_required => Ok(()),
            Step::Role if permission => Err(self.error(
                ErrorKind::Permission,
                format!("does not let this user ask for its role: {words}"),
                "grant it with ACL SETUSER … +role",
            )),
            Step::Role if unknown => Err(self.error(
                ErrorKind::WrongRole,
                format!("does not know ROLE, so its role cannot be verified: {words}"),
                "check what listens there; Redis has it since 2.8.12",
            )),
            Step::Select if permission => Err(self.error(
                ErrorKind::Permission,
                format!("does not let this user select database {}: {words}", self.settings.db),
                "grant it with ACL SETUSER … +select, or use database 0",
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
            // Such as "max number of clients reached", which comes unasked, before any reply.
            Step::Hello | Step::Role => Err(self.error(
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
mod tests {
    use super::*;

    const HELLO: &str = "%4\r\n$2\r\nid\r\n:42\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n\
                         $4\r\nmode\r\n$10\r\nstandalone\r\n";
    const MASTER: &str = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    const OK: &str = "+OK\r\n";
    const NO_HELLO: &str = "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, \
                            `default`, `secret`, \r\n";

    fn settings() -> Settings {
        Settings::default()
    }

    fn with_password() -> Settings {
        Settings { password: Some(Secret::new("secret")), ..settings() }
    }

    /// Answers a handshake; gives its end, and what it said in each round.
    fn shake(settings: &Settings, replies: &[&str]) -> (Result<Greeting, Error>, Vec<String>) {
        let mut shake = Handshake::new(&"10.0.0.1:6379".parse().unwrap(), settings);
        let mut out = Vec::new();
        shake.start(&mut out);
        let mut rounds = Vec::new();
        let words = |out: &mut Vec<u8>| {
            let mut decoder = super::super::wire::Decoder::new(Default::default());
            decoder.feed(out);
            out.clear();
            let mut commands = Vec::new();
            while let Some(Value::Array(words)) = decoder.next().expect("valid RESP") {
                let words: Vec<_> = words.iter().filter_map(text).collect();
                commands.push(words.join(" "));
            }
            commands.join("; ")
        };
        rounds.push(words(&mut out));
        for reply in replies {
            let reply = redis::parse_redis_value(reply.as_bytes()).expect("valid RESP");
            let end = shake.reply(reply, &mut out);
            if !out.is_empty() {
                rounds.push(words(&mut out));
            }
            match end {
                Ok(None) => {}
                Ok(Some(greeting)) => return (Ok(greeting), rounds),
                Err(error) => {
                    assert!(!error.to_string().contains("secret"), "{error}");
                    assert!(error.to_string().contains("10.0.0.1:6379"), "{error}");
                    return (Err(error), rounds);
                }
            }
        }
        panic!("the handshake did not end");
    }

    fn refusal(settings: &Settings, replies: &[&str]) -> (ErrorKind, String) {
        let error = shake(settings, replies).0.expect_err("a refusal");
        (error.kind(), error.to_string())
    }

    const INFO: &str = "CLIENT SETINFO LIB-NAME switchmaster; CLIENT SETINFO LIB-VER 0.1.0";

    #[test]
    fn one_round_is_enough() {
        let settings = Settings {
            username: Some("app".to_owned()),
            client_name: Some("me".to_owned()),
            db: 4,
            ..with_password()
        };
        let (end, said) = shake(&settings, &[HELLO, OK, OK, OK, OK, MASTER]);
        let greeting = end.unwrap();
        assert_eq!(greeting.protocol, Protocol::Resp3);
        assert_eq!(greeting.server.as_deref(), Some("redis"));
        assert_eq!(greeting.version.as_deref(), Some("7.0.15"));
        assert_eq!(greeting.mode.as_deref(), Some("standalone"));
        assert_eq!(greeting.client_id, Some(42));
        assert_eq!(greeting.role, Some(Role::Master { offset: 0, replicas: Vec::new() }));
        assert_eq!(
            said,
            [format!("HELLO 3 AUTH app secret; CLIENT SETNAME me; {INFO}; SELECT 4; ROLE")]
        );
    }

    #[test]
    fn resp2_says_no_hello() {
        let settings = Settings { protocol: Protocol::Resp2, ..with_password() };
        let (end, said) = shake(&settings, &[OK, ":7\r\n", OK, OK, MASTER]);
        let greeting = end.unwrap();
        assert_eq!((greeting.protocol, greeting.client_id), (Protocol::Resp2, Some(7)));
        assert_eq!(said, [format!("AUTH secret; CLIENT ID; {INFO}; ROLE")]);
    }

    #[test]
    fn an_old_server_is_spoken_to_in_resp2() {
        let err = "-ERR unknown subcommand\r\n";
        let (end, said) = shake(&settings(), &[NO_HELLO, err, err, MASTER]);
        assert_eq!(end.unwrap().protocol, Protocol::Resp2);
        assert_eq!(said.len(), 1);

        let noauth = "-NOAUTH Authentication required.\r\n";
        for hello in [NO_HELLO, "-NOPROTO sorry\r\n", "-NOPERM no permissions for hello\r\n"] {
            let first = [hello, noauth, noauth, noauth];
            let second = [OK, err, err, err, MASTER];
            let (end, said) = shake(&with_password(), &[&first[..], &second].concat());
            assert_eq!(end.unwrap().protocol, Protocol::Resp2);
            assert_eq!(said.len(), 2);
            assert_eq!(said[1], format!("AUTH secret; CLIENT ID; {INFO}; ROLE"));
        }
    }

    #[test]
    fn refusals_have_their_kind_and_say_what_to_do() {
        let second = [NO_HELLO, OK, OK, OK];
        let db = Settings { db: 99, ..settings() };
        let cases: [(&Settings, Vec<&str>, ErrorKind, &str); 11] = [
            (&settings(), vec!["-NOAUTH need it\r\n"], ErrorKind::Authentication, "set the pass"),
            (
                &with_password(),
                vec!["-WRONGPASS invalid secret\r\n"],
                ErrorKind::Authentication,
                "check user",
            ),
            (
                &with_password(),
                [&second[..], &["-ERR Client sent AUTH, but no password is set\r\n"]].concat(),
                ErrorKind::Authentication,
                "has no password set",
            ),
            (
                &with_password(),
                [&second[..], &["-ERR AUTH <password> called without any password x\r\n"]].concat(),
                ErrorKind::Authentication,
                "has no password set",
            ),
            (
                &with_password(),
                [&second[..], &["-ERR invalid password\r\n"]].concat(),
                ErrorKind::Authentication,
                "check user",
            ),
            (
                &settings(),
                vec![HELLO, OK, OK, "-NOPERM no role\r\n"],
                ErrorKind::Permission,
                "+role",
            ),
            (
                &db,
                vec![HELLO, OK, OK, "-ERR DB index is out of range\r\n"],
                ErrorKind::InvalidConfig,
                "database 99",
            ),
            (
                &db,
                vec![HELLO, OK, OK, "-LOADING Redis is loading the dataset\r\n"],
                ErrorKind::Disconnected,
                "loading the dataset",
            ),
            (
                &settings(),
                vec![HELLO, OK, OK, "-MASTERDOWN Link is down\r\n"],
                ErrorKind::Disconnected,
                "Link is down",
            ),
            (
                &settings(),
                vec!["-ERR max number of clients reached\r\n"],
                ErrorKind::Disconnected,
                "max number of clients",
            ),
            (&settings(), vec![HELLO, OK, OK, "+PONG\r\n"], ErrorKind::Protocol, "no role"),
        ];
        for (settings, replies, kind, part) in cases {
            let (found, message) = refusal(settings, &replies);
            assert_eq!(found, kind, "{message}");
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_role_that_is_not_required_may_be_refused() {
        let settings = Settings { role_required: false, ..settings() };
        let (end, _) = shake(&settings, &[HELLO, OK, OK, "-NOPERM no role\r\n"]);
        assert_eq!(end.unwrap().role, None);
    }

    #[test]
    fn settings_never_print_the_password() {
        assert!(!format!("{:?}", with_password()).contains("secret"));
    }
}
