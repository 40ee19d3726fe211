//! What the driver does for a machine: links, queries, dials, the switch and the fence.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use mio::Token;

use crate::{
    address::Address,
    address_map::{AddressMap, Route},
    connection::look_up,
    credentials::Source,
    error::{Error, ErrorKind},
    event::FenceReason,
    pool::{Alarm, Candidate, Pool},
    topology::{Action, Pace, Readable},
    watch::{
        driver::{Command, Driver, Owner},
        promotion::PromotionLink,
        service::{Service, Way},
        subscriber::{Link, News, TOKENS},
    },
};

impl Driver {
    pub(super) fn act(&mut self, id: u64, action: Action) {
        match action {
            Action::Link { sentinel } => {
                let Some(service) = self.services.get_mut(&id) else { return };
                let way = match service.way(&sentinel) {
                    Some(way) => way,
                    None => service.want(&sentinel),
                };
                self.link_to(&way);
                self.name_links();
                for (sentinel, news) in self.ups(&[way]) {
                    self.tell(id, &sentinel, &news);
                }
            }
            Action::Unlink { sentinel } => {
                self.with_service(id, |service| service.forget_sentinel(&sentinel));
                self.drop_unwanted_links();
            }
            Action::Query { sentinel } => {
                let Some(service) = self.services.get_mut(&id) else { return };
                let name = service.name.clone();
                let Some(way) = service.way(&sentinel) else { return };
                service.asks(&sentinel, Instant::now());
                self.with_link(&way, |link, now, _, news| link.ask_about(&name, now, news));
            }
            Action::ListServices { sentinel } => {
                let way = self.services.get(&id).and_then(|service| service.way(&sentinel));
                let Some(way) = way else { return };
                self.with_link(&way, |link, now, _, news| link.ask_for_services(now, news));
            }
            Action::Verify { address } => self.verify(id, address),
            Action::AcceptHistory { address, origin } => {
                self.with_service(id, |service| service.accept_history(&address, origin));
            }
            Action::Switch { generation, to, fence, promoted, .. } => {
                self.switch(id, generation, &to, fence.as_ref(), promoted);
            }
            Action::Watch { node, pace } => self.watch(id, node, pace),
            Action::Unwatch { node } => {
                self.with_service(id, |service| service.forget_node(&node));
                self.tokens.retain(
                    |_, owner| !matches!(owner, Owner::Node { id: own, node: gone } if *own == id && *gone == node),
                );
            }
            Action::Fence { reason } => {
                self.with_service(id, |service| service.fence(&reason));
                self.call_back(id);
            }
            Action::Unfence => self.with_service(id, Service::unfence),
            Action::Doubt { majority } => self.with_service(id, |service| service.doubt(majority)),
            Action::Trust { source } => self.with_service(id, |service| service.trust(source)),
            Action::Pulse { every } => self.with_service(id, |service| service.pulse(every)),
            Action::Read(readable) => self.read(id, &readable),
            Action::Report(event) => self.with_service(id, |service| service.report(&event)),
        }
    }

    /// Dials the address on a worker and verifies its ROLE; the answer is [`Command::Verified`]. A
    /// node that is not known to answer is waited for apart from the others, until its link shows that
    /// it does.
    fn verify(&mut self, id: u64, address: Address) {
        let Some(pool) = self.services.get(&id).map(|service| service.pool.clone()) else { return };
        let new = self.candidate(id, &address, &pool);
        let Some(service) = self.services.get_mut(&id) else { return };
        if service.dialling.contains_key(&address) {
            return;
        }
        let candidate = service.candidates.entry(address.clone()).or_insert(new).clone();
        let inbox = self.inbox.clone();
        let now = Instant::now();
        let lively = service.nodes.get(&address).is_some_and(|link| link.is_lively(now));
        if let Some(workers) = self.workers.upgrade() {
            let dialled = address.clone();
            let job = move || {
                let result = catch_unwind(AssertUnwindSafe(|| candidate.dial()));
                let result = result.unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Internal, format!("dialling {address} panicked")))
                });
                inbox.send(Command::Verified { id, candidate, result });
            };
            let ticket = if lively {
                workers.run_hopefully(id, job)
            } else {
                workers.run_patiently(id, job)
            };
            service.dialling.insert(dialled.clone(), ticket);
            // A link that stands may lead to a node that has fallen silent since.
            self.with_node(id, &dialled, |link, now, _, news| link.pulse(now, news));
        }
    }

    /// A node has answered over its promotion link: its dial waits for no others.
    pub(super) fn hurry(&mut self, id: u64, node: &Address) {
        let ticket = self.services.get(&id).and_then(|service| service.dialling.get(node));
        if let (Some(ticket), Some(workers)) = (ticket, self.workers.upgrade()) {
            workers.hurry(ticket);
        }
    }

    /// The address map of a service.
    fn map(&self, id: u64) -> AddressMap {
        self.services.get(&id).map(|service| service.map.clone()).unwrap_or_default()
    }

    /// A generation-to-be.
    fn candidate(&self, id: u64, address: &Address, pool: &Pool) -> Arc<Candidate> {
        let inbox = self.inbox.clone();
        let alarm: Alarm = Arc::new(move |generation, trouble| {
            inbox.send(Command::Trouble { id, generation, trouble });
        });
        pool.candidate(address.clone(), self.map(id), alarm)
    }

    pub(super) fn switch(
        &mut self,
        id: u64,
        generation: u64,
        to: &Address,
        fence: Option<&FenceReason>,
        promoted: Option<Instant>,
    ) {
        let Some(pool) = self.services.get(&id).map(|service| service.pool.clone()) else { return };
        let ready = self.services.get_mut(&id).and_then(|service| service.candidates.remove(to));
        // Without one whose connection stands ready the pool dials, and asks ROLE, by itself.
        let candidate = ready.unwrap_or_else(|| self.candidate(id, to, &pool));
        self.with_service(id, |service| service.switch(generation, candidate, fence, promoted));
    }

    /// Has these replicas read from, and no others.
    pub(super) fn read(&mut self, id: u64, readable: &Readable) {
        let Some(service) = self.services.get(&id) else { return };
        let others = readable.others.iter().map(|(node, why)| (node.clone(), why.as_str()));
        service.replicas.keep(&readable.replicas, others.collect(), |node| {
            let (inbox, replica) = (self.inbox.clone(), node.clone());
            let alarm: Alarm = Arc::new(move |_, trouble| {
                inbox.send(Command::Refused { id, replica: replica.clone(), trouble });
            });
            (service.map.clone(), alarm)
        });
    }

    pub(super) fn watch(&mut self, id: u64, node: Address, pace: Pace) {
        let route = Route { announced: node.clone(), map: self.map(id) };
        let Some(service) = self.services.get_mut(&id) else { return };
        if !service.nodes.contains_key(&node) {
            let token = self.next_token;
            self.next_token += TOKENS;
            let mut link = PromotionLink::new(
                route,
                service.pool.node_settings().clone(),
                Token(token),
                self.crowd.clone(),
                Instant::now(),
            );
            if service.next_pulse().is_some() {
                link.measure();
            }
            self.tokens.insert(token, Owner::Node { id, node: node.clone() });
            service.nodes.insert(node.clone(), link);
        }
        if let Some(link) = service.nodes.get_mut(&node) {
            link.look(pace, Instant::now());
        }
    }

    /// Resolves a node's name; the answer is [`Command::NodeResolved`].
    pub(super) fn resolve_node(&self, id: u64, node: &Address) {
        let link = self.services.get(&id).and_then(|service| service.nodes.get(node));
        let Some(name) = link.map(PromotionLink::dial_to) else { return };
        let (node, inbox) = (node.clone(), self.inbox.clone());
        let settings = self.services.get(&id).map(|service| service.pool.node_settings());
        prepare(name, settings.and_then(|own| own.credentials.as_ref()), move |addresses| {
            inbox.send(Command::NodeResolved { id, node, addresses });
        });
    }

    /// Resolves a sentinel's name; the answer is [`Command::Resolved`].
    pub(super) fn resolve(&mut self, way: &Way) {
        let (name, way, inbox) = (way.reached.clone(), way.clone(), self.inbox.clone());
        prepare(&name, self.set.settings.credentials.as_ref(), move |addresses| {
            inbox.send(Command::Resolved { way, addresses });
        });
    }

    pub(super) fn link_to(&mut self, way: &Way) {
        if self.links.contains_key(way) {
            return;
        }
        let token = self.next_token;
        self.next_token += TOKENS;
        let link = Link::new(way.route(), self.set.settings.clone(), token, Instant::now());
        self.tokens.insert(token, Owner::Sentinel(way.clone()));
        self.links.insert(way.clone(), link);
    }

    pub(super) fn drop_unwanted_links(&mut self) {
        let services = &self.services;
        self.links.retain(|way, _| services.values().any(|service| service.wants(way)));
        let links = &self.links;
        self.tokens.retain(|_, owner| match owner {
            Owner::Sentinel(way) => links.contains_key(way),
            Owner::Node { .. } => true,
        });
    }

    /// What the established ones among these links would say to a newcomer.
    pub(super) fn ups(&self, ways: &[Way]) -> Vec<(Address, News)> {
        let of = |way: &Way| Some((way.announced.clone(), self.links.get(way)?.up()?));
        ways.iter().filter_map(of).collect()
    }
}

/// Asks the provider for credentials, if there is one, resolves the name, and passes on the result.
/// Never blocks.
fn prepare(
    name: &Address,
    credentials: Option<&Source>,
    answer: impl FnOnce(Result<Vec<SocketAddr>, String>) + Send + 'static,
) {
    let resolve = |name: &Address, answer: Box<dyn FnOnce(_) + Send>| match name.ip() {
        Some(ip) => answer(Ok(vec![SocketAddr::new(ip, name.port())])),
        None => look_up(name, move |addresses| answer(explained(addresses))),
    };
    let Some(source) = credentials else { return resolve(name, Box::new(answer)) };
    let name = name.clone();
    source.ask(move |login| match login {
        Ok(_) => resolve(&name, Box::new(answer)),
        Err(error) => answer(Err(error.to_string())),
    });
}

fn explained(addresses: Result<Vec<SocketAddr>, String>) -> Result<Vec<SocketAddr>, String> {
    addresses.map_err(|cause| format!("its name cannot be resolved: {cause}"))
}
