//! A look as JSON; `docs/topology.md` describes it.

use serde_json::{Value, json};
use switchmaster::Address;

use super::{
    look::{Look, Looks},
    probe::Asked,
};

/// Where the answer of a server is looked up.
type Answers = for<'a> fn(&'a Look, &Address) -> Option<&'a Asked>;

pub(super) fn document(looks: &Looks) -> Value {
    let mut services: Vec<Value> = looks.looks.iter().map(service).collect();
    match looks.one {
        true => services.pop().unwrap_or(Value::Null),
        false => Value::Array(services),
    }
}

fn service(look: &Look) -> Value {
    let mut document = look.topology.to_json();
    let lists: [(&str, Answers); 2] = [("nodes", Look::node), ("sentinels", Look::sentinel)];
    for (list, asked) in lists {
        let Some(servers) = document[list].as_array_mut() else { continue };
        for server in servers {
            let address = server["address"].as_str().and_then(|text| text.parse().ok());
            add(server, address.as_ref().and_then(|address| asked(look, address)));
        }
    }
    for address in look.only_named() {
        let mut node = json!({ "address": address.to_string(), "role": "named" });
        add(&mut node, look.node(&address));
        if let Some(nodes) = document["nodes"].as_array_mut() {
            nodes.push(node);
        }
    }
    document
}

/// What the server said of itself.
fn add(server: &mut Value, asked: Option<&Asked>) {
    let probe = asked.and_then(|asked| asked.as_ref().ok());
    server["says"] = json!({
        "version": probe.and_then(|probe| probe.version.as_deref()),
        "role": probe.and_then(|probe| probe.role.as_deref()),
        "link_up": probe.and_then(|probe| probe.link_up),
        "offset": probe.and_then(|probe| probe.offset),
        "unreachable": asked.and_then(|asked| asked.as_ref().err()),
    });
}
