//! The table of options: each setting by name and as text, with its check.
//!
//! The builder, URLs and the C interface all read this table, so an option is added in one line
//! here, beside its field in `Config` and its setter in `Builder`.

mod form;

use crate::{
    address::{Address, SENTINEL_PORT},
    config::Config,
    tls::{self, TlsConfig},
};
use form::{
    ClientName, Count, Database, Form, Hidden, Lag, Lifetime, LostMajority, PemText,
    ProtocolVersion, ServerName, Service, Size, Switch, Text, Timeout, Tls, YesNo,
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
    row!(tls: Tls),
    row!(tls_ca = tls_config.ca: PemText),
    row!(tls_cert = tls_config.cert: PemText),
    row!(tls_key = tls_config.key: PemText),
    row!(tls_server_name = tls_config.server_name: ServerName),
    row!(sentinel_tls: Tls),
    row!(sentinel_tls_ca = sentinel_tls_config.ca: PemText),
    row!(sentinel_tls_cert = sentinel_tls_config.cert: PemText),
    row!(sentinel_tls_key = sentinel_tls_config.key: PemText),
    row!(sentinel_tls_server_name = sentinel_tls_config.server_name: ServerName),
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
    row!(leak_after: Lifetime),
    row!(connect_timeout: Timeout),
    row!(dial_timeout: Timeout),
    row!(get_timeout: Timeout),
    row!(command_timeout: Timeout),
    row!(switch_on: Switch),
    row!(confirm_within: Timeout),
    row!(fence: YesNo),
    row!(fence_timeout: Timeout),
    row!(on_lost_majority: LostMajority),
    row!(max_lag: Lag),
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

/// The value of an option as text, if it has one that may be shown.
pub(crate) fn printed(config: &Config, name: &str) -> Option<String> {
    find(name).filter(|option| !option.secret).and_then(|option| (option.print)(config))
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
    for (supplied, fixed, name, own) in [
        (&config.credentials, config.password.is_some(), "credentials", "password"),
        (
            &config.sentinel_credentials,
            config.sentinel_password.is_some(),
            "sentinel_credentials",
            "sentinel_password",
        ),
    ] {
        if supplied.is_some() && fixed {
            return Err(format!("{name}: set together with {own}; set one of the two"));
        }
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
    check_tls(config.tls, &config.tls_config, "tls", &tls::NODES)?;
    check_tls(config.sentinel_tls, &config.sentinel_tls_config, "sentinel_tls", &tls::SENTINELS)
}

/// Refuses what would be forgotten, so that nobody takes plain TCP for TLS.
fn check_tls(
    spoken: bool,
    config: &TlsConfig,
    switch: &str,
    names: &tls::Names,
) -> Result<(), String> {
    let set = [
        (config.ca.is_some(), names.ca),
        (config.cert.is_some(), names.cert),
        (config.key.is_some(), names.key),
        (config.server_name.is_some(), names.server_name),
    ];
    if let Some((_, name)) = set.iter().find(|(set, _)| *set && !spoken) {
        return Err(format!("{name}: set while {switch} is not; set {switch} to true as well"));
    }
    config.check(names)
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

/// The row of an option that is a field of [`Config`], of the same name unless another is given.
macro_rules! row {
    ($name:ident: $form:ty) => {
        row!($name = $name: $form)
    };
    ($name:ident = $($field:ident).+: $form:ty) => {
        Row {
            name: stringify!($name),
            secret: <$form>::SECRET,
            set: |config, text| {
                let value = <$form>::parse(text)?;
                <$form>::check(&value)?;
                config.$($field).+ = value;
                Ok(())
            },
            check: |config| <$form>::check(&config.$($field).+),
            print: |config| <$form>::print(&config.$($field).+),
        }
    };
}
use row;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_distance_of_words_is_counted_in_letters() {
        assert_eq!(distance("maxsize", "max_size"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    proptest! {
        #[test]
        fn no_text_panics(name in ".*", value in ".*", n in 0..OPTIONS.len()) {
            let mut config = Config::unset();
            let _ = set(&mut config, &name, &value);
            let _ = set(&mut config, OPTIONS[n].name, &value);
            let _ = set(&mut config, "get_timeout", &format!("{}{value}", "9".repeat(n)));
        }
    }
}
