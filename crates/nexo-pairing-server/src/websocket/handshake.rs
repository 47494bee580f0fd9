//! Turns a request into a WebSocket.

use axum::body::Body;
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header,
};
use axum::response::Response;
use data_encoding::BASE64;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::answer::Refusal;

/// What RFC 6455 has hashed with the client's key, so that only a WebSocket server answers so.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The answer that opens the WebSocket. Neither subprotocols nor extensions are taken up.
pub(crate) fn accept(request: &Request<Body>) -> Result<Response, Refusal> {
    let headers = request.headers();
    let wants_it = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && names(headers, header::CONNECTION, "upgrade")
        && names(headers, header::UPGRADE, "websocket");
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    if !wants_it || version != Some(b"13") {
        return Err(Refusal::UpgradeRequired);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let key = key.filter(|key| BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16));
    let key = key.ok_or(Refusal::Malformed("Sec-WebSocket-Key must be 16 bytes in base64"))?;

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accepted = HeaderValue::try_from(proof(key)).map_err(|_| Refusal::Unavailable)?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    Ok(response)
}

fn proof(key: &[u8]) -> String {
    BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, MAGIC].concat()).as_ref())
}

/// Whether a header that is a list of words has this one.
fn names(headers: &HeaderMap, header: HeaderName, word: &str) -> bool {
    let lists = headers.get_all(header);
    let mut words = lists.iter().flat_map(|list| list.as_bytes().split(|&byte| byte == b','));
    words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
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

    fn accepted(change: impl Fn(&mut Request<Body>)) -> Result<Response, Refusal> {
        let mut request = Request::new(Body::empty());
        for (name, value) in GOOD {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        change(&mut request);
        accept(&request)
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        let response = accepted(|_| {}).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let proof = &response.headers()[header::SEC_WEBSOCKET_ACCEPT];
        assert_eq!(proof, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn anything_else_opens_no_websocket() {
        for (name, _) in &GOOD[..3] {
            let without = accepted(|request| drop(request.headers_mut().remove(*name)));
            assert_eq!(without.unwrap_err(), Refusal::UpgradeRequired, "{name}");
        }
        let old = accepted(|request| {
            request.headers_mut().insert("sec-websocket-version", "8".parse().unwrap());
        });
        assert_eq!(old.unwrap_err(), Refusal::UpgradeRequired);
        let head = accepted(|request| *request.method_mut() = Method::HEAD);
        assert_eq!(head.unwrap_err(), Refusal::UpgradeRequired);
        let http_10 = accepted(|request| *request.version_mut() = Version::HTTP_10);
        assert_eq!(http_10.unwrap_err(), Refusal::UpgradeRequired);
        for key in ["", "dGhlIHNhbXBsZSBub25jZQ", "c2hvcnQ=", "not base64 not base64 =="] {
            let bad = accepted(|request| {
                request.headers_mut().insert("sec-websocket-key", key.parse().unwrap());
            });
            assert_eq!(bad.unwrap_err().kind(), "malformed", "{key}");
        }
    }
}
