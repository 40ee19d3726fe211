//! Reads and writes `redis+sentinel://` URLs.
//!
//! No error may show a password, also not when the fault is in or near it. Where credentials end is
//! settled first, and what could be a piece of them is described instead of quoted.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{
    address::{Address, SENTINEL_PORT},
    builder::Builder,
    config::Config,
    error::{Error, ErrorKind},
    options::{self, OPTIONS},
    tls::MISSING,
};

impl Builder {
    /// Reads a URL:
    /// `redis+sentinel://[user][:password@]host[:port][,host[:port]…]/service[/db][?option=value&…]`.
    ///
    /// `rediss+sentinel://` asks for TLS to the nodes, as [`Builder::tls`] does.
    ///
    /// Ports are 26379 unless given, IPv6 addresses stand in brackets, and user, password, service
    /// and values are percent-decoded. The options are those of [`Builder::set`], each at most once;
    /// what the path says cannot be said again as an option.
    ///
    /// Lettuce's form is read as well:
    /// `redis-sentinel://[[user:]password@]host[:port][,host[:port]…][/db][?option=value&…]#service`,
    /// or `rediss-sentinel://…`, with its names `clientName`, `database`, `sentinelMasterId` and `timeout` beside ours.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`], quoting the part that is wrong, and never the user or a password.
    pub fn from_url(url: &str) -> Result<Builder, Error> {
        parse(url).map_err(|message| Error::new(ErrorKind::InvalidUrl, message))
    }
}

/// The two ways of writing where the service is.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// Ours: `/service/db`.
    Path,
    /// Lettuce's: `/db#service`.
    Fragment,
}

/// What hosts, path and user say, and no option can say again.
const STRUCTURE: [&str; 7] =
    ["sentinel", "sentinels", "service", "db", "username", "password", "tls"];

/// Lettuce's names of options.
const LETTUCE: [(&str, &str); 4] = [
    ("clientName", "client_name"),
    ("database", "db"),
    ("sentinelMasterId", "service"),
    ("timeout", "command_timeout"),
];

fn parse(url: &str) -> Result<Builder, String> {
    let Scheme { form, tls, rest } = scheme(url)?;
    if let Some(position) = url.find(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!(
            "the URL has a space or control character at byte {position}: write it as %XX"
        ));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    // Such an "@" may well end the credentials, and then all before it is secret. Nothing may be
    // quoted of a URL in which that is unclear.
    if rest.contains('@') {
        return Err("the URL has an unescaped \"@\" after the first \"/\", \"?\" or \"#\": \
            in user, password, service and values write \"@\" as %40, \"/\" as %2F, \"?\" as %3F \
            and \"#\" as %23"
            .to_owned());
    }
    let (user_info, hosts) = match authority.rsplit_once('@') {
        Some((user_info, hosts)) => (Some(user_info), hosts),
        None => (None, authority),
    };
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (rest, None),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, query),
        None => (rest, ""),
    };

    let mut builder = Builder::new();
    let config = &mut builder.settings;
    let mut said = vec!["sentinel", "sentinels"];
    if let Some(name) = tls {
        options::set(config, "tls", "true")
            .map_err(|_| format!("{name:?} asks for TLS: {MISSING}"))?;
        said.push("tls");
    }
    if let Some(user_info) = user_info {
        credentials(config, &mut said, form, user_info)?;
    }
    for (n, host) in hosts.split(',').enumerate() {
        options::add_sentinel(config, sentinel(host, n, user_info.is_some())?);
    }
    match form {
        Form::Path => service_and_db(config, &mut said, path, fragment)?,
        // The service may be the rest of a password in which somebody left a "#" as it is.
        Form::Fragment => match db_and_service(config, &mut said, path, fragment) {
            Err(_) if query.contains("password") => {
                return Err(
                    "what follows \"#\" is no service, or what precedes \"?\" no database; \
                    a \"#\" in a password is written %23"
                        .to_owned(),
                );
            }
            read => read?,
        },
    }
    query_options(config, &mut said, form, query)?;
    if config.service.is_empty() {
        return Err(match form {
            Form::Path => {
                "the URL names no service: it follows the hosts, as in \
                redis+sentinel://host/mymaster"
            }
            Form::Fragment => {
                "the URL names no service: it stands at the end, as in \
                redis-sentinel://host#mymaster"
            }
        }
        .to_owned());
    }
    Ok(builder)
}

struct Scheme<'a> {
    form: Form,
    /// The scheme itself, when it asks for TLS.
    tls: Option<&'a str>,
    rest: &'a str,
}

fn scheme(url: &str) -> Result<Scheme<'_>, String> {
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| word(scheme)) else {
        return Err("the URL has no scheme: it starts with redis+sentinel://".to_owned());
    };
    match scheme.to_ascii_lowercase().as_str() {
        "redis+sentinel" => Ok(Scheme { form: Form::Path, tls: None, rest }),
        "redis-sentinel" => Ok(Scheme { form: Form::Fragment, tls: None, rest }),
        "rediss+sentinel" => Ok(Scheme { form: Form::Path, tls: Some(scheme), rest }),
        "rediss-sentinel" => Ok(Scheme { form: Form::Fragment, tls: Some(scheme), rest }),
        "redis" | "rediss" | "valkey" | "valkeys" => Err(format!(
            "{scheme:?} is the scheme of a single server: the URL of a service that sentinels \
             monitor starts with redis+sentinel://"
        )),
        _ => Err(format!("unknown scheme {scheme:?}: the URL starts with redis+sentinel://")),
    }
}

/// Reads what stands before the `@`. No message quotes a piece of it.
fn credentials(
    config: &mut Config,
    said: &mut Vec<&'static str>,
    form: Form,
    user_info: &str,
) -> Result<(), String> {
    // "host1,user:password@host2" would silently lose a host.
    if user_info.contains(',') {
        return Err(
            "the URL has an unescaped \",\" before the \"@\": user and password stand once, \
            before the first host, and a \",\" in them is written %2C"
                .to_owned(),
        );
    }
    let (user, password) = match user_info.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None if form == Form::Fragment => ("", Some(user_info)),
        None => (user_info, None),
    };
    let secretly = |name: &str, text: &str| {
        decode(text).map_err(|fault| match fault {
            Undecodable::Escape(_) => {
                format!("the {name} has a \"%\" that begins no percent escape: write \"%\" as %25")
            }
            Undecodable::Encoding => format!("the {name} is not UTF-8 when percent-decoded"),
        })
    };
    if !user.is_empty() {
        options::set(config, "username", &secretly("user", user)?)?;
        said.push("username");
    }
    // ":@" says nothing; "user:@" says that the user has an empty password.
    if let Some(password) = password
        && !(user.is_empty() && password.is_empty())
    {
        options::set(config, "password", &secretly("password", password)?)?;
        said.push("password");
    }
    Ok(())
}

/// Reads one of the hosts. Without an `@`, the first may be a user and a password that somebody
/// forgot to put an `@` after, so what is no port is not quoted there.
fn sentinel(text: &str, n: usize, credentials_before: bool) -> Result<Address, String> {
    let quotable = credentials_before || n > 0;
    let n = n + 1;
    let host_port = decode_part("host", text)?;
    let fault = |error: Error| error.to_string();
    if host_port.starts_with('[') {
        let address = Address::parse(&host_port, SENTINEL_PORT).map_err(fault)?;
        if !address_is_v6(&host_port) {
            return Err(format!("{host_port:?} has brackets, which are for IPv6 addresses only"));
        }
        return Ok(address);
    }
    if address_is_v6(&host_port) {
        return Err(format!("the IPv6 address {host_port:?} needs brackets: [{host_port}]"));
    }
    let (host, port) = match host_port.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host_port.as_str(), None),
    };
    if host.is_empty() {
        return Err(format!("host {n} of the URL is empty (\"\")"));
    }
    let Some(port) = port else { return Address::new(host, SENTINEL_PORT).map_err(fault) };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if number > 0 && digits => Address::new(host, number).map_err(fault),
        _ if quotable || port.is_empty() || (digits && port.len() <= 5) => {
            Err(format!("{port:?} is not a port of host {host:?}: ports are 1 to 65535"))
        }
        _ => Err(format!(
            "what follows \":\" at host {n} of the URL is not a port: ports are 1 to 65535 (if it \
             is a password, an \"@\" and the hosts have to follow it)"
        )),
    }
}

/// Whether the text is an IPv6 address, in brackets or not, whatever follows the bracket.
fn address_is_v6(text: &str) -> bool {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => text,
    };
    let bare = bare.split('%').next().unwrap_or(bare);
    bare.parse::<std::net::Ipv6Addr>().is_ok()
}

/// Reads `/service[/db]`.
fn service_and_db(
    config: &mut Config,
    said: &mut Vec<&'static str>,
    path: &str,
    fragment: Option<&str>,
) -> Result<(), String> {
    // Not quoted: it may be the rest of a password in an option.
    if fragment.is_some() {
        return Err(
            "the URL has a \"#\", after which nothing is expected: the service follows the \
            hosts, as in redis+sentinel://host/mymaster, and \"#\" itself is written %23"
                .to_owned(),
        );
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let (service, rest) = path.split_once('/').unwrap_or((path, ""));
    if !service.is_empty() {
        options::set(config, "service", &decode_part("service", service)?)?;
        said.push("service");
    } else if !rest.is_empty() {
        return Err(format!("the service is empty (\"\") before {:?}", format!("/{rest}")));
    }
    database(config, said, rest)
}

/// Reads Lettuce's `[/db]` and `#service`.
fn db_and_service(
    config: &mut Config,
    said: &mut Vec<&'static str>,
    path: &str,
    fragment: Option<&str>,
) -> Result<(), String> {
    let db = path.strip_prefix('/').unwrap_or(path);
    if fragment.is_none() && !db.is_empty() && !db.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "{db:?} is not the number of a database: redis-sentinel:// takes the service after \
             \"#\", redis+sentinel:// takes it after \"/\""
        ));
    }
    database(config, said, db)?;
    let Some(service) = fragment.filter(|fragment| !fragment.is_empty()) else { return Ok(()) };
    if service.contains('#') {
        return Err("the URL has a second \"#\": in service and values write it as %23".to_owned());
    }
    options::set(config, "service", &decode_part("service", service)?)?;
    said.push("service");
    Ok(())
}

fn database(config: &mut Config, said: &mut Vec<&'static str>, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    if let Some((_, garbage)) = text.split_once('/') {
        return Err(format!("{:?} follows the database and means nothing", format!("/{garbage}")));
    }
    // "+3" is a number, and no way to write one in a path.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text:?} is not the number of a database"));
    }
    options::set(config, "db", text)?;
    said.push("db");
    Ok(())
}

fn query_options(
    config: &mut Config,
    said: &mut Vec<&'static str>,
    form: Form,
    query: &str,
) -> Result<(), String> {
    let by_structure = said.len();
    let mut after_secret = None;
    for pair in query.split('&') {
        if pair.is_empty() && query.is_empty() {
            return Ok(());
        }
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (pair, None),
        };
        let ours = LETTUCE
            .iter()
            .find(|(lettuce, _)| form == Form::Fragment && *lettuce == name)
            .map_or(name, |(_, ours)| ours);
        let (Some(option), Some(value)) = (options::find(ours), value) else {
            if let Some(secret) = after_secret {
                return Err(format!(
                    "an unknown option follows {secret:?}: if it is part of that value, write \
                     \"&\" as %26"
                ));
            }
            return Err(no_option(name, value.is_some()));
        };
        if let Some(position) = said.iter().position(|said| *said == option.name) {
            return Err(if position < by_structure {
                format!("option {name:?} says again what stands before the \"?\" of the URL")
            } else {
                format!("option {name:?} stands twice in the URL")
            });
        }
        let value = decode(value).map_err(|fault| match fault {
            _ if option.secret => {
                format!("the value of {name:?} is not percent-encoded UTF-8: write \"%\" as %25")
            }
            fault => undecodable(&format!("the value of {name:?}"), value, fault),
        })?;
        options::set(config, option.name, &value)?;
        said.push(option.name);
        after_secret = option.secret.then_some(option.name);
    }
    Ok(())
}

/// The message for a piece of the query that is no option. Only what looks like a name is quoted:
/// `?password:secret` is a slip that happens.
fn no_option(text: &str, has_value: bool) -> String {
    let end =
        text.find(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c)).unwrap_or(text.len());
    let name = &text[..end];
    if name.is_empty() {
        "an option of the URL has no name: options are written name=value, with \"&\" between them"
            .to_owned()
    } else if has_value || options::find(name).is_none() {
        options::unknown(name)
    } else {
        format!("option {name:?} has no value: write {name}=…")
    }
}

/// Why text cannot be percent-decoded.
enum Undecodable {
    /// From here on it is no percent escape.
    Escape(usize),
    /// The result is not UTF-8.
    Encoding,
}

fn decode(text: &str) -> Result<String, Undecodable> {
    for (position, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(position + 1..position + 3).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Undecodable::Escape(position));
        }
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Undecodable::Encoding),
    }
}

/// Decodes what is no secret, so that a message may quote it.
fn decode_part(name: &str, text: &str) -> Result<String, String> {
    decode(text).map_err(|fault| undecodable(&format!("the {name}"), text, fault))
}

fn undecodable(what: &str, text: &str, fault: Undecodable) -> String {
    match fault {
        Undecodable::Escape(position) => {
            let escape: String = text[position..].chars().take(3).collect();
            format!("{what} has {escape:?}, which is no percent escape: write \"%\" as %25")
        }
        Undecodable::Encoding => format!("{what} {text:?} is not UTF-8 when percent-decoded"),
    }
}

/// What is not encoded in user, password and service: RFC 3986's unreserved characters.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What is not encoded in values, for the sake of who reads addresses in them.
const VALUE: &AsciiSet = &PART.remove(b':').remove(b',').remove(b';');

/// Writes the settings as a URL, with every option that is not at its default. A mapping function
/// cannot be written and is left out.
fn write_url(config: &Config, passwords: bool, f: &mut impl fmt::Write) -> fmt::Result {
    let part = |text| utf8_percent_encode(text, PART);
    f.write_str(if config.tls { "rediss+sentinel://" } else { "redis+sentinel://" })?;
    if let Some(user) = &config.username {
        write!(f, "{}", part(user))?;
    }
    match &config.password {
        Some(password) if passwords => write!(f, ":{}@", part(password.expose()))?,
        Some(_) => f.write_str(":***@")?,
        None if config.username.is_some() => f.write_str("@")?,
        None => (),
    }
    for (n, sentinel) in config.sentinels.iter().enumerate() {
        let separator = if n == 0 { "" } else { "," };
        write!(f, "{separator}{}", sentinel.to_string().replace('%', "%25"))?;
    }
    write!(f, "/{}", part(&config.service))?;
    if config.db != 0 {
        write!(f, "/{}", config.db)?;
    }
    let mut separator = '?';
    for option in OPTIONS.iter().filter(|option| !STRUCTURE.contains(&option.name)) {
        let Some(value) = option.print_unless_default(config) else { continue };
        if option.secret && !passwords {
            write!(f, "{separator}{}=***", option.name)?;
        } else {
            write!(f, "{separator}{}={}", option.name, utf8_percent_encode(&value, VALUE))?;
        }
        separator = '&';
    }
    Ok(())
}

impl fmt::Display for Config {
    /// A URL for logs: passwords are written `***`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_url(self, false, f)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, option::of, prelude::*};
    use serde::Deserialize;

    use super::*;
    use crate::{
        config::{Protocol, Secret},
        policy::{OnLostMajority, SwitchOn},
        tls::{AVAILABLE, Pem, TlsConfig},
    };

    fn print(config: &Config) -> String {
        let mut url = String::new();
        write_url(config, true, &mut url).unwrap();
        url
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        good: Vec<Good>,
        bad: Vec<Bad>,
        tls_good: Vec<Good>,
        tls_bad: Vec<Bad>,
        plain_bad: Vec<Bad>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Good {
        url: String,
        is: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Bad {
        url: String,
        says: Vec<String>,
        #[serde(default)]
        hides: Vec<String>,
    }

    /// Those that concern this build.
    fn table() -> (Vec<Good>, Vec<Bad>) {
        let table: Table = toml::from_str(include_str!("../tests/urls.toml")).unwrap();
        let (mut good, mut bad) = (table.good, table.bad);
        if AVAILABLE {
            good.extend(table.tls_good);
            bad.extend(table.tls_bad);
        } else {
            bad.extend(table.plain_bad);
        }
        (good, bad)
    }

    #[test]
    fn good_urls_mean_what_the_table_says() {
        let (good, _) = table();
        assert!(good.len() >= 30);
        for Good { url, is } in good {
            let config = Builder::from_url(&url)
                .and_then(Builder::into_config)
                .unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(print(&config), is, "{url}");
            let again = Builder::from_url(&is).and_then(Builder::into_config).unwrap();
            assert_eq!(again, config, "{url}");
        }
    }

    #[test]
    fn bad_urls_are_refused_with_the_reason_in_the_table() {
        let (_, bad) = table();
        assert!(bad.len() >= 50);
        for Bad { url, says, hides } in bad {
            let error = match Builder::from_url(&url) {
                Ok(builder) => panic!("{url} is accepted: {builder:?}"),
                Err(error) => error,
            };
            assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{url}");
            let text = error.to_string();
            assert!(!text.contains('\n'), "{url}: {text}");
            for part in says {
                assert!(text.contains(&part), "{url}: {part} is not in: {text}");
            }
            for part in hides {
                assert!(!text.contains(&part), "{url}: {part} is in: {text}");
            }
        }
    }

    #[test]
    fn a_url_can_be_completed_by_setters() {
        let builder = Builder::from_url("redis+sentinel://bob@h/s").unwrap();
        let error = builder.clone().into_config().unwrap_err().to_string();
        assert!(error.contains("password") && !error.contains("bob"), "{error}");
        let config = builder.password("pw").into_config().unwrap();
        assert_eq!(print(&config), "redis+sentinel://bob:pw@h:26379/s");
    }

    #[test]
    fn a_url_for_a_log_shows_no_password() {
        let url = "redis+sentinel://bob:hunter2@h/s/2?sentinel_password=hunter3&max_size=9";
        let config = Builder::from_url(url).and_then(Builder::into_config).unwrap();
        assert_eq!(
            config.to_string(),
            "redis+sentinel://bob:***@h:26379/s/2?sentinel_password=***&max_size=9"
        );
    }

    fn host() -> impl Strategy<Value = Address> {
        let name = prop_oneof![
            "[a-z][a-z0-9-]{0,8}(\\.[a-z]{2,3})?",
            any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
            any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
            Just("fe80::1%eth0".to_owned()),
        ];
        (name, 1u16..).prop_map(|(name, port)| Address::new(&name, port).unwrap())
    }

    fn duration() -> impl Strategy<Value = Duration> {
        (0u64..31_000_000, 1u32..1_000_000_000)
            .prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
    }

    /// Whether TLS is spoken, and how.
    fn tls() -> impl Strategy<Value = (bool, TlsConfig)> {
        let file = || "\\PC{1,12}".prop_map(|path| Pem::File(path.into()));
        let name = "[a-z]{1,8}(\\.[a-z]{2,3})?";
        (any::<bool>(), of(file()), of((file(), file())), of(name)).prop_map(
            |(spoken, ca, own, server_name)| {
                if !spoken || !AVAILABLE {
                    return (false, TlsConfig::new());
                }
                let (cert, key) = own.unzip();
                (true, TlsConfig { ca, cert, key, server_name, backend: None })
            },
        )
    }

    fn configs() -> impl Strategy<Value = Config> {
        let credentials = || (of("\\PC{1,12}"), of(".{1,12}"));
        (
            (vec(host(), 1..5), "[^\\s\\pC]{1,12}", credentials(), 0..i64::from(i32::MAX)),
            (of("[!-~]{1,12}"), any::<bool>(), credentials(), vec((host(), host()), 0..4)),
            (1u32.., 0u32..9, of(duration()), vec(duration(), 4), 0..3usize, of(duration())),
            (duration(), duration(), any::<bool>(), of(duration()), of(duration())),
            (tls(), tls()),
        )
            .prop_map(|(basics, names, sizes, failover, (nodes, sentinels))| {
                let mut config = Config::unset();
                (config.tls, config.tls_config) = nodes;
                (config.sentinel_tls, config.sentinel_tls_config) = sentinels;
                for sentinel in basics.0 {
                    options::add_sentinel(&mut config, sentinel);
                }
                config.service = basics.1;
                config.password = basics.2.1.map(Secret::new);
                config.username = basics.2.0.filter(|_| config.password.is_some());
                config.db = basics.3;
                config.client_name = names.0;
                config.protocol = if names.1 { Protocol::Resp3 } else { Protocol::Resp2 };
                config.sentinel_password = names.2.1.map(Secret::new);
                config.sentinel_username = names.2.0.filter(|_| config.sentinel_password.is_some());
                for (from, to) in names.3 {
                    let _ = config.address_map.insert(from, to);
                }
                config.max_size = sizes.0;
                config.min_idle = sizes.1.min(sizes.0);
                config.max_lifetime = sizes.2;
                config.leak_after = sizes.5;
                config.connect_timeout = sizes.3[0];
                config.dial_timeout = sizes.3[1];
                config.get_timeout = sizes.3[2];
                config.command_timeout = sizes.3[3];
                config.switch_on =
                    [SwitchOn::Promotion, SwitchOn::Confirmation, SwitchOn::Announcement][sizes.4];
                config.confirm_within = failover.0;
                config.fence_timeout = failover.1;
                config.fence = failover.2;
                config.on_lost_majority = match failover.3 {
                    Some(after) if after >= Duration::from_millis(100) => {
                        OnLostMajority::Fence { after }
                    }
                    _ => OnLostMajority::Serve,
                };
                config.max_lag = failover.4.filter(|bound| *bound >= Duration::from_millis(100));
                config
            })
    }

    /// Passwords that nobody escaped: marks that no message of ours holds, around what is special.
    fn unescaped() -> impl Strategy<Value = String> {
        "QXJ[-:/?#@,&=%\\[\\]! a-z0-9é]{0,6}QXJ"
    }

    proptest! {
        #[test]
        fn a_printed_url_reads_as_itself(config in configs()) {
            let url = print(&config);
            let read = Builder::from_url(&url).and_then(Builder::into_config);
            prop_assert_eq!(read.map_err(|error| format!("{url}: {error}")), Ok(config));
        }

        #[test]
        fn no_text_panics(text in ".*", tail in "[-a-z:/?#@,&=%\\[\\]0-9é ]{0,40}") {
            let _ = Builder::from_url(&text);
            let _ = Builder::from_url(&format!("redis+sentinel://{text}"));
            let _ = Builder::from_url(&format!("redis+sentinel://{tail}"));
            let _ = Builder::from_url(&format!("redis-sentinel://{tail}"));
            let _ = Builder::from_url(&format!("redis+sentinel://h/s?{tail}"));
        }

        #[test]
        fn no_error_shows_a_password(
            password in unescaped(),
            scheme in prop_oneof![
                Just("redis+sentinel://"), Just("redis-sentinel://"), Just("redis+sentinel:/"),
                Just("redis://"), Just(""),
            ],
            user in prop_oneof![Just(""), Just("bob"), Just("bob:"), Just(":"), Just("h1,bob:")],
            hosts in "[-a-z:,\\[\\]0-9%]{0,10}",
            rest in "[-a-z:/?#@,&=%0-9é ]{0,20}",
            option in prop_oneof![Just("password"), Just("sentinel_password")],
        ) {
            for url in [
                format!("{scheme}{user}{password}@{hosts}{rest}"),
                format!("{scheme}{user}{password}@h1/mymaster{rest}"),
                format!("{scheme}{hosts}/mymaster?{option}={password}{rest}"),
                format!("{scheme}h1/mymaster?{option}={password}&{rest}"),
                format!("{scheme}h1?{option}={password}#mymaster{rest}"),
                format!("{scheme}bob:{password}@h1/s?{option}={password}{rest}"),
            ] {
                let error = match Builder::from_url(&url) {
                    Ok(builder) => match builder.into_config() {
                        Ok(_) => continue,
                        Err(error) => error,
                    },
                    Err(error) => error,
                };
                for text in [error.to_string(), format!("{error:?}")] {
                    prop_assert!(!text.contains("QXJ"), "{url}: {text}");
                }
            }
        }
    }
}
