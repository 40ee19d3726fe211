//! A server's host and port as one identity.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use crate::error::{Error, ErrorKind};

/// The port that Sentinel listens on unless it is told otherwise.
pub(crate) const SENTINEL_PORT: u16 = 26379;

/// Where a server is reached: a host name or an IP address, and a port.
///
/// Two addresses are equal when they are the same after normalising: host names in lower case
/// without a final dot, IP addresses in their canonical form, IPv4 inside IPv6 unwrapped. A host
/// name and the IP address it stands for are different addresses; what resolves to what is decided
/// where names are resolved.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: Arc<str>,
    port: u16,
}

impl Address {
    /// An address of a host (name, IPv4, or IPv6 with or without brackets) and a port.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when the host is empty or holds what no host name can, or when
    /// the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Address, Error> {
        let host = normalised(host)?;
        if port == 0 {
            return Err(invalid(format!("port 0 of host {host:?} is not a port to connect to")));
        }
        Ok(Address { host: host.into(), port })
    }

    /// Reads `host`, `host:port`, `ip`, `ip:port`, `[ipv6]` or `[ipv6]:port`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`], quoting the part that is wrong.
    pub fn parse(text: &str, default_port: u16) -> Result<Address, Error> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let Some((host, rest)) = rest.split_once(']') else {
                return Err(invalid(format!("{text:?} opens a bracket and does not close it")));
            };
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(invalid(format!("{rest:?} follows the bracket in {text:?}"))),
            }
        } else if text.matches(':').count() > 1 {
            (text, None)
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let port = match port {
            None => default_port,
            Some(port) => match port.parse::<u16>() {
                Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => number,
                _ => {
                    return Err(invalid(format!(
                        "{port:?} in {text:?} is not a port: ports are 1 to 65535"
                    )));
                }
            },
        };
        Address::new(host, port)
    }

    /// The host, normalised; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The IP address, when the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl From<SocketAddr> for Address {
    fn from(socket: SocketAddr) -> Address {
        Address { host: socket.ip().to_canonical().to_string().into(), port: socket.port() }
    }
}

impl FromStr for Address {
    type Err = Error;

    /// As [`Address::parse`], with Sentinel's port 26379 when none is given.
    fn from_str(text: &str) -> Result<Address, Error> {
        Address::parse(text, SENTINEL_PORT)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

fn normalised(host: &str) -> Result<Cow<'_, str>, Error> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    // There is but one way to write it.
    if bare.parse::<Ipv4Addr>().is_ok() {
        return Ok(Cow::Borrowed(bare));
    }
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(ip.to_canonical().to_string().into());
    }
    // A zone such as fe80::1%eth0 is kept as it is written, after a valid IPv6 address.
    if let Some((ip, zone)) = bare.split_once('%')
        && ip.parse::<Ipv6Addr>().is_ok()
        && !zone.is_empty()
        && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        return Ok(Cow::Borrowed(bare));
    }
    let name = bare.strip_suffix('.').unwrap_or(bare);
    if name.is_empty() {
        return Err(invalid(format!("{host:?} is an empty host name")));
    }
    if name.len() > 253 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(invalid(format!("{host:?} is not a host name or an IP address")));
    }
    if name.split('.').any(str::is_empty) {
        return Err(invalid(format!("{host:?} has two dots in a row, or begins with one")));
    }
    Ok(name.to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_in_their_normal_form() {
        let same = [
            ("Redis-1.Example.COM.:6379", "redis-1.example.com:6379"),
            ("[::1]:6379", "[0:0:0:0:0:0:0:1]:6379"),
            ("[::ffff:10.0.0.1]:6379", "10.0.0.1:6379"),
            ("10.0.0.1", "10.0.0.1:26379"),
            ("::1", "[::1]:26379"),
            ("[fe80::1%eth0]:1", "[fe80::1%eth0]:1"),
        ];
        for (left, right) in same {
            let left: Address = left.parse().unwrap();
            assert_eq!(left, right.parse().unwrap());
            assert_eq!(left.to_string().parse::<Address>().unwrap(), left);
        }
    }

    #[test]
    fn faults_in_an_address_are_quoted() {
        for (text, quoted) in [
            ("", "\"\""),
            ("redis..example", "\"redis..example\""),
            ("redis..:6379", "\"redis..\""),
            (".example", "\".example\""),
            (":6379", "\"\""),
            ("a:70000", "\"70000\""),
            ("a:0", "\"0\""),
            ("a:+1", "\"+1\""),
            ("a:x", "\"x\""),
            ("a:", "\"\""),
            ("[::1", "\"[::1\""),
            ("[::1]x", "\"x\""),
            ("a b:1", "\"a b\""),
            ("[]:1", "\"\""),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(quoted), "{text}: {error}");
        }
    }
}
