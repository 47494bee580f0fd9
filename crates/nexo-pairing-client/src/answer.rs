//! The answers of a gateway to claims and about sessions.

use std::time::Duration;

use hyper::StatusCode;
use nexo_pairing_core::{SessionId, SessionToken};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::serde::rfc3339;
use zeroize::Zeroizing;

use crate::{ClientError, Gateway};

/// A session as the gateway returns it for a setup code.
///
/// A gateway of 0.1.8 returns only the token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimedSession {
    /// The token that the device presents with each request. The gateway keeps no copy.
    pub token: SessionToken,
    /// The kind of device, such as `companion-v1`.
    pub profile: Option<String>,
    /// The name of the device, if it has one.
    pub device_label: Option<String>,
    /// When the session expires.
    pub expires_at: Option<OffsetDateTime>,
    /// The latest `expires_at` that [`Client::renew`](crate::Client::renew) can reach.
    pub renew_until: Option<OffsetDateTime>,
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The id by which operators refer to the session. It is not secret.
    #[serde(rename = "session_id")]
    pub id: SessionId,
    /// The kind of device, such as `companion-v1`.
    pub profile: String,
    /// The name of the device, if it has one.
    pub device_label: Option<String>,
    /// When the session began.
    #[serde(with = "rfc3339")]
    pub issued_at: OffsetDateTime,
    /// When the session expires.
    #[serde(with = "rfc3339")]
    pub expires_at: OffsetDateTime,
    /// The latest `expires_at` that [`Client::renew`](crate::Client::renew) can reach.
    #[serde(with = "rfc3339")]
    pub renew_until: OffsetDateTime,
}

/// The error fields, which every answer may have.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: Option<String>,
    message: Option<String>,
    // Of any type, so that an odd one does not hide the error.
    retry_after: Option<Value>,
}

impl ErrorAnswer {
    /// The refusal of this kind.
    fn refused(&self, kind: &str, gateway: &Gateway) -> ClientError {
        let retry_after = self.retry_after.as_ref().and_then(Value::as_u64);
        let retry_after = retry_after.map(Duration::from_secs);
        ClientError::refused(gateway.to_string(), kind, self.message.as_deref(), retry_after)
    }
}

/// Parses the answer to a claim.
pub(crate) fn claimed(answer: &[u8], gateway: &Gateway) -> Result<ClaimedSession, ClientError> {
    #[derive(Deserialize)]
    struct Claimed {
        session_token: Option<Zeroizing<String>>,
        profile: Option<String>,
        device_label: Option<String>,
        expires_at: Option<String>,
        // Of any type, so that an odd one does not cost the session.
        renew_until: Option<Value>,
    }
    let claimed: Claimed = json(answer, gateway)?;
    let error: ErrorAnswer = json(answer, gateway)?;
    if let Some(kind) = &error.error {
        return Err(error.refused(kind, gateway));
    }
    let Some(token) = claimed.session_token else {
        return Err(gateway.bad_answer("its answer has neither `session_token` nor `error`"));
    };
    let token = SessionToken::parse(&token)
        .map_err(|_| gateway.bad_answer("its session token is malformed"))?;
    let moment = |at: &str| OffsetDateTime::parse(at, &Rfc3339).ok();
    Ok(ClaimedSession {
        token,
        profile: claimed.profile,
        device_label: claimed.device_label,
        expires_at: claimed.expires_at.as_deref().and_then(moment),
        renew_until: claimed.renew_until.as_ref().and_then(Value::as_str).and_then(moment),
    })
}

/// Parses the answer about a session.
pub(crate) fn session(answer: &[u8], gateway: &Gateway) -> Result<SessionInfo, ClientError> {
    check_session(answer, gateway)?;
    json(answer, gateway)
}

/// Parses the answer to the end of a session: nothing but the status 204.
pub(crate) fn ended(
    status: StatusCode,
    answer: &[u8],
    gateway: &Gateway,
) -> Result<(), ClientError> {
    if status == StatusCode::NO_CONTENT {
        return Ok(());
    }
    check_session(answer, gateway)?;
    Err(gateway.bad_answer("its answer does not confirm the end of the session"))
}

/// Fails if an answer about a session is an error.
fn check_session(answer: &[u8], gateway: &Gateway) -> Result<(), ClientError> {
    let error: ErrorAnswer = json(answer, gateway)?;
    match error.error.as_deref() {
        None => Ok(()),
        Some("no_session") => Err(ClientError::NoSession { gateway: gateway.to_string() }),
        Some(kind) => Err(error.refused(kind, gateway)),
    }
}

fn json<T: DeserializeOwned>(answer: &[u8], gateway: &Gateway) -> Result<T, ClientError> {
    serde_json::from_slice(answer)
        .map_err(|_| gateway.bad_answer("its answer is not the JSON of a gateway"))
}
