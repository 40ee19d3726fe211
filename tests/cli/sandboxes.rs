//! `switchmaster sandbox`.

use std::{fs, process::Command};

use crate::program::{Sandbox, output, text};

#[test]
fn a_sandbox_prints_its_addresses_and_ends_with_its_input() {
    let mut sandbox = Sandbox::start(&["--replicas", "1", "--service", "orders"]);
    assert_eq!(sandbox.text("service"), "orders");
    assert!(sandbox.text("url").ends_with("/orders"));
    assert_eq!((sandbox.count("replicas"), sandbox.count("sentinels")), (1, 3));
    let pids = sandbox.pids();
    assert_eq!(pids.len(), 5);
    for pid in pids {
        assert!(fs::metadata(format!("/proc/{pid}")).is_ok(), "{pid} runs");
    }
    drop(sandbox.input.take());
    sandbox.assert_gone();
}

#[test]
fn a_sandbox_that_stays_ends_at_a_signal() {
    let mut sandbox = Sandbox::start(&["--replicas", "1", "--sentinels", "1", "--stay"]);
    drop(sandbox.input.take());
    let (url, master) = (sandbox.text("url").to_owned(), sandbox.text("master").to_owned());
    let answer = output(&["master", "--url", &url]);
    assert_eq!(text(&answer.stdout).trim_end(), master, "{}", text(&answer.stderr));
    assert_eq!(sandbox.child.try_wait().unwrap(), None, "it stays");
    let kill = Command::new("kill").arg(sandbox.child.id().to_string()).status().unwrap();
    assert!(kill.success());
    sandbox.assert_gone();
}
