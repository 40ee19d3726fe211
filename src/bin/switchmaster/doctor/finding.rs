//! What is wrong: [`Finding`], and how much that matters: [`Severity`].

use std::fmt;

/// How much something matters; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// A failover fails, or data is lost, when the next thing goes wrong, or already.
    Error,
    /// It works, and worse than it could, or only while nothing else happens.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fault as a rule has found it: at which servers, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) about: Vec<String>,
    pub(crate) what: String,
}

impl Fault {
    pub(crate) fn new(about: Vec<String>, what: impl Into<String>) -> Fault {
        Fault { about, what: what.into() }
    }

    /// At one server, which begins the sentence.
    pub(crate) fn at(server: String, what: impl fmt::Display) -> Fault {
        let what = format!("{server} {what}");
        Fault { about: vec![server], what }
    }
}

/// A fault with all that is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    pub(crate) severity: Severity,
    pub(crate) about: Vec<String>,
    pub(crate) what: String,
    pub(crate) why: &'static str,
    pub(crate) mend: String,
}
