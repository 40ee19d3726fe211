//! `switchmaster watch`.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use serde_json::Value;
use switchmaster_sandbox::{Cluster, wait_until};

use crate::{
    common::stage::Stage,
    program::{PATIENCE, Scratch, command, output, text},
};

#[test]
fn a_watch_tells_and_records_a_switch_until_it_is_ended() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let old = cluster.master().unwrap().address().to_string();
    let file = Scratch::new("switch.txt");
    let mut watch = command(&["watch", "--url", &cluster.url(), "--json", "--record", file.path()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let printed = BufReader::new(watch.stdout.take().unwrap());
    let mut events = printed.lines().map(|line| -> Value {
        let line = line.expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    });
    let first = events.next().expect("what it begins with");
    assert_eq!((&first["name"], &first["master"]), (&"watching".into(), &old.as_str().into()));

    cluster.failover().unwrap();
    let switched = events.find(|event| event["name"] == "switched").expect("the switch");
    assert_eq!((&switched["generation"], &switched["from"]), (&2.into(), &old.as_str().into()));
    assert_ne!(switched["to"], old.as_str());
    assert!(switched["ms"].as_f64() > first["ms"].as_f64(), "{switched}");
    for text in ["text", "source", "time"] {
        assert!(switched[text].is_string(), "{text} in {switched}");
    }
    // It is in the file a second later at most, while the command runs on.
    let recorded = || file.lines().iter().any(|line| line.starts_with("> switch 2: "));
    assert!(wait_until(PATIENCE, recorded), "{:#?}", file.lines());

    let kill = Command::new("kill").arg(watch.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert!(watch.wait().unwrap().success());
    let lines = file.lines();
    assert_eq!(lines[0], "# switchmaster recording 1");
    assert!(lines.contains(&"# switch_on=promotion".to_owned()), "{lines:#?}");
    let chosen = lines.iter().filter(|line| line.contains(" +selected-slave slave "));
    assert_eq!(chosen.count(), 1, "{lines:#?}");
}

#[test]
fn a_watch_without_a_master_says_and_records_why() {
    let file = Scratch::new("nobody.txt");
    let url = "redis+sentinel://127.0.0.1:1/mymaster?connect_timeout=3s";
    let watch = output(&["watch", "--url", url, "--record", file.path()]);
    assert_eq!(watch.status.code(), Some(1));
    assert!(text(&watch.stderr).contains("127.0.0.1:1: "), "{}", text(&watch.stderr));
    let lines = file.lines();
    assert!(lines.iter().any(|line| line.contains(" down 127.0.0.1:1: ")), "{lines:#?}");
    let short = output(&["watch", "--url", url, "--for", "100ms"]);
    assert_eq!(short.status.code(), Some(1));
    assert!(text(&short.stderr).contains("no master was found"), "{}", text(&short.stderr));
}

/// Runs a watch with a program until a line of its output holds `sign`, and gives all lines so far.
fn watched(cluster: &Cluster, program: &Scratch, options: &[&str], sign: &str) -> Vec<String> {
    let url = cluster.url();
    let arguments = [&["watch", "--url", &url, "--exec", program.path()], options].concat();
    watched_as(cluster, command(&arguments), sign)
}

/// As [`watched`], with the command as it is.
fn watched_as(cluster: &Cluster, mut command: Command, sign: &str) -> Vec<String> {
    let mut watch = command.stdout(Stdio::piped()).spawn().expect("the command runs");
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut printed = vec![lines.next().expect("what it begins with").expect("a line")];
    cluster.failover().unwrap();
    // Borrowed: the watch prints on until it ends, and would fail at a pipe that is closed.
    for line in lines.by_ref() {
        printed.push(line.expect("a line"));
        if printed.last().is_some_and(|line| line.contains(sign)) {
            break;
        }
    }
    assert!(Command::new("kill").arg(watch.id().to_string()).status().unwrap().success());
    assert!(watch.wait().unwrap().success());
    printed
}

fn program(name: &str, script: &str) -> Scratch {
    let program = Scratch::new(name);
    fs::write(program.path(), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[test]
fn a_program_is_run_at_a_switch_and_its_exit_code_is_told() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let old = cluster.master().unwrap().address();
    let told = Scratch::new("told.txt");
    let script = format!("echo \"$@ $SWITCHMASTER_GENERATION\" > {}; exit 7", told.path());
    let program = program("reconfigure", &script);
    let lines = watched(&cluster, &program, &[], "exec: ");
    assert!(lines.last().unwrap().contains("exec: switched: exit code 7, after "), "{lines:#?}");
    let told = told.lines();
    let begin = format!("mymaster client end {} {} ", old.ip(), old.port());
    assert!(told[0].starts_with(&begin) && told[0].ends_with(" 2"), "{told:?}");
}

#[test]
fn a_program_is_not_given_the_url_of_the_environment() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let told = Scratch::new("environment.txt");
    let program = program("environment", &format!("env > {}", told.path()));
    let mut watch = command(&["watch", "--exec", program.path()]);
    watch.env("SWITCHMASTER_URL", cluster.url());
    watched_as(&cluster, watch, "exec: ");
    let told = told.lines();
    assert!(told.iter().any(|line| line == "SWITCHMASTER_SERVICE=mymaster"), "{told:#?}");
    assert!(!told.iter().any(|line| line.starts_with("SWITCHMASTER_URL=")), "{told:#?}");
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_what_it_started() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let child = Scratch::new("child.txt");
    let program = program("slow", &format!("sleep 600 &\necho $! > {}\nwait", child.path()));
    let lines = watched(&cluster, &program, &["--exec-timeout", "300ms", "--json"], "\"exec\"");
    let report: Value = serde_json::from_str(lines.last().unwrap()).expect("JSON");
    assert!(
        report["outcome"].as_str().is_some_and(|text| text.starts_with("killed: ")),
        "{report}"
    );
    let pid = child.lines()[0].clone();
    // Until init has taken note, it is a zombie.
    let gone = || match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    assert!(wait_until(PATIENCE, gone), "{pid} runs on");
}

#[test]
fn each_event_of_more_than_can_wait_is_told_to_be_run_or_left_out() {
    const EVENTS: usize = 70;
    let stage = Stage::set();
    let (gate, done) = (Scratch::new("gate"), Scratch::new("done.txt"));
    // It ends by itself, too: nothing is left of a test that failed.
    let wait =
        format!("for _ in $(seq 1000); do [ -e {} ] && break; sleep 0.02; done", gate.path());
    let program = program("waits", &format!("{wait}\necho done >> {}", done.path()));
    let mut url = "redis+sentinel://".to_owned();
    for (index, sentinel) in stage.sentinels.iter().enumerate() {
        let gap = if index > 0 { "," } else { "" };
        url.push_str(&format!("{gap}{}", sentinel.address()));
    }
    url.push_str("/mymaster");
    let mut watch = command(&["watch", "--url", &url, "--exec", program.path(), "--json"])
        .args(["--on", "malformed"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut printed = lines.map(|line| -> Value {
        serde_json::from_str(&line.expect("a line")).expect("one JSON object a line")
    });
    printed.find(|line| line["name"] == "watching").expect("what it begins with");
    let sentinel = &stage.sentinels[0];
    // The factory of the stage listens, too.
    let heard = || sentinel.publish("+reboot", b"master other 127.0.0.1 1") == 2;
    assert!(wait_until(PATIENCE, heard), "the watch does not listen");
    for _ in 0..EVENTS {
        sentinel.publish("+switch-master", b"mymaster");
    }

    let named = |lines: &[Value], name: &str| lines.iter().filter(|it| it["name"] == name).count();
    let mut lines: Vec<Value> = Vec::new();
    while named(&lines, "malformed") < EVENTS || lines.last().unwrap()["name"] == "malformed" {
        lines.push(printed.next().expect("a line"));
    }
    // One has begun at most, and 64 wait.
    let left_out = named(&lines, "exec-left-out");
    assert!((EVENTS - 65..=EVENTS - 64).contains(&left_out), "{lines:#?}");
    let told = lines.iter().find(|line| line["name"] == "exec-left-out").unwrap();
    assert_eq!(told["event"], "malformed");
    assert!(told["text"].as_str().unwrap().contains("64 runs are waiting"), "{told}");

    assert!(Command::new("kill").arg(watch.id().to_string()).status().unwrap().success());
    fs::write(gate.path(), "open").unwrap();
    lines.extend(printed);
    assert!(watch.wait().unwrap().success());
    let outcomes: Vec<&str> = lines.iter().filter_map(|line| line["outcome"].as_str()).collect();
    let ran = outcomes.iter().filter(|outcome| **outcome == "exit code 0").count();
    let ended = outcomes.iter().filter(|outcome| outcome.ends_with("the watch has ended")).count();
    assert_eq!((ran + ended, left_out + ran + ended), (outcomes.len(), EVENTS), "{outcomes:?}");
    assert!(ran >= 1 && ran == done.lines().len(), "{outcomes:?}");
}

#[test]
fn a_program_that_cannot_be_run_and_an_event_that_there_is_not_are_errors_at_the_start() {
    let url = "redis+sentinel://127.0.0.1:1/mymaster";
    for (options, named) in [
        (&["--exec", "/nowhere/program"][..], "/nowhere/program: there is no such file"),
        (&["--exec", "true", "--on", "tea"], "there is no such event"),
        (&["--on", "switched"], "--exec"),
    ] {
        let failed = output(&[&["watch", "--url", url], options].concat());
        assert_eq!(failed.status.code(), Some(2));
        assert!(text(&failed.stderr).contains(named), "{}", text(&failed.stderr));
    }
}
