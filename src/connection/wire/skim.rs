//! Replies that pass by in pieces and are kept by somebody else: [`Skim`] counts them.

use crate::connection::command::Answer;

use super::{
    Limits, ProtocolError, fault,
    line::{self, Head, Long},
    nesting::Nesting,
};

/// What is seen of a text. Of an error this is its code, of anything else more than matters.
const SEEN: usize = 128;

/// A reply that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connection) struct Skimmed<'l> {
    /// The byte that it began with.
    pub(in crate::connection) first: u8,
    /// The beginning of what an error says. One inside another reply is none.
    pub(in crate::connection) error: Option<&'l [u8]>,
    /// The beginning of a reply that is one line, without its line end; none for `+OK`.
    pub(in crate::connection) line: Option<&'l [u8]>,
}

impl Skimmed<'_> {
    /// Returns the answer to a command that changes the state of the connection.
    pub(in crate::connection) fn answer(&self) -> Answer {
        match (self.error, self.line) {
            (Some(error), _) => Answer::of_error(error),
            (None, Some(b"+QUEUED")) => Answer::Queued,
            (None, Some(b"*-1" | b"_")) => Answer::Nil,
            _ => Answer::Accepted,
        }
    }
}

/// The place in a stream of replies.
pub(in crate::connection) struct Skim {
    limits: Limits,
    /// What is seen of a line that is not complete.
    line: Vec<u8>,
    line_len: usize,
    /// The last byte was the CR of a line's end, perhaps.
    cr: bool,
    /// So many bytes of a string are to come, its line end included.
    string: usize,
    /// It is an error's.
    of_error: bool,
    /// The byte that the reply began with.
    first: u8,
    nesting: Nesting,
}

impl Skim {
    pub(in crate::connection) fn new(limits: Limits) -> Skim {
        Skim {
            limits,
            line: Vec::new(),
            line_len: 0,
            cr: false,
            string: 0,
            of_error: false,
            first: 0,
            nesting: Nesting::default(),
        }
    }

    /// Whether the last reply is complete.
    pub(in crate::connection) fn is_at_start(&self) -> bool {
        self.line_len == 0 && self.string == 0 && self.nesting.is_at_start()
    }

    /// So many bytes at least are to come for the string that is under way.
    pub(in crate::connection) fn to_come(&self) -> usize {
        self.string
    }

    /// Looks at bytes that came, and tells each reply that they complete.
    pub(in crate::connection) fn pass(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Skimmed<'_>),
    ) -> Result<(), ProtocolError> {
        while let Some(&next) = bytes.first() {
            if self.is_at_start() {
                self.first = next;
            }
            // Short strings that are all there, as most are, on their own or inside of others.
            if self.line_len == 0
                && self.string == 0
                && let Some(len) = line::plain_len(bytes, &self.limits)
            {
                bytes = &bytes[len..];
                if self.nesting.completes() {
                    each(Skimmed { first: self.first, error: None, line: None });
                    self.nesting.take_values();
                }
                continue;
            }
            if self.string > 0 {
                let taken = self.string.min(bytes.len());
                if self.of_error {
                    self.see(&bytes[..taken]);
                }
                self.string -= taken;
                bytes = &bytes[taken..];
                if self.string == 0 {
                    let error = (self.first == b'!').then(|| self.line.trim_ascii_end());
                    if self.nesting.completes() {
                        each(Skimmed { first: self.first, error, line: None });
                        self.nesting.take_values();
                    }
                    self.end_line();
                }
                continue;
            }
            let found = bytes.iter().position(|&byte| byte == b'\n');
            let taken = found.map_or(bytes.len(), |at| at + 1);
            let before = match taken {
                1 => self.cr,
                _ => bytes[taken - 2] == b'\r',
            };
            self.cr = bytes[taken - 1] == b'\r';
            self.see(&bytes[..taken]);
            self.line_len += taken;
            bytes = &bytes[taken..];
            if self.line_len > self.limits.max_line + 2 {
                return Err(fault(format!("a line longer than {} bytes", self.limits.max_line)));
            }
            // A lone LF belongs to the text.
            if found.is_some() && before {
                self.line(&mut each)?;
            }
        }
        Ok(())
    }

    fn see(&mut self, bytes: &[u8]) {
        let is_text = matches!(self.line.first().or(bytes.first()), Some(b'+' | b'-'));
        // A number is read as a whole.
        let most = if is_text || self.of_error { SEEN } else { self.limits.max_line + 2 };
        let room = most.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        self.line.clear();
        self.line_len = 0;
        self.cr = false;
        self.of_error = false;
    }

    /// A line is complete.
    fn line(&mut self, each: &mut impl FnMut(Skimmed<'_>)) -> Result<(), ProtocolError> {
        let alone = self.nesting.is_at_start();
        let complete = match self.line.first() {
            Some(b'+' | b'-') => self.nesting.completes(),
            _ => match line::read(self.line.trim_ascii_end(), &self.limits)? {
                Head::Value(_) => self.nesting.completes(),
                Head::Long(kind, len) => {
                    self.end_line();
                    self.string = len + 2;
                    self.of_error = kind == Long::Error;
                    return Ok(());
                }
                Head::Aggregate(kind, count) => self.nesting.begin(kind, count, &self.limits)?,
            },
        };
        if complete {
            let line = alone.then(|| self.line.trim_ascii_end());
            let error = line.and_then(|line| line.strip_prefix(b"-"));
            each(Skimmed { first: self.first, error, line });
            self.nesting.take_values();
        }
        self.end_line();
        Ok(())
    }
}
