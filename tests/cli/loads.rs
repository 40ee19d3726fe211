//! How a drill uses the factory, by its options.

use serde_json::Value;

use crate::program::{output, text};

#[test]
fn writes_of_a_pipeline_are_counted_one_by_one_and_none_is_lost() {
    let drill = output(&[
        "drill",
        "--fault=planned",
        "--writers=2",
        "--readers=1",
        "--blocked=0",
        "--pace=20ms",
        "--value-size=200",
        "--pipeline=50",
        "--json",
    ]);
    let printed = text(&drill.stdout);
    let document: Value = serde_json::from_str(&printed).expect("one JSON document");
    assert_eq!((&document["pipeline"], &document["pace_ms"]), (&50.into(), &20.0.into()));
    assert_eq!(document["value_size"], 200);
    let run = &document["faults"][0]["runs"][0];
    let acknowledged = run["writes"]["acknowledged"].as_u64().expect("a number");
    // 2 writers with 20 operations each at the least, before the fault.
    assert!(acknowledged >= 2 * 20 * 50 && acknowledged.is_multiple_of(50), "{acknowledged}");
    assert_eq!(run["figures"]["lost"], 0.0, "{printed}");
}
