//! Times on the command line.

use std::time::Duration;

/// What is added to an instant without a thought that it may not fit.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Reads `1200ms`, `1.5s` or `1m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "" => return Err("a time needs a unit, as in 1200ms or 1.5s".to_owned()),
        unit => return Err(format!("{unit:?} is no unit of time: use ms, s or m")),
    };
    let number: f64 =
        digits.parse().map_err(|_| format!("{digits:?} is no number: write 1200ms or 1.5s"))?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(time) if time <= LONGEST => Ok(time),
        Ok(_) => Err(format!("{text:?} is more than a year; choose less")),
        Err(_) => Err(format!("{text:?} is not a possible time: write 1200ms or 1.5s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("1200ms"), Ok(Duration::from_millis(1200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for (text, part) in [
            ("5", "unit"),
            ("5h", "\"h\""),
            ("x5s", "number"),
            ("-1s", "possible"),
            ("1e12m", "year"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
