//! A line: the connection of a subscription to one master, from the first SUBSCRIBE to its end.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::ServerError;

use super::{GapReason, Kind, Limit, Message, Request, Wanted, heard::Heard};
use crate::{
    connection::{Arrival, Connection},
    error::{Error, ErrorKind, Outcome},
    pool::Generation,
};

/// A line that carried nothing for this long is asked PING.
const SILENCE: Duration = Duration::from_secs(1);

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

pub(super) struct Line {
    connection: Connection,
    generation: Arc<Generation>,
    /// What the server owes, in the order in which it will answer.
    awaited: VecDeque<Awaited>,
    /// Everything that was wanted at the start has been confirmed.
    standing: Option<Instant>,
    /// Messages that came before that.
    early: Vec<Message>,
    heard_at: Instant,
    /// How long the server may owe an answer and say nothing.
    patience: Duration,
}

struct Awaited {
    answer: Answer,
    since: Instant,
}

enum Answer {
    Pong,
    Confirmations(Confirmations),
}

/// The confirmations of one command, one for each of its names.
#[derive(Clone, Copy)]
struct Confirmations {
    kind: Kind,
    begins: bool,
    /// None for the names that a server has confirmed on an earlier line.
    request: Option<Request>,
    left: usize,
}

/// What a look at a line brought.
pub(super) enum News {
    Message(Message),
    /// Everything is subscribed, and this came meanwhile.
    Standing(Vec<Message>),
    /// The server confirmed all names of a request.
    Confirmed(Request),
    /// The server refused a request.
    Refused(Request, Error),
    /// Something else moved.
    Progress,
    /// Nothing until the deadline.
    Nothing,
}

/// How a line ended.
pub(super) struct End {
    pub(super) reason: GapReason,
    pub(super) error: Error,
}

impl End {
    /// Returns true when the server refused names that it or its predecessor had confirmed. The connection
    /// itself was healthy.
    pub(super) fn is_refusal(&self) -> bool {
        self.error.outcome() == Outcome::Replied
    }
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        let reason = match error.kind() {
            ErrorKind::Switched => GapReason::Switched,
            ErrorKind::Protocol => GapReason::Protocol,
            ErrorKind::CommandTimeout => GapReason::Silent,
            _ => GapReason::Disconnected,
        };
        End { reason, error }
    }
}

impl Line {
    pub(super) fn new(
        connection: Connection,
        generation: Arc<Generation>,
        patience: Duration,
    ) -> Line {
        Line {
            connection,
            generation,
            awaited: VecDeque::new(),
            standing: None,
            early: Vec::new(),
            heard_at: Instant::now(),
            patience,
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn generation(&self) -> &Generation {
        &self.generation
    }

    /// Since when everything that was wanted at the start has been subscribed to.
    pub(super) fn standing_since(&self) -> Option<Instant> {
        self.standing
    }

    /// Whether everything that was asked for has been confirmed.
    pub(super) fn is_settled(&self) -> bool {
        self.standing.is_some() && !self.owes_confirmations()
    }

    fn owes_confirmations(&self) -> bool {
        self.awaited.iter().any(|awaited| matches!(awaited.answer, Answer::Confirmations(_)))
    }

    /// Asks for everything that is wanted. Requests that no server has answered have commands of their
    /// own, so that a refusal concerns only their names.
    pub(super) fn begin(&mut self, wanted: &Wanted) -> Result<(), End> {
        for kind in Kind::ALL {
            self.ask(kind, true, None, wanted.confirmed(kind))?;
            for (request, names) in wanted.requested(kind) {
                self.ask(kind, true, Some(request), names)?;
            }
        }
        Ok(())
    }

    /// Subscribes to these, or unsubscribes. The answers come later.
    pub(super) fn ask<'n>(
        &mut self,
        kind: Kind,
        begins: bool,
        request: Option<Request>,
        names: impl IntoIterator<Item = &'n Vec<u8>>,
    ) -> Result<(), End> {
        let mut command = redis::cmd(kind.command(begins));
        for name in names {
            command.arg(name);
        }
        let left = command.args_iter().count() - 1;
        if left > 0 {
            let answer = Answer::Confirmations(Confirmations { kind, begins, request, left });
            self.say(&command.get_packed_command(), answer)?;
        }
        Ok(())
    }

    fn say(&mut self, packed: &[u8], answer: Answer) -> Result<(), End> {
        let since = Instant::now();
        self.connection.say(packed, since + self.patience)?;
        self.awaited.push_back(Awaited { answer, since });
        Ok(())
    }

    /// Waits for the next thing to happen.
    pub(super) fn look(&mut self, limit: &mut Limit) -> Result<News, End> {
        if self.standing.is_none() && !self.owes_confirmations() {
            self.standing = Some(Instant::now());
            return Ok(News::Standing(std::mem::take(&mut self.early)));
        }
        let value = match self.connection.next_read()? {
            Some(value) => value,
            None if !limit.permits_read() => return Ok(News::Nothing),
            None => {
                let due = match self.awaited.front() {
                    Some(awaited) => self.heard_at.max(awaited.since) + self.patience,
                    None => self.heard_at + SILENCE,
                };
                let until = limit.deadline().map_or(due, |until| until.min(due));
                match self.connection.hear(until)? {
                    Arrival::Value(value) => value,
                    Arrival::Part => {
                        self.heard_at = Instant::now();
                        return Ok(News::Progress);
                    }
                    Arrival::Nothing if Instant::now() < due => return Ok(News::Nothing),
                    Arrival::Nothing if self.awaited.is_empty() => {
                        self.say(PING, Answer::Pong)?;
                        return Ok(News::Progress);
                    }
                    Arrival::Nothing => return Err(self.silent()),
                }
            }
        };
        self.heard_at = Instant::now();
        match Heard::of(value, self.generation.number()) {
            Heard::Message(message) if self.standing.is_some() => {
                return Ok(News::Message(message));
            }
            Heard::Message(message) => self.early.push(message),
            Heard::Confirmed { kind, begins } => {
                if let Some(request) = self.confirmed(kind, begins) {
                    return Ok(News::Confirmed(request));
                }
            }
            Heard::Pong if self.owes_a_pong() => drop(self.awaited.pop_front()),
            // A user who may not PING gets an answer all the same.
            Heard::Refused(_) if self.owes_a_pong() => drop(self.awaited.pop_front()),
            Heard::Refused(error) => {
                let Some(Awaited { answer: Answer::Confirmations(refused), .. }) =
                    self.awaited.pop_front()
                else {
                    return Err(self.connection.misheard().into());
                };
                let error = self.refused(refused.kind.command(refused.begins), &error);
                return match refused.request {
                    Some(request) => Ok(News::Refused(request, error)),
                    None => Err(End { reason: GapReason::Disconnected, error }),
                };
            }
            Heard::Other => {}
            Heard::Pong | Heard::Strange => return Err(self.connection.misheard().into()),
        }
        Ok(News::Progress)
    }

    fn owes_a_pong(&self) -> bool {
        matches!(self.awaited.front(), Some(Awaited { answer: Answer::Pong, .. }))
    }

    /// One name is confirmed; returns the request of which it was the last. A server may also end
    /// subscriptions of its own accord.
    fn confirmed(&mut self, kind: Kind, begins: bool) -> Option<Request> {
        let Awaited { answer: Answer::Confirmations(awaited), .. } = self.awaited.front_mut()?
        else {
            return None;
        };
        if (awaited.kind, awaited.begins) != (kind, begins) {
            return None;
        }
        awaited.left -= 1;
        if awaited.left > 0 {
            return None;
        }
        let request = awaited.request;
        self.awaited.pop_front();
        request
    }

    fn silent(&self) -> End {
        let address = self.connection.address();
        let silence = self.heard_at.elapsed();
        let error = Error::with(
            ErrorKind::CommandTimeout,
            Outcome::Unknown,
            format!("{address}: the server has said nothing for {silence:.1?} and owes an answer"),
            None,
        );
        End { reason: GapReason::Silent, error }
    }

    fn refused(&self, command: &str, error: &ServerError) -> Error {
        let address = self.connection.address();
        let (kind, next) = match error.code() {
            "NOPERM" => (
                ErrorKind::Permission,
                "; allow the user the command and the channels (ACL SETUSER)",
            ),
            "NOAUTH" | "WRONGPASS" => (ErrorKind::Authentication, ""),
            _ => (ErrorKind::Disconnected, ""),
        };
        let words = format!("{} {}", error.code(), error.details().unwrap_or_default());
        Error::with(
            kind,
            Outcome::Replied,
            format!("{address} refused {command}: {}{next}", words.trim()),
            None,
        )
    }
}
