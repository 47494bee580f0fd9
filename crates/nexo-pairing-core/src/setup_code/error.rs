//! Why a text is no setup code, without showing anything of it.

use std::fmt;

/// What a setup code is made of, to say which part of it is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetupCodePart {
    /// The text as a whole, as it stands in a QR code.
    Payload,
    /// The bootstrap token.
    Token,
    /// What the token says about itself.
    Claims,
    /// The signature of the token.
    Signature,
    /// The URL.
    Url,
    /// The profile.
    Profile,
    /// The nonce.
    Nonce,
    /// The time of expiry.
    Expiry,
    /// The device label.
    Label,
}

impl SetupCodePart {
    /// The part's name, as errors tell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Token => "token",
            Self::Claims => "claims",
            Self::Signature => "signature",
            Self::Url => "url",
            Self::Profile => "profile",
            Self::Nonce => "nonce",
            Self::Expiry => "expiry",
            Self::Label => "device label",
        }
    }

    pub(super) fn must(self, rule: &'static str) -> SetupCodeError {
        SetupCodeError::Malformed { part: self, rule }
    }

    /// Comes before everything else that is done with a text from outside.
    pub(super) fn check_length(self, text: &str, max: usize) -> Result<(), SetupCodeError> {
        let length = text.len();
        if length > max { Err(SetupCodeError::TooLong { part: self, length, max }) } else { Ok(()) }
    }
}

impl fmt::Display for SetupCodePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is wrong with a setup code, a token, or what one is to be made of.
///
/// It names the part and the rule, and never shows what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupCodeError {
    /// A part is longer than anything that is looked at.
    #[error("the {part} must have at most {max} bytes, not {length}")]
    TooLong {
        /// The part.
        part: SetupCodePart,
        /// Its length in bytes.
        length: usize,
        /// The most that is allowed, in bytes.
        max: usize,
    },
    /// A newer program wrote it, or it is something else.
    #[error("the version must be 1 or 2, not {found}")]
    UnknownVersion {
        /// The version byte.
        found: u8,
    },
    /// A part is not of its form.
    #[error("the {part} must {rule}")]
    Malformed {
        /// The part.
        part: SetupCodePart,
        /// What is asked of it.
        rule: &'static str,
    },
    /// A field of a JSON object is not as it should be.
    #[error("the field `{field}` of the {part} must {rule}")]
    Field {
        /// The part that the object is.
        part: SetupCodePart,
        /// The field.
        field: &'static str,
        /// What is asked of it.
        rule: &'static str,
    },
}

impl SetupCodeError {
    /// The part that is wrong.
    #[must_use]
    pub fn part(&self) -> SetupCodePart {
        match *self {
            Self::TooLong { part, .. }
            | Self::Malformed { part, .. }
            | Self::Field { part, .. } => part,
            Self::UnknownVersion { .. } => SetupCodePart::Payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_part_and_the_rule() {
        for (part, name) in [
            (SetupCodePart::Payload, "payload"),
            (SetupCodePart::Token, "token"),
            (SetupCodePart::Claims, "claims"),
            (SetupCodePart::Signature, "signature"),
            (SetupCodePart::Url, "url"),
            (SetupCodePart::Profile, "profile"),
            (SetupCodePart::Nonce, "nonce"),
            (SetupCodePart::Expiry, "expiry"),
            (SetupCodePart::Label, "device label"),
        ] {
            let error = part.must("be short");
            assert_eq!(
                (error.to_string(), error.part()),
                (format!("the {name} must be short"), part)
            );
        }
        let error = SetupCodePart::Url.check_length("wss", 2).unwrap_err();
        assert_eq!(error.to_string(), "the url must have at most 2 bytes, not 3");
        assert_eq!(SetupCodePart::Url.check_length("wss", 3), Ok(()));
    }
}
