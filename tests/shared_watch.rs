//! Links to sentinels that several factories of a process share, and links that they do not.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use common::*;
use switchmaster::{Address, Factory};
use switchmaster_sandbox::{FakeNode, FakeSentinel, FakeService, wait_until};

const SERVICE: &str = "mymaster";

/// A deployment of one sentinel and one master.
fn deployment() -> (FakeSentinel, FakeNode) {
    let node = FakeNode::start().unwrap();
    let sentinel = FakeSentinel::start().unwrap();
    sentinel.serve(SERVICE, FakeService::new(node.address()));
    (sentinel, node)
}

fn names(sentinel: &FakeSentinel) -> Vec<String> {
    let set =
        |words: String| words.strip_prefix("CLIENT SETNAME").map(|name| name.trim().to_owned());
    sentinel.received().into_iter().filter_map(set).collect()
}

#[test]
fn a_map_that_leads_elsewhere_has_links_of_its_own_and_moves_with_the_map() {
    let (here, first) = deployment();
    let (there, second) = deployment();
    // Another run id would make it a stranger.
    there.model(|model| model.run_id = here.id());
    let open = || Factory::builder().sentinel(here.address().to_string()).service(SERVICE);
    let plain = open().build().unwrap();
    let elsewhere = Arc::new(AtomicBool::new(true));
    let (switch, from, to) = (elsewhere.clone(), here.address(), there.address());
    let mapped = open().address_mapper(move |announced| {
        let moves = switch.load(Ordering::SeqCst) && announced.port() == from.port();
        if moves { Address::from(to) } else { announced.clone() }
    });
    let mapped = mapped.build().unwrap();
    let port = |factory: &Factory| factory.master().unwrap().port();
    assert_eq!(port(&plain), first.address().port());
    assert_eq!(port(&mapped), second.address().port());
    assert_eq!((here.connections(), there.connections()), (1, 1));

    // The map is asked again when the link is made again.
    elsewhere.store(false, Ordering::SeqCst);
    there.stop_listening();
    there.disconnect_all();
    let named = || mapped.topology().unwrap().sentinels[0].names.clone().map(|own| own.port());
    assert!(wait_until(PATIENCE, || named() == Some(first.address().port())), "{:?}", named());
    assert_eq!((here.connections(), there.connections()), (1, 0));
}

#[test]
fn a_shared_link_bears_the_one_name_that_its_services_have() {
    let (sentinel, _node) = deployment();
    let open = |name: &str| {
        let builder = Factory::builder().sentinel(sentinel.address().to_string());
        builder.service(SERVICE).client_name(name).build().unwrap()
    };
    let first = open("app");
    assert!(wait_until(PATIENCE, || names(&sentinel) == ["app"]), "{:?}", names(&sentinel));
    let second = open("app");
    let third = open("other");
    assert!(wait_until(PATIENCE, || names(&sentinel) == ["app", ""]), "{:?}", names(&sentinel));
    third.close();
    let again = || names(&sentinel) == ["app", "", "app"];
    assert!(wait_until(PATIENCE, again), "{:?}", names(&sentinel));
    assert_eq!(sentinel.connections(), 1);
    first.close();
    second.close();
}
