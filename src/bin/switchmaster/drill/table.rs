//! Drills as text: [`single`], [`spread`], [`compared`].

use std::{collections::BTreeSet, fmt::Write};

use super::{
    arguments::SwitchOn,
    contract,
    fault::Fault,
    figure::{FIGURES, Spread, Statistic},
    report::Report,
    target::Target,
    turn::Turn,
};
use crate::wrap::WIDTH;

/// The width of the names of figures.
const NAMES: usize = 30;
/// The same where errors are listed by who had them.
const WIDE_NAMES: usize = 36;
const NUMBERS: usize = 12;
/// With fewer values than this, the smallest that 99 % are not above is the largest of all.
const ENOUGH: usize = 100;

/// One failover: a column for each side.
pub(crate) fn single(reports: &[Report]) -> String {
    let mut text = String::new();
    let [first, ..] = reports else { return text };
    let _ = writeln!(
        text,
        "{}: {}, milliseconds after the {}",
        first.fault,
        first.path(),
        if first.sees_promotions() { "promotion P" } else { "fault F" }
    );
    if first.turns.len() > 1 {
        let _ = writeln!(text, "  The worst of {} failovers, and each below.", first.turns.len());
    }
    let several = reports.len() > 1;
    let widths: Vec<usize> = reports
        .iter()
        .map(|report| if several { column(report.switch_on) } else { NUMBERS })
        .collect();
    let row = |text: &mut String, name: &str, values: &mut dyn Iterator<Item = String>| {
        let values = widths.iter().zip(values).map(|(width, value)| format!("{value:>width$}"));
        line(text, &format!("{name:<WIDE_NAMES$}"), &values.collect::<String>());
    };
    if several {
        row(&mut text, "", &mut reports.iter().map(|report| report.switch_on.to_string()));
    }
    for figure in FIGURES.iter().filter(|figure| figure.is_of(reports)) {
        row(
            &mut text,
            figure.label,
            &mut reports.iter().map(|report| figure.text((figure.of)(report))),
        );
    }
    let kinds: BTreeSet<_> =
        reports.iter().flat_map(|report| report.errors.counts.keys()).collect();
    for kind in kinds {
        let (duty, outcome, name) = kind;
        let counts = reports.iter().map(|report| report.errors.counts.get(kind).unwrap_or(&0));
        let label = format!("  {}: {outcome}, {name}", duty.plural());
        row(&mut text, &label, &mut counts.map(usize::to_string));
    }
    let named = |pairs: &[(String, f64)]| -> Vec<String> {
        pairs.iter().map(|(name, ms)| format!("{name} {ms:.0}")).collect()
    };
    for report in reports {
        let side = if several { format!("{}, ", report.switch_on) } else { String::new() };
        if report.turns.len() > 1 {
            each_turn(&mut text, &side, &report.turns);
        }
        wrapped(&mut text, &format!("{side}longest waits"), &named(&report.waits));
        if !report.stuck.is_empty() {
            wrapped(&mut text, &format!("{side}stuck"), &named(&report.stuck));
        }
    }
    breaches(&mut text, reports, several);
    text
}

/// The failovers of one drill, a line for each.
fn each_turn(text: &mut String, side: &str, turns: &[Turn]) {
    for (turn, number) in turns.iter().zip(1..) {
        let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        let items = [
            turn.to.clone(),
            format!("S {}", ms(turn.switch)),
            format!("first write {}", ms(turn.first_write)),
            format!("last writer {}", ms(turn.last_writer)),
            format!("A {}", ms(turn.announcement)),
        ];
        wrapped(text, &format!("{side}failover {number}"), &items);
    }
}

/// Several drills of one side with the same fault: a column for each statistic.
pub(crate) fn spread(fault: Fault, reports: &[Report]) -> String {
    let mut text = format!("{fault}, {} runs, milliseconds after the promotion P\n", reports.len());
    let head = Statistic::ALL.map(|name| format!("{:>NUMBERS$}", name.as_str())).concat();
    line(&mut text, "", &head);
    for figure in FIGURES.iter().filter(|figure| figure.is_of(reports)) {
        let spread = Spread::of(reports.iter().filter_map(|report| (figure.of)(report)));
        let columns = Statistic::ALL.map(|statistic| {
            let value = spread.as_ref().map(|spread| spread.get(statistic));
            format!("{:>NUMBERS$}", figure.text(value))
        });
        line(&mut text, figure.label, &columns.concat());
    }
    note(&mut text, reports.len());
    breaches(&mut text, reports, false);
    text
}

/// Several drills with the same fault: a line for each statistic, a column for each side and one
/// for what is aimed at.
pub(crate) fn compared(
    fault: Fault,
    sides: &[SwitchOn],
    reports: &[Report],
    targets: &[Target],
) -> String {
    let of_side = |side: SwitchOn| -> Vec<&Report> {
        reports.iter().filter(|report| report.switch_on == side).collect()
    };
    let runs = reports.len() / sides.len().max(1);
    let mut text = format!("{fault}, {runs} runs, milliseconds after the promotion P\n");
    let head: String =
        sides.iter().map(|side| format!("{:>1$}", side.as_str(), column(*side))).collect();
    let target = if targets.is_empty() { "" } else { "  at most" };
    line(&mut text, "", &format!("{head}{target}"));
    for figure in FIGURES.iter().filter(|figure| figure.compared && figure.is_of(reports)) {
        let spreads: Vec<Option<Spread>> = sides
            .iter()
            .map(|side| Spread::of(of_side(*side).into_iter().filter_map(figure.of)))
            .collect();
        for statistic in Statistic::ALL {
            let label = if statistic == Statistic::P50 { figure.label } else { "" };
            let name = format!("{label:<0$}{1}", NAMES - 4, statistic.as_str());
            let mut row = String::new();
            for (side, spread) in sides.iter().zip(&spreads) {
                let value = spread.as_ref().map(|spread| spread.get(statistic));
                let _ = write!(row, "{:>1$}", figure.text(value), column(*side));
            }
            if let Some(target) = targets.iter().find(|target| target.is_for(figure, statistic)) {
                row.push_str(&verdict(target, &of_side(SwitchOn::Promotion)));
            }
            line(&mut text, &name, &row);
        }
    }
    note(&mut text, runs);
    breaches(&mut text, reports, sides.len() > 1);
    text
}

fn verdict(target: &Target, reports: &[&Report]) -> String {
    let word = if target.is_met(reports) { "ok" } else { "MISSED" };
    format!("  {:.0} {word}", target.at_most)
}

/// The width of a side's column.
fn column(side: SwitchOn) -> usize {
    (side.as_str().len() + 1).max(10)
}

fn note(text: &mut String, runs: usize) {
    if runs < ENOUGH {
        let _ = writeln!(text, "  Of fewer than {ENOUGH} runs, p99 is the largest value.");
    }
}

fn breaches(text: &mut String, reports: &[Report], several: bool) {
    for report in reports {
        let side = side(report, several);
        for breach in contract::broken(report) {
            paragraph(text, &format!("BROKEN: {side}{breach}"));
        }
    }
}

/// What a breach is introduced with: where there are several sides, which one broke it.
pub(crate) fn side(report: &Report, several: bool) -> String {
    if several { format!("{}: ", report.switch_on) } else { String::new() }
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{}", format!("  {name:<NAMES$}{value}").trim_end());
}

fn wrapped(text: &mut String, name: &str, items: &[String]) {
    let last = items.len().saturating_sub(1);
    let items = items.iter().enumerate();
    let items = items.map(|(index, item)| match index < last {
        true => format!("{item},"),
        false => item.clone(),
    });
    flow(text, format!("  {name}:"), items);
}

fn paragraph(text: &mut String, sentence: &str) {
    let mut words = sentence.split(' ').map(str::to_owned);
    flow(text, words.next().unwrap_or_default(), words);
}

/// Lines that are filled with items, each behind a space.
fn flow(text: &mut String, mut row: String, items: impl Iterator<Item = String>) {
    for item in items {
        if row.len() + 1 + item.len() > WIDTH {
            let _ = writeln!(text, "{row}");
            row = "   ".to_owned();
        }
        row.push(' ');
        row.push_str(&item);
    }
    let _ = writeln!(text, "{row}");
}
