//! Commands as RESP, in one pass: [`begin`], each [`word`], [`end`].

use redis::{Arg, Cmd};

/// More than a word has around it.
const FRAMING: usize = 32;

/// Begins a command of so many words.
#[inline]
pub(crate) fn begin(into: &mut Vec<u8>, words: usize) {
    into.push(b'*');
    push_number(into, words);
}

/// Appends the next word.
#[inline]
pub(crate) fn word(into: &mut Vec<u8>, bytes: &[u8]) {
    into.reserve(bytes.len() + FRAMING);
    into.extend_from_slice(b"\r\n$");
    push_number(into, bytes.len());
    into.extend_from_slice(b"\r\n");
    into.extend_from_slice(bytes);
}

/// Ends the command.
#[inline]
pub(crate) fn end(into: &mut Vec<u8>) {
    into.extend_from_slice(b"\r\n");
}

/// Appends a command of redis-rs, which itself goes over the words twice; nothing when it is empty.
pub(super) fn command(into: &mut Vec<u8>, command: &Cmd) {
    let mut words = command.args_iter();
    // The number in place of a cursor is known to redis-rs alone.
    if command.in_scan_mode() {
        return command.write_packed_command(into);
    }
    if words.len() == 0 {
        return;
    }
    begin(into, words.len());
    while let Some(Arg::Simple(own)) = words.next() {
        word(into, own);
    }
    end(into);
}

/// Appends a number in decimal. Most have one digit or two, which are not worth a call.
#[inline]
fn push_number(into: &mut Vec<u8>, number: usize) {
    match number {
        0..10 => into.push(b'0' + number as u8),
        10..100 => push_pair(into, number),
        _ => push_long(into, number),
    }
}

fn push_long(into: &mut Vec<u8>, number: usize) {
    push_number(into, number / 100);
    push_pair(into, number % 100);
}

#[inline]
fn push_pair(into: &mut Vec<u8>, number: usize) {
    into.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(cmd: &Cmd) -> Vec<u8> {
        let mut bytes = Vec::new();
        command(&mut bytes, cmd);
        bytes
    }

    proptest! {
        #[test]
        fn commands_are_encoded_as_redis_does(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..200),
        ) {
            let mut cmd = Cmd::new();
            cmd.arg(words);
            prop_assert_eq!(encoded(&cmd), cmd.get_packed_command());
        }
    }

    #[test]
    fn a_cursor_is_encoded_too() {
        let mut cmd = redis::cmd("SSCAN");
        cmd.arg("key").cursor_arg(17).arg("COUNT").arg(1000);
        assert_eq!(encoded(&cmd), cmd.get_packed_command());
    }
}
