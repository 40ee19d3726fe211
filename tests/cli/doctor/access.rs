//! Passwords and users.

use switchmaster_sandbox::Cluster;

use super::{ask_all, examine};

#[test]
fn passwords_that_do_not_fit_together_are_named() {
    let cluster = Cluster::builder().password("first-secret").start().expect("a cluster starts");
    let [master, replica, other] = cluster.nodes() else { panic!("three nodes") };
    let url = cluster.url().replacen("://", "://:first-secret@", 1);
    let healthy = examine(&url);
    assert_eq!(healthy.exit_code, Some(0), "{:#}", healthy.document);

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
