//! `switchmaster exec`, and what is made of the description of the arguments.

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
fn a_command_that_ran_without_a_reply_in_time_is_not_sent_again_and_may_have_run() {
    let cluster = Cluster::builder().replicas(0).start().expect("a cluster starts");
    let url = format!("{}?command_timeout=300ms", cluster.url());
    // The server is busy for most of the time after which it is taken for down.
    let script = "redis.call('INCR', 'runs') local function ms() local now = redis.call('TIME') \
        return now[1] * 1000 + now[2] / 1000 end local till = ms() + 800 \
        while ms() < till do end return 'done'";
    let late = output(&["exec", "--url", &url, "EVAL", script, "0"]);
    let complaint = text(&late.stderr);
    assert_eq!((late.status.code(), late.stdout.len()), (Some(1), 0), "{complaint}");
    assert!(complaint.contains("it may have run: look before it is sent again"), "{complaint}");
    assert_eq!(text(&output(&["exec", "--url", &cluster.url(), "GET", "runs"]).stdout), "1\n");
}

#[test]
fn a_command_under_way_on_a_master_that_freezes_ends_at_the_switch_and_may_have_run() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let mut blocked = command(&["exec", "--url", &cluster.url(), "BLPOP", "queue", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let master = cluster.master().unwrap();
    let waits = || master.info("clients", "blocked_clients").is_ok_and(|count| count == "1");
    assert!(wait_until(PATIENCE, waits), "nobody waits at {}", master.address());
    cluster.freeze_master().unwrap();
    let ended = wait_until(PATIENCE, || blocked.try_wait().expect("its status").is_some());
    if !ended {
        blocked.kill().expect("it is killed");
    }
    let done = blocked.wait_with_output().expect("it has ended");
    let complaint = text(&done.stderr);
    assert!(ended, "it still waits: {complaint}");
    assert_eq!((done.status.code(), done.stdout.len()), (Some(1), 0), "{complaint}");
    assert!(complaint.contains("it may have run: look before it is sent again"), "{complaint}");
}

#[test]
fn a_command_for_which_there_is_no_server_was_not_sent() {
    let cluster = Cluster::builder().replicas(0).start().expect("a cluster starts");
    let url = format!("{}?get_timeout=300ms", cluster.url());
    let nobody = output(&["exec", "--url", &url, "--replica", "DBSIZE"]);
    let complaint = text(&nobody.stderr);
    assert_eq!((nobody.status.code(), nobody.stdout.len()), (Some(1), 0), "{complaint}");
    assert!(complaint.contains("it was not sent: it may be sent again"), "{complaint}");
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
