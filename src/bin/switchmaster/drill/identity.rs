//! What the server that a handle leads to says of itself: [`Identity`].

use switchmaster::Factory;

pub(crate) struct Identity {
    role: String,
    run_id: String,
}

impl Identity {
    /// Asks whatever server the factory leads to.
    pub(crate) fn of(factory: &Factory) -> redis::RedisResult<Identity> {
        factory.run_idempotent(|redis| {
            let role: Vec<redis::Value> = redis::cmd("ROLE").query(redis)?;
            let role = role.first().map(redis::from_redis_value_ref).transpose()?;
            let info: String = redis::cmd("INFO").arg("server").query(redis)?;
            let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:"));
            Ok(Identity {
                role: role.unwrap_or_default(),
                run_id: run_id.unwrap_or_default().trim().to_owned(),
            })
        })
    }

    /// What is wrong with it as the successor of `old`, if anything is.
    pub(crate) fn staleness(&self, old: &Identity) -> Option<String> {
        if self.role != "master" {
            return Some(format!("its role is {:?}", self.role));
        }
        (self.run_id == old.run_id).then(|| format!("it is the old one, run id {}", old.run_id))
    }
}
