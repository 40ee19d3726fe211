//! Finds where replies end, and leaves them the bytes that they are: [`RawReplies`].
//!
//! For whoever reads replies by other means than [`Value`](redis::Value): nothing is copied and
//! nothing is made of a reply. It accepts what [`Decoder`](super::Decoder) accepts.

use std::fmt;

use redis::Value;

use super::{
    AHEAD, Decoder, Limits, ProtocolError, ROOM, check_line_end, fault,
    line::{self, Head, Long},
    nesting::Nesting,
};

/// Memory for replies up to this is kept for the next ones.
const KEPT: usize = 128 << 10;

/// As [`KEPT`], where long replies come again and again.
const KEPT_LONG: usize = 1 << 20;

/// One reply, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawReply<'b>(&'b [u8]);

impl<'b> RawReply<'b> {
    /// What an error reply says; none of any other.
    #[inline]
    pub(crate) fn error(self) -> Option<&'b [u8]> {
        match self.0.first()? {
            b'-' => self.0[1..].strip_suffix(b"\r\n"),
            b'!' => {
                let head = self.0.iter().position(|&byte| byte == b'\n')?;
                self.0[head + 1..].strip_suffix(b"\r\n")
            }
            _ => None,
        }
    }

    pub(crate) fn bytes(self) -> &'b [u8] {
        self.0
    }

    pub(crate) fn is_array(self) -> bool {
        self.0.starts_with(b"*")
    }

    /// Whether it may be something that was sent unasked, or the confirmation of a subscription:
    /// a push, or an array where `subscribing` is set.
    #[inline]
    pub(crate) fn may_be_mail(self, subscribing: bool) -> bool {
        self.0.starts_with(b">") || (subscribing && self.is_array())
    }

    /// The reply as a value; a fault when it is none.
    pub(crate) fn value(self, limits: Limits) -> Result<Value, ProtocolError> {
        let mut decoder = Decoder::new(limits);
        decoder.feed(self.0);
        decoder.next()?.ok_or_else(|| fault("a reply that is not complete".to_owned()))
    }
}

/// The replies to one [`Handle::exchange`](crate::Handle::exchange): RESP, as the server sent it, in
/// one piece of memory.
///
/// To be used again and again: up to 128 KiB of memory are kept.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut handle = switchmaster::Factory::open("redis+sentinel://10.0.0.1/mymaster")?.get()?;
/// let mut replies = switchmaster::RawReplies::new();
/// handle.exchange(b"*1\r\n$4\r\nPING\r\n", &mut replies)?;
/// assert_eq!(replies.get(0), Some(&b"+PONG\r\n"[..]));
/// # Ok(()) }
/// ```
// The search for the end of a reply keeps its place between calls, so every byte is looked at once,
// and a long string is stepped over.
pub struct RawReplies {
    limits: Limits,
    bytes: Vec<u8>,
    /// The ends of the replies that were found and kept.
    ends: Vec<usize>,
    /// Where the search goes on.
    at: usize,
    /// So many bytes after `at` hold no line end.
    searched: usize,
    /// Where the string ends that `at` is in front of, with its line end.
    bulk: Option<(usize, Long)>,
    nesting: Nesting,
    /// Values that were kept, and how many of them are those of the last reply.
    values: usize,
    last_values: usize,
}

impl RawReplies {
    /// None yet.
    pub fn new() -> RawReplies {
        RawReplies::limited(Limits::default())
    }

    pub(crate) fn limited(limits: Limits) -> RawReplies {
        RawReplies {
            limits,
            bytes: Vec::new(),
            ends: Vec::new(),
            at: 0,
            searched: 0,
            bulk: None,
            nesting: Nesting::default(),
            values: 0,
            last_values: 0,
        }
    }

    /// How many replies there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The replies, one behind the other.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.kept()]
    }

    /// The reply to the command with this index.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }

    /// Each reply.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// Forgets what is there. The memory stays, unless it is much.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.ends.clear();
        self.at = 0;
        self.searched = 0;
        self.bulk = None;
        self.nesting.clear();
        self.values = 0;
    }

    #[inline]
    fn kept(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// A vector with spare capacity, to whose end the next bytes received are to be appended.
    #[inline]
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        let spare = self.bytes.capacity() - self.bytes.len();
        match self.bulk {
            // Grows with what has arrived, so that an announced length costs the peer real bytes.
            Some((end, _)) if spare < end - self.bytes.len() => {
                let missing = end - self.bytes.len();
                if spare == 0 || missing <= AHEAD {
                    self.bytes.reserve_exact(missing.min(self.bytes.len().max(AHEAD)));
                }
            }
            _ if spare == 0 => self.bytes.reserve_exact(self.bytes.len().max(ROOM)),
            _ => {}
        }
        &mut self.bytes
    }

    /// Takes bytes that were received elsewhere.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets the replies that were found. What came after them stays.
    pub(crate) fn forget(&mut self) {
        let kept = self.kept();
        if kept == self.bytes.len() && self.bytes.capacity() > KEPT_LONG {
            return self.clear();
        }
        self.bytes.drain(..kept);
        self.ends.clear();
        self.at -= kept;
        if let Some((end, _)) = &mut self.bulk {
            *end -= kept;
        }
        self.values = 0;
    }

    /// Takes what came after the last reply.
    #[inline]
    pub(crate) fn take_rest(&mut self, decoder: &mut Decoder) {
        let kept = self.kept();
        if self.bytes.len() > kept {
            decoder.feed(&self.bytes[kept..]);
            self.bytes.truncate(kept);
        }
    }

    /// The end of the next value, if all of it is there. It is kept, unless [`RawReplies::withdraw`] is
    /// called next.
    #[inline]
    pub(crate) fn find(&mut self) -> Result<Option<RawReply<'_>>, ProtocolError> {
        let start = self.kept();
        // Most replies are a short string or a status, whole and alone.
        if self.nesting.is_at_start()
            && self.at == start
            && self.bulk.is_none()
            && self.searched == 0
            && let Some(len) = line::plain_len(&self.bytes[start..], &self.limits)
        {
            self.at = start + len;
        } else if !self.search()? {
            return Ok(None);
        }
        self.ends.push(self.at);
        self.last_values = self.nesting.take_values();
        self.values += self.last_values;
        Ok(Some(RawReply(&self.bytes[start..self.at])))
    }

    /// The reply that was found last.
    #[inline]
    pub(crate) fn last(&self) -> Option<RawReply<'_>> {
        self.get(self.len().checked_sub(1)?).map(RawReply)
    }

    /// As [`RawReplies::last`], as a value.
    pub(crate) fn last_value(&self) -> Result<Value, ProtocolError> {
        self.last().map_or(Ok(Value::Nil), |reply| reply.value(self.limits))
    }

    /// Takes the last value that was found out again: it was no reply.
    pub(crate) fn withdraw(&mut self) {
        let Some(end) = self.ends.pop() else { return };
        let start = self.kept();
        self.bytes.drain(start..end);
        self.at -= end - start;
        self.values -= self.last_values;
    }

    /// Goes on to the end of a value; false when it has not come yet.
    fn search(&mut self) -> Result<bool, ProtocolError> {
        loop {
            if let Some((end, kind)) = self.bulk {
                if self.bytes.len() < end {
                    return Ok(false);
                }
                check_line_end(&self.bytes[end - 2..end])?;
                if kind != Long::Bulk {
                    line::check_long(kind, &self.bytes[self.at..end - 2])?;
                }
                self.bulk = None;
                self.at = end;
                if self.nesting.completes() {
                    return Ok(true);
                }
                continue;
            }
            if let Some(len) = line::plain_len(&self.bytes[self.at..], &self.limits) {
                self.at += len;
                self.searched = 0;
                if self.nesting.completes() {
                    return Ok(true);
                }
                continue;
            }
            let unread = &self.bytes[self.at..];
            let Some(end) = line::find_end(unread, &mut self.searched, &self.limits)? else {
                return Ok(false);
            };
            let head = match unread[0] {
                // Any text will do, so nothing is made of it.
                b'+' | b'-' => None,
                _ => Some(line::read(&unread[..end], &self.limits)?),
            };
            self.at += end + 2;
            self.searched = 0;
            let complete = match head {
                None | Some(Head::Value(_)) => self.nesting.completes(),
                Some(Head::Long(kind, len)) => {
                    self.bulk = Some((self.at + len + 2, kind));
                    false
                }
                Some(Head::Aggregate(kind, count)) => {
                    self.nesting.begin(kind, count, &self.limits)?
                }
            };
            if complete {
                return Ok(true);
            }
        }
    }
}

/// What trees are made of.
#[cfg(feature = "capi")]
impl RawReplies {
    /// How many values the replies are, all levels together.
    #[inline]
    pub(crate) fn values(&self) -> usize {
        self.values
    }

    /// The replies, to be marked.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let kept = self.kept();
        &mut self.bytes[..kept]
    }

    /// How much memory they have.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Default for RawReplies {
    fn default() -> RawReplies {
        RawReplies::new()
    }
}

impl fmt::Debug for RawReplies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawReplies")
            .field("replies", &self.len())
            .field("bytes", &self.bytes().len())
            .finish()
    }
}
