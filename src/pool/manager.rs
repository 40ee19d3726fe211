//! What r2d2 is told about connections: how to make one, and when one is no longer worth keeping.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use log::{info, warn};
use parking_lot::Mutex;

use crate::{
    address_map::Route,
    connection::{Connection, Distress, Gate, Role, Settings},
    credentials::Source,
    error::{Error, ErrorKind},
    metrics::Counters,
    origin::Origin,
    pool::{Alarm, moment::Moment},
    trouble::Trouble,
    workers::Workers,
};

/// How soon after a failed dial the next one may probe the server.
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// A dial that fails after this long is one that was kept waiting.
const SLOW: Duration = Duration::from_millis(50);

/// The shortest and the longest pause of a generation after an alarm.
const ALARM_PAUSE: Duration = Duration::from_millis(20);
const ALARM_PAUSE_MOST: Duration = Duration::from_secs(1);

/// The pause grows to this part of the time since the first alarm: a fault that lasts for a minute has
/// the sentinels queried once a second; a failover is over before the pause is a tenth of that.
const ALARM_PART: u32 = 64;

/// Alarms that are further apart belong to different faults.
const ALARM_CALM: Duration = Duration::from_secs(3);

/// One slot of an r2d2 pool.
pub(crate) enum Slot {
    Live(Box<Live>),
    /// What a retired generation's r2d2 gets instead of a connection. It ends r2d2's redialling at
    /// once, and is thrown away whenever anybody touches it.
    Tombstone,
}

/// A connection and what decides whether it may be handed out again.
pub(crate) struct Live {
    pub(crate) connection: Connection,
    /// When it has lived long enough.
    pub(crate) expires: Option<Moment>,
    /// How many connections of the generation had broken when this one was last looked at.
    pub(crate) seen_breakages: u64,
    /// How often the server had been silent when this one was made.
    pub(crate) born_after: u64,
    /// Found to be over while it lay idle.
    pub(crate) dead: bool,
}

/// What a generation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Master,
    Replica,
}

impl Target {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Target::Master => "master",
            Target::Replica => "replica",
        }
    }
}

/// Makes connections to the node of one generation, verified by ROLE.
pub(crate) struct Manager {
    pub(crate) target: Target,
    pub(crate) route: Route,
    pub(crate) settings: Arc<Settings>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) counters: Arc<Counters>,
    /// The number of the generation, once it is published.
    number: AtomicU64,
    /// The master's process and its history, once it reported them; empty without permission.
    known: Mutex<Option<Origin>>,
    alarm: Alarm,
    /// Weak: handles that are out keep the manager alive, and must not keep threads alive.
    workers: Weak<Workers>,
    alarms: Mutex<Option<Alarms>>,
    /// How often a command of this generation waited in vain for its reply. A frozen server keeps
    /// its connections, so they look alive; only a handshake proves that it answers again.
    silences: AtomicU64,
    /// How many connections broke.
    breakages: AtomicU64,
    /// The connection that was dialled and verified before the generation was published.
    stock: Mutex<Option<Box<Live>>>,
    health: Mutex<Health>,
}

/// The alarms of a fault that lasts.
struct Alarms {
    first: Instant,
    last: Instant,
}

impl Alarms {
    /// True when an alarm is to be raised now.
    fn is_due(alarms: &mut Option<Alarms>, now: Instant) -> bool {
        let since = |then: Instant| now.saturating_duration_since(then);
        match alarms {
            Some(Alarms { first, last }) if since(*last) < ALARM_CALM => {
                let pause = (since(*first) / ALARM_PART).clamp(ALARM_PAUSE, ALARM_PAUSE_MOST);
                let due = since(*last) >= pause;
                if due {
                    *last = now;
                }
                due
            }
            _ => {
                *alarms = Some(Alarms { first: now, last: now });
                true
            }
        }
    }
}

/// The dial gate: while a server is away one dial at a time probes it, and everybody else gets the
/// error of the last probe, instead of a dial and a line in the log for each free slot.
#[derive(Default)]
struct Health {
    failure: Option<Failure>,
}

struct Failure {
    error: Error,
    /// It kept whoever tried waiting.
    slow: bool,
    probing: bool,
    next_probe: Instant,
}

impl Manager {
    #[allow(clippy::too_many_arguments, reason = "each is needed once, in one place")]
    pub(crate) fn new(
        target: Target,
        route: Route,
        settings: Arc<Settings>,
        max_lifetime: Option<Duration>,
        gate: Arc<Gate>,
        counters: Arc<Counters>,
        alarm: Alarm,
        workers: Weak<Workers>,
    ) -> Manager {
        Manager {
            target,
            route,
            settings,
            max_lifetime,
            gate,
            counters,
            number: AtomicU64::new(0),
            known: Mutex::default(),
            alarm,
            workers,
            alarms: Mutex::default(),
            silences: AtomicU64::new(0),
            breakages: AtomicU64::new(0),
            stock: Mutex::default(),
            health: Mutex::default(),
        }
    }

    /// Dials one connection and verifies that it leads to what it should.
    pub(crate) fn dial(&self) -> Result<Box<Live>, Error> {
        let born_after = self.silences();
        let seen_breakages = self.breakages();
        let deadline = Instant::now() + self.settings.dial_timeout;
        let dial_to = self.route.now();
        let known = self.known.lock().clone();
        // A server without that permission is not asked again.
        let asks = self.target == Target::Master
            && (!self.is_published() || known.as_ref().is_none_or(|known| known.replid.is_some()));
        let connection =
            Connection::open_asking(&dial_to, &self.settings, &self.gate, asks, deadline)?;
        match (self.target, &connection.greeting().role) {
            (_, None)
            | (Target::Master, Some(Role::Master { .. }))
            | (Target::Replica, Some(Role::Replica { .. })) => {}
            (Target::Replica, Some(other)) => {
                return Err(Error::new(
                    ErrorKind::WrongRole,
                    format!(
                        "{dial_to} is no replica: its ROLE says {other}; another one is read from"
                    ),
                ));
            }
            (Target::Master, Some(other)) => {
                return Err(Error::new(
                    ErrorKind::WrongRole,
                    format!(
                        "{dial_to} is no master: its ROLE says {other}; waiting for the sentinels to name another"
                    ),
                ));
            }
        }
        if asks {
            let origin = &connection.greeting().origin;
            if self.is_published()
                && let Some(known) = known
                && !origin.continues(&known)
            {
                self.raise_alarm(Trouble::OtherHistory);
                return Err(Error::new(
                    ErrorKind::WrongRole,
                    format!(
                        "{dial_to} has another replication history than the master had: it lost its \
                         data in a restart, or another server has got its address; waiting for a \
                         majority of the sentinels to name it, or another"
                    ),
                ));
            }
            *self.known.lock() = Some(origin.clone());
        }
        self.counters.connections_created.add(1);
        Ok(Box::new(Live {
            connection,
            expires: self.max_lifetime.map(|lifetime| Moment::now() + jittered(lifetime)),
            seen_breakages,
            born_after,
            dead: false,
        }))
    }

    fn is_published(&self) -> bool {
        self.number.load(Ordering::Relaxed) != 0
    }

    /// The master has this origin from now on, and is dialled at once.
    pub(crate) fn accept(&self, origin: Origin) {
        *self.known.lock() = Some(origin);
        if let Some(failure) = &mut self.health.lock().failure {
            failure.next_probe = Instant::now();
        }
    }

    /// Puts a verified connection where r2d2's next `connect()` finds it.
    pub(crate) fn lay_in(&self, live: Box<Live>) {
        // An earlier one, whose proof has lapsed, closes outside the lock.
        let earlier = self.stock.lock().replace(live);
        drop(earlier);
    }

    /// The generation has its number: from now on its troubles are of interest.
    pub(crate) fn published(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }

    /// Whether the server still is what it was, and ready for commands: it is asked on this connection,
    /// until `deadline`.
    fn answers(&self, live: &mut Live, deadline: Instant) -> bool {
        let inquiry = live.connection.greeting().inquiry;
        let mut packed = Vec::with_capacity(64);
        inquiry.write(&mut packed);
        // A server that loads its data, or has lost its master, tells its role all the same.
        packed.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
        let answer = live.connection.request_many(&packed, 0, 2, Some(deadline));
        // A silent server is asked once: its other connections are not waited for in turn.
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::CommandTimeout) {
            self.note_silence();
        }
        let role = answer.ok().and_then(|replies| inquiry.read(replies.values.first()?));
        let greeted = live.connection.greeting().role.as_ref();
        let kind = |role: &Role| role.as_str();
        role.as_ref().map(kind) == greeted.map(kind) && live.connection.distress().is_none()
    }

    #[inline]
    pub(crate) fn silences(&self) -> u64 {
        self.silences.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn breakages(&self) -> u64 {
        self.breakages.load(Ordering::Relaxed)
    }

    pub(crate) fn note_breakage(&self) {
        self.breakages.fetch_add(1, Ordering::Relaxed);
    }

    /// A command waited in vain: connections made before are not trusted any more, and the next
    /// dial may wait in vain as well.
    pub(crate) fn note_silence(&self) {
        self.silences.fetch_add(1, Ordering::Relaxed);
        let silent = || {
            Error::new(
                ErrorKind::Disconnected,
                format!("{}: no reply within the command timeout", self.route.now()),
            )
        };
        self.health.lock().failure.get_or_insert_with(|| Failure {
            error: silent(),
            slow: true,
            probing: false,
            next_probe: Instant::now(),
        });
    }

    /// Reports trouble to the watch, but not again within [`ALARM_PAUSE`], and more seldom the longer
    /// it lasts: one alarm queries every sentinel, and a thousand at a time bring no more.
    pub(crate) fn raise_alarm(&self, trouble: Trouble) {
        let number = self.number.load(Ordering::Relaxed);
        if number == 0 || self.gate.is_retired() {
            return;
        }
        if Alarms::is_due(&mut self.alarms.lock(), Instant::now()) {
            (self.alarm)(number, trouble);
        }
    }

    /// The last failure, while the server has not been reached since.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.health.lock().failure.as_ref().map(|failure| failure.error.clone())
    }

    /// May this thread dial now? If not, the error of whoever tried last. A server that kept that
    /// one waiting is probed elsewhere: r2d2's threads are everybody's.
    fn ask_to_dial(self: &Arc<Self>) -> Result<(), Error> {
        let mut health = self.health.lock();
        let Some(failure) = &mut health.failure else { return Ok(()) };
        if failure.probing || Instant::now() < failure.next_probe {
            return Err(failure.error.clone());
        }
        failure.probing = true;
        let Some(workers) = self.workers.upgrade().filter(|_| failure.slow) else {
            return Ok(());
        };
        let error = failure.error.clone();
        drop(health);
        let manager = self.clone();
        workers.probe(move || {
            // r2d2 tries again within a quarter of a second, and finds it.
            if let Ok(live) = manager.try_dial() {
                manager.lay_in(live);
            }
        });
        Err(error)
    }

    /// Dials, survives what that does, and remembers how it went.
    fn try_dial(&self) -> Result<Box<Live>, Error> {
        let began = Instant::now();
        // A panic here would lose the slot for ever: r2d2 counts it as being dialled.
        let dialled = catch_unwind(AssertUnwindSafe(|| self.dial())).unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Internal,
                format!("dialling {} panicked; this is a fault of switchmaster", self.route.now()),
            ))
        });
        self.note(&dialled, began.elapsed() >= SLOW);
        if let Err(error) = &dialled
            && !self.gate.is_retired()
        {
            self.counters.dial_failures.add(1);
            self.raise_alarm(match error.kind() {
                ErrorKind::WrongRole => Trouble::NotMaster,
                _ => Trouble::Disconnected,
            });
        }
        dialled
    }

    fn note(&self, dialled: &Result<Box<Live>, Error>, slow: bool) {
        let mut health = self.health.lock();
        match dialled {
            Ok(_) => {
                if health.failure.take().is_some() {
                    info!("{} {} answers again", self.target.as_str(), self.route.now());
                }
            }
            Err(error) => {
                // The gate of a retired generation refuses its dials: that is no news of the server.
                if health.failure.is_none() && !self.gate.is_retired() {
                    warn!("{error}");
                }
                health.failure = Some(Failure {
                    error: error.clone(),
                    slow,
                    probing: false,
                    next_probe: Instant::now() + PROBE_PAUSE,
                });
            }
        }
    }

    /// What r2d2 gets when it wants one connection more.
    pub(crate) fn connect(self: &Arc<Self>) -> Result<Slot, Error> {
        if self.gate.is_retired() {
            return Ok(Slot::Tombstone);
        }
        if let Some(live) = self.stock.lock().take() {
            return Ok(Slot::Live(live));
        }
        self.ask_to_dial()?;
        let dialled = self.try_dial();
        if self.gate.is_retired() {
            return Ok(Slot::Tombstone);
        }
        dialled.map(Slot::Live)
    }

    /// True when [`Manager::is_fit`] would ask the server, and wait for its answer.
    pub(crate) fn would_ask(&self, slot: &Slot) -> bool {
        let Slot::Live(live) = slot else { return false };
        live.born_after == self.silences()
            && live.seen_breakages != self.breakages()
            && self.gate.is_open()
    }

    /// True when the server may be asked before `deadline`, however long that may take.
    pub(crate) fn has_time_to_ask(&self, deadline: Instant) -> bool {
        deadline.saturating_duration_since(Instant::now()) >= self.settings.dial_timeout
    }

    /// Is this connection worth handing out? Looks closer only when there is a reason to: `peeks`
    /// when it lay idle for long.
    pub(crate) fn is_fit(&self, slot: &mut Slot, peeks: bool) -> bool {
        let Slot::Live(live) = slot else { return false };
        if live.born_after != self.silences() {
            return false;
        }
        let breakages = self.breakages();
        if live.seen_breakages != breakages && !self.gate.is_open() {
            // Behind the fence no question is answered; the next look after it asks.
            live.dead = !live.connection.is_fresh();
        } else if live.seen_breakages != breakages {
            // A server that dies closes its sockets one after another, so a look at this one might
            // come too early. An answer settles it, and costs nobody's command.
            live.seen_breakages = breakages;
            let deadline = Instant::now() + self.settings.dial_timeout;
            live.dead = !live.connection.is_fresh()
                || !self.logs_in_again(live, deadline)
                || !self.answers(live, deadline);
        } else if peeks {
            live.dead = !live.connection.is_fresh();
        }
        !live.dead
    }

    /// Logs in with the valid credentials if they have changed. Returns true when the connection has them.
    /// Blocks until `deadline` at most.
    fn logs_in_again(&self, live: &mut Live, deadline: Instant) -> bool {
        let latest = self.settings.credentials.as_ref().and_then(Source::latest);
        let Some(login) = latest.filter(|own| own.version != live.connection.login_version())
        else {
            return true;
        };
        let done = live.connection.log_in(&login, deadline);
        if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::CommandTimeout) {
            self.note_silence();
        }
        done.is_ok()
    }

    /// The last reply of this connection since the previous call that said that the server is not the
    /// master that takes writes.
    #[inline]
    pub(crate) fn take_distress(&self, live: &mut Live) -> Option<Distress> {
        live.connection.take_distress().filter(|told| self.concerns(*told))
    }

    /// Returns true when the fault concerns this pool. A replica refuses writes by design.
    fn concerns(&self, told: Distress) -> bool {
        self.target == Target::Master || told != Distress::ReadOnly
    }

    /// Whether it is not to be handed out again: r2d2 throws such a one away.
    #[inline]
    pub(crate) fn is_worn(&self, slot: &Slot, now: Moment) -> bool {
        match slot {
            Slot::Tombstone => true,
            Slot::Live(live) => {
                self.gate.is_retired()
                    || live.dead
                    || live.born_after != self.silences()
                    || std::thread::panicking()
                    || !live.connection.is_open()
                    || live.connection.login_version() != self.settings.login_version()
                    || live.connection.state().holds_state()
                    || live.connection.distress().is_some_and(|told| self.concerns(told))
                    || live.expires.is_some_and(|expires| now >= expires)
            }
        }
    }
}

/// A lifetime with up to a tenth taken off, so that connections made together do not end together.
fn jittered(lifetime: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    // RandomState is keyed anew each time: enough randomness for this, without a dependency.
    let random = RandomState::new().hash_one(0_u8) as u32;
    lifetime - lifetime.mul_f64(0.1 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_become_rare_while_a_fault_lasts() {
        let begin = Instant::now();
        let (mut alarms, mut count) = (None, Vec::new());
        for milli in 0..120_000 {
            if Alarms::is_due(&mut alarms, begin + Duration::from_millis(milli)) {
                count.push(milli);
            }
        }
        let within = |from, to| count.iter().filter(|at| (from..to).contains(*at)).count();
        assert_eq!(count[..3], [0, 20, 40]);
        assert!(within(4_000, 5_000) >= 10, "a failover is followed as before");
        assert!(within(64_000, 120_000) <= 57, "{}", within(64_000, 120_000));
        // The next fault queries the sentinels at once.
        assert!(Alarms::is_due(&mut alarms, begin + Duration::from_millis(123_100)));
        assert!(Alarms::is_due(&mut alarms, begin + Duration::from_millis(123_120)));
    }

    #[test]
    fn lifetimes_differ_by_at_most_a_tenth() {
        let hour = Duration::from_secs(3600);
        let lifetimes: std::collections::BTreeSet<_> = (0..100).map(|_| jittered(hour)).collect();
        assert!(lifetimes.len() > 50, "they differ");
        assert!(lifetimes.iter().all(|l| *l <= hour && *l >= hour.mul_f64(0.9)));
    }
}
