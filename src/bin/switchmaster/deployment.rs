//! The deployment that a URL names, asked directly: [`Deployment`].

use redis::RedisResult;
use switchmaster::{
    Address, Builder, SwitchOn,
    direct::{Dialer, Direct},
};

use crate::failure::Failure;

/// The sentinels of a URL and how to log in to them.
///
/// The factory keeps its sentinels to itself, and rightly so. What orders failovers, or examines the
/// factory, has to reach the servers independently of it.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    builder: Builder,
    dialer: Dialer,
}

impl Deployment {
    /// Reads a URL that the library accepts.
    pub(crate) fn of(url: &str) -> Result<Deployment, Failure> {
        let read = |builder: Builder| Ok((builder.clone(), Dialer::new(builder)?));
        let (builder, dialer) = Builder::from_url(url)
            .and_then(read)
            .map_err(|error| Failure::usage(format!("--url: {error}")))?;
        Ok(Deployment { builder, dialer })
    }

    /// A factory for it, yet to be built.
    pub(crate) fn factory(&self) -> Builder {
        self.builder.clone()
    }

    /// Reaches its servers.
    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    pub(crate) fn service(&self) -> &str {
        self.dialer.service()
    }

    pub(crate) fn sentinels(&self) -> &[Address] {
        self.dialer.sentinels()
    }

    /// What it takes to switch, as the URL says or leaves it.
    pub(crate) fn switch_on(&self) -> SwitchOn {
        self.dialer.switch_on()
    }

    /// Has the first sentinel that will start a failover although the master is well. What follows
    /// the service's name are words of `SENTINEL FAILOVER`.
    pub(crate) fn failover(&self, words: &[&str]) -> Result<(), Failure> {
        let mut refusals = Vec::new();
        for sentinel in self.sentinels() {
            let order = |mut sentinel: Direct| -> RedisResult<()> {
                let mut command = redis::cmd("SENTINEL");
                command.arg("FAILOVER").arg(self.service()).arg(words).exec(&mut sentinel)
            };
            match self.dialer.sentinel(sentinel).map_err(Into::into).and_then(order) {
                Ok(()) => return Ok(()),
                Err(error) => refusals.push(format!("{sentinel}: {error}")),
            }
        }
        Err(Failure::new(format!(
            "no sentinel starts a failover of {:?}; mend this and try again: {}",
            self.service(),
            refusals.join("; ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_sentinels_and_service() {
        let url =
            "redis+sentinel://:node%40@a,b:2,[::1]/my%2Fs/3?sentinel_password=p%20w&max_size=4";
        let deployment = Deployment::of(url).unwrap();
        let sentinels: Vec<String> =
            deployment.sentinels().iter().map(Address::to_string).collect();
        assert_eq!(sentinels, ["a:26379", "b:2", "[::1]:26379"]);
        assert_eq!(deployment.service(), "my/s");
        assert_eq!(deployment.dialer().has_passwords(), (true, true));
        let deployment = Deployment::of("redis-sentinel://a/0?switch_on=confirmation#svc").unwrap();
        assert_eq!(deployment.service(), "svc");
        assert_eq!(deployment.switch_on(), SwitchOn::Confirmation);
    }

    #[test]
    fn a_url_that_cannot_be_read_is_named() {
        let error = Deployment::of("redis+sentinel://a/svc?max_size=x").unwrap_err();
        assert!(error.to_string().starts_with("--url: ") && error.code() == 2, "{error}");
    }
}
