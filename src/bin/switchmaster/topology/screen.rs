//! Where looks are shown: [`Screen`].

use std::io::{self, Write};

use super::{document::document, look::Looks, tree::Tree};
use crate::{failure::Failure, window::Window, wrap::WIDTH};

/// A tree needs room for its branches and for some words.
const NARROWEST: usize = 30;

/// The output: a look that says the same as the one before is not shown again.
pub(super) struct Screen {
    json: bool,
    /// Whether each look takes the place of the one before.
    redraw: bool,
    before: Option<String>,
}

impl Screen {
    pub(super) fn new(json: bool, redraw: bool) -> Screen {
        Screen { json, redraw: redraw && !json, before: None }
    }

    pub(super) fn show(&mut self, looks: &Looks) -> Result<(), Failure> {
        let mut output = io::stdout().lock();
        // It may be another one each time.
        let window = Window::of(&output);
        let width = window.map_or(WIDTH, |window| window.columns.clamp(NARROWEST, WIDTH));
        if self.redraw {
            // What was longer is cleared behind each line, and what was more below.
            let first = self.before.is_none();
            let whole = text(looks, &Tree::whole(width));
            let text = match window {
                Some(window) => window.fitted(&whole),
                None => whole,
            };
            let text = text.replace('\n', "\x1b[K\n");
            let clear = if first { "\x1b[2J" } else { "" };
            write!(output, "{clear}\x1b[H{text}\x1b[J")?;
            self.before = Some(String::new());
            return Ok(output.flush()?);
        }
        // Under load the lag is another one each time.
        let gist = text(looks, &Tree::without_lag(WIDTH));
        if self.before.as_ref() == Some(&gist) {
            return Ok(());
        }
        if self.json {
            writeln!(output, "{}", document(looks))?;
        } else {
            let gap = if self.before.is_some() { "\n" } else { "" };
            write!(output, "{gap}{}", text(looks, &Tree::whole(width)))?;
        }
        self.before = Some(gist);
        Ok(output.flush()?)
    }
}

fn text(looks: &Looks, tree: &Tree) -> String {
    let trees: Vec<String> = looks.looks.iter().map(|look| tree.drawn(look)).collect();
    trees.join("\n")
}
