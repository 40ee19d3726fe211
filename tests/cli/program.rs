//! The command, as it is called: what it printed, its sandbox, a file for it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use switchmaster_sandbox::wait_until;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchmaster"));
    command.args(arguments).stdin(Stdio::null()).env_remove("SWITCHMASTER_URL");
    command
}

pub(crate) fn output(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the command runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is UTF-8")
}

/// What `switchmaster SUBCOMMAND --help` prints.
pub(crate) fn help(subcommand: &[&str]) -> String {
    let help = output(&[subcommand, &["--help"]].concat());
    assert!(help.status.success(), "{}", text(&help.stderr));
    text(&help.stdout)
}

/// The subcommands that the help lists.
pub(crate) fn subcommands() -> Vec<String> {
    let help = help(&[]);
    let (_, list) = help.split_once("Commands:\n").expect("a list of subcommands");
    let listed = list.lines().take_while(|line| !line.is_empty());
    // What a line goes on with stands further to the right.
    let named = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<String> =
        named.filter(|name| !matches!(*name, "" | "help")).map(str::to_owned).collect();
    assert!(names.len() >= 5, "{names:?}");
    names
}

/// A sandbox of the command, and what it printed.
pub(crate) struct Sandbox {
    pub(crate) child: Child,
    pub(crate) input: Option<ChildStdin>,
    pub(crate) printed: Value,
}

impl Sandbox {
    pub(crate) fn start(arguments: &[&str]) -> Sandbox {
        let mut child = command(&[&["sandbox"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).expect("a line");
        let printed = serde_json::from_str(&line).expect("one line of JSON");
        Sandbox { input: child.stdin.take(), child, printed }
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.printed[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.printed))
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.printed[name].as_array().unwrap_or_else(|| panic!("{name} in {}", self.printed)).len()
    }

    pub(crate) fn pids(&self) -> Vec<u64> {
        self.printed["pids"].as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap()).collect()
    }

    /// Waits for its end, and asserts that nothing is left.
    pub(crate) fn assert_gone(&mut self) {
        let status = self.child.wait().expect("the command ends");
        assert!(status.success(), "{status}");
        let pids = self.pids();
        let gone = |pid: &u64| !Path::new(&format!("/proc/{pid}")).exists();
        assert!(wait_until(PATIENCE, || pids.iter().all(gone)), "of {pids:?} some are left");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Of a test that failed: the cluster ends with the command.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file that is gone after the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("switchmaster-{}-{name}", process::id())))
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // There is none when the command did not come so far.
        let _ = fs::remove_file(&self.0);
    }
}
