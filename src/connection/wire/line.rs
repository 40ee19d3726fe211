//! One line of RESP: a whole value, or the length of what follows.

use num_bigint::BigInt;
use redis::{PushKind, Value, VerbatimFormat};

use super::{Limits, ProtocolError, fault, quoted};

/// What a line says.
pub(super) enum Head {
    /// A value that fits on a line.
    Value(Value),
    /// A string of so many bytes follows.
    Long(Long, usize),
    /// So many elements follow, or pairs of a map or an attribute.
    Aggregate(Aggregate, usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Long {
    Bulk,
    Error,
    Verbatim,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Array,
    Set,
    Push,
    Map,
    Attribute,
}

/// What most replies are, if it is at the front: a string of less than 100,000 bytes that is all
/// there, or `OK`. And where it ends. Everything else, and every fault, is for [`read`] to find.
#[inline]
pub(super) fn plain(bytes: &[u8], limits: &Limits) -> Option<(Value, usize)> {
    if bytes.starts_with(OK) {
        return Some((Value::Okay, OK.len()));
    }
    let (start, len) = short_string(bytes, limits)?;
    Some((Value::BulkString(bytes[start..start + len].to_vec()), start + len + 2))
}

/// Where it ends that [`plain`] would read.
#[inline]
pub(super) fn plain_len(bytes: &[u8], limits: &Limits) -> Option<usize> {
    if let Some((start, len)) = short_string(bytes, limits) {
        return Some(start + len + 2);
    }
    bytes.starts_with(OK).then_some(OK.len())
}

const OK: &[u8] = b"+OK\r\n";

/// Where the string begins that is at the front, and how long it is, if it is short and all there.
#[inline]
fn short_string(bytes: &[u8], limits: &Limits) -> Option<(usize, usize)> {
    let mut rest = bytes.strip_prefix(b"$")?;
    let mut len = 0;
    let mut digits = 0;
    while let [digit @ b'0'..=b'9', after @ ..] = rest
        && digits < 5
    {
        len = 10 * len + usize::from(digit - b'0');
        digits += 1;
        rest = after;
    }
    if digits == 0 || len > limits.max_bulk {
        return None;
    }
    let (_, rest) = rest.strip_prefix(b"\r\n")?.split_at_checked(len)?;
    rest.starts_with(b"\r\n").then_some((1 + digits + 2, len))
}

/// The end of the line at the front, if it is there; `searched` bytes are known to hold none, and
/// grow. A fault if what stands there begins no line, or one that is too long.
pub(super) fn find_end(
    unread: &[u8],
    searched: &mut usize,
    limits: &Limits,
) -> Result<Option<usize>, ProtocolError> {
    let Some(&first) = unread.first() else { return Ok(None) };
    check_type(first, unread)?;
    let found = end(&unread[*searched..]).map(|end| *searched + end);
    // One byte of tolerance: the CR of a line of the longest length may have come without LF.
    if found.unwrap_or(unread.len() - 1) > limits.max_line {
        return Err(fault(format!(
            "a line longer than {} bytes, beginning with {}",
            limits.max_line,
            quoted(unread)
        )));
    }
    if found.is_none() {
        // The last byte may be the CR of a line end whose LF is on its way.
        *searched = unread.len() - 1;
    }
    Ok(found)
}

/// Counts so many more elements of a reply that is open at so many levels; a fault when they are
/// too many, or nested too deeply.
pub(super) fn check_size(
    elements: &mut usize,
    more: usize,
    depth: usize,
    limits: &Limits,
) -> Result<(), ProtocolError> {
    *elements = elements.saturating_add(more);
    if *elements > limits.max_elements {
        return Err(fault(format!("a reply of more than {} elements", limits.max_elements)));
    }
    if depth >= limits.max_depth {
        return Err(fault(format!("a reply nested more than {} levels deep", limits.max_depth)));
    }
    Ok(())
}

/// Where the line ends, if it does.
fn end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + bytes[from..].iter().position(|&byte| byte == b'\r')?;
        if *bytes.get(at + 1)? == b'\n' {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Faults at the first byte of a peer that speaks something else, before it has ended a line.
fn check_type(first: u8, seen: &[u8]) -> Result<(), ProtocolError> {
    if b"+-:$*_,#!=(%~|>".contains(&first) {
        return Ok(());
    }
    // 0x15 is the content type of a TLS alert: what a TLS port answers to plain text.
    let hint = if first == 0x15 { " (a TLS alert: is this a TLS port?)" } else { "" };
    Err(fault(format!("{} where a reply begins{hint}", quoted(seen))))
}

/// Reads a line, its type byte included and its end excluded.
pub(super) fn read(line: &[u8], limits: &Limits) -> Result<Head, ProtocolError> {
    let (first, rest) = match line {
        [first, rest @ ..] => (*first, rest),
        [] => return Err(fault("an empty line where a reply begins".to_owned())),
    };
    let value = match first {
        b'+' if rest == b"OK" => Value::Okay,
        b'+' => Value::SimpleString(String::from_utf8_lossy(rest).into_owned()),
        b'-' => server_error(rest)?,
        b':' => Value::Int(integer(rest)?),
        b'_' => Value::Nil,
        b',' => Value::Double(double(rest)?),
        b'#' => match rest {
            b"t" => Value::Boolean(true),
            b"f" => Value::Boolean(false),
            _ => return Err(fault(format!("{} where a boolean stands", quoted(line)))),
        },
        b'(' => Value::BigNumber(big_number(rest)?),
        b'$' => return string(Long::Bulk, line, limits),
        b'!' => return string(Long::Error, line, limits),
        b'=' => return string(Long::Verbatim, line, limits),
        b'*' => return aggregate(Aggregate::Array, line),
        b'~' => return aggregate(Aggregate::Set, line),
        b'>' => return aggregate(Aggregate::Push, line),
        b'%' => return aggregate(Aggregate::Map, line),
        b'|' => return aggregate(Aggregate::Attribute, line),
        _ => return Err(fault(format!("{} where a reply begins", quoted(line)))),
    };
    Ok(Head::Value(value))
}

/// The value of a long string.
pub(super) fn long(kind: Long, data: Vec<u8>) -> Result<Value, ProtocolError> {
    match kind {
        Long::Bulk => Ok(Value::BulkString(data)),
        Long::Error => server_error(&data),
        Long::Verbatim => {
            check_long(kind, &data)?;
            let text = String::from_utf8_lossy(&data);
            let (format, text) = text.split_once(':').unwrap_or_default();
            let format = match format {
                "txt" => VerbatimFormat::Text,
                "mkd" => VerbatimFormat::Markdown,
                other => VerbatimFormat::Unknown(other.to_owned()),
            };
            Ok(Value::VerbatimString { format, text: text.to_owned() })
        }
    }
}

/// Whether a long string may be read by [`long`].
pub(super) fn check_long(kind: Long, data: &[u8]) -> Result<(), ProtocolError> {
    if kind == Long::Verbatim && !data.contains(&b':') {
        return Err(fault(format!("{} as a verbatim string", quoted(data))));
    }
    Ok(())
}

/// The value of a push, whose first element is its kind.
pub(super) fn push(items: Vec<Value>) -> Result<Value, ProtocolError> {
    let mut items = items.into_iter();
    let kind = match items.next() {
        None => PushKind::Other(String::new()),
        Some(Value::BulkString(kind)) => push_kind(&String::from_utf8_lossy(&kind)),
        Some(Value::SimpleString(kind)) => push_kind(&kind),
        Some(_) => return Err(fault("a push whose kind is not a string".to_owned())),
    };
    Ok(Value::Push { kind, data: items.collect() })
}

/// The kind of push that a word stands for, in RESP3's pushes and in RESP2's arrays alike.
pub(in crate::connection) fn push_kind(word: &str) -> PushKind {
    match word {
        "invalidate" => PushKind::Invalidate,
        "message" => PushKind::Message,
        "pmessage" => PushKind::PMessage,
        "smessage" => PushKind::SMessage,
        "subscribe" => PushKind::Subscribe,
        "psubscribe" => PushKind::PSubscribe,
        "ssubscribe" => PushKind::SSubscribe,
        "unsubscribe" => PushKind::Unsubscribe,
        "punsubscribe" => PushKind::PUnsubscribe,
        "sunsubscribe" => PushKind::SUnsubscribe,
        other => PushKind::Other(other.to_owned()),
    }
}

/// redis-rs alone can make a `ServerError` with its kind, and only from RESP; so it is given RESP,
/// in the form that takes any bytes. Errors are rare enough for that.
fn server_error(text: &[u8]) -> Result<Value, ProtocolError> {
    let text = String::from_utf8_lossy(text);
    redis::parse_redis_value(format!("!{}\r\n{text}\r\n", text.len()).as_bytes())
        .map_err(|error| fault(format!("an error reply that cannot be read: {error}")))
}

fn string(kind: Long, line: &[u8], limits: &Limits) -> Result<Head, ProtocolError> {
    let Some(len) = length(line)? else {
        return match kind {
            Long::Bulk => Ok(Head::Value(Value::Nil)),
            _ => Err(fault(format!("the length {}", quoted(line)))),
        };
    };
    if len > limits.max_bulk {
        return Err(fault(format!(
            "a string of {len} bytes, more than the {} allowed",
            limits.max_bulk
        )));
    }
    Ok(Head::Long(kind, len))
}

fn aggregate(kind: Aggregate, line: &[u8]) -> Result<Head, ProtocolError> {
    match (kind, length(line)?) {
        (_, Some(count)) => Ok(Head::Aggregate(kind, count)),
        (Aggregate::Array | Aggregate::Set, None) => Ok(Head::Value(Value::Nil)),
        (Aggregate::Push, None) => Ok(Head::Aggregate(kind, 0)),
        _ => Err(fault(format!("the length {}", quoted(line)))),
    }
}

/// The length that a line announces after its type byte; none when it is negative, which is how
/// RESP2 says that there is nothing.
fn length(line: &[u8]) -> Result<Option<usize>, ProtocolError> {
    let rest = &line[1..];
    if rest == b"?" {
        return Err(fault(format!("{}: streamed replies are not supported", quoted(line))));
    }
    let length = integer(rest)?;
    if length < 0 {
        return Ok(None);
    }
    usize::try_from(length).map(Some).map_err(|_| fault(format!("the length {}", quoted(line))))
}

fn integer(text: &[u8]) -> Result<i64, ProtocolError> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let wrong = || fault(format!("{} where a number stands", quoted(text)));
    if digits.is_empty() {
        return Err(wrong());
    }
    let mut number = 0i64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return Err(wrong());
        }
        let digit = i64::from(digit - b'0');
        // Counted downwards, because there is one negative number more.
        number = number
            .checked_mul(10)
            .and_then(|number| number.checked_sub(digit))
            .ok_or_else(wrong)?;
    }
    if negative { Ok(number) } else { number.checked_neg().ok_or_else(wrong) }
}

fn double(text: &[u8]) -> Result<f64, ProtocolError> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| fault(format!("{} where a double stands", quoted(text))))
}

fn big_number(text: &[u8]) -> Result<BigInt, ProtocolError> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    Some(text)
        // num-bigint would let underscores pass.
        .filter(|_| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        .and_then(|text| BigInt::parse_bytes(text, 10))
        .ok_or_else(|| fault(format!("{} where a big number stands", quoted(text))))
}
