//! What a drill does to the master: [`Fault`].

use std::fmt;

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// SIGKILL: connections break at once.
    Kill,
    /// SIGSTOP: connections stay open and nothing answers.
    Freeze,
    /// SENTINEL FAILOVER: the master is well, and becomes a replica.
    Planned,
    /// SENTINEL FAILOVER … COORDINATED (Valkey 9 on): the master itself hands over.
    Coordinated,
    /// The program and the master are cut off from all others, which replace the master. The
    /// factory has on_lost_majority=fence:1s.
    Partition,
    /// The master is killed, and the sentinel that replaces it dies at the promotion.
    Leader,
    /// Three planned failovers, each as soon as the replicas and sentinels are ready for it.
    Flap,
    /// One sentinel, not the one that leads, takes 600 ms for each answer, and the master is
    /// killed.
    SlowSentinel,
    /// No message of a sentinel arrives any more, and the master is killed.
    PubsubLoss,
    /// All servers are restarted one after the other, as for a new version: the replicas, the
    /// master after a planned failover, the sentinels.
    Rolling,
}

impl Fault {
    /// Those that every server knows.
    pub(crate) const USUAL: [Fault; 3] = [Fault::Kill, Fault::Freeze, Fault::Planned];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Freeze => "freeze",
            Fault::Planned => "planned",
            Fault::Coordinated => "coordinated",
            Fault::Partition => "partition",
            Fault::Leader => "leader",
            Fault::Flap => "flap",
            Fault::SlowSentinel => "slow-sentinel",
            Fault::PubsubLoss => "pubsub-loss",
            Fault::Rolling => "rolling",
        }
    }

    /// What happens, in one sentence.
    pub(crate) fn story(self) -> &'static str {
        match self {
            Fault::Kill => "The master is killed: its connections break at once.",
            Fault::Freeze => {
                "The master is stopped: its connections stay open, and nothing answers."
            }
            Fault::Planned => "The sentinels are told to replace a master that is well.",
            Fault::Coordinated => "The master itself hands over to a replica.",
            Fault::Partition => {
                "The program is shut in with the master, cut off from everybody else, who replace \
                 it; the partition ends when they have announced the new one."
            }
            Fault::Leader => {
                "The master is killed, and the sentinel that replaces it dies right after the \
                 promotion, before anybody confirms it."
            }
            Fault::Flap => "The master is replaced three times, each time as soon as all is ready.",
            Fault::SlowSentinel => {
                "One sentinel takes 600 ms for each answer, and is not the one that leads; the \
                 master is killed."
            }
            Fault::PubsubLoss => {
                "Everything that the sentinels publish is lost on its way; the master is killed."
            }
            Fault::Rolling => {
                "All servers are restarted one after the other: the replicas, the master after a \
                 planned failover, the sentinels."
            }
        }
    }

    /// Whether the master is well until it is replaced.
    pub(crate) fn is_ordered(self) -> bool {
        matches!(self, Fault::Planned | Fault::Coordinated | Fault::Flap | Fault::Rolling)
    }

    /// Whether it needs no power over the servers but what sentinels give.
    pub(crate) fn is_for_deployments(self) -> bool {
        matches!(self, Fault::Planned | Fault::Coordinated)
    }

    /// Whether something happens on the way between the factory and the servers.
    pub(crate) fn is_on_the_way(self) -> bool {
        matches!(self, Fault::Partition | Fault::SlowSentinel | Fault::PubsubLoss)
    }

    /// Whether the factory can know which master to serve only after the sentinels' word.
    pub(crate) fn waits_for_word(self) -> bool {
        self == Fault::Leader
    }

    /// How many times the master is replaced.
    pub(crate) fn failovers(self) -> usize {
        if self == Fault::Flap { 3 } else { 1 }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
