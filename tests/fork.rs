//! `fork(2)`: a child of a process that has a factory open.

use std::process::exit;

use redis::Commands;
use switchmaster::{ErrorKind, Factory};
use switchmaster_sandbox::{FakeNode, FakeSentinel, FakeService};

/// Runs a check in a forked child, which reports the result by its exit code.
fn holds_in_a_child(holds: impl FnOnce() -> bool) -> bool {
    match fork::fork().expect("a fork") {
        fork::Fork::Child => exit(i32::from(!holds())),
        fork::Fork::Parent(child) => {
            let status = fork::waitpid(child).expect("the child is waited for");
            fork::WIFEXITED(status) && fork::WEXITSTATUS(status) == 0
        }
    }
}

/// One test, because a fork concerns the whole process.
#[test]
fn a_forked_child_gets_an_error_and_leaves_its_parents_factory_alone() {
    let node = FakeNode::start().unwrap();
    let sentinel = FakeSentinel::start().unwrap();
    sentinel.serve("mymaster", FakeService::new(node.address()));
    let open = || {
        let sentinel = sentinel.address().to_string();
        Factory::builder().sentinel(sentinel).service("mymaster").build()
    };
    let factory = open().unwrap();
    let mut handle = factory.get().unwrap();
    handle.set::<_, _, ()>("key", 1).unwrap();
    let links = (sentinel.connections(), node.connections());

    let inherited = factory.clone();
    assert!(holds_in_a_child(|| {
        let refused = open().expect_err("the child cannot be served");
        let named = refused.kind() == ErrorKind::Forked && refused.to_string().contains("forked");
        inherited.close();
        drop(inherited);
        named
    }));
    // The pool may have grown meanwhile.
    let now = (sentinel.connections(), node.connections());
    assert!(now.0 >= links.0 && now.1 >= links.1, "{links:?} before, {now:?} after");
    assert_eq!(handle.get::<_, i64>("key").unwrap(), 1);
    factory.get().unwrap().set::<_, _, ()>("key", 2).unwrap();
    drop(handle);
    factory.close();

    // After the last factory was closed, a child is as good as any process.
    assert!(holds_in_a_child(|| {
        let factory = open().expect("the child opens its own");
        let answers = factory.get().unwrap().set::<_, _, ()>("key", 3).is_ok();
        factory.close();
        answers
    }));
    open().unwrap().close();
}
