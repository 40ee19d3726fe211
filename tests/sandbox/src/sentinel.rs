//! A sentinel of a cluster: [`Sentinel`].

use std::{net::SocketAddr, ops::Deref, sync::Arc};

use crate::{Member, Result, frame::Frame};

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
            [host, port] => format!("{}:{}", host.text(), port.text()).parse().ok(),
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
}
