//! The numbers of a drill, and how they spread over several: [`FIGURES`], [`Spread`].

use serde_json::{Value, json};

use super::report::Report;

/// A number that every drill gives, if things went well.
pub(crate) struct Figure {
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    /// Whether it is a count, and not milliseconds.
    pub(crate) whole: bool,
    pub(crate) of: fn(&Report) -> Option<f64>,
}

const fn ms(key: &'static str, label: &'static str, of: fn(&Report) -> Option<f64>) -> Figure {
    Figure { key, label, whole: false, of }
}

const fn count(key: &'static str, label: &'static str, of: fn(&Report) -> Option<f64>) -> Figure {
    Figure { key, label, whole: true, of }
}

pub(crate) const FIGURES: &[Figure] = &[
    ms("fault_ms", "F fault", |report| Some(report.struck)),
    ms("promotion_ms", "P promotion", |report| report.promotion),
    ms("switch_ms", "S switch of the factory", |report| report.switch),
    ms("first_write_ms", "first acknowledged write", |report| report.first_write),
    ms("last_writer_ms", "last writer through", |report| report.last_writer),
    ms("announcement_ms", "A first +switch-master", |report| report.announcement),
    ms("longest_wait_ms", "longest wait of a worker", |report| {
        report.waits.iter().map(|(_, ms)| *ms).reduce(f64::max)
    }),
    count("blocked_served", "blocked readers served", |report| Some(report.served as f64)),
    count("errors", "errors", |report| Some(report.errors() as f64)),
    count("acknowledged", "writes acknowledged", |report| Some(report.acknowledged as f64)),
    count("lost", "writes acknowledged and lost", |report| Some(report.lost.len() as f64)),
    count("stuck", "threads stuck", |report| Some(report.stuck.len() as f64)),
];

/// Microseconds are all that is meant.
pub(crate) fn rounded(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
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
