//! `switchmaster doctor`: a healthy deployment passes, and what is wrong with a sick one is named.

mod absence;
mod access;
mod agreement;
mod codes;
mod layout;
mod replication;
mod servers;
mod settings;

use std::net::IpAddr;

use serde_json::Value;
use switchmaster_sandbox::{Cluster, Member, wait_until};

use crate::program::{PATIENCE, output, text};

/// What is found in a sandbox in which all is well.
const SANDBOX: [&str; 2] = ["test-cluster", "writes-unbounded"];

/// What the doctor said.
struct Examination {
    exit_code: Option<i32>,
    document: Value,
}

fn examine(url: &str) -> Examination {
    let output = output(&["doctor", "--json", "--url", url]);
    let printed = text(&output.stdout);
    let document = serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{error}: {printed}{}", text(&output.stderr)));
    Examination { exit_code: output.status.code(), document }
}

impl Examination {
    fn findings(&self) -> &[Value] {
        self.document["findings"].as_array().expect("an array")
    }

    fn codes(&self) -> Vec<&str> {
        self.findings().iter().map(|finding| finding["code"].as_str().expect("a code")).collect()
    }

    /// How the finding with this code is mended.
    #[track_caller]
    fn mend(&self, code: &str) -> &str {
        let found = self.findings().iter().find(|finding| finding["code"] == code);
        let mend = found.and_then(|finding| finding["mend"].as_str());
        mend.unwrap_or_else(|| panic!("{code} in {:#}", self.document))
    }

    fn has(&self, code: &str) -> bool {
        self.codes().contains(&code)
    }

    /// Whether this is said about this server.
    fn says(&self, code: &str, about: &Member) -> bool {
        let address = about.address().to_string();
        let is_about = |finding: &Value| {
            let about = finding["about"].as_array().expect("an array");
            about.iter().any(|one| *one == address.as_str())
        };
        self.findings().iter().any(|finding| finding["code"] == code && is_about(finding))
    }

    #[track_caller]
    fn assert_says(&self, code: &str, about: &Member) {
        assert!(self.says(code, about), "{code} about {}: {:#}", about.address(), self.document);
    }

    #[track_caller]
    fn assert_has(&self, code: &str) {
        assert!(self.has(code), "{code} in {:#}", self.document);
    }

    #[track_caller]
    fn assert_has_not(&self, code: &str) {
        assert!(!self.has(code), "{code} in {:#}", self.document);
    }
}

/// Examines again and again until this is found.
#[track_caller]
fn wait_for(code: &str, url: &str) -> Examination {
    let last = examine_until(url, |examination| examination.has(code));
    last.assert_has(code);
    last
}

/// Examines again and again until this is not found any more.
#[track_caller]
fn wait_without(code: &str, url: &str) {
    examine_until(url, |examination| !examination.has(code)).assert_has_not(code);
}

/// The last one, also when it never was as it should be.
fn examine_until(url: &str, is_as_it_should: impl Fn(&Examination) -> bool) -> Examination {
    let mut last = examine(url);
    wait_until(PATIENCE, || {
        let done = is_as_it_should(&last);
        if !done {
            last = examine(url);
        }
        done
    });
    last
}

fn ask_all<M: AsRef<Member>>(members: &[M], words: &[&str]) {
    for member in members {
        member.as_ref().ask(words).expect("the member answers");
    }
}

fn sentinel_set(cluster: &Cluster, setting: &str, value: &str) {
    ask_all(cluster.sentinels(), &["SENTINEL", "SET", cluster.service(), setting, value]);
}

/// Addresses of this machine, each a host of its own.
fn hosts<const N: usize>(last: [u8; N]) -> [IpAddr; N] {
    last.map(|last| IpAddr::from([127, 0, 0, last]))
}

#[test]
fn a_sandbox_is_healthy_until_its_master_is_restarted() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let examination = examine(&cluster.url());
    assert_eq!(examination.exit_code, Some(0), "{:#}", examination.document);
    assert_eq!(examination.codes(), SANDBOX);
    examination.assert_says("test-cluster", &cluster.sentinels()[0]);
    examination.assert_says("writes-unbounded", &cluster.nodes()[0]);
    let counts = ["errors", "warnings", "notes"].map(|name| &examination.document[name]);
    assert_eq!(counts, [0, 0, 2]);
    for (kind, number) in [("sentinels", 3), ("nodes", 3)] {
        let servers = examination.document[kind].as_array().expect("an array");
        assert!(servers.iter().all(|server| server["contact"] == "answered"), "{servers:?}");
        assert_eq!(servers.len(), number);
    }
    let sentinels = cluster.sentinels().len();
    let examination =
        examine(&format!("redis+sentinel://{}/mymaster", cluster.sentinels()[0].address()));
    assert_eq!(examination.document["sentinels"].as_array().map(Vec::len), Some(sentinels));
    examination.assert_says("one-sentinel-named", &cluster.sentinels()[0]);

    let printed = output(&["doctor", "--url", &cluster.url()]);
    let printed = text(&printed.stdout);
    let mut lines = printed.lines();
    assert!(lines.next().is_some_and(|line| line.starts_with("mymaster: ")), "{printed}");
    assert!(printed.contains("\nnote: writes-unbounded\n") && printed.contains("  Mend: "));
    assert!(printed.lines().all(|line| line.chars().count() <= 80), "{printed}");
    assert!(!printed.contains('\x1b'), "{printed}");

    // The replicas have to be clearly older than the master that comes back.
    let old = |node: &switchmaster_sandbox::Node| {
        let uptime = node.info("server", "uptime_in_seconds").unwrap_or_default();
        uptime.parse::<u64>().is_ok_and(|seconds| seconds >= 6)
    };
    assert!(wait_until(PATIENCE, || cluster.nodes().iter().all(old)), "they grow old");
    cluster.nodes()[0].restart().expect("it restarts");
    wait_for("master-restarted", &cluster.url())
        .assert_says("master-restarted", &cluster.nodes()[0]);
}
