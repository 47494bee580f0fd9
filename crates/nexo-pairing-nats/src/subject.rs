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

    /// Says what is wrong with a subject, without keeping it.
    ///
    /// # Errors
    ///
    /// [`NatsError::Subject`] when it is none.
    pub fn check(text: &str) -> Result<(), NatsError> {
        let refuse = |reason| {
            let subject = text.chars().take(64).collect();
            Err(NatsError::Subject { subject, reason })
        };
        if text.is_empty() || text.len() > 256 {
            return refuse("it has to be 1 to 256 bytes long");
        }
        if text.split('.').any(str::is_empty) {
            return refuse("a token between its dots is empty");
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return refuse("it has spaces or control characters");
        }
        if text.contains(['*', '>']) {
            return refuse("it has wildcards");
        }
        Ok(())
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
