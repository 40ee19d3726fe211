//! Reads RESP2 and RESP3: bytes in, [`Value`]s out. No socket, no clock.
//!
//! A [`Decoder`] keeps its place between calls, so a reply may arrive in pieces of any size and is
//! still read once: lines are searched from where the last search ended, nested replies stand on an
//! explicit stack, and a long string is received straight into the vector it will live in.
//!
//! Values are those of `redis::parse_redis_value`. Streamed strings and aggregates (`$?`, `*?`),
//! which RESP3 describes and no server sends, are a fault.

mod line;
mod nesting;
mod raw;
mod skim;
#[cfg(test)]
mod tests;

use std::{fmt, mem};

use redis::Value;

pub(super) use self::line::push_kind;
use self::line::{Aggregate, Head, Long};
pub use self::raw::RawReplies;
pub(crate) use self::raw::RawReply;
pub(super) use self::skim::{Skim, Skimmed};

/// The room that a decoder starts with. A link to a sentinel never needs more.
const ROOM: usize = 8 << 10;
/// Reads that fill their room double it up to this: the replies to a thousand commands are received
/// by one or two.
const ROOM_MAX: usize = 128 << 10;
/// Strings up to this are copied out of the room; longer ones are received in place.
const SHORT: usize = 16 << 10;
/// How far memory runs ahead of what the peer has sent, whatever lengths it announces. What was
/// never written to takes no memory; and a string of 1 MiB is received by one call with its line end.
const AHEAD: usize = 2 << 20;
/// As [`AHEAD`], for the elements of an aggregate. The outermost one may have place for as many as
/// can be in the bytes that have come: 14 times their memory.
const AHEAD_ELEMENTS: usize = 256;
/// The bytes of a short element: `:1` and its line end.
const ELEMENT: usize = 4;

/// What a peer may send in one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of one string.
    pub(crate) max_bulk: usize,
    /// Elements of one reply, those of all its levels together; a pair of a map counts as two.
    pub(crate) max_elements: usize,
    /// Levels of nesting.
    pub(crate) max_depth: usize,
    /// Bytes of one line: a status, an error, a number or a length.
    pub(crate) max_line: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            // The server's own proto-max-bulk-len.
            max_bulk: 512 << 20,
            // KEYS on a keyspace of tens of millions still passes.
            max_elements: 64 << 20,
            // redis-rs stops at 100, Lua at about as many; real replies end at 7 (COMMAND DOCS).
            max_depth: 64,
            // The server's own limit for inline commands.
            max_line: 64 << 10,
        }
    }
}

/// The peer does not speak RESP, or sends more than the limits allow. Nothing after it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProtocolError(String);

impl ProtocolError {
    /// A reply came for which there was no command.
    pub(super) fn unasked() -> ProtocolError {
        fault("a reply that nobody asked for".to_owned())
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProtocolError {}

/// A string whose length is known and whose bytes have not all been seen.
struct Bulk {
    kind: Long,
    len: usize,
    /// Where a long one is received, with its line end; a short one waits in the buffer.
    data: Option<Vec<u8>>,
}

/// An aggregate that waits for its next element.
enum Level {
    List { kind: Aggregate, left: usize, items: Vec<Value> },
    Pairs { attribute: bool, left: usize, key: Option<Value>, pairs: Vec<(Value, Value)> },
    Attributed { attributes: Vec<(Value, Value)> },
}

/// Turns bytes into values, however they are cut.
///
/// Bytes come in by [`Decoder::feed`], or are appended to [`Decoder::room`]; then
/// [`Decoder::next`] is called until it has no more.
pub(crate) struct Decoder {
    limits: Limits,
    buffer: Vec<u8>,
    /// What lies before it in the buffer has been read.
    start: usize,
    /// So many bytes after `start` hold no line end.
    searched: usize,
    bulk: Option<Bulk>,
    stack: Vec<Level>,
    elements: usize,
    fault: Option<ProtocolError>,
}

impl Decoder {
    pub(crate) fn new(limits: Limits) -> Decoder {
        Decoder {
            limits,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            bulk: None,
            stack: Vec::new(),
            elements: 0,
            fault: None,
        }
    }

    /// True when every byte that came in belongs to a value that was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
            && self.bulk.is_none()
            && self.stack.is_empty()
            && self.fault.is_none()
    }

    /// Takes bytes that were received elsewhere.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        if let Some(Bulk { len, data: Some(data), .. }) = &mut self.bulk {
            let missing = (*len + 2).saturating_sub(data.len());
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            data.extend_from_slice(now);
            bytes = later;
        }
        self.drop_what_was_read();
        self.buffer.extend_from_slice(bytes);
    }

    /// A vector with spare capacity, to whose end the next bytes received are to be appended.
    ///
    /// To be called when [`Decoder::next`] has nothing more. Inside a long string this is the string
    /// itself, which saves a copy.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        if let Some(Bulk { len, data: Some(data), .. }) = &mut self.bulk {
            // Grows with what has arrived, so that an announced length costs the peer real bytes.
            if data.len() == data.capacity() {
                let missing = (*len + 2).saturating_sub(data.len()).max(1);
                data.reserve_exact(missing.min(data.len().max(AHEAD)));
            }
        } else {
            self.make_room();
        }
        match &mut self.bulk {
            Some(Bulk { data: Some(data), .. }) => data,
            _ => &mut self.buffer,
        }
    }

    fn make_room(&mut self) {
        let was_filled = self.buffer.len() == self.buffer.capacity();
        self.drop_what_was_read();
        let capacity = self.buffer.capacity();
        if capacity == 0 {
            self.buffer.reserve_exact(ROOM);
        } else if was_filled && (capacity < ROOM_MAX || self.buffer.len() > capacity / 2) {
            // The read that filled it tells that more is on its way.
            self.buffer.reserve_exact(2 * capacity - self.buffer.len());
        }
    }

    /// The next value, if all of it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Value>, ProtocolError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let result = self.advance();
        if let Err(fault) = &result {
            *self = Decoder { fault: Some(fault.clone()), ..Decoder::new(self.limits) };
        }
        result
    }

    fn drop_what_was_read(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > self.buffer.capacity() / 2
            || self.buffer.len() == self.buffer.capacity()
        {
            // Moves less than it frees or happens once a full room: linear in what is received.
            self.buffer.drain(..self.start);
            self.start = 0;
        }
    }

    fn advance(&mut self) -> Result<Option<Value>, ProtocolError> {
        loop {
            if self.bulk.is_none() {
                self.fill();
                match self.head()? {
                    None => return Ok(None),
                    Some(Head::Value(value)) => {
                        if let Some(whole) = self.place(value)? {
                            return Ok(Some(whole));
                        }
                        continue;
                    }
                    Some(Head::Long(kind, len)) => {
                        self.bulk = Some(Bulk { kind, len, data: None });
                    }
                    Some(Head::Aggregate(kind, count)) => {
                        if let Some(whole) = self.open(kind, count)? {
                            return Ok(Some(whole));
                        }
                        continue;
                    }
                }
            }
            let Some(value) = self.take_bulk()? else { return Ok(None) };
            if let Some(whole) = self.place(value)? {
                return Ok(Some(whole));
            }
        }
    }

    /// The next value, if it is [plain](line::plain), a reply of its own, and all there: a fast path
    /// to be tried before [`Decoder::next`]. It halves the time of a thousand short replies.
    #[inline]
    pub(crate) fn next_plain(&mut self) -> Option<Value> {
        if self.bulk.is_some() || !self.stack.is_empty() || self.fault.is_some() {
            return None;
        }
        let (value, end) = line::plain(&self.buffer[self.start..], &self.limits)?;
        self.start += end;
        self.searched = 0;
        Some(value)
    }

    /// Takes plain elements of an aggregate, up to the last but one: the same fast path for MGET and
    /// LRANGE, for HGETALL, and for what sentinels tell of an instance.
    #[inline]
    fn fill(&mut self) {
        match self.stack.last_mut() {
            Some(Level::List { left, items, .. }) => {
                while *left > 1
                    && let Some((value, end)) =
                        line::plain(&self.buffer[self.start..], &self.limits)
                {
                    items.push(value);
                    *left -= 1;
                    self.start += end;
                    self.searched = 0;
                }
            }
            Some(Level::Pairs { left, key, pairs, .. }) => {
                while *left > 1
                    && let Some((value, end)) =
                        line::plain(&self.buffer[self.start..], &self.limits)
                {
                    match key.take() {
                        None => *key = Some(value),
                        Some(key) => {
                            pairs.push((key, value));
                            *left -= 1;
                        }
                    }
                    self.start += end;
                    self.searched = 0;
                }
            }
            Some(Level::Attributed { .. }) | None => {}
        }
    }

    /// The next line, if its end is there.
    fn head(&mut self) -> Result<Option<Head>, ProtocolError> {
        let unread = &self.buffer[self.start..];
        let Some(end) = line::find_end(unread, &mut self.searched, &self.limits)? else {
            return Ok(None);
        };
        let head = line::read(&unread[..end], &self.limits)?;
        self.start += end + 2;
        self.searched = 0;
        Ok(Some(head))
    }

    fn take_bulk(&mut self) -> Result<Option<Value>, ProtocolError> {
        let Some(bulk) = &mut self.bulk else { return Ok(None) };
        let whole = bulk.len + 2;
        let Some(data) = &mut bulk.data else {
            let unread = &self.buffer[self.start..];
            if unread.len() >= whole {
                check_line_end(&unread[bulk.len..whole])?;
                let value = line::long(bulk.kind, unread[..bulk.len].to_vec())?;
                self.start += whole;
                self.bulk = None;
                return Ok(Some(value));
            }
            if whole > SHORT {
                let mut data = Vec::with_capacity(whole.min(AHEAD.max(unread.len())));
                data.extend_from_slice(unread);
                bulk.data = Some(data);
                // It was this string that filled the room, and its rest does not go there.
                self.buffer.clear();
                self.start = 0;
            }
            return Ok(None);
        };
        if data.len() < whole {
            return Ok(None);
        }
        let mut data = mem::take(data);
        let kind = bulk.kind;
        let len = bulk.len;
        self.bulk = None;
        // An allocator may give more than was asked for, and then more may have been received.
        if data.len() > whole {
            self.buffer.splice(self.start..self.start, data[whole..].iter().copied());
        }
        check_line_end(&data[len..whole])?;
        data.truncate(len);
        Ok(Some(line::long(kind, data)?))
    }

    fn open(&mut self, kind: Aggregate, count: usize) -> Result<Option<Value>, ProtocolError> {
        let pairs = matches!(kind, Aggregate::Map | Aggregate::Attribute);
        let elements = if pairs { count.saturating_mul(2) } else { count };
        line::check_size(&mut self.elements, elements, self.stack.len(), &self.limits)?;
        let mut room = AHEAD_ELEMENTS;
        if self.stack.is_empty() {
            let element = if pairs { 2 * ELEMENT } else { ELEMENT };
            room = room.max((self.buffer.len() - self.start) / element);
        }
        let room = count.min(room);
        self.stack.push(if pairs {
            let attribute = kind == Aggregate::Attribute;
            Level::Pairs { attribute, left: count, key: None, pairs: Vec::with_capacity(room) }
        } else {
            Level::List { kind, left: count, items: Vec::with_capacity(room) }
        });
        if count > 0 { Ok(None) } else { self.close() }
    }

    /// Puts a value where it belongs; gives it back when it is a reply of its own.
    fn place(&mut self, value: Value) -> Result<Option<Value>, ProtocolError> {
        match self.stack.last_mut() {
            None => {
                self.elements = 0;
                return Ok(Some(value));
            }
            Some(Level::List { left, items, .. }) => {
                items.push(value);
                *left -= 1;
                if *left > 0 {
                    return Ok(None);
                }
            }
            Some(Level::Pairs { left, key, pairs, .. }) => match key.take() {
                None => {
                    *key = Some(value);
                    return Ok(None);
                }
                Some(key) => {
                    pairs.push((key, value));
                    *left -= 1;
                    if *left > 0 {
                        return Ok(None);
                    }
                }
            },
            Some(Level::Attributed { attributes }) => {
                let attributes = mem::take(attributes);
                self.stack.pop();
                return self.place(Value::Attribute { data: Box::new(value), attributes });
            }
        }
        self.close()
    }

    /// Ends the aggregate on top, which is complete. Recursion is bounded by the depth.
    fn close(&mut self) -> Result<Option<Value>, ProtocolError> {
        let value = match self.stack.pop() {
            Some(Level::List { kind: Aggregate::Set, items, .. }) => Value::Set(items),
            Some(Level::List { kind: Aggregate::Push, items, .. }) => line::push(items)?,
            Some(Level::List { items, .. }) => Value::Array(items),
            Some(Level::Pairs { attribute: false, pairs, .. }) => Value::Map(pairs),
            Some(Level::Pairs { pairs, .. }) => {
                self.stack.push(Level::Attributed { attributes: pairs });
                return Ok(None);
            }
            // `open` and `place` close what they have just looked at, which is neither.
            Some(Level::Attributed { .. }) | None => return Ok(None),
        };
        self.place(value)
    }
}

/// How many replies are found in bytes that arrive in such pieces; none after a fault.
#[cfg(fuzzing)]
pub(crate) fn raw_replies(bytes: &[u8], piece: usize, limits: Limits) -> Option<usize> {
    let mut raw = RawReplies::limited(limits);
    for mut piece in bytes.chunks(piece) {
        while !piece.is_empty() {
            let room = raw.room();
            let fits = (room.capacity() - room.len()).min(piece.len());
            room.extend_from_slice(&piece[..fits]);
            piece = &piece[fits..];
            while raw.find().ok()?.is_some() {}
        }
    }
    Some(raw.len())
}

/// How many replies pass by in such pieces; none after a fault.
#[cfg(fuzzing)]
pub(crate) fn skimmed(bytes: &[u8], piece: usize, limits: Limits) -> Option<usize> {
    let mut skim = Skim::new(limits);
    let mut passed = 0;
    for piece in bytes.chunks(piece) {
        skim.pass(piece, |_| passed += 1).ok()?;
    }
    Some(passed)
}

fn check_line_end(end: &[u8]) -> Result<(), ProtocolError> {
    if end == b"\r\n" {
        return Ok(());
    }
    Err(fault(format!("{} where a string of the announced length ends", quoted(end))))
}

fn fault(text: String) -> ProtocolError {
    ProtocolError(text)
}

/// A few bytes as they may stand in a message.
fn quoted(bytes: &[u8]) -> String {
    const SHOWN: usize = 16;
    let shown = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    if bytes.len() > SHOWN { format!("\"{shown}\"…") } else { format!("\"{shown}\"") }
}
