//! What a sentinel answers to one query.

use std::{borrow::Cow, cell::Cell, sync::Arc};

use redis::Value;

use crate::address::Address;

/// The sub-commands of `SENTINEL` that one query sends as one pipeline, each with the service's
/// name. The address is asked for twice: only when both agree do address and epoch belong together.
pub(crate) const QUERY: [&str; 5] =
    ["GET-MASTER-ADDR-BY-NAME", "MASTER", "REPLICAS", "SENTINELS", "GET-MASTER-ADDR-BY-NAME"];

/// One reply to a query.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A reply that was decoded.
    Value(Value),
    /// A long list, as the bytes that came. Values of hundreds of replicas take longer to make than all
    /// the rest of an answer takes.
    List(Vec<u8>),
    /// A list of replicas that was read; nothing when it is none.
    Replicas(Option<Arc<[ReplicaFields]>>),
}

impl Reply {
    /// Reads the reply to `SENTINEL REPLICAS`.
    pub(crate) fn of_replicas(bytes: &[u8]) -> Reply {
        Reply::Replicas(replicas(Listed::Bytes(bytes)))
    }

    /// The reply as a value; nothing when the bytes are no reply.
    pub(crate) fn into_value(self) -> Option<Value> {
        match self {
            Reply::Value(value) => Some(value),
            Reply::List(bytes) => redis::parse_redis_value(&bytes).ok(),
            Reply::Replicas(_) => None,
        }
    }

    fn value(&self) -> Option<&Value> {
        match self {
            Reply::Value(value) => Some(value),
            Reply::List(_) | Reply::Replicas(_) => None,
        }
    }
}

/// The replies to one query, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It names a master.
    Names(Box<View>),
    /// It does not monitor the service.
    Unknown,
    /// Its view changed between the first and the last reply of the pipeline: ask again.
    Moving,
    /// It may not or cannot tell: an error reply, or one that cannot be read.
    Refused(String),
}

/// What one sentinel tells of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Whom it names. This is the reply of `GET-MASTER-ADDR-BY-NAME`, never the `ip` and `port` of
    /// `MASTER`: while the leader of a failover reconfigures the replicas those are still the old
    /// master's, beside the new epoch.
    pub(crate) address: Address,
    /// The configuration epoch, where `SENTINEL MASTER` is allowed.
    pub(crate) epoch: Option<u64>,
    /// Where `SENTINEL MASTER` is allowed.
    pub(crate) master: Option<MasterFields>,
    /// Where `SENTINEL REPLICAS` is allowed; empty for some seconds after a reset.
    pub(crate) replicas: Option<Arc<[ReplicaFields]>>,
    /// The other sentinels, where `SENTINEL SENTINELS` is allowed; empty just after a reset.
    pub(crate) sentinels: Option<Vec<SentinelFields>>,
}

/// The flags of an instance: `master`, `s_down`, `failover_in_progress` …
///
/// Names that servers use are not copied: hundreds of replicas may be listed again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) Vec<Cow<'static, str>>);

/// The flags that servers use.
const FLAGS: [&str; 10] = [
    "slave",
    "s_down",
    "disconnected",
    "promoted",
    "master",
    "o_down",
    "failover_in_progress",
    "sentinel",
    "master_down",
    "reconf_done",
];

impl Flags {
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|own| own == flag)
    }

    pub(crate) fn set(&mut self, flag: &str, on: bool) {
        self.0.retain(|own| own != flag);
        if on {
            self.push(flag);
        }
    }

    pub(crate) fn push(&mut self, flag: &str) {
        let known = FLAGS.iter().copied().find(|own| *own == flag);
        self.0.push(known.map_or_else(|| flag.to_owned().into(), Cow::Borrowed));
    }

    /// Each flag.
    pub(crate) fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(|own| own.to_string()).collect()
    }
}

impl<'a> FromIterator<&'a str> for Flags {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Flags {
        let mut flags = Flags::default();
        names.into_iter().for_each(|name| flags.push(name));
        flags
    }
}

/// One entry of `SENTINEL MASTER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MasterFields {
    pub(crate) address: Address,
    pub(crate) run_id: Option<String>,
    pub(crate) flags: Flags,
    /// `select_slave`, `wait_promotion`, `reconf_slaves` … while this sentinel leads or tries to.
    pub(crate) failover_state: Option<String>,
    pub(crate) quorum: Option<u64>,
    pub(crate) down_after: Option<u64>,
    pub(crate) failover_timeout: Option<u64>,
}

/// One entry of `SENTINEL REPLICAS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplicaFields {
    pub(crate) address: Address,
    pub(crate) run_id: Option<String>,
    pub(crate) flags: Flags,
    pub(crate) link_up: Option<bool>,
    /// Whom it replicates from; absent when it said `?`.
    pub(crate) master: Option<Address>,
    pub(crate) offset: Option<u64>,
    pub(crate) priority: Option<u64>,
    /// How many milliseconds ago it answered INFO.
    pub(crate) info_refresh: Option<u64>,
}

/// One entry of `SENTINEL SENTINELS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentinelFields {
    pub(crate) address: Address,
    pub(crate) run_id: Option<String>,
    pub(crate) flags: Flags,
    pub(crate) voted_leader: Option<String>,
    pub(crate) voted_leader_epoch: Option<u64>,
}

impl Answer {
    /// Reads the replies to [`QUERY`], in its order. Any but the first may be missing or an error.
    pub(crate) fn parse(replies: &[Reply]) -> Answer {
        let [first, rest @ ..] = replies else {
            return Answer::Refused("no reply".to_owned());
        };
        let named = |reply: &Reply| named(reply.value());
        let first = match named(first) {
            Ok(first) => first,
            Err(reason) => return Answer::Refused(reason),
        };
        // Without the second look the epoch cannot be tied to the address.
        let second = rest.get(3).map(named);
        let tied = matches!(second, Some(Ok(_)));
        if let Some(Ok(second)) = second
            && second != first
        {
            return Answer::Moving;
        }
        let Some(address) = first else {
            return Answer::Unknown;
        };
        let fields = rest.first().and_then(Reply::value).and_then(Fields::of);
        let epoch =
            fields.as_ref().filter(|_| tied).and_then(|fields| fields.number("config-epoch"));
        Answer::Names(Box::new(View {
            address,
            epoch,
            master: fields.and_then(|fields| MasterFields::of(&fields)),
            replicas: rest.get(1).and_then(|reply| match reply {
                Reply::Replicas(read) => read.clone(),
                other => replicas(Listed::of(other)?),
            }),
            sentinels: rest
                .get(2)
                .and_then(|reply| entries(Listed::of(reply)?, SentinelFields::of)),
        }))
    }
}

impl MasterFields {
    fn of(fields: &Fields<'_>) -> Option<MasterFields> {
        Some(MasterFields {
            address: fields.address("ip", "port", None)?,
            run_id: fields.id("runid"),
            flags: fields.flags(),
            failover_state: fields
                .text("failover-state")
                .filter(|state| state != "none")
                .map(Cow::into_owned),
            quorum: fields.number("quorum"),
            down_after: fields.number("down-after-milliseconds"),
            failover_timeout: fields.number("failover-timeout"),
        })
    }
}

impl ReplicaFields {
    /// Reads one entry; the one before it mostly has the same master.
    fn of(fields: &Fields<'_>, before: Option<&Address>) -> Option<ReplicaFields> {
        // In the order of the server.
        Some(ReplicaFields {
            address: fields.address("ip", "port", None)?,
            run_id: fields.id("runid"),
            flags: fields.flags(),
            info_refresh: fields.number("info-refresh"),
            link_up: fields.text("master-link-status").map(|status| status == "ok"),
            master: fields.address("master-host", "master-port", before),
            priority: fields.number("slave-priority"),
            offset: fields.number("slave-repl-offset"),
        })
    }

    /// Returns true when the sentinel that lists it reaches it.
    pub(crate) fn is_reached(&self) -> bool {
        !self.flags.has("s_down") && !self.flags.has("disconnected")
    }
}

impl SentinelFields {
    fn of(fields: &Fields<'_>) -> Option<SentinelFields> {
        Some(SentinelFields {
            address: fields.address("ip", "port", None)?,
            run_id: fields.id("runid"),
            flags: fields.flags(),
            voted_leader: fields.id("voted-leader"),
            voted_leader_epoch: fields.number("voted-leader-epoch"),
        })
    }
}

/// The reply of `GET-MASTER-ADDR-BY-NAME`: an address, nil, or why it is neither.
fn named(value: Option<&Value>) -> Result<Option<Address>, String> {
    match value.map_or(&Value::Okay, plain) {
        Value::Nil => Ok(None),
        Value::ServerError(error) => Err(match error.details() {
            Some(details) => format!("{} {details}", error.code()),
            None => error.code().to_owned(),
        }),
        Value::Array(items) if items.len() == 2 => {
            let (Some(host), Some(port)) = (text(&items[0]), text(&items[1])) else {
                return Err("the master's address is not text".to_owned());
            };
            let port: u16 =
                port.parse().map_err(|_| format!("{port:?} is not a port to connect to"))?;
            Address::new(&host, port).map(Some).map_err(|error| error.to_string())
        }
        _ => Err("the master's address is neither an address nor nil".to_owned()),
    }
}

/// A list that is read where it lies.
#[derive(Clone, Copy)]
enum Listed<'a> {
    Value(&'a Value),
    Bytes(&'a [u8]),
}

impl<'a> Listed<'a> {
    fn of(reply: &'a Reply) -> Option<Listed<'a>> {
        match reply {
            Reply::Value(value) => Some(Listed::Value(value)),
            Reply::List(bytes) => Some(Listed::Bytes(bytes)),
            Reply::Replicas(_) => None,
        }
    }
}

/// The replicas of a list.
fn replicas(list: Listed<'_>) -> Option<Arc<[ReplicaFields]>> {
    let mut master: Option<Address> = None;
    let read = entries(list, |fields| {
        let read = ReplicaFields::of(fields, master.as_ref())?;
        if read.master.is_some() {
            master.clone_from(&read.master);
        }
        Some(read)
    })?;
    Some(read.into())
}

/// The entries of a list that can be read; nothing when the reply is no list at all.
fn entries<T>(list: Listed<'_>, mut read: impl FnMut(&Fields<'_>) -> Option<T>) -> Option<Vec<T>> {
    let value = match list {
        Listed::Value(value) => Cow::Borrowed(value),
        Listed::Bytes(bytes) => {
            let mut entries = Vec::new();
            let whole = texts::each_entry(bytes, |pairs| entries.extend(read(&Fields::new(pairs))));
            if whole.is_some() {
                return Some(entries);
            }
            // No server sends such a list.
            Cow::Owned(redis::parse_redis_value(bytes).ok()?)
        }
    };
    let (Value::Array(items) | Value::Set(items)) = plain(&value) else {
        return None;
    };
    Some(items.iter().filter_map(|item| read(&Fields::of(item)?)).collect())
}

/// An instance's fields: a map in RESP3, names and values in turn in RESP2. They are read where they
/// lie: a copy of each name looked at would be most of the work when hundreds of services fail over.
struct Fields<'a> {
    pairs: Pairs<'a>,
    /// The start of the next search: fields are read in the order of the server.
    next: Cell<usize>,
}

#[derive(Clone, Copy)]
enum Pairs<'a> {
    Map(&'a [(Value, Value)]),
    Flat(&'a [Value]),
    Texts(&'a [(&'a [u8], &'a [u8])]),
}

impl<'a> Pairs<'a> {
    fn len(self) -> usize {
        match self {
            Pairs::Map(pairs) => pairs.len(),
            Pairs::Flat(items) => items.len() / 2,
            Pairs::Texts(pairs) => pairs.len(),
        }
    }

    fn is_named(self, index: usize, name: &str) -> bool {
        let is_it = |own: &Value| match own {
            Value::BulkString(bytes) => bytes == name.as_bytes(),
            own => text(own).is_some_and(|own| own == name),
        };
        match self {
            Pairs::Map(pairs) => is_it(&pairs[index].0),
            Pairs::Flat(items) => is_it(&items[2 * index]),
            Pairs::Texts(pairs) => pairs[index].0 == name.as_bytes(),
        }
    }

    fn text(self, index: usize) -> Option<Cow<'a, str>> {
        match self {
            Pairs::Map(pairs) => text(&pairs[index].1),
            Pairs::Flat(items) => text(&items[2 * index + 1]),
            Pairs::Texts(pairs) => str::from_utf8(pairs[index].1).ok().map(Cow::Borrowed),
        }
    }
}

impl<'a> Fields<'a> {
    fn new(pairs: Pairs<'a>) -> Fields<'a> {
        Fields { pairs, next: Cell::new(0) }
    }

    fn of(value: &'a Value) -> Option<Fields<'a>> {
        match plain(value) {
            Value::Map(pairs) => Some(Fields::new(Pairs::Map(pairs))),
            Value::Array(items) => Some(Fields::new(Pairs::Flat(items))),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let next = self.next.get();
        let mut order = (next..self.pairs.len()).chain(0..next);
        let found = order.find(|index| self.pairs.is_named(*index, name))?;
        self.next.set(found + 1);
        self.pairs.text(found)
    }

    /// A run id; Sentinel sends an empty one, or `?`, for one that it does not know.
    fn id(&self, name: &str) -> Option<String> {
        let id = self.text(name).filter(|id| !id.is_empty() && id != "?")?;
        Some(id.into_owned())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// An address, which may be one that was read before.
    fn address(&self, host: &str, port: &str, before: Option<&Address>) -> Option<Address> {
        let (host, port) = (self.text(host)?, self.text(port)?.parse().ok()?);
        match before {
            Some(before) if before.port() == port && before.host() == host => Some(before.clone()),
            _ => Address::new(&host, port).ok(),
        }
    }

    fn flags(&self) -> Flags {
        let text = self.text("flags").unwrap_or_default();
        text.split(',').filter(|flag| !flag.is_empty()).collect()
    }
}

/// Lists of instances as bytes.
mod texts {
    use super::Pairs;

    /// Reads each entry of a list whose entries have nothing but strings, as servers send them. Nothing
    /// when it is another list; some entries may have been read then.
    pub(super) fn each_entry(bytes: &[u8], mut read: impl FnMut(Pairs<'_>)) -> Option<()> {
        let mut rest = bytes;
        let count = head(&mut rest, b'*')?;
        let mut pairs: Vec<(&[u8], &[u8])> = Vec::new();
        for _ in 0..count {
            let fields = match rest.first()? {
                b'%' => head(&mut rest, b'%')?,
                _ => Some(head(&mut rest, b'*')?).filter(|words| words % 2 == 0)? / 2,
            };
            pairs.clear();
            for _ in 0..fields {
                pairs.push((string(&mut rest)?, string(&mut rest)?));
            }
            read(Pairs::Texts(&pairs));
        }
        rest.is_empty().then_some(())
    }

    /// The number on a line that begins with this byte.
    fn head(rest: &mut &[u8], kind: u8) -> Option<usize> {
        let mut after = rest.strip_prefix(&[kind])?;
        let mut number = 0;
        let mut digits = 0;
        while let [digit @ b'0'..=b'9', next @ ..] = after
            && digits < 9
        {
            number = 10 * number + usize::from(digit - b'0');
            digits += 1;
            after = next;
        }
        *rest = after.strip_prefix(b"\r\n").filter(|_| digits > 0)?;
        Some(number)
    }

    fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let len = head(rest, b'$')?;
        let (string, after) = rest.split_at_checked(len)?;
        *rest = after.strip_prefix(b"\r\n")?;
        Some(string)
    }
}

fn plain(value: &Value) -> &Value {
    let mut value = value;
    while let Value::Attribute { data, .. } = value {
        value = data;
    }
    value
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match plain(value) {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.into()),
        Value::Int(number) => Some(number.to_string().into()),
        Value::Okay => Some("OK".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(wire: &str) -> Reply {
        Reply::Value(redis::parse_redis_value(wire.as_bytes()).unwrap())
    }

    const N1: &str = "*2\r\n$8\r\n10.0.1.1\r\n$4\r\n6379\r\n";
    const N2: &str = "*2\r\n$8\r\n10.0.1.2\r\n$4\r\n6379\r\n";
    const NOPERM: &str = "-NOPERM this user has no permissions\r\n";
    const MASTER: &str = "*10\r\n$2\r\nip\r\n$8\r\n10.0.1.1\r\n$4\r\nport\r\n$4\r\n6379\r\n\
        $5\r\nrunid\r\n$0\r\n\r\n$5\r\nflags\r\n$13\r\nmaster,s_down\r\n\
        $12\r\nconfig-epoch\r\n$1\r\n7\r\n";
    const MASTER_3: &str = "%6\r\n$2\r\nip\r\n$8\r\n10.0.1.1\r\n$4\r\nport\r\n:6379\r\n\
        $5\r\nflags\r\n+master\r\n$12\r\nconfig-epoch\r\n:7\r\n$3\r\nnew\r\n_\r\n\
        $14\r\nfailover-state\r\n$4\r\nnone\r\n";

    fn view(replies: &[&str]) -> View {
        let replies: Vec<Reply> = replies.iter().map(|wire| reply(wire)).collect();
        match Answer::parse(&replies) {
            Answer::Names(view) => *view,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flat_arrays_and_maps_say_the_same() {
        let flat = view(&[N1, MASTER, "*0\r\n", "*0\r\n", N1]);
        assert_eq!((flat.epoch, flat.address.port()), (Some(7), 6379));
        let master = flat.master.unwrap();
        assert!(master.flags.has("s_down") && !master.flags.has("o_down"));
        assert_eq!((master.run_id, master.failover_state), (None, None));
        let map = view(&[N1, MASTER_3, "*0\r\n", "*0\r\n", N1]);
        assert_eq!((map.epoch, map.master.unwrap().failover_state), (Some(7), None));
    }

    #[test]
    fn the_address_alone_is_enough() {
        let denied = view(&[N1, NOPERM, NOPERM, NOPERM, N1]);
        assert_eq!((denied.epoch, denied.master, denied.replicas), (None, None, None));
        assert_eq!(view(&[N1]).epoch, None);
    }

    #[test]
    fn an_epoch_counts_only_between_two_looks_at_the_address() {
        assert_eq!(view(&[N1, MASTER, "*0\r\n", "*0\r\n"]).epoch, None);
        assert_eq!(view(&[N1, MASTER, "*0\r\n", "*0\r\n", NOPERM]).epoch, None);
        let moving = [N1, MASTER, "*0\r\n", "*0\r\n", N2].map(reply);
        assert_eq!(Answer::parse(&moving), Answer::Moving);
    }

    #[test]
    fn a_list_says_the_same_as_bytes_and_as_values() {
        let entry = "$2\r\nip\r\n$8\r\n10.0.1.2\r\n$4\r\nport\r\n$4\r\n6379\r\n";
        let number = "$2\r\nip\r\n$8\r\n10.0.1.2\r\n$4\r\nport\r\n:6379\r\n";
        let lists = [
            "*0\r\n".to_owned(),
            format!("*1\r\n*4\r\n{entry}"),
            format!("*2\r\n%2\r\n{entry}%2\r\n{entry}"),
            // As no server sends it.
            format!("*1\r\n*4\r\n{number}"),
            format!("*2\r\n*4\r\n{entry}_\r\n"),
            format!("*2\r\n*4\r\n{entry}*5\r\n{entry}:1\r\n"),
            format!("*1\r\n*6\r\n{entry}$5\r\nflags\r\n$-1\r\n"),
            format!("*1\r\n*6\r\n{entry}$5\r\nflags\r\n*1\r\n:1\r\n"),
            format!("*1\r\n*6\r\n$5\r\nflags\r\n$1\r\n\u{1}\r\n{entry}"),
            "*2\r\n$2\r\nip\r\n$1\r\nx\r\n".to_owned(),
        ];
        for list in lists {
            let first = || reply(N1);
            let values = [first(), reply(MASTER), reply(&list), reply(&list), first()];
            let bytes = || Reply::List(list.clone().into_bytes());
            let came = [first(), reply(MASTER), bytes(), bytes(), first()];
            let answer = Answer::parse(&came);
            assert_eq!(answer, Answer::parse(&values), "{list:?}");
            let Answer::Names(view) = answer else { panic!("{answer:?}") };
            assert!(view.replicas.is_some(), "{list:?}");
        }
        let broken = [reply(N1), reply(MASTER), Reply::List(b"*2\r\n*4\r\n".to_vec())];
        assert!(matches!(Answer::parse(&broken), Answer::Names(view) if view.replicas.is_none()));
    }

    #[test]
    fn nil_is_unknown_and_an_error_is_a_refusal() {
        let unknown = "-ERR No such master with that name\r\n";
        let nil = ["*-1\r\n", unknown, unknown, unknown, "*-1\r\n"].map(reply);
        assert_eq!(Answer::parse(&nil), Answer::Unknown);
        assert_eq!(
            Answer::parse(&[reply(NOPERM)]),
            Answer::Refused("NOPERM this user has no permissions".to_owned())
        );
        for odd in
            ["*1\r\n$1\r\nx\r\n", ":5\r\n", "*2\r\n$1\r\nx\r\n$1\r\n0\r\n", "*2\r\n_\r\n_\r\n"]
        {
            assert!(matches!(Answer::parse(&[reply(odd)]), Answer::Refused(_)), "{odd:?}");
        }
        assert!(matches!(Answer::parse(&[]), Answer::Refused(_)));
    }
}
