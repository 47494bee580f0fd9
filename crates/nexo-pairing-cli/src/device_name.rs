//! Names of devices, displayed so that none can imitate another.

use std::collections::HashMap;

use nexo_pairing::Session;
use unicode_script::{Script, UnicodeScript};
use unicode_security::skeleton;

use crate::text::{escape, is_hidden};

/// The name of a device, and whether the device chose it; `None` for a device without a name.
///
/// A name that is not from the setup code is marked as the device's own.
pub(crate) fn shown(session: &Session) -> Option<String> {
    let label = visible(session.device_label.as_deref()?);
    Some(if session.named_by_device { format!("{label} (its own name)") } else { label })
}

/// The name with invisible characters escaped: as [`escape`] does, and also spaces, except single ones
/// between other characters.
pub(crate) fn visible(label: &str) -> String {
    let mut shown = String::with_capacity(label.len());
    let mut before = None;
    let mut rest = label.chars().peekable();
    while let Some(c) = rest.next() {
        let is_edge = before.is_none_or(char::is_whitespace) || rest.peek().is_none();
        let is_odd_space = c.is_whitespace() && (c != ' ' || is_edge);
        // After a letter, it has no visible effect; after a symbol, it selects an emoji.
        let is_odd_selector =
            is_selector(c) && before.is_none_or(|c| c.is_alphanumeric() || c == ' ');
        if is_odd_space || is_odd_selector || is_blank(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
        before = Some(c);
    }
    escape(&shown)
}

/// The same text for names that look alike: the skeleton of Unicode Technical Standard 39, without
/// invisible characters and with single spaces.
pub(crate) fn skeleton_of(label: &str) -> String {
    let seen: String = label.chars().filter(|&c| !is_blank(c) && !is_selector(c)).collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    skeleton(&words.join(" ")).collect()
}

/// The groups of sessions whose names look alike, each with two or more; in the order of the sessions.
pub(crate) fn look_alikes(sessions: &[Session]) -> Vec<Vec<&Session>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<&Session>> = Vec::new();
    for session in sessions {
        let Some(label) = &session.device_label else { continue };
        let place = *places.entry(skeleton_of(label)).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(session);
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// Whether most fonts show nothing or a placeholder for a character: invisible and blank characters, and
/// unassigned code points. White space is not included.
fn is_blank(c: char) -> bool {
    is_hidden(c)
        || matches!(c, '\u{70f}' | '\u{2800}' | '\u{fffc}' | '\u{16fe4}' | '\u{1d159}')
        || matches!(c, '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
        || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
        || c.script() == Script::Unknown
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_have_one_skeleton() {
        for alike in [
            "phone",
            "phone ",
            " phone",
            "\u{a0}phone\u{3000}",
            "phone\u{fe0f}",
            "ph\u{200b}one",
            "ph\u{43e}ne",
            "ｐｈｏｎｅ",
            "p\u{34f}hone",
            "phone\u{2800}",
            "phone\u{1d159}",
            "phone\u{fffc}",
            "phone\u{378}",
            "phone\u{e000}",
            "phone\u{10fffd}",
        ] {
            assert_eq!(skeleton_of(alike), skeleton_of("phone"), "{alike:?}");
        }
        assert_eq!(skeleton_of("a   b"), skeleton_of("a b"));
        for other in ["phone 2", "phoné", "Phone", "tablet", "p hone"] {
            assert_ne!(skeleton_of(other), skeleton_of("phone"), "{other:?}");
        }
    }

    #[test]
    fn invisible_characters_are_escaped() {
        for (label, shown) in [
            ("Ana's iPhone", "Ana's iPhone"),
            ("phone ", "phone\\u{20}"),
            (" phone", "\\u{20}phone"),
            ("a   b", "a \\u{20}\\u{20}b"),
            ("   ", "\\u{20}\\u{20}\\u{20}"),
            ("a\u{a0}b", "a\\u{a0}b"),
            ("phone\u{fe0f}", "phone\\u{fe0f}"),
            ("\u{2764}\u{fe0f} phone", "\u{2764}\u{fe0f} phone"),
            ("phone\u{2800}", "phone\\u{2800}"),
            ("\u{202e}enohp", "\\u{202e}enohp"),
        ] {
            assert_eq!(visible(label), shown, "{label:?}");
        }
    }
}
