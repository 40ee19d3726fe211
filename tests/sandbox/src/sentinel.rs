//! A sentinel of a cluster: [`Sentinel`].

use std::{fs, net::SocketAddr, ops::Deref, path::PathBuf, sync::Arc};

use crate::{Error, ErrorKind, Member, Result, frame::Frame, ports};

/// A sentinel. A clone is the same process.
///
/// It is a [`Member`]: faults and clients are there.
#[derive(Clone)]
pub struct Sentinel {
    member: Arc<Member>,
    id: Arc<str>,
}

impl Deref for Sentinel {
    type Target = Member;

    fn deref(&self) -> &Member {
        &self.member
    }
}

impl AsRef<Member> for Sentinel {
    fn as_ref(&self) -> &Member {
        &self.member
    }
}

impl Sentinel {
    pub(crate) fn new(member: Arc<Member>, id: Arc<str>) -> Sentinel {
        Sentinel { member, id }
    }

    /// Its `SENTINEL MYID`, the same for its whole life; votes and hellos carry it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The master of a service as this sentinel sees it; `None` when it does not know the service.
    ///
    /// # Errors
    ///
    /// Those of [`Member::ask`].
    pub fn master_of(&self, service: &str) -> Result<Option<SocketAddr>> {
        let reply = self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service])?;
        Ok(match reply.items() {
            [host, port] => self.host().read(&host.text(), &port.text()),
            _ => None,
        })
    }

    /// Everything it says about a service (`SENTINEL MASTER`); read it with [`Frame::field_text`].
    ///
    /// # Errors
    ///
    /// Those of [`Member::ask`]; an unknown service is [`Refused`](crate::ErrorKind::Refused).
    pub fn describe(&self, service: &str) -> Result<Frame> {
        self.ask(&["SENTINEL", "MASTER", service])
    }

    /// Starts a failover although the master may be well (`SENTINEL FAILOVER`), with this sentinel as its leader.
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::ErrorKind::Refused) while another is in progress (`INPROG`) or no replica is fit
    /// (`NOGOODSLAVE`), and those of [`Member::ask`].
    pub fn failover(&self, service: &str) -> Result<()> {
        self.ask(&["SENTINEL", "FAILOVER", service]).map(|_| ())
    }

    /// Starts a failover in which the master hands over by itself: it pauses its writes, lets the replica catch up and
    /// changes roles with it (`SENTINEL FAILOVER … COORDINATED`). Valkey 9 or newer.
    ///
    /// Nobody's connections are cut at the promotion; that comes up to a second later.
    ///
    /// # Errors
    ///
    /// Those of [`failover`](Sentinel::failover); servers that cannot do it refuse, too.
    pub fn failover_coordinated(&self, service: &str) -> Result<()> {
        self.ask(&["SENTINEL", "FAILOVER", service, "COORDINATED"]).map(|_| ())
    }

    /// Restarts it on another free port, as the same sentinel: the others notice by its id
    /// (`+sentinel-address-switch`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when it has a proxy or TLS, and those of
    /// [`Member::restart`].
    pub fn move_away(&self) -> Result<()> {
        if self.proxy().is_some() || self.tls_address().is_some() {
            let message = format!("{}: its proxy, or port for TLS, cannot move", self.name());
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.restart_at(ports::free()?)
    }

    /// Restarts it at its address as another sentinel: with that one's id, and with the masters that it
    /// monitors. That one must not run. So a deployment takes over an address of another one.
    ///
    /// It takes no `PUBLISH` from the default user. Otherwise the sentinels that know the address introduce
    /// themselves to it, and two deployments that call their service alike become one within three
    /// seconds: the one with the lower epoch follows the other's master.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when that one runs, [`ErrorKind::Io`] where a configuration cannot be read
    /// or written, and those of [`Member::restart`].
    pub fn restart_as(&self, other: &Sentinel) -> Result<()> {
        if other.is_running() {
            let message = format!("{}: {} runs under its id", self.name(), other.name());
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.kill()?;
        let read = |path: PathBuf| {
            fs::read_to_string(&path)
                .map_err(|error| Error::io(format_args!("read {}", path.display()), &error))
        };
        let (own, theirs) = (read(self.config_file())?, read(other.config_file())?);
        let about = |line: &&str| line.starts_with("sentinel ");
        let kept = |line: &&str| !about(line) && !line.starts_with("user default ");
        let lines = own.lines().filter(kept).chain(theirs.lines().filter(about));
        let lines = lines.chain(["user default on nopass ~* &* +@all -publish"]);
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let path = self.config_file();
        fs::write(&path, text)
            .map_err(|error| Error::io(format_args!("write {}", path.display()), &error))?;
        self.restart()
    }

    /// Makes its process end by itself when it is elected to lead a failover
    /// (`SENTINEL SIMULATE-FAILURE crash-after-election`): nobody is promoted.
    ///
    /// To hit the leader, whoever that will be, say it to all sentinels. The setting lives in the process: one that
    /// crashed and was [restarted](Member::restart) is without it. So is one that [forgets](Sentinel::crash_never) it.
    ///
    /// # Errors
    ///
    /// Those of [`Member::ask`].
    pub fn crash_after_election(&self) -> Result<()> {
        self.simulate("crash-after-election")
    }

    /// Makes its process end by itself when, leading a failover, it notices that the replica is promoted
    /// (`SENTINEL SIMULATE-FAILURE crash-after-promotion`), some 0.8 s after the replica was and before anybody else
    /// is told. Otherwise like [`crash_after_election`](Sentinel::crash_after_election).
    ///
    /// [`Cluster::kill_leader_at_promotion`](crate::Cluster::kill_leader_at_promotion) ends it at the promotion itself.
    ///
    /// # Errors
    ///
    /// Those of [`Member::ask`].
    pub fn crash_after_promotion(&self) -> Result<()> {
        self.simulate("crash-after-promotion")
    }

    /// Takes [`crash_after_election`](Sentinel::crash_after_election) and
    /// [`crash_after_promotion`](Sentinel::crash_after_promotion) back, which a process otherwise keeps for its life.
    /// [`Cluster::repair`](crate::Cluster::repair) does it for all sentinels.
    ///
    /// # Errors
    ///
    /// Those of [`Member::ask`].
    pub fn crash_never(&self) -> Result<()> {
        // The command begins with an empty set of failures, and this word adds none.
        self.simulate("help")
    }

    fn simulate(&self, failure: &str) -> Result<()> {
        self.ask(&["SENTINEL", "SIMULATE-FAILURE", failure]).map(|_| ())
    }
}
