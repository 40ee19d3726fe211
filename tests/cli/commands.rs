//! `switchmaster exec` and `switchmaster wait`.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Stdio};

use serde_json::Value;
use switchmaster_sandbox::{Cluster, wait_until};

use crate::program::{PATIENCE, command, output, text};

#[test]
fn a_command_goes_to_the_master_or_to_a_replica_and_may_hold_any_bytes() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let url = cluster.url();
    let set = command(&["exec", "--url", &url, "SET", "key"])
        .arg(OsStr::from_bytes(b"a\xff b"))
        .output()
        .expect("the command runs");
    assert_eq!((text(&set.stdout).as_str(), set.status.code()), ("OK\n", Some(0)));
    assert_eq!(output(&["exec", "--url", &url, "GET", "key"]).stdout, b"a\xff b\n");
    let json = output(&["exec", "--url", &url, "--json", "MGET", "key", "none"]);
    assert_eq!(text(&json.stdout), "[{\"hex\":\"61ff2062\"},null]\n");
    let role = output(&["exec", "--url", &url, "--replica", "--json", "ROLE"]);
    let role: Value = serde_json::from_slice(&role.stdout).expect("JSON");
    assert_eq!(role[0], "slave");
}

#[test]
fn an_error_reply_and_a_missing_deployment_exit_with_1() {
    let cluster = Cluster::builder().replicas(0).start().expect("a cluster starts");
    let refused = output(&["exec", "--url", &cluster.url(), "INCR", "a", "b"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("wrong number of arguments"));
    let nobody = "redis+sentinel://127.0.0.1:1/mymaster?connect_timeout=1s";
    for subcommand in [&["exec", "--url", nobody, "PING"][..], &["master", "--url", nobody]] {
        let failed = output(subcommand);
        assert_eq!(failed.status.code(), Some(1));
        assert!(text(&failed.stderr).contains("127.0.0.1:1: "), "{}", text(&failed.stderr));
    }
}

#[test]
fn a_wait_ends_with_the_master_or_says_why_it_has_none() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let master = cluster.master().unwrap().address();
    let done = output(&["wait", "--url", &cluster.url()]);
    assert_eq!(text(&done.stdout), format!("{master} 1\n"), "{}", text(&done.stderr));
    let url = "redis+sentinel://127.0.0.1:1/mymaster";
    let late = output(&["wait", "--url", url, "--timeout", "1s"]);
    assert_eq!((late.status.code(), late.stdout.len()), (Some(1), 0));
    assert!(text(&late.stderr).contains("within 1s: "), "{}", text(&late.stderr));
    let late =
        output(&["wait", "--url", &cluster.url(), "--for", "generation:2", "--timeout", "1s"]);
    assert_eq!(late.status.code(), Some(1));
    assert!(text(&late.stderr).contains("still serves"), "{}", text(&late.stderr));
}

#[test]
fn a_wait_for_a_switch_ends_with_the_new_master() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let mut wait =
        command(&["wait", "--url", &cluster.url(), "--for", "switch", "--timeout", "40s"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
    // It may not have found the first master when the first failover is over.
    let ended = wait_until(PATIENCE, || {
        let _ = cluster.failover();
        let _ = cluster.wait_settled(PATIENCE);
        wait.try_wait().expect("its status").is_some()
    });
    if !ended {
        wait.kill().expect("it is killed");
    }
    let done = wait.wait_with_output().expect("it has ended");
    assert!(ended && done.status.success(), "{}", done.status);
    let printed = text(&done.stdout);
    let (master, generation) = printed.trim_end().split_once(' ').expect("two words");
    assert!(cluster.nodes().iter().any(|node| node.address().to_string() == master), "{printed}");
    assert!(generation.parse::<u64>().is_ok_and(|number| number >= 2), "{printed}");
}

#[test]
fn completions_name_the_subcommands_and_man_pages_describe_them() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&output(&["completions", shell]).stdout);
        assert!(script.contains("topology") && script.contains("json"), "{shell}: {script}");
    }
    let folder = std::env::temp_dir().join(format!("switchmaster-man-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let made = output(&["man", "--out", folder.to_str().expect("UTF-8")]);
    let page = std::fs::read_to_string(folder.join("switchmaster-topology.1"));
    let _ = std::fs::remove_dir_all(&folder);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(page.expect("a page").contains(".SH NAME\nswitchmaster"));
}
