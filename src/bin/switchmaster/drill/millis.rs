//! Instants as milliseconds: [`millis`].

use std::time::Instant;

/// Milliseconds from one instant to another, negative when the other was before.
pub(crate) fn millis(from: Instant, to: Instant) -> f64 {
    let after = to.saturating_duration_since(from).as_nanos() as f64;
    let before = from.saturating_duration_since(to).as_nanos() as f64;
    (after - before) / 1e6
}
