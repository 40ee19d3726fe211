//! `switchmaster drill --fault …`: every fault of a sandbox happens, and no promise is broken.

use serde_json::Value;

use crate::{
    drills::is_kept,
    program::{output, text},
};

/// One drill with this fault, which keeps its promises.
fn drill(fault: &str) -> Value {
    let drill =
        output(&["drill", "--fault", fault, "--writers=3", "--readers=1", "--blocked=1", "--json"]);
    let printed = text(&drill.stdout);
    assert!(is_kept(&drill), "{printed}{}", text(&drill.stderr));
    let document: Value = serde_json::from_str(&printed).expect("one JSON document");
    let run = document["faults"][0]["runs"][0].clone();
    assert_eq!(run["fault"], fault);
    run
}

fn texts<'a>(run: &'a Value, list: &str) -> Vec<&'a str> {
    let list = run[list].as_array().expect("an array");
    list.iter().map(|one| one["text"].as_str().expect("a text")).collect()
}

fn count(texts: &[&str], part: &str) -> usize {
    texts.iter().filter(|text| text.contains(part)).count()
}

#[test]
fn a_program_that_is_shut_in_with_the_master_is_held_before_it_is_replaced() {
    let run = drill("partition");
    let events = texts(&run, "events");
    let first = |part: &str| events.iter().position(|event| event.contains(part));
    let held = first("fence-raised: a majority of the sentinels is not heard");
    assert!(held.is_some() && held < first("switched: "), "{events:#?}");
    assert_eq!(run["figures"]["lost"], 0.0);
    let [healed, switch] = ["healed_ms", "switch_ms"].map(|key| run["figures"][key].as_f64());
    assert!(healed.is_some() && healed < switch, "{healed:?} {switch:?}");
}

#[test]
fn a_leader_that_dies_at_the_promotion_has_commands_held_until_somebody_confirms() {
    let run = drill("leader");
    let steps = texts(&run, "steps");
    assert_eq!(count(&steps, "is killed"), 2, "{steps:#?}");
    let (lost, told) = (&run["writes"]["lost"], run["writes"]["told"].as_u64().expect("a number"));
    assert!(run["figures"]["switch_ms"].is_number(), "{lost} lost, {told} told");
}

#[test]
fn three_failovers_after_each_other_are_told_one_by_one() {
    let run = drill("flap");
    let failovers = run["failovers"].as_array().expect("an array");
    assert_eq!(failovers.len(), 3);
    for pair in failovers.windows(2) {
        assert_eq!(pair[0]["to"], pair[1]["from"]);
        assert!(pair[0]["at_ms"].as_f64() < pair[1]["at_ms"].as_f64());
    }
    assert_eq!((&failovers[0]["from"], &failovers[2]["to"]), (&run["from"], &run["to"]));
    let of_each = failovers.iter().map(|failover| failover["first_write_ms"].as_f64());
    let worst = of_each.reduce(|a, b| Some(a?.max(b?))).flatten();
    assert_eq!(run["figures"]["first_write_ms"].as_f64(), worst);
    assert_eq!((&run["figures"]["lost"], &run["figures"]["errors"]), (&0.0.into(), &0.0.into()));
}

#[test]
fn a_sentinel_that_answers_late_is_not_waited_for() {
    let run = drill("slow-sentinel");
    let steps = texts(&run, "steps");
    assert_eq!(count(&steps, "is slow from now on"), 1, "{steps:#?}");
    let switch = texts(&run, "events").into_iter().find(|event| event.starts_with("switched"));
    assert!(switch.is_some_and(|switch| switch.contains("promoted by")), "{switch:?}");
}

#[test]
fn a_promotion_that_no_message_tells_of_is_followed_all_the_same() {
    let run = drill("pubsub-loss");
    let steps = texts(&run, "steps");
    let swallowed =
        steps.iter().find_map(|step| step.strip_suffix(" messages did not arrive so far"));
    assert!(swallowed.is_some_and(|count| count != "0"), "{steps:#?}");
    assert!(run["figures"]["first_write_ms"].is_number());
}

#[test]
fn a_rolling_restart_restarts_everybody_and_loses_nothing() {
    let run = drill("rolling");
    let steps = texts(&run, "steps");
    // 3 nodes and 3 sentinels, once each.
    assert_eq!(count(&steps, "is restarted"), 6, "{steps:#?}");
    let mut restarted: Vec<&&str> = steps.iter().filter(|s| s.contains("is restarted")).collect();
    restarted.sort();
    restarted.dedup();
    assert_eq!(restarted.len(), 6, "{steps:#?}");
    assert_eq!((&run["figures"]["lost"], &run["figures"]["errors"]), (&0.0.into(), &0.0.into()));
}
