//! What sentinels publish.
//!
//! Payloads are words with single spaces between them; Sentinel quotes nothing. A service's name may
//! itself hold spaces, so whatever follows a name is taken from the right. The formats are those of
//! `sentinelEvent` in Redis's `sentinel.c`.

use std::fmt;

use crate::address::Address;

/// The kinds of instance that a message can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Master,
    Replica,
    Sentinel,
}

/// `master <name> <ip> <port>`, `slave <ip:port> <ip> <port> @ <master> <ip> <port>` or
/// `sentinel <runid> <ip> <port> @ <master> <ip> <port>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) kind: Kind,
    /// The service that it belongs to.
    pub(super) service: String,
    /// Of a sentinel its run id, of a replica what Sentinel calls it, of a master the service.
    pub(super) name: String,
    pub(super) address: Address,
}

/// What happened to an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// `+sdown`, `-sdown`: this sentinel cannot reach it, or can again.
    Unreachable(bool),
    /// `+odown`, `-odown`: enough sentinels agree on that.
    Down(bool),
    /// `+try-failover`, `+elected-leader`, `+failover-state-*`: this sentinel leads, or wants to.
    Failover,
    /// `+selected-slave` and the two steps after it: this replica is to be promoted.
    Selected,
    /// `+promoted-slave`: this replica was promoted.
    Promoted,
    /// `+failover-end`, `+failover-end-for-timeout`.
    FailoverEnd,
    /// `-failover-abort-*`, with the rest of the name.
    FailoverAbort(String),
    /// `+role-change`, `-role-change`: it says that it is a master, or that it is not.
    Role { master: bool },
    /// `+reboot`: another process runs there.
    Reboot,
    /// `+slave`: a replica became known.
    Replica,
    /// `+sentinel`: a sentinel became known.
    Sentinel,
    /// `+sentinel-address-switch`: the sentinel is now reached elsewhere.
    SentinelMoved { to: Address },
    /// `+config-update-from`: that sentinel taught this one a newer master.
    ConfigUpdate,
    /// `+monitor`, `-monitor`, `+reset-master`: the operator changed what is monitored.
    Reconfigured,
    /// Another channel whose payload starts with an instance: `+slave-reconf-done` …
    Other,
}

/// One published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// `+switch-master`.
    Switch { service: String, from: Address, to: Address },
    /// A message about one instance.
    About { instance: Instance, happening: Happening },
    /// `+tilt`, `-tilt`: this sentinel distrusts its clock and does not act, or acts again.
    Tilt(bool),
    /// `+new-epoch`: names no service.
    NewEpoch(u64),
    /// `+vote-for-leader`: names no service.
    Vote { run_id: String, epoch: u64 },
    /// A channel that says nothing to a client.
    Ignored,
}

/// Why a payload cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom something that a sentinel publishes, or answers, matters to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Every service that listens.
    All,
    /// The services of this name.
    Service(String),
    /// None: it only shows in a recording.
    Nobody,
}

impl Audience {
    /// Whom a message matters to. It is read once, however many services listen.
    pub(crate) fn of(channel: &str, payload: &[u8]) -> Audience {
        match Message::parse(channel, payload) {
            Ok(Message::Switch { service, .. }) => Audience::Service(service),
            Ok(Message::About { instance, .. }) => Audience::Service(instance.service),
            Ok(Message::NewEpoch(_) | Message::Vote { .. } | Message::Ignored) => Audience::Nobody,
            Ok(Message::Tilt(_)) | Err(_) => Audience::All,
        }
    }
}

impl Message {
    /// Whether it is about this service, or about none in particular.
    pub(super) fn concerns(&self, service: &str) -> bool {
        match self {
            Message::Switch { service: own, .. } => own == service,
            Message::About { instance, .. } => instance.service == service,
            Message::Tilt(_) | Message::NewEpoch(_) | Message::Vote { .. } | Message::Ignored => {
                true
            }
        }
    }

    pub(super) fn parse(channel: &str, payload: &[u8]) -> Result<Message, Malformed> {
        let happening = match channel {
            "+tilt" => return Ok(Message::Tilt(true)),
            "-tilt" => return Ok(Message::Tilt(false)),
            "+sdown" => Happening::Unreachable(true),
            "-sdown" => Happening::Unreachable(false),
            "+odown" => Happening::Down(true),
            "-odown" => Happening::Down(false),
            "+try-failover"
            | "+elected-leader"
            | "+failover-state-select-slave"
            | "+failover-state-reconf-slaves" => Happening::Failover,
            "+selected-slave"
            | "+failover-state-send-slaveof-noone"
            | "+failover-state-wait-promotion" => Happening::Selected,
            "+promoted-slave" => Happening::Promoted,
            "+failover-end" | "+failover-end-for-timeout" => Happening::FailoverEnd,
            "+role-change" | "-role-change" => Happening::Role { master: false },
            "+reboot" => Happening::Reboot,
            "+slave" => Happening::Replica,
            "+sentinel" => Happening::Sentinel,
            "+config-update-from" => Happening::ConfigUpdate,
            "+monitor" | "-monitor" | "+reset-master" => Happening::Reconfigured,
            "+convert-to-slave" | "+fix-slave-config" => Happening::Other,
            "+switch-master" | "+new-epoch" | "+vote-for-leader" | "+sentinel-address-switch" => {
                Happening::Other
            }
            _ => match channel.strip_prefix("-failover-abort-") {
                Some(reason) => Happening::FailoverAbort(reason.to_owned()),
                None => return Ok(Message::Ignored),
            },
        };
        let text = text(payload)?;
        match channel {
            "+switch-master" => switch(text),
            "+new-epoch" => Ok(Message::NewEpoch(number(text)?)),
            "+vote-for-leader" => {
                let (run_id, epoch) = text.rsplit_once(' ').ok_or_else(|| short(text))?;
                Ok(Message::Vote { run_id: run_id.to_owned(), epoch: number(epoch)? })
            }
            "+sentinel-address-switch" => moved(text),
            "+role-change" | "-role-change" => {
                let (instance, role) =
                    text.rsplit_once(" new reported role is ").ok_or_else(|| short(text))?;
                let happening = Happening::Role { master: role == "master" };
                Ok(Message::About { instance: instance_of(instance)?, happening })
            }
            "+odown" => about(before(text, " #quorum "), happening),
            "+monitor" => about(before(text, " quorum "), happening),
            _ => about(text, happening),
        }
    }
}

fn about(text: &str, happening: Happening) -> Result<Message, Malformed> {
    Ok(Message::About { instance: instance_of(text)?, happening })
}

fn switch(text: &str) -> Result<Message, Malformed> {
    let (text, to) = address_at_end(text)?;
    let (service, from) = address_at_end(text)?;
    Ok(Message::Switch { service: service.to_owned(), from, to })
}

/// `<inst> ip <ip> port <port> for <runid>`
fn moved(text: &str) -> Result<Message, Malformed> {
    let mut words = text.rsplitn(7, ' ');
    let (Some(_), Some("for"), Some(port), Some("port"), Some(ip), Some("ip"), Some(instance)) = (
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
    ) else {
        return Err(short(text));
    };
    let happening = Happening::SentinelMoved { to: address(ip, port)? };
    Ok(Message::About { instance: instance_of(instance)?, happening })
}

fn instance_of(text: &str) -> Result<Instance, Malformed> {
    let (kind, rest) = text.split_once(' ').ok_or_else(|| short(text))?;
    let kind = match kind {
        "master" => {
            let (service, address) = address_at_end(rest)?;
            return Ok(Instance {
                kind: Kind::Master,
                service: service.to_owned(),
                name: service.to_owned(),
                address,
            });
        }
        "slave" => Kind::Replica,
        "sentinel" => Kind::Sentinel,
        _ => return Err(Malformed(format!("{kind:?} is no kind of instance in {text:?}"))),
    };
    let mut words = rest.splitn(5, ' ');
    let (Some(name), Some(ip), Some(port), Some("@"), Some(master)) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(short(text));
    };
    let (service, _) = address_at_end(master)?;
    Ok(Instance {
        kind,
        service: service.to_owned(),
        name: name.to_owned(),
        address: address(ip, port)?,
    })
}

/// Splits `<something> <ip> <port>`.
fn address_at_end(text: &str) -> Result<(&str, Address), Malformed> {
    let mut words = text.rsplitn(3, ' ');
    let (Some(port), Some(ip), Some(rest)) = (words.next(), words.next(), words.next()) else {
        return Err(short(text));
    };
    Ok((rest, address(ip, port)?))
}

fn address(ip: &str, port: &str) -> Result<Address, Malformed> {
    let port: u16 = number(port)?;
    Address::new(ip, port).map_err(|error| Malformed(error.to_string()))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, Malformed> {
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = text.parse()
    {
        return Ok(number);
    }
    Err(Malformed(format!("{text:?} is not a number in range")))
}

fn before<'a>(text: &'a str, mark: &str) -> &'a str {
    text.rsplit_once(mark).map_or(text, |(before, _)| before)
}

fn text(payload: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(payload).map_err(|_| {
        Malformed(format!(
            "{:?} is not UTF-8",
            String::from_utf8_lossy(&payload[..payload.len().min(200)])
        ))
    })
}

fn short(text: &str) -> Malformed {
    let text: String = text.chars().take(200).collect();
    Malformed(format!("{text:?} has too few words, or others than expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(kind: Kind, name: &str, address: &str) -> Instance {
        Instance {
            kind,
            service: "mymaster".to_owned(),
            name: name.to_owned(),
            address: address.parse().unwrap(),
        }
    }

    /// Payloads as Redis 7.0 published them.
    #[test]
    fn every_form_of_an_instance_is_read() {
        let master = || instance(Kind::Master, "mymaster", "127.0.0.1:26500");
        let replica = || instance(Kind::Replica, "127.0.0.1:26502", "127.0.0.1:26502");
        let about = |instance, happening| Ok(Message::About { instance, happening });
        let slave = "slave 127.0.0.1:26502 127.0.0.1 26502 @ mymaster 127.0.0.1 26500";
        let table = [
            (
                "+sdown",
                "master mymaster 127.0.0.1 26500".to_owned(),
                about(master(), Happening::Unreachable(true)),
            ),
            (
                "+odown",
                "master mymaster 127.0.0.1 26500 #quorum 3/2".to_owned(),
                about(master(), Happening::Down(true)),
            ),
            (
                "-odown",
                "master mymaster 127.0.0.1 26500".to_owned(),
                about(master(), Happening::Down(false)),
            ),
            (
                "+monitor",
                "master mymaster 127.0.0.1 26500 quorum 2".to_owned(),
                about(master(), Happening::Reconfigured),
            ),
            ("+selected-slave", slave.to_owned(), about(replica(), Happening::Selected)),
            ("+promoted-slave", slave.to_owned(), about(replica(), Happening::Promoted)),
            (
                "-role-change",
                format!("{slave} new reported role is master"),
                about(replica(), Happening::Role { master: true }),
            ),
            (
                "+config-update-from",
                "sentinel 6689bfe 127.0.0.1 26510 @ mymaster 127.0.0.1 26500".to_owned(),
                about(
                    instance(Kind::Sentinel, "6689bfe", "127.0.0.1:26510"),
                    Happening::ConfigUpdate,
                ),
            ),
            (
                "+sentinel-address-switch",
                "sentinel 6689bfe 127.0.0.1 26510 @ mymaster 127.0.0.1 26500 \
                 ip 127.0.0.2 port 26511 for 6689bfe"
                    .to_owned(),
                about(
                    instance(Kind::Sentinel, "6689bfe", "127.0.0.1:26510"),
                    Happening::SentinelMoved { to: "127.0.0.2:26511".parse().unwrap() },
                ),
            ),
            (
                "-failover-abort-no-good-slave",
                "master mymaster 127.0.0.1 26500".to_owned(),
                about(master(), Happening::FailoverAbort("no-good-slave".to_owned())),
            ),
            (
                "+slave",
                "slave [::1]:26742 ::1 26742 @ mymaster ::1 26740".to_owned(),
                about(instance(Kind::Replica, "[::1]:26742", "[::1]:26742"), Happening::Replica),
            ),
            (
                "+switch-master",
                "mymaster localhost 26720 localhost 26721".to_owned(),
                Ok(Message::Switch {
                    service: "mymaster".to_owned(),
                    from: "localhost:26720".parse().unwrap(),
                    to: "localhost:26721".parse().unwrap(),
                }),
            ),
            (
                "+vote-for-leader",
                "6689bfe 12".to_owned(),
                Ok(Message::Vote { run_id: "6689bfe".to_owned(), epoch: 12 }),
            ),
            ("+new-epoch", "12".to_owned(), Ok(Message::NewEpoch(12))),
            ("-tilt", "#tilt mode exited".to_owned(), Ok(Message::Tilt(false))),
            ("-dup-sentinel", "whatever".to_owned(), Ok(Message::Ignored)),
        ];
        for (channel, payload, expected) in table {
            assert_eq!(Message::parse(channel, payload.as_bytes()), expected, "{channel}");
        }
    }

    #[test]
    fn names_may_hold_spaces_and_the_words_of_the_format() {
        for service in ["a b", "a @ b 1.2.3.4 5", "quorum", "x #quorum 1/1", " "] {
            let payload = format!("{service} 10.0.0.1 1 10.0.0.2 2");
            let read = Message::parse("+switch-master", payload.as_bytes());
            assert!(matches!(read, Ok(Message::Switch { service: own, .. }) if own == service));
            let payload = format!("slave r:2 10.0.0.2 2 @ {service} 10.0.0.1 1");
            let read = Message::parse("+slave", payload.as_bytes());
            assert!(matches!(read, Ok(Message::About { instance, .. })
                if instance.service == service && instance.address.port() == 2));
            let payload = format!("master {service} 10.0.0.1 1 #quorum 2/2");
            let read = Message::parse("+odown", payload.as_bytes());
            assert!(
                matches!(read, Ok(Message::About { instance, .. }) if instance.service == service)
            );
        }
    }
}
