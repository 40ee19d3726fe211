//! What several drills are to show where the switch comes at the promotion: [`Target`].

use serde_json::{Value, json};

use super::{
    fault::Fault,
    figure::{Figure, Spread, Statistic},
    millis::rounded,
    report::Report,
};

/// A bound for one figure over all runs of a fault.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) figure: &'static str,
    pub(crate) statistic: Statistic,
    pub(crate) at_most: f64,
}

const fn target(figure: &'static str, statistic: Statistic, at_most: f64) -> Target {
    Target { figure, statistic, at_most }
}

const CRASH: &[Target] = &[
    target("first_write_ms", Statistic::P50, 5.0),
    target("first_write_ms", Statistic::P99, 25.0),
    target("last_writer_ms", Statistic::P99, 30.0),
    target("stuck", Statistic::Max, 0.0),
];

const PLANNED: &[Target] = &[
    target("longest_pause_ms", Statistic::Max, 120.0),
    target("errors", Statistic::Max, 0.0),
    target("lost", Statistic::Max, 0.0),
];

/// Nobody hears that the master will be replaced, so nothing can wait for it.
const PLANNED_UNHEARD: &[Target] =
    &[target("errors", Statistic::Max, 0.0), target("lost_over_ms", Statistic::Max, 5.0)];

const COORDINATED: &[Target] = &[
    target("first_write_ms", Statistic::P50, 10.0),
    target("errors", Statistic::Max, 0.0),
    target("lost", Statistic::Max, 0.0),
];

impl Target {
    pub(crate) fn of(fault: Fault, subscribe_denied: bool) -> &'static [Target] {
        match fault {
            Fault::Kill | Fault::Freeze => CRASH,
            Fault::Planned if subscribe_denied => PLANNED_UNHEARD,
            Fault::Planned => PLANNED,
            Fault::Coordinated => COORDINATED,
            // What these show has bounds in the contract.
            Fault::Partition
            | Fault::Leader
            | Fault::Flap
            | Fault::SlowSentinel
            | Fault::PubsubLoss
            | Fault::Rolling => &[],
        }
    }

    pub(crate) fn is_for(&self, figure: &Figure, statistic: Statistic) -> bool {
        self.figure == figure.key && self.statistic == statistic
    }

    /// What these runs show; `None` when one of them does not have the figure.
    pub(crate) fn value(&self, reports: &[&Report]) -> Option<f64> {
        let figure = Figure::named(self.figure)?;
        let values: Option<Vec<f64>> = reports.iter().map(|report| (figure.of)(report)).collect();
        Spread::of(values?).map(|spread| spread.get(self.statistic))
    }

    pub(crate) fn is_met(&self, reports: &[&Report]) -> bool {
        self.value(reports).is_some_and(|value| value <= self.at_most)
    }

    pub(crate) fn to_json(&self, reports: &[&Report]) -> Value {
        json!({
            "figure": self.figure,
            "statistic": self.statistic.as_str(),
            "at_most": self.at_most,
            "value": self.value(reports).map(rounded),
            "met": self.is_met(reports),
        })
    }
}
