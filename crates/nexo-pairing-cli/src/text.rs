//! Text that others wrote, made fit for a terminal and for a shell; times for people.

use std::fmt::Write as _;

use time::{Duration, OffsetDateTime};

/// The text with everything made visible that moves the cursor, turns the reading direction or
/// cannot be seen.
pub(crate) fn escaped(text: &str) -> String {
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

/// [`escaped`], and cut to `max` characters.
pub(crate) fn cut(text: &str, max: usize) -> String {
    // Nothing becomes shorter by being escaped: what lies behind is never shown.
    let visible = escaped(&text.chars().take(max + 1).collect::<String>());
    if visible.chars().count() <= max {
        return visible;
    }
    visible.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// Whether a character moves the cursor, turns the reading direction or cannot be seen.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text as one word for a shell.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%_+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// How long something is: `42 s`, `5 min`, `3 h`, `2 d`; rounded down, and never below nothing.
pub(crate) fn length(duration: Duration) -> String {
    let secs = duration.whole_seconds().max(0);
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs / 60),
        7200..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

/// A moment: `2026-01-31 09:05:00 UTC`.
pub(crate) fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let (date, time) = (at.date(), at.time());
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_play_tricks_is_made_visible() {
        assert_eq!(escaped("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(escaped("\u{202e}moc.live\u{200b}"), "\\u{202e}moc.live\\u{200b}");
        assert_eq!(escaped("Ünï 名前 😀"), "Ünï 名前 😀");
    }

    #[test]
    fn a_long_text_is_cut_after_it_was_escaped() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "long…");
        assert_eq!(cut("\u{1b}\u{1b}\u{1b}", 8), "\\u{1b}\\…");
        assert_eq!(cut(&"ñ".repeat(1_000_000), 3), "ññ…");
        assert_eq!(cut("abc", 0), "…");
    }

    #[test]
    fn a_word_survives_the_shell() {
        assert_eq!(shell_word("+5491155556666"), "+5491155556666");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn lengths_and_moments_are_short() {
        assert_eq!(length(Duration::seconds(-5)), "0 s");
        assert_eq!(length(Duration::seconds(119)), "119 s");
        assert_eq!(length(Duration::seconds(3599)), "59 min");
        assert_eq!(length(Duration::hours(47)), "47 h");
        assert_eq!(length(Duration::days(400)), "400 d");
        assert_eq!(moment(OffsetDateTime::UNIX_EPOCH), "1970-01-01 00:00:00 UTC");
    }
}
