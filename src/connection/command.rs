//! What packed commands are about to do, learnt from their bytes: how many they are, how long they
//! may block, and what they leave behind in the connection.
//!
//! The bytes are hopped over once, argument by argument, and copied nowhere. What cannot be read is no
//! command, and is not sent.

use std::{str, time::Duration};

use crate::config::Protocol;

/// How long commands may wait in the server before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocking {
    /// Until something happens: a timeout of 0.
    Forever,
    /// At most so long, all of them together.
    For(Duration),
}

impl Blocking {
    pub(crate) fn and(self, other: Blocking) -> Blocking {
        match (self, other) {
            (Blocking::For(one), Blocking::For(two)) => {
                one.checked_add(two).map_or(Blocking::Forever, Blocking::For)
            }
            _ => Blocking::Forever,
        }
    }
}

/// A command that changes the state of its connection once the server has accepted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
    /// The database; none when the argument is no number.
    Select(Option<i64>),
    Subscription(Subscription),
    Monitor,
    Reset,
    /// `HELLO` with arguments, and the protocol that it asks for.
    Hello(Option<Protocol>),
    Auth,
    /// Any other setting of the connection: a name, tracking, …
    Setting,
}

/// The server's answer to a command, as far as it decides about an [`Effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    /// The command waits for EXEC: neither a success nor a failure.
    Queued,
    /// EXEC ran nothing, because a watched key had changed.
    Nil,
    Refused,
    /// `-EXECABORT`: the transaction is discarded, and nothing is watched any more.
    Aborted,
}

/// The state of a connection that would be lost with it. A connection without any can be replaced by
/// another without the user noticing.
///
/// It changes with the server's answers, never with what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    home: i64,
    database: i64,
    /// The protocol that is spoken now.
    pub(super) protocol: Protocol,
    multi: bool,
    watching: bool,
    /// There are subscriptions.
    pub(super) subscribed: bool,
    /// `MONITOR` was accepted.
    monitoring: bool,
    /// Any other change, and for good: another user, a name, tracking, a reset …
    pub(super) other: bool,
    queued: Queued,
}

/// The effects that EXEC will bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Queued {
    subscription: bool,
    monitor: bool,
    other: bool,
    protocol: Option<Protocol>,
}

impl State {
    /// The state of a connection that has just selected its database.
    pub(crate) fn new(home: i64, protocol: Protocol) -> State {
        State {
            home,
            database: home,
            protocol,
            multi: false,
            watching: false,
            subscribed: false,
            monitoring: false,
            other: false,
            queued: Queued::default(),
        }
    }

    /// True when another connection could not stand in for this one.
    #[inline]
    pub(crate) fn holds_state(&self) -> bool {
        self.multi
            || self.watching
            || self.subscribed
            || self.monitoring
            || self.other
            || self.database != self.home
    }

    /// The kind of state that it holds, for a message; none when it holds none.
    pub(crate) fn held(&self) -> Option<&'static str> {
        if self.multi {
            Some("an open MULTI")
        } else if self.watching {
            Some("watched keys")
        } else if self.subscribed {
            Some("subscriptions")
        } else if self.monitoring {
            Some("a MONITOR")
        } else if self.database != self.home {
            Some("another database")
        } else if self.other {
            Some("changed connection settings")
        } else {
            None
        }
    }

    /// The database that is selected.
    pub(crate) fn database(&self) -> i64 {
        self.database
    }

    /// Between MULTI and EXEC or DISCARD.
    pub(crate) fn in_multi(&self) -> bool {
        self.multi
    }

    /// Returns true after `MONITOR`: its reports look like replies.
    #[inline]
    pub(crate) fn is_monitoring(&self) -> bool {
        self.monitoring
    }

    /// True when the server sends messages without being asked for each.
    pub(super) fn listens(&self) -> bool {
        self.subscribed || self.monitoring
    }

    /// True when the next replies may be confirmations of subscriptions, or messages.
    #[inline]
    pub(super) fn may_get_messages(&self) -> bool {
        self.subscribed || self.queued.subscription
    }

    /// True when EXEC will begin or end subscriptions.
    pub(super) fn queues_subscription(&self) -> bool {
        self.queued.subscription
    }

    /// Takes over the effect of a command that was answered.
    #[cold]
    pub(crate) fn answered(&mut self, effect: Effect, answer: Answer) {
        match answer {
            Answer::Queued => self.queue(effect),
            Answer::Aborted => self.end_transaction(),
            Answer::Nil if effect == Effect::Exec => self.end_transaction(),
            // Servers before Redis 6 forget the user when AUTH fails, and before Redis 7 HELLO takes
            // over the user before it finds a mistake in its other arguments.
            Answer::Refused => self.other |= matches!(effect, Effect::Auth | Effect::Hello(_)),
            Answer::Accepted | Answer::Nil => self.accepted(effect),
        }
    }

    fn queue(&mut self, effect: Effect) {
        // A server that queues has a transaction open, even when the state says otherwise.
        self.multi = true;
        match effect {
            // EXEC and DISCARD are never queued, and EXEC ends every watch.
            Effect::Multi | Effect::Exec | Effect::Discard | Effect::Watch | Effect::Unwatch => {}
            Effect::Subscription(_) => self.queued.subscription = true,
            Effect::Monitor => self.queued.monitor = true,
            Effect::Hello(protocol) => {
                self.queued.other = true;
                self.queued.protocol = protocol.or(self.queued.protocol);
            }
            Effect::Select(_) | Effect::Reset | Effect::Auth | Effect::Setting => {
                self.queued.other = true;
            }
        }
    }

    fn accepted(&mut self, effect: Effect) {
        match effect {
            Effect::Multi => {
                self.multi = true;
                self.queued = Queued::default();
            }
            Effect::Exec => {
                let queued = self.queued;
                self.end_transaction();
                self.subscribed |= queued.subscription;
                self.monitoring |= queued.monitor;
                // Which of them succeeded, of those that were queued, is not looked into.
                self.other |= queued.other || queued.subscription;
                self.protocol = queued.protocol.unwrap_or(self.protocol);
            }
            Effect::Discard => self.end_transaction(),
            Effect::Watch => self.watching = true,
            Effect::Unwatch => self.watching = false,
            Effect::Select(Some(database)) => self.database = database,
            // What is subscribed to is counted from the confirmations.
            Effect::Subscription(_) => {}
            Effect::Monitor => self.monitoring = true,
            Effect::Reset => {
                *self =
                    State { database: 0, other: true, ..State::new(self.home, Protocol::Resp2) };
            }
            Effect::Hello(protocol) => {
                self.other = true;
                self.protocol = protocol.unwrap_or(self.protocol);
            }
            Effect::Select(None) | Effect::Auth | Effect::Setting => self.other = true,
        }
    }

    fn end_transaction(&mut self) {
        self.multi = false;
        self.watching = false;
        self.queued = Queued::default();
    }
}

/// A subscription command, which is answered once for each of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) kind: Channels,
    pub(crate) begins: bool,
    /// How many channels it names. An ending that names none is for all of them.
    pub(crate) named: usize,
}

/// The three kinds of subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    Plain,
    Pattern,
    Shard,
}

/// What packed commands are about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// How many commands there are.
    pub(crate) commands: usize,
    /// How long they may block; none when they do not.
    pub(crate) blocking: Option<Blocking>,
    /// The server may be asked to end the one that blocks, and then it has done nothing. Not so
    /// WAIT, whose answer is about the connection that it waited on.
    pub(crate) recallable: bool,
    /// The commands that change the state of the connection when the server accepts them, each with its
    /// index. Empty for nearly all commands, and then it takes no memory.
    pub(crate) effects: Vec<(usize, Effect)>,
    /// A transaction is open after them if the server accepts each.
    pub(crate) in_multi: bool,
    /// One of them subscribes or unsubscribes: the last that does.
    pub(crate) subscription: Option<Subscription>,
    /// One of them ends the connection.
    pub(crate) quits: bool,
    /// There are bytes that are no command.
    pub(crate) malformed: bool,
    /// One of them is MONITOR.
    pub(crate) monitors: bool,
    /// One of them would leave replies that cannot be told apart, and what it is called.
    pub(crate) unfollowable: Option<&'static str>,
}

impl Facts {
    /// Reads packed commands. `in_multi` is true when they are to be sent inside a transaction.
    pub(crate) fn of(packed: &[u8], in_multi: bool) -> Facts {
        let mut facts = Facts::none(in_multi);
        let mut rest = packed;
        while !rest.is_empty() {
            match facts.command(rest).and_then(Args::skip) {
                Some(after) => rest = after,
                None => {
                    facts.malformed = true;
                    break;
                }
            }
        }
        facts
    }

    /// As [`Facts::of`], of the whole commands at the front, and how long they are: up to one of which a
    /// part is missing or which is none, and to one that subscribes, for that is answered in another way.
    pub(crate) fn of_front(packed: &[u8], in_multi: bool) -> (Facts, usize) {
        let mut facts = Facts::none(in_multi);
        let mut rest = packed;
        while facts.subscription.is_none() && !rest.is_empty() {
            let Some((args, name)) = Args::of(rest) else { break };
            let Some(after) = args.clone().skip() else { break };
            facts.commands += 1;
            facts.effect(name, args);
            rest = after;
        }
        (facts, packed.len() - rest.len())
    }

    /// As [`Facts::of`], of a single command that is known to be whole, because it was encoded for
    /// this call: its arguments are not looked at unless its name says that they matter. An MGET of 1000
    /// keys is 5 µs faster by that and by being encoded in one pass.
    #[inline]
    pub(crate) fn of_one(packed: &[u8], in_multi: bool) -> Facts {
        let mut facts = Facts::none(in_multi);
        facts.malformed = facts.command(packed).is_none();
        facts
    }

    #[inline]
    fn none(in_multi: bool) -> Facts {
        Facts {
            commands: 0,
            blocking: None,
            recallable: false,
            effects: Vec::new(),
            in_multi,
            subscription: None,
            quits: false,
            malformed: false,
            monitors: false,
            unfollowable: None,
        }
    }

    /// True when each reply can be told from the others, and there will be so many.
    #[inline]
    pub(crate) fn are_followable(&self, replies: usize) -> bool {
        self.unfollowable.is_none()
            && !self.malformed
            && !self.monitors
            && self.commands == replies
            && (self.subscription.is_none() || replies <= 1)
    }

    /// Takes the name of one command from the front, and what it does; none when it is malformed.
    #[inline]
    fn command<'p>(&mut self, packed: &'p [u8]) -> Option<Args<'p>> {
        let (args, name) = Args::of(packed)?;
        self.commands += 1;
        self.effect(name, args.clone());
        Some(args)
    }

    #[inline]
    fn effect(&mut self, name: &[u8], args: Args<'_>) {
        // GET, SET, DEL, TTL: none of so few letters is among those that matter, nor any longer one.
        if let 4..=12 = name.len() {
            self.effect_of_long(name, args);
        }
    }

    fn effect_of_long(&mut self, name: &[u8], mut args: Args<'_>) {
        let mut upper = [0; 12];
        let Some(upper) = upper.get_mut(..name.len()) else { return };
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        match &*upper {
            b"MULTI" => {
                self.in_multi = true;
                self.changes(Effect::Multi);
            }
            b"EXEC" => {
                self.in_multi = false;
                self.changes(Effect::Exec);
            }
            b"DISCARD" => {
                self.in_multi = false;
                self.changes(Effect::Discard);
            }
            b"WATCH" => self.changes(Effect::Watch),
            b"UNWATCH" => self.changes(Effect::Unwatch),
            b"SELECT" => self.changes(Effect::Select(args.next().and_then(number))),
            b"SUBSCRIBE" => self.subscribe(Channels::Plain, true, &args),
            b"PSUBSCRIBE" => self.subscribe(Channels::Pattern, true, &args),
            b"SSUBSCRIBE" => self.subscribe(Channels::Shard, true, &args),
            b"UNSUBSCRIBE" => self.subscribe(Channels::Plain, false, &args),
            b"PUNSUBSCRIBE" => self.subscribe(Channels::Pattern, false, &args),
            b"SUNSUBSCRIBE" => self.subscribe(Channels::Shard, false, &args),
            b"QUIT" => self.quits = true,
            b"RESET" => {
                self.in_multi = false;
                self.changes(Effect::Reset);
            }
            b"AUTH" => self.changes(Effect::Auth),
            b"READONLY" | b"READWRITE" | b"ASKING" | b"REPLCONF" => self.changes(Effect::Setting),
            // Without an argument it changes nothing.
            b"HELLO" => {
                if let Some(version) = args.next() {
                    self.changes(Effect::Hello(match number(version) {
                        Some(2) => Some(Protocol::Resp2),
                        Some(3) => Some(Protocol::Resp3),
                        _ => None,
                    }));
                }
            }
            b"SCRIPT" if args.next_is(b"DEBUG") => self.changes(Effect::Setting),
            b"CLIENT" => self.client(args),
            b"MONITOR" => {
                self.monitors = true;
                self.changes(Effect::Monitor);
            }
            b"SYNC" => self.unfollowable = Some("SYNC"),
            b"PSYNC" => self.unfollowable = Some("PSYNC"),
            b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BZPOPMIN" | b"BZPOPMAX" => {
                self.waits(args.last().and_then(seconds));
            }
            b"BLMPOP" | b"BZMPOP" => self.waits(args.next().and_then(seconds)),
            b"WAIT" => self.blocks(args.nth(1).and_then(milliseconds)),
            b"WAITAOF" => self.blocks(args.nth(2).and_then(milliseconds)),
            b"XREAD" | b"XREADGROUP" => self.waits(block_option(args)),
            _ => {}
        }
    }

    /// The command that was counted last changes the state.
    fn changes(&mut self, effect: Effect) {
        self.effects.push((self.commands - 1, effect));
    }

    fn subscribe(&mut self, kind: Channels, begins: bool, args: &Args<'_>) {
        let subscription = Subscription { kind, begins, named: args.left };
        self.subscription = Some(subscription);
        self.changes(Effect::Subscription(subscription));
    }

    fn client(&mut self, mut args: Args<'_>) {
        let Some(sub) = args.next() else { return };
        const HARMLESS: [&[u8]; 12] = [
            b"ID",
            b"INFO",
            b"LIST",
            b"KILL",
            b"GETNAME",
            b"GETREDIR",
            b"TRACKINGINFO",
            b"PAUSE",
            b"UNPAUSE",
            b"UNBLOCK",
            b"SETINFO",
            b"HELP",
        ];
        if HARMLESS.iter().any(|word| sub.eq_ignore_ascii_case(word)) {
            return;
        }
        if sub.eq_ignore_ascii_case(b"REPLY") && !args.next_is(b"ON") {
            self.unfollowable = Some("CLIENT REPLY");
        }
        // SETNAME, TRACKING, CACHING, NO-EVICT, NO-TOUCH, CAPA, and those of later servers.
        self.changes(Effect::Setting);
    }

    /// For something to come.
    fn waits(&mut self, blocking: Option<Blocking>) {
        // In a transaction it does not wait.
        if !self.in_multi {
            self.recallable |= blocking.is_some();
            self.blocks(blocking);
        }
    }

    fn blocks(&mut self, blocking: Option<Blocking>) {
        self.blocking = match (self.blocking, blocking) {
            (Some(one), Some(two)) => Some(one.and(two)),
            (one, two) => one.or(two),
        };
    }
}

/// The arguments that are left of one command.
#[derive(Clone)]
struct Args<'p> {
    left: usize,
    rest: &'p [u8],
}

impl<'p> Args<'p> {
    /// Those of the command at the front, and its name; none when it is malformed.
    #[inline]
    fn of(packed: &'p [u8]) -> Option<(Args<'p>, &'p [u8])> {
        let (count, rest) = length(b'*', packed)?;
        let (name, rest) = bulk(rest)?;
        Some((Args { left: count.checked_sub(1)?, rest }, name))
    }

    fn next_is(&mut self, word: &[u8]) -> bool {
        self.next().is_some_and(|arg| arg.eq_ignore_ascii_case(word))
    }

    /// What follows the command, when all of its arguments are there.
    fn skip(mut self) -> Option<&'p [u8]> {
        while self.left > 0 {
            self.next()?;
        }
        Some(self.rest)
    }
}

impl<'p> Iterator for Args<'p> {
    type Item = &'p [u8];

    fn next(&mut self) -> Option<&'p [u8]> {
        let left = self.left.checked_sub(1)?;
        let (arg, rest) = bulk(self.rest)?;
        *self = Args { left, rest };
        Some(arg)
    }
}

#[inline]
fn bulk(packed: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = length(b'$', packed)?;
    let (bulk, rest) = rest.split_at_checked(len)?;
    Some((bulk, rest.strip_prefix(b"\r\n")?))
}

#[inline]
fn length(kind: u8, packed: &[u8]) -> Option<(usize, &[u8])> {
    // As nearly all: a pipeline of 1000 commands is looked through in two thirds of the time.
    match packed {
        [first, digit @ b'0'..=b'9', b'\r', b'\n', rest @ ..] if *first == kind => {
            Some((usize::from(digit - b'0'), rest))
        }
        [first, ten @ b'0'..=b'9', digit @ b'0'..=b'9', b'\r', b'\n', rest @ ..]
            if *first == kind =>
        {
            Some((usize::from(ten - b'0') * 10 + usize::from(digit - b'0'), rest))
        }
        _ => any_length(kind, packed),
    }
}

fn any_length(kind: u8, packed: &[u8]) -> Option<(usize, &[u8])> {
    let mut rest = packed.strip_prefix(&[kind])?;
    let mut length = 0usize;
    let digits = rest;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        length = length.checked_mul(10)?.checked_add(usize::from(digit - b'0'))?;
        rest = after;
    }
    if rest.len() == digits.len() {
        return None;
    }
    Some((length, rest.strip_prefix(b"\r\n")?))
}

fn number(arg: &[u8]) -> Option<i64> {
    str::from_utf8(arg).ok()?.parse().ok()
}

/// A timeout that cannot be read blocks nobody: the server refuses it.
fn seconds(arg: &[u8]) -> Option<Blocking> {
    let seconds: f64 = str::from_utf8(arg).ok()?.parse().ok()?;
    if seconds == 0.0 {
        return Some(Blocking::Forever);
    }
    if seconds < 0.0 || seconds.is_nan() {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds).map_or(Blocking::Forever, Blocking::For))
}

fn milliseconds(arg: &[u8]) -> Option<Blocking> {
    match u64::try_from(number(arg)?).ok()? {
        0 => Some(Blocking::Forever),
        milliseconds => Some(Blocking::For(Duration::from_millis(milliseconds))),
    }
}

/// `BLOCK milliseconds` among the options of XREAD, which end at STREAMS. The group and the
/// consumer of XREADGROUP may be called anything, so they are stepped over.
fn block_option(mut args: Args<'_>) -> Option<Blocking> {
    while let Some(arg) = args.next() {
        if arg.eq_ignore_ascii_case(b"BLOCK") {
            return args.next().and_then(milliseconds);
        }
        if arg.eq_ignore_ascii_case(b"STREAMS") {
            return None;
        }
        if arg.eq_ignore_ascii_case(b"GROUP") {
            args.nth(1)?;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut pipeline = redis::pipe();
        for line in text.split(';') {
            let mut words = line.split_whitespace();
            pipeline.cmd(words.next().unwrap());
            for word in words {
                pipeline.arg(word);
            }
        }
        pipeline.get_packed_pipeline()
    }

    fn facts(text: &str) -> Facts {
        let packed = packed(text);
        let facts = Facts::of(&packed, false);
        // A single one that is known to be whole is read no differently.
        if facts.commands == 1 {
            assert_eq!(Facts::of_one(&packed, false), facts, "{text}");
        }
        facts
    }

    #[test]
    fn blocking_commands_tell_how_long() {
        let millis = |millis| Some(Blocking::For(Duration::from_millis(millis)));
        for (text, blocking) in [
            ("GET k", None),
            ("BLPOP a b 0", Some(Blocking::Forever)),
            ("brpop a 1.5", millis(1500)),
            ("BLMOVE a b LEFT RIGHT 2", millis(2000)),
            ("BRPOPLPUSH a b 1", millis(1000)),
            ("BLMPOP 0.25 1 a LEFT", millis(250)),
            ("BZPOPMIN a 0.0", Some(Blocking::Forever)),
            ("BZPOPMAX a 3", millis(3000)),
            ("BZMPOP 1 1 a MIN", millis(1000)),
            ("XREAD COUNT 2 BLOCK 70 STREAMS s $", millis(70)),
            ("XREAD COUNT 2 STREAMS BLOCK 70", None),
            ("XREADGROUP GROUP block 5 BLOCK 0 STREAMS s >", Some(Blocking::Forever)),
            ("WAIT 1 500", millis(500)),
            ("WAITAOF 1 1 0", Some(Blocking::Forever)),
            ("BLPOP a 1;GET k;BLPOP a 2", millis(3000)),
            ("BLPOP a 1;BLPOP a 0", Some(Blocking::Forever)),
            ("BLPOP a 1e300", Some(Blocking::Forever)),
            ("BLPOP a never", None),
            ("BLPOP a -1", None),
            ("BLPOP", None),
        ] {
            assert_eq!(facts(text).blocking, blocking, "{text}");
            let waits = blocking.is_some() && !text.starts_with("WAIT");
            assert_eq!(facts(text).recallable, waits, "{text}");
        }
    }

    /// The state after commands that are answered like that: `+` accepted, `-` refused, `!` aborted, `~`
    /// queued, `_` nil.
    fn state(text: &str, answers: &str) -> State {
        let mut state = State::new(0, Protocol::Resp3);
        let facts = facts(text);
        assert_eq!(facts.commands, answers.len(), "{text}");
        for (index, effect) in facts.effects {
            state.answered(
                effect,
                match answers.as_bytes()[index] {
                    b'+' => Answer::Accepted,
                    b'-' => Answer::Refused,
                    b'!' => Answer::Aborted,
                    b'~' => Answer::Queued,
                    _ => Answer::Nil,
                },
            );
        }
        state
    }

    #[test]
    fn state_begins_and_ends_with_the_servers_answer() {
        const MULTI: Option<&str> = Some("an open MULTI");
        const WATCH: Option<&str> = Some("watched keys");
        const OTHER: Option<&str> = Some("changed connection settings");
        for (text, answers, held) in [
            ("GET k", "+", None),
            ("MULTI", "+", MULTI),
            ("MULTI", "-", None),
            ("MULTI;SET a 1;EXEC", "+~+", None),
            ("MULTI;SET a 1;EXEC", "+~_", None),
            ("MULTI;SET a;EXEC", "+-!", None),
            ("MULTI;SET a;EXEC x", "+--", MULTI),
            ("MULTI;MULTI", "+-", MULTI),
            ("multi;discard", "++", None),
            ("MULTI;DISCARD x", "+-", MULTI),
            ("WATCH a", "+", WATCH),
            ("WATCH a", "-", None),
            ("WATCH a;UNWATCH", "++", None),
            ("WATCH a;UNWATCH x", "+-", WATCH),
            ("WATCH a;DISCARD", "+-", WATCH),
            ("WATCH a;EXEC", "+-", WATCH),
            ("WATCH a;MULTI;UNWATCH;DISCARD", "++~+", None),
            ("WATCH a;MULTI;EXEC", "+++", None),
            ("WATCH a;MULTI;EXEC", "++_", None),
            ("WATCH a;MULTI;EXEC", "++!", None),
            ("WATCH a;MULTI;EXEC", "++-", MULTI),
            ("SELECT 3", "+", Some("another database")),
            ("SELECT 3", "-", None),
            ("SELECT 3;SELECT 0", "++", None),
            ("SELECT 3;SELECT 0", "+-", Some("another database")),
            ("MULTI;SELECT 3;DISCARD", "+~+", None),
            ("MULTI;SELECT 3;EXEC", "+~_", None),
            ("MULTI;SELECT 3;EXEC", "+~!", None),
            ("MULTI;SELECT 3;EXEC", "+~+", OTHER),
            ("MULTI;SELECT 3;DISCARD;MULTI;EXEC", "+~+++", None),
            ("MULTI;SUBSCRIBE a;DISCARD", "+~+", None),
            ("MULTI;SUBSCRIBE a;EXEC", "+~+", Some("subscriptions")),
            ("MULTI;CLIENT SETNAME x;DISCARD", "+~+", None),
            ("MULTI;CLIENT SETNAME x;EXEC", "+~+", OTHER),
            ("MULTI;MONITOR;EXEC", "+~+", Some("a MONITOR")),
            ("MULTI;MONITOR;EXEC", "+-!", None),
            ("MONITOR", "+", Some("a MONITOR")),
            ("MULTI;RESET", "++", OTHER),
            ("CLIENT ID", "+", None),
            ("CLIENT setinfo LIB-NAME x", "+", None),
            ("CLIENT SETNAME x", "+", OTHER),
            ("CLIENT SETNAME x", "-", None),
            ("CLIENT TRACKING ON", "+", OTHER),
            ("CLIENT NO-EVICT ON", "+", OTHER),
            ("AUTH x", "+", OTHER),
            ("AUTH x", "-", OTHER),
            ("HELLO", "+", None),
            ("HELLO 3", "+", OTHER),
            ("HELLO 3 AUTH a b", "-", OTHER),
            ("RESET", "+", OTHER),
            ("RESET", "-", None),
            ("READONLY", "+", OTHER),
            ("ASKING", "-", None),
            ("SCRIPT LOAD x", "+", None),
            ("SCRIPT DEBUG YES", "+", OTHER),
            ("AVERYLONGCOMMANDNAMETHATNOBODYKNOWS", "+", None),
        ] {
            let state = state(text, answers);
            assert_eq!(state.held(), held, "{text} {answers}");
            assert_eq!(state.holds_state(), held.is_some(), "{text} {answers}");
        }
        // A transaction that was not known to be open.
        assert_eq!(state("SELECT 1", "~").held(), MULTI);
        assert_eq!(state("HELLO 2", "+").protocol, Protocol::Resp2);
        assert_eq!(state("HELLO 2", "-").protocol, Protocol::Resp3);
        assert_eq!(state("MULTI;HELLO 2;EXEC", "+~+").protocol, Protocol::Resp2);
        assert_eq!(state("RESET", "+").protocol, Protocol::Resp2);
    }

    #[test]
    fn commands_that_need_care_are_seen() {
        assert!(facts("QUIT").quits);
        assert!(facts("MONITOR").monitors);
        assert!(!facts("MONITOR").are_followable(1));
        assert_eq!(facts("CLIENT REPLY SKIP").unfollowable, Some("CLIENT REPLY"));
        assert_eq!(facts("CLIENT REPLY ON").unfollowable, None);
        assert_eq!(facts("GET a;GET b;GET c").commands, 3);
        assert!(facts("GET a;GET b;GET c").effects.is_empty());
        assert_eq!(
            facts("SUBSCRIBE a b").subscription,
            Some(Subscription { kind: Channels::Plain, begins: true, named: 2 })
        );
        let blocking = |text| facts(text).blocking.is_some();
        assert!(blocking("BLPOP a 1") && !blocking("MULTI;BLPOP a 1"));
        assert!(blocking("MULTI;EXEC;BLPOP a 1") && blocking("MULTI;RESET;BLPOP a 1"));
    }

    #[test]
    fn bytes_that_are_no_command_are_seen() {
        for text in [
            "GET a\r\n",
            "*",
            "*1\r\n",
            "*0\r\n",
            "*1\r\n$3\r\nGET",
            "*2\r\n$3\r\nGET\r\n",
            "*1\r\n$3\r\nGETx\r\n",
            "*1\r\n$99999999999999999999\r\n",
            "*1\r\n$-1\r\n",
            "*99999999999999\r\n$3\r\nGET\r\n",
        ] {
            let facts = Facts::of(text.as_bytes(), false);
            assert!(facts.malformed && !facts.are_followable(1), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>, command in "[*$0-9A-Z\r\n]{0,60}") {
            Facts::of(&bytes, false);
            Facts::of(command.as_bytes(), false);
        }
    }
}
