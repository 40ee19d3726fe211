//! What every subcommand says of itself, and of what it does not understand.

use std::fs::OpenOptions;

use crate::program::{command, help, output, subcommands, text};

#[test]
fn every_subcommand_has_help_with_an_example_in_80_columns() {
    let mut pages = vec![help(&[])];
    for subcommand in subcommands() {
        let own = help(&[&subcommand]);
        assert!(own.contains(&format!("  switchmaster {subcommand}")), "an example in {own}");
        pages.push(own);
    }
    for line in pages.iter().flat_map(|page| page.lines()) {
        assert!(line.chars().count() <= 80, "more than 80 columns: {line}");
    }
}

#[test]
fn bad_arguments_are_named_and_exit_with_2() {
    let url = "redis+sentinel://127.0.0.1:1/mymaster";
    let cases: [(&[&str], &str); 25] = [
        (&["frobnicate"], "frobnicate"),
        (&["sandbox", "--replicas", "many"], "--replicas"),
        (&["sandbox", "--sentinels", "0"], "--sentinels"),
        (&["sandbox", "--down-after", "5"], "--down-after"),
        (&["master"], "--url"),
        (&["topology", "--yaml"], "--yaml"),
        (&["doctor"], "--url"),
        (&["doctor", "--url", "redis+sentinel://a/mymaster?dial_timeout=0s"], "dial_timeout"),
        (&["watch", "--json"], "--url"),
        (&["watch", "--url", url, "--for", "5"], "--for"),
        (&["watch", "--url", url, "--record", "/nowhere/recording.txt"], "/nowhere/recording.txt"),
        (&["drill", "--fault", "flood"], "--fault"),
        (&["drill", "--runs", "0"], "--runs"),
        (&["drill", "--url", url, "--fault", "kill", "--yes"], "--fault kill"),
        (&["drill", "--url", url], "--yes"),
        (&["drill", "--url", url, "--server", "redis-server"], "--server"),
        (&["drill", "--url", url, "--deny-subscribe"], "--deny-subscribe"),
        (&["drill", "--url", url, "--fault", "rolling", "--yes"], "--fault rolling"),
        (&["drill", "--pace", "5"], "--pace"),
        (&["drill", "--value-size", "1000001"], "--value-size"),
        (&["drill", "--pipeline", "0"], "--pipeline"),
        (&["drill", "--report"], "--report"),
        (&["drill", "--report", "/nowhere/out.html"], "/nowhere/out.html"),
        (&["drill", "--switch-on", "promotion,hope"], "hope"),
        (&["drill", "--switch-on", "confirmation", "--targets"], "--targets"),
    ];
    for (arguments, named) in cases {
        let output = output(arguments);
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {complaint}");
        assert!(complaint.contains(named), "{named} in {complaint}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_url_that_cannot_be_read_is_an_error_that_quotes_it() {
    for subcommand in ["master", "topology", "doctor", "watch", "drill"] {
        let output = output(&[subcommand, "--url", "http://somewhere/mymaster"]);
        assert!(!output.status.success());
        let complaint = text(&output.stderr);
        assert!(complaint.contains("\"http\""), "{complaint}");
    }
}

#[test]
fn a_url_that_makes_no_sense_is_an_error_of_the_arguments() {
    for subcommand in ["master", "topology", "doctor", "watch", "wait", "metrics", "failover"] {
        let done = output(&[subcommand, "--url", "http://10.0.0.1/mymaster"]);
        assert_eq!(done.status.code(), Some(2), "{subcommand}");
        assert!(text(&done.stderr).contains("unknown scheme \"http\""), "{subcommand}");
    }
    let done = output(&["exec", "--url", "http://10.0.0.1/mymaster", "PING"]);
    assert_eq!(done.status.code(), Some(2));
}

#[test]
fn the_exit_code_is_the_same_when_nobody_reads_the_error() {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let done = command(&["master", "--url", "http://10.0.0.1/mymaster"]).stderr(full).status();
    assert_eq!(done.expect("the command runs").code(), Some(2));
}
