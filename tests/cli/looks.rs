//! `switchmaster master` and `switchmaster topology`.

use serde_json::Value;
use switchmaster_sandbox::Cluster;

use crate::program::{output, text};

#[test]
fn master_and_topology_say_what_the_sentinels_know() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let master = cluster.master().unwrap().address().to_string();
    let url = cluster.url();

    let answer = output(&["master", "--url", &url]);
    assert!(answer.status.success(), "{}", text(&answer.stderr));
    assert_eq!(text(&answer.stdout), format!("{master}\n"));

    let answer = output(&["topology", "--url", &url]);
    let tree = text(&answer.stdout);
    assert!(tree.starts_with(&format!("mymaster: master {master}")), "{tree}");
    for member in cluster.members() {
        assert!(tree.contains(&member.address().to_string()), "{} in {tree}", member.name());
    }

    let answer = output(&["topology", "--url", &url, "--json"]);
    let topology: Value = serde_json::from_slice(&answer.stdout).expect("a JSON document");
    assert_eq!(topology["master"], master.as_str());
    assert_eq!(topology["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(topology["sentinels"].as_array().unwrap().len(), 3);
}
