//! Commands and replies that pass through as a stream, in pieces of any size, for a client that has a
//! codec and a buffer of its own and wants nothing but a socket.
//!
//! The bytes are looked at on their way, in both directions, and kept by nobody: how many replies are
//! owed, how long the server may take, what the connection holds. So the gate, the fence, the deadlines
//! and the truth about outcomes are those of every command, and a connection on which all is answered
//! goes back to the pool as clean as any.

mod commands;
mod readiness;

use std::{collections::VecDeque, io, mem, time::Instant};

pub use self::readiness::Readiness;

use self::commands::Commands;
use super::{
    Blocking, Connection, Effect, Skim, Skimmed, State,
    command::{Answer, Subscription},
    link::Fault,
    replies::Distress,
    stream::{Interest, Peek},
    wire::ProtocolError,
};
use crate::{
    config::Protocol,
    error::{Error, ErrorKind, Outcome},
};

/// A blocking command of more bytes than this is not kept, to be sent again.
const AGAIN: usize = 4 << 10;

/// So much memory for replies that come early is kept.
const EARLY: usize = 16 << 10;

/// So much is read at once where the caller has less room, and more than that is to come: an eighth of
/// the system calls of a client with a buffer of 8 KiB.
const AHEAD: usize = 64 << 10;

/// The streams of one connection.
pub(super) struct Flow {
    out: Commands,
    back: Skim,
    due: Due,
    /// A transaction is open after everything that was sent, if the server accepts it.
    in_multi: bool,
    /// When what is under way began, and until when it may take.
    started: Instant,
    deadline: Option<Instant>,
    /// Whether the socket's own timeout is the deadline.
    quick: bool,
    /// A fence was met while something was sent.
    overlapped: bool,
    quits: bool,
    /// Bytes that came while others were on their way out, and how many of them were handed on.
    early: Vec<u8>,
    handed_on: usize,
    /// The one blocking command that is under way, while the server may be asked to end it.
    again: Option<Vec<u8>>,
}

/// The replies that the server has still to send.
#[derive(Default)]
struct Due {
    /// Replies.
    replies: usize,
    /// Those of them that change the state of the connection, in their order, and the number of
    /// replies behind the last of those.
    awaited: VecDeque<Awaited>,
    after: usize,
    /// Pushes that answer subscriptions, in RESP3.
    confirmations: usize,
}

/// A reply that changes the state of the connection, and the number of replies before it that do not,
/// back to the last one that does.
struct Awaited {
    before: usize,
    effect: Effect,
    /// Its command is answered by pushes, and by a reply only if it is refused or queued.
    pushes: bool,
}

/// Commands go out in such pieces, whatever they are.
#[cfg(fuzzing)]
pub(crate) fn commands_pass(bytes: &[u8], piece: usize) {
    let mut commands = Commands::default();
    for piece in bytes.chunks(piece) {
        if commands.pass(piece, false, |_| {}).is_err() {
            return;
        }
    }
}

impl Due {
    /// Commands were sent: `replies` are to come for them, and `effects` lists those that change the
    /// state, by the number of the reply. In RESP3 (`pushes`) a subscription has none.
    fn expect(&mut self, replies: usize, effects: Vec<(usize, Effect)>, pushes: bool) {
        self.replies += replies;
        let mut counted = 0;
        for (at, effect) in effects {
            let before = mem::take(&mut self.after) + (at - counted);
            let pushes = pushes && matches!(effect, Effect::Subscription(_));
            self.awaited.push_back(Awaited { before, effect, pushes });
            counted = at + usize::from(!pushes);
        }
        self.after += replies - counted;
    }

    /// Takes over the effect of a reply or a push on the state. Returns false when no command asked for it.
    fn answered(&mut self, reply: Skimmed<'_>, state: &mut State) -> bool {
        let is_push = reply.first == b'>';
        let turn = self.awaited.front().is_some_and(|next| next.before == 0);
        match self.awaited.front_mut() {
            None if is_push => {}
            None => self.after = self.after.saturating_sub(1),
            Some(next) if turn && next.pushes => {
                let (effect, answer) = (next.effect, reply.answer());
                let instead = matches!(answer, Answer::Queued | Answer::Refused | Answer::Aborted);
                if is_push || instead {
                    self.awaited.pop_front();
                    self.subscribes(effect, answer, state);
                }
                if instead && let Effect::Subscription(subscription) = effect {
                    let missing = subscription.named.max(1);
                    self.confirmations = self.confirmations.saturating_sub(missing);
                    return true;
                }
                if !is_push && !instead {
                    // Of a later command: the confirmations were taken for messages.
                    self.awaited.pop_front();
                    return self.answered(reply, state);
                }
            }
            Some(_) if is_push => {}
            Some(next) if !turn => next.before -= 1,
            Some(next) => {
                let (effect, answer) = (next.effect, reply.answer());
                self.awaited.pop_front();
                match effect {
                    Effect::Subscription(_) => self.subscribes(effect, answer, state),
                    effect => state.answered(effect, answer),
                }
            }
        }
        if is_push {
            // A confirmation, or a message.
            self.confirmations = self.confirmations.saturating_sub(1);
            return true;
        }
        let Some(left) = self.replies.checked_sub(1) else {
            // In RESP2 a message, or one more confirmation.
            return state.listens();
        };
        self.replies = left;
        true
    }

    /// A subscription command was answered. Its messages pass by unread, so which subscriptions there
    /// are is not known from then on, and the connection is never used again by another.
    fn subscribes(&mut self, effect: Effect, answer: Answer, state: &mut State) {
        let Effect::Subscription(Subscription { begins, named, .. }) = effect else { return };
        match answer {
            Answer::Accepted | Answer::Nil => {
                state.other |= begins || state.subscribed;
                state.subscribed |= begins;
                // The other confirmations, where they are replies.
                if state.protocol == Protocol::Resp2 {
                    let others = named.saturating_sub(1);
                    self.replies += others;
                    match self.awaited.front_mut() {
                        Some(next) => next.before += others,
                        None => self.after += others,
                    }
                }
            }
            answer => state.answered(effect, answer),
        }
    }
}

impl Flow {
    /// True when a command whose answer is still to come changes the state of the connection.
    pub(super) fn may_change_state(&self) -> bool {
        !self.due.awaited.is_empty()
    }

    /// Hands on what came early.
    fn hand_on(&mut self, into: &mut [u8]) -> usize {
        let early = &self.early[self.handed_on..];
        let taken = early.len().min(into.len());
        into[..taken].copy_from_slice(&early[..taken]);
        self.handed_on += taken;
        if self.handed_on == self.early.len() {
            self.early.clear();
            self.handed_on = 0;
        }
        taken
    }

    fn is_at_rest(&self) -> bool {
        self.due.replies == 0
            && self.due.confirmations == 0
            && self.out.is_at_start()
            && self.back.is_at_start()
            && self.early.is_empty()
    }
}

impl Connection {
    /// Whether no bytes of a stream are under way.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.flow.as_ref().is_none_or(|flow| flow.is_at_rest())
    }

    /// The blocking command that waits in the server and has done nothing if it is called back.
    pub(crate) fn recallable(&self) -> Option<&[u8]> {
        self.flow.as_ref()?.again.as_deref()
    }

    /// Sends a part of a stream of commands, whole; see [`Connection::request`] for what it waits for.
    /// What comes meanwhile is for [`Connection::receive`].
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let rests = self.is_at_rest();
        if rests && (self.gate.is_retired() || !self.clean) {
            return Err(self.unusable());
        }
        if !rests && (self.gate.is_retired() || self.is_shut()) {
            return Err(self.broken(Fault::Closed, Outcome::Unknown, Instant::now()));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let limits = self.limits;
        let mut flow = self.flow.take().unwrap_or_else(|| {
            Box::new(Flow {
                out: Commands::default(),
                back: Skim::new(limits),
                due: Due::default(),
                in_multi: false,
                started,
                deadline: None,
                quick: true,
                overlapped: false,
                quits: false,
                early: Vec::new(),
                handed_on: 0,
                again: None,
            })
        });
        let sent = self.send_in(&mut flow, bytes, rests, started);
        self.flow = Some(flow);
        sent
    }

    /// Whether something is to come that has a deadline: messages have none.
    fn awaits(&self, flow: &Flow) -> bool {
        flow.due.replies > 0 || flow.due.confirmations > 0 || !self.state.listens()
    }

    fn is_shut(&self) -> bool {
        self.link.stream.socket().is_shut()
    }

    fn send_in(
        &mut self,
        flow: &mut Flow,
        bytes: &[u8],
        rests: bool,
        started: Instant,
    ) -> Result<(), Error> {
        let not_sent = if rests { Outcome::NotSent } else { Outcome::Unknown };
        if rests {
            let subscribing =
                self.state.protocol == Protocol::Resp2 && self.state.may_get_messages();
            let deadline = started.checked_add(self.command_timeout);
            let heard = self.link.clear(subscribing);
            if let Err(fault) = heard.and_then(|()| self.link.hear_out(subscribing, deadline)) {
                return Err(self.broken(fault, Outcome::NotSent, started));
            }
            flow.started = started;
            flow.deadline = deadline;
            flow.quick = true;
            flow.overlapped = false;
            flow.quits = false;
            flow.due.awaited.clear();
            flow.due.after = 0;
            flow.in_multi = self.state.in_multi();
        } else {
            // Other commands come behind it, so it can no longer begin anew, and is not called back.
            self.admission.unblocks();
        }
        if !rests && let Some(deadline) = &mut flow.deadline {
            // What comes in many parts gets the time for each.
            *deadline =
                (*deadline).max(started.checked_add(self.command_timeout).unwrap_or(*deadline));
        }

        let pushes = self.state.protocol == Protocol::Resp3;
        let (mut seen, mut replies, mut confirmations) = (0, 0, 0);
        let (mut blocking, mut recallable, mut refused) = (None, false, None);
        let (mut in_multi, mut effects, mut quits) = (flow.in_multi, Vec::new(), false);
        let passed = flow.out.pass(bytes, in_multi, |facts| {
            in_multi = facts.in_multi;
            effects.extend(facts.effects.iter().map(|(index, effect)| (replies + index, *effect)));
            seen += facts.commands;
            match facts.subscription {
                Some(subscription) if pushes => {
                    // It is the last of these.
                    replies += facts.commands - 1;
                    confirmations += subscription.named.max(1);
                }
                _ => replies += facts.commands,
            }
            blocking = match (blocking, facts.blocking) {
                (Some(one), Some(two)) => Some(Blocking::and(one, two)),
                (one, two) => one.or(two),
            };
            recallable |= facts.recallable;
            refused = refused.or(facts.unfollowable);
            quits |= facts.quits;
        });
        if passed.is_err() || refused.is_some() {
            let cause = match refused {
                Some(name) => {
                    format!("{name} was not sent: its replies cannot be told from others")
                }
                None => "what was to be sent is no command".to_owned(),
            };
            if rests {
                // Nothing of it was sent, and the connection is as good as before.
                flow.out = Commands::default();
                let message = format!("{}: {cause}; use another connection for it", self.address);
                return Err(Error::new(ErrorKind::InvalidConfig, message));
            }
            self.end();
            let message = format!(
                "{}: {cause}, and the connection was closed in the midst of others, which may have run",
                self.address
            );
            return Err(Error::with(ErrorKind::InvalidConfig, Outcome::Unknown, message, None));
        }

        let whole = rests && seen == 1 && flow.out.is_at_start();
        let recallable = recallable && whole && !self.state.holds_state() && bytes.len() <= AGAIN;
        match blocking {
            Some(Blocking::Forever) => flow.deadline = None,
            Some(Blocking::For(own)) => {
                flow.deadline = flow.deadline.and_then(|deadline| deadline.checked_add(own));
            }
            None => {}
        }
        flow.quick &= blocking.is_none() && rests;
        let blocks = if recallable { self.greeting.client_id.unwrap_or(0) } else { 0 };
        match self.admission.enter(blocks, flow.deadline) {
            Err(refusal) if rests => {
                // Nothing of it was sent, and the commands begin anew with the next call.
                flow.out = Commands::default();
                return Err(self.refused(refusal, started));
            }
            Err(refusal) => {
                let refused = self.refused(refusal, started);
                self.end();
                return Err(Error::with(
                    refused.kind(),
                    Outcome::Unknown,
                    format!("{refused}; what was sent before it may have run"),
                    None,
                ));
            }
            Ok(waited) => {
                flow.quick &= !waited;
                if waited && self.link.stream.peek() == Peek::Over {
                    self.admission.unblocks();
                    return Err(self.broken(Fault::Closed, not_sent, started));
                }
            }
        }

        self.clean = false;
        self.admission.begins(seen as u64);
        let mut sent = 0;
        if let Err(fault) = self.pour(flow, bytes, &mut sent) {
            self.admission.unblocks();
            let outcome = if sent == 0 { not_sent } else { Outcome::Unknown };
            return Err(self.broken(fault, outcome, started));
        }
        flow.overlapped |= !self.gate.is_still_open();
        flow.in_multi = in_multi;
        flow.due.confirmations += confirmations;
        flow.due.expect(replies, effects, pushes);
        flow.quits |= quits;
        flow.again = recallable.then(|| bytes.to_vec());
        Ok(())
    }

    /// Sends everything, and takes in what comes meanwhile.
    fn pour(&mut self, flow: &mut Flow, bytes: &[u8], sent: &mut usize) -> Result<(), Fault> {
        while *sent < bytes.len() {
            match self.link.stream.send_now(&bytes[*sent..]) {
                Ok(accepted) => *sent += accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    flow.quick = false;
                    self.link.stream.wait(Interest::Both, flow.deadline)?;
                    match self.link.stream.recv_now(&mut flow.early) {
                        Ok(0) => return Err(Fault::Closed),
                        Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                            return Err(error.into());
                        }
                        _ => {}
                    }
                    if flow.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Err(Fault::Late);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Receives a part of the stream of replies: at least a byte, at most as many as `into` has.
    ///
    /// It waits for as long as what is under way may take; on a connection with subscriptions, and
    /// nothing under way, without end.
    pub(crate) fn receive(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        if into.is_empty() {
            return Ok(0);
        }
        let Some(mut flow) = self.flow.take() else { return Err(self.nothing_to_receive()) };
        let received = self.receive_in(&mut flow, into);
        self.flow = Some(flow);
        received
    }

    fn receive_in(&mut self, flow: &mut Flow, into: &mut [u8]) -> Result<usize, Error> {
        // What took too long took it from then on.
        let started = flow.started;
        if flow.is_at_rest() && !self.state.listens() {
            return Err(self.nothing_to_receive());
        }
        while flow.again.is_some() {
            self.hear_first(flow, started)?;
        }
        let deadline = flow.deadline.filter(|_| self.awaits(flow));
        let received = match self.take_in(flow, into, deadline) {
            Ok(received) => received,
            Err(fault) => return Err(self.broken(fault, Outcome::Unknown, started)),
        };
        if flow.overlapped || self.gate.is_overdue() {
            self.await_outcome(deadline, flow.started, Instant::now())?;
        }
        let (told, state) = (&mut self.told, &mut self.state);
        let mut unasked = false;
        let Flow { back, due, .. } = &mut *flow;
        let passed = back.pass(&into[..received], |reply| {
            if let Some(found) = reply.error.and_then(Distress::in_error) {
                told.note(found);
            }
            // Nearly all: no reply changes the state, and one was expected.
            if due.awaited.is_empty() && due.replies > 0 && reply.first != b'>' {
                due.replies -= 1;
                due.after = due.after.saturating_sub(1);
            } else {
                unasked |= !due.answered(reply, state);
            }
        });
        if let Err(fault) = passed {
            return Err(self.broken(fault.into(), Outcome::Unknown, started));
        }
        if unasked {
            let fault = ProtocolError::unasked().into();
            return Err(self.broken(fault, Outcome::Unknown, started));
        }
        if flow.is_at_rest() {
            self.rest(flow);
        }
        Ok(received)
    }

    /// Waits for the beginning of the reply to a blocking command, before any of it is handed on. When
    /// the server says that it called the command back, that waits behind the fence like any, and
    /// begins anew.
    fn hear_first(&mut self, flow: &mut Flow, started: Instant) -> Result<(), Error> {
        let deadline = flow.deadline;
        while flow.early.is_empty()
            || (flow.early.starts_with(b"-") && !flow.early.ends_with(b"\n"))
        {
            let received = match flow.early.is_empty() && mem::take(&mut flow.quick) {
                true => self.link.stream.recv(&mut flow.early),
                false => self.link.stream.recv_until(&mut flow.early, deadline),
            };
            let fault = match received {
                Ok(0) => Fault::Closed,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => error.into(),
                _ if deadline.is_some_and(|deadline| Instant::now() >= deadline) => Fault::Late,
                // No server words it so; what is wrong with it is found when it is looked at.
                _ if flow.early.len() > self.limits.max_line => break,
                _ => continue,
            };
            return Err(self.broken(fault, Outcome::Unknown, started));
        }
        let Some(again) = flow.again.take() else { return Ok(()) };
        let said = flow.early.strip_prefix(b"-").unwrap_or_default();
        if !self.admission.is_called_back() || !super::replies::is_call_back(said) {
            self.admission.unblocks();
            return Ok(());
        }
        flow.early.clear();
        flow.due = Due::default();
        self.admission.gives_up();
        self.rest(flow);
        self.send_in(flow, &again, true, Instant::now())
    }

    fn take_in(
        &mut self,
        flow: &mut Flow,
        into: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<usize, Fault> {
        if flow.handed_on < flow.early.len() {
            return Ok(flow.hand_on(into));
        }
        if into.len() < AHEAD && (flow.due.replies > 1 || flow.back.to_come() > into.len()) {
            self.read_ahead(flow, deadline)?;
            return Ok(flow.hand_on(into));
        }
        // One wait by the socket's own timeout saves a poll; see `converse`.
        if mem::take(&mut flow.quick) {
            match self.link.stream.recv_slice(into, true) {
                Ok(0) => return Err(Fault::Closed),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Fault::Late),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => return Ok(received?),
            }
        }
        loop {
            match self.link.stream.recv_slice(into, false) {
                Ok(0) => return Err(Fault::Closed),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Ok(received?),
            }
            self.link.stream.wait(Interest::Read, deadline)?;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Fault::Late);
            }
        }
    }

    /// Receives into the memory for what comes early.
    fn read_ahead(&mut self, flow: &mut Flow, deadline: Option<Instant>) -> Result<(), Fault> {
        flow.early.reserve(AHEAD);
        loop {
            let received = match mem::take(&mut flow.quick) {
                true => self.link.stream.recv(&mut flow.early),
                false => self.link.stream.recv_until(&mut flow.early, deadline),
            };
            return match received {
                Ok(0) => Err(Fault::Closed),
                Ok(_) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Fault::Late),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Err(Fault::Late);
                    }
                    continue;
                }
                Err(error) => Err(error.into()),
            };
        }
    }

    /// Everything that went out is answered.
    fn rest(&mut self, flow: &mut Flow) {
        self.admission.unblocks();
        self.admission.ends();
        // What a long reply took is not kept by a connection that is idle.
        if flow.early.capacity() > EARLY {
            flow.early = Vec::new();
        }
        // The ends of subscriptions are not looked into.
        self.state.other |= self.state.subscribed;
        self.clean = true;
        if flow.quits {
            self.end();
        }
    }

    /// Ends the connection.
    fn end(&mut self) {
        self.clean = false;
        self.admission.gives_up();
        self.link.stream.socket().shutdown();
    }

    #[cold]
    fn nothing_to_receive(&self) -> Error {
        if self.gate.is_retired() || self.is_shut() {
            return self.unusable();
        }
        Error::new(
            ErrorKind::InvalidConfig,
            format!("{}: no reply is to come; send a command first", self.address),
        )
    }
}
