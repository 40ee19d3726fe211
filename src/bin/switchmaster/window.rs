//! The window of a terminal: [`Window`].

use std::{env, io::IsTerminal, os::fd::AsFd};

/// How much a terminal shows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Window {
    /// The window behind an output; `None` where there is none, or it has no size.
    pub(crate) fn of(output: impl AsFd) -> Option<Window> {
        let size = rustix::termios::tcgetwinsize(output).ok()?;
        let window = Window { columns: size.ws_col.into(), rows: size.ws_row.into() };
        (window.columns > 0 && window.rows > 0).then_some(window)
    }

    /// The text as it stands in the window above the cursor, which is on the line below: lines that are
    /// too long go on below, and what there is no room for is counted.
    pub(crate) fn fitted(self, text: &str) -> String {
        let mut rows = Vec::new();
        for line in text.lines() {
            let characters: Vec<char> = line.chars().collect();
            match characters.is_empty() {
                true => rows.push(String::new()),
                false => rows.extend(characters.chunks(self.columns).map(String::from_iter)),
            }
        }
        let room = self.rows.saturating_sub(1);
        if rows.len() > room {
            let kept = room.saturating_sub(1);
            let note = format!("… {} more lines", rows.len() - kept);
            rows.truncate(kept);
            if room > 0 {
                rows.push(note.chars().take(self.columns).collect());
            }
        }
        rows.iter().map(|row| format!("{row}\n")).collect()
    }
}

/// Whether it is a terminal in which the cursor can be moved.
pub(crate) fn has_cursor(output: impl IsTerminal) -> bool {
    output.is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether it is a terminal in which colours are wanted (<https://no-color.org>).
pub(crate) fn has_colours(output: impl IsTerminal) -> bool {
    has_cursor(output) && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_counted() {
        let window = |columns, rows| Window { columns, rows };
        assert_eq!(window(80, 4).fitted("a\n\nb\n"), "a\n\nb\n");
        assert_eq!(window(80, 3).fitted("a\n\nb\n"), "a\n… 2 more lines\n");
        assert_eq!(window(3, 4).fitted("abcdefgh\n"), "abc\ndef\ngh\n");
        assert_eq!(window(3, 2).fitted("abcdefgh\n"), "… 3\n");
        assert_eq!(window(3, 1).fitted("abc\n"), "");
    }
}
