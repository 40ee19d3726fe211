//! What is being done, told as it begins, and how long it took: [`Phases`].

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::failure::Failure;

/// The steps so far, one after the other.
pub(super) struct Phases {
    json: bool,
    begun: Instant,
    done: Vec<(&'static str, Duration)>,
    present: Option<(&'static str, Instant)>,
}

impl Phases {
    pub(super) fn begin(json: bool) -> Phases {
        Phases { json, begun: Instant::now(), done: Vec::new(), present: None }
    }

    /// The next step begins: its name, and what is done in it. Somebody may be watching, so it is told on
    /// the standard error; nothing depends on whether it can be.
    pub(super) fn enter(&mut self, name: &'static str, what: &str) {
        self.finish();
        let after = self.begun.elapsed().as_secs_f64() * 1e3;
        let _ = writeln!(io::stderr().lock(), "{after:>9.1} ms  {name}: {what}");
        self.present = Some((name, Instant::now()));
    }

    /// Something that somebody should know at once.
    pub(super) fn note(&self, text: &str) {
        let after = self.begun.elapsed().as_secs_f64() * 1e3;
        let _ = writeln!(io::stderr().lock(), "{after:>9.1} ms  {text}");
    }

    /// The present step is over.
    pub(super) fn finish(&mut self) {
        if let Some((name, since)) = self.present.take() {
            self.done.push((name, since.elapsed()));
        }
    }

    /// How long each step took: name and milliseconds.
    fn to_json(&self) -> Value {
        let steps = self.done.iter();
        steps.map(|(name, took)| json!({ "name": name, "ms": millis(*took) })).collect()
    }

    /// Prints what came of it.
    pub(super) fn print(&self, fields: &Value, text: &str) -> Result<(), Failure> {
        let mut output = io::stdout().lock();
        if self.json {
            let mut document = fields.clone();
            document["phases"] = self.to_json();
            writeln!(output, "{document}")?;
        } else {
            output.write_all(text.as_bytes())?;
            for (name, took) in &self.done {
                writeln!(output, "  {name:<14}{:>9.1} ms", millis(*took))?;
            }
        }
        Ok(output.flush()?)
    }
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
