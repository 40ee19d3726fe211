//! Subscriptions that survive a change of the master: [`Subscription`].
//!
//! No thread works for a subscription: whoever takes its items also subscribes again. Its connection
//! belongs to the generation that is current, so a switch ends it and wakes whoever reads.

mod closer;
mod delivery;
mod heard;
mod limit;
mod line;
mod pause;
mod wanted;

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use log::{info, warn};
use redis::ToRedisArgs;

pub use self::{
    closer::Closer,
    delivery::{Delivery, Gap, GapReason, Message, Refusal},
};
use self::{
    limit::Limit,
    line::{End, Line, News},
    pause::Pause,
    wanted::{Kind, Request, Wanted},
};
use crate::{
    address::Address,
    error::{Error, ErrorKind, Outcome},
    pool::{Pool, after},
    trouble::Trouble,
};

/// A connection that lasted so long ends the growth of the pauses between attempts.
const LASTING: Duration = Duration::from_secs(1);

/// Messages from the current master, whichever that is: an iterator that subscribes again after
/// every switch and every lost connection, and says where messages may be missing.
///
/// ```no_run
/// use switchmaster::{Delivery, Factory};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let factory = Factory::open("redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster")?;
/// for delivery in factory.subscribe(&["prices", "stocks"])? {
///     match delivery {
///         Delivery::Message(message) => println!("{}: {}", message.channel(), message.payload::<String>()?),
///         Delivery::Gap(gap) => println!("read everything again: {gap}"),
///         Delivery::Refused(refusal) => eprintln!("{refusal}"),
///     }
/// }
/// # Ok(()) }
/// ```
///
/// # What is promised
/// Redis delivers to whoever is connected and keeps nothing for later. So between two [`Gap`]s every
/// message of the server arrives once and in its order, and where that cannot be said, there is one
/// `Gap`: after a switch, when the connection broke, and when the server was silent. It comes as soon
/// as everything is subscribed again; what is published after it arrives. [`Message::generation`] tells
/// which master a message came from.
///
/// What is published at a new master between its promotion and the `Gap` finds nobody there yet, and
/// is lost for this subscription. Whoever publishes can tell: `PUBLISH` answers how many got the
/// message. While a live master is being replaced, subscriptions stay with it up to the switch, and
/// what publishes through a factory waits behind the fence
/// ([`Builder::fence`](crate::Builder::fence)), so nothing is lost at the old master.
///
/// # A channel that the server refuses
/// The call that asks for it returns the server's error. Where that call has returned before the server
/// answered, the subscription yields [`Delivery::Refused`] for each of its names once, and no longer asks
/// for them. Either way the confirmed channels are not affected.
///
/// When the server refuses a channel that was confirmed before (the user's rights have changed, or those
/// at the new master differ), the subscription tries again with all of its confirmed channels, with the
/// pauses of the next paragraph, and [`Subscription::failure`] returns the server's error.
///
/// # While there is no master
/// The iterator waits. It tries the current master again and again, with pauses from 20 ms to 1 s, and
/// a new one as soon as the factory switches to it. [`Subscription::is_subscribed`] and
/// [`Subscription::failure`] tell how it stands, [`Factory::events`](crate::Factory::events) what
/// happens. An attempt blocks for at most `dial_timeout`.
///
/// # A server that falls silent
/// When nothing came for 1 s, the server is asked `PING`; when nothing at all comes for
/// `command_timeout` after that, the connection is given up, so a half-open one or a frozen master is
/// noticed within the two together, by a thread that waits for messages.
///
/// # A reader that is slow
/// Messages are read from the socket when they are asked for, and memory holds one at a time. What is
/// not read waits in the buffers of the system and of the server, up to the server's
/// `client-output-buffer-limit pubsub` (32 MB, or 8 MB for a minute). Then the server ends the
/// connection: what was on its way is still delivered, and a [`Gap`] follows. While channels are
/// added or taken away, messages that come before the server's confirmation are kept in memory; that is
/// at most what waited in those buffers.
///
/// # Its connection
/// It has one of its own, made as the pool's are (`ROLE` says master), beside the pool and not counted by
/// `max_size`. Dropping the subscription closes it. It is `Send`: one thread at a time uses it, and a
/// [`Closer`] ends it from another. It does not keep the factory open: [`Factory::close`], or dropping the
/// last clone, ends it.
///
/// [`Factory::close`]: crate::Factory::close
pub struct Subscription {
    pool: Arc<Pool>,
    wanted: Wanted,
    closer: Closer,
    line: Option<Line>,
    /// Since the last line that stood was lost.
    lost: Option<Lost>,
    pause: Pause,
    /// What came while something else was waited for.
    ready: VecDeque<Delivery>,
    /// Why there is no line, or why the last attempt to have one failed.
    failure: Option<Error>,
    /// The request of the call that is running.
    request: Option<Request>,
    /// The server's error for that request.
    refusal: Option<Error>,
}

struct Lost {
    at: Instant,
    generation: u64,
    reason: GapReason,
    error: Error,
}

/// Whether anything happened before the deadline.
#[derive(PartialEq)]
enum Step {
    Moved,
    Late,
}

impl Subscription {
    pub(crate) fn to_channels(
        pool: Arc<Pool>,
        channels: impl ToRedisArgs,
    ) -> Result<Subscription, Error> {
        Subscription::open(pool, Kind::Channel, names(channels)?)
    }

    pub(crate) fn to_patterns(
        pool: Arc<Pool>,
        patterns: impl ToRedisArgs,
    ) -> Result<Subscription, Error> {
        Subscription::open(pool, Kind::Pattern, names(patterns)?)
    }

    fn open(pool: Arc<Pool>, kind: Kind, names: Vec<Vec<u8>>) -> Result<Subscription, Error> {
        let begun = Instant::now();
        let mut limit = Limit::until(begun.checked_add(pool.get_timeout()));
        let mut wanted = Wanted::default();
        let request = wanted.new_request();
        wanted.add(request, kind, names);
        let mut subscription = Subscription {
            closer: Closer::new(&pool),
            pool,
            wanted,
            line: None,
            lost: None,
            pause: Pause::new(),
            ready: VecDeque::new(),
            failure: None,
            request: Some(request),
            refusal: None,
        };
        while !subscription.is_subscribed() {
            let step = subscription.step(&mut limit)?;
            if let Some(error) =
                subscription.refusal.take().or_else(|| subscription.final_failure())
            {
                return Err(error);
            }
            if step == Step::Late {
                return Err(subscription.why_not(begun));
            }
        }
        subscription.request = None;
        Ok(subscription)
    }

    /// As the iterator's `next`, and waits for at most `timeout`; `None` when the time was up.
    ///
    /// May take up to `dial_timeout` longer when a connection has to be made, so that one is made
    /// however short the timeouts are.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed), now and ever after.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Delivery>, Error> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    /// What has arrived, if anything has. Does not wait for more, but blocks for at most
    /// `dial_timeout` when a connection has to be made.
    ///
    /// # Errors
    /// As [`Subscription::next_timeout`].
    pub fn try_next(&mut self) -> Result<Option<Delivery>, Error> {
        self.next_until(Some(Instant::now()))
    }

    /// Subscribes to more channels: one name, or a slice or vector of names. Those that are subscribed
    /// to already do no harm.
    ///
    /// Blocks until the server has confirmed them, at most for `command_timeout` (and `dial_timeout`
    /// if the connection was lost). What is published after that arrives. Messages that come
    /// meanwhile are kept.
    ///
    /// # Errors
    /// [`Permission`](ErrorKind::Permission) and whatever else the server refuses them with: then all
    /// is as it was before. [`CommandTimeout`](ErrorKind::CommandTimeout) or
    /// [`NoMaster`](ErrorKind::NoMaster): not confirmed in time. They are remembered, and subscribed
    /// with everything else before the next [`Gap`]; if the server refuses them then, the subscription
    /// yields [`Delivery::Refused`]. [`Closed`](ErrorKind::Closed);
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) when no channel is named.
    pub fn subscribe(&mut self, channels: impl ToRedisArgs) -> Result<(), Error> {
        self.begin(Kind::Channel, names(channels)?)
    }

    /// As [`Subscription::subscribe`], for patterns: `news.*`, `h?llo`, `h[ae]llo`.
    ///
    /// # Errors
    /// As [`Subscription::subscribe`].
    pub fn psubscribe(&mut self, patterns: impl ToRedisArgs) -> Result<(), Error> {
        self.begin(Kind::Pattern, names(patterns)?)
    }

    /// Ends the subscription to these channels; others are not touched. Those that it is not
    /// subscribed to do no harm.
    ///
    /// Blocks as [`Subscription::subscribe`] does. Messages that were published before the server's
    /// confirmation are still delivered.
    ///
    /// # Errors
    /// As [`Subscription::subscribe`].
    pub fn unsubscribe(&mut self, channels: impl ToRedisArgs) -> Result<(), Error> {
        self.end(Kind::Channel, &names(channels)?)
    }

    /// As [`Subscription::unsubscribe`], for patterns.
    ///
    /// # Errors
    /// As [`Subscription::unsubscribe`].
    pub fn punsubscribe(&mut self, patterns: impl ToRedisArgs) -> Result<(), Error> {
        self.end(Kind::Pattern, &names(patterns)?)
    }

    /// What ends this subscription from another thread.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// The channels that it is for, in the order of their bytes.
    pub fn channels(&self) -> impl Iterator<Item = &[u8]> {
        self.wanted.names(Kind::Channel).map(Vec::as_slice)
    }

    /// The patterns that it is for, in the order of their bytes.
    pub fn patterns(&self) -> impl Iterator<Item = &[u8]> {
        self.wanted.names(Kind::Pattern).map(Vec::as_slice)
    }

    /// Whether everything was subscribed to when it was last used. Looks at no socket: a connection
    /// that broke since then is noticed by the next call that waits for messages.
    pub fn is_subscribed(&self) -> bool {
        self.line.as_ref().is_some_and(Line::is_settled)
    }

    /// Why it is not subscribed at present, or could not be at the last attempt.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// The number of the generation that its connection belongs to; 0 while it has none.
    pub fn generation(&self) -> u64 {
        self.line.as_ref().map_or(0, |line| line.generation().number())
    }

    /// The announced address of the master that its connection leads to, while it has one.
    pub fn address(&self) -> Option<&Address> {
        self.line.as_ref().map(|line| line.generation().address())
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Delivery>, Error> {
        let mut limit = Limit::until(deadline);
        loop {
            self.check_open()?;
            if let Some(delivery) = self.ready.pop_front() {
                return Ok(Some(delivery));
            }
            if self.step(&mut limit)? == Step::Late {
                return Ok(None);
            }
        }
    }

    fn begin(&mut self, kind: Kind, names: Vec<Vec<u8>>) -> Result<(), Error> {
        self.check_open()?;
        let request = self.wanted.new_request();
        let new = self.wanted.add(request, kind, names);
        let begun = self.change(request, kind, true, new.iter());
        if let Err(refused) = &begun
            && (refused.outcome() == Outcome::Replied || self.final_failure().is_some())
        {
            self.wanted.refuse(request);
        }
        begun
    }

    fn end(&mut self, kind: Kind, names: &[Vec<u8>]) -> Result<(), Error> {
        self.check_open()?;
        let request = self.wanted.new_request();
        let removed = self.wanted.remove(kind, names);
        let ended = self.change(request, kind, false, removed.keys());
        if ended.as_ref().is_err_and(|refused| refused.outcome() == Outcome::Replied) {
            self.wanted.restore(kind, removed);
        }
        ended
    }

    /// Sends a request to the server and waits for the answer.
    fn change<'n>(
        &mut self,
        request: Request,
        kind: Kind,
        begins: bool,
        names: impl ExactSizeIterator<Item = &'n Vec<u8>>,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let mut limit = Limit::until(begun.checked_add(self.pool.node_settings().command_timeout));
        if names.len() > 0
            && let Some(line) = &mut self.line
            && let Err(end) = line.ask(kind, begins, Some(request), names)
        {
            self.lose(end);
        }
        self.request = Some(request);
        let answer = self.wait_for_answer(begins, begun, &mut limit);
        self.request = None;
        self.refusal = None;
        answer
    }

    fn wait_for_answer(
        &mut self,
        begins: bool,
        begun: Instant,
        limit: &mut Limit,
    ) -> Result<(), Error> {
        loop {
            match &self.line {
                Some(line) if line.is_settled() => return Ok(()),
                // The next line will not have them.
                None if !begins => return Ok(()),
                _ => {}
            }
            let step = self.step(limit)?;
            if let Some(error) = self.refusal.take().or_else(|| self.final_failure()) {
                return Err(error);
            }
            if step == Step::Late {
                return Err(self.why_not(begun));
            }
        }
    }

    /// Waits for one thing to happen: on the line, or on the way to one.
    fn step(&mut self, limit: &mut Limit) -> Result<Step, Error> {
        self.check_open()?;
        let Some(line) = &mut self.line else { return self.go_for_a_line(limit.deadline()) };
        match line.look(limit) {
            Ok(News::Nothing) => return Ok(Step::Late),
            Ok(News::Progress) => {}
            Ok(News::Message(message)) => self.ready.push_back(Delivery::Message(message)),
            Ok(News::Confirmed(request)) => self.wanted.confirm(request),
            Ok(News::Refused(request, error)) => {
                let generation = line.generation().number();
                self.refused(request, generation, error);
            }
            Ok(News::Standing(early)) => {
                let to_generation = line.generation().number();
                self.stands(to_generation, early);
            }
            Err(end) => self.lose(end),
        }
        Ok(Step::Moved)
    }

    /// The server refused a request: of the running call, or of one that returned before.
    fn refused(&mut self, request: Request, generation: u64, error: Error) {
        if self.request == Some(request) {
            self.refusal = Some(error);
            return;
        }
        warn!("a subscription was refused: {error}");
        let refused = self.wanted.refuse(request).into_iter().map(|(kind, name)| {
            Delivery::Refused(Refusal { kind, name, generation, error: error.clone() })
        });
        self.ready.extend(refused);
    }

    fn stands(&mut self, to_generation: u64, early: Vec<Message>) {
        self.failure = None;
        if let Some(Lost { at: lost_at, generation: from_generation, reason, error }) =
            self.lost.take()
        {
            let at = Instant::now();
            let gap = Gap { lost_at, at, from_generation, to_generation, reason, error };
            info!("subscribed again, at generation {to_generation}: {gap}");
            self.ready.push_back(Delivery::Gap(gap));
        }
        self.ready.extend(early.into_iter().map(Delivery::Message));
    }

    /// One attempt, as soon as it is its time.
    fn go_for_a_line(&mut self, deadline: Option<Instant>) -> Result<Step, Error> {
        let Some(generation) = self.pool.current() else {
            // The factory has none yet, or it is being closed.
            let until = deadline.unwrap_or_else(|| after(Duration::MAX));
            self.pool.wait_for_generation_unless(|| self.closer.is_closed(), 0, until);
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            return Ok(if late { Step::Late } else { Step::Moved });
        };
        let number = generation.number();
        let due = self.pause.until(number);
        if Instant::now() < due {
            let until = deadline.map_or(due, |deadline| deadline.min(due));
            let given_up = || self.closer.is_closed();
            self.pool.wait_for_generation_unless(given_up, number, until);
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            return Ok(if late { Step::Late } else { Step::Moved });
        }
        let patience = self.pool.node_settings().command_timeout;
        let begun = generation.dial_beside().map_err(End::from).and_then(|connection| {
            self.closer.watch_over(connection.ender());
            let mut line = Line::new(connection, generation.clone(), patience);
            line.begin(&self.wanted)?;
            Ok(line)
        });
        match begun {
            Ok(line) => self.line = Some(line),
            Err(end) => {
                if !generation.gate().is_retired() {
                    self.pool.counters().dial_failures.add(1);
                    generation.raise_alarm(match end.error.kind() {
                        ErrorKind::WrongRole => Trouble::NotMaster,
                        _ => Trouble::Disconnected,
                    });
                }
                self.pause.lengthen();
                self.failure = Some(end.error);
            }
        }
        Ok(Step::Moved)
    }

    /// The line is over.
    fn lose(&mut self, end: End) {
        let Some(line) = self.line.take() else { return };
        let is_refusal = end.is_refusal();
        let End { reason, error } = end;
        let now = Instant::now();
        let generation = line.generation();
        let switched = generation.gate().is_retired();
        if !switched && !self.closer.is_closed() && !is_refusal {
            self.pool.counters().connections_broken.add(1);
            generation.note_breakage();
            generation.raise_alarm(match reason {
                GapReason::Silent => Trouble::TimedOut,
                _ => Trouble::Disconnected,
            });
        }
        match line.standing_since() {
            Some(since) if now.saturating_duration_since(since) >= LASTING => self.pause.end(),
            _ => self.pause.lengthen(),
        }
        if line.standing_since().is_some() && !self.wanted.is_empty() && self.lost.is_none() {
            if !self.closer.is_closed() && self.pool.check_open().is_ok() {
                warn!("a subscription lost its connection ({reason}): {error}");
            }
            self.lost = Some(Lost {
                at: now,
                generation: generation.number(),
                reason: if switched { GapReason::Switched } else { reason },
                error: error.clone(),
            });
        }
        self.failure = Some(error);
    }

    /// Why there is no line, when the server's answer will be the same the next time.
    fn final_failure(&self) -> Option<Error> {
        let is_final = |error: &&Error| {
            matches!(error.kind(), ErrorKind::Permission | ErrorKind::Authentication)
        };
        let failure = self.failure.as_ref().filter(|_| self.line.is_none());
        failure.filter(is_final).cloned()
    }

    /// Whether it goes on. If not, it lets go of its connection.
    fn check_open(&mut self) -> Result<(), Error> {
        let open = if self.closer.is_closed() {
            Err(Error::new(ErrorKind::Closed, "the subscription is closed; open a new one"))
        } else {
            self.pool.check_open()
        };
        if open.is_err() {
            self.line = None;
            self.ready.clear();
        }
        open
    }

    fn why_not(&self, begun: Instant) -> Error {
        let waited = begun.elapsed();
        let (kind, cause) = match (&self.failure, &self.line) {
            (Some(failure), None) => (ErrorKind::NoMaster, failure.to_string()),
            (_, Some(line)) => (
                ErrorKind::CommandTimeout,
                format!("{} has not confirmed it yet", line.connection().address()),
            ),
            (None, None) => {
                (ErrorKind::NoMaster, "no connection to the master was tried yet".to_owned())
            }
        };
        let source = self.failure.clone().map(|error| Box::new(error) as Box<_>);
        Error::with(
            kind,
            Outcome::Unknown,
            format!("not subscribed within {waited:.1?}: {cause}"),
            source,
        )
    }
}

fn names(names: impl ToRedisArgs) -> Result<Vec<Vec<u8>>, Error> {
    let names = names.to_redis_args();
    if names.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            "a subscription to nothing was asked for; name at least one channel or pattern",
        ));
    }
    Ok(names)
}

/// Blocks until something comes, without end: `None` only when the subscription or the factory was
/// closed, and then a thread that waits here wakes at once.
impl Iterator for Subscription {
    type Item = Delivery;

    fn next(&mut self) -> Option<Delivery> {
        self.next_until(None).ok().flatten()
    }
}

impl std::iter::FusedIterator for Subscription {}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("generation", &self.generation())
            .field("address", &self.address())
            .field("subscribed", &self.is_subscribed())
            .field("channels", &self.wanted.names(Kind::Channel).len())
            .field("patterns", &self.wanted.names(Kind::Pattern).len())
            .finish_non_exhaustive()
    }
}
