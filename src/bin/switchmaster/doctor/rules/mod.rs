//! The rules: each is a code, a severity, a reason, a remedy and a small function that looks at the facts
//! and names every fault of that kind. A new rule is a new row, and a section in docs/doctor.md.

mod agreement;
mod credentials;
mod hosts;
mod limits;
mod presence;
mod quorum;
mod replicas;
mod servers;
mod storage;
mod timing;

use super::{
    facts::Facts,
    finding::{Fault, Finding, Severity},
};

/// All rules, in the order in which findings of one severity are told: first who is there, since much
/// else follows from that.
const TABLES: &[&[Rule]] = &[
    presence::RULES,
    quorum::RULES,
    hosts::RULES,
    agreement::RULES,
    timing::RULES,
    replicas::RULES,
    storage::RULES,
    limits::RULES,
    credentials::RULES,
    servers::RULES,
];

struct Rule {
    code: &'static str,
    severity: Severity,
    check: fn(&Facts) -> Vec<Fault>,
    why: &'static str,
    /// `{service}` stands for the name of the service.
    mend: &'static str,
}

/// Everything that is wrong.
pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let rules = TABLES.iter().copied().flatten();
    rules
        .flat_map(|rule| (rule.check)(facts).into_iter().map(|fault| finding(facts, rule, fault)))
        .collect()
}

fn finding(facts: &Facts, rule: &Rule, fault: Fault) -> Finding {
    Finding {
        code: rule.code,
        severity: rule.severity,
        about: fault.about,
        what: fault.what,
        why: rule.why,
        mend: rule.mend.replace("{service}", &facts.service),
    }
}

#[cfg(test)]
mod tests;
