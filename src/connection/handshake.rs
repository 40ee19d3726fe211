//! The first words on a connection, without a socket: bytes to send, replies taken.
//!
//! One round trip is the normal case: everything is sent at once. A server that does not know HELLO
//! gets a second round, in RESP2.

use std::collections::VecDeque;

use redis::{Value, cmd};

use super::{Protocol, Role, Settings};
use crate::error::{Error, ErrorKind};

/// What a server said of itself.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    pub(crate) protocol: Protocol,
    /// The reply to ROLE; none where it is refused and the settings do without.
    pub(crate) role: Option<Role>,
}

pub(crate) struct Handshake {
    settings: Settings,
    protocol: Protocol,
    awaited: VecDeque<Step>,
    /// HELLO was refused: what else comes of the first round means nothing.
    fall_back: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Hello,
    Auth,
    /// SETNAME and SETINFO: nothing depends on them, and old servers do not know them.
    Tolerated,
    Select,
    Role,
}

impl Handshake {
    pub(crate) fn new(settings: &Settings) -> Handshake {
        Handshake {
            settings: settings.clone(),
            protocol: settings.protocol,
            awaited: VecDeque::new(),
            fall_back: false,
        }
    }

    /// Appends what is to be sent first.
    pub(crate) fn start(&mut self, out: &mut Vec<u8>) {
        let Settings { username, password, client_name, db, .. } = &self.settings;
        let mut say = |step: Step, command: &redis::Cmd| {
            command.write_packed_command(out);
            self.awaited.push_back(step);
        };
        let password = password.as_ref().map(|password| password.expose());
        match self.protocol {
            Protocol::Resp3 => {
                let mut hello = cmd("HELLO");
                hello.arg(3);
                if let Some(password) = password {
                    hello.arg("AUTH").arg(username.as_deref().unwrap_or("default")).arg(password);
                }
                say(Step::Hello, &hello);
            }
            Protocol::Resp2 => {
                if let Some(password) = password {
                    say(Step::Auth, cmd("AUTH").arg(username.as_deref()).arg(password));
                }
            }
        }
        if let Some(name) = client_name {
            say(Step::Tolerated, cmd("CLIENT").arg("SETNAME").arg(name));
        }
        let version = env!("CARGO_PKG_VERSION");
        for (attribute, value) in [("LIB-NAME", "switchmaster"), ("LIB-VER", version)] {
            say(Step::Tolerated, cmd("CLIENT").arg("SETINFO").arg(attribute).arg(value));
        }
        if *db != 0 {
            say(Step::Select, cmd("SELECT").arg(*db));
        }
        say(Step::Role, &cmd("ROLE"));
    }

    /// Takes a reply; may append more to send. The greeting, once all is said.
    pub(crate) fn reply(
        &mut self,
        value: Value,
        out: &mut Vec<u8>,
    ) -> Result<Option<Greeting>, Error> {
        if matches!(value, Value::Push { .. }) {
            return Ok(None);
        }
        let Some(step) = self.awaited.pop_front() else {
            return Err(Error::new(ErrorKind::Protocol, "a reply that nothing was asked for"));
        };
        if self.fall_back {
            if self.awaited.is_empty() {
                self.fall_back = false;
                self.protocol = Protocol::Resp2;
                self.start(out);
            }
            return Ok(None);
        }
        let refused = match &value {
            Value::ServerError(error) => {
                let details = error.details().unwrap_or_default();
                Some((error.code().to_owned(), format!("{} {details}", error.code())))
            }
            _ => None,
        };
        match (step, refused) {
            (Step::Role, None) => {
                let role = Role::from_reply(&value).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Protocol,
                        format!("a reply to ROLE that is none: {value:?}"),
                    )
                })?;
                Ok(Some(Greeting { protocol: self.protocol, role: Some(role) }))
            }
            (Step::Role, Some((code, words))) => match &*code {
                "LOADING" | "MASTERDOWN" | "NOAUTH" => Err(failure(&code, words)),
                _ if !self.settings.role_required => {
                    Ok(Some(Greeting { protocol: self.protocol, role: None }))
                }
                _ => Err(Error::new(
                    ErrorKind::Permission,
                    format!("ROLE is refused ({words}); grant the user +role"),
                )),
            },
            (_, None) | (Step::Tolerated, Some(_)) => Ok(None),
            (Step::Hello, Some((code, words))) => match &*code {
                // Before Redis 6 there is no HELLO; some proxies know it and not its version 3.
                "ERR" | "NOPROTO" if !words.contains("AUTH") => {
                    self.fall_back = true;
                    Ok(None)
                }
                _ => Err(failure(&code, words)),
            },
            (Step::Auth | Step::Select, Some((code, words))) => Err(failure(&code, words)),
        }
    }
}

fn failure(code: &str, words: String) -> Error {
    match code {
        "NOAUTH" => Error::new(
            ErrorKind::Authentication,
            format!("the server wants a password, and none is set ({words})"),
        ),
        "WRONGPASS" => Error::new(
            ErrorKind::Authentication,
            format!("the server refuses the user or the password ({words})"),
        ),
        "NOPERM" => {
            Error::new(ErrorKind::Permission, format!("the user may not do this ({words})"))
        }
        "ERR" if words.contains("without any password configured") => Error::new(
            ErrorKind::Authentication,
            format!("a password is set here, and the server has none ({words})"),
        ),
        "ERR" if words.contains("AUTH") || words.contains("invalid password") => {
            Error::new(ErrorKind::Authentication, format!("the server refuses AUTH ({words})"))
        }
        _ => Error::new(ErrorKind::Disconnected, format!("the server cannot serve now ({words})")),
    }
}
