//! RESP2 and RESP3 on the wire: [`Frame`].

use crate::{Error, ErrorKind, Result};

/// Aggregates nested deeper than this are refused, so that bad input cannot exhaust the stack.
const MAX_DEPTH: usize = 32;

/// The version of the protocol in which a frame is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// What every connection starts with: maps are flat arrays, pushes are arrays.
    Resp2,
    /// After `HELLO 3`: maps, pushes and a null of their own.
    Resp3,
}

/// One value as servers send it.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// `+OK`
    Simple(String),
    /// `-ERR …`, with its code, without the sign.
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$3 foo`
    Bulk(Vec<u8>),
    /// `$-1`, `*-1` or `_`
    Nil,
    /// `*2 …`, and a RESP3 set `~2 …`
    Array(Vec<Frame>),
    /// `%1 …` of RESP3.
    Map(Vec<(Frame, Frame)>),
    /// `>3 …` of RESP3.
    Push(Vec<Frame>),
    /// Another scalar of RESP3 (double, boolean, big number, verbatim): its text.
    Other(u8, String),
}

impl Frame {
    /// A bulk string.
    pub fn bulk(text: impl AsRef<[u8]>) -> Frame {
        Frame::Bulk(text.as_ref().to_vec())
    }

    /// The status `+OK`.
    pub fn ok() -> Frame {
        Frame::Simple("OK".to_owned())
    }

    /// The frame at the beginning of `bytes` and its length, or `None` when it is not complete yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] when no continuation of `bytes` can be RESP.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>> {
        let mut at = 0;
        Ok(decode(bytes, &mut at, 0)?.map(|frame| (frame, at)))
    }

    /// Appends the frame as `protocol` writes it.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let header = |out: &mut Vec<u8>, sign: char, count: usize| {
            out.extend_from_slice(format!("{sign}{count}\r\n").as_bytes());
        };
        let resp3 = protocol == Protocol::Resp3;
        match self {
            Frame::Simple(text) => out.extend_from_slice(format!("+{text}\r\n").as_bytes()),
            Frame::Error(text) => out.extend_from_slice(format!("-{text}\r\n").as_bytes()),
            Frame::Integer(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
            Frame::Bulk(bytes) => {
                header(out, '$', bytes.len());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Frame::Nil => out.extend_from_slice(if resp3 { b"_\r\n" } else { b"*-1\r\n" }),
            Frame::Array(items) => {
                header(out, '*', items.len());
                items.iter().for_each(|item| item.encode(protocol, out));
            }
            Frame::Push(items) => {
                header(out, if resp3 { '>' } else { '*' }, items.len());
                items.iter().for_each(|item| item.encode(protocol, out));
            }
            Frame::Map(pairs) => {
                if resp3 {
                    header(out, '%', pairs.len());
                } else {
                    header(out, '*', pairs.len() * 2);
                }
                for (key, value) in pairs {
                    key.encode(protocol, out);
                    value.encode(protocol, out);
                }
            }
            Frame::Other(sign, text) => {
                if resp3 {
                    out.push(*sign);
                    out.extend_from_slice(text.as_bytes());
                    out.extend_from_slice(b"\r\n");
                } else {
                    Frame::bulk(text).encode(protocol, out);
                }
            }
        }
    }

    /// The text of a string, status, error or number; empty for anything else.
    pub fn text(&self) -> String {
        match self {
            Frame::Simple(text) | Frame::Error(text) | Frame::Other(_, text) => text.clone(),
            Frame::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Frame::Integer(number) => number.to_string(),
            Frame::Nil | Frame::Array(_) | Frame::Map(_) | Frame::Push(_) => String::new(),
        }
    }

    /// The elements of an array or push; none for anything else.
    pub fn items(&self) -> &[Frame] {
        match self {
            Frame::Array(items) | Frame::Push(items) => items,
            _ => &[],
        }
    }

    /// The value of a field, in a map or in a flat array of names and values.
    pub fn field(&self, name: &str) -> Option<&Frame> {
        match self {
            Frame::Map(pairs) => {
                pairs.iter().find(|(key, _)| key.text() == name).map(|(_, value)| value)
            }
            _ => self.items().chunks_exact(2).find(|pair| pair[0].text() == name).map(|p| &p[1]),
        }
    }

    /// The text of a field; empty when there is none.
    pub fn field_text(&self, name: &str) -> String {
        self.field(name).map(Frame::text).unwrap_or_default()
    }

    /// Whether this is an error reply.
    pub fn is_error(&self) -> bool {
        matches!(self, Frame::Error(_))
    }
}

/// The bytes of a command.
pub fn command<A: AsRef<[u8]>>(words: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn broken(what: &str, line: &[u8]) -> Error {
    let shown = String::from_utf8_lossy(&line[..line.len().min(40)]).into_owned();
    Error::new(ErrorKind::Protocol, format!("not RESP: {what} {shown:?}"))
}

/// The line at `at` without its end, and moves behind it.
fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *at += end + 2;
    Some(&rest[..end])
}

fn decode(bytes: &[u8], at: &mut usize, depth: usize) -> Result<Option<Frame>> {
    let Some(&sign) = bytes.get(*at) else { return Ok(None) };
    if !b"+-:$*_%~>,#(=!".contains(&sign) {
        return Err(broken("a frame cannot begin with", &bytes[*at..]));
    }
    if depth > MAX_DEPTH {
        return Err(broken("nested too deep", &bytes[*at..]));
    }
    let Some(header) = line(bytes, at) else { return Ok(None) };
    let text = || String::from_utf8_lossy(&header[1..]).into_owned();
    let number = || text().parse::<i64>().map_err(|_| broken("no number in", header));
    Ok(match sign {
        b'+' => Some(Frame::Simple(text())),
        b'-' => Some(Frame::Error(text())),
        b':' => Some(Frame::Integer(number()?)),
        b'_' => Some(Frame::Nil),
        b',' | b'#' | b'(' => Some(Frame::Other(sign, text())),
        b'$' | b'=' | b'!' => {
            let Ok(length) = usize::try_from(number()?) else { return Ok(Some(Frame::Nil)) };
            let end = at.checked_add(length).ok_or_else(|| broken("too long", header))?;
            let Some(body) = bytes.get(*at..end) else { return Ok(None) };
            match bytes.get(end..end + 2) {
                None => return Ok(None),
                Some(b"\r\n") => *at = end + 2,
                Some(_) => return Err(broken("a string longer than it says", header)),
            }
            Some(match sign {
                b'$' => Frame::Bulk(body.to_vec()),
                b'!' => Frame::Error(String::from_utf8_lossy(body).into_owned()),
                _ => Frame::Other(sign, String::from_utf8_lossy(body).into_owned()),
            })
        }
        b'%' => {
            let mut pairs = Vec::new();
            for _ in 0..number()? {
                let Some(key) = decode(bytes, at, depth + 1)? else { return Ok(None) };
                let Some(value) = decode(bytes, at, depth + 1)? else { return Ok(None) };
                pairs.push((key, value));
            }
            Some(Frame::Map(pairs))
        }
        _ => {
            let count = number()?;
            if count < 0 {
                return Ok(Some(Frame::Nil));
            }
            let mut items = Vec::new();
            for _ in 0..count {
                let Some(item) = decode(bytes, at, depth + 1)? else { return Ok(None) };
                items.push(item);
            }
            Some(if sign == b'>' { Frame::Push(items) } else { Frame::Array(items) })
        }
    })
}
