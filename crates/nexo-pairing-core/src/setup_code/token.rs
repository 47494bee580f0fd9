//! The unsigned code that an issuer signs, and the token that a server verifies.

use std::fmt;

use super::code::{SetupCode, SetupCodeFormat, TokenClaims, check_url, format_of};
use super::error::{SetupCodeError, SetupCodePart};
use super::{MAX_TOKEN_BYTES, v1, v2};

/// A setup code without its signature.
///
/// The signature is the HMAC-SHA256 of [`signed_bytes`](Self::signed_bytes) with the issuer's key.
///
/// ```
/// use nexo_pairing_core::setup_code::{SetupCodeFormat, TokenClaims, UnsignedSetupCode};
/// use time::OffsetDateTime;
///
/// let (expires_at, nonce) = (OffsetDateTime::UNIX_EPOCH, "00".repeat(12));
/// let claims = TokenClaims::new("companion-v1".into(), expires_at, nonce, None);
/// let unsigned = UnsignedSetupCode::new(SetupCodeFormat::V2, "wss://nexo.example.com", &claims)?;
/// # let hmac_sha256 = |_: &[u8]| [0; 32];
/// let signature = hmac_sha256(unsigned.signed_bytes());
/// let code = unsigned.sign_with(&signature);
/// assert_eq!(code.url, "wss://nexo.example.com");
/// # Ok::<(), nexo_pairing_core::SetupCodeError>(())
/// ```
#[derive(Clone)]
pub struct UnsignedSetupCode {
    format: SetupCodeFormat,
    url: String,
    expires_at: time::OffsetDateTime,
    signed: Vec<u8>,
}

impl UnsignedSetupCode {
    /// Encodes everything but the signature.
    ///
    /// # Errors
    ///
    /// [`SetupCodeError`] if a part is out of bounds: those of [`TokenClaims`]; for the expiry the
    /// years 1 to 9999 in version 1, and whole seconds from 1970 to 2106-02-07T06:28:15Z in version 2.
    pub fn new(
        format: SetupCodeFormat,
        url: &str,
        claims: &TokenClaims,
    ) -> Result<Self, SetupCodeError> {
        check_url(url)?;
        claims.check(format)?;
        let signed = match format {
            SetupCodeFormat::V1 => v1::signed_bytes(claims)?,
            SetupCodeFormat::V2 => v2::signed_bytes(url, claims)?,
        };
        Ok(Self { format, url: url.into(), expires_at: claims.expires_at, signed })
    }

    /// The bytes to sign.
    #[must_use]
    pub fn signed_bytes(&self) -> &[u8] {
        &self.signed
    }

    /// Adds the signature, the HMAC-SHA256; version 2 uses its first 16 bytes.
    #[must_use]
    pub fn sign_with(self, hmac: &[u8; 32]) -> SetupCode {
        let token = match self.format {
            SetupCodeFormat::V1 => v1::token(&self.signed, hmac),
            SetupCodeFormat::V2 => v2::token(self.signed, hmac),
        };
        SetupCode::new(self.url, token, self.expires_at)
    }
}

impl fmt::Debug for UnsignedSetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("UnsignedSetupCode");
        debug.field("format", &self.format).field("url", &self.url).finish_non_exhaustive()
    }
}

/// A token whose signature was not verified yet.
///
/// Compare [`signature`](Self::signature), in constant time, with the HMAC-SHA256 of
/// [`signed_bytes`](Self::signed_bytes) (its first 16 bytes in version 2) before you trust the claims.
#[derive(Clone)]
pub struct UnverifiedToken {
    format: SetupCodeFormat,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl UnverifiedToken {
    /// Splits a token of either version. The claims are not read yet. White space around it is
    /// refused.
    ///
    /// # Errors
    ///
    /// [`SetupCodeError`] if it does not have the form of a token.
    pub fn parse(token: &str) -> Result<Self, SetupCodeError> {
        SetupCodePart::Token.check_length(token, MAX_TOKEN_BYTES)?;
        match format_of(token) {
            SetupCodeFormat::V1 => {
                let (signed, signature) = v1::split_token(token)?;
                Ok(Self { format: SetupCodeFormat::V1, signed, signature })
            }
            SetupCodeFormat::V2 => Self::parse_compact(token, SetupCodePart::Token),
        }
    }

    /// Splits a token of version 2; errors call it `part`.
    pub(super) fn parse_compact(token: &str, part: SetupCodePart) -> Result<Self, SetupCodeError> {
        part.check_length(token, MAX_TOKEN_BYTES)?;
        let (signed, signature) = v2::split_token(token, part)?;
        Ok(Self { format: SetupCodeFormat::V2, signed, signature })
    }

    /// The version of the token.
    #[must_use]
    pub fn format(&self) -> SetupCodeFormat {
        self.format
    }

    /// The bytes that were signed.
    #[must_use]
    pub fn signed_bytes(&self) -> &[u8] {
        &self.signed
    }

    /// The signature: 32 bytes in version 1, 16 in version 2.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The claims of the token. Trust them only if the signature is valid.
    ///
    /// # Errors
    ///
    /// [`SetupCodeError`] if the claims are malformed or out of bounds.
    pub fn read_claims(&self) -> Result<TokenClaims, SetupCodeError> {
        match self.format {
            SetupCodeFormat::V1 => v1::read_claims(&self.signed),
            SetupCodeFormat::V2 => v2::read_record(&self.signed).map(|(_, claims)| claims),
        }
    }

    /// The setup code in this token; `None` in version 1, where the token is only a part of one.
    pub(super) fn read_setup_code(&self) -> Result<Option<SetupCode>, SetupCodeError> {
        if self.format == SetupCodeFormat::V1 {
            return Ok(None);
        }
        let (url, claims) = v2::read_record(&self.signed)?;
        let token = v2::token(self.signed.clone(), &self.signature);
        Ok(Some(SetupCode::new(url, token, claims.expires_at)))
    }
}

impl fmt::Debug for UnverifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken").field("format", &self.format).finish_non_exhaustive()
    }
}
