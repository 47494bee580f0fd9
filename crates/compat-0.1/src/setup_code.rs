//! Issues, verifies and reads setup codes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use nexo_pairing_core::setup_code::{self as codec, SetupCodeError, SetupCodePart};
use nexo_pairing_setup as setup;
use nexo_pairing_setup::{IssueError, KeyError, VerifyError};
use time::OffsetDateTime;

use crate::convert::{utc, with_causes};
use crate::telemetry;
use crate::types::{PairingError, SetupCode, TokenClaims};

const TTL: PairingError = PairingError::Invalid("setup-code ttl out of range");

/// The tokens that this process has verified, by their nonces, with their expiry.
static USED: LazyLock<Mutex<HashMap<String, OffsetDateTime>>> = LazyLock::new(Mutex::default);

/// Issues and verifies setup codes with the key in one file.
#[derive(Debug)]
pub struct SetupCodeIssuer {
    inner: setup::SetupCodeIssuer,
}

impl SetupCodeIssuer {
    /// Opens the key at `path`, and creates a missing one. A key that is not this user's own file is used
    /// as a mounted secret: others may read it, but not write it.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`] if the key has a wrong length; [`PairingError::Io`] otherwise, with the
    /// command that fixes it.
    pub fn open_or_create(path: &Path) -> Result<Self, PairingError> {
        let external = setup::IssuerOptions::default().with_secret_external(true);
        let opened = match setup::SetupCodeIssuer::open_or_create(path) {
            Err(KeyError::Symlink { .. } | KeyError::Owner { .. }) => {
                setup::SetupCodeIssuer::open_with(path, external)
            }
            opened => opened,
        };
        opened.map(|inner| Self { inner }).map_err(|error| match error {
            KeyError::Length { .. } => PairingError::Invalid("pairing secret has wrong length"),
            error => {
                let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                PairingError::Io(with_causes(&error) + &hint)
            }
        })
    }

    /// Issues a setup code of version 1. It expires after `ttl`, at most 24 hours.
    ///
    /// # Errors
    ///
    /// [`PairingError::Invalid`], with the argument that is out of bounds.
    pub fn issue(
        &self,
        url: &str,
        profile: &str,
        ttl: Duration,
        device_label: Option<&str>,
    ) -> Result<SetupCode, PairingError> {
        if url.trim().is_empty() {
            return Err(PairingError::Invalid("setup-code url is empty"));
        }
        let ttl = time::Duration::try_from(ttl).map_err(|_| TTL)?;
        let expires_at = OffsetDateTime::now_utc().checked_add(ttl).ok_or(TTL)?;
        let issued = self.inner.issue_until(url, profile, expires_at, device_label);
        let code = issued.map_err(|error| match error {
            IssueError::Ttl { .. } => TTL,
            IssueError::Code(error) => PairingError::Invalid(error.part().as_str()),
            error => PairingError::Storage(with_causes(&error)),
        })?;
        telemetry::inc_bootstrap_tokens_issued(profile);
        Ok(old_code(code))
    }

    /// Verifies a token, once: a second time it is refused by every issuer in this process.
    ///
    /// # Errors
    ///
    /// [`PairingError::InvalidSignature`], [`PairingError::Expired`], or [`PairingError::Invalid`] if it is
    /// malformed or was used.
    pub fn verify(&self, token: &str) -> Result<TokenClaims, PairingError> {
        let claims = self.inner.verify(token).map_err(|error| match error {
            VerifyError::InvalidSignature => PairingError::InvalidSignature,
            VerifyError::Expired { .. } => PairingError::Expired,
            VerifyError::Malformed(error) => malformed(&error),
            _ => PairingError::Invalid("bootstrap token"),
        })?;
        let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
        let now = OffsetDateTime::now_utc();
        used.retain(|_, expires_at| now < *expires_at);
        if used.insert(claims.nonce.clone(), claims.expires_at).is_some() {
            return Err(PairingError::Invalid("bootstrap token was used already"));
        }
        Ok(old_claims(claims))
    }
}

fn malformed(error: &SetupCodeError) -> PairingError {
    PairingError::Invalid(match error.part() {
        SetupCodePart::Token => "bootstrap token format",
        SetupCodePart::Signature => "bootstrap token sig b64",
        _ => "bootstrap token claims json",
    })
}

fn old_code(code: codec::SetupCode) -> SetupCode {
    let codec::SetupCode { url, bootstrap_token, expires_at, .. } = code;
    SetupCode { url, bootstrap_token, expires_at: utc(expires_at) }
}

fn old_claims(claims: codec::TokenClaims) -> TokenClaims {
    let codec::TokenClaims { profile, expires_at, nonce, device_label, .. } = claims;
    TokenClaims { profile, expires_at: utc(expires_at), nonce, device_label }
}

/// The payload of a setup code, for its QR code.
///
/// # Errors
///
/// [`PairingError::Invalid`], with the part that is out of bounds.
pub fn encode_setup_code(payload: &SetupCode) -> Result<String, PairingError> {
    let expires_at = payload.expires_at.timestamp_nanos_opt().map(i128::from);
    let expires_at = expires_at.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos(at).ok());
    let expires_at = expires_at.ok_or(PairingError::Invalid("setup-code expires_at"))?;
    let SetupCode { url, bootstrap_token, .. } = payload.clone();
    let payload = codec::SetupCode::new(url, bootstrap_token, expires_at).payload();
    payload.map_err(|error| PairingError::Invalid(error.part().as_str()))
}

/// Decodes a payload, also a compact one of 0.2. The signature is not checked.
///
/// # Errors
///
/// [`PairingError::Invalid`], with the part that is malformed.
pub fn decode_setup_code(code: &str) -> Result<SetupCode, PairingError> {
    let decoded = codec::decode_setup_code(code);
    decoded.map(old_code).map_err(|error| PairingError::Invalid(error.part().as_str()))
}

/// The expiry that a token claims, unverified.
#[must_use]
pub fn token_expires_at(token: &str) -> Option<DateTime<Utc>> {
    codec::token_expires_at(token).map(utc)
}

/// The device label that a token claims, unverified.
#[must_use]
pub fn token_device_label(token: &str) -> Option<String> {
    codec::token_device_label(token)
}
