//! What a gateway says to a claim, in a WebSocket or over HTTP.

use nexo_pairing::SessionToken;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::ClaimError;
use super::connect::Gateway;

/// What the gateway gives for a setup code.
pub(crate) struct Session {
    pub(crate) token: SessionToken,
    // A gateway of 0.1.8 tells none of these.
    pub(crate) profile: Option<String>,
    pub(crate) device_label: Option<String>,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

/// Reads an answer.
pub(super) fn read(answer: &[u8], gateway: &Gateway) -> Result<Session, ClaimError> {
    let Ok(answer) = serde_json::from_slice::<Answer>(answer) else {
        return Err(gateway.bad_answer("what it says is not the JSON of a gateway"));
    };
    if let Some(kind) = answer.error {
        return Err(gateway.refused(&kind, answer.message.as_deref()));
    }
    let Some(token) = answer.session_token.map(Zeroizing::new) else {
        return Err(gateway.bad_answer("it says neither `session_token` nor `error`"));
    };
    let token = SessionToken::parse(&token)
        .map_err(|_| gateway.bad_answer("its session token has not the form of one"))?;
    let expires_at = answer.expires_at.and_then(|at| OffsetDateTime::parse(&at, &Rfc3339).ok());
    let (profile, device_label) = (answer.profile, answer.device_label);
    Ok(Session { token, profile, device_label, expires_at })
}

#[derive(Deserialize)]
struct Answer {
    session_token: Option<String>,
    profile: Option<String>,
    device_label: Option<String>,
    expires_at: Option<String>,
    error: Option<String>,
    message: Option<String>,
}
