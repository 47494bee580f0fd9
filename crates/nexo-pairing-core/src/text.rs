//! Makes untrusted text safe for terminals, logs and file names.

use std::error::Error;

/// Escapes characters that move the cursor, change the reading direction or are invisible.
///
/// ```
/// assert_eq!(nexo_pairing_core::text::escape("a\u{1b}[2J\nb"), r"a\u{1b}[2J\nb");
/// ```
#[must_use]
pub fn escape(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            visible.extend(c.escape_default());
        } else {
            visible.push(c);
        }
    }
    visible
}

/// [`escape`]s the text and truncates it to `max` characters, the last of which is then `…`.
#[must_use]
pub fn truncate(text: &str, max: usize) -> String {
    // Escaping never shortens a text, so the rest is never shown.
    let visible = escape(&text.chars().take(max.saturating_add(1)).collect::<String>());
    if visible.chars().count() <= max {
        return visible;
    }
    visible.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// The beginning of a rejected value, for its error: 40 characters, escaped as in a Rust string.
///
/// ```
/// assert_eq!(nexo_pairing_core::text::excerpt("a\"\n"), r#"a\"\n"#);
/// assert_eq!(nexo_pairing_core::text::excerpt(&"a".repeat(50)).len(), 40);
/// ```
#[must_use]
pub fn excerpt(value: &str) -> String {
    value.chars().take(40).flat_map(char::escape_debug).collect()
}

/// Whether a character moves the cursor, changes the reading direction or is invisible.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// An error with its causes on one line, escaped. A cause whose text already appeared is skipped.
///
/// ```
/// use nexo_pairing_core::{PairingError, text::error_chain};
///
/// let error = PairingError::backend("disk on fire");
/// assert_eq!(error_chain(&error), "the store failed: disk on fire");
/// ```
#[must_use]
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    escape(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PairingError;

    #[test]
    fn hidden_characters_are_escaped() {
        assert_eq!(escape("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(escape("\u{202e}moc.live\u{200b}"), "\\u{202e}moc.live\\u{200b}");
        assert_eq!(escape("Ünï 名前 😀"), "Ünï 名前 😀");
    }

    #[test]
    fn a_long_text_is_truncated_after_escaping() {
        assert_eq!(truncate("short", 5), "short");
        assert_eq!(truncate("longer", 5), "long…");
        assert_eq!(truncate("\u{1b}\u{1b}\u{1b}", 8), "\\u{1b}\\…");
        assert_eq!(truncate(&"ñ".repeat(1_000_000), 3), "ññ…");
        assert_eq!(truncate("abc", 0), "…");
        assert_eq!(truncate("abc", usize::MAX), "abc");
    }

    #[test]
    fn a_chain_is_escaped() {
        let error = PairingError::backend("gone\u{1b}[2J");
        assert_eq!(error_chain(&error), "the store failed: gone\\u{1b}[2J");
    }
}
