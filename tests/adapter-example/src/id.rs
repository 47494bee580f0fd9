//! Normalizes the sender ids of IRC, and those that an operator types, to one canonical id.

use std::ops::RangeInclusive;

/// The prefix that distinguishes an account of the network's services from a nick, as in ban lists.
const ACCOUNT: &str = "$a:";

/// How many bytes the name of an account has; the networks' limits are between 16 and 32.
const ACCOUNT_BYTES: RangeInclusive<usize> = 1..=64;

/// How many bytes the name of a channel has, its `#` included.
const CHANNEL_BYTES: RangeInclusive<usize> = 2..=64;

/// The canonical id of `raw`: an account or a channel, in lower case.
pub(crate) fn canonical(raw: &str) -> Option<String> {
    let is_known = match raw.strip_prefix(ACCOUNT) {
        Some(name) => ACCOUNT_BYTES.contains(&name.len()) && is_account(name),
        None => CHANNEL_BYTES.contains(&raw.len()) && is_channel(raw),
    };
    is_known.then(|| raw.chars().map(lower).collect())
}

/// Names of accounts follow the rule of nicks: RFC 2812, section 2.3.1.
fn is_account(name: &str) -> bool {
    let is_special = |c| matches!(c, '[' | ']' | '\\' | '`' | '_' | '^' | '{' | '|' | '}' | '~');
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || is_special(c);
    name.chars().all(is_inner) && !name.starts_with(|c: char| c.is_ascii_digit() || c == '-')
}

fn is_channel(name: &str) -> bool {
    let is_inner = |c: char| !c.is_control() && !matches!(c, ' ' | ',' | ':');
    name.starts_with(['#', '&']) && name.chars().all(is_inner)
}

/// RFC 2812, section 2.2: four more characters have a lower case.
fn lower(c: char) -> char {
    match c {
        '[' => '{',
        ']' => '}',
        '\\' => '|',
        '~' => '^',
        c => c.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn each_row_of_the_table_holds() {
        for (raw, expected) in [
            ("$a:Ana", Some("$a:ana")),
            ("$a:ANA", Some("$a:ana")),
            ("$a:Ana[m]", Some("$a:ana{m}")),
            ("$a:ana{m}", Some("$a:ana{m}")),
            (r"$a:a\b~", Some("$a:a|b^")),
            ("#Nexo", Some("#nexo")),
            ("&Nexo[1]", Some("&nexo{1}")),
            ("Ana!ana@host", None),
            ("Ana", None),
            ("*", None),
            ("$a:*", None),
            ("$a:", None),
            ("$a:1ana", None),
            ("$a:-ana", None),
            ("$a:ana b", None),
            ("$a:añb", None),
            ("$A:ana", None),
            ("#", None),
            ("#a,b", None),
            ("#a\nQUIT", None),
            ("irc.example.net", None),
            ("", None),
        ] {
            assert_eq!(canonical(raw).as_deref(), expected, "{raw:?}");
        }
    }

    #[test]
    fn normalizing_twice_changes_nothing() {
        for raw in ["$a:Ana[m]", r"$a:A\B~^|", "#NEXO[]", "&x"] {
            let id = canonical(raw).unwrap();
            assert_eq!(canonical(&id), Some(id));
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_invalid() {
        assert!(canonical(&format!("$a:{}", "a".repeat(64))).is_some());
        assert_eq!(canonical(&format!("$a:{}", "a".repeat(65))), None);
        assert_eq!(canonical(&format!("#{}", "a".repeat(64))), None);
        assert_eq!(canonical(&"#a".repeat(1_000_000)), None);
    }
}
