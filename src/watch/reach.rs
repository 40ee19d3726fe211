//! How a link gets its connection: resolve the name, dial each of its addresses, pause, and again.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Registry, Token};

use crate::{
    address::Address,
    address_map::Route,
    connection::Settings,
    watch::{allowance::Allowance, channel::Channel},
};

/// Pauses between attempts to reach a server: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Pauses after floods: the first, and the longest. A peer that floods again costs the watch about a
/// tenth of a second of its time for each of these.
const FIRST_FLOOD_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_FLOOD_PAUSE: Duration = Duration::from_secs(60);

/// A peer that has not flooded for this long starts with the first pause again.
const FLOOD_FORGOTTEN: Duration = Duration::from_secs(300);

/// `getaddrinfo` has no deadline of its own.
const RESOLVING: Duration = Duration::from_secs(60);

/// The way to one server.
pub(crate) struct Reach {
    route: Route,
    /// Where the route leads in this attempt.
    dial_to: Address,
    settings: Arc<Settings>,
    allowance: Allowance,
    token: Token,
    state: State,
    failures: u32,
    /// Floods in a row, and until when the last of them keeps it from being dialled.
    floods: u32,
    banned: Option<Instant>,
}

enum State {
    Paused { until: Instant },
    Resolving { until: Instant },
    Dialling { others: VecDeque<SocketAddr>, until: Instant },
    Reached,
}

/// What came of it.
pub(crate) enum Step {
    Nothing,
    /// The host name has to be resolved, or credentials supplied; the outcome goes to [`Reach::resolved`].
    Resolve,
    /// A connection is being made. [`Reach::reached`] or [`Reach::refused`] is to follow.
    Dialling(Box<Channel>),
    /// Nothing more to try for now.
    Failed(String),
}

impl Reach {
    pub(crate) fn new(
        route: Route,
        settings: Arc<Settings>,
        allowance: Allowance,
        token: Token,
        now: Instant,
    ) -> Reach {
        Reach {
            dial_to: route.announced.clone(),
            route,
            settings,
            allowance,
            token,
            state: State::Paused { until: now },
            failures: 0,
            floods: 0,
            banned: None,
        }
    }

    pub(crate) fn dial_to(&self) -> &Address {
        &self.dial_to
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A connection is being made, and there is no other address to try.
    #[cfg(any(fuzzing, test))]
    pub(super) fn dials_a_script(&mut self, now: Instant) {
        let until = now + self.settings.dial_timeout;
        self.state = State::Dialling { others: VecDeque::new(), until };
    }

    pub(crate) fn is_paused(&self) -> bool {
        matches!(self.state, State::Paused { .. })
    }

    /// The name that the next connections introduce themselves by; returns whether it is another
    /// one than before.
    pub(crate) fn name(&mut self, name: &Option<String>) -> bool {
        if self.settings.client_name == *name {
            return false;
        }
        let named = Settings { client_name: name.clone(), ..Settings::clone(&self.settings) };
        self.settings = Arc::new(named);
        true
    }

    pub(crate) fn is_dialling(&self) -> bool {
        matches!(self.state, State::Dialling { .. })
    }

    /// When [`Reach::tick`] has something to do; `None` while the server is reached.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        match &self.state {
            State::Paused { until }
            | State::Resolving { until }
            | State::Dialling { until, .. } => Some(*until),
            State::Reached => None,
        }
    }

    pub(crate) fn tick(&mut self, now: Instant, registry: &Registry) -> Step {
        match &self.state {
            State::Paused { until } if now >= *until => {
                self.dial_to = self.route.now();
                match self.dial_to.ip() {
                    Some(ip) if self.settings.credentials.is_none() => {
                        let address = SocketAddr::new(ip, self.dial_to.port());
                        self.resolved(Ok(vec![address]), now, registry)
                    }
                    Some(_) => {
                        self.state = State::Resolving { until: now + self.settings.dial_timeout };
                        Step::Resolve
                    }
                    None => {
                        self.state = State::Resolving { until: now + RESOLVING };
                        Step::Resolve
                    }
                }
            }
            State::Resolving { until } if now >= *until => {
                let missing = match self.dial_to.ip() {
                    Some(_) => format!(
                        "the credentials provider has not answered within {:?}",
                        self.settings.dial_timeout
                    ),
                    None => format!("its name was not resolved within {RESOLVING:?}"),
                };
                self.fail(missing, now)
            }
            State::Dialling { until, .. } if now >= *until => {
                let within = self.settings.dial_timeout;
                let hint = match self.settings.tls {
                    Some(_) => " (check that it is up, and that this port speaks TLS)",
                    None => "",
                };
                self.refused(format!("no answer within {within:?}{hint}"), now, registry)
            }
            _ => Step::Nothing,
        }
    }

    /// The addresses that the name stands for now, or why there are none.
    pub(crate) fn resolved(
        &mut self,
        addresses: Result<Vec<SocketAddr>, String>,
        now: Instant,
        registry: &Registry,
    ) -> Step {
        if !matches!(self.state, State::Paused { .. } | State::Resolving { .. }) {
            // Too late: another attempt has got further.
            return Step::Nothing;
        }
        match addresses {
            Err(reason) => self.fail(reason, now),
            Ok(addresses) => {
                self.state = State::Dialling { others: addresses.into(), until: now };
                self.refused("the name stands for no address".to_owned(), now, registry)
            }
        }
    }

    /// The attempt failed: tries the next address. `reason` is told when there is none.
    pub(crate) fn refused(&mut self, reason: String, now: Instant, registry: &Registry) -> Step {
        let mut reason = reason;
        while let State::Dialling { others, until } = &mut self.state {
            let Some(address) = others.pop_front() else { break };
            *until = now + self.settings.dial_timeout;
            let connecting = Channel::connect(
                address,
                &self.route.announced,
                &self.dial_to,
                &self.settings,
                self.allowance.clone(),
                registry,
                self.token,
            );
            match connecting {
                Ok(channel) => return Step::Dialling(Box::new(channel)),
                Err(error) => reason = error.to_string(),
            }
        }
        self.fail(reason, now)
    }

    /// The connection stands.
    pub(crate) fn reached(&mut self) {
        self.state = State::Reached;
    }

    /// It proved itself: the next loss is the first one again.
    pub(crate) fn proven(&mut self) {
        self.failures = 0;
    }

    /// It ended, or cannot be had: tries again after a pause.
    pub(crate) fn lost(&mut self, now: Instant) {
        self.state = State::Paused { until: now + pause(self.failures) };
        self.failures = self.failures.saturating_add(1);
    }

    /// It ended, and whether it can be had again is to be known as soon as that.
    pub(crate) fn again(&mut self, at: Instant) {
        self.state = State::Paused { until: at };
    }

    /// It ended because the peer sent more than its allowance: pauses for longer than after a loss.
    pub(crate) fn flooded(&mut self, now: Instant) {
        if self.banned.is_some_and(|until| now >= until + FLOOD_FORGOTTEN) {
            self.floods = 0;
        }
        let pause = FIRST_FLOOD_PAUSE.saturating_mul(1 << self.floods.min(10));
        let until = now + pause.min(LONGEST_FLOOD_PAUSE);
        self.floods += 1;
        self.banned = Some(until);
        self.state = State::Paused { until };
    }

    /// It is not to be dialled before then.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.banned = Some(until);
        self.state = State::Paused { until };
    }

    /// It is wanted more than before: a pause ends now, and the next ones are short again. The pause
    /// after a flood does not.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.failures = 0;
        if let State::Paused { until } = &mut self.state {
            *until = self.banned.map_or(now, |banned| banned.max(now));
        }
    }

    fn fail(&mut self, reason: String, now: Instant) -> Step {
        self.lost(now);
        Step::Failed(reason)
    }
}

/// The pause before attempt `failures + 1`: doubling, capped, and up to a quarter shorter or
/// longer, so that many programs do not knock at a restarted server in the same instant.
fn pause(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    let random = RandomState::new().hash_one(failures) as u32;
    doubled.mul_f64(0.75 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_cap_and_differ() {
        for failures in 0..100 {
            let middle = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
            let pause = pause(failures);
            assert!(pause >= middle.mul_f64(0.74) && pause <= middle.mul_f64(1.26), "{failures}");
        }
        let different: std::collections::BTreeSet<_> = (0..50).map(|_| pause(3)).collect();
        assert!(different.len() > 10);
    }

    #[test]
    fn who_is_wanted_more_is_not_paused_for() {
        let now = Instant::now();
        let route = Route { announced: "127.0.0.1:1".parse().unwrap(), map: Default::default() };
        let allowance = Allowance::of_node();
        let mut reach = Reach::new(route, Arc::default(), allowance, Token(0), now);
        for _ in 0..10 {
            reach.lost(now);
        }
        assert!(reach.next_wake() > Some(now + LONGEST_PAUSE / 2));
        reach.hurry(now);
        assert_eq!(reach.next_wake(), Some(now));
        reach.lost(now);
        assert!(reach.next_wake() < Some(now + FIRST_PAUSE * 2));
    }

    #[test]
    fn a_peer_that_floods_again_and_again_is_dialled_once_a_minute() {
        let mut now = Instant::now();
        let route = Route { announced: "127.0.0.1:1".parse().unwrap(), map: Default::default() };
        let allowance = Allowance::of_node();
        let mut reach = Reach::new(route, Arc::default(), allowance, Token(0), now);
        for flood in 0..20 {
            reach.flooded(now);
            let pause = FIRST_FLOOD_PAUSE * (1 << flood.min(6));
            assert_eq!(reach.next_wake(), Some(now + pause.min(LONGEST_FLOOD_PAUSE)));
            reach.hurry(now);
            assert_eq!(reach.next_wake(), Some(now + pause.min(LONGEST_FLOOD_PAUSE)));
            now = reach.next_wake().unwrap();
        }
        reach.flooded(now + LONGEST_FLOOD_PAUSE + FLOOD_FORGOTTEN);
        let again = now + LONGEST_FLOOD_PAUSE + FLOOD_FORGOTTEN + FIRST_FLOOD_PAUSE;
        assert_eq!(reach.next_wake(), Some(again));
    }
}
