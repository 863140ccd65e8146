//! How names are listed and guessed in messages.

/// How alike two words must be for one to be offered for the other, from 0 to 1.
const ALIKE: f64 = 0.6;

/// The known word that was most likely meant.
pub(crate) fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let score = |word: &str| strsim::normalized_damerau_levenshtein(&given.to_lowercase().replace('_', "-"), word);
    let scored = known.iter().map(|word| (*word, score(&word.to_lowercase())));
    scored
        .filter(|(_, score)| *score >= ALIKE)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(word, _)| word)
}

/// " (there is NAME)": the known name that was most likely meant; nothing when none is like it.
pub(crate) fn there_is(given: &str, known: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    let known: Vec<_> = known.iter().map(AsRef::as_ref).collect();
    nearest(given, &known).map_or_else(String::new, |near| format!(" (there is {near})"))
}

/// "`a`, `b`, `c`".
pub(crate) fn list(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
