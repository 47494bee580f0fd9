//! The errors of the server: why it does not start, and what it answers instead of a result.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::tls::TlsError;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be bound.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why a request is rejected. It reveals no more than its caller may know: neither stored data nor
/// internal failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The request cannot be parsed.
    Malformed(&'static str),
    /// A body or a frame is larger than a claim may be.
    TooLarge,
    /// The content type of a body is not JSON.
    NotJson,
    /// A claim did not arrive in time.
    Timeout,
    /// The request comes from a web page that may not claim.
    Origin,
    /// The peer failed too often; with the time until it may try again.
    Throttled(Duration),
    /// None of our keys signed the token.
    Signature,
    /// The setup code has expired.
    Expired,
    /// The setup code was already used.
    Replayed,
    /// The operator cancelled the setup code.
    Cancelled,
    /// There is no live session.
    Session {
        /// Whether a session token was presented.
        presented: bool,
    },
    /// `GET /pair` without a WebSocket handshake.
    UpgradeRequired,
    NotFound,
    MethodNotAllowed,
    /// The backend failed, or the server is shutting down.
    Unavailable,
}

impl ApiError {
    /// The HTTP status, the stable name and the message.
    fn parts(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Malformed(what) => (400, "malformed", what),
            Self::TooLarge => (413, "too_large", "a claim has at most 4096 bytes"),
            Self::NotJson => (415, "not_json", "send JSON with Content-Type: application/json"),
            Self::Timeout => (408, "timeout", "the claim took too long to arrive"),
            Self::Origin => {
                (403, "origin_not_allowed", "only the web page at public_url may claim setup codes")
            }
            Self::Throttled(_) => (429, "throttled", "too many failed claims; try again later"),
            Self::Signature => {
                (401, "invalid_signature", "not a code of this gateway, or its key was retired")
            }
            Self::Expired => (401, "expired", "the setup code has expired; ask for a new one"),
            Self::Replayed => {
                (409, "replayed", "the setup code was already used; ask for a new one")
            }
            Self::Cancelled => {
                (409, "cancelled", "the setup code was cancelled; ask for a new one")
            }
            Self::Session { presented: false } => {
                (401, "no_session", "send Authorization: Bearer and a session token")
            }
            Self::Session { presented: true } => {
                (401, "no_session", "no live session has this token")
            }
            Self::UpgradeRequired => {
                (426, "upgrade_required", "connect with a WebSocket, version 13, or POST the claim")
            }
            Self::NotFound => (404, "not_found", "no such path"),
            Self::MethodNotAllowed => (405, "method_not_allowed", "not a method of this path"),
            Self::Unavailable => (503, "unavailable", "not available now; try again in a moment"),
        }
    }

    /// The stable name, for programs.
    pub(crate) fn kind(&self) -> &'static str {
        self.parts().1
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.parts().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// After how many seconds it makes sense to try again.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Throttled(wait) => Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            Self::Unavailable => Some(1),
            _ => None,
        }
    }

    /// The reply over a WebSocket, and the body of one over HTTP.
    pub(crate) fn json(&self) -> String {
        let (_, kind, message) = self.parts();
        let mut reply = json!({ "error": kind, "message": message });
        if let Some(seconds) = self.retry_after() {
            reply["retry_after"] = seconds.into();
        }
        reply.to_string()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status(), self.json());
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        match self {
            Self::Session { presented } => {
                let challenge = if presented { "Bearer error=\"invalid_token\"" } else { "Bearer" };
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            Self::UpgradeRequired => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            // The rest of the body is not read.
            Self::TooLarge | Self::Timeout => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// A response whose body is already JSON.
pub(crate) fn json_response(status: StatusCode, json: String) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A value as JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, ApiError> {
    // Structs of texts can always be serialized.
    serde_json::to_string(value).map_err(|_| ApiError::Unavailable)
}
