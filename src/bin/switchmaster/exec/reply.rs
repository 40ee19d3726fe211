//! A reply as text: [`raw`], [`formatted`], [`json()`].

use redis::Value;

/// As it is: strings without quotes, the items of a list one on a line.
pub(super) fn raw(value: &Value) -> Vec<u8> {
    let several =
        |values: &mut dyn Iterator<Item = Vec<u8>>| values.collect::<Vec<_>>().join(&b"\n"[..]);
    match value {
        Value::BulkString(bytes) => bytes.clone(),
        Value::Nil => Vec::new(),
        Value::Array(values) | Value::Set(values) | Value::Push { data: values, .. } => {
            several(&mut values.iter().map(raw))
        }
        Value::Map(pairs) => {
            several(&mut pairs.iter().flat_map(|(key, value)| [raw(key), raw(value)]))
        }
        Value::Attribute { data, .. } => raw(data),
        value => scalar(value).into_bytes(),
    }
}

/// For people: strings quoted, lists numbered.
pub(super) fn formatted(value: &Value, indent: usize) -> String {
    let numbered = |values: &[&Value]| -> String {
        if values.is_empty() {
            return "(empty)".to_owned();
        }
        let width = values.len().to_string().len();
        let lines = values.iter().enumerate().map(|(index, value)| {
            let lead = if index == 0 { String::new() } else { format!("\n{:indent$}", "") };
            format!("{lead}{:>width$}) {}", index + 1, formatted(value, indent + width + 2))
        });
        lines.collect()
    };
    match value {
        Value::Nil => "(nil)".to_owned(),
        Value::Int(number) => format!("(integer) {number}"),
        Value::BulkString(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::ServerError(_) => format!("(error) {}", scalar(value)),
        Value::Array(values) | Value::Set(values) | Value::Push { data: values, .. } => {
            numbered(&values.iter().collect::<Vec<_>>())
        }
        Value::Map(pairs) => {
            numbered(&pairs.iter().flat_map(|(key, value)| [key, value]).collect::<Vec<_>>())
        }
        Value::Attribute { data, .. } => formatted(data, indent),
        // What a server sends may move no cursor.
        value => scalar(value).escape_debug().to_string(),
    }
}

pub(super) fn json(value: &Value) -> serde_json::Value {
    let all = |values: &[Value]| values.iter().map(json).collect::<Vec<_>>().into();
    match value {
        Value::Nil => serde_json::Value::Null,
        Value::Int(number) => (*number).into(),
        Value::Boolean(yes) => (*yes).into(),
        Value::Double(number) if number.is_finite() => (*number).into(),
        Value::BulkString(bytes) => match str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                serde_json::json!({ "hex": hex })
            }
        },
        Value::ServerError(_) => serde_json::json!({ "error": scalar(value) }),
        Value::Array(values) | Value::Set(values) | Value::Push { data: values, .. } => all(values),
        // Keys need not be strings.
        Value::Map(pairs) => {
            pairs.iter().map(|(key, value)| vec![json(key), json(value)]).collect()
        }
        Value::Attribute { data, .. } => json(data),
        value => scalar(value).into(),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone(),
        Value::Okay => "OK".to_owned(),
        Value::Double(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::BigNumber(number) => format!("{number:?}"),
        Value::ServerError(error) => {
            let details = error.details().unwrap_or_default();
            format!("{} {details}", error.code()).trim_end().to_owned()
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Value {
        let word = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        Value::Array(vec![word("a\x1b"), Value::Nil, Value::Array(vec![Value::Int(1), word("b")])])
    }

    #[test]
    fn a_list_is_numbered_for_people_and_bare_over_a_pipe() {
        let lines = "1) \"a\\x1b\"\n2) (nil)\n3) 1) (integer) 1\n   2) \"b\"";
        assert_eq!(formatted(&list(), 0), lines);
        assert_eq!(raw(&list()), b"a\x1b\n\n1\nb");
    }

    #[test]
    fn bytes_that_are_no_text_are_hex_in_json() {
        assert_eq!(json(&list()).to_string(), r#"["a\u001b",null,[1,"b"]]"#);
        assert_eq!(json(&Value::BulkString(vec![0xff])).to_string(), r#"{"hex":"ff"}"#);
    }
}
