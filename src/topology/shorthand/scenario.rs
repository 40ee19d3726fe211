//! What scenario files add: short names for addresses, and answers that come over the wire.

use std::time::Duration;

use crate::{
    address::Address,
    topology::{Action, Answer, Input},
};

use super::{action::shown, read::read_inputs, wire};

/// The inputs that a line of a scenario stands for. Each answer is what the replies that say it are
/// parsed into, over RESP2 and over RESP3.
pub(crate) fn inputs(line: &str) -> Vec<Input> {
    let inputs = read_inputs(line).unwrap_or_else(|fault| panic!("{fault}"));
    for input in &inputs {
        if let Input::Answer { answer, .. } = input {
            for resp3 in [false, true] {
                assert_eq!(Answer::parse(&wire::replies(answer, resp3)), *answer, "{line}");
            }
        }
    }
    inputs
}

/// Actions as text, with short names.
pub(crate) fn shown_shortened(actions: &[Action]) -> Vec<String> {
    shown(actions).iter().map(|line| shortened(line)).collect()
}

pub(crate) fn address(text: &str) -> Address {
    super::read::address(text).unwrap_or_else(|fault| panic!("{fault}"))
}

/// The number of a sentinel that has a short name.
pub(super) fn number(sentinel: &Address) -> Option<u8> {
    shortened(&sentinel.to_string()).strip_prefix('s')?.parse().ok()
}

pub(crate) fn shortened(text: &str) -> String {
    let mut out = text.to_owned();
    for number in (1..=9).rev() {
        out = out
            .replace(&format!("10.0.0.{number}:26379"), &format!("s{number}"))
            .replace(&format!("10.0.1.{number}:6379"), &format!("n{number}"));
    }
    out
}

/// `250ms` or `1.5s`.
pub(crate) fn duration(text: &str) -> Duration {
    let parsed = match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text
            .strip_suffix('s')
            .and_then(|number| number.parse().ok())
            .map(Duration::from_secs_f64),
    };
    parsed.unwrap_or_else(|| panic!("{text:?} is no time: 250ms or 1.5s"))
}
