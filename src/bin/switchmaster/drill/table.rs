//! A drill as text: [`single`], [`spread`].

use std::fmt::Write;

use super::{
    WIDTH, contract,
    fault::Fault,
    figure::{FIGURES, Figure, Spread},
    report::Report,
};

/// The width of the names of figures.
const NAMES: usize = 30;
const NUMBERS: usize = 12;

/// One drill.
pub(crate) fn single(report: &Report) -> String {
    let mut text = format!(
        "{}: {} -> {}, milliseconds after the {}\n",
        report.fault,
        report.from,
        report.to,
        if report.promotion.is_some() { "promotion P" } else { "fault F" }
    );
    for figure in FIGURES {
        let value = number(figure, (figure.of)(report));
        line(&mut text, figure.label, &format!("{value:>NUMBERS$}"));
    }
    for ((outcome, kind), count) in &report.errors {
        line(&mut text, &format!("  {outcome}, {kind}"), &format!("{count:>NUMBERS$}"));
    }
    let named = |pairs: &[(String, f64)]| -> Vec<String> {
        pairs.iter().map(|(name, ms)| format!("{name} {ms:.0}")).collect()
    };
    wrapped(&mut text, "longest waits", &named(&report.waits));
    if !report.stuck.is_empty() {
        wrapped(&mut text, "stuck", &named(&report.stuck));
    }
    breaches(&mut text, report);
    text
}

/// Several drills with the same fault.
pub(crate) fn spread(fault: Fault, reports: &[Report]) -> String {
    let mut text = format!("{fault}, {} runs, milliseconds after the promotion P\n", reports.len());
    let head = ["p50", "p99", "max"].map(|name| format!("{name:>NUMBERS$}")).concat();
    line(&mut text, "", &head);
    for figure in FIGURES {
        let values = reports.iter().filter_map(|report| (figure.of)(report));
        let columns = match Spread::of(values) {
            Some(spread) => [Some(spread.p50), Some(spread.p99), Some(spread.max)],
            None => [None; 3],
        };
        let columns = columns.map(|value| format!("{:>NUMBERS$}", number(figure, value)));
        line(&mut text, figure.label, &columns.concat());
    }
    reports.iter().for_each(|report| breaches(&mut text, report));
    text
}

fn breaches(text: &mut String, report: &Report) {
    for breach in contract::broken(report) {
        let _ = writeln!(text, "BROKEN: {breach}");
    }
}

fn number(figure: &Figure, value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if figure.whole => format!("{value:.0}"),
        Some(value) => format!("{value:.1}"),
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<NAMES$}{value}");
}

fn wrapped(text: &mut String, name: &str, items: &[String]) {
    let mut row = format!("  {name}: ");
    for (index, item) in items.iter().enumerate() {
        let comma = if index + 1 == items.len() { "" } else { ", " };
        if row.len() + item.len() + comma.len() > WIDTH {
            let _ = writeln!(text, "{}", row.trim_end());
            row = "    ".to_owned();
        }
        row.push_str(item);
        row.push_str(comma);
    }
    let _ = writeln!(text, "{row}");
}
