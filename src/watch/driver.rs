//! The driver: feeds the machines of all services of one sentinel set, from links, nodes and users.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};
use log::error;
use mio::{Events, Poll, Token};

use crate::{
    address::Address,
    error::{Error, ErrorKind},
    origin::Origin,
    pool::Candidate,
    topology::{Answer, Audience, Input, Report, Topology, Verification},
    trouble::Trouble,
    watch::{
        Inbox, SentinelSet,
        promotion::{self, Crowd, PromotionLink},
        service::{Service, Way},
        subscriber::{Link, News, TOKENS},
    },
    workers::Workers,
};

/// The poll's token of the inbox. Links have the others.
pub(super) const WAKE: Token = Token(usize::MAX);

/// The longest that the thread sleeps, whatever anybody asked for.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// The thread rests so long after a fault that belongs to no service and to no link.
const FAULT_PAUSE: Duration = Duration::from_millis(10);

/// A link that failed is made again after this long.
const LINK_FAULT_REST: Duration = Duration::from_secs(1);

/// What others tell the watch thread.
pub(super) enum Command {
    Join { id: u64, service: Box<Service> },
    Leave { id: u64, left: Sender<()> },
    Refresh { id: u64 },
    ReadReplicas { id: u64 },
    Refused { id: u64, replica: Address, trouble: Trouble },
    Topology { id: u64, reply: Sender<Topology> },
    Trouble { id: u64, generation: u64, trouble: Trouble },
    Verified { id: u64, candidate: Arc<Candidate>, result: Result<Origin, Error> },
    Resolved { way: Way, addresses: Result<Vec<SocketAddr>, String> },
    NodeResolved { id: u64, node: Address, addresses: Result<Vec<SocketAddr>, String> },
    End,
}

/// Whose socket a token stands for.
#[derive(Clone)]
pub(super) enum Owner {
    Sentinel(Way),
    Node { id: u64, node: Address },
}

pub(super) struct Driver {
    pub(super) poll: Poll,
    commands: Receiver<Command>,
    pub(super) inbox: Inbox,
    pub(super) set: SentinelSet,
    pub(super) workers: std::sync::Weak<Workers>,
    pub(super) links: BTreeMap<Way, Link>,
    pub(super) tokens: HashMap<usize, Owner>,
    pub(super) next_token: usize,
    pub(super) crowd: Crowd,
    pub(super) services: BTreeMap<u64, Service>,
    /// Inputs that wait to be handled.
    pending: VecDeque<(u64, Input)>,
    /// Sockets that used up their share of the last turn. Readiness is reported at its edge only, so
    /// they are read again without it.
    unfinished: BTreeSet<Token>,
}

impl Driver {
    pub(super) fn new(
        poll: Poll,
        commands: Receiver<Command>,
        inbox: Inbox,
        set: SentinelSet,
        workers: &Arc<Workers>,
    ) -> Driver {
        Driver {
            poll,
            commands,
            inbox,
            set,
            // Weak: the workers end with the last factory, which also ends this thread.
            workers: Arc::downgrade(workers),
            links: BTreeMap::new(),
            tokens: HashMap::new(),
            next_token: 0,
            crowd: Crowd::default(),
            services: BTreeMap::new(),
            pending: VecDeque::new(),
            unfinished: BTreeSet::new(),
        }
    }

    /// The thread's life, until [`Command::End`].
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            let begun = Instant::now();
            let mut sleep = Duration::ZERO;
            self.survive(|driver| sleep = driver.sleep(begun));
            if let Err(error) = self.poll.poll(&mut events, Some(sleep))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                error!("the watch cannot poll: {error}");
                std::thread::sleep(FAULT_PAUSE);
            }
            // Those that are there now: what is sent meanwhile wakes the next turn.
            for command in self.commands.clone().try_iter().take(self.commands.len()) {
                if matches!(command, Command::End) {
                    return;
                }
                self.survive(|driver| driver.obey(command));
            }
            let mut unfinished = std::mem::take(&mut self.unfinished);
            for event in &events {
                let token = event.token();
                if token != WAKE {
                    unfinished.remove(&token);
                    self.survive(|driver| driver.ready(token));
                }
            }
            for token in unfinished {
                self.survive(|driver| driver.ready(token));
            }
            // With hundreds of services, looking at each at every arrival is a quarter of the work.
            // What became due by an arrival is due in the next turn, which comes at once then.
            if begun.elapsed() >= sleep {
                self.survive(Driver::tick);
            }
            self.survive(Driver::flush);
        }
    }

    /// Sends what the sentinels are to be asked. When hundreds of services fail over at once, that is
    /// one system call for many questions, and one answer in one piece.
    fn flush(&mut self) {
        let unsent = self.links.iter().filter(|(_, link)| link.has_unsent());
        let unsent: Vec<Way> = unsent.map(|(way, _)| way.clone()).collect();
        for way in unsent {
            self.with_link(&way, |link, now, _, news| link.flush(now, news));
        }
    }

    /// Aligns the running work with the state of a service's machine, after a fault in between.
    fn agree(&mut self, id: u64) {
        let Some(service) = self.services.get_mut(&id) else { return };
        let believed = service.machine.topology();
        match (believed.master, believed.fence) {
            (Some(master), fence) if believed.generation != service.pool.number() => {
                self.switch(id, believed.generation, &master, fence.as_ref(), None);
            }
            (_, Some(reason)) => service.fence(&reason),
            (_, None) => service.unfence(),
        }
        let readable = self.services.get(&id).and_then(|own| own.machine.readable().cloned());
        if let Some(readable) = readable {
            self.read(id, &readable);
        }
    }

    /// Runs a part of a turn, and survives a fault that belongs to no service and to no link.
    fn survive(&mut self, part: impl FnOnce(&mut Driver)) {
        if catch_unwind(AssertUnwindSafe(|| part(self))).is_err() {
            error!("a fault inside the watch was survived; the sentinels are asked again");
            for service in self.services.values() {
                service.counters.watch_faults.add(1);
            }
            // It may come again with the next turn.
            std::thread::sleep(FAULT_PAUSE);
            let ids: Vec<u64> = self.services.keys().copied().collect();
            for id in ids {
                self.guard(id, |driver| driver.agree(id));
                self.push(id, Input::Refresh);
            }
        }
        if catch_unwind(AssertUnwindSafe(|| self.settle())).is_err() {
            error!("a fault inside the watch was survived");
        }
    }

    /// Does something on behalf of one service. A fault in it ends that service's machine, which is
    /// rebuilt, and concerns no other service.
    fn guard(&mut self, id: u64, part: impl FnOnce(&mut Driver)) {
        if catch_unwind(AssertUnwindSafe(|| part(self))).is_ok() {
            return;
        }
        // The waiting inputs were meant for the machine that failed.
        self.pending.retain(|(own, _)| *own != id);
        let Some(service) = self.services.get_mut(&id) else { return };
        error!("a fault in the machine of service {:?}; it is rebuilt", service.name);
        service.counters.watch_faults.add(1);
        service.nothing_waits();
        service.recovery.failed(Instant::now());
    }

    /// Starts a service from its sentinels again. Its master is served meanwhile.
    fn rebuild(&mut self, id: u64) {
        let seeds = self.set.seeds.clone();
        let Some(service) = self.services.get_mut(&id) else { return };
        let inputs = service.rebuild(&seeds, Instant::now());
        let ways: Vec<Way> = seeds.iter().map(|seed| service.want(seed)).collect();
        self.tokens.retain(|_, owner| !matches!(owner, Owner::Node { id: own, .. } if *own == id));
        self.drop_unwanted_links();
        ways.iter().for_each(|way| self.link_to(way));
        self.agree(id);
        for input in inputs {
            self.push(id, input);
        }
        for (sentinel, news) in self.ups(&ways) {
            self.tell(id, &sentinel, &news);
        }
    }

    fn sleep(&self, now: Instant) -> Duration {
        if !self.pending.is_empty() || !self.unfinished.is_empty() {
            return Duration::ZERO;
        }
        let links = self.links.values().map(Link::next_wake);
        let machines = self.services.values().filter_map(Service::next_wake);
        let nodes = self.services.values().flat_map(|s| s.nodes.values());
        let calls = self.services.values().filter_map(Service::next_call);
        let pulses = self.services.values().filter_map(Service::next_pulse);
        let settlings = self.services.values().filter_map(Service::next_settling);
        links
            .chain(machines)
            .chain(nodes.map(PromotionLink::next_wake))
            .chain(calls)
            .chain(pulses)
            .chain(settlings)
            .min()
            .map_or(LONGEST_SLEEP, |wake| wake.saturating_duration_since(now))
            .min(LONGEST_SLEEP)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Join { id, mut service } => {
                let ways: Vec<Way> = self.set.seeds.iter().map(|seed| service.want(seed)).collect();
                ways.iter().for_each(|way| self.link_to(way));
                let ups = self.ups(&ways);
                self.services.insert(id, *service);
                self.name_links();
                self.push(id, Input::Start { seeds: self.set.seeds.clone() });
                for (sentinel, news) in ups {
                    self.guard(id, |driver| driver.tell(id, &sentinel, &news));
                }
            }
            Command::Leave { id, left } => {
                if let Some(mut service) = self.services.remove(&id) {
                    service.settle_now();
                    service.candidates.values().for_each(|candidate| candidate.abandon());
                    self.tokens.retain(
                        |_, owner| !matches!(owner, Owner::Node { id: own, .. } if *own == id),
                    );
                }
                self.drop_unwanted_links();
                self.name_links();
                let _ = left.send(());
            }
            Command::Refresh { id } => self.push(id, Input::Refresh),
            Command::ReadReplicas { id } => self.push(id, Input::ReadReplicas),
            Command::Refused { id, replica, trouble } => {
                self.push(id, Input::Refused { replica, what: trouble });
            }
            Command::Topology { id, reply } => {
                self.guard(id, |driver| {
                    if let Some(service) = driver.services.get(&id) {
                        let _ = reply.send(service.machine.topology());
                    }
                });
            }
            Command::Trouble { id, generation, trouble } => {
                self.push(id, Input::Trouble { generation, what: trouble });
            }
            Command::Verified { id, candidate, result } => self.verified(id, &candidate, result),
            Command::Resolved { way, addresses } => self.resolved(&way, addresses),
            Command::NodeResolved { id, node, addresses } => {
                if let Ok(addresses) = &addresses {
                    let to = addresses.iter().map(|address| (*address).into()).collect();
                    self.push(id, Input::Resolved { address: node.clone(), to });
                }
                self.with_node(id, &node, |link, now, registry, news| {
                    link.resolved(addresses, now, registry, news);
                });
            }
            Command::End => {}
        }
    }

    /// Passes an input to a machine, unless it waits to be rebuilt: a rebuilt machine starts from fresh inputs.
    pub(super) fn push(&mut self, id: u64, input: Input) {
        if self.services.get(&id).is_some_and(|service| service.recovery.due().is_none()) {
            self.pending.push_back((id, input));
        }
    }

    fn verified(&mut self, id: u64, candidate: &Arc<Candidate>, result: Result<Origin, Error>) {
        let Some(service) = self.services.get_mut(&id) else { return };
        let address = candidate.address().clone();
        // One that a switch has done away with in the meantime proves nothing any more.
        if !service.candidates.get(&address).is_some_and(|own| Arc::ptr_eq(own, candidate)) {
            return;
        }
        service.dialling.remove(&address);
        let verification = match result {
            Ok(origin) => Verification::Master { origin },
            Err(error) if error.kind() == ErrorKind::WrongRole => {
                Verification::NotMaster { role: error.to_string() }
            }
            Err(error) => Verification::Failed { reason: error.to_string() },
        };
        self.push(id, Input::Verified { address, verification });
    }

    fn resolved(&mut self, way: &Way, addresses: Result<Vec<SocketAddr>, String>) {
        if let Ok(addresses) = &addresses {
            let to: Vec<Address> = addresses.iter().map(|address| (*address).into()).collect();
            for id in self.listeners_of(way, &Audience::All) {
                let address = way.announced.clone();
                self.push(id, Input::Resolved { address, to: to.clone() });
            }
        }
        self.with_link(way, |link, now, registry, news| {
            link.resolved(addresses, now, registry, news);
        });
    }

    fn ready(&mut self, token: Token) {
        match self.tokens.get(&(token.0 / TOKENS * TOKENS)).cloned() {
            Some(Owner::Sentinel(way)) => {
                self.with_link(&way, |link, now, registry, news| {
                    link.ready(token, now, registry, news);
                });
                if self.links.get(&way).is_some_and(|link| link.is_unfinished(token)) {
                    self.unfinished.insert(token);
                }
            }
            Some(Owner::Node { id, node }) => {
                self.with_node(id, &node, |link, now, registry, news| {
                    link.ready(now, registry, news);
                });
                let link = self.services.get(&id).and_then(|service| service.nodes.get(&node));
                if link.is_some_and(PromotionLink::is_unfinished) {
                    self.unfinished.insert(token);
                }
            }
            None => {}
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let due: Vec<Way> = self
            .links
            .iter()
            .filter(|(_, link)| link.next_wake() <= now)
            .map(|(way, _)| way.clone())
            .collect();
        for way in due {
            if self.links.get(&way).is_some_and(Link::is_paused) {
                self.look_up_ways(&way);
            }
            self.with_link(&way, |link, now, registry, news| link.tick(now, registry, news));
        }
        let due = |link: &PromotionLink| link.next_wake() <= now;
        let nodes: Vec<(u64, Address)> = self
            .services
            .iter()
            .flat_map(|(id, service)| {
                let due = service.nodes.iter().filter(|(_, link)| due(link));
                due.map(|(node, _)| (*id, node.clone()))
            })
            .collect();
        for (id, node) in nodes {
            self.with_node(id, &node, |link, now, registry, news| link.tick(now, registry, news));
        }
        let mut asked: Vec<(u64, Address)> = Vec::new();
        for (id, service) in &mut self.services {
            if service.is_due_for_a_pulse(now) {
                asked.extend(service.nodes.keys().map(|node| (*id, node.clone())));
            }
        }
        for (id, node) in asked {
            self.with_node(id, &node, |link, now, _, news| link.pulse(now, news));
        }
        for id in self.due(|service| service.next_settling(), now) {
            self.with_service(id, Service::settle);
        }
        for id in self.due(Service::next_call, now) {
            self.guard(id, |driver| driver.call_back(id));
        }
        for id in self.due(Service::next_wake, now) {
            match self.services.get_mut(&id).map(|own| own.recovery.is_due(now)) {
                Some(true) => self.guard(id, |driver| driver.rebuild(id)),
                _ => self.push(id, Input::Tick),
            }
        }
        for service in self.services.values() {
            service.events.flush();
        }
    }

    /// The services for which this time has come.
    fn due(&self, at: impl Fn(&Service) -> Option<Instant>, now: Instant) -> Vec<u64> {
        let due = |service: &Service| at(service).is_some_and(|at| at <= now);
        self.services.iter().filter(|(_, own)| due(own)).map(|(id, _)| *id).collect()
    }

    /// Does something with a link and hands on what it tells.
    pub(super) fn with_link(
        &mut self,
        way: &Way,
        work: impl FnOnce(&mut Link, Instant, &mio::Registry, &mut Vec<News>),
    ) {
        let Some(link) = self.links.get_mut(way) else { return };
        let mut news = Vec::new();
        let registry = self.poll.registry();
        let working = AssertUnwindSafe(|| work(link, Instant::now(), registry, &mut news));
        if catch_unwind(working).is_err() {
            return self.replace_link(way);
        }
        for news in news {
            if matches!(news, News::Resolve) {
                self.resolve(way);
            }
            let audience = match &news {
                News::Message { channel, payload } => Audience::of(channel, payload),
                News::Answer { service, .. } => Audience::Service(service.clone()),
                _ => Audience::All,
            };
            for id in self.listeners_of(way, &audience) {
                self.guard(id, |driver| driver.tell(id, &way.announced, &news));
            }
        }
    }

    /// Replaces a failed link by a new one, which pauses first.
    fn replace_link(&mut self, way: &Way) {
        error!("a fault in the link to sentinel {}; it is made again", way.announced);
        self.links.remove(way);
        let is_its = |owner: &Owner| matches!(owner, Owner::Sentinel(own) if own == way);
        self.tokens.retain(|_, owner| !is_its(owner));
        self.link_to(way);
        self.name_links();
        if let Some(link) = self.links.get_mut(way) {
            link.rest(Instant::now() + LINK_FAULT_REST);
        }
        let down = News::Down { reason: "a fault in its link".to_owned() };
        for id in self.listeners_of(way, &Audience::All) {
            self.with_service(id, |service| service.counters.watch_faults.add(1));
            self.guard(id, |driver| driver.tell(id, &way.announced, &down));
        }
    }

    /// Before a link is made again: services whose address maps lead elsewhere by now get another.
    fn look_up_ways(&mut self, way: &Way) {
        let listens = |own: &Service| own.wants(way) && own.map.may_change();
        let asked: Vec<u64> =
            self.services.iter().filter(|(_, own)| listens(own)).map(|(id, _)| *id).collect();
        let mut moved = false;
        for id in asked {
            let Some(service) = self.services.get_mut(&id) else { continue };
            let now = service.want(&way.announced);
            if now == *way {
                continue;
            }
            moved = true;
            self.link_to(&now);
            for (sentinel, news) in self.ups(&[now]) {
                self.guard(id, |driver| driver.tell(id, &sentinel, &news));
            }
        }
        if moved {
            self.drop_unwanted_links();
            self.name_links();
        }
    }

    /// Gives each link the one name that its services have, or none if they have several.
    pub(super) fn name_links(&mut self) {
        let ways: Vec<Way> = self.links.keys().cloned().collect();
        for way in ways {
            let listeners = self.services.values().filter(|service| service.wants(&way));
            let mut names = listeners.filter_map(|service| service.client_name.as_ref());
            let first = names.next().cloned();
            let name = first.filter(|first| names.all(|name| name == first));
            self.with_link(&way, |link, now, _, news| link.name(name, now, news));
        }
    }

    /// Replaces the link to a node, as [`Driver::replace_link`] does for a sentinel.
    fn replace_node(&mut self, id: u64, node: &Address) {
        error!("a fault in the link to node {node}; it is made again");
        let Some(service) = self.services.get_mut(&id) else { return };
        service.counters.watch_faults.add(1);
        let Some(pace) = service.nodes.remove(node).map(|link| link.pace()) else { return };
        let is_its = |owner: &Owner| matches!(owner, Owner::Node { id: own, node: gone } if *own == id && gone == node);
        self.tokens.retain(|_, owner| !is_its(owner));
        self.watch(id, node.clone(), pace);
        if let Some(link) = self.services.get_mut(&id).and_then(|own| own.nodes.get_mut(node)) {
            link.rest(Instant::now() + LINK_FAULT_REST);
        }
        self.with_service(id, |service| service.is_gone(node));
        self.push(id, Input::Node { node: node.clone(), report: Report::Gone });
    }

    /// As [`Driver::with_link`], for the link to a node.
    pub(super) fn with_node(
        &mut self,
        id: u64,
        node: &Address,
        work: impl FnOnce(&mut PromotionLink, Instant, &mio::Registry, &mut Vec<promotion::News>),
    ) {
        let service = self.services.get_mut(&id);
        let Some(link) = service.and_then(|service| service.nodes.get_mut(node)) else { return };
        let mut news = Vec::new();
        let registry = self.poll.registry();
        let working = AssertUnwindSafe(|| work(link, Instant::now(), registry, &mut news));
        if catch_unwind(working).is_err() {
            return self.replace_node(id, node);
        }
        for news in news {
            match news {
                promotion::News::Resolve => self.resolve_node(id, node),
                promotion::News::Asks => self.with_service(id, |service| service.asks_node(node)),
                promotion::News::Follows(master) => {
                    self.hurry(id, node);
                    self.with_service(id, |service| service.node_follows(node, master.as_ref()));
                }
                promotion::News::RoundTrip(took) => {
                    self.with_service(id, |service| service.measured(node, took));
                }
                promotion::News::Progress(progress, asked) => {
                    self.with_service(id, |service| service.progress_waits(asked));
                    let report = Report::Progress(progress);
                    self.push(id, Input::Node { node: node.clone(), report });
                }
                promotion::News::Report(report) => {
                    if report == Report::Gone {
                        self.with_service(id, |service| service.is_gone(node));
                    }
                    self.push(id, Input::Node { node: node.clone(), report });
                }
            }
        }
    }

    /// Ends the blocking commands that are under way on a master behind the fence: what they still
    /// took from it might be lost to everybody. A command that was about to be sent when the fence
    /// went up may arrive there later, hence again and again.
    pub(super) fn call_back(&mut self, id: u64) {
        let Some(service) = self.services.get_mut(&id) else { return };
        let ids = service.due_for_a_call(Instant::now());
        let served = |node: &&Address| service.machine.is_served(node);
        let Some(master) = service.nodes.keys().find(served).cloned() else { return };
        if !ids.is_empty() {
            self.with_node(id, &master, |link, now, _, news| link.call_back(&ids, now, news));
        }
    }

    fn listeners_of(&self, way: &Way, audience: &Audience) -> Vec<u64> {
        let listens =
            |(_, service): &(&u64, &Service)| service.is_among(audience) && service.wants(way);
        self.services.iter().filter(listens).map(|(id, _)| *id).collect()
    }

    /// Turns a link's news into an input of one service's machine.
    pub(super) fn tell(&mut self, id: u64, sentinel: &Address, news: &News) {
        let sentinel = sentinel.clone();
        let input = match news {
            News::Resolve => return,
            News::Asks => return self.with_service(id, |service| service.asks_sentinel(&sentinel)),
            News::Answers => {
                return self.with_service(id, |service| service.sentinel_answers(&sentinel));
            }
            News::Up { run_id, peer, hearing } => Input::SentinelUp {
                sentinel,
                run_id: run_id.clone(),
                peer: Some(peer.clone()),
                hearing: *hearing,
            },
            News::Down { reason } => Input::SentinelDown { sentinel, reason: reason.clone() },
            News::Message { channel, payload } => {
                Input::Message { sentinel, channel: channel.clone(), payload: payload.clone() }
            }
            News::Answer { replies, asked, .. } => {
                let Some(own) = self.services.get_mut(&id) else { return };
                if !own.awaits(&sentinel, *asked) {
                    return;
                }
                Input::Answer { sentinel, answer: Answer::parse(replies) }
            }
            News::Services { names } => Input::Services { sentinel, names: names.clone() },
        };
        self.push(id, input);
    }

    /// Runs machines until there is nothing left to do.
    fn settle(&mut self) {
        while let Some((id, input)) = self.pending.pop_front() {
            self.guard(id, |driver| driver.take(id, input));
        }
    }

    /// Passes an input to a machine, and performs its actions.
    fn take(&mut self, id: u64, input: Input) {
        let Some(service) = self.services.get_mut(&id) else { return };
        let actions = service.handle(input);
        if service.pool.number() == 0 {
            service.pool.explain(Some(service.machine.why_no_master()));
        }
        for action in actions {
            self.act(id, action);
        }
    }

    pub(super) fn with_service(&mut self, id: u64, work: impl FnOnce(&mut Service)) {
        self.guard(id, |driver| {
            if let Some(service) = driver.services.get_mut(&id) {
                work(service);
            }
        });
    }
}
