//! The replicas that a sentinel may promote: [`Selection`].
//!
//! A sentinel chooses by its own view. It takes a replica that is not `s_down`, `o_down` or `disconnected`,
//! has answered a PING within 5 s and INFO within 30 s, has a priority above 0, and whose link to the master
//! has been down for no longer than ten times down-after-milliseconds. It may know replicas that it does not
//! list (`replica-announced no`). So the replicas are those of all sentinels' lists, of the sentinels' caches
//! of INFO where their count says that one is not listed, and those that the master itself names.

use std::{
    collections::{HashMap, HashSet},
    net::{SocketAddr, ToSocketAddrs},
    thread,
};

use redis::{RedisResult, Value};
use switchmaster::{Address, direct::Dialer};

use super::{
    replica::{Node, Role, field, info_of, role_of},
    voice::{Row, View, Voice, address, number},
};
use crate::crew;

/// A sentinel does not take a replica that answered its last PING longer ago, in milliseconds.
const PING_AGE: u64 = 5_000;
/// A sentinel does not take a replica whose last answer to INFO is older.
const INFO_AGE: u64 = 30_000;

/// The replicas before a failover.
#[derive(Default)]
pub(super) struct Selection {
    /// Replicas that are up to date or are going to be, which is waited for.
    pub(super) candidates: Vec<Address>,
    /// The other replicas, and why no sentinel promotes them.
    pub(super) unfit: Vec<String>,
    /// The reason why no replica can be promoted.
    pub(super) no_candidate: Option<String>,
    /// Replicas that a sentinel may promote and that cannot be waited for.
    pub(super) unchecked: Vec<String>,
    /// The replication id of the master.
    pub(super) history: Option<String>,
    /// All addresses that were looked at; every name of a candidate is marked.
    seen: HashMap<Address, bool>,
    /// The number of replicas that each sentinel knows and does not list.
    unlisted: HashMap<Address, u64>,
}

/// The replicas as one sentinel knows them.
struct Known {
    sentinel: Address,
    view: View,
    /// The number of replicas that it does not list.
    unlisted: u64,
    /// The replicas with a cached answer to INFO, when there are unlisted ones and it reports its cache.
    cached: Option<Vec<Cached>>,
}

/// A replica's answer to INFO as a sentinel remembers it.
struct Cached {
    run_id: String,
    port: u16,
    /// The reason why the sentinel would not promote it.
    why_not: Option<String>,
}

/// A replica's own answers.
struct Examined {
    role: RedisResult<Role>,
    run_id: Option<String>,
    priority: Option<u64>,
    history: Option<String>,
}

/// The sentinels' reports on one replica.
#[derive(Default)]
struct Said {
    /// Those that may promote it.
    may: Vec<Address>,
    why_not: Option<String>,
    priorities: Vec<u64>,
}

impl Selection {
    /// Asks the sentinels, the master, and every replica that these name.
    pub(super) fn look(
        voices: &mut [Voice],
        service: &str,
        dialer: &Dialer,
        master: &mut Node,
    ) -> Selection {
        let (known, _) = views(voices, service, true);
        let (followers, history) = followers(master);
        let mut addresses: Vec<Address> = known.iter().flat_map(Known::listed).collect();
        addresses.extend(followers.iter().cloned());
        addresses.sort_by_key(Address::to_string);
        addresses.dedup();
        let examined = crew::at_once(&addresses, |address| examine(dialer, address));
        let replicas: Vec<(Address, Examined)> = addresses
            .into_iter()
            .zip(examined)
            .filter_map(|(address, examined)| Some((address, examined?)))
            .collect();

        let mut selection = Selection::default();
        let mut said: HashMap<Address, Said> = HashMap::new();
        for one in &known {
            selection.unlisted.insert(one.sentinel.clone(), one.unlisted);
            one.speak(&mut said);
            selection.unchecked.extend(one.speak_of_unlisted(&replicas, &mut said));
        }
        selection.history.clone_from(&history);
        let mut why_none = Vec::new();
        let mut promotable = false;
        for (address, examined) in &replicas {
            if is_another_name(address, examined, &known, &said) {
                selection.seen.insert(address.clone(), true);
                continue;
            }
            let said = said.remove(address).unwrap_or_default();
            let is_unknown = said.may.is_empty() && said.why_not.is_none();
            let fault = examined.fault(history.as_deref());
            let is_fit = fault.is_none() && !said.is_never_promoted(examined);
            selection.seen.insert(address.clone(), is_fit);
            if said.is_never_promoted(examined) {
                selection.unfit.push(format!("{address} has replica-priority 0"));
                continue;
            }
            match (fault, said.may.first()) {
                (None, _) => {
                    selection.candidates.push(address.clone());
                    promotable |= !said.may.is_empty();
                    let why = said.why_not.unwrap_or_else(|| "is listed by no sentinel yet".to_owned());
                    why_none.push(format!("{address} {why}"));
                }
                (Some(fault), Some(sentinel)) => selection.unchecked.push(format!(
                    "{address} {fault}, and {sentinel} may promote it; bring it back, or set its \
                     replica-priority to 0"
                )),
                (Some(fault), None) if is_unknown => selection.unchecked.push(format!(
                    "{address} {fault}, is connected to the master, and no sentinel lists it yet; wait \
                     until they do, or set its replica-priority to 0"
                )),
                (Some(fault), None) => {
                    let why = said.why_not.unwrap_or(fault);
                    selection.unfit.push(format!("{address} {why}"));
                }
            }
        }
        if !promotable && selection.unchecked.is_empty() {
            why_none.splice(0..0, selection.unfit.iter().cloned());
            let why = match &why_none[..] {
                [] => "there is none".to_owned(),
                why => why.join("; "),
            };
            selection.no_candidate = Some(format!("no replica can be promoted: {why}"));
        }
        selection
    }

    /// Fails when a sentinel may now promote another replica than the candidates, or has begun a failover, or
    /// when the sentinel at this index does not answer.
    pub(super) fn still_holds(
        &self,
        voices: &mut [Voice],
        leader: usize,
        service: &str,
        master: &mut Node,
    ) -> Result<(), String> {
        let (known, errors) = views(voices, service, false);
        if let Some((_, error)) = errors.into_iter().find(|(index, _)| *index == leader) {
            return Err(format!("{} does not answer: {error}", voices[leader].address));
        }
        let fit = |address: &Address| self.seen.get(address) == Some(&true);
        for one in &known {
            let sentinel = &one.sentinel;
            if super::scene::is_failing_over(&one.view.master) {
                return Err(format!("{sentinel} is failing over meanwhile"));
            }
            let mut said = HashMap::new();
            one.speak(&mut said);
            let chosen = said.iter().find(|(address, said)| !said.may.is_empty() && !fit(address));
            if let Some((address, _)) = chosen {
                return Err(format!(
                    "{sentinel} may promote {address} by now, which was not checked"
                ));
            }
            if self.unlisted.get(sentinel) != Some(&one.unlisted) {
                return Err(format!("{sentinel} knows a replica by now that it does not list"));
            }
        }
        match followers(master).0.into_iter().find(|address| !self.seen.contains_key(address)) {
            Some(address) => Err(format!("the replica {address} was added meanwhile")),
            None => Ok(()),
        }
    }
}

impl Known {
    fn listed(&self) -> impl Iterator<Item = Address> {
        self.view.replicas.iter().filter_map(address)
    }

    fn down_after(&self) -> u64 {
        number(&self.view.master, "down-after-milliseconds").unwrap_or(30_000)
    }

    /// Adds its reports on the replicas that it lists.
    fn speak(&self, said: &mut HashMap<Address, Said>) {
        for row in &self.view.replicas {
            let Some(address) = address(row) else { continue };
            let said = said.entry(address).or_default();
            said.priorities.extend(number(row, "slave-priority"));
            match why_not(row, self.down_after()) {
                None => said.may.push(self.sentinel.clone()),
                Some(why) => said.why_not = Some(why),
            }
        }
    }

    /// Adds its memory of the replicas that it does not list. Returns the obstacles: unlisted replicas that
    /// match none of these.
    fn speak_of_unlisted(
        &self,
        replicas: &[(Address, Examined)],
        said: &mut HashMap<Address, Said>,
    ) -> Vec<String> {
        if self.unlisted == 0 {
            return Vec::new();
        }
        let listed: HashSet<Address> = self.listed().collect();
        let others: Vec<&(Address, Examined)> =
            replicas.iter().filter(|(address, _)| !listed.contains(address)).collect();
        let Some(cached) = &self.cached else {
            // It may be any of these.
            for (address, _) in &others {
                said.entry(address.clone()).or_default().may.push(self.sentinel.clone());
            }
            let missing = self.unlisted.saturating_sub(others.len() as u64);
            return match missing {
                0 => Vec::new(),
                _ => vec![format!(
                    "{} may promote {missing} more that it does not list (replica-announced no) and that \
                     the master does not name; bring them back, or permit SENTINEL INFO-CACHE",
                    self.sentinel
                )],
            };
        };
        let run_ids: HashSet<&str> = self
            .view
            .replicas
            .iter()
            .filter_map(|row| row.get("runid").map(String::as_str))
            .collect();
        let mut missing = Vec::new();
        for one in cached.iter().filter(|one| !run_ids.contains(&*one.run_id)) {
            let is_it = |examined: &Examined, port: u16| match &examined.run_id {
                Some(run_id) => *run_id == one.run_id,
                None => port == one.port,
            };
            match others.iter().find(|(address, examined)| is_it(examined, address.port())) {
                Some((address, _)) => {
                    let said = said.entry(address.clone()).or_default();
                    match &one.why_not {
                        None => said.may.push(self.sentinel.clone()),
                        Some(why) => said.why_not = Some(why.clone()),
                    }
                }
                None if one.why_not.is_none() => missing.push(format!(
                    "{} may promote a replica at port {} (run id {}) that it does not list \
                     (replica-announced no) and that the master does not name; bring it back, or set its \
                     replica-priority to 0",
                    self.sentinel, one.port, one.run_id
                )),
                None => {}
            }
        }
        missing
    }
}

impl Examined {
    /// Returns the reason not to wait for it, if its master has this replication id.
    fn fault(&self, history: Option<&str>) -> Option<String> {
        match &self.role {
            Ok(Role::Replica { connected: true, .. }) => match (&self.history, history) {
                (Some(own), Some(master)) if own != master => {
                    Some("has data of another master".to_owned())
                }
                _ => None,
            },
            Ok(Role::Replica { .. }) => Some("is not connected to its master".to_owned()),
            Ok(Role::Master { .. }) => Some("says that it is a master".to_owned()),
            Err(error) => Some(format!("cannot be asked: {error}")),
        }
    }
}

impl Said {
    /// Returns true when all report the priority 0, the replica itself included where it answers.
    fn is_never_promoted(&self, examined: &Examined) -> bool {
        let mut all = self.priorities.iter().chain(&examined.priority).peekable();
        all.peek().is_some() && all.all(|priority| *priority == 0)
    }
}

/// Returns the reason why a sentinel would not promote the replica of this row.
fn why_not(row: &Row, down_after: u64) -> Option<String> {
    let flags = row.get("flags").map_or("", String::as_str);
    if let Some(flag) = ["s_down", "o_down", "disconnected"]
        .iter()
        .find(|flag| flags.split(',').any(|own| own == **flag))
    {
        return Some(format!("is {flag}"));
    }
    let older = |field, limit| number(row, field).filter(|age| *age > limit);
    if number(row, "slave-priority") == Some(0) {
        Some("has replica-priority 0".to_owned())
    } else if let Some(age) = older("last-ok-ping-reply", PING_AGE) {
        Some(format!("has answered no PING for {age} ms"))
    } else if let Some(age) = older("info-refresh", INFO_AGE) {
        Some(format!("has answered no INFO for {age} ms"))
    } else {
        let down = older("master-link-down-time", down_after.saturating_mul(10))?;
        Some(format!("has been without its master for {down} ms"))
    }
}

/// Asks all sentinels at the same time. Also returns the silent ones, with the reasons.
fn views(
    voices: &mut [Voice],
    service: &str,
    deep: bool,
) -> (Vec<Known>, Vec<(usize, redis::RedisError)>) {
    let ask = &|voice: &mut Voice| -> RedisResult<Known> {
        let view = voice.view(service)?;
        let count = number(&view.master, "num-slaves").unwrap_or(0);
        let unlisted = count.saturating_sub(view.replicas.len() as u64);
        let cached = match unlisted > 0 && deep {
            true => voice.cached_infos(service).ok().map(|infos| cached(&infos)),
            false => None,
        };
        Ok(Known { sentinel: voice.address.clone(), view, unlisted, cached })
    };
    let mut views = Vec::new();
    thread::scope(|scope| {
        let mut asked = Vec::new();
        for voice in &mut *voices {
            asked.push(thread::Builder::new().spawn_scoped(scope, move || ask(voice)));
        }
        views.extend(asked.into_iter().map(|asked| asked.ok()?.join().ok()));
    });
    let (mut known, mut errors) = (Vec::new(), Vec::new());
    for (index, view) in views.into_iter().enumerate() {
        match view {
            Some(Ok(view)) => known.push(view),
            Some(Err(error)) => errors.push((index, error)),
            None => errors.push((
                index,
                redis::RedisError::from((redis::ErrorKind::Client, "no thread, or a fault in it")),
            )),
        }
    }
    (known, errors)
}

fn cached(infos: &[(u64, String)]) -> Vec<Cached> {
    let replicas = infos.iter().filter(|(_, info)| field(info, "role") == Some("slave"));
    replicas
        .filter_map(|(age, info)| {
            let why_not = match field(info, "slave_priority") {
                Some("0") => Some("has replica-priority 0".to_owned()),
                _ if *age > INFO_AGE => Some(format!("has answered no INFO for {age} ms")),
                _ => None,
            };
            let port = field(info, "tcp_port")?.parse().ok()?;
            Some(Cached { run_id: field(info, "run_id")?.to_owned(), port, why_not })
        })
        .collect()
}

/// The replicas that are connected to the master, by its own account, and its replication id. `INFO` has
/// those, too, that are still getting its data.
fn followers(master: &mut Node) -> (Vec<Address>, Option<String>) {
    let Ok(mut replies) = master.ask_all(&[&["ROLE"], &["INFO", "replication"]]) else {
        return (Vec::new(), None);
    };
    let info = info_of(replies.pop().unwrap_or(Ok(Value::Nil)));
    let mut all: Vec<Address> = info
        .lines()
        .filter_map(|line| {
            let (name, fields) = line.trim().split_once(':')?;
            name.strip_prefix("slave")?.parse::<u32>().ok()?;
            let of = |name: &str| {
                fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
            };
            Address::new(of("ip")?, of("port")?.parse().ok()?).ok()
        })
        .collect();
    let role = replies.pop().unwrap_or(Ok(Value::Nil));
    let role: Vec<Value> =
        role.and_then(|role| Ok(redis::from_redis_value(role)?)).unwrap_or_default();
    let connected: Vec<(String, u16, Value)> =
        role.get(2).and_then(|list| redis::from_redis_value_ref(list).ok()).unwrap_or_default();
    all.extend(connected.iter().filter_map(|(host, port, _)| Address::new(host, *port).ok()));
    (all, field(&info, "master_replid").map(str::to_owned))
}

fn examine(dialer: &Dialer, address: &Address) -> Examined {
    let mut node = Node::new(dialer, address);
    let replies = node.ask_all(&[&["ROLE"], &["INFO", "server"], &["INFO", "replication"]]);
    let mut replies = match replies {
        Ok(replies) => replies.into_iter(),
        Err(error) => {
            return Examined { role: Err(error), run_id: None, priority: None, history: None };
        }
    };
    let mut next = || replies.next().unwrap_or(Ok(Value::Nil));
    let role = next().and_then(role_of);
    let (server, replication) = (info_of(next()), info_of(next()));
    Examined {
        role,
        run_id: field(&server, "run_id").map(str::to_owned),
        priority: field(&replication, "slave_priority").and_then(|text| text.parse().ok()),
        history: field(&replication, "master_replid").map(str::to_owned),
    }
}

/// Returns true when the master names a replica here that the sentinels list by another name.
fn is_another_name(
    address: &Address,
    examined: &Examined,
    known: &[Known],
    said: &HashMap<Address, Said>,
) -> bool {
    if said.contains_key(address) {
        return false;
    }
    let mut rows = known.iter().flat_map(|one| &one.view.replicas);
    match &examined.run_id {
        Some(run_id) => rows.any(|row| row.get("runid") == Some(run_id)),
        None => {
            let own = resolved(address);
            let alike = |other: &Address| {
                other.port() == address.port()
                    && resolved(other).iter().any(|socket| own.contains(socket))
            };
            rows.filter_map(super::voice::address).any(|other| alike(&other))
        }
    }
}

fn resolved(address: &Address) -> Vec<SocketAddr> {
    let sockets = (address.host(), address.port()).to_socket_addrs();
    sockets.map(|sockets| sockets.collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[(&str, &str)]) -> Row {
        let usual = [
            ("flags", "slave"),
            ("slave-priority", "100"),
            ("last-ok-ping-reply", "5000"),
            ("info-refresh", "30000"),
            ("master-link-down-time", "50000"),
        ];
        let fields = usual.iter().chain(fields);
        fields.map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_sentinel_takes_what_its_own_rules_allow() {
        let may = |fields: &[(&str, &str)]| why_not(&row(fields), 5_000).is_none();
        assert!(may(&[]));
        // Other flags than down and disconnected do not matter.
        assert!(may(&[("flags", "slave,script_kill_sent")]));
        assert!(!may(&[("flags", "slave,s_down")]) && !may(&[("flags", "slave,disconnected")]));
        assert!(!may(&[("slave-priority", "0")]));
        assert!(!may(&[("last-ok-ping-reply", "5001")]) && !may(&[("info-refresh", "30001")]));
        assert!(!may(&[("master-link-down-time", "50001")]));
    }

    #[test]
    fn a_cache_reports_replicas_alone() {
        let master = (10, "run_id:a\r\ntcp_port:1\r\nrole:master\r\n".to_owned());
        let replica = |age, priority| {
            (age, format!("run_id:b\r\ntcp_port:2\r\nrole:slave\r\nslave_priority:{priority}\r\n"))
        };
        let infos = [master, replica(30_000, 1), replica(30_001, 1), replica(1, 0)];
        let found: Vec<(String, u16, bool)> = cached(&infos)
            .into_iter()
            .map(|one| (one.run_id, one.port, one.why_not.is_none()))
            .collect();
        let b = |may| ("b".to_owned(), 2, may);
        assert_eq!(found, [b(true), b(false), b(false)]);
    }
}
