//! Drills as one JSON document: [`of`].

use serde_json::{Map, Value, json};

use super::{
    Series,
    arguments::{Arguments, SwitchOn},
    contract,
    figure::{FIGURES, Spread},
    millis::rounded,
    report::{Happening, Report},
    table,
    target::Target,
    turn::Turn,
};

/// Everything that there is to know of these drills.
pub(crate) fn of(arguments: &Arguments, ways: &[SwitchOn], results: &[Series]) -> Value {
    let sides = results.iter().flat_map(|result| ways.iter().map(move |way| (result, *way)));
    let reports = results.iter().flat_map(|result| &result.reports);
    let broken: Vec<String> = reports
        .flat_map(|report| {
            let side = table::side(report, ways.len() > 1);
            contract::broken(report).into_iter().map(move |breach| format!("{side}{breach}"))
        })
        .collect();
    json!({
        "writers": arguments.writers,
        "readers": arguments.readers,
        "blocked": arguments.blocked,
        "pace_ms": arguments.pace.as_secs_f64() * 1e3,
        "value_size": arguments.value_size,
        "pipeline": arguments.pipeline,
        "faults": sides.map(|(result, way)| series(result, way)).collect::<Vec<_>>(),
        "broken": broken,
    })
}

/// All runs of one fault, by one way to switch.
fn series(result: &Series, way: SwitchOn) -> Value {
    let runs = result.of_side(way);
    let spread: Map<String, Value> = FIGURES
        .iter()
        .map(|figure| {
            let values = runs.iter().filter_map(|run| (figure.of)(run));
            let spread = Spread::of(values).map(|spread| spread.to_json());
            (figure.key.to_owned(), json!(spread))
        })
        .collect();
    let targets: &[Target] = match way {
        SwitchOn::Promotion => result.targets,
        SwitchOn::Confirmation | SwitchOn::Announcement => &[],
    };
    json!({
        "fault": result.fault.as_str(),
        "switch_on": way.as_str(),
        "runs": runs.iter().map(|report| run(report)).collect::<Vec<_>>(),
        "spread": spread,
        "targets": targets.iter().map(|target| target.to_json(&runs)).collect::<Vec<_>>(),
    })
}

/// One run.
fn run(report: &Report) -> Value {
    let figures: Map<String, Value> = FIGURES
        .iter()
        .map(|figure| (figure.key.to_owned(), json!((figure.of)(report).map(rounded))))
        .collect();
    let lost: Vec<&str> = report.lost.iter().map(|lost| lost.text.as_str()).collect();
    json!({
        "fault": report.fault.as_str(),
        "switch_on": report.switch_on.as_str(),
        "from": report.turns.first().map(|turn| &turn.from),
        "to": report.turns.last().map(|turn| &turn.to),
        "times_after": if report.sees_promotions() { "promotion" } else { "fault" },
        "figures": figures,
        "failovers": report.turns.iter().map(Turn::to_json).collect::<Vec<_>>(),
        "steps": happenings(&report.steps),
        "events": happenings(&report.events),
        "waits_ms": by_name(&report.waits),
        "threads": report.threads,
        "blocked": { "served": report.served(), "of": report.blocked },
        "errors": report.errors.to_json(),
        "writes": {
            "acknowledged": report.acknowledged,
            "lost": lost,
            "told": report.overruled,
        },
        "stuck_ms": by_name(&report.stuck),
        "broken": contract::broken(report),
    })
}

fn by_name(times: &[(String, f64)]) -> Map<String, Value> {
    times.iter().map(|(name, ms)| (name.clone(), json!(rounded(*ms)))).collect()
}

fn happenings(all: &[Happening]) -> Vec<Value> {
    all.iter().map(|one| json!({ "at_ms": rounded(one.at), "text": one.text })).collect()
}
