//! Where the members of a cluster listen, and under which name: [`Host`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The host of a member; mostly of all.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) ip: IpAddr,
    /// What the members call it among themselves and announce, instead of the address.
    pub(crate) name: Option<String>,
    /// One of several: the members have to tell each other, since the system gives all of them the same
    /// address when they call.
    pub(crate) one_of_several: bool,
}

impl Default for Host {
    fn default() -> Host {
        Host { ip: Ipv4Addr::LOCALHOST.into(), name: None, one_of_several: false }
    }
}

impl Host {
    /// The address among several that is due to a member, or this host when there are none.
    pub(crate) fn or(&self, ips: &[IpAddr], index: usize) -> Host {
        match ips.get(index % ips.len().max(1)) {
            Some(&ip) => Host { ip, name: None, one_of_several: true },
            None => self.clone(),
        }
    }

    /// What a member has to announce, where that is not what others see anyway.
    pub(crate) fn announced(&self) -> Option<String> {
        (self.name.is_some() || self.one_of_several).then(|| self.word())
    }

    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, port)
    }

    /// What configuration files and commands call it.
    pub(crate) fn word(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.ip.to_string())
    }

    /// The setting `bind`. A name may stand for either loopback address, in either order.
    pub(crate) fn bind(&self) -> String {
        match (&self.name, self.ip) {
            (None, ip) => ip.to_string(),
            (Some(_), IpAddr::V4(ip)) => format!("{ip} -{}", Ipv6Addr::LOCALHOST),
            (Some(_), IpAddr::V6(ip)) => format!("{ip} -{}", Ipv4Addr::LOCALHOST),
        }
    }

    /// What a server says of an address, in two words.
    pub(crate) fn read(&self, host: &str, port: &str) -> Option<SocketAddr> {
        let port = port.parse().ok()?;
        if self.name.as_deref() == Some(host) {
            return Some(self.address(port));
        }
        Some(SocketAddr::new(host.parse().ok()?, port))
    }
}
