//! How names and numbers are spelled in the printed form and in messages.

/// Whether a name needs no quotes.
fn plain(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./:-?$".contains(&b))
        && !name.starts_with(['-', '?'])
        && !name.contains("->")
        && !name.contains("//")
        && !name.ends_with(':')
}

/// A name as one word, quoted where it must be.
pub fn word(name: &str) -> String {
    if plain(name) { name.to_owned() } else { format!("{name:?}") }
}

/// A value's name with its sigil.
pub fn value(name: &str) -> String {
    format!("%{}", word(name))
}
