//! What the driver does for a machine: links, queries, dials, the switch and the fence.

use std::{
    collections::HashSet,
    net::{SocketAddr, ToSocketAddrs},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use log::error;
use mio::Token;

use crate::{
    address::Address,
    error::{Error, ErrorKind},
    event::FenceReason,
    pool::Alarm,
    topology::{Action, Pace},
    watch::{
        driver::{Command, Driver, Owner},
        promotion::PromotionLink,
        service::Service,
        subscriber::{Link, News, TOKENS},
    },
};

impl Driver {
    pub(super) fn act(&mut self, id: u64, action: Action) {
        match action {
            Action::Link { sentinel } => {
                self.with_service(id, |service| {
                    service.wanted.insert(sentinel.clone());
                });
                self.link_to(&sentinel);
                for (sentinel, news) in self.ups(&HashSet::from([sentinel])) {
                    self.tell(id, &sentinel, &news);
                }
            }
            Action::Unlink { sentinel } => {
                self.with_service(id, |service| {
                    service.wanted.remove(&sentinel);
                });
                self.drop_unwanted_links();
            }
            Action::Query { sentinel } => {
                let Some(name) = self.services.get(&id).map(|s| s.name.clone()) else { return };
                self.with_link(&sentinel, |link, now, _, news| link.ask_about(&name, now, news));
            }
            Action::ListServices { sentinel } => {
                self.with_link(&sentinel, |link, now, _, news| link.ask_for_services(now, news));
            }
            Action::Verify { address } => self.verify(id, address),
            Action::Switch { generation, to, fence, .. } => {
                self.switch(id, generation, &to, fence.as_ref());
            }
            Action::Watch { node, pace } => self.watch(id, node, pace),
            Action::Unwatch { node } => {
                self.with_service(id, |service| drop(service.nodes.remove(&node)));
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
            Action::Report(event) => self.with_service(id, |service| service.report(&event)),
        }
    }

    /// Dials the address on a worker and verifies its ROLE; the answer is [`Command::Verified`].
    fn verify(&mut self, id: u64, address: Address) {
        let Some(service) = self.services.get_mut(&id) else { return };
        if !service.dialling.insert(address.clone()) {
            return;
        }
        let candidate = service.candidates.entry(address.clone()).or_insert_with(|| {
            let inbox = self.inbox.clone();
            let alarm: Alarm = Arc::new(move |generation, trouble| {
                inbox.send(Command::Trouble { id, generation, trouble });
            });
            service.pool.candidate(address.clone(), self.set.map.map(&address), alarm)
        });
        let (candidate, inbox) = (candidate.clone(), self.inbox.clone());
        if let Some(workers) = self.workers.upgrade() {
            workers.run(move || {
                let result = catch_unwind(AssertUnwindSafe(|| candidate.dial()));
                let result = result.unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Internal, format!("dialling {address} panicked")))
                });
                inbox.send(Command::Verified { id, address, result });
            });
        }
    }

    fn switch(&mut self, id: u64, generation: u64, to: &Address, fence: Option<&FenceReason>) {
        let Some(service) = self.services.get_mut(&id) else { return };
        let Some(candidate) = service.candidates.remove(to) else {
            error!("no candidate stands ready for {to}: the machine switched without verifying");
            return;
        };
        service.switch(generation, candidate, fence);
    }

    fn watch(&mut self, id: u64, node: Address, pace: Pace) {
        let Some(service) = self.services.get_mut(&id) else { return };
        if !service.nodes.contains_key(&node) {
            let token = self.next_token;
            self.next_token += TOKENS;
            let link = PromotionLink::new(
                node.clone(),
                self.set.map.map(&node),
                service.pool.node_settings().clone(),
                Token(token),
                Instant::now(),
            );
            self.tokens.insert(token, Owner::Node { id, node: node.clone() });
            service.nodes.insert(node.clone(), link);
        }
        if let Some(link) = service.nodes.get_mut(&node) {
            link.look(pace, Instant::now());
        }
    }

    /// Resolves a node's name on a worker; the answer is [`Command::NodeResolved`].
    pub(super) fn resolve_node(&self, id: u64, node: &Address) {
        let link = self.services.get(&id).and_then(|service| service.nodes.get(node));
        let (Some(link), Some(workers)) = (link, self.workers.upgrade()) else { return };
        let (node, name, inbox) = (node.clone(), link.dial_to().clone(), self.inbox.clone());
        workers.run(move || {
            inbox.send(Command::NodeResolved { id, node, addresses: look_up(&name) });
        });
    }

    /// Resolves a sentinel's name on a worker; the answer is [`Command::Resolved`].
    pub(super) fn resolve(&mut self, sentinel: &Address) {
        let (Some(link), Some(workers)) = (self.links.get(sentinel), self.workers.upgrade()) else {
            return;
        };
        let (sentinel, name, inbox) =
            (sentinel.clone(), link.dial_to().clone(), self.inbox.clone());
        workers.run(move || {
            inbox.send(Command::Resolved { sentinel, addresses: look_up(&name) });
        });
    }

    pub(super) fn link_to(&mut self, sentinel: &Address) {
        if self.links.contains_key(sentinel) {
            return;
        }
        let token = self.next_token;
        self.next_token += TOKENS;
        let link = Link::new(
            sentinel.clone(),
            self.set.map.map(sentinel),
            self.set.settings.clone(),
            token,
            Instant::now(),
        );
        self.tokens.insert(token, Owner::Sentinel(sentinel.clone()));
        self.links.insert(sentinel.clone(), link);
    }

    pub(super) fn drop_unwanted_links(&mut self) {
        let services = &self.services;
        let seeds = &self.set.seeds;
        self.links.retain(|sentinel, _| {
            seeds.contains(sentinel) || services.values().any(|s| s.wanted.contains(sentinel))
        });
        let links = &self.links;
        self.tokens.retain(|_, owner| match owner {
            Owner::Sentinel(sentinel) => links.contains_key(sentinel),
            Owner::Node { .. } => true,
        });
    }

    /// What the established ones among these links would say to a newcomer.
    pub(super) fn ups(&self, sentinels: &HashSet<Address>) -> Vec<(Address, News)> {
        let of = |sentinel: &Address| Some((sentinel.clone(), self.links.get(sentinel)?.up()?));
        sentinels.iter().filter_map(of).collect()
    }
}

fn look_up(name: &Address) -> Result<Vec<SocketAddr>, String> {
    (name.host(), name.port())
        .to_socket_addrs()
        .map(Iterator::collect)
        .map_err(|error| format!("its name cannot be resolved: {error}"))
}
