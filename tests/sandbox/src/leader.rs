//! Sentinels that lead a failover: to kill one at the promotion, and to have two at once.

use std::time::{Duration, Instant};

use crate::{
    Client, Cluster, Error, ErrorKind, Node, Probe, Promotion, Result, Sentinel, cluster::answers,
    frame::Frame, health, patience::wait_until,
};

/// The pause between two looks for a leader. A choice is made some 70 ms before the promotion.
const LOOK: Duration = Duration::from_millis(1);
/// How often a leader that was found is asked whether it still leads.
const DOUBT: Duration = Duration::from_millis(50);
/// A sentinel that does not answer within this is not waited for.
const REPLY: Duration = Duration::from_millis(100);
/// A sentinel in a failover asks for INFO when its last one is a second old. What it is not to learn has to be
/// ordered, and acted on, well before that.
const BLIND: Duration = Duration::from_millis(450);
const ATTEMPTS: usize = 20;
/// An INFO that is due in a tenth of a second has come within this.
const INFO: Duration = Duration::from_secs(5);
/// An order is answered within this, and the choice made.
const ANSWER: Duration = Duration::from_secs(1);
const CHOICE: Duration = Duration::from_secs(1);

/// What [`Cluster::kill_leader_at_promotion`] did.
#[derive(Clone)]
pub struct KilledLeader {
    /// The sentinel that led the failover, and is down now.
    pub sentinel: Sentinel,
    /// The promotion after which it was killed.
    pub promotion: Promotion,
    /// When it was gone.
    pub at: Instant,
}

/// One of two sentinels that were told to fail over at the same moment.
pub struct Rival {
    /// The sentinel.
    pub sentinel: Sentinel,
    /// What it answered. Both usually accept, since none has heard of the other yet.
    pub answer: Result<()>,
}

/// A sentinel that is asked again and again.
struct Asked<'a> {
    sentinel: &'a Sentinel,
    client: Option<Client>,
}

impl Asked<'_> {
    /// The state of its failover; empty when there is none, or no answer.
    fn state(&mut self, service: &str) -> String {
        if !answers(self.sentinel) {
            self.client = None;
            return String::new();
        }
        if self.client.is_none() {
            self.client = self.sentinel.client_with(REPLY).ok();
        }
        let reply = self.client.as_mut().map(|c| c.expect(&["SENTINEL", "MASTER", service]));
        match reply {
            Some(Ok(reply)) => reply.field_text("failover-state"),
            _ => {
                self.client = None;
                String::new()
            }
        }
    }

    /// Whether it has won: one that waits to be elected may be a rival who will not be.
    fn leads(&mut self, service: &str) -> bool {
        !matches!(self.state(service).as_str(), "" | "none" | "wait_start")
    }
}

impl Cluster {
    /// Waits for a failover of the service that `probe` watches, and kills the sentinel that leads it at the instant of
    /// the promotion (P), a millisecond or so after it: before it notices, and some 0.8 s before it would tell anybody.
    ///
    /// The other sentinels begin again after twice the [`failover_timeout`](crate::Builder::failover_timeout), and
    /// may promote another replica then. When two sentinels lead, it is the first one found.
    ///
    /// Order the failover, or the fault that leads to one, just before, and start the probe before that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] without a promotion in time, or when nobody was seen to lead it, as when this is
    /// called after it; with the ends of the logs. Those of [`Member::kill`](crate::Member::kill).
    pub fn kill_leader_at_promotion(
        &self,
        probe: &Probe,
        timeout: Duration,
    ) -> Result<KilledLeader> {
        let deadline = Instant::now() + timeout;
        let mut asked: Vec<_> = self
            .sentinels()
            .iter()
            .map(|sentinel| Asked { sentinel, client: sentinel.client_with(REPLY).ok() })
            .collect();
        let mut leader: Option<usize> = None;
        loop {
            leader = match leader {
                Some(index) if asked[index].leads(probe.service()) => Some(index),
                _ => asked.iter_mut().position(|asked| asked.leads(probe.service())),
            };
            let pause = if leader.is_some() { DOUBT } else { LOOK };
            let promotion = probe.promotion(pause);
            if promotion.is_none() && Instant::now() < deadline {
                continue;
            }
            let describe = |what| {
                let message = health::describe(self, "lost no leader at a promotion", what);
                Error::new(ErrorKind::Timeout, message)
            };
            let promotion = promotion.ok_or_else(|| describe("nobody was promoted in time"))?;
            let leader = leader.ok_or_else(|| describe("no sentinel was seen to lead it"))?;
            let sentinel = asked[leader].sentinel.clone();
            sentinel.kill()?;
            return Ok(KilledLeader { sentinel, promotion, at: Instant::now() });
        }
    }

    /// Orders a failover of the first service on two sentinels at the same moment. Nobody votes on such an order, so
    /// both lead one, in the same epoch; usually they choose the same replica.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when not two sentinels are running. What the two answer is in the result.
    pub fn two_failovers_at_once(&self) -> Result<[Rival; 2]> {
        let [first, second] = self.two_sentinels()?;
        self.order_both(first, second)
    }

    fn two_sentinels(&self) -> Result<[&Sentinel; 2]> {
        let mut running = self.sentinels().iter().filter(|sentinel| answers(sentinel));
        let (Some(first), Some(second)) = (running.next(), running.next()) else {
            let message = "two failovers at once: they need two running sentinels";
            return Err(Error::new(ErrorKind::Config, message));
        };
        Ok([first, second])
    }

    /// Both connections are there before the first order is sent, so that only some ten microseconds lie between them.
    fn order_both(&self, first: &Sentinel, second: &Sentinel) -> Result<[Rival; 2]> {
        let words = ["SENTINEL", "FAILOVER", self.service()];
        let mut clients = [first.client()?, second.client()?];
        for client in &mut clients {
            client.send(&words)?;
        }
        let [one, other] = clients;
        let rival = |sentinel: &Sentinel, mut client: Client| {
            let failed = |kind, why: &str| {
                Err(Error::new(kind, format!("SENTINEL FAILOVER on {}: {why}", sentinel.name())))
            };
            let answer = match client.read(ANSWER)? {
                Some(Frame::Error(text)) => failed(ErrorKind::Refused, &text),
                Some(_) => Ok(()),
                None => failed(ErrorKind::Timeout, "no answer"),
            };
            Ok(Rival { sentinel: sentinel.clone(), answer })
        };
        Ok([rival(first, one)?, rival(second, other)?])
    }

    /// Like [`two_failovers_at_once`](Cluster::two_failovers_at_once), with two sentinels that choose different
    /// replicas: both are promoted and take writes for about half a second, until one of the two has told the other.
    ///
    /// It raises the priority of one replica and lowers it again in a way that only one of the sentinels has heard of
    /// when both choose, and gives the replicas their priorities back when they have chosen. That needs a moment
    /// in which the other one has just asked for INFO; it is waited for, and takes about half a second.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when not two sentinels and two replicas are running, [`ErrorKind::Refused`] by sentinels
    /// before 7.0, [`ErrorKind::Timeout`] when the machine was too slow for it, time and again.
    pub fn two_failovers_apart(&self) -> Result<[Rival; 2]> {
        let [first, second] = self.two_sentinels()?;
        let master = self.master()?.port();
        let mut replicas =
            self.nodes().iter().filter(|node| node.port() != master && answers(node));
        let (Some(one), Some(other)) = (replicas.next(), replicas.next()) else {
            let message = "two failovers apart: they need two running replicas to choose from";
            return Err(Error::new(ErrorKind::Config, message));
        };
        let before = [priority(one)?, priority(other)?];
        let rivals = self.order_apart(first, second, one, other);
        let restored = [give_back(one, &before[0]), give_back(other, &before[1])];
        for sentinel in [first, second] {
            info_period(sentinel, "10000")?;
        }
        let rivals = rivals?;
        restored.into_iter().collect::<Result<Vec<()>>>()?;
        Ok(rivals)
    }

    /// `first` is to choose `other`, and `second`, which does not hear the last word, `one`.
    fn order_apart(
        &self,
        first: &Sentinel,
        second: &Sentinel,
        one: &Node,
        other: &Node,
    ) -> Result<[Rival; 2]> {
        for _ in 0..ATTEMPTS {
            set_priority(one, "50")?;
            set_priority(other, "100")?;
            for sentinel in [first, second] {
                info_period(sentinel, "100")?;
                let knows =
                    || sees(sentinel, one, "50").and_then(|()| sees(sentinel, other, "100"));
                sentinel.wait(Instant::now() + INFO, knows)?;
            }
            // It has heard of the last INFO of `one` a tick ago at most.
            let heard = Instant::now();
            info_period(second, "10000")?;
            set_priority(one, "150")?;
            let in_time = first.wait(heard + BLIND, || sees(first, one, "150")).is_ok();
            if in_time && sees(second, one, "50").is_ok() && heard.elapsed() < BLIND {
                let rivals = self.order_both(first, second)?;
                // Until both have chosen, nothing may change.
                wait_until(CHOICE, || self.has_chosen(first) && self.has_chosen(second));
                return Ok(rivals);
            }
        }
        let message = format!(
            "two failovers apart: in {ATTEMPTS} tries {} did not hear of a priority within {BLIND:?}, while {} had \
             not: the machine is too slow for it",
            first.name(),
            second.name()
        );
        Err(Error::new(ErrorKind::Timeout, message))
    }

    fn has_chosen(&self, sentinel: &Sentinel) -> bool {
        sentinel.describe(self.service()).is_ok_and(|about| {
            !matches!(about.field_text("failover-state").as_str(), "wait_start" | "select_slave")
        })
    }
}

fn priority(node: &Node) -> Result<String> {
    let reply = node.ask(&["CONFIG", "GET", "replica-priority"])?;
    Ok(reply.items().get(1).map(Frame::text).unwrap_or_default())
}

fn set_priority(node: &Node, priority: &str) -> Result<()> {
    node.ask(&["CONFIG", "SET", "replica-priority", priority]).map(|_| ())
}

/// A promotion writes the configuration file, with whatever priority there was at that moment.
fn give_back(node: &Node, priority: &str) -> Result<()> {
    set_priority(node, priority)?;
    node.ask(&["CONFIG", "REWRITE"]).map(|_| ())
}

fn info_period(sentinel: &Sentinel, millis: &str) -> Result<()> {
    sentinel.ask(&["SENTINEL", "DEBUG", "info-period", millis]).map(|_| ())
}

/// Whether a sentinel has heard of this priority.
fn sees(sentinel: &Sentinel, node: &Node, priority: &str) -> std::result::Result<(), String> {
    let reply = sentinel
        .ask(&["SENTINEL", "REPLICAS", node.service()])
        .map_err(|error| error.to_string())?;
    let name = node.address().to_string();
    let entry = reply.items().iter().find(|entry| entry.field_text("name") == name);
    let found = entry.map(|entry| entry.field_text("slave-priority")).unwrap_or_default();
    match found == priority {
        true => Ok(()),
        false => Err(format!("{} has priority {found:?} there, not {priority}", node.name())),
    }
}
