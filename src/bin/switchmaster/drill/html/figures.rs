//! The numbers of drills as HTML tables: [`single`], [`spread`], [`failovers`].

use std::fmt::Write;

use super::escape::Escaped;
use crate::drill::{
    arguments::SwitchOn,
    figure::{FIGURES, Figure, Spread, Statistic},
    report::Report,
    target::Target,
};

fn table(head: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut html = String::from("<div class=\"scroll\"><table><thead><tr><th></th>");
    for name in head {
        let _ = write!(html, "<th>{}</th>", Escaped(name));
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            let cell = Escaped(cell);
            let _ = match index {
                0 => write!(html, "<tr><th>{cell}</th>"),
                _ => write!(html, "<td>{cell}</td>"),
            };
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

/// One run: a column for each side.
pub(crate) fn single(reports: &[&Report]) -> String {
    let head: Vec<String> = reports.iter().map(|report| report.switch_on.to_string()).collect();
    let figures = FIGURES.iter().filter(|figure| figure.is_of(reports.iter().copied()));
    let row = |figure: &Figure| {
        let values = reports.iter().map(|report| figure.text((figure.of)(report)));
        [figure.label.to_owned()].into_iter().chain(values).collect()
    };
    table(&head, figures.map(row))
}

/// Several runs: a column for each statistic of each side, and one for what is aimed at.
pub(crate) fn spread(sides: &[(SwitchOn, Vec<&Report>)], targets: &[Target]) -> String {
    let mut head = Vec::new();
    for (way, _) in sides {
        let name = |statistic: Statistic| match sides.len() {
            1 => statistic.as_str().to_owned(),
            _ => format!("{way} {}", statistic.as_str()),
        };
        head.extend(Statistic::ALL.map(name));
    }
    if !targets.is_empty() {
        head.push("at most".to_owned());
    }
    let all = || sides.iter().flat_map(|(_, reports)| reports.iter().copied());
    let rows = FIGURES.iter().filter(|figure| figure.is_of(all())).map(|figure| {
        let mut row = vec![figure.label.to_owned()];
        for (_, reports) in sides {
            let spread = Spread::of(reports.iter().filter_map(|report| (figure.of)(report)));
            row.extend(
                Statistic::ALL
                    .map(|one| figure.text(spread.as_ref().map(|spread| spread.get(one)))),
            );
        }
        if !targets.is_empty() {
            row.push(aims(figure, sides, targets));
        }
        row
    });
    table(&head, rows)
}

fn aims(figure: &Figure, sides: &[(SwitchOn, Vec<&Report>)], targets: &[Target]) -> String {
    let promoted = sides.iter().find(|(way, _)| *way == SwitchOn::Promotion);
    let reports = promoted.map(|(_, reports)| reports.as_slice()).unwrap_or_default();
    let of_it = Statistic::ALL.into_iter().filter_map(|statistic| {
        let target = targets.iter().find(|target| target.is_for(figure, statistic))?;
        let word = if target.is_met(reports) { "ok" } else { "MISSED" };
        Some(format!("{} {:.0} {word}", statistic.as_str(), target.at_most))
    });
    of_it.collect::<Vec<_>>().join(", ")
}

/// The failovers of one run, where there were several.
pub(crate) fn failovers(report: &Report) -> String {
    let head = ["to", "F", "S", "first write", "last writer", "A"].map(str::to_owned);
    let rows = report.turns.iter().zip(1..).map(|(turn, number)| {
        let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        vec![
            format!("failover {number}"),
            turn.to.clone(),
            ms(Some(turn.struck)),
            ms(turn.switch),
            ms(turn.first_write),
            ms(turn.last_writer),
            ms(turn.announcement),
        ]
    });
    table(&head, rows)
}
