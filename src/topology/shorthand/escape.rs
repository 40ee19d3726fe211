//! Text and bytes of any kind as a part of a line: `\xff` is a byte, `\e` is no text at all.

use std::fmt::Write as _;

/// What separates words, and the parts of a word.
const MARKS: [char; 7] = ['\\', ',', ';', '(', ')', '=', '@'];

/// The text as one word. The words `-` and `?` have meanings of their own and are escaped as well.
pub(super) fn word(text: &str) -> String {
    match text {
        "" => return r"\e".to_owned(),
        "-" | "?" => return escaped(text.as_bytes()),
        _ => {}
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        keep_or_escape(&mut out, c, !MARKS.contains(&c) && !c.is_whitespace());
    }
    out
}

/// The bytes as the end of a line: spaces stay, except where they could get lost.
pub(super) fn rest(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            keep_or_escape(&mut out, c, c != '\\' && (c == ' ' || !c.is_whitespace()));
        }
        out.push_str(&escaped(chunk.invalid()));
    }
    if out.starts_with(' ') {
        out.replace_range(..1, r"\x20");
    }
    if out.ends_with(' ') {
        out.replace_range(out.len() - 1.., r"\x20");
    }
    out
}

fn keep_or_escape(out: &mut String, c: char, keep: bool) {
    if keep && !c.is_control() {
        out.push(c);
    } else {
        out.push_str(&escaped(c.encode_utf8(&mut [0; 4]).as_bytes()));
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4);
    for byte in bytes {
        let _ = write!(out, r"\x{byte:02x}");
    }
    out
}

/// The bytes that a word or the end of a line stands for.
#[cfg(any(test, fuzzing, feature = "cli"))]
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    if text == r"\e" {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.strip_prefix('x').and_then(|digits| digits.get(..2));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("{text:?}: \\x and two digits are expected"))?);
        rest = &after[3..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// The text that a word or the end of a line stands for.
#[cfg(any(test, fuzzing, feature = "cli"))]
pub(super) fn text(text: &str) -> Result<String, String> {
    String::from_utf8(bytes(text)?).map_err(|_| format!("{text:?} stands for bytes, not for text"))
}
