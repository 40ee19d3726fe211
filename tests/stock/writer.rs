//! A program that writes by a client of another maker: [`Client`], [`Writer`].

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Instant,
};

use parking_lot::Mutex;
use switchmaster_sandbox::{Cluster, Node, wait_until};

use crate::{Seen, common::PATIENCE, longest_pause};

/// Writers of each program, each with a list of its own.
const WRITERS: usize = 4;

/// How a program is started.
pub struct Client {
    name: String,
    words: Vec<String>,
}

impl Client {
    /// What `tests/stock/build` has built.
    pub fn all() -> Vec<Client> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stock/build");
        let built = Command::new(script).output().expect("the script runs");
        let errors = String::from_utf8_lossy(&built.stderr).into_owned();
        assert!(built.status.success(), "{errors}");
        let lines = String::from_utf8(built.stdout).expect("the script prints UTF-8");
        let clients: Vec<Client> = lines
            .lines()
            .filter_map(|line| {
                let mut words = line.split('\t').map(str::to_owned);
                Some(Client { name: words.next()?, words: words.collect() })
            })
            .collect();
        assert!(clients.len() >= 3, "{lines}");
        clients
    }
}

/// A write that was acknowledged.
struct Write {
    value: String,
    at: Instant,
}

#[derive(Default)]
pub struct Tally {
    name: String,
    list: String,
    writes: Vec<Write>,
    errors: Vec<String>,
}

impl Tally {
    /// What of it is on the master of now.
    pub fn seen(&self, master: &Node) -> Seen {
        let mut there = HashSet::new();
        for writer in 0..WRITERS {
            let list = format!("{}:{writer}", self.list);
            let found = master.ask(&["LRANGE", &list, "0", "-1"]).expect("the list is readable");
            there.extend(found.items().iter().map(|item| item.text()));
        }
        Seen {
            name: self.name.clone(),
            acknowledged: self.writes.len(),
            lost: self.writes.iter().filter(|write| !there.contains(&write.value)).count(),
            errors: self.errors.len(),
            pause: longest_pause(self.writes.iter().map(|write| write.at)),
        }
    }
}

/// A program that runs. It ends with its input, or is killed with the test.
pub struct Writer {
    child: Child,
    input: Option<ChildStdin>,
    tally: Arc<Mutex<Tally>>,
    reader: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(client: &Client, cluster: &Cluster) -> Writer {
        let list = format!("stock:{}", client.name);
        let sentinels = cluster.sentinels().iter().map(|sentinel| sentinel.address().to_string());
        let mut child = Command::new(&client.words[0])
            .args(&client.words[1..])
            .args([cluster.service(), &list])
            .args(sentinels)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", client.words));
        let tally = Tally { name: client.name.clone(), list, ..Tally::default() };
        let tally = Arc::new(Mutex::new(tally));
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let told = tally.clone();
        let reader = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let at = Instant::now();
                match line.split_once(' ') {
                    Some(("ack", value)) => {
                        told.lock().writes.push(Write { value: value.to_owned(), at });
                    }
                    _ => told.lock().errors.push(line),
                }
            }
        });
        Writer { input: child.stdin.take(), child, tally, reader: Some(reader) }
    }

    /// Waits until so many more writes were acknowledged.
    pub fn wait_for(&self, more: usize) {
        let enough = self.tally.lock().writes.len() + more;
        let written = wait_until(PATIENCE, || self.tally.lock().writes.len() >= enough);
        let tally = self.tally.lock();
        let errors = &tally.errors[tally.errors.len().saturating_sub(5)..];
        assert!(written, "{}: no {more} writes more were acknowledged: {errors:?}", tally.name);
    }

    /// Ends the program, and tells what it did.
    pub fn end(mut self) -> Tally {
        drop(self.input.take());
        self.child.wait().expect("the program ends");
        let reader = self.reader.take().expect("it is joined once");
        reader.join().expect("the reader does not panic");
        std::mem::take(&mut *self.tally.lock())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Of a test that failed; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
