//! The WebSocket handshake.

use axum::body::Body;
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header,
};
use axum::response::Response;
use data_encoding::BASE64;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::error::ApiError;

/// RFC 6455 has this hashed with the client's key, to prove that the server speaks WebSocket.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The response that opens the WebSocket, without subprotocols and extensions.
pub(crate) fn accept(request: &Request<Body>) -> Result<Response, ApiError> {
    let headers = request.headers();
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    let is_handshake = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_token(headers, header::CONNECTION, "upgrade")
        && has_token(headers, header::UPGRADE, "websocket")
        && version == Some(b"13");
    if !is_handshake {
        return Err(ApiError::UpgradeRequired);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let key = key.filter(|key| BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16));
    let key = key.ok_or(ApiError::Malformed("Sec-WebSocket-Key must be 16 bytes in base64"))?;
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, MAGIC].concat());
    let accept = HeaderValue::try_from(BASE64.encode(hash.as_ref()));

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = accept.map_err(|_| ApiError::Unavailable)?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Whether a header that is a list of tokens has this one.
fn has_token(headers: &HeaderMap, header: HeaderName, token: &str) -> bool {
    let lists = headers.get_all(header);
    let mut tokens = lists.iter().flat_map(|list| list.as_bytes().split(|&byte| byte == b','));
    tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn accepted(change: impl Fn(&mut Request<Body>)) -> Result<Response, ApiError> {
        let mut request = Request::new(Body::empty());
        for (name, value) in GOOD {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        change(&mut request);
        accept(&request)
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let response = accepted(|_| {}).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let proof = &response.headers()[header::SEC_WEBSOCKET_ACCEPT];
        assert_eq!(proof, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn anything_else_is_rejected() {
        for (name, _) in &GOOD[..3] {
            let without = accepted(|request| drop(request.headers_mut().remove(*name)));
            assert_eq!(without.unwrap_err(), ApiError::UpgradeRequired, "{name}");
        }
        let old = accepted(|request| {
            request.headers_mut().insert("sec-websocket-version", "8".parse().unwrap());
        });
        assert_eq!(old.unwrap_err(), ApiError::UpgradeRequired);
        let head = accepted(|request| *request.method_mut() = Method::HEAD);
        assert_eq!(head.unwrap_err(), ApiError::UpgradeRequired);
        let http_10 = accepted(|request| *request.version_mut() = Version::HTTP_10);
        assert_eq!(http_10.unwrap_err(), ApiError::UpgradeRequired);
        for key in ["", "dGhlIHNhbXBsZSBub25jZQ", "c2hvcnQ=", "not base64 not base64 =="] {
            let bad = accepted(|request| {
                request.headers_mut().insert("sec-websocket-key", key.parse().unwrap());
            });
            assert_eq!(bad.unwrap_err().kind(), "malformed", "{key}");
        }
    }
}
