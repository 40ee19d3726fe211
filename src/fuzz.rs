//! What the fuzzers in `fuzz/` drive: the parts that read what others wrote, each held to what it
//! promises. Compiled for them alone.

use std::time::{Duration, Instant};

use redis::Value;

use crate::{
    Builder,
    config::Config,
    connection::{Decoder, Limits, commands_pass, raw_replies, skimmed},
    topology::{self, Answer, Audience, Input, Machine, read_inputs, written},
};

/// Small enough that no input fills the memory.
const LIMITS: Limits =
    Limits { max_bulk: 1 << 16, max_elements: 1 << 12, max_depth: 16, max_line: 1 << 10 };

/// Reads replies until something is wrong, from pieces that end after each of these lengths.
fn decoded(bytes: &[u8], mut pieces: impl Iterator<Item = usize>) -> (Vec<Value>, bool) {
    let mut decoder = Decoder::new(LIMITS);
    let (mut values, mut rest) = (Vec::new(), bytes);
    loop {
        loop {
            match decoder.next() {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(_) => return (values, false),
            }
        }
        if rest.is_empty() {
            return (values, true);
        }
        let piece = pieces.next().unwrap_or(rest.len()).clamp(1, rest.len());
        decoder.feed(&rest[..piece]);
        rest = &rest[piece..];
    }
}

/// Replies are the same in whatever pieces they arrive, and what redis-rs reads is what we read.
pub fn replies(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let (whole, sound) = decoded(bytes, std::iter::empty());
    let pieces = decoded(bytes, std::iter::repeat(usize::from(*first) % 17 + 1));
    assert_eq!((&whole, sound), (&pieces.0, pieces.1));
    if let (Some(ours), Ok(theirs)) = (whole.first(), redis::parse_redis_value(bytes)) {
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
    // Who only looks for their ends finds as many, and who watches them pass by does.
    let piece = usize::from(*first) % 23 + 1;
    let found = raw_replies(bytes, piece, LIMITS);
    let passed = skimmed(bytes, piece, LIMITS);
    if sound {
        assert_eq!((found, passed), (Some(whole.len()), Some(whole.len())));
    }
    commands_pass(bytes, piece);
}

/// What a sentinel publishes and answers is read, and a machine takes it, whatever it is.
pub fn sentinels(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (channel, rest) = (String::from_utf8_lossy(&data[..end]).into_owned(), &data[end + 1..]);
    let _ = Audience::of(&channel, rest);
    let answer = Answer::parse(&decoded(rest, std::iter::empty()).0);
    let sentinel = "s1:26379".parse().expect("it is an address");
    let up = read_inputs("up s1:26379").expect("it is an input");
    let start = read_inputs("start s1:26379").expect("it is an input");
    let payload = rest.to_vec();
    let message = Input::Message { sentinel, channel, payload };
    let answer = Input::Answer { sentinel: "s1:26379".parse().expect("it is an address"), answer };
    for input in [&message, &answer] {
        let line = written(input);
        assert_eq!(read_inputs(&line).as_deref(), Ok(&[input.clone()][..]), "{line}");
    }
    drive(start.into_iter().chain(up).chain([message.clone(), answer, message]));
}

/// Whatever happens, in whatever order: one input a line, as in `tests/recordings`.
pub fn happenings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    drive(text.lines().filter_map(|line| read_inputs(line).ok()).flatten());
}

fn drive(inputs: impl Iterator<Item = Input>) {
    let config = Builder::new().sentinel("s1").service("mymaster").into_config();
    let mut machine = Machine::new(config.expect("it is sound").rules());
    let mut now = Instant::now();
    for (count, input) in inputs.enumerate() {
        now += Duration::from_millis(count as u64 * 7 % 400);
        let actions = machine.handle(now, input);
        let _ = topology::shown(&actions);
        assert!(machine.next_wake().is_none_or(|wake| wake > now - Duration::from_secs(3600)));
        let _ = machine.topology();
    }
}

/// A URL is refused with an error that shows no password, or says what it said when it is printed.
pub fn urls(data: &[u8]) {
    let Ok(url) = std::str::from_utf8(data) else { return };
    let read = |url: &str| -> Option<Config> { Builder::from_url(url).ok()?.into_config().ok() };
    let Some(config) = read(url) else { return };
    let printed = config.to_string();
    if !printed.contains("***") {
        assert_eq!(read(&printed).as_ref(), Some(&config), "{printed}");
    }
}
