//! What nodes and sentinels have in common: [`Member`], one server process of a cluster.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    Client, Error, ErrorKind, FaultProxy, Result,
    frame::Frame,
    guardian::{Guardian, Signal},
    host::Host,
    patience::{Patience, STEP},
    ports::Ports,
    settings::OWN_USER,
};

/// A reply that takes longer than this comes from a server that hangs.
const REPLY: Duration = Duration::from_millis(500);
const RESTART: Duration = Duration::from_secs(10);

/// One server process: its address, its process, and the faults that can happen to it.
///
/// All methods may be called from any thread.
pub struct Member {
    name: String,
    sentinel: bool,
    ports: Mutex<Ports>,
    host: Host,
    guardian: Arc<Guardian>,
    own_password: Arc<str>,
    life: Mutex<Life>,
    proxy: Option<FaultProxy>,
}

struct Life {
    pid: u32,
    started: bool,
    frozen: bool,
}

impl Member {
    pub(crate) fn new(
        name: String,
        sentinel: bool,
        ports: Ports,
        host: Host,
        guardian: Arc<Guardian>,
        own_password: Arc<str>,
        proxy: Option<FaultProxy>,
    ) -> Member {
        let life = Mutex::new(Life { pid: 0, started: false, frozen: false });
        let ports = Mutex::new(ports);
        Member { name, sentinel, ports, host, guardian, own_password, life, proxy }
    }

    /// The name of its log and configuration file, like `mymaster-0` or `sentinel-2`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens, also while it is down: the address that the others know it by.
    pub fn address(&self) -> SocketAddr {
        self.host.address(self.port())
    }

    /// Where it takes plain TCP.
    pub fn plain_address(&self) -> SocketAddr {
        self.host.address(self.ports.lock().plain)
    }

    /// Where it takes TLS, when the cluster has [TLS](crate::Builder::tls).
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.ports.lock().tls.map(|port| self.host.address(port))
    }

    /// The port of [`address`](Member::address).
    pub fn port(&self) -> u16 {
        self.ports.lock().announced
    }

    /// The proxy in front of it, when the cluster is [`proxied`](crate::Builder::proxied).
    pub fn proxy(&self) -> Option<&FaultProxy> {
        self.proxy.as_ref()
    }

    /// The process, or the last one it had.
    pub fn pid(&self) -> u32 {
        self.life.lock().pid
    }

    /// Whether the process exists; a frozen one does.
    pub fn is_running(&self) -> bool {
        let life = self.life.lock();
        life.started && process_exists(life.pid)
    }

    /// Whether it was frozen and not resumed since.
    pub fn is_frozen(&self) -> bool {
        self.life.lock().frozen
    }

    /// A new connection, logged in with all rights whatever passwords the cluster has. It fails, and each
    /// of its calls does, after half a second without an answer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it is down, [`ErrorKind::Timeout`] when it is frozen.
    pub fn client(&self) -> Result<Client> {
        self.client_with(REPLY)
    }

    /// Like [`client`](Member::client), with another limit.
    ///
    /// # Errors
    ///
    /// Those of `client`.
    pub fn client_with(&self, timeout: Duration) -> Result<Client> {
        let mut client = Client::connect(self.plain_address(), timeout)?;
        client.expect(&["AUTH", OWN_USER, &self.own_password])?;
        Ok(client)
    }

    /// One command on a connection of its own. An error reply is an `Err`.
    ///
    /// # Errors
    ///
    /// Those of [`client`](Member::client), and [`ErrorKind::Refused`].
    pub fn ask(&self, words: &[&str]) -> Result<Frame> {
        self.client()?.expect(words).map_err(|error| error.of(&self.name))
    }

    /// One field of INFO; empty when there is none.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Member::ask).
    pub fn info(&self, section: &str, field: &str) -> Result<String> {
        let text = self.ask(&["INFO", section])?.text();
        Ok(info_field(&text, field).to_owned())
    }

    /// The run id of the present process, other after each restart (`run_id` of INFO server).
    ///
    /// # Errors
    ///
    /// Those of [`ask`](Member::ask).
    pub fn run_id(&self) -> Result<String> {
        self.info("server", "run_id")
    }

    /// Kills the process with SIGKILL and returns when it is gone. One that is down stays down.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Start`] or [`ErrorKind::Io`] when the cluster has ended.
    pub fn kill(&self) -> Result<()> {
        let mut life = self.life.lock();
        self.kill_locked(&mut life)
    }

    fn kill_locked(&self, life: &mut Life) -> Result<()> {
        if life.started {
            self.guardian.signal(Signal::Kill, life.pid)?;
        }
        life.started = false;
        life.frozen = false;
        Ok(())
    }

    /// Stops the process with SIGSTOP: connections stay open and new ones succeed, but nothing answers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Start`] when it is not running.
    pub fn freeze(&self) -> Result<()> {
        let mut life = self.life.lock();
        self.signal_running(&life, Signal::Stop)?;
        life.frozen = true;
        Ok(())
    }

    /// Lets a frozen process go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Start`] when it is not running.
    pub fn resume(&self) -> Result<()> {
        let mut life = self.life.lock();
        self.signal_running(&life, Signal::Continue)?;
        life.frozen = false;
        Ok(())
    }

    fn signal_running(&self, life: &Life, signal: Signal) -> Result<()> {
        if !life.started || !process_exists(life.pid) {
            let message =
                format!("{} on port {}: it is not running; restart it", self.name, self.port());
            return Err(Error::new(ErrorKind::Start, message));
        }
        self.guardian.signal(signal, life.pid)
    }

    /// Starts it again on its port, with its configuration file as it is by now (sentinels and
    /// promotions rewrite theirs), and waits until it answers. One that runs is killed first.
    ///
    /// A master that died comes back as a master: the sentinels need about 10 s to make
    /// it a replica. [`Cluster::repair`](crate::Cluster::repair) does not wait for them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Start`] with the end of its log, [`ErrorKind::PortTaken`], or
    /// [`ErrorKind::Timeout`] after 10 s.
    pub fn restart(&self) -> Result<()> {
        {
            let mut life = self.life.lock();
            self.kill_locked(&mut life)?;
        }
        self.start(Instant::now() + RESTART)
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Restarts it on another port, with everything else as it is.
    pub(crate) fn restart_at(&self, port: u16) -> Result<()> {
        self.kill()?;
        let path = self.config_file();
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::io(format_args!("read {}", path.display()), &error))?;
        let moved = |line: &str| match line.starts_with("port ") {
            true => format!("port {port}\n"),
            false => format!("{line}\n"),
        };
        let text: String = text.lines().map(moved).collect();
        fs::write(&path, text)
            .map_err(|error| Error::io(format_args!("write {}", path.display()), &error))?;
        *self.ports.lock() = Ports { plain: port, tls: None, announced: port };
        self.start(Instant::now() + RESTART)
    }

    pub(crate) fn start(&self, deadline: Instant) -> Result<()> {
        {
            let mut life = self.life.lock();
            let verb = if self.sentinel { "sentinel" } else { "node" };
            life.pid = self.guardian.spawn(verb, &self.name)?;
            life.started = true;
            life.frozen = false;
        }
        Patience::until(deadline).try_for(
            || self.started(),
            |last| format!("{} does not answer: {last}\n{}", self.name, self.log_tail(20)),
        )
    }

    /// Whether the process that answers on the port is this one.
    fn started(&self) -> Result<std::result::Result<(), String>> {
        if !self.is_running() {
            let tail = self.log_tail(20);
            let kind = match tail.contains("Address already in use") {
                true => ErrorKind::PortTaken,
                false => ErrorKind::Start,
            };
            let message = format!("{} ended by itself on port {}:\n{tail}", self.name, self.port());
            return Err(Error::new(kind, message));
        }
        let pid = self.pid().to_string();
        Ok(match self.info("server", "process_id") {
            Ok(found) if found == pid => Ok(()),
            Ok(found) => {
                let port = self.plain_address().port();
                Err(format!("process {found} instead of {pid} has port {port}"))
            }
            Err(error) => Err(error.to_string()),
        })
    }

    /// The file with its configuration.
    pub fn config_file(&self) -> PathBuf {
        self.guardian.directory().join(format!("{}.conf", self.name))
    }

    /// The whole log; empty when there is none.
    pub fn log(&self) -> String {
        let file = self.guardian.directory().join(format!("{}.log", self.name));
        fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines of the log.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Polls until a question about this member is answered.
    pub(crate) fn wait(
        &self,
        deadline: Instant,
        mut question: impl FnMut() -> std::result::Result<(), String>,
    ) -> Result<()> {
        Patience::until(deadline).step(STEP).try_for(
            || Ok(question()),
            |last| format!("{}: {last}\n{}", self.name, self.log_tail(20)),
        )
    }
}

impl AsRef<Member> for Member {
    fn as_ref(&self) -> &Member {
        self
    }
}

pub(crate) fn info_field<'a>(text: &'a str, field: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(field).and_then(|rest| rest.strip_prefix(':')))
        .unwrap_or_default()
        .trim_end()
}

/// A process that ended but was not waited for yet does not count.
fn process_exists(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            !matches!(state, Some('Z' | 'X') | None)
        }
        Err(_) => false,
    }
}
