//! The sentinel that names the server: a fake one, in a process of its own.
//!
//! Who measures this program counts the processor time of all its threads, and a sentinel's is none
//! of the client's.

use std::{
    env,
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, ExitCode, Stdio},
};

use switchmaster_sandbox::{FakeSentinel, FakeService};

/// The first argument of the sentinel's process. The second is the port that it names.
pub const ROLE: &str = "sentinel";
/// What it monitors the server as.
pub const SERVICE: &str = "steady";

/// The running process. It ends with this one, whose end of the pipe it reads.
pub struct Sentinel {
    process: Child,
    address: SocketAddr,
}

impl Sentinel {
    /// Starts one that names the server at this port of 127.0.0.1.
    pub fn start(port: u16) -> Result<Sentinel, String> {
        let fault = |error: io::Error| format!("no sentinel: {error}");
        let mut process = Command::new(env::current_exe().map_err(fault)?)
            .args([ROLE, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(fault)?;
        let mut line = String::new();
        if let Some(out) = process.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(fault)?;
        }
        let address = line.trim().parse().map_err(|_| format!("no sentinel: it said {line:?}"))?;
        Ok(Sentinel { process, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The sentinel's process: says where it listens, and ends with its standard input.
pub fn serve() -> ExitCode {
    let Some(port) = env::args().nth(2).and_then(|port| port.parse::<u16>().ok()) else {
        eprintln!("usage: contender {ROLE} PORT");
        return ExitCode::from(2);
    };
    let sentinel = match FakeSentinel::start() {
        Ok(sentinel) => sentinel,
        Err(error) => {
            eprintln!("contender: no sentinel: {error}");
            return ExitCode::FAILURE;
        }
    };
    sentinel.serve(SERVICE, FakeService::new(("127.0.0.1", port)));
    println!("{}", sentinel.address());
    let _ = io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}
