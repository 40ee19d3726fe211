//! Numbers, lists and lines for people to read.

use std::iter::{once, repeat};

use crate::wrap::wrapped;

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list<T: AsRef<str>>(words: &[T]) -> String {
    match words {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [rest @ .., last] => {
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", rest.join(", "), last.as_ref())
        }
    }
}

/// `1 sentinel`, `2 sentinels`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

/// What a server sent, without what could move the cursor.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Lines no longer than `width`, all but the first one indented; a word that is longer has its own.
pub(crate) fn wrap(text: &str, first: &str, indent: &str, width: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let lines = wrapped(&words.join(" "), width.saturating_sub(indent.chars().count()));
    let leads = once(first).chain(repeat(indent));
    leads.zip(lines).map(|(lead, line)| format!("{lead}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_counts_read_like_a_sentence() {
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!((list(&["a", "b"]), list(&["a"])), ("a and b".into(), "a".into()));
        assert_eq!((count(1, "node"), count(0, "node")), ("1 node".into(), "0 nodes".into()));
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        assert_eq!(wrap("one two three", "  ", "    ", 11), "  one two\n    three\n");
        assert_eq!(wrap("unbreakable is long", "", "", 5), "unbreakable\nis\nlong\n");
    }
}
