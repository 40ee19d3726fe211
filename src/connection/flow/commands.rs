//! Commands that go out in pieces of any size: [`Commands`] reads what they are about to do.

use crate::connection::command::Facts;

/// So much of an argument matters at most: a command's name, a timeout, an option.
const SEEN: usize = 32;
/// A line that announces a length has no more bytes than this.
const LINE: usize = 24;

/// The place in a stream of commands.
#[derive(Default)]
pub(super) struct Commands {
    /// What has gone out of a line that is not complete.
    line: Vec<u8>,
    /// Arguments that are to come, the one that is under way included.
    arguments: usize,
    /// So many bytes of it are to come, its line end included.
    bytes: usize,
    /// So many of those are still to be seen.
    to_see: usize,
    /// The command, with its long arguments cut short.
    seen: Vec<u8>,
}

/// What is no command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Commands {
    /// Whether the last command is complete.
    pub(super) fn is_at_start(&self) -> bool {
        self.arguments == 0 && self.line.is_empty()
    }

    /// Reads outgoing bytes, inside a transaction or not, and reports the commands that they
    /// complete: one by one, or several of which at most the last subscribes.
    pub(super) fn pass(
        &mut self,
        mut bytes: &[u8],
        mut in_multi: bool,
        mut each: impl FnMut(Facts),
    ) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            // Most come whole, and are read together where they lie: a tenth of the cost.
            if self.is_at_start() {
                let (facts, len) = Facts::of_front(bytes, in_multi);
                if len > 0 {
                    in_multi = facts.in_multi;
                    each(facts);
                    bytes = &bytes[len..];
                    continue;
                }
            }
            if self.bytes > 0 {
                let taken = self.bytes.min(bytes.len());
                let seen = self.to_see.min(taken);
                self.seen.extend_from_slice(&bytes[..seen]);
                self.to_see -= seen;
                self.bytes -= taken;
                bytes = &bytes[taken..];
                if self.bytes == 0 {
                    self.seen.extend_from_slice(b"\r\n");
                    self.arguments -= 1;
                    if self.arguments == 0 {
                        let facts = Facts::of_one(&self.seen, in_multi);
                        in_multi = facts.in_multi;
                        each(facts);
                        self.seen.clear();
                    }
                }
                continue;
            }
            let found = bytes.iter().take(LINE + 1).position(|&byte| byte == b'\n');
            let taken = found.map_or(bytes.len(), |at| at + 1);
            if self.line.len() + taken > LINE {
                return Err(Malformed);
            }
            self.line.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if found.is_some() {
                self.line()?;
            }
        }
        Ok(())
    }

    fn line(&mut self) -> Result<(), Malformed> {
        let line = self.line.strip_suffix(b"\r\n").ok_or(Malformed)?;
        let (&kind, digits) = line.split_first().ok_or(Malformed)?;
        let number = number(digits).ok_or(Malformed)?;
        match (kind, self.arguments) {
            (b'*', 0) if number > 0 => {
                self.arguments = number;
                self.seen.extend_from_slice(&self.line);
            }
            (b'$', 1..) => {
                self.bytes = number.checked_add(2).ok_or(Malformed)?;
                self.to_see = number.min(SEEN);
                // Its length, of two digits at most.
                self.seen.push(b'$');
                self.seen.extend((self.to_see >= 10).then(|| b'0' + (self.to_see / 10) as u8));
                self.seen.extend([b'0' + (self.to_see % 10) as u8, b'\r', b'\n']);
            }
            _ => return Err(Malformed),
        }
        self.line.clear();
        Ok(())
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    let mut number = 0usize;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    (!digits.is_empty()).then_some(number)
}

const _: () = assert!(SEEN < 100, "what is seen has a length of two digits");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::connection::command::Effect;

    /// The commands that went out in pieces: their number, and their effects.
    type Passed = (usize, bool, Vec<(usize, Effect)>);

    fn passed(bytes: &[u8], cut: usize) -> Result<Passed, Malformed> {
        let mut commands = Commands::default();
        let (mut count, mut in_multi, mut effects) = (0, false, Vec::new());
        for piece in bytes.chunks(cut) {
            commands.pass(piece, in_multi, |facts| {
                effects
                    .extend(facts.effects.iter().map(|(index, effect)| (count + index, *effect)));
                count += facts.commands;
                in_multi = facts.in_multi;
            })?;
        }
        assert!(commands.is_at_start());
        Ok((count, in_multi, effects))
    }

    fn word() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            proptest::sample::select(vec![
                "MULTI",
                "EXEC",
                "WATCH",
                "SELECT",
                "3",
                "SUBSCRIBE",
                "AUTH"
            ])
            .prop_map(|word| word.as_bytes().to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn every_command_is_told_once_however_it_is_cut(
            commands in proptest::collection::vec(proptest::collection::vec(word(), 1..5), 1..8),
            cut in 1usize..400,
        ) {
            let pack = |words: &Vec<Vec<u8>>| redis::Cmd::new().arg(words).get_packed_command();
            let sent: Vec<u8> = commands.iter().flat_map(pack).collect();
            let whole = Facts::of(&sent, false);
            let expected = (commands.len(), whole.in_multi, whole.effects);
            prop_assert_eq!(passed(&sent, cut), Ok(expected));
        }

        #[test]
        fn what_is_no_command_does_no_harm(bytes: Vec<u8>, cut in 1usize..20) {
            let mut commands = Commands::default();
            for piece in bytes.chunks(cut) {
                if commands.pass(piece, false, |_| {}).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn lines_that_are_none_are_malformed() {
        for bytes in [
            "PING\r\n",
            "*0\r\n",
            "*1\r\n*1\r\n",
            "$1\r\n",
            "*99999999999999999999999999\r\n",
            "*1\n",
        ] {
            let mut commands = Commands::default();
            assert_eq!(commands.pass(bytes.as_bytes(), false, |_| {}), Err(Malformed), "{bytes:?}");
        }
    }
}
