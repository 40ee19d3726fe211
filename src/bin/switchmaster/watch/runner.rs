//! Runs a program at events, one at a time: [`Runner`].

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use switchmaster::Event;

use crate::{failure::Failure, target};

/// So many events wait for the program; of more, those are left out that come last.
const QUEUE: usize = 64;
/// How often it is looked whether the program has ended.
const STEP: Duration = Duration::from_millis(10);

/// A program that is run at events.
pub(super) struct Runner {
    runs: Option<Sender<Run>>,
    /// Whether what waits is not run any more.
    ending: Arc<AtomicBool>,
    /// What became of each run.
    pub(super) reports: Receiver<Report>,
    ended: Receiver<()>,
}

/// What the program is told of an event.
pub(super) struct Run {
    name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// What became of a run.
pub(super) struct Report {
    pub(super) event: String,
    pub(super) outcome: String,
    /// Where it ended by itself.
    pub(super) code: Option<i32>,
    pub(super) took: Duration,
}

impl Report {
    fn left_out(run: Run) -> Report {
        let outcome = "not run: the watch has ended".to_owned();
        Report { event: run.name, outcome, code: None, took: Duration::ZERO }
    }
}

impl Run {
    /// As a sentinel's client-reconfig-script is told of a switch, in argv: service, role, state, and
    /// the addresses before and after. In the environment is all that an event's JSON has.
    pub(super) fn of(service: &str, generation: u64, event: &Value) -> Run {
        let text = |field: &str| match &event[field] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let name = text("name");
        let (from, to) = (place(&text("from")), place(&text("to")));
        let arguments = match name.as_str() {
            "switched" => {
                let state = if from.is_some() { "end" } else { "start" };
                let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
                [service, "client", state, &from.0, &from.1, &to.0, &to.1]
                    .map(str::to_owned)
                    .to_vec()
            }
            _ => vec![service.to_owned(), "client".to_owned(), name.clone()],
        };
        let mut environment = vec![
            ("SWITCHMASTER_SERVICE".to_owned(), service.to_owned()),
            ("SWITCHMASTER_JSON".to_owned(), event.to_string()),
            ("SWITCHMASTER_GENERATION".to_owned(), generation.to_string()),
        ];
        for field in event.as_object().into_iter().flat_map(|fields| fields.keys()) {
            // No program can be told of a 0 in its environment.
            let value = text(field).replace('\0', "?");
            let variable = format!("SWITCHMASTER_{}", field.to_ascii_uppercase());
            environment.retain(|(name, _)| *name != variable);
            environment.push((variable, value));
        }
        Run { name, arguments, environment }
    }
}

/// Host and port of an address.
fn place(address: &str) -> Option<(String, String)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.to_owned()))
}

impl Runner {
    pub(super) fn start(program: &Path, patience: Duration) -> Result<Runner, Failure> {
        let program = found(program)?;
        let (runs, queue) = bounded::<Run>(QUEUE);
        let (sender, reports) = unbounded();
        let (end, ended) = bounded(0);
        let ending = Arc::new(AtomicBool::new(false));
        let leave_out = ending.clone();
        let run_all = move || {
            // Dropped when the last has been run.
            let _end: Sender<()> = end;
            for run in queue {
                let report = match leave_out.load(Ordering::SeqCst) {
                    true => Report::left_out(run),
                    false => carry_out(&program, run, patience),
                };
                let _ = sender.send(report);
            }
        };
        thread::Builder::new()
            .name("exec".to_owned())
            .spawn(run_all)
            .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
        Ok(Runner { runs: Some(runs), ending, reports, ended })
    }

    /// Has the program run when those before have ended; gives what is to be said when it is not.
    pub(super) fn order(&self, run: Run) -> Option<String> {
        match self.runs.as_ref()?.try_send(run) {
            Ok(()) => None,
            Err(TrySendError::Full(run)) => Some(format!(
                "--exec: {QUEUE} runs are waiting; none is made for this event ({}): the program \
                 takes too long, see --exec-timeout",
                run.name
            )),
            Err(TrySendError::Disconnected(_)) => {
                Some("--exec: its thread has ended; start switchmaster again".to_owned())
            }
        }
    }

    /// Waits for the run that is under way, at most as long as it may take; those that wait are
    /// left out.
    pub(super) fn finish(mut self) -> Vec<Report> {
        self.ending.store(true, Ordering::SeqCst);
        self.runs = None;
        let _ = self.ended.recv();
        self.reports.try_iter().collect()
    }
}

/// The program's file, searched for in PATH where its name has no slash.
fn found(program: &Path) -> Result<PathBuf, Failure> {
    let fault = |why: &str| {
        Failure::usage(format!(
            "--exec {}: {why}; name a program, with the path to it",
            program.display()
        ))
    };
    let candidates: Vec<PathBuf> = match program.components().count() {
        1 if !program.is_absolute() && !program.to_string_lossy().contains('/') => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|folder| folder.join(program)).collect()
        }
        _ => vec![program.to_owned()],
    };
    let mut why = "there is no such file";
    for candidate in candidates {
        match fs::metadata(&candidate) {
            Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => {
                return Ok(candidate);
            }
            Ok(_) => why = "it is no file that can be executed",
            Err(_) => {}
        }
    }
    Err(fault(why))
}

fn carry_out(program: &Path, run: Run, patience: Duration) -> Report {
    let began = Instant::now();
    let started = Command::new(program)
        .args(&run.arguments)
        // It has the password of the deployment, which the program was not given.
        .env_remove(target::URL)
        .envs(run.environment)
        .stdin(Stdio::null())
        // What switchmaster prints is for programs; theirs goes to where people look.
        .stdout(Stdio::from(std::io::stderr()))
        .process_group(0)
        .spawn();
    let (outcome, code) = match started {
        Err(error) => (format!("cannot be started: {error}"), None),
        Ok(mut child) => match ended(&mut child, began, patience) {
            Ok(Some(status)) => (told(status), status.code()),
            Ok(None) => (format!("killed: it took more than {patience:?} (--exec-timeout)"), None),
            Err(error) => (format!("cannot be waited for: {error}"), None),
        },
    };
    Report { event: run.name, outcome, code, took: began.elapsed() }
}

/// How it ended, or `None` when it was killed, with all that it started.
fn ended(
    child: &mut Child,
    began: Instant,
    patience: Duration,
) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() >= patience {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(STEP);
    }
}

fn told(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

/// Reads the name of an event.
pub(super) fn event(name: &str) -> Result<String, String> {
    match Event::NAMES.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(format!("there is no such event; there are {}", Event::NAMES.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_told_as_a_sentinel_tells_it() {
        let event = serde_json::json!({
            "name": "switched", "generation": 2, "from": "10.0.0.1:6379", "to": "[::1]:6380",
        });
        let run = Run::of("orders", 1, &event);
        assert_eq!(run.arguments, ["orders", "client", "end", "10.0.0.1", "6379", "::1", "6380"]);
        let has = |name: &str, value: &str| run.environment.contains(&(name.into(), value.into()));
        assert!(has("SWITCHMASTER_GENERATION", "2") && has("SWITCHMASTER_TO", "[::1]:6380"));
    }

    #[test]
    fn what_cannot_be_run_is_named_at_the_start() {
        for (program, why) in [("/nowhere/x", "no such file"), ("/etc/passwd", "executed")] {
            let failure = found(Path::new(program)).unwrap_err();
            assert!(failure.to_string().contains(why) && failure.code() == 2, "{failure}");
        }
        assert!(found(Path::new("sh")).is_ok());
    }
}
