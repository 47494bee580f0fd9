//! Encodes and decodes setup codes, which a companion app scans to find and claim its gateway.
//!
//! A [`SetupCode`] is a URL and a short-lived bootstrap token. Its **payload** is the text in the QR
//! code; the **token** is what the companion presents at the URL. There are two formats, which
//! [`decode_setup_code`] tells apart: version 1 (base64url of JSON, the format of
//! nexo-pairing 0.1.8) and version 2 (base32 of a binary record, for small QR codes, where the
//! payload is the token). `docs/protocol.md` specifies both.
//!
//! This module has no keys. An issuer signs [`UnsignedSetupCode::signed_bytes`], and a server verifies
//! the signature of an [`UnverifiedToken`] before it trusts the claims.

mod code;
mod error;
mod object;
mod timestamp;
mod token;
mod v1;
mod v2;

use time::OffsetDateTime;

pub use crate::limits::{
    MAX_LABEL_BYTES, MAX_PAYLOAD_BYTES, MAX_PROFILE_BYTES, MAX_TOKEN_BYTES, MAX_URL_BYTES,
};
pub use code::{SetupCode, SetupCodeFormat, TokenClaims, is_device_label, is_profile};
pub use error::{SetupCodeError, SetupCodePart};
pub use token::{UnsignedSetupCode, UnverifiedToken};

impl SetupCode {
    /// The payload for the QR code, in the format of the token.
    ///
    /// # Errors
    ///
    /// [`SetupCodeError`] if a part is out of bounds; never for a code that was issued or decoded.
    pub fn payload(&self) -> Result<String, SetupCodeError> {
        match self.format() {
            SetupCodeFormat::V1 => encode_setup_code(self),
            SetupCodeFormat::V2 => encode_setup_code_compact(self),
        }
    }
}

/// The payload of a setup code of version 1, which 0.1.8 also reads.
///
/// # Errors
///
/// [`SetupCodeError`] if a part is out of bounds or the token is not of version 1.
pub fn encode_setup_code(code: &SetupCode) -> Result<String, SetupCodeError> {
    v1::encode(code)
}

/// The payload of a setup code of version 2, which is its token.
///
/// # Errors
///
/// [`SetupCodeError`] if the token is not of version 2, or has another URL or expiry.
pub fn encode_setup_code_compact(code: &SetupCode) -> Result<String, SetupCodeError> {
    let token = UnverifiedToken::parse(&code.bootstrap_token)?;
    match token.read_setup_code()? {
        Some(inside) if inside == *code => Ok(inside.bootstrap_token),
        _ => Err(SetupCodePart::Token.must("be of version 2, for this url and expiry")),
    }
}

/// Decodes a payload of either version, as scanned or pasted: white space around it is ignored. The
/// signature is not checked: that is up to the server.
///
/// # Errors
///
/// [`SetupCodeError`], which names the invalid part but never shows it.
pub fn decode_setup_code(payload: &str) -> Result<SetupCode, SetupCodeError> {
    SetupCodePart::Payload.check_length(payload, MAX_PAYLOAD_BYTES)?;
    let payload = payload.trim();
    if v1::is_payload(payload) {
        return v1::decode(payload);
    }
    let token = UnverifiedToken::parse_compact(payload, SetupCodePart::Payload)?;
    token.read_setup_code()?.ok_or(SetupCodePart::Payload.must("be of version 1 or 2"))
}

/// The expiry that a token claims, unverified; `None` if it is not a token.
#[must_use]
pub fn token_expires_at(token: &str) -> Option<OffsetDateTime> {
    Some(UnverifiedToken::parse(token).ok()?.read_claims().ok()?.expires_at)
}

/// The device label that a token claims, unverified; `None` if it is not a token or has no label. A
/// companion can name its session by it.
#[must_use]
pub fn token_device_label(token: &str) -> Option<String> {
    UnverifiedToken::parse(token).ok()?.read_claims().ok()?.device_label
}
