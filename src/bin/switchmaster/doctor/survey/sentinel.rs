//! What a sentinel is asked.

use redis::Value;
use switchmaster::{Address, direct::Dialer};

use super::call::{Call, clock, question};
use crate::doctor::{
    facts::{Listed, Sentinel},
    fields::{Fields, items, text},
};

/// Asks one sentinel everything. Blocks for as long as the dialer's timeouts say.
pub(super) fn examine(dialer: &Dialer, address: Address, named: bool) -> Sentinel {
    let service = dialer.service().to_owned();
    let mut call = Call::dial(dialer, address, Dialer::sentinel);
    // It knows no TIME, and tells the same here.
    if let Some((info, moments)) = call.ask_timed(question("INFO", &["server"])) {
        call.server.info = Fields::of_info(&text(&info).unwrap_or_default());
        let micros = call.server.info.number("server_time_usec");
        call.server.clock = micros.map(|micros| clock(micros as f64 / 1000.0, moments));
    }
    let answers = call.ask(&[
        question("ROLE", &[]),
        question("INFO", &["sentinel"]),
        question("SENTINEL MYID", &[]),
        question("SENTINEL GET-MASTER-ADDR-BY-NAME", &[&service]),
        question("SENTINEL MASTER", &[&service]),
        question("SENTINEL REPLICAS", &[&service]),
        question("SENTINEL SENTINELS", &[&service]),
        question("SENTINEL CKQUORUM", &[&service]),
    ]);
    let [role, info, id, named_master, about, replicas, others, quorum] =
        <[Option<Value>; 8]>::try_from(answers).unwrap_or_default();
    if let Some(info) = info {
        call.server.info.extend(Fields::of_info(&text(&info).unwrap_or_default()));
    }
    let is_sentinel = match (&role, call.server.info.get("redis_mode")) {
        (_, Some(mode)) => mode == "sentinel",
        (Some(role), None) => items(role).first().and_then(text).as_deref() == Some("sentinel"),
        (None, None) => true,
    };
    let mut sentinel = Sentinel {
        named,
        astray: None,
        ids: id.as_ref().and_then(text).into_iter().collect(),
        is_sentinel,
        master: named_master.as_ref().and_then(pair),
        about: about.as_ref().and_then(|about| match about {
            Value::ServerError(_) => None,
            about => Some(Fields::of_value(about)),
        }),
        knows_service: !matches!(named_master, Some(Value::Nil)),
        replicas: replicas.as_ref().map(listed).unwrap_or_default(),
        others: others.as_ref().map(listed).unwrap_or_default(),
        quorum_check: quorum.and_then(|reply| match &reply {
            Value::ServerError(refusal) if refusal.code() == "NOQUORUM" => {
                Some(Err(refusal.details().unwrap_or_default().to_owned()))
            }
            Value::ServerError(_) => None,
            reply => text(reply).map(Ok),
        }),
        server: call.server.clone(),
    };
    // Last: in RESP2 a connection that has subscribed takes no more questions.
    sentinel.server = call.subscribe("PSUBSCRIBE", "*");
    sentinel
}

fn listed(reply: &Value) -> Vec<Listed> {
    let entry = |entry: &Value| {
        let fields = Fields::of_value(entry);
        Listed { address: address(fields.get("ip"), fields.get("port")), fields }
    };
    items(reply).iter().map(entry).collect()
}

fn pair(reply: &Value) -> Option<Address> {
    let [host, port] = items(reply) else { return None };
    address(text(host).as_deref(), text(port).as_deref())
}

fn address(host: Option<&str>, port: Option<&str>) -> Option<Address> {
    Address::new(host?, port?.parse().ok()?).ok()
}
