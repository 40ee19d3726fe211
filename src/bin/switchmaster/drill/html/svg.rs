//! The timeline of one drill as SVG: [`timeline`].

use std::fmt::Write;

use super::{
    axis::Axis,
    escape::Escaped,
    lane::{Piece, WAIT, pieces},
    mark::{self, Mark},
    throughput::{SLICE, Throughput},
};
use crate::drill::{
    operation::Track,
    report::{Happening, Report},
};

/// What is shown of the time before anything was done.
const BEFORE: f64 = 300.0;

const WIDTH: f64 = 1000.0;
/// Room for names.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 14.0;
const MARKS: f64 = 26.0;
const CHART: f64 = 130.0;
const ROW: f64 = 20.0;
const LANE: f64 = 14.0;
const GAP: f64 = 10.0;
const AXIS: f64 = 24.0;
/// Between the names of two marks.
const APART: f64 = 15.0;

/// Draws it. What is drawn tells more in its title, and the chart in data that the script reads.
pub(crate) fn timeline(report: &Report) -> String {
    let from = ((report.began - BEFORE) / SLICE).floor() * SLICE;
    let axis = Axis { from, to: report.stopped, left: LEFT, width: WIDTH - LEFT - RIGHT };
    let marks = Mark::of(report);
    let chart = MARKS;
    let rows = chart + CHART + GAP;
    let lanes = rows + 2.0 * ROW + GAP;
    let bottom = lanes + report.tracks.len() as f64 * LANE + 2.0;
    let height = bottom + AXIS;

    let mut body = String::new();
    grid(&mut body, &axis, chart, bottom);
    for fence in &report.fences {
        let (x, width) = stretch(&axis, fence.from, fence.to, 1.0);
        let _ = write!(
            body,
            "<rect class=\"fence\" x=\"{x:.1}\" y=\"{chart}\" width=\"{width:.1}\" height=\"{:.1}\">\
             <title>commands are held for {:.1} ms: {}</title></rect>",
            bottom - chart,
            fence.to - fence.from,
            Escaped(&fence.text)
        );
    }
    let done = Throughput::of(&report.tracks, report.zero, axis.from, axis.to);
    throughput(&mut body, &axis, &done, chart);
    row(&mut body, &axis, "events", "event", rows, &report.events);
    row(&mut body, &axis, "done", "step", rows + ROW, &report.steps);
    for (index, track) in report.tracks.iter().enumerate() {
        lane(&mut body, &axis, track, report, lanes + index as f64 * LANE);
    }
    lines(&mut body, &axis, &marks, chart, bottom);

    let join = |counts: &[u32]| counts.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    format!(
        "<svg class=\"timeline\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-label=\"Timeline of {}, switch on {}\" data-from=\"{}\" data-to=\"{:.1}\" \
         data-left=\"{LEFT}\" data-width=\"{}\" data-slice=\"{SLICE}\" data-writes=\"{}\" \
         data-reads=\"{}\">{body}<line class=\"cursor\" y1=\"{chart}\" y2=\"{bottom:.1}\"/></svg>",
        report.fault,
        report.switch_on,
        axis.from,
        axis.to,
        axis.width,
        join(&done.writes),
        join(&done.reads),
    )
}

/// Where something begins and how wide it is, which is `least` at least.
fn stretch(axis: &Axis, from: f64, to: f64, least: f64) -> (f64, f64) {
    let (left, right) = (axis.x(from), axis.x(to));
    (left, (right - left).max(least))
}

fn grid(body: &mut String, axis: &Axis, top: f64, bottom: f64) {
    for tick in axis.ticks() {
        let (x, y) = (axis.x(tick), bottom + 15.0);
        let anchor = match x {
            x if x > WIDTH - RIGHT - 20.0 => "end",
            _ => "middle",
        };
        let _ = write!(
            body,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom:.1}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            axis.name(tick)
        );
    }
}

fn throughput(body: &mut String, axis: &Axis, done: &Throughput, top: f64) {
    let most = f64::from(done.most());
    let bottom = top + CHART;
    let y = |count: u32| bottom - f64::from(count) / most * CHART;
    let step = |counts: &[u32]| {
        let mut path = String::new();
        let mut last = None;
        for (index, count) in counts.iter().enumerate() {
            let x = axis.x(axis.from + index as f64 * SLICE);
            if last != Some(*count) {
                let _ = write!(path, "H{x:.1}V{:.1}", y(*count));
                last = Some(*count);
            }
        }
        let _ = write!(path, "H{:.1}V{bottom:.1}", axis.x(axis.to));
        path
    };
    let start = format!("M{:.1} {bottom:.1}", axis.left);
    let _ = write!(
        body,
        "<path class=\"writes\" d=\"{start}{}Z\"/><path class=\"reads\" d=\"{start}{}\"/>\
         <line class=\"base\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{bottom}\" y2=\"{bottom}\"/>",
        step(&done.writes),
        step(&done.reads),
        axis.left + axis.width
    );
    let names = [(top + 10.0, done.most().to_string()), (top + 24.0, format!("in {SLICE} ms"))];
    for (y, name) in names {
        label(body, y, &name);
    }
    label(body, bottom, "0");
}

fn label(body: &mut String, y: f64, name: &str) {
    let x = LEFT - 8.0;
    let name = Escaped(name);
    let _ = write!(body, "<text class=\"name\" x=\"{x}\" y=\"{y:.1}\">{name}</text>");
}

/// Diamonds; what happened within one of them is told together.
fn row(
    body: &mut String,
    axis: &Axis,
    name: &str,
    class: &str,
    top: f64,
    happenings: &[Happening],
) {
    label(body, top + 13.0, name);
    let middle = top + ROW / 2.0;
    let mut groups: Vec<(f64, Vec<&Happening>)> = Vec::new();
    for happening in happenings {
        let x = axis.x(happening.at);
        match groups.last_mut() {
            Some((at, group)) if x - *at < 4.0 => group.push(happening),
            _ => groups.push((x, vec![happening])),
        }
    }
    for (x, group) in groups {
        let texts: Vec<String> =
            group.iter().map(|one| format!("{:.1} ms: {}", one.at, one.text)).collect();
        let size = if group.len() > 1 { 5.5 } else { 4.5 };
        let _ = write!(
            body,
            "<path class=\"{class}\" d=\"M{:.1} {middle}l{size} {size}l-{size} {size}l-{size} \
             -{size}z\" transform=\"translate(0 -{size})\"><title>{}</title></path>",
            x,
            Escaped(&texts.join("\n"))
        );
    }
}

fn lane(body: &mut String, axis: &Axis, track: &Track, report: &Report, top: f64) {
    label(body, top + LANE - 3.5, &track.name());
    let (y, height) = (top + 2.0, LANE - 4.0);
    // Those who pause are shown as busy while they do.
    let gap = 8.0f64.max(axis.unit() * 1.5);
    let mut busy = String::new();
    let mut above = String::new();
    for piece in pieces(track, report.zero, gap) {
        match piece {
            Piece::Busy { from, to } => {
                let (x, width) = stretch(axis, from, to, 1.0);
                let _ = write!(busy, "M{x:.1} {y}h{width:.1}v{height}h-{width:.1}z");
            }
            Piece::Wait { from, to } => {
                let text = format!("one operation took {:.1} ms", to - from);
                waiting(&mut above, axis, track, "wait", (from, to, y + height / 2.0), &text);
            }
            Piece::Error { from, to, text } => {
                let (x, middle) = (axis.x(to), top + LANE / 2.0);
                let after = to - from;
                let text = format!("error at {to:.1} ms, after {after:.1} ms\n{text}");
                if after > WAIT {
                    waiting(&mut above, axis, track, "vain", (from, to, y + height / 2.0), &text);
                }
                let _ = write!(
                    above,
                    "<path class=\"error\" d=\"M{:.1} {:.1}l6 6m0 -6l-6 6\"><title>{}: {}</title>\
                     </path>",
                    x - 3.0,
                    middle - 3.0,
                    track.name(),
                    Escaped(&text)
                );
            }
        }
    }
    let class = track.duty.as_str();
    let _ = write!(body, "<path class=\"busy {class}\" d=\"{busy}\"/>{above}");
}

/// One operation that took long, in the middle of a lane.
fn waiting(
    body: &mut String,
    axis: &Axis,
    track: &Track,
    class: &str,
    (from, to, middle): (f64, f64, f64),
    text: &str,
) {
    let (x, width) = stretch(axis, from, to, 1.0);
    let _ = write!(
        body,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"4\">\
         <title>{}: {}</title></rect>",
        middle - 2.0,
        track.name(),
        Escaped(text)
    );
}

/// The marks as lines through everything, with their letters at the top.
fn lines(body: &mut String, axis: &Axis, marks: &[Mark], top: f64, bottom: f64) {
    let places: Vec<f64> = marks.iter().map(|mark| axis.x(mark.at)).collect();
    let names = mark::spread(&places, APART, WIDTH - 7.0);
    for ((mark, x), name) in marks.iter().zip(&places).zip(names) {
        let Mark { class, letter, text, .. } = mark;
        let _ = write!(
            body,
            "<g class=\"mark {class}\"><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" \
             y2=\"{bottom:.1}\"/><path d=\"M{name:.1} 19L{x:.1} {top}\"/><circle cx=\"{name:.1}\" \
             cy=\"12\" r=\"7\"/><text x=\"{name:.1}\" y=\"15.5\">{letter}</text>\
             <title>{}</title></g>",
            Escaped(text)
        );
    }
}
