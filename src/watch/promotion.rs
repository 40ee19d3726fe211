//! The link to a node: its end, or another answer to ROLE on it, is the fact of a promotion.
//!
//! Sentinel promotes a replica by one transaction that also cuts every connection to it, so an idle
//! connection that ends is the earliest sign there is. Where nobody is cut (`FAILOVER`), ROLE tells:
//! it is asked every few milliseconds once the node was chosen. The link to the master shows its
//! end to a program that sends nothing, and carries the calls that end blocking commands there.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Registry, Token};
use redis::{Value, cmd};

use crate::{
    address::Address,
    address_map::Route,
    connection::{Inquiry, Role, Settings},
    error::{Error, ErrorKind},
    origin::{ORIGIN, Origin},
    topology::{Copied, Feed, Identity, Pace, Progress, Report, Standing},
    watch::{
        allowance::Allowance,
        channel::{Arrival, Channel},
        reach::{Reach, Step},
    },
};

/// How often ROLE is asked, by [`Pace`].
const CLOSELY: Duration = Duration::from_millis(2);
const BRISKLY: Duration = Duration::from_millis(250);
const CALMLY: Duration = Duration::from_secs(10);

/// Where many nodes are looked at closely, the watch as a whole asks no more often than this: what
/// matters more is that it has time for the answers.
const ASK_GAP: Duration = Duration::from_micros(500);

/// A node that does not answer for this long is gone.
const SILENCE: Duration = Duration::from_secs(1);

/// A link that ends sooner is not made again at once: the node may be turning connections away.
const SETTLED: Duration = Duration::from_millis(100);

/// What a link tells the driver.
pub(crate) enum News {
    /// The host name has to be resolved; the driver answers with [`PromotionLink::resolved`].
    Resolve,
    /// It is being asked for its ROLE.
    Asks,
    /// It told whom it follows, if anybody.
    Follows(Option<Address>),
    /// It answered a question that was asked while nothing else was, after so long.
    RoundTrip(Duration),
    /// It told how far its data go, asked at that time.
    Progress(Progress, Instant),
    Report(Report),
}

enum Question {
    Role {
        /// Its reply is told although nothing has changed.
        tell: bool,
        asked: Instant,
    },
    Origin {
        standing: Standing,
        replies: Vec<Value>,
    },
    CallBack,
}

/// How many links of a watch look at their nodes closely.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd(Arc<AtomicU32>);

impl Crowd {
    fn pause(&self) -> Duration {
        CLOSELY.max(self.gap())
    }

    /// How long a link that ended waits for the others to be heard before it is made again.
    fn patience(&self) -> Duration {
        Some(self.gap()).filter(|gap| *gap > CLOSELY).unwrap_or_default()
    }

    fn gap(&self) -> Duration {
        ASK_GAP * self.0.load(Ordering::Relaxed)
    }
}

pub(crate) struct PromotionLink {
    node: Address,
    reach: Reach,
    channel: Option<Channel>,
    pace: Pace,
    crowd: Crowd,
    /// How it tells its role.
    inquiry: Inquiry,
    awaited: VecDeque<Question>,
    /// When something was asked last, or since when the link has stood.
    asked: Instant,
    /// What ROLE said last, while the link stands, and since when it has stood.
    standing: Option<Standing>,
    since: Instant,
    /// When ROLE was last asked to be told in any case.
    told: Instant,
    /// The time at which the node ended an open link.
    hung_up: Option<Instant>,
    /// Replicas are read from: each reply to ROLE is told for what it says of the node's data.
    measures: bool,
}

impl PromotionLink {
    pub(crate) fn new(
        route: Route,
        settings: Arc<Settings>,
        token: Token,
        crowd: Crowd,
        now: Instant,
    ) -> PromotionLink {
        PromotionLink {
            crowd,
            node: route.announced.clone(),
            reach: Reach::new(route, settings, Allowance::of_node(), token, now),
            channel: None,
            pace: Pace::Calm,
            inquiry: Inquiry::Role,
            awaited: VecDeque::new(),
            asked: now,
            standing: None,
            since: now,
            told: now,
            hung_up: None,
            measures: false,
        }
    }

    pub(crate) fn dial_to(&self) -> &Address {
        self.reach.dial_to()
    }

    /// Has ROLE asked so often.
    pub(crate) fn look(&mut self, pace: Pace, now: Instant) {
        if pace == Pace::Close && self.pace != Pace::Close {
            // A node that was away until a moment ago is still dialled only now and then.
            self.reach.hurry(now);
        }
        let before = std::mem::replace(&mut self.pace, pace);
        match (before == Pace::Close, pace == Pace::Close) {
            (false, true) => drop(self.crowd.0.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.crowd.0.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    /// A link that is being made over this channel.
    #[cfg(any(fuzzing, test))]
    pub(super) fn scripted(
        channel: Channel,
        route: Route,
        settings: Arc<Settings>,
    ) -> PromotionLink {
        let now = Instant::now();
        let mut link = PromotionLink::new(route, settings, Token(0), Crowd::default(), now);
        link.reach.dials_a_script(now);
        link.channel = Some(channel);
        link
    }

    /// Checks that its memory is bounded after any input.
    #[cfg(any(fuzzing, test))]
    pub(super) fn check_bounds(&self) {
        self.channel.iter().for_each(Channel::check_bounds);
        assert!(self.awaited.len() < 64, "{} replies awaited", self.awaited.len());
    }

    #[cfg(any(fuzzing, test))]
    pub(super) fn is_connected(&self) -> bool {
        self.channel.is_some()
    }

    /// Returns true when the node probably answers a dial at once: the link is up, or the node itself
    /// ended it just now, as a promotion does. A silent node does not count.
    pub(crate) fn is_lively(&self, now: Instant) -> bool {
        self.is_up() || self.hung_up.is_some_and(|at| now < at + SILENCE)
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// Is not dialled before then.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.reach.rest(until);
    }

    fn is_up(&self) -> bool {
        self.standing.is_some()
    }

    /// When the link wants to be looked at although nothing arrived.
    pub(crate) fn next_wake(&self) -> Instant {
        if !self.is_up() {
            return self.reach.next_wake().unwrap_or(self.asked + SILENCE);
        }
        self.asked + if self.awaited.is_empty() { self.pause() } else { SILENCE }
    }

    fn pause(&self) -> Duration {
        match self.pace {
            Pace::Close => self.crowd.pause(),
            Pace::Brisk => BRISKLY,
            Pace::Calm => CALMLY,
        }
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, now: Instant, registry: &Registry, news: &mut Vec<News>) {
        if now < self.next_wake() {
            return;
        }
        if !self.is_up() {
            let step = self.reach.tick(now, registry);
            self.step(step, now, news);
        } else if self.awaited.is_empty() {
            self.ask_role(self.pace != Pace::Close, now, news);
        } else {
            self.down(now, news);
        }
    }

    fn ask_role(&mut self, tell: bool, now: Instant, news: &mut Vec<News>) {
        if tell {
            self.told = now;
        }
        news.push(News::Asks);
        let question = Question::Role { tell, asked: now };
        let mut packed = Vec::with_capacity(64);
        self.inquiry.write(&mut packed);
        self.ask([question], &packed, now, news);
    }

    /// Each reply to ROLE is told from now on.
    pub(crate) fn measure(&mut self) {
        self.measures = true;
    }

    /// Asks ROLE now, unless something is being asked.
    pub(crate) fn pulse(&mut self, now: Instant, news: &mut Vec<News>) {
        if self.is_up() && self.awaited.is_empty() {
            // What is due now and then is not to wait for ever behind what is asked more often.
            let tell = self.pace != Pace::Close && now >= self.told + self.pause();
            self.ask_role(tell, now, news);
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
        self.asked = now;
        match step {
            Step::Nothing => {}
            Step::Resolve => news.push(News::Resolve),
            Step::Dialling(channel) => self.channel = Some(*channel),
            Step::Failed(reason) => {
                self.channel = None;
                log::debug!("no link to node {}: {reason}", self.node);
            }
        }
    }

    /// The socket is ready.
    pub(crate) fn ready(&mut self, now: Instant, registry: &Registry, news: &mut Vec<News>) {
        let Some(channel) = &mut self.channel else { return };
        let mut arrivals = Vec::new();
        let outcome = channel.ready(now, &mut arrivals);
        for arrival in arrivals {
            let taken = match arrival {
                Arrival::Opened(greeting) => {
                    self.reach.reached();
                    self.since = now;
                    // Asked at the earliest when the dial began.
                    self.inquiry = greeting.inquiry;
                    self.standing(greeting.role.as_ref(), true, self.asked, now, news)
                }
                Arrival::Value(Value::Push { .. }) | Arrival::List(_) => Ok(()),
                Arrival::Value(value) => self.answered(value, now, news),
            };
            if let Err(error) = taken {
                log::debug!("the link to node {} is given up: {error}", self.node);
                return self.down(now, news);
            }
        }
        match outcome {
            Ok(()) => {}
            Err(error) if self.reach.is_dialling() => {
                self.channel = None;
                let step = self.reach.refused(error.to_string(), now, registry);
                self.step(step, now, news);
            }
            Err(error) => {
                log::debug!("the link to node {} ended: {error}", self.node);
                let hung_up = self.is_up() && is_ended_by_the_node(&error);
                self.hung_up = hung_up.then_some(now);
                let flooded = self.channel.as_ref().is_some_and(Channel::is_flooded);
                self.down(now, news);
                if flooded {
                    self.reach.flooded(now);
                }
            }
        }
    }

    /// Returns true when the socket has more to read although no readiness will be reported.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.channel.as_ref().is_some_and(Channel::is_unfinished)
    }

    fn answered(&mut self, value: Value, now: Instant, news: &mut Vec<News>) -> Result<(), Error> {
        match self.awaited.pop_front() {
            Some(Question::Role { tell, asked }) => {
                if self.measures {
                    news.push(News::RoundTrip(now.saturating_duration_since(asked)));
                }
                self.standing(self.inquiry.read(&value).as_ref(), tell, asked, now, news)
            }
            Some(Question::Origin { standing, mut replies }) => {
                replies.push(value);
                if replies.len() < ORIGIN.len() {
                    self.awaited.push_front(Question::Origin { standing, replies });
                } else {
                    self.reach.proven();
                    let origin = Origin::read(&replies, standing == Standing::Master);
                    let identity = Identity { standing, origin };
                    news.push(News::Report(Report::Says(identity)));
                }
                Ok(())
            }
            Some(Question::CallBack) => {
                if let Value::ServerError(refusal) = value {
                    let (node, code) = (&self.node, refusal.code());
                    log::debug!("node {node} does not call blocked commands back: {code}");
                }
                Ok(())
            }
            None => Err(self.error("it answered more than it was asked")),
        }
    }

    /// ROLE was answered. What changes with the role is asked next, and told together with it.
    fn standing(
        &mut self,
        role: Option<&Role>,
        tell: bool,
        asked: Instant,
        now: Instant,
        news: &mut Vec<News>,
    ) -> Result<(), Error> {
        if let Some(role) = role.filter(|_| self.measures)
            && let Some(progress) = progress(role)
        {
            news.push(News::Progress(progress, asked));
        }
        let standing = match role {
            Some(Role::Master { .. }) => Standing::Master,
            Some(Role::Replica { master, link, .. }) => {
                Standing::Replica { of: master.clone(), linked: link == "connected" }
            }
            Some(Role::Sentinel) | None => return Err(self.error("it is no node")),
        };
        let followed = match &standing {
            Standing::Replica { of, .. } => of.clone(),
            Standing::Master => None,
        };
        news.push(News::Follows(followed));
        let changed = self.standing.as_ref() != Some(&standing);
        self.standing = Some(standing.clone());
        if changed || tell {
            let mut packed = Vec::with_capacity(64);
            for section in ORIGIN {
                cmd("INFO").arg(section).write_packed_command(&mut packed);
            }
            let question = Question::Origin { standing, replies: Vec::new() };
            self.ask([question], &packed, now, news);
        }
        Ok(())
    }

    /// Ends the blocking commands of these connections: `CLIENT UNBLOCK id ERROR`. Each is answered
    /// there with an error that says that it has done nothing.
    pub(crate) fn call_back(&mut self, ids: &[i64], now: Instant, news: &mut Vec<News>) {
        // One round at a time: where it is denied or not answered, more of them say no more.
        let calling = self.awaited.iter().any(|own| matches!(own, Question::CallBack));
        if calling || !self.is_up() {
            return;
        }
        let mut packed = Vec::with_capacity(ids.len() * 64);
        for id in ids {
            cmd("CLIENT").arg("UNBLOCK").arg(id).arg("ERROR").write_packed_command(&mut packed);
        }
        self.ask(ids.iter().map(|_| Question::CallBack), &packed, now, news);
    }

    fn ask(
        &mut self,
        questions: impl IntoIterator<Item = Question>,
        packed: &[u8],
        now: Instant,
        news: &mut Vec<News>,
    ) {
        // Silence is counted from the first question that is open.
        if self.awaited.is_empty() {
            self.asked = now;
        }
        self.awaited.extend(questions);
        if let Some(Err(_)) = self.channel.as_mut().map(|channel| channel.send(packed)) {
            self.down(now, news);
        }
    }

    /// It stood and ended, so whatever the node is now is to be known at once; or it never stood.
    /// Where many end at once, what verifies the nodes for their switches goes first.
    fn down(&mut self, now: Instant, news: &mut Vec<News>) {
        self.channel = None;
        self.awaited.clear();
        if self.standing.take().is_some() {
            if now >= self.since + SETTLED {
                self.reach.again(now + self.crowd.patience());
            } else {
                self.reach.lost(now);
            }
            news.push(News::Report(Report::Gone));
        } else {
            self.reach.lost(now);
        }
    }

    fn error(&self, what: &str) -> Error {
        Error::new(ErrorKind::Protocol, format!("node {}: {what}", self.node))
    }
}

impl Drop for PromotionLink {
    fn drop(&mut self) {
        if self.pace == Pace::Close {
            self.crowd.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Returns true when the node closed or reset the connection, as only a live node does. The kernel's
/// own timeout, or a missing route, shows the contrary.
fn is_ended_by_the_node(error: &Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    let source = std::error::Error::source(error);
    let broke = source.and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    error.kind() == ErrorKind::Disconnected
        && !broke
            .is_some_and(|kind| matches!(kind, TimedOut | HostUnreachable | NetworkUnreachable))
}

/// What a reply to ROLE tells of the node's data.
fn progress(role: &Role) -> Option<Progress> {
    let (source, offset) = match role {
        Role::Master { offset, .. } => (Copied::Own, offset),
        Role::Replica { master, link, offset } => {
            let feed = match &**link {
                "connected" => Feed::Flowing,
                "sync" => Feed::Whole,
                _ => Feed::Broken,
            };
            (Copied::Of { master: master.clone(), feed }, offset)
        }
        Role::Sentinel => return None,
    };
    Some(Progress { source, offset: u64::try_from(*offset).ok(), took: Duration::ZERO })
}
