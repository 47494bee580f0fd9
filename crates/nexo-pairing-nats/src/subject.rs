//! Subjects: what may be published on, and what may be subscribed to.

use std::fmt;

use crate::NatsError;

/// A subject that a message can be published on: tokens that are not empty, separated by dots,
/// without wildcards, spaces and control characters; 1 to 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject(String);

impl Subject {
    /// Reads a subject.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`] when it is none.
    pub fn parse(text: impl Into<String>) -> Result<Self, NatsError> {
        let text = text.into();
        Self::check(&text)?;
        Ok(Self(text))
    }

    /// Says whether a text is a subject.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`] when it is none.
    pub fn check(text: &str) -> Result<(), NatsError> {
        let plain = tokens(text).and_then(|()| match text.contains(['*', '>']) {
            true => Err("it has wildcards"),
            false => Ok(()),
        });
        plain.map_err(refused(text))
    }

    /// Says whether a text can be subscribed to: a subject in which a token may be `*`, and the last
    /// one `>`.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`] when it cannot.
    pub fn check_pattern(text: &str) -> Result<(), NatsError> {
        let pattern = tokens(text).and_then(|()| {
            let mut tokens = text.split('.').rev();
            let last = tokens.next().filter(|last| *last != ">");
            let wrong = |token: &str| token != "*" && token.contains(['*', '>']);
            match last.into_iter().chain(tokens).any(wrong) {
                true => Err("a wildcard has to be a token of its own, and > the last one"),
                false => Ok(()),
            }
        });
        pattern.map_err(refused(text))
    }

    /// The subject as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Says whether a text consists of tokens.
fn tokens(text: &str) -> Result<(), &'static str> {
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

fn refused(text: &str) -> impl Fn(&'static str) -> NatsError {
    move |reason| NatsError::Subject { subject: text.chars().take(64).collect(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_made_of_tokens_without_wildcards() {
        for subject in ["a", "plugin.outbound.whatsapp.personal", "_INBOX.1-2", "a.ñ", "$SYS.a"] {
            assert_eq!(Subject::parse(subject).unwrap().as_str(), subject);
            assert!(Subject::check_pattern(subject).is_ok(), "{subject}");
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
            assert!(matches!(Subject::check(subject), Err(NatsError::Subject { .. })), "{subject}");
        }
        assert!(Subject::check(&"a".repeat(256)).is_ok());
        assert!(Subject::check(&"a".repeat(257)).is_err());
    }

    #[test]
    fn a_wildcard_is_a_token_of_its_own() {
        for pattern in [">", "*", "plugin.inbound.>", "plugin.*.whatsapp", "a.*.>"] {
            assert!(Subject::check_pattern(pattern).is_ok(), "{pattern}");
        }
        for pattern in ["a*", "a.b>", ">.a", "a.>.>", "a.**", "a. >", "a..>"] {
            assert!(Subject::check_pattern(pattern).is_err(), "{pattern}");
        }
    }
}
