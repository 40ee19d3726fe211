//! One factory's service within a watch: its machine, and what the machine drives.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    address_map::{AddressMap, Route},
    broadcast::Broadcast,
    event::{Event, FenceReason, Source},
    metrics::Counters,
    origin::Origin,
    pool::{Candidate, Pool, Replicas},
    topology::{Action, Audience, Input, Machine, Report},
    watch::{
        Order, Recorder, account::Account, promotion::PromotionLink, recovery::Recovery,
        settling::Settling,
    },
    workers::Ticket,
};

/// The first pause between two rounds of calling blocking commands back, and the longest.
const CALL_BACK_PAUSE: Duration = Duration::from_millis(3);
const CALL_BACK_PAUSE_MAX: Duration = Duration::from_millis(250);

/// The pause between the first two times that all nodes are asked how far their data go.
const FIRST_PULSE: Duration = Duration::from_millis(10);

/// The way to a sentinel: its announced address, and where the address map of the service leads. The
/// services whose maps lead to the same place share a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub(super) announced: Address,
    pub(super) reached: Address,
}

impl Way {
    /// This way and no other.
    pub(super) fn route(&self) -> Route {
        let mut map = AddressMap::default();
        // The table is empty, so no row contradicts this one.
        let _ = map.insert(self.announced.clone(), self.reached.clone());
        Route { announced: self.announced.clone(), map }
    }
}

pub(super) struct Service {
    pub(super) name: String,
    pub(super) machine: Machine,
    pub(super) pool: Arc<Pool>,
    /// The pools of the replicas that are read from.
    pub(super) replicas: Arc<Replicas>,
    pub(super) events: Arc<Broadcast>,
    pub(super) counters: Arc<Counters>,
    /// Masters-to-be that are dialled or stand ready.
    pub(super) candidates: HashMap<Address, Arc<Candidate>>,
    /// The dials of candidates that are under way: one at a time for each.
    pub(super) dialling: HashMap<Address, Ticket>,
    /// The map to the addresses where the sentinels and the nodes of this service are reached.
    pub(super) map: AddressMap,
    pub(super) client_name: Option<String>,
    /// The sentinels that this service listens to, and where they were reached when their link was
    /// last made.
    pub(super) wanted: HashMap<Address, Address>,
    /// The promotion links.
    pub(super) nodes: BTreeMap<Address, PromotionLink>,
    /// When each sentinel was asked the question that is open.
    asked: HashMap<Address, Instant>,
    /// While commands wait: when blocking ones that are still under way are called back next, and
    /// the pause after that.
    calls: Option<(Instant, Duration)>,
    /// While replicas are read from: when the nodes are asked how far their data go.
    pulse: Option<Pulse>,
    /// When the nodes were asked whose replies wait to be handled, in their order.
    asked_nodes: VecDeque<Instant>,
    recorder: Option<Recorder>,
    /// When the machine wants to be woken.
    wake: Option<Instant>,
    account: Account,
    /// The generation before, until it is known what ran on it.
    settling: Option<Settling>,
    /// Replicas are read from, which a machine that is rebuilt has to know.
    reads: bool,
    pub(super) recovery: Recovery,
}

/// When all nodes are asked next, the pause after that, and the longest one.
struct Pulse {
    next: Instant,
    pause: Duration,
    every: Duration,
}

impl Service {
    pub(super) fn new(order: Order) -> Service {
        Service {
            name: order.rules.service.clone(),
            machine: Machine::new(order.rules),
            pool: order.pool,
            replicas: order.replicas,
            events: order.events,
            counters: order.counters,
            candidates: HashMap::new(),
            dialling: HashMap::new(),
            map: order.map,
            client_name: order.client_name,
            wanted: HashMap::new(),
            nodes: BTreeMap::new(),
            asked: HashMap::new(),
            calls: None,
            pulse: None,
            asked_nodes: VecDeque::new(),
            recorder: order.recorder,
            wake: None,
            account: Account::default(),
            settling: None,
            reads: false,
            recovery: Recovery::default(),
        }
    }

    /// Has the machine take an input, and says what is to be done about it.
    pub(super) fn handle(&mut self, mut input: Input) -> Vec<Action> {
        let now = Instant::now();
        self.reads |= matches!(input, Input::ReadReplicas);
        #[cfg(test)]
        super::recovery::strike(&self.name);
        if let Input::Node { report: Report::Progress(progress), .. } = &mut input
            && let Some(asked) = self.asked_nodes.pop_front()
        {
            // The wait to be handled is a part of it: the machine counts back from now.
            progress.took = now.saturating_duration_since(asked);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.input(now, &input);
        }
        let actions = self.machine.handle(now, input);
        self.wake = self.machine.next_wake();
        if let Some(recorder) = &mut self.recorder {
            recorder.actions(&actions);
        }
        actions
    }

    /// The time of the machine's next timer, or of its rebuild.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.recovery.due().or(self.wake)
    }

    /// Puts a machine that serves the same master in the place of the one that failed. Returns the
    /// inputs that it starts with; the established links to sentinels follow.
    pub(super) fn rebuild(&mut self, seeds: &[Address], now: Instant) -> Vec<Input> {
        let current = self.pool.current();
        let served = current.as_ref().map(|own| (own.number(), own.address()));
        self.machine = self.machine.rebuilt(now, served);
        self.wake = None;
        self.wanted.clear();
        self.asked.clear();
        self.nodes.clear();
        self.pulse = None;
        self.nothing_waits();
        self.candidates.drain().for_each(|(_, candidate)| candidate.abandon());
        self.dialling.clear();
        let start = Input::Start { seeds: seeds.to_vec() };
        [start].into_iter().chain(self.reads.then_some(Input::ReadReplicas)).collect()
    }

    /// Listens to a sentinel from now on; returns the way to it.
    pub(super) fn want(&mut self, sentinel: &Address) -> Way {
        let reached = self.map.map(sentinel);
        self.wanted.insert(sentinel.clone(), reached.clone());
        Way { announced: sentinel.clone(), reached }
    }

    /// The way to a sentinel that it listens to.
    pub(super) fn way(&self, sentinel: &Address) -> Option<Way> {
        let reached = self.wanted.get(sentinel)?.clone();
        Some(Way { announced: sentinel.clone(), reached })
    }

    pub(super) fn wants(&self, way: &Way) -> bool {
        self.wanted.get(&way.announced) == Some(&way.reached)
    }

    /// Whether this is of interest to it.
    pub(super) fn is_among(&self, audience: &Audience) -> bool {
        match audience {
            Audience::All => true,
            Audience::Service(name) => self.name == *name,
            Audience::Nobody => self.recorder.is_some(),
        }
    }

    /// Tells the user.
    pub(super) fn report(&self, event: &Event) {
        if matches!(event, Event::Malformed { .. }) {
            self.counters.malformed_messages.add(1);
        }
        self.events.send(event);
    }

    pub(super) fn fence(&mut self, reason: &FenceReason) {
        if self.calls.is_none() {
            self.counters.fences.add(1);
        }
        self.calls = Some((Instant::now(), CALL_BACK_PAUSE));
        self.pool.raise(why(reason));
    }

    pub(super) fn unfence(&mut self) {
        self.calls = None;
        self.pool.lift();
    }

    /// A sentinel is about to be asked.
    pub(super) fn asks(&mut self, sentinel: &Address, now: Instant) {
        self.asked.insert(sentinel.clone(), now);
    }

    /// Whether the answer to a question that was asked then is the one that is awaited. Services of
    /// one name share the links, and one's answer may be older than the other's question.
    pub(super) fn awaits(&mut self, sentinel: &Address, asked: Instant) -> bool {
        let awaited = self.asked.get(sentinel).is_some_and(|since| asked >= *since);
        if awaited {
            self.asked.remove(sentinel);
        }
        awaited
    }

    /// When blocking commands are to be called back next.
    pub(super) fn next_call(&self) -> Option<Instant> {
        self.calls.map(|(next, _)| next)
    }

    /// The connections whose blocking commands are to be called back now.
    pub(super) fn due_for_a_call(&mut self, now: Instant) -> Vec<i64> {
        let Some((next, pause)) = &mut self.calls else { return Vec::new() };
        if now < *next {
            return Vec::new();
        }
        *next = now + *pause;
        *pause = (*pause * 2).min(CALL_BACK_PAUSE_MAX);
        self.pool.blocked()
    }

    /// A node that was asked then told how far its data go, which is handled next.
    pub(super) fn progress_waits(&mut self, asked: Instant) {
        self.asked_nodes.push_back(asked);
    }

    /// Nothing waits to be handled any longer.
    pub(super) fn nothing_waits(&mut self) {
        self.asked_nodes.clear();
    }

    /// Has all nodes asked now and then so often, at first more often.
    pub(super) fn pulse(&mut self, every: Duration) {
        if self.pulse.is_none() {
            self.nodes.values_mut().for_each(PromotionLink::measure);
        }
        let pause = FIRST_PULSE.min(every);
        self.pulse = Some(Pulse { next: Instant::now(), pause, every });
    }

    /// When all nodes are asked next; `None` while nobody reads from replicas.
    pub(super) fn next_pulse(&self) -> Option<Instant> {
        self.pulse.as_ref().map(|pulse| pulse.next)
    }

    pub(super) fn is_due_for_a_pulse(&mut self, now: Instant) -> bool {
        let Some(pulse) = self.pulse.as_mut().filter(|pulse| now >= pulse.next) else {
            return false;
        };
        pulse.next = now + pulse.pause;
        pulse.pause = (pulse.pause * 2).min(pulse.every);
        true
    }

    /// A node answered after so long.
    pub(super) fn measured(&self, node: &Address, took: Duration) {
        self.replicas.measured(node, took, self.machine.is_served(node));
    }

    /// A sentinel is being asked something, whoever wants to know it.
    pub(super) fn asks_sentinel(&mut self, sentinel: &Address) {
        self.account.asks_sentinel(sentinel, self.pool.commands());
    }

    /// A sentinel answered something. News of a failover would have come by the same way before, or
    /// from the node that was promoted.
    pub(super) fn sentinel_answers(&mut self, sentinel: &Address) {
        self.account.sentinel_answers(sentinel, self.machine.is_calm());
    }

    /// A sentinel is not listened to any longer.
    pub(super) fn forget_sentinel(&mut self, sentinel: &Address) {
        self.wanted.remove(sentinel);
        self.asked.remove(sentinel);
        self.account.forget_sentinel(sentinel);
    }

    /// A node is not watched any longer.
    pub(super) fn forget_node(&mut self, node: &Address) {
        self.nodes.remove(node);
        self.account.forget_node(node);
    }

    /// A node is being asked for its ROLE.
    pub(super) fn asks_node(&mut self, node: &Address) {
        self.account.asks_node(node, self.pool.commands());
    }

    /// A node told whom it follows, if anybody.
    pub(super) fn node_follows(&mut self, node: &Address, master: Option<&Address>) {
        let ours = master.is_some_and(|master| self.machine.is_served(master));
        self.account.node_answers(node, ours);
    }

    /// The link to a node ended. If it leads to the master, its other connections have to prove
    /// themselves before they are used again.
    pub(super) fn is_gone(&self, node: &Address) {
        if let Some(generation) = self.pool.current().filter(|_| self.machine.is_served(node)) {
            generation.note_breakage();
        }
    }

    /// The server at the master's address has another history, and is the master nevertheless.
    pub(super) fn accept_history(&mut self, master: &Address, origin: Origin) {
        // It was dialled to be verified, and no switch follows.
        if let Some(candidate) = self.candidates.remove(master) {
            candidate.abandon();
        }
        if let Some(generation) = self.pool.current().filter(|own| own.address() == master) {
            generation.accept(origin);
        }
    }

    /// What runs on the master may be lost: from its beginning, or from when so many sentinels
    /// were heard last.
    pub(super) fn doubt(&mut self, majority: Option<usize>) {
        self.account.doubt(majority);
    }

    /// What ran meanwhile is safe.
    pub(super) fn trust(&mut self, source: Source) {
        let Some(since) = self.account.trust() else { return };
        let Some(generation) = self.pool.current() else { return };
        let commands = generation.gate().commands().saturating_sub(since);
        self.counters.doubtful_commands.add(commands);
        self.report(&Event::Confirmed {
            at: Instant::now(),
            source,
            generation: generation.number(),
            master: generation.address().clone(),
            commands,
        });
    }

    /// The switch: publishes the next generation, and tells what may be lost with the one before.
    pub(super) fn switch(
        &mut self,
        number: u64,
        candidate: Arc<Candidate>,
        fence: Option<&FenceReason>,
        promoted: Option<Instant>,
    ) {
        let previous = self.pool.current();
        self.pool.publish(number, candidate, fence.map(why), promoted);
        self.pool.explain(None);
        for (_, other) in self.candidates.drain() {
            other.abandon();
        }
        self.dialling.clear();
        self.calls = fence.map(|_| (Instant::now(), CALL_BACK_PAUSE));
        let account = std::mem::take(&mut self.account);
        let Some(previous) = previous else { return };
        // The machine serves the next one already.
        let successor = self.nodes.keys().find(|node| self.machine.is_served(node));
        let (since, doubted) = account.close(successor, self.machine.majority());
        self.settle_now();
        self.settling = Some(Settling::new(previous, since, doubted));
        self.settle();
    }

    /// When it is looked again at what became of the commands of the generation before.
    pub(super) fn next_settling(&self) -> Option<Instant> {
        self.settling.as_ref().map(Settling::next)
    }

    /// Tells what may be lost with the generation before, once it is known.
    pub(super) fn settle(&mut self) {
        if let Some(settling) = &mut self.settling
            && settling.is_settled(Instant::now())
        {
            self.settle_now();
        }
    }

    /// Tells what may be lost with the generation before, also if not all is known yet.
    pub(super) fn settle_now(&mut self) {
        let Some(settling) = self.settling.take() else { return };
        let Some(commands) = settling.overruled() else { return };
        self.counters.doubtful_commands.add(commands);
        self.counters.overruled_commands.add(commands);
        self.report(&Event::Overruled {
            at: Instant::now(),
            source: Source::Factory,
            generation: settling.generation().number(),
            master: settling.generation().address().clone(),
            commands,
        });
    }
}

/// For the error of a command that waited in vain.
fn why(reason: &FenceReason) -> &'static str {
    match reason {
        FenceReason::Replacing { .. } => "its successor has been chosen",
        FenceReason::Unconfirmed => "no sentinel has confirmed yet that it is the master",
        FenceReason::Cut => "the sentinel that promoted it is about to cut every connection",
        FenceReason::LostMajority => "fewer than a majority of the sentinels can be heard",
    }
}
