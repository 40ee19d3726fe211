//! Runs a program in C and serves its requests: the servers are here, and the program orders faults.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::LazyLock,
    thread,
    time::Duration,
};

use switchmaster_sandbox::{Cluster, FakeNode, FakeSentinel, FakeService, Node, wait_until};

use crate::{
    common::wait_until_replicated,
    library::{Under, under},
};

const PATIENCE: Duration = Duration::from_secs(120);
/// An order that is carried out at all is carried out within this time.
const AT_ONCE: Duration = Duration::from_secs(20);
const SERVICE: &str = "mymaster";

/// The servers that a program is given.
#[allow(clippy::large_enum_variant, reason = "there is one for each test")]
pub enum Servers {
    /// A master and a sentinel that all such programs share: nothing is done to them.
    Shared,
    /// A master, two replicas and three sentinels of its own.
    Own(Cluster),
    /// A master and a sentinel that say what the program orders.
    Scripted { sentinel: FakeSentinel, node: FakeNode },
}

/// Ends with the process.
static SHARED: LazyLock<Cluster> = LazyLock::new(|| {
    Cluster::builder().replicas(0).sentinels(1).start().expect("a cluster starts")
});

impl Servers {
    pub fn own() -> Servers {
        Servers::Own(Cluster::builder().start().expect("a cluster starts"))
    }

    pub fn scripted() -> Servers {
        let node = FakeNode::start().expect("a node starts");
        let sentinel = FakeSentinel::start().expect("a sentinel starts");
        let mut service = FakeService::new(node.address());
        service.run_id = node.run_id();
        service.quorum = 1;
        sentinel.serve(SERVICE, service);
        Servers::Scripted { sentinel, node }
    }

    fn cluster(&self) -> &Cluster {
        match self {
            Servers::Shared => &SHARED,
            Servers::Own(cluster) => cluster,
            Servers::Scripted { .. } => panic!("there is no cluster here"),
        }
    }

    fn node(&self) -> &FakeNode {
        match self {
            Servers::Scripted { node, .. } => node,
            _ => panic!("this master answers what it wants"),
        }
    }

    pub fn url(&self) -> String {
        match self {
            Servers::Scripted { sentinel, .. } => {
                format!("redis+sentinel://{}/{SERVICE}", sentinel.address())
            }
            real => real.cluster().url(),
        }
    }

    fn master(&self) -> Node {
        self.cluster().master().expect("there is a master")
    }

    /// Carries an order out, and answers it with one line.
    fn answer(&self, order: &str) -> String {
        let (what, rest) = order.split_once(' ').unwrap_or((order, ""));
        match what {
            "master" => return self.master().address().to_string(),
            "sentinel" => return self.cluster().sentinels()[0].address().to_string(),
            "service" => return self.cluster().service().to_owned(),
            "blocked" => {
                return self.master().info("clients", "blocked_clients").expect("INFO clients");
            }
            "json" => return field_of_json(rest),
            "kill" => drop(self.cluster().kill_master().expect("it is killed")),
            "freeze" => drop(self.cluster().freeze_master().expect("it is frozen")),
            "failover" => self.fail_over(),
            "calm" => self.wait_until_calm(rest),
            "restrict" => self.restrict_a_user(rest),
            "replicated" => wait_until_replicated(&self.master(), self.replicas()),
            "publish" => drop(self.publish(rest)),
            "reach" => {
                let reached = wait_until(PATIENCE, || self.publish(rest) != "0");
                assert!(reached, "nobody hears {rest:?}");
            }
            "answer" => self.node().answer_to("GET", &unescaped(rest)),
            "ignore" => self.node().answer_to(rest, b""),
            "behave" => self.node().answer_normally(),
            _ => panic!("what is {order:?}?"),
        }
        "ok".to_owned()
    }

    /// Makes a user `reader`, password `pass`, who may only have this channel, at every node.
    fn restrict_a_user(&self, channel: &str) {
        for node in self.cluster().nodes() {
            let channel = format!("&{channel}");
            let rights = ["SETUSER", "reader", "on", ">pass", "~*", "+@all", "resetchannels"];
            let rights = [&["ACL"][..], &rights, &[&channel]].concat();
            node.client().expect("a client").expect(&rights).expect("ACL SETUSER");
        }
    }

    /// How many heard it.
    fn publish(&self, message: &str) -> String {
        let (channel, payload) = message.split_once(' ').expect("a channel and a payload");
        self.master().ask(&["PUBLISH", channel, payload]).expect("PUBLISH").text()
    }

    fn replicas(&self) -> usize {
        self.cluster().nodes().len() - 1
    }

    /// Has the sentinels replace the master, which is well. One that stood still for two seconds,
    /// as may happen behind a tool, takes the order and does nothing for thirty.
    fn fail_over(&self) {
        let old = self.master().port();
        let replaced = wait_until(PATIENCE, || {
            self.cluster()
                .failover()
                .is_ok_and(|()| self.cluster().wait_for_master_other_than(old, AT_ONCE).is_ok())
        });
        assert!(replaced, "no other master: {}", self.cluster().logs());
    }

    /// Waits until the library, whose connections have this name, is linked to every node, and every
    /// node gets what is written.
    fn wait_until_calm(&self, name: &str) {
        let own = format!(" name={name} ");
        let is_known = |node: &Node| {
            node.ask(&["CLIENT", "LIST"]).is_ok_and(|clients| clients.text().contains(&own))
        };
        let all = || self.cluster().nodes().iter().all(is_known);
        assert!(wait_until(PATIENCE, all), "not every node knows a client {name:?}");
        wait_until_replicated(&self.master(), self.replicas());
    }
}

/// A field of a JSON object; the whole has to be one, in one line.
fn field_of_json(order: &str) -> String {
    let (field, text) = order.split_once(' ').expect("a field and an object");
    match serde_json::from_str::<serde_json::Value>(text) {
        Err(error) => format!("no JSON: {error}"),
        Ok(object) => {
            object[field].as_str().map_or_else(|| object[field].to_string(), str::to_owned)
        }
    }
}

/// What a line cannot hold is written `\r`, `\n` and `\0`.
fn unescaped(text: &str) -> Vec<u8> {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0").into_bytes()
}

/// A process that ends with this, however the test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How the program is started.
fn command(program: &Path) -> Command {
    match under() {
        Under::Nothing => Command::new(program),
        Under::Asan => {
            let mut command = Command::new(program);
            command.env("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1");
            command
        }
        Under::Valgrind => {
            let mut command = Command::new("valgrind");
            command.args([
                "--quiet",
                "--error-exitcode=99",
                "--leak-check=full",
                "--show-leak-kinds=definite",
                "--errors-for-leak-kinds=definite",
                "--fair-sched=yes",
            ]);
            command.arg(program);
            command
        }
    }
}

/// Runs a function of a program to its end, which has to be a good one.
pub fn run(program: &Path, function: &str, servers: &Servers) {
    let mut started = command(program);
    started.args([function, &servers.url()]);
    started.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = started.spawn().unwrap_or_else(|error| panic!("{started:?}: {error}"));
    let mut running = Running(child);
    let mut answers = running.0.stdin.take().expect("it is piped");
    let orders = BufReader::new(running.0.stdout.take().expect("it is piped"));
    let mut errors = running.0.stderr.take().expect("it is piped");
    let complaints = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = errors.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    for order in orders.lines() {
        let answer = servers.answer(&order.expect("orders are text"));
        if writeln!(answers, "{answer}").is_err() {
            break;
        }
    }
    let ended: ExitStatus = running.0.wait().expect("it ends");
    let complaints = complaints.join().expect("reading does not panic");
    assert!(ended.success(), "{function} ended with {ended}:\n{complaints}");
}
