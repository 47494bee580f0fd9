//! What a gateway says to a claim, in a WebSocket or over HTTP, and of a session.

use std::time::Duration;

use nexo_pairing_core::{SessionId, SessionToken};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::serde::rfc3339;
use zeroize::Zeroizing;

use crate::{ClientError, Gateway};

/// What a gateway gives for a setup code.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimedSession {
    /// What the device presents from now on. The gateway tells it this once and keeps no copy.
    pub token: SessionToken,
    /// What the device is, such as `companion-v1`. A gateway of 0.1.8 does not tell.
    pub profile: Option<String>,
    /// What the device is called, if it has a name. A gateway of 0.1.8 does not tell.
    pub device_label: Option<String>,
    /// From when on the token is refused. A gateway of 0.1.8 does not tell.
    pub expires_at: Option<OffsetDateTime>,
    /// As far as [`Client::renew`](crate::Client::renew) can put `expires_at`. A gateway of 0.1.8
    /// does not tell.
    pub renew_until: Option<OffsetDateTime>,
}

/// What a gateway tells of a session that is live.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// By what the operator names the session; no secret.
    pub id: SessionId,
    /// What the device is, such as `companion-v1`.
    pub profile: String,
    /// What the device is called, if it has a name.
    pub device_label: Option<String>,
    /// Since when the session is live.
    pub issued_at: OffsetDateTime,
    /// From when on its token is refused.
    pub expires_at: OffsetDateTime,
    /// As far as [`Client::renew`](crate::Client::renew) can put `expires_at`.
    pub renew_until: OffsetDateTime,
}

/// What every answer may have instead.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: Option<String>,
    message: Option<String>,
    // Whatever it is, the error counts.
    retry_after: Option<Value>,
}

impl ErrorAnswer {
    fn retry_after(&self) -> Option<Duration> {
        self.retry_after.as_ref().and_then(Value::as_u64).map(Duration::from_secs)
    }
}

/// Reads the answer to a claim.
pub(crate) fn claimed(answer: &[u8], gateway: &Gateway) -> Result<ClaimedSession, ClientError> {
    #[derive(Deserialize)]
    struct Claimed {
        session_token: Option<Zeroizing<String>>,
        profile: Option<String>,
        device_label: Option<String>,
        expires_at: Option<String>,
        // Younger than the others, so it must not keep an answer from being read.
        renew_until: Option<Value>,
    }
    let claimed: Claimed = json(answer, gateway)?;
    let error: ErrorAnswer = json(answer, gateway)?;
    if let Some(kind) = &error.error {
        return Err(gateway.refused(kind, error.message.as_deref(), error.retry_after()));
    }
    let Some(token) = claimed.session_token else {
        return Err(gateway.bad_answer("it says neither `session_token` nor `error`"));
    };
    let token = SessionToken::parse(&token)
        .map_err(|_| gateway.bad_answer("its session token has not the form of one"))?;
    let moment = |at: &str| OffsetDateTime::parse(at, &Rfc3339).ok();
    Ok(ClaimedSession {
        token,
        profile: claimed.profile,
        device_label: claimed.device_label,
        expires_at: claimed.expires_at.as_deref().and_then(moment),
        renew_until: claimed.renew_until.as_ref().and_then(Value::as_str).and_then(moment),
    })
}

/// Reads what a gateway tells of a session.
pub(crate) fn session(answer: &[u8], gateway: &Gateway) -> Result<SessionInfo, ClientError> {
    #[derive(Deserialize)]
    struct Told {
        session_id: String,
        profile: String,
        device_label: Option<String>,
        #[serde(with = "rfc3339")]
        issued_at: OffsetDateTime,
        #[serde(with = "rfc3339")]
        expires_at: OffsetDateTime,
        #[serde(with = "rfc3339")]
        renew_until: OffsetDateTime,
    }
    check_session(answer, gateway)?;
    let told: Told = json(answer, gateway)?;
    let id = SessionId::parse(&told.session_id)
        .map_err(|_| gateway.bad_answer("its session id has not the form of one"))?;
    Ok(SessionInfo {
        id,
        profile: told.profile,
        device_label: told.device_label,
        issued_at: told.issued_at,
        expires_at: told.expires_at,
        renew_until: told.renew_until,
    })
}

/// Reads whether a session was ended: there is nothing to be said then.
pub(crate) fn ended(answer: &[u8], gateway: &Gateway) -> Result<(), ClientError> {
    if answer.is_empty() { Ok(()) } else { check_session(answer, gateway) }
}

/// Whether an answer about a session is an error.
fn check_session(answer: &[u8], gateway: &Gateway) -> Result<(), ClientError> {
    let error: ErrorAnswer = json(answer, gateway)?;
    match error.error.as_deref() {
        None => Ok(()),
        Some("no_session") => Err(ClientError::NoSession { gateway: gateway.to_string() }),
        Some(kind) => Err(gateway.refused(kind, error.message.as_deref(), error.retry_after())),
    }
}

fn json<T: DeserializeOwned>(answer: &[u8], gateway: &Gateway) -> Result<T, ClientError> {
    serde_json::from_slice(answer)
        .map_err(|_| gateway.bad_answer("what it says is not the JSON of a gateway"))
}
