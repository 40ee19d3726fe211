//! Whether enough sentinels are there to agree and to elect.

use super::Rule;
use crate::doctor::{
    facts::{Facts, Sentinel},
    finding::{
        Fault,
        Severity::{Error, Warning},
    },
    words::count,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "few-sentinels",
        severity: Error,
        check: few_sentinels,
        why: "A failover needs a majority of all sentinels. Of two, that is both: whatever takes one \
              of them stops all failovers. A single one is an opinion without a second.",
        mend: "Run three sentinels or five, each on a machine of its own; that of an application will \
               do.",
    },
    Rule {
        code: "even-sentinels",
        severity: Warning,
        check: even_sentinels,
        why: "An even number survives no more losses than one sentinel less, and when it is cut in \
              halves (two racks, two data centres), neither half is a majority: nobody fails over.",
        mend: "Add one in a third place, or remove one (stop it, then `SENTINEL RESET {service}` on \
               the others).",
    },
    Rule {
        code: "no-majority",
        severity: Error,
        check: no_majority,
        why: "Only a majority of all known sentinels elects the one that carries out a failover; dead \
              ones count.",
        mend: "Start the missing ones. For those that are gone for good, `SENTINEL RESET {service}` on \
               each of the others, one after another.",
    },
    Rule {
        code: "no-quorum",
        severity: Error,
        check: no_quorum,
        why: "If the master died now, it would not be replaced.",
        mend: "Start the sentinels that are missing, and check that they reach each other. \
               `SENTINEL CKQUORUM {service}` tells when that is mended.",
    },
    Rule {
        code: "quorum-too-high",
        severity: Error,
        check: quorum_too_high,
        why: "So many sentinels can never agree that the master is down: it is never replaced.",
        mend: "`SENTINEL SET {service} quorum <a majority>` on every sentinel.",
    },
    Rule {
        code: "quorum-of-all",
        severity: Warning,
        check: quorum_of_all,
        why: "When any one of the sentinels is down, the master is not replaced any more.",
        mend: "`SENTINEL SET {service} quorum <a majority>` on every sentinel.",
    },
    Rule {
        code: "quorum-one",
        severity: Warning,
        check: quorum_one,
        why: "One sentinel that has lost its way to the master is enough to have it replaced, though \
              everybody else still reaches it.",
        mend: "`SENTINEL SET {service} quorum <a majority>` on every sentinel.",
    },
];

fn about_all(facts: &Facts, what: String) -> Vec<Fault> {
    vec![Fault::new(facts.watching().map(Sentinel::name).collect(), what)]
}

fn few_sentinels(facts: &Facts) -> Vec<Fault> {
    match facts.counted() {
        few @ (1 | 2) if facts.watching().next().is_some() => {
            let verb = if few == 1 { "watches" } else { "watch" };
            about_all(facts, format!("Only {} {verb} {:?}.", count(few, "sentinel"), facts.service))
        }
        _ => Vec::new(),
    }
}

fn even_sentinels(facts: &Facts) -> Vec<Fault> {
    match facts.counted() {
        all if all >= 4 && all % 2 == 0 && facts.watching().next().is_some() => {
            let (majority, half) = (facts.majority(), all / 2);
            let what = format!(
                "{all} sentinels, of which {majority} are the majority and {half} are not."
            );
            about_all(facts, what)
        }
        _ => Vec::new(),
    }
}

fn no_majority(facts: &Facts) -> Vec<Fault> {
    let (there, majority) = (facts.watching().count(), facts.majority());
    if there == 0 || there >= majority {
        return Vec::new();
    }
    let all = count(facts.counted(), "known sentinel");
    about_all(facts, format!("{there} of {all} can be asked; {majority} are the majority."))
}

fn no_quorum(facts: &Facts) -> Vec<Fault> {
    let fault = |sentinel: &Sentinel| match &sentinel.quorum_check {
        Some(Err(why)) => Some(Fault::at(sentinel.name(), format!("says: {why}"))),
        _ => None,
    };
    facts.watching().filter_map(fault).collect()
}

fn quorum_too_high(facts: &Facts) -> Vec<Fault> {
    let counted = facts.counted();
    match facts.quorum() {
        Some(quorum) if quorum > counted => {
            let all = count(counted, "sentinel");
            about_all(facts, format!("The quorum is {quorum}, and there are {all}."))
        }
        _ => Vec::new(),
    }
}

fn quorum_of_all(facts: &Facts) -> Vec<Fault> {
    match facts.quorum() {
        Some(quorum) if quorum == facts.counted() && quorum >= 3 => {
            about_all(facts, format!("The quorum is {quorum}, which is all of them."))
        }
        _ => Vec::new(),
    }
}

fn quorum_one(facts: &Facts) -> Vec<Fault> {
    let counted = facts.counted();
    let lowest = facts.watching().filter_map(|sentinel| sentinel.setting("quorum")).min();
    match lowest {
        Some(1) if counted > 1 => {
            about_all(facts, format!("The quorum is 1 of {}.", count(counted, "sentinel")))
        }
        _ => Vec::new(),
    }
}
