//! What the colours and letters of a timeline mean: [`legend`].

use std::fmt::Write;

/// What is drawn of each thing, and what it is.
const ENTRIES: &[(&str, &str)] = &[
    (r#"<rect class="writes" y="3" width="14" height="10"/>"#, "acknowledged writes"),
    (r#"<path class="reads" d="M0 11H5V4H14"/>"#, "answered reads"),
    (r#"<rect class="fence" y="1" width="14" height="12"/>"#, "commands are held"),
    (r#"<rect class="wait" y="5" width="14" height="4"/>"#, "one operation took long"),
    (r#"<rect class="vain" y="5" width="14" height="4"/>"#, "one took long and failed"),
    (r#"<path class="error" d="M4 4l6 6m0 -6l-6 6"/>"#, "error"),
    (r#"<path class="event" d="M7 2l5 5l-5 5l-5 -5z"/>"#, "the factory told something"),
    (r#"<path class="step" d="M7 2l5 5l-5 5l-5 -5z"/>"#, "something was done to a server"),
];

const MARKS: &[(char, &str, &str)] = &[
    ('F', "fault", "fault"),
    ('P', "promotion", "promotion: the new master accepts writes"),
    ('H', "healed", "the partition ends"),
    ('S', "switch", "switch of the factory"),
    ('A', "announced", "first +switch-master of a sentinel"),
];

/// Of a timeline that has these letters.
pub(crate) fn legend(has: impl Fn(char) -> bool) -> String {
    let mut html = String::from("<p class=\"legend\">");
    for (letter, class, text) in MARKS.iter().filter(|(letter, _, _)| has(*letter)) {
        let _ = write!(
            html,
            "<span><svg viewBox=\"0 0 14 14\"><g class=\"mark {class}\">\
             <circle cx=\"7\" cy=\"7\" r=\"5.5\"/></g></svg>{letter} {text}</span>"
        );
    }
    for (drawing, text) in ENTRIES {
        let _ = write!(html, "<span><svg viewBox=\"0 0 14 14\">{drawing}</svg>{text}</span>");
    }
    html.push_str("</p>");
    html
}
