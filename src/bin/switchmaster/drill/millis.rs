//! Instants as milliseconds: [`millis`], [`rounded`].

use std::time::Instant;

/// Milliseconds from one instant to another, negative when the other was before.
pub(crate) fn millis(from: Instant, to: Instant) -> f64 {
    let after = to.saturating_duration_since(from).as_nanos() as f64;
    let before = from.saturating_duration_since(to).as_nanos() as f64;
    (after - before) / 1e6
}

/// Microseconds are all that is meant.
pub(crate) fn rounded(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}
