//! A drill as a picture: a line per worker, a column per slice of time.

use std::{fmt::Write, time::Instant};

use super::{millis::millis, operation::Track, report::Report, turn::Turn};
use crate::wrap::WIDTH;

/// The width of the names of workers.
const NAMES: usize = 11;
const COLUMNS: usize = WIDTH - NAMES;
/// What is shown of the time before the fault.
const BEFORE: f64 = 300.0;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['.', ':', '-', '=', '+', '*', '%', '@'];

/// Draws it, with blocks or with ASCII characters only.
pub(crate) fn draw(report: &Report, ascii: bool) -> String {
    let axis = Axis::of(report);
    let levels = if ascii { &ASCII } else { &BLOCKS };
    let mut text = format!("{}, switch on {}\n", report.fault, report.switch_on);
    for track in &report.tracks {
        let _ = writeln!(text, "{:<NAMES$}{}", track.name(), lane(track, &axis, levels));
    }
    let marks: Vec<(char, Option<f64>)> = report
        .turns
        .iter()
        .flat_map(|turn| {
            let after = |ms: Option<f64>| ms.map(|ms| turn.offset + ms);
            [
                ('F', after(Some(turn.struck))),
                ('P', after(turn.promotion)),
                ('H', after(turn.healed)),
                ('S', after(turn.switch)),
                ('A', after(turn.announcement)),
            ]
        })
        .collect();
    let _ = writeln!(text, "{:NAMES$}{}", "", axis.marks(&marks));
    let (left, right) = (format!("{:.0} ms", axis.start), format!("{:.0} ms", axis.end()));
    let gap = COLUMNS.saturating_sub(left.len());
    let _ = writeln!(text, "{:NAMES$}{left}{right:>gap$}", "");
    let has = |of: fn(&Turn) -> Option<f64>| report.turns.iter().any(|turn| of(turn).is_some());
    let legend = match (has(|turn| turn.promotion), has(|turn| turn.healed)) {
        (_, true) => "F fault, P promotion, H healed, S switch, A +switch-master, x error",
        (true, _) => "F fault, P promotion, S switch, A first +switch-master, x error",
        (false, _) => "F fault, S switch, A first +switch-master, x error",
    };
    let _ = writeln!(text, "{:NAMES$}{legend}", "");
    text
}

struct Axis {
    zero: Instant,
    /// Milliseconds after zero.
    start: f64,
    step: f64,
}

impl Axis {
    fn of(report: &Report) -> Axis {
        let start = report.began - BEFORE;
        Axis { zero: report.zero, start, step: (report.stopped - start) / COLUMNS as f64 }
    }

    fn end(&self) -> f64 {
        self.start + self.step * COLUMNS as f64
    }

    fn column(&self, at: f64) -> Option<usize> {
        let column = ((at - self.start) / self.step).floor();
        (0.0..COLUMNS as f64).contains(&column).then_some(column as usize)
    }

    /// The marks in their order in time, each in its column or in the next that is free.
    fn marks(&self, marks: &[(char, Option<f64>)]) -> String {
        let mut marks: Vec<(f64, char)> =
            marks.iter().filter_map(|(mark, at)| at.map(|at| (at, *mark))).collect();
        marks.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut row = vec![' '; COLUMNS];
        let mut free = 0;
        for (at, mark) in marks {
            let column = self.column(at).unwrap_or(0).max(free);
            if let Some(place) = row.get_mut(column) {
                *place = mark;
            }
            free = column + 1;
        }
        row.into_iter().collect::<String>().trim_end().to_owned()
    }
}

fn lane(track: &Track, axis: &Axis, levels: &[char; 8]) -> String {
    let mut done = [0usize; COLUMNS];
    let mut failed = [false; COLUMNS];
    for operation in &track.operations {
        let Some(column) = axis.column(millis(axis.zero, operation.ended)) else { continue };
        match operation.trouble {
            None => done[column] += 1,
            Some(_) => failed[column] = true,
        }
    }
    let most = done.iter().copied().max().unwrap_or(0).max(1);
    let row: String = done
        .iter()
        .zip(failed)
        .map(|(&count, failed)| match count {
            _ if failed => 'x',
            0 => ' ',
            count => levels[(count * levels.len()).div_ceil(most).clamp(1, levels.len()) - 1],
        })
        .collect();
    row.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_meet_stand_side_by_side() {
        let axis = Axis { zero: Instant::now(), start: 0.0, step: 10.0 };
        let marks = [('F', Some(20.0)), ('P', Some(55.0)), ('S', Some(51.0)), ('A', None)];
        assert_eq!(axis.marks(&marks), "  F  SP");
    }
}
