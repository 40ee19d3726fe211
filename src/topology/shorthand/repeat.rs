//! An answer as what it says beside the one before: nearly all of it is the same each time.

const AS_BEFORE: &str = "as before";

/// The text of an answer, given that of the one before by the same sentinel.
pub(crate) fn beside(before: &str, answer: &str) -> String {
    if before == answer {
        return AS_BEFORE.to_owned();
    }
    match differences(before, answer) {
        Some(words) if words.len() < answer.len() => format!("{AS_BEFORE} {words}"),
        _ => answer.to_owned(),
    }
}

/// The words that are new or other, and the names of those that are not there any more.
fn differences(before: &str, answer: &str) -> Option<String> {
    let (before, answer) = (words(before)?, words(answer)?);
    let mut changes: Vec<String> = Vec::new();
    changes.extend(answer.iter().filter(|word| !before.contains(word)).map(|word| (*word).into()));
    let gone = before.iter().filter(|word| !answer.iter().any(|own| name(own) == name(word)));
    changes.extend(gone.map(|word| format!("-{}", name(word))));
    (name(answer.first()?) == name(before.first()?)).then(|| changes.join(" "))
}

/// The words of an answer that names a master.
fn words(answer: &str) -> Option<Vec<&str>> {
    let words: Vec<&str> = answer.split(' ').collect();
    (!matches!(words[0], "nil" | "moving" | "error")).then_some(words)
}

/// What tells words apart: `flags` of `flags=s_down`. The address at the head is its own name.
fn name(word: &str) -> &str {
    word.split_once('=').map_or(word, |(name, _)| name)
}

/// The text that [`beside`] was given.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn restored(before: Option<&str>, answer: &str) -> Result<String, String> {
    let Some(changes) = answer.strip_prefix(AS_BEFORE) else {
        return Ok(answer.to_owned());
    };
    let before = before.ok_or_else(|| format!("{answer:?}: there was none before"))?;
    if changes.is_empty() {
        return Ok(before.to_owned());
    }
    let mut words = words(before).ok_or_else(|| format!("{before:?} has no words to change"))?;
    for change in changes.split_whitespace() {
        let gone = change.strip_prefix('-');
        words.retain(|word| name(word) != gone.unwrap_or(name(change)));
        words.extend(gone.is_none().then_some(change));
    }
    Ok(words.join(" "))
}
