//! Nothing of a cluster outlives the process that started it.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use switchmaster_sandbox::{Cluster, wait_until};

const LONG: Duration = Duration::from_secs(10);

struct Traces {
    pids: Vec<u32>,
    directory: PathBuf,
}

impl Traces {
    fn of(cluster: &Cluster) -> Traces {
        let mut pids: Vec<u32> = cluster.members().map(|member| member.pid()).collect();
        pids.push(cluster.guardian_pid());
        Traces { pids, directory: cluster.directory().to_owned() }
    }

    /// What is still there; a process that nobody has waited for yet is not.
    fn left(&self) -> Vec<String> {
        let alive = |pid: &&u32| {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "))
        };
        let mut left: Vec<String> =
            self.pids.iter().filter(alive).map(|pid| format!("process {pid}")).collect();
        if self.directory.exists() {
            left.push(self.directory.display().to_string());
        }
        left
    }
}

#[test]
fn a_dropped_cluster_has_left_nothing_when_drop_returns() {
    let cluster = Cluster::builder().start().unwrap();
    let traces = Traces::of(&cluster);
    assert_eq!(traces.left().len(), 8);
    cluster.freeze_master().unwrap();
    drop(cluster);
    assert_eq!(traces.left(), Vec::<String>::new());
}

#[test]
fn a_panic_ends_the_cluster() {
    let (sender, traces) = crossbeam_channel::bounded(1);
    let test = std::thread::spawn(move || {
        let cluster = Cluster::builder().replicas(1).sentinels(1).start().unwrap();
        sender.send(Traces::of(&cluster)).unwrap();
        panic!("a test that fails");
    });
    let traces = traces.recv_timeout(LONG).unwrap();
    assert!(test.join().is_err());
    assert_eq!(traces.left(), Vec::<String>::new());
}

#[test]
fn a_killed_process_takes_its_cluster_with_it_frozen_servers_too() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut traces = Traces { pids: Vec::new(), directory: PathBuf::new() };
    for line in BufReader::new(owner.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((_, pid)) = line.split_once(" pid ") {
            traces.pids.push(pid.parse().unwrap());
        } else if let Some(directory) = line.strip_prefix("directory ") {
            traces.directory = directory.into();
        } else if line.starts_with("end of input") {
            break;
        }
    }
    assert_eq!(traces.left().len(), 8);
    // The second one listed is the first node.
    let stop = Command::new("sh").args(["-c", &format!("kill -STOP {}", traces.pids[1])]).status();
    assert!(stop.unwrap().success());
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(wait_until(LONG, || traces.left().is_empty()), "left: {:?}", traces.left());
}

#[test]
fn other_children_of_the_process_do_not_keep_the_cluster_alive() {
    let cluster = Cluster::builder().replicas(0).sentinels(1).start().unwrap();
    let traces = Traces::of(&cluster);
    let mut bystander =
        Command::new("sh").args(["-c", "read -r line"]).stdin(Stdio::piped()).spawn().unwrap();
    drop(cluster);
    assert_eq!(traces.left(), Vec::<String>::new());
    drop(bystander.stdin.take());
    bystander.wait().unwrap();
}
