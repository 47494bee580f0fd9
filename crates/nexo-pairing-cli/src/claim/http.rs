//! A claim over HTTP/1.1, and what a claim by WebSocket begins with. No redirection is followed: the
//! token goes where the setup code says.

use std::io;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::answer::{self, Session};
use super::connect::{Gateway, Stream};
use super::{ClaimError, MAX_ANSWER_BYTES};
use crate::text::cut;

/// How many bytes of a response are read before its body.
const MAX_HEAD_BYTES: usize = 8192;

/// How much of a URL is told.
const MAX_TOLD: usize = 200;

/// Posts a claim.
pub(super) async fn exchange(
    stream: Box<dyn Stream>,
    gateway: &Gateway,
    claim: &str,
) -> Result<Session, ClaimError> {
    let headers = [(CONTENT_TYPE, "application/json"), (CONNECTION, "close")];
    let response = send(stream, gateway, Method::POST, &headers, claim).await?;
    read(response, gateway).await
}

/// Sends a request, and comes back with the head of the response.
pub(super) async fn send(
    stream: Box<dyn Stream>,
    gateway: &Gateway,
    method: Method,
    headers: &[(HeaderName, &str)],
    body: &str,
) -> Result<Response<Incoming>, ClaimError> {
    let path = gateway.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = gateway.uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder().method(method).uri(path).header(HOST, host);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    let request =
        request.map_err(|_| ClaimError::Url { rule: "must be one that can be asked for" })?;

    let failed = |error: hyper::Error| match error.is_parse() {
        true => gateway.bad_answer("what it says is not HTTP"),
        false => gateway.lost(io::Error::other(error)),
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends with the response, or when nobody waits for that any more.
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(failed)
}

/// Reads a response to its end.
pub(super) async fn read(
    response: Response<Incoming>,
    gateway: &Gateway,
) -> Result<Session, ClaimError> {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let to = cut(to.unwrap_or("another place"), MAX_TOLD);
        return Err(gateway.bad_answer(format!("it redirects to {to}, which is not followed")));
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
        Ok(_) => gateway.too_long(),
        Err(error) => gateway.lost(io::Error::other(error)),
    })?;
    match (answer::read(&body.to_bytes(), gateway), status) {
        (Err(error @ (ClaimError::Refused { .. } | ClaimError::Lost { .. })), _) => Err(error),
        // A proxy, whose gateway may have got the claim.
        (
            _,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT,
        ) => Err(gateway.lost(io::Error::other(format!("it says {status}")))),
        (answer, _) if status.is_success() => answer,
        _ => Err(gateway.bad_answer(format!("it says {status}"))),
    }
}
