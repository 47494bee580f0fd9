//! Subjects: which are valid for publishing, and which for subscribing.

use crate::NatsError;

/// Checks a subject to publish on: tokens that are not empty, separated by dots, without wildcards, spaces
/// and control characters; 1 to 256 bytes.
///
/// # Errors
///
/// [`NatsError::Subject`] when it is invalid.
pub fn check_subject(text: &str) -> Result<(), NatsError> {
    let plain = check_tokens(text).and_then(|()| match text.contains(['*', '>']) {
        true => Err("it has wildcards"),
        false => Ok(()),
    });
    plain.map_err(invalid(text))
}

/// Checks a pattern to subscribe to: a subject in which a token may be `*`, and the last one `>`.
///
/// # Errors
///
/// [`NatsError::Subject`] when it is invalid.
pub fn check_subject_pattern(text: &str) -> Result<(), NatsError> {
    let pattern = check_tokens(text).and_then(|()| {
        let mut tokens = text.split('.').rev();
        let last = tokens.next().filter(|last| *last != ">");
        let wrong = |token: &str| token != "*" && token.contains(['*', '>']);
        match last.into_iter().chain(tokens).any(wrong) {
            true => Err("a wildcard has to be a token of its own, and > the last one"),
            false => Ok(()),
        }
    });
    pattern.map_err(invalid(text))
}

fn check_tokens(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 256 {
        return Err("it has to be 1 to 256 bytes long");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it has spaces or control characters");
    }
    if text.split('.').any(str::is_empty) {
        return Err("a token between its dots is empty");
    }
    Ok(())
}

fn invalid(text: &str) -> impl Fn(&'static str) -> NatsError {
    move |reason| NatsError::Subject { subject: text.chars().take(64).collect(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_consists_of_tokens_without_wildcards() {
        for subject in ["a", "plugin.outbound.whatsapp.personal", "_INBOX.1-2", "a.ñ", "$SYS.a"] {
            assert!(check_subject(subject).is_ok(), "{subject}");
            assert!(check_subject_pattern(subject).is_ok(), "{subject}");
        }
        for subject in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a\tb",
            "a\r\nPUB b 0",
            "a.\u{a0}",
            "*",
            "a.>",
            "a.*.b",
        ] {
            assert!(matches!(check_subject(subject), Err(NatsError::Subject { .. })), "{subject}");
        }
        assert!(check_subject(&"a".repeat(256)).is_ok());
        assert!(check_subject(&"a".repeat(257)).is_err());
    }

    #[test]
    fn a_wildcard_is_a_token_of_its_own() {
        for pattern in [">", "*", "plugin.inbound.>", "plugin.*.whatsapp", "a.*.>"] {
            assert!(check_subject_pattern(pattern).is_ok(), "{pattern}");
        }
        for pattern in ["a*", "a.b>", ">.a", "a.>.>", "a.**", "a. >", "a..>"] {
            assert!(check_subject_pattern(pattern).is_err(), "{pattern}");
        }
    }
}
