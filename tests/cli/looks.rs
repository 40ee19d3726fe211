//! `switchmaster master` and `switchmaster topology`.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;
use switchmaster_sandbox::{Cluster, FakeSentinel};

use crate::{
    common::many::{Many, name},
    program::{PATIENCE, command, output, text},
};

#[test]
fn a_url_in_the_environment_is_for_those_who_look_and_gives_way_to_an_option() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let with = |url: &str, arguments: &[&str]| {
        command(arguments).env("SWITCHMASTER_URL", url).output().expect("the command runs")
    };
    let (url, nobodys) = (cluster.url(), "redis+sentinel://:secret@127.0.0.1:1/mymaster");
    let master = format!("{}\n", cluster.master().unwrap().address());
    assert_eq!(text(&with(&url, &["master"]).stdout), master);
    assert_eq!(text(&with(nobodys, &["master", "--url", &url]).stdout), master);
    assert!(text(&with(&url, &["topology"]).stdout).contains("3 of 3 sentinels"));
    for subcommand in ["master", "topology"] {
        let help = text(&with(nobodys, &[subcommand, "--help"]).stdout);
        assert!(help.contains("SWITCHMASTER_URL") && !help.contains("secret"), "{help}");
    }
    // What is drilled has to be named, whatever the environment is for.
    let drill = text(&with(nobodys, &["drill", "--help"]).stdout);
    assert!(!drill.contains("SWITCHMASTER_URL"), "{drill}");
}

#[test]
fn master_and_topology_say_what_the_sentinels_know() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let master = cluster.master().unwrap().address().to_string();
    let url = cluster.url();

    let answer = output(&["master", "--url", &url]);
    assert!(answer.status.success(), "{}", text(&answer.stderr));
    assert_eq!(text(&answer.stdout), format!("{master}\n"));

    let answer = output(&["topology", "--url", &url]);
    let tree = text(&answer.stdout);
    assert!(tree.starts_with(&format!("mymaster: master {master}")), "{tree}");
    for member in cluster.members() {
        assert!(tree.contains(&member.address().to_string()), "{} in {tree}", member.name());
    }

    let answer = output(&["topology", "--url", &url, "--json"]);
    let topology: Value = serde_json::from_slice(&answer.stdout).expect("a JSON document");
    assert_eq!(topology["master"], master.as_str());
    assert_eq!(topology["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(topology["sentinels"].as_array().unwrap().len(), 3);
}

#[test]
fn a_tree_has_the_replicas_below_their_master_and_versions_of_all() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let master = cluster.master().unwrap().address().to_string();
    let tree = text(&output(&["topology", "--url", &cluster.url()]).stdout);
    assert!(tree.contains(&format!("\n├─ {master}  master, Redis ")), "{tree}");
    assert_eq!(tree.matches("\n│  ├─ ").count(), 1, "{tree}");
    assert_eq!(tree.matches("\n│  └─ ").count(), 1, "{tree}");
    assert_eq!(tree.matches("  replica, Redis ").count(), 2, "{tree}");
    assert_eq!(tree.matches("  up, Redis ").count(), 3, "{tree}");
}

#[test]
fn a_url_without_a_service_shows_all_of_them() {
    let cluster = Cluster::builder().service_also("orders").start().expect("a cluster starts");
    let url = cluster.url();
    let url = url.strip_suffix("/mymaster").expect("the service is named last");
    let answer = output(&["topology", "--url", url]);
    let trees = text(&answer.stdout);
    assert!(answer.status.success(), "{trees}{}", text(&answer.stderr));
    for service in ["mymaster", "orders"] {
        let head = format!("{service}: master {}", cluster.master_of(service).unwrap().address());
        assert!(trees.lines().any(|line| line.starts_with(&head)), "{head} in {trees}");
    }
    let answer = output(&["topology", "--url", url, "--json"]);
    let services: Value = serde_json::from_slice(&answer.stdout).expect("a JSON document");
    let names: Vec<&Value> =
        services.as_array().unwrap().iter().map(|service| &service["service"]).collect();
    assert_eq!(names, ["mymaster", "orders"]);
    let version = services[0]["nodes"][0]["says"]["version"].as_str().expect("a version");
    assert!(version.starts_with("Redis ") || version.starts_with("Valkey "), "{version}");
}

#[test]
fn a_deployment_without_a_master_is_shown_with_who_is_not_reached_and_why() {
    let cluster = Cluster::builder().replicas(0).start().expect("a cluster starts");
    let master = cluster.kill_master().unwrap().address().to_string();
    let gone = &cluster.sentinels()[2];
    gone.kill().unwrap();
    let answer = output(&["topology", "--url", &cluster.url()]);
    let tree = text(&answer.stdout);
    assert_eq!(answer.status.code(), Some(1), "{tree}");
    assert!(tree.starts_with("mymaster: no master"), "{tree}");
    assert!(tree.contains(&format!("{master}  named master by 2, not reached: cannot")), "{tree}");
    assert!(tree.contains(&format!("{}  down: ", gone.address())), "{tree}");
    assert!(tree.lines().all(|line| line.chars().count() <= 80), "{tree}");
    assert!(text(&answer.stderr).contains("mymaster"), "{}", text(&answer.stderr));
}

#[test]
fn a_hundred_services_are_shown_where_a_shell_allows_few_open_files() {
    const SERVICES: usize = 100;
    let many = Many::serving(SERVICES).expect("fakes start");
    let sentinels: Vec<String> =
        many.sentinels.iter().map(FakeSentinel::address).map(|it| it.to_string()).collect();
    let url = format!("redis+sentinel://{}", sentinels.join(","));
    let look = Command::new("sh")
        .args(["-c", "ulimit -Sn 64 && exec \"$0\" topology --url \"$1\""])
        .args([env!("CARGO_BIN_EXE_switchmaster"), &url])
        .output()
        .expect("sh runs");
    let trees = text(&look.stdout);
    assert!(look.status.success(), "{trees}{}", text(&look.stderr));
    let master = many.nodes[0].address();
    for service in 0..SERVICES {
        let head = format!("{}: master {master}, ", name(service));
        assert!(trees.lines().any(|line| line.starts_with(&head)), "{head} in {trees}");
    }
    assert!(!trees.contains("not reached"), "{trees}");
}

#[test]
fn no_sentinel_at_all_is_an_error_that_names_each() {
    let answer = output(&["topology", "--url", "redis+sentinel://127.0.0.1:1"]);
    assert_eq!(answer.status.code(), Some(1));
    assert!(text(&answer.stderr).contains("127.0.0.1:1: "), "{}", text(&answer.stderr));
}

#[test]
fn a_watched_topology_prints_a_new_tree_at_a_switch_and_ends_at_a_signal() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let old = cluster.master().unwrap().address().to_string();
    let mut watch = command(&["topology", "--url", &cluster.url(), "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut looks = lines.map(|line| -> Value {
        serde_json::from_str(&line.expect("a line")).expect("one JSON document a line")
    });
    assert_eq!(looks.next().expect("a first look")["master"], old.as_str());
    cluster.failover().unwrap();
    let other = |look: &Value| look["master"].is_string() && look["master"] != old.as_str();
    assert!(looks.any(|look| other(&look)), "a look with the new master");
    let kill = Command::new("kill").arg(watch.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert!(watch.wait().unwrap().success());
}
