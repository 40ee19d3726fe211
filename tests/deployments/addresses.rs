//! Servers that are reached at other addresses than they announce: NAT, Docker, port forwards.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use switchmaster::{Address, Factory};
use switchmaster_sandbox::{Cluster, FaultProxy, wait_until};

use super::{common::*, *};

#[test]
fn a_table_leads_through_forwarded_ports() {
    let cluster = Cluster::builder().proxied(true).start().unwrap();
    let factory = proxied_factory(&cluster).build().unwrap();
    follows(&factory, &cluster);
    for member in cluster.members() {
        assert!(member.proxy().unwrap().accepted() > 0, "{} is reached directly", member.name());
    }
    // What is shown and told are announced addresses.
    assert_eq!(factory.master().unwrap().port(), cluster.master().unwrap().port());
}

#[test]
fn a_table_in_a_url_leads_through_forwarded_ports() {
    let cluster = Cluster::builder().proxied(true).start().unwrap();
    let rows = cluster.address_map();
    let rows: Vec<String> = rows.iter().map(|(from, to)| format!("{from}>{to}")).collect();
    let url = format!("{}?address_map={}", cluster.url(), rows.join(";"));
    follows(&Factory::open(&url).unwrap(), &cluster);
    assert!(cluster.members().all(|member| member.proxy().unwrap().accepted() > 0));
}

#[test]
fn a_function_leads_through_forwarded_ports() {
    let cluster = Cluster::builder().proxied(true).start().unwrap();
    let forwards: HashMap<Address, Address> =
        cluster.address_map().into_iter().map(|(from, to)| (from.into(), to.into())).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let mapper = move |announced: &Address| {
        counter.fetch_add(1, Ordering::Relaxed);
        forwards[announced].clone()
    };
    let factory = named_factory(&cluster).address_mapper(mapper).build().unwrap();
    follows(&factory, &cluster);
    assert!(asked.load(Ordering::Relaxed) >= 6, "each server has an address");
    assert!(cluster.members().all(|member| member.proxy().unwrap().accepted() > 0));
}

#[test]
fn forwards_that_move_are_found_again() {
    let cluster = cluster();
    let forwards = Arc::new(Forwards::default());
    forwards.lay(&cluster);
    let asked = forwards.clone();
    let mapper = move |announced: &Address| asked.of(announced);
    let factory = named_factory(&cluster).address_mapper(mapper).build().unwrap();
    follows(&factory, &cluster);
    let generation = factory.generation();

    // The old ones end, with every connection through them.
    let before = forwards.lay(&cluster);
    assert_eq!(before.len(), 6);
    drop(before);
    wait_until_calm(&factory, &cluster);
    assert_leads_to(&factory, &cluster.master().unwrap());
    assert_eq!(factory.generation(), generation, "it is the same master");
    let used = || forwards.proxies.lock().values().all(|proxy| proxy.connections() > 0);
    assert!(wait_until(PATIENCE, used));
    follows(&factory, &cluster);
}

/// A port forward for each member, by its own address.
#[derive(Default)]
struct Forwards {
    proxies: parking_lot::Mutex<HashMap<SocketAddr, FaultProxy>>,
}

impl Forwards {
    /// Makes them anew, and returns those that were there before.
    fn lay(&self, cluster: &Cluster) -> HashMap<SocketAddr, FaultProxy> {
        let to = |address| (address, FaultProxy::to(address).unwrap());
        let new = cluster.members().map(|member| to(member.address())).collect();
        std::mem::replace(&mut self.proxies.lock(), new)
    }

    fn of(&self, announced: &Address) -> Address {
        let announced = announced.to_string().parse().unwrap();
        self.proxies.lock()[&announced].address().into()
    }
}
