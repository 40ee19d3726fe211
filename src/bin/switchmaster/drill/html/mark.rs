//! Instants that stand out in a picture: [`Mark`].

use crate::drill::report::Report;

/// What happened, and when.
pub(crate) struct Mark {
    pub(crate) at: f64,
    pub(crate) letter: char,
    /// The class that gives it its colour.
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

impl Mark {
    /// Those of all failovers of a drill, in their order.
    pub(crate) fn of(report: &Report) -> Vec<Mark> {
        let several = report.turns.len() > 1;
        let mut marks = Vec::new();
        for (turn, number) in report.turns.iter().zip(1..) {
            let all = [
                ('F', "fault", "fault", Some(turn.struck)),
                ('P', "promotion", "promotion", turn.promotion),
                ('H', "healed", "end of the partition", turn.healed),
                ('S', "switch", "switch of the factory", turn.switch),
                ('A', "announced", "first +switch-master", turn.announcement),
            ];
            let which = if several { format!(" of failover {number}") } else { String::new() };
            marks.extend(all.into_iter().filter_map(|(letter, class, what, at)| {
                let at = turn.offset + at?;
                let text = format!("{letter} {what}{which}: {at:.1} ms");
                Some(Mark { at, letter, class, text })
            }));
        }
        marks.sort_by(|a, b| a.at.total_cmp(&b.at));
        marks
    }
}

/// Where the name of each mark stands, of marks that are in order: as near as possible, and so far
/// apart that none hides another.
pub(crate) fn spread(places: &[f64], apart: f64, right: f64) -> Vec<f64> {
    let mut spread: Vec<f64> = places.to_vec();
    for index in 1..spread.len() {
        spread[index] = spread[index].max(spread[index - 1] + apart);
    }
    let mut limit = right;
    for place in spread.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - apart;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_marks_keep_their_distance() {
        assert_eq!(spread(&[10.0, 50.0, 52.0, 53.0], 14.0, 200.0), [10.0, 50.0, 64.0, 78.0]);
        assert_eq!(spread(&[10.0, 95.0, 99.0], 14.0, 100.0), [10.0, 86.0, 100.0]);
        assert!(spread(&[], 14.0, 100.0).is_empty());
    }
}
