//! What a subcommand is about: [`Target`].

use clap::Args;

/// The deployment and the service, as every subcommand takes them.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The deployment: redis+sentinel://host[:port],…/service[?option=value&…], or
    /// rediss+sentinel://… for TLS to the nodes.
    #[arg(long)]
    pub(crate) url: String,
}
