//! The numbers of a drill, and how they spread over several: [`FIGURES`], [`Spread`], [`Statistic`].

use Unit::{Count, Milliseconds, Part};
use serde_json::{Value, json};

use super::{millis::rounded, report::Report};

/// A number that every drill gives, if things went well.
pub(crate) struct Figure {
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    unit: Unit,
    /// Whether it differs with what it takes to switch.
    pub(crate) compared: bool,
    /// Whether most drills do not have it: then it is left out where it is missing.
    pub(crate) rare: bool,
    pub(crate) of: fn(&Report) -> Option<f64>,
}

#[derive(Clone, Copy)]
enum Unit {
    Milliseconds,
    Count,
    Part,
}

impl Figure {
    const fn new(
        key: &'static str,
        label: &'static str,
        unit: Unit,
        of: fn(&Report) -> Option<f64>,
    ) -> Figure {
        Figure { key, label, unit, compared: true, rare: false, of }
    }

    const fn not_compared(self) -> Figure {
        Figure { compared: false, ..self }
    }

    const fn rare(self) -> Figure {
        Figure { rare: true, ..self }
    }

    /// Whether it has anything to tell of these.
    pub(crate) fn is_of<'a>(&self, reports: impl IntoIterator<Item = &'a Report>) -> bool {
        !self.rare || reports.into_iter().any(|report| (self.of)(report).is_some())
    }

    pub(crate) fn named(key: &str) -> Option<&'static Figure> {
        FIGURES.iter().find(|figure| figure.key == key)
    }

    /// The number as it is printed.
    pub(crate) fn text(&self, value: Option<f64>) -> String {
        match (value, self.unit) {
            (None, _) => "-".to_owned(),
            (Some(value), Unit::Milliseconds) => format!("{value:.1}"),
            (Some(value), Unit::Count) => format!("{value:.0}"),
            (Some(value), Unit::Part) => format!("{value:.3}"),
        }
    }
}

/// Of several failovers, the largest of each; for the fault, which comes before, the longest ago.
pub(crate) const FIGURES: &[Figure] = &[
    Figure::new("fault_ms", "F fault", Milliseconds, |report| report.least(|turn| turn.struck))
        .not_compared(),
    Figure::new("promotion_ms", "P promotion", Milliseconds, |report| {
        report.worst(|turn| turn.promotion)
    })
    .not_compared(),
    Figure::new("healed_ms", "H end of the partition", Milliseconds, |report| {
        report.worst(|turn| turn.healed)
    })
    .rare(),
    Figure::new("switch_ms", "S switch of the factory", Milliseconds, |report| {
        report.worst(|turn| turn.switch)
    }),
    Figure::new("first_write_ms", "first acknowledged write", Milliseconds, |report| {
        report.worst(|turn| turn.first_write)
    }),
    Figure::new("last_writer_ms", "last writer through", Milliseconds, |report| {
        report.worst(|turn| turn.last_writer)
    }),
    Figure::new("announcement_ms", "A first +switch-master", Milliseconds, |report| {
        report.worst(|turn| turn.announcement)
    }),
    Figure::new("first_write_part", "first write as part of A", Part, |report| {
        report.worst(|turn| turn.part_of_announcement(turn.first_write))
    }),
    Figure::new("last_writer_part", "last writer as part of A", Part, |report| {
        report.worst(|turn| turn.part_of_announcement(turn.last_writer))
    }),
    Figure::new("longest_wait_ms", "longest wait of a worker", Milliseconds, |report| {
        report.waits.iter().map(|(_, ms)| *ms).reduce(f64::max)
    })
    .not_compared(),
    Figure::new("longest_pause_ms", "longest pause of a writer", Milliseconds, |report| {
        report.pause
    }),
    Figure::new("blocked_served", "blocked readers served", Count, |report| {
        Some(report.served() as f64)
    })
    .not_compared(),
    Figure::new("woken", "blocked readers woken", Count, |report| Some(report.errors.woken as f64)),
    Figure::new("errors", "errors of all others", Count, |report| {
        Some(report.errors.total() as f64)
    }),
    Figure::new("acknowledged", "writes acknowledged", Count, |report| {
        Some(report.acknowledged as f64)
    })
    .not_compared(),
    Figure::new("lost", "acknowledged writes lost", Count, |report| Some(report.lost.len() as f64)),
    Figure::new("lost_over_ms", "lost: from first to last", Milliseconds, |report| {
        Some(report.lost_over)
    }),
    Figure::new("told", "of commands it was told", Count, |report| {
        (report.overruled > 0).then_some(report.overruled as f64)
    })
    .rare(),
    Figure::new("stuck", "threads stuck", Count, |report| Some(report.stuck.len() as f64)),
];

/// What is taken of several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistic {
    P50,
    P99,
    Max,
}

impl Statistic {
    pub(crate) const ALL: [Statistic; 3] = [Statistic::P50, Statistic::P99, Statistic::Max];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Statistic::P50 => "p50",
            Statistic::P99 => "p99",
            Statistic::Max => "max",
        }
    }
}

/// Several values of one figure.
#[derive(Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of no values. A percentile is the smallest value that so many are not above.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let max = *values.last()?;
        let rank = |part: f64| (part * values.len() as f64).ceil() as usize;
        let at = |part: f64| values[rank(part).clamp(1, values.len()) - 1];
        Some(Spread { p50: at(0.5), p99: at(0.99), max })
    }

    pub(crate) fn get(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::P50 => self.p50,
            Statistic::P99 => self.p99,
            Statistic::Max => self.max,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "p50": rounded(self.p50), "p99": rounded(self.p99), "max": rounded(self.max) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_takes_values_that_occurred() {
        assert_eq!(Spread::of([]), None);
        let of = |p50, p99, max| Some(Spread { p50, p99, max });
        assert_eq!(Spread::of([3.0]), of(3.0, 3.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, -3.0]), of(1.0, 4.0, 4.0));
        assert_eq!(Spread::of((1..=200).map(f64::from)), of(100.0, 198.0, 200.0));
    }
}
