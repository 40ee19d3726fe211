//! The examples in the help of each subcommand run.

use std::{
    env, fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
};

use switchmaster_sandbox::{Cluster, wait_until};

use crate::program::{PATIENCE, help, subcommands};

/// How the examples of a subcommand are run.
enum Way {
    /// They end by themselves, with one of these exit codes.
    End(&'static [i32]),
    /// They run until a signal, once they have printed something, and end well then.
    RunOn,
}

/// Those of a subcommand that is not named here end by themselves, with exit code 0.
const WAYS: [(&str, Way); 5] = [
    // With 1 a promise was broken, by this busy machine perhaps; the tests of drills tell that.
    ("drill", Way::End(&[0, 1])),
    ("metrics", Way::RunOn),
    ("sandbox", Way::RunOn),
    ("watch", Way::RunOn),
    // Nothing is switched meanwhile: the wait for it ends with the time that it may take.
    ("wait", Way::End(&[0, 1])),
];

/// What stands in an example, and what takes its place: times are short here and repetitions few,
/// ports free.
const PLACES: [(&str, &str); 6] = [
    ("127.0.0.1:9121", "127.0.0.1:0"),
    ("10s", "2s"),
    ("30s", "2s"),
    ("60s", "2s"),
    ("--runs 10", "--runs 2"),
    ("--runs 20", "--runs 2"),
];

/// Those whose examples take so long that they are run beside all others.
const LONG: [&str; 1] = ["drill"];

#[test]
fn the_examples_that_end_by_themselves_work() {
    run_those_of("short", |subcommand| !LONG.contains(&subcommand) && !runs_on(subcommand));
}

#[test]
fn the_examples_that_run_until_a_signal_work() {
    run_those_of("running", runs_on);
}

#[test]
fn the_examples_of_drills_work() {
    run_those_of("long", |subcommand| LONG.contains(&subcommand));
}

fn way_of(subcommand: &str) -> Option<&'static Way> {
    WAYS.iter().find(|(name, _)| *name == subcommand).map(|(_, way)| way)
}

fn runs_on(subcommand: &str) -> bool {
    matches!(way_of(subcommand), Some(Way::RunOn))
}

/// Runs the examples of the subcommands that are chosen, in a folder of this name.
fn run_those_of(name: &str, is_chosen: impl Fn(&str) -> bool) {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let place = Place::new(name);
    for subcommand in subcommands().into_iter().filter(|subcommand| is_chosen(subcommand)) {
        for line in examples(&help(&[&subcommand])) {
            match way_of(&subcommand) {
                None => place.ends(&line, &cluster, &[0]),
                Some(Way::End(codes)) => place.ends(&line, &cluster, codes),
                Some(Way::RunOn) => place.runs_on(&line, &cluster),
            }
        }
    }
}

fn examples(help: &str) -> Vec<String> {
    let (_, examples) = help
        .split_once("Examples:\n")
        .or_else(|| help.split_once("Example:\n"))
        .unwrap_or_else(|| panic!("no examples in {help}"));
    let lines = examples.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    for line in &lines {
        assert!(
            line.starts_with("switchmaster "),
            "{line:?} does not fit into one line: {lines:?}"
        );
    }
    lines
}

/// A folder in which the files lie that the examples name, and go that they write.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let place = format!("switchmaster-examples-{name}-{}", process::id());
        let place = env::temp_dir().join(place);
        fs::create_dir_all(&place).expect("a folder for the examples");
        let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/kill.txt");
        fs::copy(recording, place.join("failover.txt")).expect("a recording to replay");
        let program = place.join("reconfigure");
        fs::write(&program, "#!/bin/sh\n").expect("a program to run");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it can be run");
        Place(place)
    }

    fn start(&self, line: &str, cluster: &Cluster) -> Child {
        let line = PLACES.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to));
        let words: Vec<String> = line.split(' ').map(|word| replaced(word, cluster)).collect();
        let own = Path::new(env!("CARGO_BIN_EXE_switchmaster")).parent().expect("its folder");
        let path = format!("{}:{}", own.display(), env::var("PATH").unwrap_or_default());
        Command::new("sh")
            .args(["-c", &format!("exec {}", words.join(" "))])
            .env("PATH", path)
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell runs")
    }

    fn ends(&self, line: &str, cluster: &Cluster, codes: &[i32]) {
        let done = self.start(line, cluster).wait_with_output().expect("it ends");
        let code = done.status.code();
        assert!(
            code.is_some_and(|code| codes.contains(&code)),
            "{line}: {}: {}{}",
            done.status,
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
    }

    fn runs_on(&self, line: &str, cluster: &Cluster) {
        let mut child = self.start(line, cluster);
        let first = child.stdout.as_mut().expect("a pipe").read(&mut [0; 1]).unwrap_or(0);
        let kill = Command::new("kill").arg(child.id().to_string()).status().expect("kill runs");
        assert!(kill.success());
        let mut status = None;
        let ended = wait_until(PATIENCE, || {
            status = child.try_wait().expect("its status");
            status.is_some()
        });
        if !ended {
            child.kill().expect("it is killed");
        }
        let done = child.wait_with_output().expect("it has ended");
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert_eq!(first, 1, "{line}: it printed nothing: {complaint}");
        assert!(status.is_some_and(|status| status.success()), "{line}: {status:?}: {complaint}");
    }
}

/// A word of an example as it is run: the sandbox's URL in the place of any other.
fn replaced(word: &str, cluster: &Cluster) -> String {
    let Some((_, rest)) = word.split_once("+sentinel://") else { return word.to_owned() };
    let end = |text: &str| text.find(['/', '?', '\'', '"']).unwrap_or(text.len());
    let url = cluster.url();
    let (_, own) = url.split_once("://").expect("a URL");
    let (hosts, service) = own.split_at(end(own));
    let mut options = &rest[end(rest)..];
    let service = match options.strip_prefix('/') {
        Some(named) => {
            options = &named[end(named)..];
            service
        }
        None => "",
    };
    let quote = word.chars().next().filter(|first| matches!(first, '\'' | '"'));
    let quote = quote.map_or(String::new(), String::from);
    format!("{quote}redis+sentinel://{hosts}{service}{options}")
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
