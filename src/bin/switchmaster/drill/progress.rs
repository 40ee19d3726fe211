//! How far a long drill is, on a terminal: [`Progress`].

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use super::fault::Fault;
use crate::{
    window::{self, Window},
    wrap::WIDTH,
};

/// One line of the error output that is written anew; nothing where that is no terminal.
pub(crate) struct Progress {
    begun: Instant,
    /// Runs of all faults together.
    total: u32,
    done: u32,
    shown: bool,
}

impl Progress {
    pub(crate) fn of(total: u32) -> Progress {
        let shown = total > 1 && window::has_cursor(io::stderr());
        Progress { begun: Instant::now(), total, done: 0, shown }
    }

    /// A run begins.
    pub(crate) fn begin(&self, fault: Fault, run: u32, runs: u32) {
        let left = left(self.begun.elapsed(), self.done, self.total);
        self.draw(&line(fault, run, runs, left));
    }

    /// A run is done.
    pub(crate) fn done(&mut self) {
        self.done += 1;
        self.draw("");
    }

    /// Nobody reads it where it cannot be written.
    fn draw(&self, line: &str) {
        if self.shown {
            let mut output = io::stderr().lock();
            // A line that is too long would go on below, where the next one does not replace it.
            let room = Window::of(&output).map_or(WIDTH, |window| window.columns) - 1;
            let line: String = line.chars().take(room).collect();
            let _ = write!(output, "\r\x1b[K{line}").and_then(|()| output.flush());
        }
    }
}

impl Drop for Progress {
    /// What is written next, an error for example, begins a line.
    fn drop(&mut self) {
        self.draw("");
    }
}

/// How long the rest takes if it goes on like this.
fn left(passed: Duration, done: u32, total: u32) -> Option<Duration> {
    Some(passed.checked_div(done)? * total.saturating_sub(done))
}

fn line(fault: Fault, run: u32, runs: u32, left: Option<Duration>) -> String {
    let left = match left.map(|left| left.as_secs() + 1) {
        None => String::new(),
        Some(seconds @ ..60) => format!(", {seconds} s left"),
        Some(seconds) => format!(", {} min {} s left", seconds / 60, seconds % 60),
    };
    format!("{fault}, run {run} of {runs}{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_once_it_is_known() {
        let passed = Duration::from_secs(12);
        assert_eq!(left(passed, 0, 20), None);
        assert_eq!(left(passed, 3, 20), Some(Duration::from_secs(68)));
        let of = |left: Option<u64>| line(Fault::Kill, 4, 20, left.map(Duration::from_secs));
        assert_eq!(of(None), "kill, run 4 of 20");
        assert_eq!(of(Some(8)), "kill, run 4 of 20, 9 s left");
        assert_eq!(of(Some(67)), "kill, run 4 of 20, 1 min 8 s left");
    }
}
