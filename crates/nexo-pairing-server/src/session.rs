//! Sessions over HTTP: checked by services, renewed and ended by devices.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nexo_pairing_core::{Session, SessionToken};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::serde::rfc3339;

use crate::connection::Connection;
use crate::error::{ApiError, json_response, to_json};
use crate::state::AppState;
use crate::writes::Credential;

/// What is not percent-encoded in a header: the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A session as its device, and the services that the device uses, see it.
#[derive(Serialize)]
pub(crate) struct SessionView<'a> {
    session_id: &'a str,
    profile: &'a str,
    device_label: Option<&'a str>,
    #[serde(with = "rfc3339")]
    issued_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    expires_at: OffsetDateTime,
    #[serde(with = "rfc3339")]
    renew_until: OffsetDateTime,
}

impl<'a> SessionView<'a> {
    pub(crate) fn of(session: &'a Session) -> Self {
        Self {
            session_id: session.id.as_str(),
            profile: &session.profile,
            device_label: session.device_label.as_deref(),
            issued_at: session.issued_at,
            expires_at: session.expires_at,
            renew_until: session.renew_until,
        }
    }
}

/// A request with a session token.
pub(crate) struct SessionRequest {
    state: Arc<AppState>,
    token: SessionToken,
    client: IpAddr,
}

impl FromRequestParts<Arc<AppState>> for SessionRequest {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, ApiError> {
        let connection = Connection::of(parts)?;
        connection.begin_response()?;
        let token = bearer(&parts.headers)?;
        let client = state.client(connection.peer, &parts.headers);
        Ok(Self { state: Arc::clone(state), token, client })
    }
}

type Reply = Result<Response, ApiError>;

/// `GET /session`: whether the session is live.
pub(crate) async fn show(SessionRequest { state, token, client }: SessionRequest) -> Reply {
    let failed = |error| state.unavailable("look up a session", &error);
    let session = live(state.store.session(&token).await.map_err(failed)?)?;
    state.touch(&session, client);
    describe(&session)
}

/// `POST /session/renew`: extends it to the lifetime of a new one, at most to its `renew_until`.
pub(crate) async fn renew(SessionRequest { state, token, client }: SessionRequest) -> Reply {
    let failed = |error| state.unavailable("renew a session", &error);
    let session = live(state.store.session(&token).await.map_err(failed)?)?;
    let _permit = state.begin_write(client, Credential::Session(session.id))?;
    let ttl = state.settings().session_ttl;
    let session = live(state.store.renew_session(&token, ttl).await.map_err(failed)?)?;
    state.touch(&session, client);
    describe(&session)
}

/// `DELETE /session`: the device logs out.
pub(crate) async fn end(SessionRequest { state, token, client }: SessionRequest) -> Reply {
    let failed = |error| state.unavailable("end a session", &error);
    // A session that is not live yet, because the clock was set back, can be ended as well.
    let session = state.store.session(&token).await.map_err(failed)?;
    let credential = session.map_or(Credential::Unknown, |session| Credential::Session(session.id));
    let _permit = state.begin_write(client, credential)?;
    if state.store.end_session(&token).await.map_err(failed)? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(ApiError::Session { presented: true })
    }
}

/// The session token of a request.
fn bearer(headers: &HeaderMap) -> Result<SessionToken, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(ApiError::Session { presented: false })?;
    let rejected = ApiError::Session { presented: true };
    if values.next().is_some() {
        return Err(rejected);
    }
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unzip();
    let token =
        token.filter(|_| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer")));
    let token = token.map(|token| token.trim_matches(' '));
    token.and_then(|token| SessionToken::parse(token).ok()).ok_or(rejected)
}

fn live(session: Option<Session>) -> Result<Session, ApiError> {
    session.ok_or(ApiError::Session { presented: true })
}

/// Describes a session in the body, and in headers, which is all that proxies pass on. All headers are
/// always present, so that they overwrite what a client sent under their names.
fn describe(session: &Session) -> Reply {
    let mut response = json_response(StatusCode::OK, to_json(&SessionView::of(session))?);
    let label = session.device_label.as_deref().unwrap_or_default();
    let label = utf8_percent_encode(label, ENCODED).to_string();
    let expires_at = session.expires_at.format(&Rfc3339).map_err(|_| ApiError::Unavailable)?;
    for (name, value) in [
        ("x-pairing-session", session.id.as_str()),
        ("x-pairing-profile", &session.profile),
        ("x-pairing-device-label", &label),
        ("x-pairing-expires-at", &expires_at),
    ] {
        let value = HeaderValue::from_str(value).map_err(|_| ApiError::Unavailable)?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_of(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        bearer(&headers).ok().map(|token| token.as_str().to_owned())
    }

    #[test]
    fn a_token_follows_the_word_bearer() {
        for good in ["Bearer legacy-session-token-1", "bearer  legacy-session-token-1 "] {
            assert_eq!(token_of(good).as_deref(), Some("legacy-session-token-1"), "{good}");
        }
        for bad in
            ["", "Bearer", "Bearer ", "Basic legacy-session-token-1", "legacy-session-token-1"]
        {
            assert_eq!(token_of(bad), None, "{bad}");
        }
        let long = format!("Bearer {}", "x".repeat(257));
        assert_eq!(token_of(&long), None);
        assert_eq!(token_of("Bearer legacy-session token-1"), None);
    }

    #[test]
    fn two_tokens_are_rejected() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers).unwrap_err(), ApiError::Session { presented: false });
        for _ in 0..2 {
            headers.append(header::AUTHORIZATION, "Bearer legacy-session-token-1".parse().unwrap());
        }
        assert_eq!(bearer(&headers).unwrap_err(), ApiError::Session { presented: true });
    }
}
