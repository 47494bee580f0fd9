//! What a device proves itself with: kept in memory only, and wiped from there.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

/// Why a text is no session token or no claim id. It shows nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It is shorter or longer than its kind allows.
    #[error("the {kind} has {length} bytes, it must have {min} to {max}")]
    Length {
        /// Which secret: `session token` or `claim id`.
        kind: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The least that is allowed, in bytes.
        min: usize,
        /// The most that is allowed, in bytes.
        max: usize,
    },
    /// It has a character that its kind does not allow.
    #[error("the {kind} must consist of {form}")]
    Form {
        /// Which secret.
        kind: &'static str,
        /// What is allowed.
        form: &'static str,
    },
}

/// What the two kinds of secret have in common: they differ in what is allowed.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $min:literal, $max:literal, $random:literal,
        $form:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<Box<str>>);

        impl $name {
            /// The least that one has, in bytes.
            pub const MIN_BYTES: usize = $min;

            /// The most that one has, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Reads one that comes from outside.
            ///
            /// # Errors
            ///
            /// [`SecretError`] when it is too short, too long or of another form.
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

            /// One of these random bytes, as base64url.
            #[must_use]
            pub fn from_random(bytes: &[u8; $random]) -> Self {
                Self(Zeroizing::new(BASE64URL_NOPAD.encode(bytes).into()))
            }

            /// The secret, for the one that it is meant for and for nobody else.
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
    /// What a device presents with each request. Ours are 32 random bytes in 43 characters of
    /// base64url; those of 0.1.8 are anything from 8 to 256 printable ASCII characters without spaces.
    ///
    /// Whoever has it is the device: it is stored nowhere, `Debug` does not show it, and it is wiped
    /// from memory when it is dropped.
    SessionToken, "session token", 8, 256, 32, "printable ASCII characters without spaces",
    u8::is_ascii_graphic
);

secret!(
    /// What a client gives with its setup code so that it can ask again after a lost answer: at least
    /// 128 random bits, in 22 to 128 characters of `A-Z a-z 0-9 _ -`.
    ///
    /// With it, and the setup code, another session token can be had, so `Debug` does not show it; it
    /// is wiped from memory when it is dropped.
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
        // Its length is looked at before anything else.
        let error = SessionToken::parse(&"ñ".repeat(1000)).unwrap_err();
        assert!(matches!(error, SecretError::Length { length: 2000, max: 256, .. }), "{error}");
    }

    #[test]
    fn claim_ids_have_room_for_128_random_bits() {
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
    fn what_is_made_of_random_bytes_can_be_read_again() {
        let token = SessionToken::from_random(&[0xff; 32]);
        assert_eq!(SessionToken::parse(token.as_str()).unwrap().as_str().len(), 43);
        let claim_id = ClaimId::from_random(&[0xff; 24]);
        assert_eq!(ClaimId::parse(claim_id.as_str()).unwrap().as_str().len(), 32);
        let printed = format!("{token:?} {claim_id:?}");
        assert_eq!(printed, "SessionToken(redacted) ClaimId(redacted)");
    }
}
