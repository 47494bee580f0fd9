//! HTTP/1.1, for claims and sessions, and for the request that opens a WebSocket. Redirects are not
//! followed: a token goes only to the gateway of the setup code.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nexo_pairing_core::SessionToken;
use nexo_pairing_core::text::truncate;
use zeroize::Zeroizing;

use crate::error::MAX_TEXT;
use crate::gateway::Stream;
use crate::{ClientError, Gateway, MAX_ANSWER_BYTES};

/// The longest head of a response, in bytes.
const MAX_HEAD_BYTES: usize = 8192;

/// A claim as a `POST`.
pub(crate) fn post(
    gateway: &Gateway,
    claim: Zeroizing<String>,
) -> Result<Request<Full<Bytes>>, ClientError> {
    let headers = [(CONTENT_TYPE, "application/json"), (CONNECTION, "close")];
    request(gateway, Method::POST, gateway.claim_path(), &headers, Bytes::from_owner(claim))
}

/// A request about the session with this token.
pub(crate) fn bearer(
    gateway: &Gateway,
    method: Method,
    path: &str,
    token: &SessionToken,
) -> Result<Request<Full<Bytes>>, ClientError> {
    let mut request = request(gateway, method, path, &[(CONNECTION, "close")], Bytes::new())?;
    let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| invalid_request())?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    Ok(request)
}

pub(crate) fn request(
    gateway: &Gateway,
    method: Method,
    path: &str,
    headers: &[(HeaderName, &str)],
    body: Bytes,
) -> Result<Request<Full<Bytes>>, ClientError> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, gateway.authority());
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(Full::new(body)).map_err(|_| invalid_request())
}

fn invalid_request() -> ClientError {
    ClientError::Url { rule: "must be valid in a request" }
}

/// Sends a request and returns the response, whose body is not read yet.
pub(crate) async fn send(
    stream: Box<dyn Stream>,
    gateway: &Gateway,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, ClientError> {
    let failed = |error: hyper::Error| match error.is_parse() {
        true => gateway.bad_answer("its answer is not HTTP"),
        false => gateway.lost(io::Error::other(error)),
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Ends with the response, or when the sender is dropped.
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(failed)
}

/// Parses the body of a response, and checks it against the status.
pub(crate) async fn read<T>(
    response: Response<Incoming>,
    gateway: &Gateway,
    read: impl FnOnce(StatusCode, &[u8]) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let to = truncate(to.unwrap_or("another place"), MAX_TEXT);
        return Err(gateway.bad_answer(format!("it redirects to {to}, which is not followed")));
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
        Ok(_) => gateway.too_long(),
        Err(error) => gateway.lost(io::Error::other(error)),
    })?;
    match read(status, &body.to_bytes()) {
        Err(
            error @ (ClientError::Refused { .. }
            | ClientError::NoSession { .. }
            | ClientError::Lost { .. }),
        ) => Err(error),
        // From a proxy; the gateway behind it may have received the request.
        _ if matches!(
            status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        ) =>
        {
            Err(gateway.lost(io::Error::other(format!("its status is {status}"))))
        }
        answer if status.is_success() => answer,
        _ => Err(gateway.bad_answer(format!("its status is {status}"))),
    }
}
