//! The moment for the order in which the pause is shortest: [`Window`].
//!
//! A sentinel that leads a failover learns of the promotion from INFO, which it asks a replica for every
//! second, from the last time before the failover on; before that it does so every ten seconds. The
//! promotion takes 140 to 230 ms. So if the replica was asked three quarters of a second before the order,
//! it is asked again just after its promotion, and not most of a second later.

use std::time::{Duration, Instant};

use switchmaster::Address;

use super::voice::{Row, Voice, address, number};

/// How long ago the replica should have been asked when the order is given.
const BEST: u64 = 740;
/// So much less or more does as well.
const TOLERANCE: u64 = 40;
/// How often a sentinel asks a replica while all is well, and a little more.
const PERIOD: u64 = 10_100;
/// The longest wait: a period, and some turns of a sentinel's timer.
const LONGEST: Duration = Duration::from_millis(10_500);

/// What one sentinel would do if it were ordered to fail over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The index of the sentinel.
    pub(super) voice: usize,
    /// The replica that it would promote.
    pub(super) chosen: Address,
    /// Milliseconds until the order.
    wait: u64,
}

impl Window {
    /// The sentinel whose moment comes next.
    pub(super) fn next(voices: &mut [Voice], service: &str) -> Option<Window> {
        let each = voices.iter_mut().enumerate().filter_map(|(index, voice)| {
            let rows = voice.replicas(service).ok()?;
            let (chosen, age) = choice(&rows)?;
            Some(Window { voice: index, chosen, wait: wait(age) })
        });
        each.min_by_key(|window| window.wait)
    }

    pub(super) fn is_now(&self) -> bool {
        self.wait == 0
    }

    /// How long to sleep before the next look.
    pub(super) fn pause(&self) -> Duration {
        // Not to its end: a sentinel's timer is not exact.
        Duration::from_millis((self.wait / 2).clamp(5, 500))
    }

    /// When it is not waited for any longer.
    pub(super) fn deadline() -> Instant {
        Instant::now() + LONGEST
    }
}

fn wait(age: u64) -> u64 {
    let (from, to) = (BEST - TOLERANCE, BEST + TOLERANCE);
    match age {
        age if age < from => from - age,
        age if age <= to => 0,
        age => PERIOD.saturating_sub(age) + from,
    }
}

/// Which replica a sentinel would promote, by what it knows, and how long ago it asked it: the lowest
/// priority, then the most data, then the first run id.
fn choice(rows: &[Row]) -> Option<(Address, u64)> {
    let fit = rows.iter().filter(|row| {
        row.get("flags").is_some_and(|flags| flags == "slave")
            && number(row, "slave-priority").is_some_and(|priority| priority > 0)
    });
    let rank = |row: &&Row| {
        let data = number(row, "slave-repl-offset").unwrap_or(0);
        (number(row, "slave-priority"), u64::MAX - data, row.get("runid").cloned())
    };
    let best = fit.min_by_key(rank)?;
    Some((address(best)?, number(best, "info-refresh")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(port: u16, fields: &[(&str, &str)]) -> Row {
        let port = port.to_string();
        let usual = [
            ("ip", "h"),
            ("port", &*port),
            ("flags", "slave"),
            ("slave-priority", "100"),
            ("slave-repl-offset", "50"),
            ("runid", "b"),
            ("info-refresh", "10"),
        ];
        let fields = usual.iter().chain(fields);
        fields.map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn chosen(rows: &[Row]) -> Option<u16> {
        choice(rows).map(|(address, _)| address.port())
    }

    #[test]
    fn the_choice_is_that_of_a_sentinel() {
        assert_eq!(chosen(&[]), None);
        assert_eq!(chosen(&[row(1, &[("slave-priority", "0")]), row(2, &[])]), Some(2));
        assert_eq!(chosen(&[row(1, &[("flags", "slave,s_down")]), row(2, &[])]), Some(2));
        assert_eq!(chosen(&[row(1, &[]), row(2, &[("slave-priority", "10")])]), Some(2));
        assert_eq!(chosen(&[row(1, &[]), row(2, &[("slave-repl-offset", "51")])]), Some(2));
        assert_eq!(chosen(&[row(1, &[]), row(2, &[("runid", "a")])]), Some(2));
    }

    #[test]
    fn the_moment_comes_once_in_ten_seconds() {
        assert_eq!(wait(0), 700);
        assert_eq!((wait(699), wait(700), wait(780)), (1, 0, 0));
        assert_eq!(wait(781), 10_100 - 781 + 700);
        assert_eq!(wait(20_000), 700);
    }
}
