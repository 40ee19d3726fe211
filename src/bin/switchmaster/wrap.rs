//! Lines that fit: [`wrapped`].

/// The width of everything that is printed.
pub(crate) const WIDTH: usize = 80;

/// Lines of this width, broken at spaces; a word that is longer stays whole.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else if line.is_empty() && last == 0 {
            line.push_str(word);
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_lose_nothing() {
        assert_eq!(wrapped("a bb  ccc dddddd e", 5), ["a bb ", "ccc", "dddddd", "e"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
