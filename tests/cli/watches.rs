//! `switchmaster watch`.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;
use switchmaster_sandbox::{Cluster, wait_until};

use crate::program::{PATIENCE, Scratch, command, output, text};

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
fn the_examples_of_a_watch_work() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let file = Scratch::new("example.txt");
    let help = text(&output(&["watch", "--help"]).stdout);
    let (_, examples) = help.split_once("Examples:\n").expect("examples");
    let mut count = 0;
    for line in examples.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[0], "switchmaster");
        let url = cluster.url();
        let place = |word: &&str| match *word {
            word if word.starts_with("redis+sentinel://") => url.clone(),
            "failover.txt" => file.path().to_owned(),
            "10s" => "3s".to_owned(),
            word => word.to_owned(),
        };
        let mut arguments: Vec<String> = words[1..].iter().map(place).collect();
        if !words.contains(&"--for") {
            arguments.extend(["--for", "3s"].map(str::to_owned));
        }
        let watch = output(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(watch.status.success(), "{line}: {}", text(&watch.stderr));
        assert!(text(&watch.stdout).contains("watching mymaster: generation 1"), "{line}");
        count += 1;
    }
    assert_eq!(count, 3, "{examples}");
    assert!(file.lines().iter().any(|line| line.starts_with("> switch 1: ")));
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
}
