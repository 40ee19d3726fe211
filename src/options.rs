//! The table of options: each setting by name and as text, with its check.
//!
//! The builder, URLs and the C interface all read this table, so an option is added in one line
//! here, beside its field in `Config` and its setter in `Builder`.

use std::time::Duration;

use crate::{
    address::{Address, SENTINEL_PORT},
    config::{Config, Protocol, Secret, SwitchOn},
};

/// The options, in the order in which they are checked and printed.
pub(crate) static OPTIONS: &[Row] = &[
    Row { name: "sentinel", secret: false, set: set_sentinels, check: |_| Ok(()), print: |_| None },
    Row {
        name: "sentinels",
        secret: false,
        set: set_sentinels,
        check: check_sentinels,
        print: print_sentinels,
    },
    row!(service: Service),
    row!(username: Text),
    row!(password: Hidden),
    row!(db: Database),
    row!(client_name: ClientName),
    row!(protocol: ProtocolVersion),
    row!(sentinel_username: Text),
    row!(sentinel_password: Hidden),
    Row {
        name: "address_map",
        secret: false,
        set: set_address_map,
        check: |_| Ok(()),
        print: print_address_map,
    },
    row!(max_size: Size),
    row!(min_idle: Count),
    row!(max_lifetime: Lifetime),
    row!(connect_timeout: Timeout),
    row!(dial_timeout: Timeout),
    row!(get_timeout: Timeout),
    row!(command_timeout: Timeout),
    row!(switch_on: Switch),
];

/// One option. Faults are sentences about the value, to which [`Row::fault`] adds name and value;
/// not a value with an `@`, for that may be a URL with a password, pasted in the wrong place.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The value is never printed.
    pub(crate) secret: bool,
    /// Reads the text; changes nothing when it is at fault.
    set: fn(&mut Config, &str) -> Result<(), String>,
    check: fn(&Config) -> Result<(), String>,
    /// The value as text that `set` reads; `None` when there is none.
    print: fn(&Config) -> Option<String>,
}

impl Row {
    fn fault(&self, value: Option<&str>, why: &str) -> String {
        match value {
            Some(value) if !self.secret && !value.contains('@') => {
                format!("{}={value:?}: {why}", self.name)
            }
            _ => format!("{}: {why}", self.name),
        }
    }

    /// The value as text when it is not the default.
    pub(crate) fn print_unless_default(&self, config: &Config) -> Option<String> {
        let value = (self.print)(config)?;
        (Some(&value) != (self.print)(&Config::unset()).as_ref()).then_some(value)
    }
}

/// The option of this name.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// Sets an option; `Err` with a message that names it and quotes its value, unless that is secret.
pub(crate) fn set(config: &mut Config, name: &str, value: &str) -> Result<(), String> {
    let Some(option) = find(name) else { return Err(unknown(name)) };
    (option.set)(config, value).map_err(|why| option.fault(Some(value), &why))
}

/// Checks every setting, and what several say together.
pub(crate) fn check(config: &Config) -> Result<(), String> {
    for option in OPTIONS {
        (option.check)(config)
            .map_err(|why| option.fault((option.print)(config).as_deref(), &why))?;
    }
    if config.min_idle > config.max_size {
        return Err(format!(
            "min_idle=\"{}\": more than max_size=\"{}\" connections cannot be kept idle",
            config.min_idle, config.max_size
        ));
    }
    // The user is not quoted: it may be a password in the wrong place, as in redis+sentinel://pw@host.
    if config.username.is_some() && config.password.is_none() {
        return Err("username: set without a password; set password as well, \
            or, to use a password alone, set password only (in a URL \":password@\")"
            .to_owned());
    }
    if config.sentinel_username.is_some() && config.sentinel_password.is_none() {
        return Err(
            "sentinel_username: set without a password; set sentinel_password as well".to_owned()
        );
    }
    Ok(())
}

/// The message for a name that is not in the table.
pub(crate) fn unknown(name: &str) -> String {
    let near = OPTIONS
        .iter()
        .map(|option| (distance(name, option.name), option.name))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match near {
        Some((_, near)) => format!("unknown option {name:?}: did you mean {near:?}?"),
        None => {
            let names: Vec<_> = OPTIONS.iter().map(|option| option.name).collect();
            format!("unknown option {name:?}: the options are {}", names.join(", "))
        }
    }
}

/// How many letters have to be added, removed or replaced to get from one word to the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (n, l) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], n + 1);
        for (m, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[m + 1];
            row[m + 1] = replaced.min(diagonal + 1).min(row[m] + 1);
        }
    }
    row[right.len()]
}

/// Adds a sentinel unless it is there already.
pub(crate) fn add_sentinel(config: &mut Config, sentinel: Address) {
    if !config.sentinels.contains(&sentinel) {
        config.sentinels.push(sentinel);
    }
}

fn add_mapping(config: &mut Config, from: &str, to: &str) -> Result<(), String> {
    let announced = with_port(from)?;
    let reachable = with_port(to)?;
    config
        .address_map
        .insert(announced, reachable)
        .map_err(|known| format!("{from} leads to {known} already, and cannot lead to {to} too"))
}

fn host_and_port(text: &str, default_port: u16) -> Result<Address, String> {
    if text.contains('@') {
        return Err("host:port is expected, without scheme, user and password: a whole URL is \
            for Factory::open, and credentials have options of their own"
            .to_owned());
    }
    Address::parse(text, default_port).map_err(|error| error.to_string())
}

/// An address whose port is spelt out: a node's default is another than a sentinel's, and both are
/// mapped.
fn with_port(text: &str) -> Result<Address, String> {
    // Port 0 is never right, so as a default it is a mark that none was given.
    match host_and_port(text, 0) {
        Err(_) if Address::parse(text, 1).is_ok() => {
            Err(format!("{text:?} has no port: write host:port"))
        }
        read => read,
    }
}

fn set_sentinels(config: &mut Config, text: &str) -> Result<(), String> {
    let sentinels: Vec<Address> = text
        .split(',')
        .map(|text| host_and_port(text.trim(), SENTINEL_PORT))
        .collect::<Result<_, _>>()?;
    for sentinel in sentinels {
        add_sentinel(config, sentinel);
    }
    Ok(())
}

fn check_sentinels(config: &Config) -> Result<(), String> {
    if config.sentinels.is_empty() {
        return Err("no sentinel is named: at least one host:port is needed".to_owned());
    }
    Ok(())
}

fn print_sentinels(config: &Config) -> Option<String> {
    let hosts: Vec<_> = config.sentinels.iter().map(Address::to_string).collect();
    (!hosts.is_empty()).then(|| hosts.join(","))
}

fn set_address_map(config: &mut Config, text: &str) -> Result<(), String> {
    let mut changed = config.clone();
    for pair in text.split(';') {
        let Some((from, to)) = pair.split_once('>') else {
            return Err(format!(
                "{pair:?} is no pair: write announced:port>reachable:port, with \";\" between pairs"
            ));
        };
        add_mapping(&mut changed, from.trim(), to.trim())?;
    }
    *config = changed;
    Ok(())
}

fn print_address_map(config: &Config) -> Option<String> {
    let rows: Vec<_> = config.address_map.rows().map(|(from, to)| format!("{from}>{to}")).collect();
    (!rows.is_empty()).then(|| rows.join(";"))
}

/// How the value of an option is written, read and checked.
trait Form {
    type Value;
    const SECRET: bool = false;

    fn parse(text: &str) -> Result<Self::Value, String>;
    fn check(value: &Self::Value) -> Result<(), String>;
    fn print(value: &Self::Value) -> Option<String>;
}

/// The row of an option that is a field of [`Config`] of the same name.
macro_rules! row {
    ($name:ident: $form:ty) => {
        Row {
            name: stringify!($name),
            secret: <$form>::SECRET,
            set: |config, text| {
                let value = <$form>::parse(text)?;
                <$form>::check(&value)?;
                config.$name = value;
                Ok(())
            },
            check: |config| <$form>::check(&config.$name),
            print: |config| <$form>::print(&config.$name),
        }
    };
}
use row;

/// Any text; empty text is none.
struct Text;

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
struct Hidden;

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

struct Service;

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

struct Database;

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

struct ClientName;

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

struct ProtocolVersion;

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

struct Switch;

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

/// A number that may be 0.
struct Count;

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
struct Size;

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
struct Timeout;

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
struct Lifetime;

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
fn parse_duration(text: &str) -> Result<Duration, String> {
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
fn print_duration(duration: Duration) -> String {
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

    #[test]
    fn the_distance_of_words_is_counted_in_letters() {
        assert_eq!(distance("maxsize", "max_size"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_as_itself(seconds in 0u64..40_000_000, nanos in 0u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(name in ".*", value in ".*", n in 0..OPTIONS.len()) {
            let mut config = Config::unset();
            let _ = set(&mut config, &name, &value);
            let _ = set(&mut config, OPTIONS[n].name, &value);
            let _ = set(&mut config, "get_timeout", &format!("{}{value}", "9".repeat(n)));
        }
    }
}
