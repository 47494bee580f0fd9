//! The parts of a setup code and of its token, and their bounds.

use std::fmt;

use serde::Serialize;
use time::OffsetDateTime;

use super::error::{SetupCodeError, SetupCodePart};
use super::timestamp;
use crate::limits::{self, MAX_LABEL_BYTES, MAX_PROFILE_BYTES, MAX_URL_BYTES};

/// The length of a nonce of version 2, in bytes.
pub(super) const COMPACT_NONCE_BYTES: usize = 12;

/// The schemes that companions support. Version 2 encodes a scheme as its index.
pub(super) const SCHEMES: [&str; 4] = ["wss://", "https://", "ws://", "http://"];

/// The format of a setup code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SetupCodeFormat {
    /// Version 1: base64url of JSON, which 0.1.8 reads and writes.
    V1,
    /// Version 2, compact: base32 of a binary record; the payload is the token.
    V2,
}

names! {
    /// The format's name, for programs: `v1` or `v2`.
    SetupCodeFormat { V1 => "v1", V2 => "v2" }
}

impl SetupCodeFormat {
    /// The length of a token's nonce, in bytes: 16 in version 1, 12 in version 2.
    #[must_use]
    pub fn nonce_bytes(self) -> usize {
        match self {
            Self::V1 => 16,
            Self::V2 => COMPACT_NONCE_BYTES,
        }
    }
}

/// Where a companion connects, and what it presents there.
///
/// The token is a secret, so `Debug` redacts it; `serde` writes it.
///
/// ```
/// use nexo_pairing_core::setup_code::decode_setup_code;
///
/// let payload = "AICGWSOSHRNFUWS2LJNFUWS2LJNFUAAMIFXGCJ3TEBUVA2DPNZSQAEDOMV4G6LTFPBQW24DM\
///     MUXGG33NUWS2LJNFUWS2LJNFUWS2LJNFUU";
/// let code = decode_setup_code(payload)?;
/// assert_eq!(code.url, "wss://nexo.example.com/pair");
/// assert!(!format!("{code:?}").contains(payload));
/// # Ok::<(), nexo_pairing_core::SetupCodeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SetupCode {
    /// The gateway's URL: `wss`, `https`, `ws` or `http`; at most [`MAX_URL_BYTES`].
    pub url: String,
    /// What the companion presents there; at most [`MAX_TOKEN_BYTES`](limits::MAX_TOKEN_BYTES).
    pub bootstrap_token: String,
    /// The time from which the token is refused.
    #[serde(with = "timestamp")]
    pub expires_at: OffsetDateTime,
}

impl SetupCode {
    /// A setup code of its three parts. Encoding checks them.
    #[must_use]
    pub fn new(url: String, bootstrap_token: String, expires_at: OffsetDateTime) -> Self {
        Self { url, bootstrap_token, expires_at }
    }

    /// Its format. A token of version 1 has a dot, one of version 2 does not.
    #[must_use]
    pub fn format(&self) -> SetupCodeFormat {
        format_of(&self.bootstrap_token)
    }

    /// Whether a companion should consider the code expired. Its clock may be
    /// [`SETUP_CODE_LEEWAY`](limits::SETUP_CODE_LEEWAY) fast; the server decides.
    #[must_use]
    pub fn has_expired(&self, now: OffsetDateTime) -> bool {
        now - self.expires_at >= limits::SETUP_CODE_LEEWAY
    }
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetupCode")
            .field("url", &self.url)
            .field("bootstrap_token", &format_args!("redacted"))
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// The claims of a token, to be trusted only after its signature was verified.
///
/// The nonce is part of a secret, so `Debug` redacts it; `serde` writes it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenClaims {
    /// The role of the companion: `companion-v1`, or another `[a-z0-9][a-z0-9._-]{0,63}`.
    pub profile: String,
    /// The time from which the token is refused. Whole seconds in version 2.
    #[serde(with = "timestamp")]
    pub expires_at: OffsetDateTime,
    /// Unique to the token: lower-case hexadecimal digits, 32 in version 1, 24 in version 2.
    pub nonce: String,
    /// The operator's name for the device: 1 to [`MAX_LABEL_BYTES`] bytes, no control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_label: Option<String>,
}

impl TokenClaims {
    /// Claims of their four parts. Creating a token checks them.
    #[must_use]
    pub fn new(
        profile: String,
        expires_at: OffsetDateTime,
        nonce: String,
        device_label: Option<String>,
    ) -> Self {
        Self { profile, expires_at, nonce, device_label }
    }

    /// Checks the bounds of all parts but the expiry.
    pub(super) fn check(&self, format: SetupCodeFormat) -> Result<(), SetupCodeError> {
        check_profile(&self.profile)?;
        check_nonce(&self.nonce, format)?;
        self.device_label.as_deref().map_or(Ok(()), check_label)
    }
}

impl fmt::Debug for TokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClaims")
            .field("profile", &self.profile)
            .field("expires_at", &self.expires_at)
            .field("nonce", &format_args!("redacted"))
            .field("device_label", &self.device_label)
            .finish()
    }
}

/// A token of version 1 has a dot, which the alphabet of version 2 does not have.
pub(super) fn format_of(token: &str) -> SetupCodeFormat {
    if token.contains('.') { SetupCodeFormat::V1 } else { SetupCodeFormat::V2 }
}

/// The index of a URL's scheme, and the rest of the URL.
pub(super) fn split_scheme(url: &str) -> Option<(u8, &str)> {
    (0..).zip(SCHEMES).find_map(|(number, scheme)| Some((number, url.strip_prefix(scheme)?)))
}

/// A URL is a known scheme, `://`, a host and the rest, in printable ASCII. The issuer decides which
/// hosts are safe.
pub(super) fn check_url(url: &str) -> Result<(), SetupCodeError> {
    let part = SetupCodePart::Url;
    part.check_length(url, MAX_URL_BYTES)?;
    let (_, rest) = split_scheme(url)
        .ok_or(part.must("begin with wss://, https://, ws:// or http://, in lower case"))?;
    if rest.is_empty() || rest.starts_with(['/', '?', '#']) {
        return Err(part.must("have a host"));
    }
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(part.must("be of printable ASCII characters"));
    }
    Ok(())
}

/// Whether a text is a profile: `[a-z0-9][a-z0-9._-]{0,63}`.
#[must_use]
pub fn is_profile(text: &str) -> bool {
    let is_inner = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    (1..=MAX_PROFILE_BYTES).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with(['.', '_', '-'])
}

/// Whether a text is a device label: 1 to [`MAX_LABEL_BYTES`] bytes, no control characters.
#[must_use]
pub fn is_device_label(text: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

pub(super) fn check_profile(profile: &str) -> Result<(), SetupCodeError> {
    let rule = SetupCodePart::Profile.must(limits::PROFILE_RULE);
    if is_profile(profile) { Ok(()) } else { Err(rule) }
}

fn check_nonce(nonce: &str, format: SetupCodeFormat) -> Result<(), SetupCodeError> {
    let is_valid = nonce.len() == 2 * format.nonce_bytes()
        && nonce.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let rule = match format {
        SetupCodeFormat::V1 => "be 32 lower-case hexadecimal digits",
        SetupCodeFormat::V2 => "be 24 lower-case hexadecimal digits",
    };
    if is_valid { Ok(()) } else { Err(SetupCodePart::Nonce.must(rule)) }
}

pub(super) fn check_label(label: &str) -> Result<(), SetupCodeError> {
    let rule = SetupCodePart::Label.must(limits::LABEL_RULE);
    if is_device_label(label) { Ok(()) } else { Err(rule) }
}
