//! What a subcommand is about: [`Target`], [`Targets`].

use clap::Args;

/// The variable that takes the place of `--url`.
pub(crate) const URL: &str = "SWITCHMASTER_URL";

/// The deployment and the service, as every subcommand takes them.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The deployment: redis+sentinel://host[:port],…/service[?option=value&…], or
    /// rediss+sentinel://… for TLS to the nodes. A password is safer in the environment, where other
    /// users of the machine do not see it.
    #[arg(long, env = URL, hide_env_values = true)]
    pub(crate) url: String,
}

/// The deployment, and the service or none, as subcommands take them that can be about all services.
#[derive(Debug, Args)]
pub(crate) struct Targets {
    /// The deployment: redis+sentinel://host[:port],…[/service][?option=value&…], or
    /// rediss+sentinel://… for TLS to the nodes.
    #[arg(long, env = URL, hide_env_values = true)]
    pub(crate) url: String,
}
