//! The process that owns the servers of a cluster: [`Guardian`].
//!
//! Servers are children of a small shell, and the shell lives as long as its input, a pipe whose other
//! end only this process holds. However this process ends, the pipe ends with it, and the shell
//! kills the servers, stopped ones too, and removes their directory.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use parking_lot::Mutex;

use crate::{Error, ErrorKind, Result, ports, program::Programs};

const SCRIPT: &str = include_str!("guardian.sh");

/// A signal that the guardian sends to one of its servers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    Kill,
    Stop,
    Continue,
}

struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

pub(crate) struct Guardian {
    directory: PathBuf,
    pid: u32,
    shell: Mutex<Option<Shell>>,
}

/// Where the directory of a cluster is made: in memory where that is possible, unless `TMPDIR` says
/// otherwise. Sentinels and promoted nodes write their configuration through to the disk at every
/// step. A disk that is busy with something else keeps them for seconds, and a sentinel that was kept
/// for two does nothing for the next thirty (its TILT mode).
fn place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    match std::env::var_os("TMPDIR") {
        None if memory.is_dir() => memory,
        _ => std::env::temp_dir(),
    }
}

impl Guardian {
    pub(crate) fn start(programs: &Programs) -> Result<Guardian> {
        let name = format!("switchmaster-sandbox-{}-{:016x}", std::process::id(), ports::random());
        let directory = place().join(name);
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(SCRIPT)
            .arg("guardian")
            .arg(&directory)
            .arg(&programs.server)
            .arg(&programs.sentinel)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| Error::io("start `sh` for the guardian of the servers", &error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::new(ErrorKind::Io, "the guardian was started without pipes"));
        };
        let pid = child.id();
        let mut shell = Shell { child, input, output: BufReader::new(output) };
        shell.answer().map_err(|error| {
            error.of(format_args!("the guardian cannot make the directory {}", directory.display()))
        })?;
        Ok(Guardian { directory, pid, shell: Mutex::new(Some(shell)) })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Starts a node, or a sentinel, on the file `name.conf` of the directory; its pid.
    pub(crate) fn spawn(&self, verb: &str, name: &str) -> Result<u32> {
        let answer = self.tell(verb, name)?;
        answer.parse().map_err(|_| {
            Error::new(ErrorKind::Start, format!("{name}: the guardian answered {answer:?}"))
        })
    }

    /// Sends a signal. After a kill the process is gone, not only dying.
    pub(crate) fn signal(&self, signal: Signal, pid: u32) -> Result<()> {
        let verb = match signal {
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        self.tell(verb, &pid.to_string()).map(|_| ())
    }

    fn tell(&self, verb: &str, what: &str) -> Result<String> {
        let mut shell = self.shell.lock();
        let Some(shell) = shell.as_mut() else {
            return Err(Error::new(
                ErrorKind::Start,
                format!("{verb} {what}: the cluster has ended"),
            ));
        };
        writeln!(shell.input, "{verb} {what}")
            .map_err(|error| Error::io(format_args!("tell the guardian: {verb} {what}"), &error))?;
        shell.answer().map_err(|error| error.of(format_args!("{verb} {what}")))
    }

    /// Ends all servers and waits until they and their directory are gone.
    pub(crate) fn end(&self) {
        if let Some(Shell { mut child, input, output }) = self.shell.lock().take() {
            drop(input);
            drop(output);
            let _ = child.wait();
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shell {
    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .map_err(|error| Error::io("read the guardian's answer", &error))?;
        match line.trim_end().strip_prefix("ok ") {
            Some(rest) => Ok(rest.to_owned()),
            None if line.is_empty() => Err(Error::new(ErrorKind::Start, "the guardian has ended")),
            None => Err(Error::new(ErrorKind::Start, line.trim_end())),
        }
    }
}
