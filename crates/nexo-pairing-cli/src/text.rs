//! Formats text for terminals and shells, and times for people.

use std::path::Path;

pub(crate) use nexo_pairing::text::{escape, is_hidden, truncate};
use time::{Duration, OffsetDateTime};

/// The text as one word for a shell.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%_+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The path as one word for a shell, fit for a terminal.
pub(crate) fn shell_path(path: &Path) -> String {
    shell_word(&escape(&path.to_string_lossy()))
}

/// A duration: `42 s`, `5 min`, `3 h`, `2 d`; rounded down, and never negative.
pub(crate) fn format_duration(duration: Duration) -> String {
    let secs = duration.whole_seconds().max(0);
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

/// A moment: `2026-01-31 09:05:00 UTC`.
pub(crate) fn format_time(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!("{} {:02}:{:02}:{:02} UTC", at.date(), at.hour(), at.minute(), at.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_the_shell() {
        assert_eq!(shell_word("+5491155556666"), "+5491155556666");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn lengths_and_moments_are_short() {
        assert_eq!(format_duration(Duration::seconds(-5)), "0 s");
        assert_eq!(format_duration(Duration::seconds(119)), "119 s");
        assert_eq!(format_duration(Duration::seconds(3599)), "59 min");
        assert_eq!(format_duration(Duration::hours(47)), "47 h");
        assert_eq!(format_duration(Duration::days(400)), "400 d");
        assert_eq!(format_time(OffsetDateTime::UNIX_EPOCH), "1970-01-01 00:00:00 UTC");
    }
}
