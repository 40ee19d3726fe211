//! What one worker did, as pieces of its lane: [`Piece`], [`pieces`].

use std::time::Instant;

use crate::drill::{millis::millis, operation::Track};

/// An operation that takes longer than this is shown as one that waited.
pub(crate) const WAIT: f64 = 25.0;

#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    /// One operation after the other was done.
    Busy { from: f64, to: f64 },
    /// One operation that took long, and was done.
    Wait { from: f64, to: f64 },
    /// One that failed.
    Error { from: f64, to: f64, text: String },
}

/// The pieces of a lane, where what is nearer than `gap` milliseconds is drawn as one.
pub(crate) fn pieces(track: &Track, zero: Instant, gap: f64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut busy: Option<(f64, f64)> = None;
    let close = |busy: &mut Option<(f64, f64)>, pieces: &mut Vec<Piece>| {
        pieces.extend(busy.take().map(|(from, to)| Piece::Busy { from, to }));
    };
    for operation in &track.operations {
        let (from, to) = (millis(zero, operation.began), millis(zero, operation.ended));
        if let Some(trouble) = &operation.trouble {
            close(&mut busy, &mut pieces);
            let text =
                format!("{}, {}: {}", trouble.outcome.as_str(), trouble.kind, trouble.message);
            pieces.push(Piece::Error { from, to, text });
        } else if to - from > WAIT {
            close(&mut busy, &mut pieces);
            pieces.push(Piece::Wait { from, to });
        } else {
            match &mut busy {
                Some((_, end)) if from - *end <= gap => *end = to,
                _ => {
                    close(&mut busy, &mut pieces);
                    busy = Some((from, to));
                }
            }
        }
    }
    close(&mut busy, &mut pieces);
    pieces
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use switchmaster::Outcome;

    use super::*;
    use crate::drill::operation::{Duty, Operation, Trouble};

    #[test]
    fn a_lane_shows_work_waits_and_errors() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let done = |began, ended| Operation {
            began: at(began),
            ended: at(ended),
            generation: 1,
            number: 0,
            count: 1,
            trouble: None,
        };
        let trouble = Trouble {
            outcome: Outcome::Unknown,
            kind: "disconnected",
            message: "it broke".to_owned(),
        };
        let failed = Operation { trouble: Some(trouble), ..done(50, 60) };
        let operations = vec![done(0, 1), done(6, 7), done(40, 41), failed, done(61, 100)];
        let track = Track { duty: Duty::Write, index: 0, operations, running: None };
        assert_eq!(
            pieces(&track, zero, 8.0),
            [
                Piece::Busy { from: 0.0, to: 7.0 },
                Piece::Busy { from: 40.0, to: 41.0 },
                Piece::Error {
                    from: 50.0,
                    to: 60.0,
                    text: "unknown, disconnected: it broke".to_owned()
                },
                Piece::Wait { from: 61.0, to: 100.0 },
            ]
        );
    }
}
