//! A test insists on each code at a cluster that has the fault, and none is found where all is well.

use std::collections::BTreeSet;

use switchmaster_sandbox::Cluster;

use super::{examine, hosts};
use crate::program::{output, text};

const PAGE: &str = include_str!("../../../docs/doctor.md");
/// The tests of the doctor, each of which examines clusters of its own.
const TESTS: [&str; 8] = [
    include_str!("../doctor.rs"),
    include_str!("absence.rs"),
    include_str!("access.rs"),
    include_str!("agreement.rs"),
    include_str!("layout.rs"),
    include_str!("replication.rs"),
    include_str!("servers.rs"),
    include_str!("settings.rs"),
];
/// What fails unless a code is found. It is the first argument.
const INSISTING: [&str; 3] = ["assert_says(", "assert_has(", "wait_for("];

/// The codes that have a section on their page.
fn listed() -> BTreeSet<&'static str> {
    let codes = PAGE.lines().filter_map(|line| line.strip_prefix("### `"));
    codes.map(|rest| rest.split('`').next().expect("a code ends")).collect()
}

/// The codes that tests insist on.
fn shown() -> BTreeSet<&'static str> {
    let mut shown = BTreeSet::new();
    for (test, call) in TESTS.iter().flat_map(|test| INSISTING.map(|call| (test, call))) {
        let arguments = test.split(call).skip(1);
        let literals = arguments.filter_map(|rest| rest.trim_start().strip_prefix('"'));
        shown.extend(literals.filter_map(|rest| rest.split('"').next()));
    }
    shown
}

#[test]
fn each_code_on_the_page_is_insisted_on_by_a_test_with_a_cluster() {
    let listed = listed();
    assert!(listed.len() > 60, "{listed:?}");
    assert_eq!(listed.difference(&shown()).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert_eq!(shown().difference(&listed).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn no_code_is_found_in_a_cluster_in_which_all_is_well() {
    let three = hosts([2, 3, 4]);
    let safe = ["min-replicas-to-write 1", "min-replicas-max-lag 10"];
    let builder = safe.into_iter().fold(Cluster::builder(), |it, line| it.node_line(line));
    let cluster = builder.hosts(three, three).start().expect("a cluster starts");
    let examination = examine(&cluster.url());
    assert_eq!(examination.codes(), [""; 0], "{:#}", examination.document);
    assert_eq!(examination.exit_code, Some(0));
    let printed = text(&output(&["doctor", "--url", &cluster.url()]).stdout);
    assert!(printed.trim_end().ends_with(": nothing found"), "{printed}");
    assert_eq!(printed.lines().count(), 1, "{printed}");
}
