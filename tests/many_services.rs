//! One process that follows hundreds of services through the same sentinels.

mod common;

use common::{
    many::{Many, name, own_settings},
    *,
};
use switchmaster::{Event, Factory, SentinelLink};
use switchmaster_sandbox::{FakeSentinel, wait_until};

const SERVICES: usize = 200;

fn is_calm(factory: &Factory) -> bool {
    factory.topology().is_ok_and(|topology| {
        let up = |own: &&_| matches!(own, SentinelLink::Up { .. });
        topology.troubles.is_empty()
            && topology.sentinels.iter().map(|own| &own.link).filter(up).count() == 3
    })
}

#[test]
fn two_hundred_services_share_six_threads_and_three_links_and_all_switch_at_the_fact() {
    let many = Many::serving(SERVICES).unwrap();
    let addresses: Vec<_> = many.sentinels.iter().map(FakeSentinel::address).collect();
    let open = |service| {
        own_settings(Factory::builder(), service)
            .sentinels(addresses.iter())
            .service(name(service))
            .build()
            .unwrap()
    };
    let factories: Vec<Factory> = (0..SERVICES).map(open).collect();
    assert!(wait_until(PATIENCE, || factories.iter().all(is_calm)));
    // On a busy machine a verification may have waited for a patient thread, which ends soon.
    assert!(wait_until(PATIENCE, || library_threads() <= 6), "{:?}", threads());
    for sentinel in &many.sentinels {
        assert_eq!(sentinel.connections(), 1);
    }
    let stories: Vec<_> = factories.iter().map(Factory::events).collect();
    many.choose();
    for story in &stories {
        let is_chosen = |event: Event| matches!(event, Event::Chosen { .. });
        while !is_chosen(story.recv_timeout(PATIENCE).expect("the choice is known")) {}
    }
    many.promote();
    for factory in &factories {
        wait_for_switch(factory, 1);
        assert_eq!(factory.master().unwrap().port(), many.nodes[1].address().port());
    }
    many.confirm();
    let confirmed = |factory: &Factory| factory.topology().is_ok_and(|topology| topology.confirmed);
    assert!(wait_until(PATIENCE, || factories.iter().all(confirmed)));
    for factory in &factories {
        let stats = factory.stats();
        assert_eq!((factory.generation(), stats.switches, stats.watch_faults), (2, 2, 0));
        drop(factory.get().unwrap());
    }
    assert!(wait_until(PATIENCE, || library_threads() <= 6), "{:?}", threads());
    for sentinel in &many.sentinels {
        assert_eq!(sentinel.connections(), 1);
    }
    factories.iter().for_each(Factory::close);
    assert!(wait_until(PATIENCE, || library_threads() == 0), "{:?}", threads());
}
