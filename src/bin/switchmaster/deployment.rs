//! The deployment that a URL names, asked directly: [`Deployment`].

use std::time::Duration;

use clap::ValueEnum;
use percent_encoding::percent_decode_str;
use redis::{
    Client, Connection, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisResult,
};
use switchmaster::{Address, Builder};

use crate::{arguments::SwitchOn, failure::Failure};

const SENTINEL_PORT: u16 = 26379;
const PATIENCE: Duration = Duration::from_secs(2);

/// The sentinels of a URL and how to log in to them.
///
/// The factory keeps its sentinels to itself, and rightly so. A drill has to order a failover, and
/// to hear the announcements independently of what it examines.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    url: String,
    service: String,
    sentinels: Vec<Address>,
    username: Option<String>,
    password: Option<String>,
    switch_on: Option<SwitchOn>,
}

impl Deployment {
    /// Reads a URL that the library accepts.
    pub(crate) fn of(url: &str) -> Result<Deployment, Failure> {
        drop(Builder::from_url(url).map_err(|error| Failure::usage(format!("--url: {error}")))?);
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let option = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
        };
        // Where the library follows, this asks by itself, and it knows plain TCP only.
        if option("sentinel_tls").is_some_and(|spoken| spoken == "true") {
            return Err(Failure::usage(
                "--url: sentinel_tls: a drill orders failovers from the sentinels over plain TCP; \
                 give it a URL by which they are reached so (TLS to the nodes is no hindrance)",
            ));
        }
        let service = match fragment {
            "" => path.trim_start_matches('/').split('/').next().unwrap_or_default(),
            fragment => fragment,
        };
        let sentinels: Result<Vec<Address>, switchmaster::Error> =
            hosts.split(',').map(|host| Address::parse(&decoded(host), SENTINEL_PORT)).collect();
        Ok(Deployment {
            url: url.to_owned(),
            service: option("sentinelMasterId").unwrap_or_else(|| decoded(service)),
            sentinels: sentinels?,
            username: option("sentinel_username"),
            password: option("sentinel_password"),
            switch_on: option("switch_on").and_then(|name| SwitchOn::from_str(&name, false).ok()),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// What it takes to switch, if the URL says.
    pub(crate) fn switch_on(&self) -> Option<SwitchOn> {
        self.switch_on
    }

    pub(crate) fn sentinels(&self) -> &[Address] {
        &self.sentinels
    }

    /// A connection to one of the sentinels.
    pub(crate) fn connect(&self, sentinel: &Address) -> RedisResult<Connection> {
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        let address = ConnectionAddr::Tcp(sentinel.host().to_owned(), sentinel.port());
        let connection = Client::open(address.into_connection_info()?.set_redis_settings(login))?
            .get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        Ok(connection)
    }

    /// Has the first sentinel that will start a failover although the master is well. What follows
    /// the service's name are words of `SENTINEL FAILOVER`.
    pub(crate) fn failover(&self, words: &[&str]) -> Result<(), Failure> {
        let mut refusals = Vec::new();
        for sentinel in &self.sentinels {
            let ordered = self.connect(sentinel).and_then(|mut connection| {
                let mut command = redis::cmd("SENTINEL");
                command.arg("FAILOVER").arg(&self.service).arg(words).exec(&mut connection)
            });
            match ordered {
                Ok(()) => return Ok(()),
                Err(error) => refusals.push(format!("{sentinel}: {error}")),
            }
        }
        Err(Failure::new(format!(
            "no sentinel starts a failover of {:?}; mend this and drill again: {}",
            self.service,
            refusals.join("; ")
        )))
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_sentinels_service_and_login() {
        let url =
            "redis+sentinel://:node%40@a,b:2,[::1]/my%2Fs/3?sentinel_password=p%20w&max_size=4";
        let deployment = Deployment::of(url).unwrap();
        let sentinels: Vec<String> =
            deployment.sentinels().iter().map(Address::to_string).collect();
        assert_eq!(sentinels, ["a:26379", "b:2", "[::1]:26379"]);
        assert_eq!(deployment.service(), "my/s");
        assert_eq!(deployment.password.as_deref(), Some("p w"));
        assert_eq!((deployment.username.as_deref(), deployment.switch_on()), (None, None));
        let deployment = Deployment::of("redis-sentinel://a/0?switch_on=confirmation#svc").unwrap();
        assert_eq!(deployment.service(), "svc");
        assert_eq!(deployment.switch_on(), Some(SwitchOn::Confirmation));
    }
    #[cfg(any(feature = "tls-rustls", feature = "tls-native-tls"))]
    #[test]
    fn tls_is_for_the_nodes_alone() {
        assert_eq!(Deployment::of("rediss+sentinel://a/svc").unwrap().service(), "svc");
        let error = Deployment::of("redis+sentinel://a/svc?sentinel_tls=true").unwrap_err();
        assert!(error.to_string().contains("plain TCP"), "{error}");
    }
}
