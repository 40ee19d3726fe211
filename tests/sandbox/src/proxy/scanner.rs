//! Which bytes of a server are let through, frame by frame: [`Scanner`].

use std::time::Duration;

use super::fault::Fault;
use crate::frame::{Frame, Protocol};

/// Follows the frames of a server, so that messages can be told from replies at any time.
#[derive(Default)]
pub(super) struct Scanner {
    /// The frame that is not complete yet.
    frame: Vec<u8>,
    /// How much of it has been let through.
    passed: usize,
    /// Whether this is not RESP, so that there is nothing to tell apart.
    foreign: bool,
}

impl Scanner {
    /// Appends what is let through of `bytes`, and of what came before, to `out`, and says how many
    /// messages were not.
    pub(super) fn scan(&mut self, bytes: &[u8], fault: Fault, out: &mut Vec<u8>) -> usize {
        self.frame.extend_from_slice(bytes);
        let (mut at, mut swallowed) = (0, 0);
        while !self.foreign && at < self.frame.len() {
            match Frame::decode(&self.frame[at..]) {
                Ok(Some((frame, length))) => {
                    // Only a frame of which nothing has passed can be another one, or none.
                    let fault = if self.passed == 0 { fault } else { Fault::Pass };
                    let later = match fault {
                        Fault::ClockAhead(by) => later(&frame, by),
                        _ => None,
                    };
                    match later {
                        Some(later) => later.encode(Protocol::Resp2, out),
                        None if fault == Fault::SwallowPubsub && is_message(&frame) => {
                            swallowed += 1;
                        }
                        None => out.extend_from_slice(&self.frame[at + self.passed..at + length]),
                    }
                    self.passed = 0;
                    at += length;
                }
                Ok(None) => break,
                Err(_) => self.foreign = true,
            }
        }
        self.frame.drain(..at);
        if self.foreign || !fault.is_about_frames() || self.passed > 0 {
            out.extend_from_slice(&self.frame[self.passed..]);
            self.passed = self.frame.len();
        }
        if self.foreign {
            self.frame.clear();
            self.passed = 0;
        }
        swallowed
    }
}

fn is_message(frame: &Frame) -> bool {
    let items = frame.items();
    let kind = items.first().map(Frame::text).unwrap_or_default();
    matches!((kind.as_str(), items.len()), ("message" | "smessage", 3) | ("pmessage", 4))
}

/// The reply to `TIME`, which is seconds and microseconds, at a later time; none for any other frame.
fn later(frame: &Frame, by: Duration) -> Option<Frame> {
    let [Frame::Bulk(seconds), Frame::Bulk(micros)] = frame.items() else { return None };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
    let told = Duration::from_secs(number(seconds)?) + Duration::from_micros(number(micros)?);
    let later = told + by;
    let words = [later.as_secs().to_string(), later.subsec_micros().to_string()];
    Some(Frame::Array(words.iter().map(Frame::bulk).collect()))
}
