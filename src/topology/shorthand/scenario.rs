//! What scenario files add: short names for addresses, and answers that come over the wire.

use std::time::Duration;

use crate::{
    address::Address,
    topology::{Action, Answer, Input, Reply},
};

use super::{
    action::shown,
    read::{read_inputs, shortened},
    wire,
};

/// The inputs that a line of a scenario stands for. Each answer is what the replies that say it are
/// parsed into, over RESP2 and over RESP3.
pub(crate) fn inputs(line: &str) -> Vec<Input> {
    let inputs = read_inputs(line).unwrap_or_else(|fault| panic!("{fault}"));
    for input in &inputs {
        if let Input::Answer { answer, .. } = input {
            for resp3 in [false, true] {
                let replies = wire::replies(answer, resp3);
                let lists: Vec<Reply> = replies.iter().map(wire::as_it_came).collect();
                assert_eq!(Answer::parse(&lists), *answer, "{line}");
                let values: Vec<Reply> = replies.into_iter().map(Reply::Value).collect();
                assert_eq!(Answer::parse(&values), *answer, "{line}");
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
