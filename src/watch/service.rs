//! One factory's service within a watch: its machine, and what the machine drives.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    broadcast::Broadcast,
    event::{Event, FenceReason, Source},
    metrics::Counters,
    pool::{Candidate, Pool},
    topology::{Action, Audience, Input, Machine},
    watch::{Order, Recorder, account::Account, promotion::PromotionLink},
};

/// The first pause between two rounds of calling blocking commands back, and the longest.
const CALL_BACK_PAUSE: Duration = Duration::from_millis(3);
const CALL_BACK_PAUSE_MAX: Duration = Duration::from_millis(250);

pub(super) struct Service {
    pub(super) name: String,
    pub(super) machine: Machine,
    pub(super) pool: Arc<Pool>,
    pub(super) events: Arc<Broadcast>,
    pub(super) counters: Arc<Counters>,
    /// Masters-to-be that are dialled or stand ready.
    pub(super) candidates: HashMap<Address, Arc<Candidate>>,
    /// Candidates whose dial is under way: one at a time for each.
    pub(super) dialling: HashSet<Address>,
    /// The sentinels that this service listens to.
    pub(super) wanted: HashSet<Address>,
    /// The promotion links.
    pub(super) nodes: BTreeMap<Address, PromotionLink>,
    /// When each sentinel was asked the question that is open.
    asked: HashMap<Address, Instant>,
    /// While commands wait: when blocking ones that are still under way are called back next, and
    /// the pause after that.
    calls: Option<(Instant, Duration)>,
    recorder: Option<Recorder>,
    /// When the machine wants to be woken.
    wake: Option<Instant>,
    account: Account,
}

impl Service {
    pub(super) fn new(order: Order) -> Service {
        Service {
            name: order.rules.service.clone(),
            machine: Machine::new(order.rules),
            pool: order.pool,
            events: order.events,
            counters: order.counters,
            candidates: HashMap::new(),
            dialling: HashSet::new(),
            wanted: HashSet::new(),
            nodes: BTreeMap::new(),
            asked: HashMap::new(),
            calls: None,
            recorder: order.recorder,
            wake: None,
            account: Account::default(),
        }
    }

    /// Has the machine take an input, and says what is to be done about it.
    pub(super) fn handle(&mut self, input: Input) -> Vec<Action> {
        let now = Instant::now();
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

    /// When the machine wants time to pass, as it said last.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.wake
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

    /// A sentinel is being asked something, whoever wants to know it.
    pub(super) fn asks_sentinel(&mut self, sentinel: &Address) {
        self.account.asks_sentinel(sentinel, self.pool.commands());
    }

    /// A sentinel answered something. News of a failover would have come by the same way before, or
    /// from the node that was promoted.
    pub(super) fn sentinel_answers(&mut self, sentinel: &Address) {
        self.account.sentinel_answers(sentinel, self.machine.is_calm());
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
        let commands = previous.gate().commands().saturating_sub(since);
        if doubted || commands > 0 {
            self.counters.doubtful_commands.add(commands);
            self.counters.overruled_commands.add(commands);
            self.report(&Event::Overruled {
                at: Instant::now(),
                source: Source::Factory,
                generation: previous.number(),
                master: previous.address().clone(),
                commands,
            });
        }
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
