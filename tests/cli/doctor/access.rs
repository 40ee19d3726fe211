//! Passwords and users.

use std::collections::BTreeSet;

use switchmaster_sandbox::{Cluster, Member, valkey_server};

use super::{SANDBOX, ask_all, examine};

/// The rules for `ACL SETUSER` that a text tells in backquotes.
fn rules(mend: &str) -> Vec<Vec<&str>> {
    let quoted = mend.split('`').skip(1).step_by(2);
    quoted.map(|it| it.trim_start_matches("ACL SETUSER <user> ").split(' ').collect()).collect()
}

fn grant<M: AsRef<Member>>(members: &[M], rules: &[&str]) {
    ask_all(members, &[&["ACL", "SETUSER", "app"], rules].concat());
}

/// What the server has denied, as far as its log goes.
fn denied(member: &Member) -> BTreeSet<String> {
    let log = member.ask(&["ACL", "LOG"]).expect("a log");
    log.items().iter().map(|entry| entry.field_text("object")).collect()
}

#[test]
fn passwords_that_do_not_fit_together_are_named() {
    let cluster = Cluster::builder().password("first-secret").start().expect("a cluster starts");
    let [master, replica, other] = cluster.nodes() else { panic!("three nodes") };
    let url = cluster.url().replacen("://", "://:first-secret@", 1);
    let healthy = examine(&url);
    assert_eq!(healthy.codes(), SANDBOX, "{:#}", healthy.document);

    replica.ask(&["CONFIG", "SET", "masterauth", ""]).unwrap();
    other.ask(&["CONFIG", "SET", "masterauth", "second-secret"]).unwrap();
    let examination = examine(&url);
    assert_eq!(examination.exit_code, Some(3));
    examination.assert_says("no-masterauth", replica);
    examination.assert_says("wrong-masterauth", other);
    assert!(!examination.says("no-masterauth", master));
    let said = examination.document.to_string();
    assert!(!said.contains("-secret"), "no password is told: {said}");

    other.ask(&["CONFIG", "SET", "requirepass", "third-secret"]).unwrap();
    let examination = examine(&url);
    examination.assert_says("credentials-refused", other);
    assert!(!examination.says("credentials-refused", master));
}

#[test]
fn what_a_user_may_not_do_is_told_with_what_is_lost() {
    let cluster = Cluster::builder()
        .node_line("user app on >app ~* -@all +ping +role +hello +auth +acl|dryrun")
        .node_line("bind 127.0.0.1 -192.0.2.1")
        .sentinel_line(
            "user app on >app -@all +ping +role +hello +auth +sentinel|get-master-addr-by-name \
             +sentinel|replicas +sentinel|sentinels",
        )
        .start()
        .expect("a cluster starts");
    let url = cluster.url().replacen("://", "://app:app@", 1);
    let url = format!("{url}?sentinel_username=app&sentinel_password=app");
    let examination = examine(&url);
    assert_eq!(examination.exit_code, Some(1), "{:#}", examination.document);
    examination.assert_says("sentinel-acl", &cluster.sentinels()[0]);
    examination.assert_says("node-acl", &cluster.nodes()[0]);
    examination.assert_says("not-examined", &cluster.nodes()[0]);
    let said = examination.document.to_string();
    for lost in ["SENTINEL MASTER (no epochs", "PSUBSCRIBE (no events", "SUBSCRIBE (no sub"] {
        assert!(said.contains(lost), "{lost} in {said}");
    }
    for lost in ["INFO (the replication history", "CLIENT UNBLOCK (a planned", "CONFIG GET"] {
        assert!(said.contains(lost), "{lost} in {said}");
    }

    let examination = examine(&cluster.url());
    examination.assert_has_not("not-examined");
    examination.assert_says("open-to-all", &cluster.nodes()[0]);
    ask_all(cluster.nodes(), &["CONFIG", "SET", "protected-mode", "yes"]);
    examine(&cluster.url()).assert_has_not("open-to-all");
}

#[test]
fn the_rules_that_are_told_are_all_that_has_to_be_allowed() {
    let user = "user app on >app ~* resetchannels -@all";
    let asked = "+sentinel|get-master-addr-by-name +sentinel|replicas +sentinel|sentinels";
    let builder = Cluster::builder().node_line(format!("{user} +role"));
    let builder = builder.sentinel_line(format!("{user} {asked}"));
    // One that knows CLIENT SETINFO, so that it can be denied.
    let valkey = valkey_server().expect("`make setup` brings one");
    let cluster = builder.server(valkey).start().expect("a cluster starts");
    let (nodes, sentinels) = (cluster.nodes(), cluster.sentinels());
    let url = cluster.url().replacen("://", "://app:app@", 1);
    let url = format!("{url}?sentinel_username=app&sentinel_password=app");
    let denying = examine(&url);

    for told in rules(denying.mend("sentinel-acl")) {
        grant(sentinels, &told);
    }
    for told in rules(denying.mend("node-acl")) {
        grant(nodes, &told);
    }
    grant(nodes, &["allchannels"]);
    let following = examine(&url);
    following.assert_has_not("sentinel-acl");
    following.assert_has_not("node-acl");
    following.assert_has("not-examined");
    let [of_nodes, of_sentinels] = &rules(following.mend("not-examined"))[..] else {
        panic!("one for nodes, one for sentinels")
    };
    grant(nodes, of_nodes);
    grant(sentinels, of_sentinels);
    let all = examine(&url);
    assert_eq!(all.codes(), SANDBOX, "{:#}", all.document);

    // What else a connection begins with is denied, and the doctor does not miss it.
    ask_all(nodes, &["ACL", "LOG", "RESET"]);
    examine(&url);
    let expected = ["client|id", "client|setinfo"].map(String::from);
    assert_eq!(denied(&nodes[0]), BTreeSet::from(expected));
}
