//! `swm_reply`: what a server answered, as a tree.

use std::{
    ffi::{c_char, c_int},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{block::Block, guard::Failure};

/// What a reply is. The numbers are those of hiredis.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum swm_reply_kind {
    /// No reply: what swm_reply_type says of NULL.
    SWM_REPLY_NONE = 0,
    /// Bytes: swm_reply_str.
    SWM_REPLY_STRING = 1,
    /// Elements in order: swm_reply_elements, swm_reply_element.
    SWM_REPLY_ARRAY = 2,
    /// A whole number: swm_reply_integer.
    SWM_REPLY_INTEGER = 3,
    /// Nothing, as of a key that does not exist.
    SWM_REPLY_NIL = 4,
    /// A short text such as `OK`: swm_reply_str.
    SWM_REPLY_STATUS = 5,
    /// An error of the server, its code first, such as `WRONGTYPE ...`: swm_reply_str.
    SWM_REPLY_ERROR = 6,
    /// A number with a fraction: swm_reply_double, and swm_reply_str as it was sent.
    SWM_REPLY_DOUBLE = 7,
    /// Yes or no: swm_reply_boolean.
    SWM_REPLY_BOOL = 8,
    /// Pairs: keys and values in turn are the elements, so there are twice as many.
    SWM_REPLY_MAP = 9,
    /// Elements without order.
    SWM_REPLY_SET = 10,
    /// What a server says about a reply: swm_reply_attributes. As a map.
    SWM_REPLY_ATTR = 11,
    /// What was sent unasked, or confirms a subscription. As an array.
    SWM_REPLY_PUSH = 12,
    /// A whole number of any size, in decimal: swm_reply_str.
    SWM_REPLY_BIGNUM = 13,
    /// Text of a format that swm_reply_format tells: swm_reply_str.
    SWM_REPLY_VERB = 14,
}

use swm_reply_kind::*;

/// A reply, or an element of one. What the accessors give of it lives as long as the reply that it
/// belongs to. The replies of one pipeline share their memory, which is freed with the last of them.
///
/// Owner: whoever got it, and frees it with swm_reply_free, once; elements are freed with their reply.
/// It may outlive its handle and its factory.
/// Threads: any, as many at once as you like; freeing waits until nobody reads it.
pub struct swm_reply {
    kind: swm_reply_kind,
    /// Tells a reply that may be freed from one that was, and from an element.
    tag: AtomicU32,
    /// Text with a NUL behind it, or the first element. Until the block is given out: where in the
    /// bytes, or among the nodes, that is.
    data: *const u8,
    /// How many bytes, or elements.
    len: usize,
    /// An integer, a boolean, or the bits of a double.
    number: i64,
    /// What the server says about it. Until the block is given out: where among the nodes that is.
    attributes: *const swm_reply,
    block: *mut Block,
}

const ELEMENT: u32 = 0;
const LIVE: u32 = 0x5357_4d31;
const FREED: u32 = 0xdead_5357;

impl swm_reply {
    #[inline]
    fn nil() -> swm_reply {
        swm_reply {
            kind: SWM_REPLY_NIL,
            tag: AtomicU32::new(ELEMENT),
            data: ptr::null(),
            len: 0,
            number: 0,
            attributes: ptr::null(),
            block: ptr::null_mut(),
        }
    }

    /// Makes pointers of what are places in the bytes and among the nodes, which move no more.
    #[inline]
    pub(super) fn anchor(&mut self, bytes: *const u8, nodes: *const swm_reply) {
        if self.has_elements() {
            self.data = nodes.wrapping_add(self.data.addr()).cast();
        } else if self.has_text() {
            self.data = bytes.wrapping_add(self.data.addr());
        }
        if !self.attributes.is_null() {
            self.attributes = nodes.wrapping_add(self.attributes.addr());
        }
    }

    /// Makes a reply of its own of it.
    #[inline]
    pub(super) fn own(&mut self, block: *mut Block) {
        self.block = block;
        *self.tag.get_mut() = LIVE;
    }

    #[inline]
    fn has_text(&self) -> bool {
        matches!(
            self.kind,
            SWM_REPLY_STRING
                | SWM_REPLY_STATUS
                | SWM_REPLY_ERROR
                | SWM_REPLY_DOUBLE
                | SWM_REPLY_BIGNUM
                | SWM_REPLY_VERB
        )
    }

    #[inline]
    fn has_elements(&self) -> bool {
        matches!(
            self.kind,
            SWM_REPLY_ARRAY | SWM_REPLY_MAP | SWM_REPLY_SET | SWM_REPLY_ATTR | SWM_REPLY_PUSH
        )
    }
}

/// The replies of a pipeline that have not been taken.
#[derive(Default)]
pub(super) struct Batch {
    rest: Option<(ptr::NonNull<swm_reply>, usize)>,
}

// SAFETY: replies may be moved to and freed by any thread.
unsafe impl Send for Batch {}

impl Batch {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_none()
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<*mut swm_reply> {
        let (first, count) = self.rest.take()?;
        if count > 1 {
            // SAFETY: there are `count` replies in a row from `first` on.
            self.rest = Some((unsafe { first.add(1) }, count - 1));
        }
        Some(first.as_ptr())
    }

    pub(super) fn clear(&mut self) {
        while let Some(reply) = self.next() {
            // SAFETY: it was not given out, so it is ours to free.
            unsafe { swm_reply_free(reply) };
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The one reply of a block.
#[inline]
pub(super) fn single(block: Box<Block>) -> Result<*mut swm_reply, Failure> {
    let (first, _) = built(block)?;
    Ok(first)
}

/// All replies of a block.
pub(super) fn several(block: Box<Block>) -> Result<Batch, Failure> {
    let (first, count) = built(block)?;
    Ok(Batch { rest: ptr::NonNull::new(first).map(|first| (first, count)) })
}

#[inline]
fn built(mut block: Box<Block>) -> Result<(*mut swm_reply, usize), Failure> {
    let (raw, nodes) = block.parts();
    let (count, values) = (raw.len(), raw.values());
    nodes.reserve_exact(values);
    nodes.resize_with(count, swm_reply::nil);
    let mut builder = Builder { bytes: raw.bytes_mut(), at: 0, nodes, room: values };
    for index in 0..count {
        builder
            .value(index)
            .ok_or_else(|| Failure::internal("a reply that was found cannot be read"))?;
    }
    if count == 0 {
        return Err(Failure::internal("an exchange without a reply"));
    }
    Ok((block.give_out(count), count))
}

/// Makes nodes of replies that are known to be whole and sound.
struct Builder<'b> {
    bytes: &'b mut [u8],
    at: usize,
    nodes: &'b mut Vec<swm_reply>,
    /// There are no more than these, whatever a length says.
    room: usize,
}

impl Builder<'_> {
    /// Reads the next value into the node with this index. The depth is bounded by what was let in.
    fn value(&mut self, index: usize) -> Option<()> {
        let kind = *self.bytes.get(self.at)?;
        let start = self.at + 1;
        let len = line_len(self.bytes.get(start..)?)?;
        self.at = start + len + 2;
        let line = self.bytes.get(start..start + len)?;
        match kind {
            b'$' | b'!' | b'=' => match number(line)? {
                ..0 => {}
                len => self.long(index, kind, usize::try_from(len).ok()?)?,
            },
            b'+' => self.text(index, SWM_REPLY_STATUS, start, len)?,
            b'-' => self.text(index, SWM_REPLY_ERROR, start, len)?,
            b':' => self.number(index, SWM_REPLY_INTEGER, number(line)?)?,
            b'#' => self.number(index, SWM_REPLY_BOOL, i64::from(line == b"t"))?,
            b',' => {
                let double: f64 = std::str::from_utf8(line).ok()?.trim().parse().ok()?;
                self.number(index, SWM_REPLY_DOUBLE, double.to_bits().cast_signed())?;
                self.text(index, SWM_REPLY_DOUBLE, start, len)?;
            }
            b'(' => self.text(index, SWM_REPLY_BIGNUM, start, len)?,
            b'_' => {}
            b'|' => {
                let pairs = usize::try_from(number(line)?).ok()?;
                let attributes = self.row(1)?;
                self.elements(attributes, SWM_REPLY_ATTR, pairs.checked_mul(2)?)?;
                self.value(index)?;
                // Never 0: the replies come first.
                self.nodes.get_mut(index)?.attributes = ptr::without_provenance(attributes);
            }
            _ => {
                let kind = match kind {
                    b'*' => SWM_REPLY_ARRAY,
                    b'~' => SWM_REPLY_SET,
                    b'>' => SWM_REPLY_PUSH,
                    b'%' => SWM_REPLY_MAP,
                    _ => return None,
                };
                match number(line)? {
                    ..0 if kind == SWM_REPLY_PUSH => self.elements(index, kind, 0)?,
                    ..0 => {}
                    count => {
                        let count = usize::try_from(count).ok()?;
                        let pairs = kind == SWM_REPLY_MAP;
                        self.elements(
                            index,
                            kind,
                            if pairs { count.checked_mul(2)? } else { count },
                        )?;
                    }
                }
            }
        }
        Some(())
    }

    #[inline]
    fn long(&mut self, index: usize, kind: u8, len: usize) -> Option<()> {
        let start = self.at;
        self.at = start.checked_add(len)?.checked_add(2)?;
        match kind {
            b'$' => self.text(index, SWM_REPLY_STRING, start, len),
            b'!' => self.text(index, SWM_REPLY_ERROR, start, len),
            _ => {
                // `txt:` and the text. The format is found again in front of it.
                let text = self.bytes.get(start..start + len)?;
                let format = text.iter().position(|&byte| byte == b':')?;
                *self.bytes.get_mut(start + format)? = 0;
                self.text(index, SWM_REPLY_VERB, start + format + 1, len - format - 1)?;
                self.nodes.get_mut(index)?.number = i64::try_from(format).ok()?;
                Some(())
            }
        }
    }

    /// Bytes where they are, with a NUL in place of their line end.
    #[inline]
    fn text(&mut self, index: usize, kind: swm_reply_kind, start: usize, len: usize) -> Option<()> {
        *self.bytes.get_mut(start + len)? = 0;
        let node = self.nodes.get_mut(index)?;
        node.kind = kind;
        node.data = ptr::without_provenance(start);
        node.len = len;
        Some(())
    }

    fn number(&mut self, index: usize, kind: swm_reply_kind, number: i64) -> Option<()> {
        let node = self.nodes.get_mut(index)?;
        node.kind = kind;
        node.number = number;
        Some(())
    }

    fn elements(&mut self, index: usize, kind: swm_reply_kind, count: usize) -> Option<()> {
        let first = self.row(count)?;
        for element in first..first + count {
            self.value(element)?;
        }
        let node = self.nodes.get_mut(index)?;
        node.kind = kind;
        node.data = ptr::without_provenance(first);
        node.len = count;
        Some(())
    }

    /// A row of new nodes; the index of the first.
    fn row(&mut self, count: usize) -> Option<usize> {
        let first = self.nodes.len();
        if count > self.room - first {
            return None;
        }
        self.nodes.resize_with(first + count, swm_reply::nil);
        Some(first)
    }
}

/// How long the line at the front is; it may hold a CR or an LF, and not both together.
#[inline]
fn line_len(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|&byte| byte == b'\n')?;
        if at > 0 && bytes[at - 1] == b'\r' {
            return Some(at - 1);
        }
        from = at + 1;
    }
}

#[inline]
fn number(line: &[u8]) -> Option<i64> {
    let (negative, digits) = match line {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut number = 0i64;
    for &digit in digits {
        // Counted downwards, because there is one negative number more.
        number = number.checked_mul(10)?.checked_sub(i64::from(digit.wrapping_sub(b'0')))?;
    }
    if negative { Some(number) } else { number.checked_neg() }
}

/// What a pointer to a reply leads to.
///
/// # Safety
/// `reply` is NULL or a reply that has not been freed, or an element of one.
#[inline]
unsafe fn node<'r>(reply: *const swm_reply) -> Option<&'r swm_reply> {
    // SAFETY: as this function demands.
    unsafe { reply.as_ref() }
}

/// swm_reply_type tells what a reply is, a swm_reply_kind; SWM_REPLY_NONE of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_reply_type(reply: *const swm_reply) -> c_int {
    // SAFETY: the caller vouches for it, as the header demands.
    unsafe { node(reply) }.map_or(SWM_REPLY_NONE, |reply| reply.kind) as c_int
}

/// swm_reply_str gives the bytes of a string, status, error, double, big number or verbatim text, and
/// where `len` is not NULL, how many they are. A NUL follows them, which is not counted; a string may
/// have others inside. NULL, and a length of 0, of any other reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_reply_str(reply: *const swm_reply, len: *mut usize) -> *const c_char {
    // SAFETY: the caller vouches for it, as the header demands.
    let text = unsafe { node(reply) }.filter(|reply| reply.has_text());
    if !len.is_null() {
        // SAFETY: not NULL, and writable as the header demands.
        unsafe { len.write(text.map_or(0, |reply| reply.len)) };
    }
    text.map_or(ptr::null(), |reply| reply.data.cast())
}

/// swm_reply_integer gives a whole number, or a boolean as 0 or 1; 0 of any other reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_reply_integer(reply: *const swm_reply) -> i64 {
    // SAFETY: the caller vouches for it, as the header demands.
    match unsafe { node(reply) } {
        Some(reply) if matches!(reply.kind, SWM_REPLY_INTEGER | SWM_REPLY_BOOL) => reply.number,
        _ => 0,
    }
}

/// swm_reply_double gives a number with a fraction, or a whole number as one; 0 of any other reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_reply_double(reply: *const swm_reply) -> f64 {
    // SAFETY: the caller vouches for it, as the header demands.
    match unsafe { node(reply) } {
        Some(reply) if reply.kind == SWM_REPLY_DOUBLE => {
            f64::from_bits(reply.number.cast_unsigned())
        }
        Some(reply) if reply.kind == SWM_REPLY_INTEGER => reply.number as f64,
        _ => 0.0,
    }
}

/// swm_reply_boolean gives a boolean; false of any other reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_reply_boolean(reply: *const swm_reply) -> bool {
    // SAFETY: the caller vouches for it, as the header demands.
    unsafe { node(reply) }.is_some_and(|reply| reply.kind == SWM_REPLY_BOOL && reply.number != 0)
}

/// swm_reply_format gives the format of a verbatim text, such as `txt` or `mkd`; NULL of any other reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_reply_format(reply: *const swm_reply) -> *const c_char {
    // SAFETY: the caller vouches for it, as the header demands.
    match unsafe { node(reply) } {
        Some(reply) if reply.kind == SWM_REPLY_VERB => {
            // SAFETY: so many bytes of format and a NUL lie before the text, in the same memory.
            unsafe { reply.data.sub(reply.number as usize + 1) }.cast()
        }
        _ => ptr::null(),
    }
}

/// swm_reply_elements tells how many elements an array, set, map, push or attribute has; of a map twice
/// as many as pairs. 0 of any other reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_reply_elements(reply: *const swm_reply) -> usize {
    // SAFETY: the caller vouches for it, as the header demands.
    unsafe { node(reply) }.filter(|reply| reply.has_elements()).map_or(0, |reply| reply.len)
}

/// swm_reply_element gives an element; NULL when there is none of this index. It belongs to the reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_reply_element(
    reply: *const swm_reply,
    index: usize,
) -> *const swm_reply {
    // SAFETY: the caller vouches for it, as the header demands.
    match unsafe { node(reply) } {
        Some(reply) if reply.has_elements() && index < reply.len => {
            // SAFETY: `data` leads to `len` nodes, and the index is less.
            unsafe { reply.data.cast::<swm_reply>().add(index) }
        }
        _ => ptr::null(),
    }
}

/// swm_reply_attributes gives what the server says about a reply, as keys and values in turn; NULL when
/// it says nothing. It belongs to the reply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_reply_attributes(reply: *const swm_reply) -> *const swm_reply {
    // SAFETY: the caller vouches for it, as the header demands.
    unsafe { node(reply) }.map_or(ptr::null(), |reply| reply.attributes)
}

/// swm_reply_free frees a reply, its elements with it. NULL and elements are left alone. A reply may be
/// freed once, like memory of malloc; a second time is noticed where that is possible, and left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swm_reply_free(reply: *mut swm_reply) {
    // SAFETY: the caller vouches for it, as the header demands.
    let Some(node) = (unsafe { node(reply) }) else { return };
    if node.tag.load(Ordering::Relaxed) != LIVE {
        return;
    }
    node.tag.store(FREED, Ordering::Relaxed);
    let block = node.block;
    // SAFETY: the reply was live until now, so its block is.
    unsafe { Block::let_go(block) };
}

#[cfg(test)]
mod tests;
