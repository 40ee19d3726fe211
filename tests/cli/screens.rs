//! What the command shows on a terminal.

use std::{io::Read, path::Path, process::Command};

use serde_json::Value;
use switchmaster_sandbox::{Cluster, wait_until};

use crate::{
    program::{PATIENCE, command, output, subcommands, text},
    terminal::{Stdout, Terminal},
};

fn with(variable: (&str, &str), arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env(variable.0, variable.1);
    command
}

#[test]
fn a_watched_topology_is_drawn_over_itself_until_control_c() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let old = cluster.master().unwrap();
    let watch = command(&["topology", "--url", &cluster.url(), "--watch"]);
    let mut terminal = Terminal::start(80, 24, &watch, Stdout::Terminal);
    terminal.wait_for(&format!("mymaster: master {}", old.address()));
    cluster.failover().unwrap();
    let new = cluster.wait_for_master_other_than(old.port(), PATIENCE).unwrap();
    terminal.wait_for(&format!("mymaster: master {}", new.address()));
    terminal.wait_for(&format!("─ {}  master, ", new.address()));
    terminal.press("\x03");
    assert!(terminal.end().success());
    let shown = terminal.text();
    assert!(shown.starts_with(&format!("mymaster: master {}", new.address())), "{shown}");
    assert_eq!(shown.matches("mymaster: ").count(), 1, "{shown}");
    assert_eq!(shown.matches("\n└─ sentinels\n").count(), 1, "{shown}");
    assert!(!terminal.overflows(), "{shown}");
}

#[test]
fn a_watched_topology_keeps_to_a_small_window_and_takes_the_room_of_a_larger_one() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let watch = command(&["topology", "--url", &cluster.url(), "--watch"]);
    let mut terminal = Terminal::start(40, 5, &watch, Stdout::Terminal);
    terminal.wait_for("more lines");
    let shown = terminal.text();
    assert!(shown.starts_with("mymaster: master "), "{shown}");
    assert_eq!(shown.trim_end().lines().count(), 4, "{shown}");
    assert!(!terminal.overflows(), "{shown}");
    terminal.resize(80, 24);
    let last = cluster.sentinels()[2].address().to_string();
    let whole = || terminal.text().contains(&last) && !terminal.text().contains("more lines");
    assert!(wait_until(PATIENCE, whole), "{}", terminal.text());
    terminal.press("\x03");
    assert!(terminal.end().success());
    assert!(!terminal.overflows(), "{}", terminal.text());
}

#[test]
fn a_watched_topology_is_printed_below_itself_where_no_cursor_moves() {
    let cluster = Cluster::builder().replicas(0).start().expect("a cluster starts");
    let url = cluster.url();
    let watch = with(("TERM", "dumb"), &["topology", "--url", &url, "--watch", "--for", "1500ms"]);
    let mut terminal = Terminal::start(80, 24, &watch, Stdout::Pipe);
    let mut printed = String::new();
    terminal.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(terminal.end().success());
    assert!(printed.starts_with("mymaster: ") && !printed.contains('\x1b'), "{printed}");
    let terminal = Terminal::done(80, 60, &watch);
    assert!(terminal.text().starts_with("mymaster: "), "{}", terminal.text());
}

#[test]
fn findings_have_colours_on_a_terminal_that_wants_them_and_fit_its_window() {
    let cluster = Cluster::builder().sentinels(2).start().expect("a cluster starts");
    let url = cluster.url();
    let doctor = ["doctor", "--url", &url];
    assert!(!text(&output(&doctor).stdout).contains('\x1b'));
    let terminal = Terminal::done(80, 200, &command(&doctor));
    assert!(terminal.is_styled() && !terminal.overflows(), "{}", terminal.text());
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let terminal = Terminal::done(40, 400, &with(plain, &doctor));
        let shown = terminal.text();
        assert!(shown.contains("sentinels") && shown.contains("Mend: "), "{shown}");
        assert!(!terminal.is_styled(), "{plain:?}");
        assert!(!terminal.overflows(), "{shown}");
    }
    let terminal = Terminal::done(40, 100, &command(&["topology", "--url", &url]));
    assert!(terminal.text().starts_with("mymaster: ") && !terminal.overflows());
}

#[test]
fn help_fits_a_terminal_of_80_columns_and_is_plain_where_no_colour_is_wanted() {
    for subcommand in subcommands() {
        let terminal = Terminal::done(80, 200, &command(&[&subcommand, "--help"]));
        assert!(terminal.is_styled() && !terminal.overflows(), "{}", terminal.text());
    }
    let terminal = Terminal::done(80, 200, &with(("NO_COLOR", "1"), &["--help"]));
    assert!(terminal.text().contains("Commands:") && !terminal.is_styled());
}

#[test]
fn a_reply_is_quoted_and_numbered_for_people() {
    let cluster = Cluster::builder().replicas(0).start().expect("a cluster starts");
    let url = cluster.url();
    let set = Terminal::done(80, 24, &command(&["exec", "--url", &url, "SET", "a", "b c"]));
    assert_eq!(set.text().trim_end(), "OK");
    let list = Terminal::done(80, 24, &command(&["exec", "--url", &url, "MGET", "a", "none"]));
    assert_eq!(list.text().trim_end(), "1) \"b c\"\n2) (nil)");
    let json = ["exec", "--url", &url, "--json", "MGET", "a", "none"];
    assert_eq!(Terminal::done(80, 24, &command(&json)).text().trim_end(), "[\"b c\",null]");
}

#[test]
fn who_does_not_say_yes_fails_nothing_over() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    cluster.wait_settled(PATIENCE).unwrap();
    let master = cluster.master().unwrap().address();
    for subcommand in ["drill", "failover"] {
        let asks = command(&[subcommand, "--url", &cluster.url()]);
        let mut terminal = Terminal::start(80, 24, &asks, Stdout::Terminal);
        terminal.wait_for("Type yes to go on: ");
        terminal.press("no\n");
        assert_eq!(terminal.end().code(), Some(1), "{}", terminal.text());
        assert!(terminal.text().contains("nothing was done"), "{}", terminal.text());
    }
    assert_eq!(cluster.master().unwrap().address(), master);
}

#[test]
fn control_c_ends_a_sandbox_and_all_that_it_started() {
    let sandbox = command(&["sandbox", "--replicas", "0"]);
    let mut terminal = Terminal::start(80, 24, &sandbox, Stdout::Pipe);
    let mut printed = Vec::new();
    let mut output = terminal.child.stdout.take().unwrap();
    let line = wait_until(PATIENCE, || {
        let mut byte = [0];
        output.read_exact(&mut byte).expect("a line");
        printed.extend(byte);
        byte == *b"\n"
    });
    assert!(line);
    let printed: Value = serde_json::from_slice(&printed).expect("one line of JSON");
    terminal.press("\x03");
    assert!(terminal.end().success(), "{}", terminal.text());
    let pids = printed["pids"].as_array().expect("an array");
    let gone = |pid: &Value| !Path::new(&format!("/proc/{pid}")).exists();
    assert!(wait_until(PATIENCE, || pids.iter().all(gone)), "of {pids:?} some are left");
}

#[test]
fn a_drill_of_several_runs_tells_on_a_terminal_how_far_it_is_and_takes_it_back() {
    let drill = command(&["drill", "--fault=planned", "--writers=1", "--readers=0", "--runs=2"]);
    let mut terminal = Terminal::start(80, 24, &drill, Stdout::Pipe);
    terminal.wait_for("planned, run 1 of 2");
    let first = terminal.text();
    terminal.wait_for("planned, run 2 of 2, ");
    let second = terminal.text();
    assert!(first.lines().count() == 1 && second.lines().count() == 1, "{first}\n{second}");
    assert!(second.trim_end().ends_with(" s left"), "{second}");
    terminal.end();
    assert_eq!(terminal.text().trim_end(), "");
    let mut table = String::new();
    terminal.child.stdout.take().unwrap().read_to_string(&mut table).unwrap();
    assert!(table.starts_with("planned, 2 runs") && !table.contains('\x1b'), "{table}");
}

#[test]
fn a_drill_draws_its_picture_on_a_terminal_of_80_columns() {
    let drill = command(&["drill", "--fault=planned", "--writers=1", "--readers=0"]);
    let terminal = Terminal::done(80, 100, &drill);
    let shown = terminal.text();
    assert!(
        shown.starts_with("planned: ") && shown.contains("F fault, P promotion, S switch"),
        "{shown}"
    );
    assert!(!shown.contains("run 1") && !terminal.overflows(), "{shown}");
}
