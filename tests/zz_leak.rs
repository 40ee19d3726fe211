//! A look for what is left behind.

mod common;
use common::*;
#[test]
fn leak() {
    let cluster = cluster();
    for _ in 0..4 {
        let factory = switchmaster::Factory::open(&cluster.url()).unwrap();
        let h = factory.get().unwrap();
        drop(h);
        factory.close();
        drop(factory);
        std::thread::sleep(std::time::Duration::from_millis(300));
        println!(
            "{:?} {:?}",
            descriptor_targets().iter().filter(|t| t.contains("eventfd")).count(),
            threads()
        );
    }
}
