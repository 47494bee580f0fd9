//! What a setup code and its token say, and the bounds of each part.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use super::error::{SetupCodeError, SetupCodePart};
use super::timestamp;
use crate::limits::{self, MAX_LABEL_BYTES, MAX_PROFILE_BYTES, MAX_URL_BYTES};

/// The length of a nonce of version 2, in bytes.
pub(super) const COMPACT_NONCE_BYTES: usize = 12;

/// The schemes that companions connect to. In version 2 a scheme's number is its index.
pub(super) const SCHEMES: [&str; 4] = ["wss://", "https://", "ws://", "http://"];

/// How long after its expiry a companion still tries a code, since its clock may be wrong:
/// [`limits::SETUP_CODE_LEEWAY`].
pub const CLOCK_LEEWAY: Duration = limits::SETUP_CODE_LEEWAY;

/// How a setup code is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SetupCodeFormat {
    /// Version 1: base64url of JSON. What 0.1.8 reads and writes.
    V1,
    /// Version 2, compact: base32 of a binary record; the payload is the token.
    V2,
}

impl SetupCodeFormat {
    /// The format's name for programs: `v1` or `v2`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// How many random bytes the nonce of a token has: 16 in version 1, 12 in version 2.
    #[must_use]
    pub fn nonce_bytes(self) -> usize {
        match self {
            Self::V1 => 16,
            Self::V2 => COMPACT_NONCE_BYTES,
        }
    }
}

impl fmt::Display for SetupCodeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a companion has to go, and what it presents there.
///
/// Whoever has the token can use it, so `Debug` does not show it; `serde` writes it.
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
    /// Where the gateway answers: `wss`, `https`, `ws` or `http`; at most [`MAX_URL_BYTES`].
    pub url: String,
    /// What the companion presents there; at most [`MAX_TOKEN_BYTES`](limits::MAX_TOKEN_BYTES).
    pub bootstrap_token: String,
    /// From when on the token is refused.
    #[serde(with = "timestamp")]
    pub expires_at: OffsetDateTime,
}

impl SetupCode {
    /// A setup code of its three parts. They are checked when it is encoded.
    #[must_use]
    pub fn new(url: String, bootstrap_token: String, expires_at: OffsetDateTime) -> Self {
        Self { url, bootstrap_token, expires_at }
    }

    /// In which format it is written. A token of version 1 has a dot, one of version 2 has none.
    #[must_use]
    pub fn format(&self) -> SetupCodeFormat {
        format_of(&self.bootstrap_token)
    }

    /// Whether a companion should take the code for expired, by a clock that may be
    /// [`CLOCK_LEEWAY`] fast. The server decides.
    #[must_use]
    pub fn has_expired(&self, now: OffsetDateTime) -> bool {
        now - self.expires_at >= CLOCK_LEEWAY
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

/// What a token says about itself.
///
/// Only whoever has checked the token's signature may believe it. The nonce is part of a secret, so
/// `Debug` does not show it; `serde` writes it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenClaims {
    /// What the companion will be: `companion-v1`, or another `[a-z0-9][a-z0-9._-]{0,63}`.
    pub profile: String,
    /// From when on the token is refused. Whole seconds in version 2.
    #[serde(with = "timestamp")]
    pub expires_at: OffsetDateTime,
    /// What no other token has: lower-case hexadecimal digits, 32 in version 1, 24 in version 2.
    pub nonce: String,
    /// What the operator calls the device: 1 to [`MAX_LABEL_BYTES`] bytes, no control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_label: Option<String>,
}

impl TokenClaims {
    /// Claims of their four parts. They are checked when a token is made of them.
    #[must_use]
    pub fn new(
        profile: String,
        expires_at: OffsetDateTime,
        nonce: String,
        device_label: Option<String>,
    ) -> Self {
        Self { profile, expires_at, nonce, device_label }
    }

    /// Whether all four are within their bounds in this format.
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

/// The alphabet of version 2 has no dot, a token of version 1 has one.
pub(super) fn format_of(token: &str) -> SetupCodeFormat {
    if token.contains('.') { SetupCodeFormat::V1 } else { SetupCodeFormat::V2 }
}

/// The number of the scheme of a URL, and what follows the scheme.
pub(super) fn split_scheme(url: &str) -> Option<(u8, &str)> {
    (0..).zip(SCHEMES).find_map(|(number, scheme)| Some((number, url.strip_prefix(scheme)?)))
}

/// A scheme that companions connect to, `://`, a host and what follows it; printable ASCII. Which
/// hosts are good is for the issuer to say.
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
