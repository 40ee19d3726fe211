//! `switchmaster wait`.

use std::process::{Child, Output, Stdio};

use switchmaster_sandbox::{Cluster, wait_until};

use crate::program::{PATIENCE, command, output, text};

/// A wait that goes on while the test does something; it ends with the test.
struct Waiting(Option<Child>);

impl Waiting {
    fn start(url: &str, options: &[&str]) -> Waiting {
        let mut wait = command(&[&["wait", "--url", url], options].concat());
        let child = wait.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Waiting(Some(child.expect("the command runs")))
    }

    fn has_ended(&mut self) -> bool {
        self.0.as_mut().is_none_or(|child| child.try_wait().expect("its status").is_some())
    }

    fn end(mut self) -> Output {
        let child = self.0.take().expect("it was started");
        child.wait_with_output().expect("it has ended")
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn assert_late(late: &Output, parts: &[&str]) {
    let complaint = text(&late.stderr);
    assert_eq!((late.status.code(), late.stdout.len()), (Some(1), 0), "{complaint}");
    assert!(parts.iter().all(|part| complaint.contains(part)), "{parts:?} in {complaint}");
}

#[test]
fn a_wait_ends_with_the_master_or_says_why_it_has_none() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let (url, master) = (cluster.url(), cluster.master().unwrap().address());
    for goal in ["master", "generation:1"] {
        let done = output(&["wait", "--url", &url, "--for", goal]);
        assert_eq!(text(&done.stdout), format!("{master} 1\n"), "{}", text(&done.stderr));
    }
    let nobody = "redis+sentinel://127.0.0.1:1/mymaster";
    let late = output(&["wait", "--url", nobody, "--timeout", "1s"]);
    assert_late(&late, &["no master that can be written to within 1s: "]);
    for (goal, named) in [("generation:2", "no generation 2"), ("switch", "no switch")] {
        let late = output(&["wait", "--url", &url, "--for", goal, "--timeout", "1s"]);
        let serves = format!("{master} still serves as generation 1");
        assert_late(&late, &[&format!("{named} within 1s: "), &serves]);
    }
}

#[test]
fn what_nobody_can_wait_for_exits_with_2() {
    let nobody = "redis+sentinel://127.0.0.1:1/mymaster";
    for goal in ["slave", "generation:0", "generation:"] {
        let failed = output(&["wait", "--url", nobody, "--for", goal]);
        assert_eq!((failed.status.code(), failed.stdout.len()), (Some(2), 0));
        assert!(text(&failed.stderr).contains("generation:N with N from 1"));
    }
    for url in ["http://127.0.0.1/m", "redis+sentinel://127.0.0.1/m?max_size=0"] {
        let failed = output(&["wait", "--url", url]);
        assert_eq!(failed.status.code(), Some(2), "{}", text(&failed.stderr));
    }
}

#[test]
fn a_wait_for_a_switch_or_the_next_generation_ends_with_the_new_master() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let url = format!("{}?client_name=waits", cluster.url());
    let start = |goal| Waiting::start(&url, &["--for", goal, "--timeout", "60s"]);
    let mut waits = ["switch", "generation:2"].map(start);
    let master = cluster.master().unwrap();
    let clients =
        || master.ask(&["CLIENT", "LIST"]).map_or(0, |it| it.text().matches("name=waits").count());
    assert!(wait_until(PATIENCE, || clients() >= 2), "they found no master");
    cluster.failover().unwrap();
    let mut have_ended = |time| wait_until(time, || waits.iter_mut().all(Waiting::has_ended));
    // A connection is no generation yet: the failover may have been the first that they know.
    let ended = have_ended(PATIENCE / 3) || {
        cluster.wait_settled(PATIENCE).unwrap();
        cluster.failover().unwrap();
        have_ended(PATIENCE)
    };
    assert!(ended, "they still wait");
    for done in waits.map(Waiting::end) {
        let printed = text(&done.stdout);
        assert!(done.status.success(), "{}", text(&done.stderr));
        let (master, generation) = printed.trim_end().split_once(' ').expect("two words");
        let is_it = |node: &switchmaster_sandbox::Node| node.address().to_string() == master;
        assert!(cluster.nodes().iter().any(is_it), "{printed}");
        assert!(generation.parse::<u64>().is_ok_and(|number| number >= 2), "{printed}");
    }
}

#[test]
fn a_master_that_refuses_writes_is_waited_for_until_it_takes_them() {
    let cluster = Cluster::builder().replicas(0).node_line("min-replicas-to-write 1").start();
    let cluster = cluster.expect("a cluster starts");
    let (url, master) = (cluster.url(), cluster.master().unwrap());
    let late = output(&["wait", "--url", &url, "--timeout", "1s"]);
    assert_late(&late, &["no master that can be written to within 1s: ", "NOREPLICAS"]);
    let mut wait = Waiting::start(&url, &[]);
    let tried = || master.info("errorstats", "errorstat_NOREPLICAS").is_ok_and(|it| !it.is_empty());
    assert!(wait_until(PATIENCE, tried) && !wait.has_ended());
    master.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]).unwrap();
    let done = wait.end();
    assert_eq!(text(&done.stdout), format!("{} 1\n", master.address()), "{}", text(&done.stderr));
    assert_eq!(master.ask(&["DBSIZE"]).unwrap().text(), "0");
}

#[test]
fn writes_that_are_paused_end_a_wait_at_its_deadline() {
    let cluster = Cluster::builder().replicas(0).start().expect("a cluster starts");
    let master = cluster.master().unwrap();
    // The answer to a write would take longer than the test.
    let url = format!("{}?command_timeout=120s", cluster.url());
    master.ask(&["CLIENT", "PAUSE", "120000", "WRITE"]).unwrap();
    let mut wait = Waiting::start(&url, &["--timeout", "1s"]);
    assert!(wait_until(PATIENCE, || wait.has_ended()), "it waits for the answer");
    assert_late(&wait.end(), &["within 1s: no answer to a write yet"]);
}

#[test]
fn where_that_key_cannot_be_written_an_answer_is_enough() {
    let cluster = Cluster::builder().replicas(0).start().expect("a cluster starts");
    let master = cluster.master().unwrap();
    master.ask(&["ACL", "SETUSER", "app", "on", ">secret", "~app:*", "&*", "+@all"]).unwrap();
    let url = cluster.url().replace("redis+sentinel://", "redis+sentinel://app:secret@");
    master.ask(&["RPUSH", "switchmaster:wait", "a list"]).unwrap();
    for url in [url, cluster.url()] {
        let done = output(&["wait", "--url", &url]);
        let complaint = text(&done.stderr);
        assert_eq!(text(&done.stdout), format!("{} 1\n", master.address()), "{complaint}");
    }
    assert_eq!(master.ask(&["LLEN", "switchmaster:wait"]).unwrap().text(), "1");
}
