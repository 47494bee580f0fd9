//! Claims at a fake gateway for each test, on real sockets, and sessions at the real server.
#![expect(clippy::unwrap_used, reason = "a test stops at the first failure")]

mod cut;
mod http;
mod lost;
mod sessions;
mod tls;
mod websocket;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use nexo_pairing_client::{Claim, ClaimedSession, Client, ClientError, Refusal, Step};
use nexo_pairing_core::SetupCode;
use nexo_pairing_core::setup_code::{SetupCodeFormat, TokenClaims, UnsignedSetupCode};
use nexo_pairing_core::text::error_chain;
use serde_json::Value;
use time::OffsetDateTime;

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 4096;

const SESSION: &str = r#"{"session_token":"session-token-1","profile":"companion-v1",
    "device_label":"phone","expires_at":"2030-01-02T03:04:05Z"}"#;

/// Serves one connection. Returns the claim, if there was one.
type Serve = Box<dyn FnOnce(TcpStream) -> Option<Value> + Send>;

/// A gateway that serves connections one after the other, each in its own way, and then closes.
struct Fake {
    port: u16,
    thread: JoinHandle<Vec<Option<Value>>>,
}

impl Fake {
    fn new(connections: Vec<Serve>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let serve = |serve: Serve| serve(listener.accept().unwrap().0);
            connections.into_iter().map(serve).collect()
        });
        Self { port, thread }
    }

    /// The claims, one for each connection.
    fn claims(self) -> Vec<Option<Value>> {
        self.thread.join().unwrap()
    }

    /// A code with its URL, with this scheme.
    fn code(&self, scheme: &str) -> SetupCode {
        code(&format!("{scheme}://127.0.0.1:{}/pair", self.port))
    }
}

fn code(url: &str) -> SetupCode {
    let expires_at = OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap();
    let claims = TokenClaims::new("companion-v1".into(), expires_at, "5a".repeat(12), None);
    UnsignedSetupCode::new(SetupCodeFormat::V2, url, &claims).unwrap().sign_with(&[7; 32])
}

/// Claims without pauses between the attempts.
async fn claim_at_once(code: &SetupCode) -> Result<ClaimedSession, ClientError> {
    let claim = Claim::new(code)?.with_device_label("phone")?;
    Client::new().with_retry_pauses([Duration::ZERO; 4]).claim(&claim).await
}

/// The kind of the error, and all its text, which must not have secrets.
async fn refusal(code: &SetupCode) -> (&'static str, String) {
    let error = claim_at_once(code).await.err().unwrap();
    let kind = error.kind();
    let text = format!("{error:?} {}", error_chain(&error));
    assert!(!text.contains(&code.bootstrap_token) && !text.contains("session-token-1"), "{text}");
    (kind, text)
}

/// Reads a request. Returns its body.
fn read_post(stream: &mut TcpStream) -> Value {
    let mut text = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
        if text.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(text).unwrap().to_lowercase();
    assert!(head.starts_with("post /pair http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", stream.local_addr().unwrap())), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// Answers a POST with these bytes.
fn over_http(response: impl AsRef<[u8]> + Send + 'static) -> Serve {
    Box::new(move |mut stream| {
        let claim = read_post(&mut stream);
        stream.write_all(response.as_ref()).unwrap();
        Some(claim)
    })
}

/// Accepts a WebSocket, reads the claim, and serves it.
fn over_websocket(
    serve: impl FnOnce(&mut tungstenite::WebSocket<TcpStream>) + Send + 'static,
) -> Serve {
    Box::new(move |stream| {
        let mut socket = tungstenite::accept(stream).unwrap();
        let claim = socket.read().unwrap();
        assert!(claim.is_text());
        serve(&mut socket);
        serde_json::from_str(claim.to_text().unwrap()).unwrap()
    })
}

/// Answers a claim in a WebSocket.
fn saying(answer: &'static str) -> Serve {
    over_websocket(move |socket| socket.send(answer.into()).unwrap())
}

#[tokio::test]
async fn a_code_with_an_invalid_url_is_malformed() {
    for (url, rule) in [
        ("ws://ana:secret@127.0.0.1/pair", "must not have a user name"),
        ("ws://127.0.0.1:x@evil.example/pair", "must not have a user name"),
        ("ws://127.0.0.1:99999/pair", "must have a port"),
        ("ws://127.0.0.1:/pair", "must have a port"),
        ("ws://127.0.0.1\\@evil.example/pair", "is invalid"),
        ("ws://[::1/pair", "is invalid"),
    ] {
        let (kind, text) = refusal(&code(url)).await;
        assert!(kind == "malformed" && text.contains(rule), "{url}: {text}");
    }
}

#[tokio::test]
async fn a_missing_gateway_is_reported_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = claim_at_once(&code(&format!("ws://127.0.0.1:{port}/pair"))).await.err().unwrap();
    assert!(matches!(error, ClientError::Unreachable { step: Step::Connect, .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("failed to connect to 127.0.0.1:{port}"));
    assert_eq!(error.kind(), "unreachable");
}
