//! What the header declares, read from its text.

/// A function of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub returns: String,
    pub parameters: Vec<Parameter>,
}

/// A type without the name, such as `const char *const *`, and the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub kind: String,
    pub name: String,
}

/// Every function that is declared.
pub fn functions(header: &str) -> Vec<Function> {
    let code = without_comments(header);
    let code: Vec<&str> = code.lines().filter(|line| !line.starts_with('#')).collect();
    let code = code.join(" ");
    // Declarations of functions are what ends with `);`.
    code.split(';').filter_map(|text| function(text.trim())).collect()
}

fn function(text: &str) -> Option<Function> {
    let text = text.rsplit(['{', '}']).next()?.trim();
    if text.starts_with("typedef") {
        // The type of a callback.
        return None;
    }
    let (head, rest) = text.split_once('(')?;
    let (returns, name) = typed(head);
    let list = rest.trim_end().strip_suffix(')').unwrap_or_else(|| panic!("{text:?} has no end"));
    let parameters = list.split(',').map(str::trim).filter(|text| *text != "void");
    let parameters = parameters.map(|text| {
        let (kind, name) = typed(text);
        Parameter { kind, name }
    });
    Some(Function { name, returns, parameters: parameters.collect() })
}

/// A type and the name behind it.
fn typed(text: &str) -> (String, String) {
    let text = text.trim();
    let begin = text.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    let kind: Vec<&str> = text[..begin].split_whitespace().collect();
    (kind.join(" "), text[begin..].to_owned())
}

fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("/*") {
        code.push_str(&rest[..at]);
        let end = rest[at..].find("*/").expect("a comment has an end");
        rest = &rest[at + end + 2..];
    }
    code.push_str(rest);
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}
