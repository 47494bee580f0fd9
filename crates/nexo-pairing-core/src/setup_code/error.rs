//! Why a setup code is invalid, without showing anything of it.

/// The parts of a setup code, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetupCodePart {
    /// The whole text, as in the QR code.
    Payload,
    /// The bootstrap token.
    Token,
    /// The claims of the token.
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

names! {
    /// The part's name, as errors show it.
    SetupCodePart {
        Payload => "payload",
        Token => "token",
        Claims => "claims",
        Signature => "signature",
        Url => "url",
        Profile => "profile",
        Nonce => "nonce",
        Expiry => "expiry",
        Label => "device label",
    }
}

impl SetupCodePart {
    pub(super) fn must(self, rule: &'static str) -> SetupCodeError {
        SetupCodeError::Malformed { part: self, rule }
    }

    /// Must come first for any text from outside.
    pub(super) fn check_length(self, text: &str, max: usize) -> Result<(), SetupCodeError> {
        let length = text.len();
        if length > max { Err(SetupCodeError::TooLong { part: self, length, max }) } else { Ok(()) }
    }
}

/// Why a setup code, a token or a part of one is invalid.
///
/// It names the part and the rule, and never shows the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupCodeError {
    /// A part is too long to be read.
    #[error("the {part} must have at most {max} bytes, not {length}")]
    TooLong {
        /// The part.
        part: SetupCodePart,
        /// Its length in bytes.
        length: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// It is of a newer version, or not a setup code.
    #[error("the version must be 1 or 2, not {found}")]
    UnknownVersion {
        /// The version byte.
        found: u8,
    },
    /// A part has an invalid form.
    #[error("the {part} must {rule}")]
    Malformed {
        /// The part.
        part: SetupCodePart,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A field of a JSON object is invalid.
    #[error("the field `{field}` of the {part} must {rule}")]
    Field {
        /// The part whose object it is.
        part: SetupCodePart,
        /// The field.
        field: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

impl SetupCodeError {
    /// The invalid part.
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
