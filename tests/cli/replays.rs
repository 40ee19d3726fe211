//! `switchmaster replay`.

use std::{fs, path::Path};

use serde_json::Value;

use crate::program::{Scratch, output, text};

fn recording() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/kill.txt");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_replay_decides_what_was_recorded() {
    let done = output(&["replay", &recording()]);
    let printed = text(&done.stdout);
    assert!(done.status.success(), "{printed}{}", text(&done.stderr));
    assert!(printed.contains(" ms  switch 2: ") && printed.ends_with("all as recorded\n"));
}

#[test]
fn what_is_not_as_recorded_is_shown_with_its_line() {
    let recorded = fs::read_to_string(recording()).unwrap();
    let changed = recorded.replace("\n> switch 2: ", "\n> unfence\n> switch 2: ");
    let file = Scratch::new("changed.txt");
    fs::write(file.path(), changed).unwrap();
    let done = output(&["replay", file.path()]);
    let printed = text(&done.stdout);
    assert_eq!(done.status.code(), Some(1), "{printed}");
    assert!(printed.contains("not what was recorded, at 1 inputs:\n\nline "), "{printed}");
    assert!(printed.contains("  - unfence\n"), "{printed}");
}

#[test]
fn another_rule_is_asked_what_if() {
    let done = output(&["replay", &recording(), "--switch-on", "announcement", "--json"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let replay: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(
        (&replay["switch_on"], &replay["as_recorded"]),
        (&"announcement".into(), &false.into())
    );
    let switches = replay["decisions"].as_array().unwrap().iter();
    let mut switches =
        switches.filter_map(|it| it["text"].as_str()).filter(|it| it.starts_with("switch "));
    assert!(switches.nth(1).expect("a second").contains("announced"), "{replay}");
    assert!(!replay["differences"].as_array().unwrap().is_empty());
}

#[test]
fn a_broken_recording_is_named_by_line() {
    let file = Scratch::new("broken.txt");
    for (content, named) in [
        ("hello\n", "line 1: "),
        ("# switchmaster recording 7\n", "line 1: a recording of version \"7\""),
        ("# switchmaster recording 1\n# service=a\n0.0 start a:1\n0.1 dance\n", "line 4: "),
    ] {
        fs::write(file.path(), content).unwrap();
        let failed = output(&["replay", file.path()]);
        assert_eq!(failed.status.code(), Some(1));
        let complaint = text(&failed.stderr);
        assert!(complaint.contains(file.path()) && complaint.contains(named), "{complaint}");
    }
    assert_eq!(output(&["replay", "/nowhere/at-all.txt"]).status.code(), Some(2));
}
