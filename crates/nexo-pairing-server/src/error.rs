//! What the server says, as JSON.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

/// Why a request is refused. It says no more than its caller may know: neither what is stored nor
/// what failed inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot be read.
    Malformed(&'static str),
    /// A body, or a frame, is larger than a claim may be.
    TooLarge,
    /// A body is not said to be JSON.
    NotJson,
    /// A claim did not arrive in time.
    Timeout,
    /// It comes from a web page that may not claim.
    Origin,
    /// The peer has failed too often.
    Throttled(Duration),
    /// None of our keys signed the token.
    Signature,
    /// The setup code is over.
    Expired,
    /// The setup code was used already.
    Replayed,
    /// The operator took the setup code back.
    Cancelled,
    /// There is no live session.
    Session {
        /// Whether a session token was presented.
        presented: bool,
    },
    /// `GET /pair` is for WebSockets.
    UpgradeRequired,
    NotFound,
    MethodNotAllowed,
    /// The store cannot be read or written, or the server ends.
    Unavailable,
}

impl Refusal {
    /// The stable name, for programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge => "too_large",
            Self::NotJson => "not_json",
            Self::Timeout => "timeout",
            Self::Origin => "origin_not_allowed",
            Self::Throttled(_) => "throttled",
            Self::Signature => "invalid_signature",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
            Self::Cancelled => "cancelled",
            Self::Session { .. } => "no_session",
            Self::UpgradeRequired => "upgrade_required",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Unavailable => "unavailable",
        }
    }

    fn message(&self) -> &'static str {
        match self {
            Self::Malformed(what) => what,
            Self::TooLarge => "a claim has at most 4096 bytes",
            Self::NotJson => "the body must be JSON: send Content-Type: application/json",
            Self::Timeout => "the claim took too long to arrive",
            Self::Origin => {
                "web pages may not claim setup codes, but for the one at the gateway's public_url"
            }
            Self::Throttled(_) => "too many claims failed; wait before the next one",
            Self::Signature => "this gateway did not issue the setup code, or its key is retired",
            Self::Expired => "the setup code has expired; have a new one made",
            Self::Replayed => "the setup code was used already; have a new one made",
            Self::Cancelled => "the setup code was taken back; have a new one made",
            Self::Session { presented: false } => "send Authorization: Bearer and a session token",
            Self::Session { presented: true } => {
                "there is no session with this token, or it is over"
            }
            Self::UpgradeRequired => "connect with a WebSocket, version 13, or POST the claim",
            Self::NotFound => "there is nothing here",
            Self::MethodNotAllowed => "this path does not take this method",
            Self::Unavailable => "not now; try again in a moment",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Signature | Self::Expired | Self::Session { .. } => StatusCode::UNAUTHORIZED,
            Self::Replayed | Self::Cancelled => StatusCode::CONFLICT,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// In how many seconds it makes sense to try again.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Throttled(wait) => Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
            Self::Unavailable => Some(1),
            _ => None,
        }
    }

    /// The answer in a WebSocket, or the body of one over HTTP.
    pub(crate) fn json(&self) -> String {
        let mut answer = json!({ "error": self.kind(), "message": self.message() });
        if let Some(seconds) = self.retry_after() {
            answer["retry_after"] = seconds.into();
        }
        answer.to_string()
    }
}

impl IntoResponse for Refusal {
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
            // What comes behind it is not read.
            Self::TooLarge | Self::Timeout => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// An answer that is JSON already.
pub(crate) fn json_response(status: StatusCode, json: String) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A value as JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, Refusal> {
    // Structs of texts can always be written.
    serde_json::to_string(value).map_err(|_| Refusal::Unavailable)
}
