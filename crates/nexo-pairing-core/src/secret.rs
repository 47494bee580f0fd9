//! Secrets of devices: session tokens and claim ids.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

/// Why a text is not a valid session token or claim id. Shows nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It is too short or too long.
    #[error("the {kind} has {length} bytes, it must have {min} to {max}")]
    Length {
        /// Which secret: `session token` or `claim id`.
        kind: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The minimum, in bytes.
        min: usize,
        /// The maximum, in bytes.
        max: usize,
    },
    /// It has an invalid character.
    #[error("the {kind} must consist of {form}")]
    Form {
        /// Which secret.
        kind: &'static str,
        /// The allowed characters.
        form: &'static str,
    },
}

/// What both kinds of secret have in common.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $min:literal, $max:literal, $random:literal,
        $form:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<Box<str>>);

        impl $name {
            /// The minimum length, in bytes.
            pub const MIN_BYTES: usize = $min;

            /// The maximum length, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Parses a secret that comes from outside.
            ///
            /// # Errors
            ///
            /// [`SecretError`] if it is too short, too long or of another form.
            pub fn parse(text: &str) -> Result<Self, SecretError> {
                let (kind, min, max, length) = ($kind, $min, $max, text.len());
                let is_valid: fn(&u8) -> bool = $is_valid;
                if !(min..=max).contains(&length) {
                    Err(SecretError::Length { kind, length, min, max })
                } else if !text.as_bytes().iter().all(is_valid) {
                    Err(SecretError::Form { kind, form: $form })
                } else {
                    Ok(Self(Zeroizing::new(text.into())))
                }
            }

            /// A secret from these random bytes, as base64url.
            #[must_use]
            pub fn from_random(bytes: &[u8; $random]) -> Self {
                Self(Zeroizing::new(BASE64URL_NOPAD.encode(bytes).into()))
            }

            /// The secret itself. Do not log it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}

secret!(
    /// The bearer token of a session, which a device presents with each request: 32 random bytes in 43
    /// characters of base64url. 0.1.8's are 8 to 256 printable ASCII characters without spaces.
    ///
    /// Stores keep only its hash, `Debug` does not show it, and it is wiped from memory on drop.
    SessionToken, "session token", 8, 256, 32, "printable ASCII characters without spaces",
    u8::is_ascii_graphic
);

secret!(
    /// An id that a client sends with its setup code, to repeat the claim after a lost response: at least
    /// 128 random bits in 22 to 128 characters of `A-Z a-z 0-9 _ -`.
    ///
    /// Together with the setup code it yields a session token, so `Debug` does not show it, and it is
    /// wiped from memory on drop.
    ClaimId, "claim id", 22, 128, 24, "letters, digits, `_` and `-`",
    |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_8_to_256_printable_characters() {
        for good in ["legacy-session-token-1", "12345678", "!~!~!~!~", &"t".repeat(256)] {
            assert_eq!(SessionToken::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "1234567", &"t".repeat(257), "with space", "with\nline", "with-ñ-in-it"] {
            let error = SessionToken::parse(bad).unwrap_err();
            assert!(bad.is_empty() || !error.to_string().contains(bad), "{error}");
        }
        // The length is checked first.
        let error = SessionToken::parse(&"ñ".repeat(1000)).unwrap_err();
        assert!(matches!(error, SecretError::Length { length: 2000, max: 256, .. }), "{error}");
    }

    #[test]
    fn claim_ids_have_22_to_128_characters() {
        for good in ["AZaz09_-AZaz09_-AZaz09", &"c".repeat(128)] {
            assert!(ClaimId::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", &"c".repeat(21), &"c".repeat(129), "c".repeat(22).replacen('c', "=", 1).as_str()]
        {
            assert!(ClaimId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn random_secrets_can_be_parsed() {
        let token = SessionToken::from_random(&[0xff; 32]);
        assert_eq!(SessionToken::parse(token.as_str()).unwrap().as_str().len(), 43);
        let claim_id = ClaimId::from_random(&[0xff; 24]);
        assert_eq!(ClaimId::parse(claim_id.as_str()).unwrap().as_str().len(), 32);
        let printed = format!("{token:?} {claim_id:?}");
        assert_eq!(printed, "SessionToken(redacted) ClaimId(redacted)");
    }
}
