//! Which services a URL is about: [`Named`].

use std::{collections::BTreeSet, time::Duration};

use redis::{FromRedisValue, Value};
use switchmaster::{Address, Error, Factory};

use crate::{
    crew,
    deployment::Deployment,
    failure::{Failure, complaint},
    files,
};

/// How long a sentinel may take to list its services.
const PATIENCE: Duration = Duration::from_secs(1);

/// The deployment of a URL, and whether it names a service.
pub(crate) struct Named {
    pub(crate) deployment: Deployment,
    pub(crate) service: bool,
}

impl Named {
    pub(crate) fn of(url: &str) -> Result<Named, Failure> {
        match with_service(url) {
            Some(url) => Ok(Named { deployment: Deployment::of(&url)?, service: false }),
            None => Ok(Named { deployment: Deployment::of(url)?, service: true }),
        }
    }

    /// A factory for each service, which does without a master.
    pub(crate) fn factories(&self) -> Result<Vec<Factory>, Failure> {
        if !self.service {
            files::allow_many();
        }
        let follow = |service| self.deployment.factory().service(service).build_without_master();
        let factories: Result<Vec<Factory>, Error> =
            self.services()?.into_iter().map(follow).collect();
        Ok(factories?)
    }

    /// The name in the URL, or all that any of its sentinels monitors.
    fn services(&self) -> Result<Vec<String>, Failure> {
        if self.service {
            return Ok(vec![self.deployment.service().to_owned()]);
        }
        let sentinels = self.deployment.sentinels();
        let asked = crew::at_once(sentinels, |sentinel| monitored(&self.deployment, sentinel));
        let (mut services, mut faults) = (BTreeSet::new(), Vec::new());
        for (sentinel, answer) in sentinels.iter().zip(asked) {
            match answer {
                Some(Ok(names)) => services.extend(names),
                Some(Err(fault)) => faults.push(complaint(sentinel, &fault)),
                None => faults.push(format!("{sentinel}: a fault in switchmaster")),
            }
        }
        if services.is_empty() {
            let why = match faults.is_empty() {
                true => "they answer, and monitor none".to_owned(),
                false => faults.join("; "),
            };
            return Err(Failure::new(format!(
                "the sentinels name no service; add one to the URL (…/mymaster), or mend this: {why}"
            )));
        }
        Ok(services.into_iter().collect())
    }
}

/// The URL with a stand-in for the service, where it names none.
fn with_service(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let hosts = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (hosts, rest) = rest.split_at(hosts);
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let bare = rest.is_empty() || rest.starts_with('?');
    let ours = matches!(scheme, "redis+sentinel" | "rediss+sentinel");
    (bare && ours && !hosts.is_empty()).then(|| format!("{scheme}://{hosts}/all{rest}"))
}

fn monitored(deployment: &Deployment, sentinel: &Address) -> Result<Vec<String>, String> {
    let dialer = deployment.dialer().clone().patience(PATIENCE);
    let mut sentinel = dialer.sentinel(sentinel).map_err(|error| error.to_string())?;
    let masters: Vec<Value> = redis::cmd("SENTINEL")
        .arg("MASTERS")
        .query(&mut sentinel)
        .map_err(|error| error.to_string())?;
    Ok(masters.into_iter().filter_map(name).collect())
}

/// The name among the fields of a master: a map in RESP3, a list of pairs in RESP2.
fn name(fields: Value) -> Option<String> {
    let fields = Vec::<(String, String)>::from_redis_value(fields).ok()?;
    fields.into_iter().find_map(|(name, value)| (name == "name").then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_leave_the_service_out() {
        for (url, with) in [
            ("redis+sentinel://a,b:1", Some("redis+sentinel://a,b:1/all")),
            ("redis+sentinel://a/", Some("redis+sentinel://a/all")),
            ("rediss+sentinel://:p@a?db=1", Some("rediss+sentinel://:p@a/all?db=1")),
            ("redis+sentinel://a/svc", None),
            ("redis+sentinel://a/svc?x=1", None),
            ("redis-sentinel://a#svc", None),
            ("redis+sentinel://", None),
            ("http://a", None),
        ] {
            assert_eq!(with_service(url).as_deref(), with, "{url}");
        }
    }
}
