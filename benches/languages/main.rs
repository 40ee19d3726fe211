//! How soon programs in other languages write again after a failover, beside one in Rust.
//!
//! All of them write to one cluster at the same time, each a key of its own, and the same failovers
//! befall them. Each is a process that is started as `COMMAND URL KEY`, increments the key without a
//! pause until its standard input ends, and says on its standard output
//!
//! ```text
//! ready                          the first write was acknowledged
//! pause FROM TO                  none was between these, 20 ms or more; ns of CLOCK_MONOTONIC
//! end ACKNOWLEDGED UNKNOWN       how many were, and of how many that is not known
//! ```
//!
//! usage: `languages RUNS NAME=COMMAND…`; `make bench-languages` builds and names them.

mod writer;

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, bounded};
use redis::Commands;
use switchmaster::Factory;
use switchmaster_sandbox::Cluster;

const PATIENCE: Duration = Duration::from_secs(60);
/// From one failover to the next: all sentinels know of the last.
const CALM: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    // `cargo bench` passes an option of its own.
    let arguments: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    match &arguments[..] {
        [role, url, key] if role == writer::ROLE => writer::run(url, key),
        [runs, others @ ..] if runs.parse::<u32>().is_ok() => {
            compare(runs.parse().unwrap_or(1), others);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: languages RUNS NAME=COMMAND…");
            ExitCode::from(2)
        }
    }
}

/// What befalls the cluster.
#[derive(Clone, Copy)]
enum Fault {
    Kill,
    Freeze,
    Planned,
}

impl Fault {
    const ALL: [(Fault, &str); 3] =
        [(Fault::Kill, "kill"), (Fault::Freeze, "freeze"), (Fault::Planned, "planned")];

    /// So long nobody writes, at least: until the master is found to be down, or while the fence stands.
    fn pause(self, cluster: &Cluster) -> Duration {
        match self {
            Fault::Kill | Fault::Freeze => cluster.down_after() / 2,
            Fault::Planned => Duration::from_millis(50),
        }
    }

    fn befall(self, cluster: &Cluster) {
        match self {
            Fault::Kill => drop(cluster.kill_master().expect("the master is killed")),
            Fault::Freeze => drop(cluster.freeze_master().expect("the master is frozen")),
            Fault::Planned => cluster.failover().expect("a sentinel takes the order"),
        }
    }
}

/// A process that writes.
struct Writer {
    name: String,
    key: String,
    child: Child,
    lines: Receiver<String>,
}

impl Writer {
    fn start(name: &str, command: &[&str], url: &str) -> Writer {
        let key = format!("languages:{name}");
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .args([url, &key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {} does not start: {error}", command[0]));
        let output = child.stdout.take().expect("it is piped");
        Writer { name: name.to_owned(), key, child, lines: lines(output) }
    }

    fn said(&self) -> Vec<String> {
        let line = self.lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|error| panic!("{} says nothing: {error}", self.name));
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// When the first write was acknowledged after a pause that is long enough and ended later than
    /// this. A busy machine makes others.
    fn again(&self, after: u64, least: Duration) -> u64 {
        loop {
            let said = self.said();
            let [word, from, to] = &said[..] else { panic!("{} says {said:?}", self.name) };
            assert_eq!(word, "pause");
            let time = |text: &str| text.parse::<u64>().expect("a time");
            let (from, to) = (time(from), time(to));
            if to > after && Duration::from_nanos(to - from) >= least {
                return to;
            }
        }
    }

    /// Ends it: how many writes were acknowledged, and of how many that is not known.
    fn end(mut self) -> (String, u64, u64) {
        drop(self.child.stdin.take());
        loop {
            let said = self.said();
            if let [word, acknowledged, unknown] = &said[..]
                && word == "end"
            {
                let count = |text: &str| text.parse().expect("a number");
                return (self.key.clone(), count(acknowledged), count(unknown));
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = bounded(1024);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn compare(runs: u32, others: &[String]) {
    let own = env::current_exe().expect("this program has a path");
    let own = own.to_str().expect("a path that can be printed");
    println!(
        "first acknowledged write after a failover, ms later than that of Rust; {runs} runs\n"
    );
    println!("{:<10}{:<10}{:>10}{:>10}{:>10}", "fault", "language", "median", "least", "most");
    for (fault, fault_name) in Fault::ALL {
        let cluster = Cluster::builder().start().expect("a cluster starts");
        let mut writers = vec![Writer::start("rust", &[own, writer::ROLE], &cluster.url())];
        for other in others {
            let (name, command) = other.split_once('=').expect("NAME=COMMAND");
            let command: Vec<&str> = command.split_whitespace().collect();
            writers.push(Writer::start(name, &command, &cluster.url()));
        }
        for writer in &writers {
            assert_eq!(writer.said(), ["ready"], "{}", writer.name);
        }
        let mut later: Vec<Vec<f64>> = vec![Vec::new(); writers.len()];
        for _ in 0..runs {
            thread::sleep(CALM);
            let before = writer::now();
            let old = cluster.master().expect("there is a master").port();
            fault.befall(&cluster);
            let least = fault.pause(&cluster);
            let again: Vec<u64> = writers.iter().map(|it| it.again(before, least)).collect();
            // A master that came back before it was replaced would come back empty.
            cluster.wait_for_master_other_than(old, PATIENCE).expect("another master");
            for (later, at) in later.iter_mut().zip(&again) {
                later.push((*at as f64 - again[0] as f64) / 1e6);
            }
            cluster.repair(PATIENCE).expect("the cluster is whole again");
        }
        for (writer, later) in writers.iter().zip(&mut later).skip(1) {
            later.sort_by(f64::total_cmp);
            println!(
                "{fault_name:<10}{:<10}{:>10.2}{:>10.2}{:>10.2}",
                writer.name,
                later[later.len() / 2],
                later[0],
                later[later.len() - 1]
            );
        }
        let factory = Factory::open(&cluster.url()).expect("a factory opens");
        let mut redis = factory.get().expect("a handle");
        for writer in writers {
            let name = writer.name.clone();
            let (key, acknowledged, unknown) = writer.end();
            let counted: u64 = redis.get(key).expect("the counter");
            println!(
                "{:<10}{name:<10}{acknowledged} acknowledged, {unknown} unknown, {counted} counted",
                ""
            );
        }
    }
}
