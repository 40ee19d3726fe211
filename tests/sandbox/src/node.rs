//! A data server of a cluster: [`Node`].

use std::{
    net::SocketAddr,
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{Error, ErrorKind, Member, Result, frame::Frame, member::info_field};

/// A data server, master or replica. A clone is the same server.
///
/// It is a [`Member`]: faults and clients are there.
#[derive(Clone)]
pub struct Node {
    member: Arc<Member>,
    service: Arc<str>,
}

/// What a node says about itself (`ROLE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It accepts writes.
    Master,
    /// It follows another node.
    Replica {
        /// The node it follows; `None` when ROLE gives a host name.
        of: Option<SocketAddr>,
        /// Whether it is in sync with that node (the state `connected`).
        connected: bool,
    },
}

impl Deref for Node {
    type Target = Member;

    fn deref(&self) -> &Member {
        &self.member
    }
}

impl AsRef<Member> for Node {
    fn as_ref(&self) -> &Member {
        &self.member
    }
}

impl Node {
    pub(crate) fn new(member: Arc<Member>, service: Arc<str>) -> Node {
        Node { member, service }
    }

    /// The service it belongs to.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Asks for its role.
    ///
    /// # Errors
    ///
    /// Those of [`Member::ask`].
    pub fn role(&self) -> Result<Role> {
        let reply = match self.ask(&["ROLE"]) {
            // Renamed.
            Err(error) if error.kind() == ErrorKind::Refused => return self.role_by_info(),
            reply => reply?,
        };
        let text = |index: usize| reply.items().get(index).map(Frame::text).unwrap_or_default();
        match text(0).as_str() {
            "master" => Ok(Role::Master),
            "slave" => Ok(Role::Replica {
                of: self.host().read(&text(1), &text(2)),
                connected: text(3) == "connected",
            }),
            other => {
                let message = format!("{}: ROLE says {other:?}", self.name());
                Err(Error::new(ErrorKind::Protocol, message))
            }
        }
    }

    fn role_by_info(&self) -> Result<Role> {
        let text = self.ask(&["INFO", "replication"])?.text();
        let field = |name| info_field(&text, name);
        Ok(match field("role") {
            "master" => Role::Master,
            _ => Role::Replica {
                of: self.host().read(field("master_host"), field("master_port")),
                connected: field("master_link_status") == "up",
            },
        })
    }

    /// Makes it a replica of `master` by hand, as the sentinels would do some seconds later.
    ///
    /// # Errors
    ///
    /// Those of [`Member::ask`].
    pub fn follow(&self, master: &Node) -> Result<()> {
        let port = master.port().to_string();
        self.ask(&["REPLICAOF", &master.host().word(), &port]).map(|_| ())
    }

    /// Waits until so many replicas have what is written to this master.
    ///
    /// After a full synchronization a replica says that it is connected, and gets nothing before its first word to
    /// the master, up to a second later. Who is promoted before that has lost all, whatever a client does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout), with how many have it.
    pub fn wait_replicated(&self, replicas: usize, timeout: Duration) -> Result<()> {
        self.wait(Instant::now() + timeout, || {
            let reached = || -> Result<String> {
                let mut client = self.client()?;
                client.expect(&["SET", "switchmaster:replicated", "1", "PX", "1"])?;
                Ok(client.expect(&["WAIT", &replicas.to_string(), "500"])?.text())
            };
            match reached() {
                Ok(count) if count.parse::<usize>().is_ok_and(|count| count >= replicas) => Ok(()),
                Ok(count) => Err(format!("{count} of {replicas} replicas have what is written")),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    pub(crate) fn wait_in_sync(&self, deadline: Instant) -> Result<()> {
        self.wait(deadline, || match self.role() {
            Ok(Role::Replica { connected: true, .. }) => Ok(()),
            Ok(role) => Err(format!("not in sync: {role:?}")),
            Err(error) => Err(error.to_string()),
        })
    }
}
