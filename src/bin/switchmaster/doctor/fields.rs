//! Names and values, as servers tell them: [`Fields`].

use std::collections::BTreeMap;

use redis::Value;

/// What a server told in pairs: `INFO`, `CONFIG GET`, `SENTINEL MASTER`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Of a map, or of an array in which names and values alternate.
    pub(crate) fn of_value(value: &Value) -> Fields {
        let text = |value: &Value| text(value).unwrap_or_default();
        Fields(match value {
            Value::Map(pairs) => pairs.iter().map(|(name, it)| (text(name), text(it))).collect(),
            Value::Array(items) => {
                items.chunks_exact(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
            }
            _ => BTreeMap::new(),
        })
    }

    /// Of the lines of `INFO`.
    pub(crate) fn of_info(info: &str) -> Fields {
        let pair = |line: &str| -> Option<(String, String)> {
            let (name, value) = line.trim_end().split_once(':')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Fields(info.lines().filter_map(pair).collect())
    }

    pub(crate) fn extend(&mut self, other: Fields) {
        self.0.extend(other.0);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// Whether it is there and says that.
    pub(crate) fn says(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    /// Whether the list `flags` has this one.
    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.get("flags").is_some_and(|flags| flags.split(',').any(|one| one == flag))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Fields {
    fn from(pairs: [(&str, &str); N]) -> Fields {
        Fields(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// What a reply says, as text; replaced where it is no UTF-8.
pub(crate) fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Okay => "OK".to_owned(),
        _ => return None,
    })
}

/// The members of a list.
pub(crate) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => &[],
    }
}
