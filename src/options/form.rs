//! How the value of an option is written, read and checked: [`Form`].

use std::time::Duration;

use crate::{
    address::Address,
    config::{Protocol, Secret},
    policy::{OnLostMajority, SwitchOn},
    tls::{self, Pem},
};

/// How the value of an option is written, read and checked.
pub(super) trait Form {
    type Value;
    const SECRET: bool = false;

    fn parse(text: &str) -> Result<Self::Value, String>;
    fn check(value: &Self::Value) -> Result<(), String>;
    fn print(value: &Self::Value) -> Option<String>;
}

/// Any text; empty text is none.
pub(super) struct Text;

impl Form for Text {
    type Value = Option<String>;

    fn parse(text: &str) -> Result<Option<String>, String> {
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn check(_: &Option<String>) -> Result<(), String> {
        Ok(())
    }

    fn print(value: &Option<String>) -> Option<String> {
        value.clone()
    }
}

/// Text that is never shown.
pub(super) struct Hidden;

impl Form for Hidden {
    type Value = Option<Secret>;
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Option<Secret>, String> {
        Ok(Some(Secret::new(text)))
    }

    fn check(_: &Option<Secret>) -> Result<(), String> {
        Ok(())
    }

    fn print(value: &Option<Secret>) -> Option<String> {
        value.as_ref().map(|secret| secret.expose().to_owned())
    }
}

pub(super) struct Service;

impl Form for Service {
    type Value = String;

    fn parse(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    fn check(value: &String) -> Result<(), String> {
        if value.is_empty() {
            return Err("a service name is needed, as in \"sentinel monitor <name> …\"".to_owned());
        }
        // Sentinel's events separate their words by spaces, so it cannot have such a name either.
        if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("a service name has no spaces and no control characters".to_owned());
        }
        Ok(())
    }

    fn print(value: &String) -> Option<String> {
        Some(value.clone())
    }
}

pub(super) struct Database;

impl Form for Database {
    type Value = i64;

    fn parse(text: &str) -> Result<i64, String> {
        text.parse().map_err(|_| DATABASES.to_owned())
    }

    fn check(value: &i64) -> Result<(), String> {
        // Redis keeps the number of databases in an int.
        if (0..i64::from(i32::MAX)).contains(value) { Ok(()) } else { Err(DATABASES.to_owned()) }
    }

    fn print(value: &i64) -> Option<String> {
        Some(value.to_string())
    }
}

const DATABASES: &str = "databases are numbered from 0, up to 2147483646";

pub(super) struct ClientName;

impl Form for ClientName {
    type Value = Option<String>;

    fn parse(text: &str) -> Result<Option<String>, String> {
        Text::parse(text)
    }

    fn check(value: &Option<String>) -> Result<(), String> {
        if value.iter().flat_map(|name| name.chars()).all(|c| c.is_ascii_graphic()) {
            return Ok(());
        }
        Err("Redis takes printable ASCII without spaces only".to_owned())
    }

    fn print(value: &Option<String>) -> Option<String> {
        value.clone()
    }
}

pub(super) struct ProtocolVersion;

impl Form for ProtocolVersion {
    type Value = Protocol;

    fn parse(text: &str) -> Result<Protocol, String> {
        match text {
            "2" => Ok(Protocol::Resp2),
            "3" => Ok(Protocol::Resp3),
            _ => Err("the protocol is 2 or 3".to_owned()),
        }
    }

    fn check(_: &Protocol) -> Result<(), String> {
        Ok(())
    }

    fn print(value: &Protocol) -> Option<String> {
        Some(match value {
            Protocol::Resp2 => "2".to_owned(),
            Protocol::Resp3 => "3".to_owned(),
        })
    }
}

pub(super) struct Switch;

impl Form for Switch {
    type Value = SwitchOn;

    fn parse(text: &str) -> Result<SwitchOn, String> {
        match text {
            "promotion" => Ok(SwitchOn::Promotion),
            "confirmation" => Ok(SwitchOn::Confirmation),
            "announcement" => Ok(SwitchOn::Announcement),
            _ => Err("it is promotion, confirmation or announcement".to_owned()),
        }
    }

    fn check(_: &SwitchOn) -> Result<(), String> {
        Ok(())
    }

    fn print(value: &SwitchOn) -> Option<String> {
        Some(match value {
            SwitchOn::Promotion => "promotion".to_owned(),
            SwitchOn::Confirmation => "confirmation".to_owned(),
            SwitchOn::Announcement => "announcement".to_owned(),
        })
    }
}

pub(super) struct LostMajority;

impl Form for LostMajority {
    type Value = OnLostMajority;

    fn parse(text: &str) -> Result<OnLostMajority, String> {
        match text.split_once(':') {
            None if text == "serve" => Ok(OnLostMajority::Serve),
            Some(("fence", after)) => Ok(OnLostMajority::Fence { after: parse_duration(after)? }),
            _ => Err("it is serve, or fence:1s with the time to wait first".to_owned()),
        }
    }

    fn check(value: &OnLostMajority) -> Result<(), String> {
        match value {
            OnLostMajority::Serve => Ok(()),
            // The sentinels are asked four times in this time.
            OnLostMajority::Fence { after } if *after < Duration::from_millis(100) => Err(
                "sentinels cannot be asked often enough for less than 100ms; take down-after or a \
                 little less"
                    .to_owned(),
            ),
            OnLostMajority::Fence { after } => Timeout::check(after),
        }
    }

    fn print(value: &OnLostMajority) -> Option<String> {
        Some(match value {
            OnLostMajority::Serve => "serve".to_owned(),
            OnLostMajority::Fence { after } => format!("fence:{}", print_duration(*after)),
        })
    }
}

/// A switch that is on or off.
pub(super) struct YesNo;

impl Form for YesNo {
    type Value = bool;

    fn parse(text: &str) -> Result<bool, String> {
        text.parse().map_err(|_| "it is true or false".to_owned())
    }

    fn check(_: &bool) -> Result<(), String> {
        Ok(())
    }

    fn print(value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

/// Whether TLS is spoken.
pub(super) struct Tls;

impl Form for Tls {
    type Value = bool;

    fn parse(text: &str) -> Result<bool, String> {
        YesNo::parse(text)
    }

    fn check(value: &bool) -> Result<(), String> {
        if *value && !tls::AVAILABLE { Err(tls::MISSING.to_owned()) } else { Ok(()) }
    }

    fn print(value: &bool) -> Option<String> {
        YesNo::print(value)
    }
}

/// A PEM file, or PEM text; empty text is none. Text is not printed: it may be a private key.
pub(super) struct PemText;

impl Form for PemText {
    type Value = Option<Pem>;

    fn parse(text: &str) -> Result<Option<Pem>, String> {
        Ok((!text.is_empty()).then(|| Pem::of(text)))
    }

    fn check(_: &Option<Pem>) -> Result<(), String> {
        Ok(())
    }

    fn print(value: &Option<Pem>) -> Option<String> {
        match value {
            Some(Pem::File(path)) => path.to_str().map(str::to_owned),
            Some(Pem::Bytes(_)) | None => None,
        }
    }
}

/// The name or IP address of a server; empty text is none.
pub(super) struct ServerName;

impl Form for ServerName {
    type Value = Option<String>;

    fn parse(text: &str) -> Result<Option<String>, String> {
        Text::parse(text)
    }

    fn check(value: &Option<String>) -> Result<(), String> {
        let Some(name) = value else { return Ok(()) };
        // The port only fills the place.
        match Address::new(name, 1) {
            Ok(address) if address.host() == name.to_ascii_lowercase().trim_end_matches('.') => {
                Ok(())
            }
            _ => Err("it is the name of a host, or an IP address, without a port".to_owned()),
        }
    }

    fn print(value: &Option<String>) -> Option<String> {
        value.clone()
    }
}

/// A number that may be 0.
pub(super) struct Count;

impl Form for Count {
    type Value = u32;

    fn parse(text: &str) -> Result<u32, String> {
        text.parse().map_err(|_| "a whole number is needed".to_owned())
    }

    fn check(_: &u32) -> Result<(), String> {
        Ok(())
    }

    fn print(value: &u32) -> Option<String> {
        Some(value.to_string())
    }
}

/// A number of at least 1.
pub(super) struct Size;

impl Form for Size {
    type Value = u32;

    fn parse(text: &str) -> Result<u32, String> {
        Count::parse(text)
    }

    fn check(value: &u32) -> Result<(), String> {
        if *value == 0 { Err("at least 1 is needed".to_owned()) } else { Ok(()) }
    }

    fn print(value: &u32) -> Option<String> {
        Count::print(value)
    }
}

/// A duration that something ends after.
pub(super) struct Timeout;

impl Form for Timeout {
    type Value = Duration;

    fn parse(text: &str) -> Result<Duration, String> {
        parse_duration(text)
    }

    fn check(value: &Duration) -> Result<(), String> {
        // The upper bound keeps "now + timeout" from overflowing the clock.
        if value.is_zero() || *value > Duration::from_secs(365 * 86400) {
            return Err("it has to be longer than 0 and at most 365d".to_owned());
        }
        Ok(())
    }

    fn print(value: &Duration) -> Option<String> {
        Some(print_duration(*value))
    }
}

/// A duration, or `none`.
pub(super) struct Lifetime;

impl Form for Lifetime {
    type Value = Option<Duration>;

    fn parse(text: &str) -> Result<Option<Duration>, String> {
        if text == "none" { Ok(None) } else { Timeout::parse(text).map(Some) }
    }

    fn check(value: &Option<Duration>) -> Result<(), String> {
        value.as_ref().map_or(Ok(()), Timeout::check)
    }

    fn print(value: &Option<Duration>) -> Option<String> {
        Some(value.map_or("none".to_owned(), print_duration))
    }
}

/// The units of a duration and how many nanoseconds each has, from long to short.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads `500ms`, `2s`, `1m`, `1.5s`; a number without a unit is refused, since half of the world
/// would mean seconds and the other half milliseconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let help = || "a duration is a number and a unit, such as 500ms, 2s, 1.5s or 1m".to_owned();
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| {
        !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(whole) || !digits(fraction) {
        return Err(help());
    }
    if unit.is_empty() {
        return Err(format!("add a unit: {text}ms or {text}s"));
    }
    let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(help());
    };
    // At most 18 digits each, so nothing overflows: 10^18 days are about 2^106 nanoseconds.
    let whole: u128 = whole.parse().map_err(|_| help())?;
    let parts: u128 = fraction.parse().map_err(|_| help())?;
    let total = whole * nanos + parts * nanos / 10u128.pow(fraction.len() as u32);
    let seconds = u64::try_from(total / 1_000_000_000).unwrap_or(u64::MAX);
    Ok(Duration::new(seconds, (total % 1_000_000_000) as u32))
}

/// Writes a duration in the longest unit that it is a whole number of.
pub(super) fn print_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let (unit, length) =
        UNITS.into_iter().find(|(_, length)| nanos.is_multiple_of(*length)).unwrap_or(("ns", 1));
    format!("{}{unit}", nanos / length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, nanos) in [
            ("500ms", 500_000_000),
            ("2s", 2_000_000_000),
            ("1m", 60_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.5ms", 500_000),
            ("1h", 3_600_000_000_000),
            ("7us", 7_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for text in
            ["", "5", "1.5", "s", "-1s", "+1s", "1 s", "1.s", ".5s", "1e3s", "1S", "1s1", "1.5.2s"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_as_itself(seconds in 0u64..40_000_000, nanos in 0u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
        }
    }
}
