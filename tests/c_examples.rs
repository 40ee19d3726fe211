//! The examples in C do what they are there to show: they are built as their page says, and go on when
//! the master is killed.

#[path = "installed/mod.rs"]
mod installed;

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, unbounded};
use installed::{Installation, Program, folder, output, source, succeeded};
use switchmaster_sandbox::{Cluster, Node, wait_until};

/// Long enough for anything that is going to happen at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// An example, built with the others.
fn example(name: &str) -> Program<'static> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let installation = Installation::shared();
    let built = BUILT.get_or_init(|| {
        let build = folder("build");
        succeeded("cmake", &installation.cmake(&source("examples/c"), &build, &[]));
        build
    });
    installation.program(&built.join(name))
}

/// An example that is built with hiredis as well.
fn hiredis_example(name: &str) -> Program<'static> {
    let installation = Installation::shared();
    // What is needed to compile with it, and to link.
    let flags = output(&mut Command::new(source("tests/hiredis")));
    let (compiling, linking) = flags.split_once('\n').expect("two lines");
    let mut libraries = installation.pkg_config(&["--cflags", "--libs"]);
    libraries.extend(linking.split_whitespace().map(str::to_owned));
    let flags: Vec<_> = ["-std=c99"].into_iter().chain(compiling.split_whitespace()).collect();
    let program = folder(name).join(name);
    let code = source(&format!("examples/c/{name}.c"));
    installation.link("cc", &[code], &flags, &libraries, &program)
}

fn cluster() -> Cluster {
    Cluster::builder().start().expect("a cluster starts")
}

/// An example that runs, and ends with the test.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Running {
    fn start(program: &Program, arguments: &[&str]) -> Running {
        let mut command = program.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the example starts");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = unbounded();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Running { input: child.stdin.take(), child, lines }
    }

    /// The next line of which something can be made.
    fn wait_for<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut printed = Vec::new();
        loop {
            let line = self.lines.recv_deadline(deadline).unwrap_or_else(|error| {
                panic!("no {what}: {error}, after {printed:#?}");
            });
            if let Some(seen) = look(&line) {
                return seen;
            }
            printed.push(line);
        }
    }

    /// Ends its input, and gives what it printed after that. It has to succeed.
    fn end(mut self) -> Vec<String> {
        drop(self.input.take());
        let mut printed = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_deadline(deadline) {
            printed.push(line);
        }
        let ended =
            wait_until(PATIENCE, || self.child.try_wait().expect("it can be waited for").is_some());
        assert!(ended, "it did not end with its input: {printed:#?}");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {printed:#?}");
        printed
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number behind a word.
fn number(line: &str, word: &str) -> Option<i64> {
    let (_, rest) = line.split_once(word)?;
    rest.trim_start().split([',', ':', ' ']).next()?.parse().ok()
}

#[test]
fn the_counter_survives_a_killed_master() {
    let cluster = cluster();
    let counter = Running::start(&example("counter"), &[&cluster.url()]);
    let acknowledged = |generation: i64, more_than: i64| {
        counter.wait_for("progress", |line| {
            let acknowledged = number(line, "acknowledged")?;
            let fits = number(line, "generation")? == generation && acknowledged > more_than;
            fits.then_some(acknowledged)
        })
    };
    let before = acknowledged(1, 0);
    let old = cluster.kill_master().unwrap();
    let switched = acknowledged(2, before - 1);
    acknowledged(2, switched);

    let printed = counter.end();
    let last = printed.last().expect("a last line");
    let (least, most) = (number(last, "between").unwrap(), number(last, "and").unwrap());
    let value = number(last, ": counter").unwrap();
    assert!(least > switched && least <= value && value <= most, "{last}");
    let master = cluster.wait_for_master_other_than(old.port(), PATIENCE).unwrap();
    let kept = master.ask(&["GET", "examples:counter"]).unwrap();
    assert_eq!(kept.text(), value.to_string());
}

#[test]
fn the_worker_goes_on_at_the_new_master() {
    let cluster = cluster();
    let worker = Running::start(&example("queue"), &[&cluster.url(), "jobs"]);
    let job = |name: &str| {
        let expected = format!("job: {name}");
        worker.wait_for(&expected, |line| (line == expected).then_some(()));
    };
    let old = cluster.master().unwrap();
    for name in ["first", "second"] {
        old.ask(&["RPUSH", "jobs", name]).unwrap();
        job(name);
    }
    // It sleeps in the server that is killed.
    assert!(wait_until(PATIENCE, || {
        old.info("clients", "blocked_clients").is_ok_and(|blocked| blocked == "1")
    }));
    cluster.kill_master().unwrap();
    let new = cluster.wait_for_master_other_than(old.port(), PATIENCE).unwrap();
    for name in ["third", "stop"] {
        new.ask(&["RPUSH", "jobs", name]).unwrap();
        job(name);
    }
    assert_eq!(worker.end(), Vec::<String>::new());
}

#[test]
fn the_poll_loop_is_told_of_the_switch() {
    let cluster = cluster();
    let mut watcher = Running::start(&example("events"), &[&cluster.url()]);
    let expected = format!("the master is {}", cluster.master().unwrap().address());
    watcher.wait_for(&expected, |line| (line == expected).then_some(()));
    let old = cluster.kill_master().unwrap();
    let new = cluster.wait_for_master_other_than(old.port(), PATIENCE).unwrap();
    let expected = format!("the master is {}, and no longer {}", new.address(), old.address());
    watcher.wait_for(&expected, |line| (line == expected).then_some(()));
    // Input is no reason to end, only its end is.
    let input = watcher.input.as_mut().unwrap();
    writeln!(input, "still here?").unwrap();
    watcher.end();
}

/// What the examples with hiredis have counted so far.
fn counted(node: &Node) -> i64 {
    node.ask(&["GET", "counted"]).map_or(0, |counted| counted.text().parse().unwrap_or(0))
}

#[test]
fn a_program_on_hiredis_ends_with_its_master() {
    let cluster = cluster();
    let master = cluster.master().unwrap();
    let (host, port) = (master.address().ip().to_string(), master.port().to_string());
    let mut program = Running::start(&hiredis_example("hiredis_before"), &[&host, &port, "600"]);
    assert!(wait_until(PATIENCE, || counted(&master) > 0));
    cluster.kill_master().unwrap();
    program.wait_for("end of the counting", |line| line.contains(", then: ").then_some(()));
    assert_eq!(program.child.wait().unwrap().code(), Some(1));
}

#[test]
fn the_same_program_on_switchmaster_goes_on() {
    let cluster = cluster();
    let old = cluster.master().unwrap();
    let program = hiredis_example("hiredis_after");
    let mut program = Running::start(&program, &[&cluster.url(), "600"]);
    assert!(wait_until(PATIENCE, || counted(&old) > 0));
    cluster.kill_master().unwrap();
    let new = cluster.wait_for_master_other_than(old.port(), PATIENCE).unwrap();
    let before = counted(&new);
    assert!(wait_until(PATIENCE, || counted(&new) > before), "nothing is counted any more");
    assert!(program.child.try_wait().unwrap().is_none(), "it ended");
}
