//! The page around the timelines: [`page`].

use std::fmt::Write;

use super::{escape::Escaped, figures, legend::legend, mark::Mark, svg::timeline};
use crate::drill::{
    Series,
    arguments::SwitchOn,
    contract::{self, Verdict},
    report::Report,
    shape::Shape,
};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// What is written where times are counted from.
const ZERO: &str = "Times are milliseconds after the promotion, the instant at which the new master \
                    accepts its first write, or after the fault where nobody saw that.";

/// Everything in one file. `made` says when that was.
pub(crate) fn page(shape: Shape, ways: &[SwitchOn], results: &[Series], made: &str) -> String {
    let faults: Vec<&str> = results.iter().map(|result| result.fault.as_str()).collect();
    let title = format!("switchmaster drill: {}", faults.join(", "));
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style></head>\n<body>\n<h1>{}</h1>\n\
         <p class=\"soft\">{}</p>\n<p class=\"soft\">{ZERO}</p>\n",
        Escaped(&title),
        Escaped(&title),
        Escaped(&format!("{made}, switchmaster {}. {}", env!("CARGO_PKG_VERSION"), load(shape))),
    );
    for result in results {
        section(&mut html, ways, result);
    }
    let _ = write!(html, "<div id=\"tip\"></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    html
}

/// What the load was, in words.
fn load(shape: Shape) -> String {
    let count = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let Shape { writers, readers, blocked, pace, value_size, pipeline } = shape;
    let size = if value_size == 0 { "short".to_owned() } else { format!("{value_size} bytes") };
    format!(
        "Load of each side: {}, {}, {}; {pace:?} between operations, values {size}, {} for each \
         round trip.",
        count(writers, "writer", "writers"),
        count(readers, "reader", "readers"),
        count(blocked, "blocked reader", "blocked readers"),
        count(pipeline as usize, "write", "writes"),
    )
}

fn section(html: &mut String, ways: &[SwitchOn], result: &Series) {
    let runs: Vec<&[Report]> = result.reports.chunks(ways.len().max(1)).collect();
    let (class, word) =
        if result.is_good() { ("kept", "all promises kept") } else { ("broken", "not all well") };
    let _ = write!(
        html,
        "<section>\n<h2>{}<span class=\"verdict {class}\">{word}</span></h2>\n\
         <p class=\"soft\">{}</p>\n",
        result.fault,
        Escaped(result.fault.story())
    );
    if let [run] = runs[..] {
        let reports: Vec<&Report> = run.iter().collect();
        for report in run {
            picture(html, report, run.len() > 1);
        }
        html.push_str("<div class=\"columns\"><div><h3>Figures</h3>");
        html.push_str(&figures::single(&reports));
        html.push_str("</div><div>");
        for report in run {
            verdicts(html, report, run.len() > 1);
        }
        html.push_str("</div></div>\n");
        run.iter().for_each(|report| each_failover(html, report));
    } else {
        several(html, ways, result, &runs);
    }
    html.push_str("</section>\n");
}

fn several(html: &mut String, ways: &[SwitchOn], result: &Series, runs: &[&[Report]]) {
    let sides: Vec<_> = ways.iter().map(|way| (*way, result.of_side(*way))).collect();
    let _ = write!(html, "<h3>{} runs</h3>", runs.len());
    html.push_str(&figures::spread(&sides, result.targets));
    for (run, number) in runs.iter().zip(1..) {
        let broken: usize = run.iter().map(|report| contract::broken(report).len()).sum();
        let verdict = match broken {
            0 => "<span class=\"verdict kept\">kept</span>".to_owned(),
            count => format!("<span class=\"verdict broken\">{count} broken</span>"),
        };
        let first_write = run.iter().map(|report| {
            let ms = report.worst(|turn| turn.first_write);
            ms.map_or_else(|| "none".to_owned(), |ms| format!("{ms:.1} ms"))
        });
        let first_write = first_write.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            html,
            "<details><summary>run {number}: first write {first_write}{verdict}</summary>"
        );
        for report in *run {
            picture(html, report, run.len() > 1);
            verdicts(html, report, run.len() > 1);
            each_failover(html, report);
        }
        html.push_str("</details>\n");
    }
}

fn picture(html: &mut String, report: &Report, named: bool) {
    let side = if named { format!("switch on {}, ", report.switch_on) } else { String::new() };
    let marks = Mark::of(report);
    let _ = writeln!(
        html,
        "<h3>{side}{}</h3>\n<div class=\"scroll\">{}</div>\n{}",
        Escaped(&report.path()),
        timeline(report),
        legend(|letter| marks.iter().any(|mark| mark.letter == letter))
    );
}

fn verdicts(html: &mut String, report: &Report, named: bool) {
    let side = if named { format!(", switch on {}", report.switch_on) } else { String::new() };
    let _ = write!(html, "<h3>Promises{side}</h3><ul>");
    for Verdict { promise, breaches } in contract::verdicts(report) {
        let class = if breaches.is_empty() { "kept" } else { "broken" };
        let _ = write!(html, "<li class=\"{class}\">{}", Escaped(promise));
        for breach in breaches {
            let _ = write!(html, "<br><em>{}</em>", Escaped(&breach));
        }
        html.push_str("</li>");
    }
    html.push_str("</ul>");
}

fn each_failover(html: &mut String, report: &Report) {
    if report.turns.len() > 1 {
        let _ = write!(html, "<h3>Each failover, switch on {}</h3>", report.switch_on);
        html.push_str(&figures::failovers(report));
    }
}
