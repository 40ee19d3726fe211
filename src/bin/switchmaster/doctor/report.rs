//! The findings, printed: [`Report`].

use std::{
    io::{self, Write},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    facts::{Contact, Facts, Server},
    finding::{Finding, Severity},
    words::{count, harmless, wrap},
};
use crate::{
    failure::Failure,
    window::{self, Window},
    wrap::WIDTH,
};

/// What was examined, and what was found.
pub(crate) struct Report<'a> {
    facts: &'a Facts,
    findings: Vec<Finding>,
    took: Duration,
}

impl<'a> Report<'a> {
    /// Takes the findings, and puts the worst first.
    pub(crate) fn new(facts: &'a Facts, mut findings: Vec<Finding>, took: Duration) -> Report<'a> {
        findings.sort_by_key(|finding| finding.severity);
        Report { facts, findings, took }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self.findings.first().map(|finding| finding.severity) {
            Some(Severity::Error) => 3,
            Some(Severity::Warning) => 1,
            Some(Severity::Note) | None => 0,
        }
    }

    pub(crate) fn print(&self, output: &mut dyn Write, json: bool) -> Result<(), Failure> {
        let text = if json {
            format!("{:#}\n", self.to_json())
        } else {
            self.text(&Look { width: columns(), colours: window::has_colours(io::stdout()) })
        };
        output.write_all(text.as_bytes())?;
        Ok(output.flush()?)
    }

    fn number(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    fn to_json(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "code": finding.code,
                    "severity": finding.severity.as_str(),
                    "about": finding.about,
                    "what": finding.what,
                    "why": finding.why,
                    "mend": finding.mend,
                })
            })
            .collect();
        json!({
            "service": self.facts.service,
            "errors": self.number(Severity::Error),
            "warnings": self.number(Severity::Warning),
            "notes": self.number(Severity::Note),
            "findings": findings,
            "sentinels": self.facts.sentinels.iter().map(|it| server(&it.server)).collect::<Vec<_>>(),
            "nodes": self.facts.nodes.iter().map(|it| server(&it.server)).collect::<Vec<_>>(),
            "took_ms": self.took.as_millis() as u64,
        })
    }

    fn text(&self, look: &Look) -> String {
        let mut text = self.head(look.width);
        let mut rest = self.findings.as_slice();
        // Faults of one code are told together, with one reason and one way to mend them.
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|it| it.code == first.code && it.mend == first.mend);
            let (group, others) = rest.split_at(same.count());
            rest = others;
            text.push('\n');
            text.push_str(&look.title(first));
            for finding in group {
                text.push_str(&wrap(&harmless(&finding.what), "  ", "  ", look.width));
            }
            text.push_str(&wrap(first.why, "  Why:  ", "        ", look.width));
            text.push_str(&wrap(&first.mend, "  Mend: ", "        ", look.width));
        }
        text
    }

    fn head(&self, width: usize) -> String {
        let Facts { service, sentinels, nodes, .. } = self.facts;
        let answered = |servers: Vec<&Server>, noun| {
            let answered = servers.iter().filter(|server| server.answered()).count();
            match servers.len() {
                all if all == answered => count(all, noun),
                all => format!("{answered} of {}", count(all, noun)),
            }
        };
        let sentinels = answered(sentinels.iter().map(|it| &it.server).collect(), "sentinel");
        let nodes = answered(nodes.iter().map(|it| &it.server).collect(), "node");
        let severities = [Severity::Error, Severity::Warning, Severity::Note];
        let found: Vec<String> = severities
            .iter()
            .filter(|severity| self.number(**severity) > 0)
            .map(|severity| count(self.number(*severity), severity.as_str()))
            .collect();
        let found = match found.is_empty() {
            true => "nothing found".to_owned(),
            false => found.join(", "),
        };
        let head = format!(
            "{service}: looked at {sentinels} and {nodes} in {} ms: {found}",
            self.took.as_millis()
        );
        wrap(&harmless(&head), "", "", width)
    }
}

fn server(server: &Server) -> Value {
    let contact = match &server.contact {
        Contact::Answered => "answered",
        Contact::Unresolved(_) => "unresolved",
        Contact::Refused(_) => "refused",
        Contact::Silent(_) => "silent",
    };
    json!({
        "address": server.name(),
        "called_at": server.called_at.as_ref().map(ToString::to_string),
        "contact": contact,
        "version": server.version(),
    })
}

/// How the text is to look.
struct Look {
    width: usize,
    colours: bool,
}

impl Look {
    fn title(&self, finding: &Finding) -> String {
        let title = format!("{}: {}", finding.severity, finding.code);
        let colour = match finding.severity {
            Severity::Error => "31",
            Severity::Warning => "33",
            Severity::Note => "36",
        };
        match self.colours {
            true => format!("\x1b[1;{colour}m{title}\x1b[0m\n"),
            false => format!("{title}\n"),
        }
    }
}

/// The width of the terminal, as far as lines stay readable.
fn columns() -> usize {
    Window::of(io::stdout()).map_or(WIDTH, |window| window.columns.clamp(40, 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: &'static str, severity: Severity, what: &str) -> Finding {
        let what = what.to_owned();
        Finding { code, severity, about: Vec::new(), what, why: "Because.", mend: "So.".into() }
    }

    #[test]
    fn the_worst_comes_first_and_decides_the_exit_code() {
        let facts = Facts { service: "mymaster".to_owned(), ..Facts::default() };
        let found = vec![
            finding("small", Severity::Note, "A note."),
            finding("large", Severity::Error, "One."),
            finding("large", Severity::Error, "Two."),
        ];
        let report = Report::new(&facts, found, Duration::from_millis(7));
        assert_eq!(report.exit_code(), 3);
        let plain = report.text(&Look { width: 80, colours: false });
        assert_eq!(
            plain,
            "mymaster: looked at 0 sentinels and 0 nodes in 7 ms: 2 errors, 1 note\n\n\
             error: large\n  One.\n  Two.\n  Why:  Because.\n  Mend: So.\n\n\
             note: small\n  A note.\n  Why:  Because.\n  Mend: So.\n"
        );
        let coloured = report.text(&Look { width: 80, colours: true });
        assert!(coloured.contains("\x1b[1;31merror: large\x1b[0m"), "{coloured}");
        for (severity, code) in [(Severity::Warning, 1), (Severity::Note, 0)] {
            let found = vec![finding("one", severity, "It.")];
            assert_eq!(Report::new(&facts, found, Duration::ZERO).exit_code(), code);
        }
    }

    #[test]
    fn what_servers_say_cannot_move_the_cursor() {
        let facts = Facts::default();
        let found = vec![finding("one", Severity::Note, "It says \x1b[2J.")];
        let text =
            Report::new(&facts, found, Duration::ZERO).text(&Look { width: 80, colours: false });
        assert!(!text.contains('\x1b'), "{text}");
    }
}
