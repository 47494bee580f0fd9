//! Sessions at the real server: look-up, renewal, end.

use std::sync::Arc;

use nexo_pairing_client::Gateway;
use nexo_pairing_core::{ManualClock, SessionToken};
use nexo_pairing_server::{Server, ServerOptions};
use nexo_pairing_setup::{IssuerOptions, SetupCodeIssuer};
use nexo_pairing_store::{PairingStore, StoreOptions};
use tempfile::TempDir;

use super::*;

/// The real server, with a manual clock.
struct RealGateway {
    clock: Arc<ManualClock>,
    store: PairingStore,
    issuer: SetupCodeIssuer,
    url: String,
    _folder: TempDir,
}

impl RealGateway {
    async fn start(scheme: &str) -> Self {
        let clock = ManualClock::new(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions::default().with_clock(clock.clone());
        let path = folder.path().join("pairing.db");
        let store = PairingStore::open_with(path, options).await.unwrap();
        let issuer = || {
            let options = IssuerOptions::default().with_clock(clock.clone());
            SetupCodeIssuer::open_with(folder.path().join("pairing.key"), options).unwrap()
        };
        let options = ServerOptions::new(store.clone(), issuer())
            .with_listen("127.0.0.1:0".parse().unwrap())
            .with_clock(clock.clone());
        let server = Server::bind(options).await.unwrap();
        let url = format!("{scheme}://{}/pair", server.local_addr());
        tokio::spawn(server.run(std::future::pending()));
        Self { store, issuer: issuer(), url, clock, _folder: folder }
    }

    fn gateway(&self) -> Gateway {
        Gateway::parse(&self.url).unwrap()
    }

    fn code(&self, label: Option<&str>) -> SetupCode {
        let minute = Duration::from_secs(60);
        self.issuer.issue(&self.url, "companion-v1", minute, label).unwrap()
    }

    async fn claim(&self, label: Option<&str>) -> ClaimedSession {
        Client::new().claim(&Claim::new(&self.code(label)).unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn a_session_is_looked_up_renewed_and_ended() {
    for scheme in ["ws", "http"] {
        let real = RealGateway::start(scheme).await;
        let (client, gateway) = (Client::new(), real.gateway());
        let claimed = real.claim(Some("Ana's phone")).await;

        let session = client.session(&gateway, &claimed.token).await.unwrap();
        assert_eq!(Some(&session.profile), claimed.profile.as_ref());
        assert_eq!(session.device_label.as_deref(), Some("Ana's phone"));
        assert_eq!(session.device_label, claimed.device_label);
        assert_eq!(Some(session.expires_at), claimed.expires_at);
        assert_eq!(Some(session.renew_until), claimed.renew_until);
        let listed = real.store.list_sessions(false).await.unwrap();
        assert_eq!(session.id, listed[0].id);

        real.clock.advance(std::time::Duration::from_hours(1));
        let renewed = client.renew(&gateway, &claimed.token).await.unwrap();
        assert_eq!(renewed.expires_at, session.expires_at + time::Duration::HOUR);
        assert_eq!(renewed.renew_until, session.renew_until);
        assert_eq!(client.session(&gateway, &claimed.token).await.unwrap(), renewed);

        client.end(&gateway, &claimed.token).await.unwrap();
        assert!(real.store.list_sessions(false).await.unwrap().is_empty());
        for error in [
            client.session(&gateway, &claimed.token).await.unwrap_err(),
            client.renew(&gateway, &claimed.token).await.unwrap_err(),
            client.end(&gateway, &claimed.token).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), "no_session", "{error:?}");
            assert_eq!(error.to_string(), format!("{gateway} has no live session for this token"));
        }
    }
}

#[tokio::test]
async fn an_expired_or_unknown_session_is_not_live() {
    let real = RealGateway::start("http").await;
    let (client, gateway) = (Client::new(), real.gateway());
    let token = real.claim(None).await.token;
    real.clock.advance(std::time::Duration::from_hours(24));
    let unknown = SessionToken::parse("never-issued-token").unwrap();
    for token in [token, unknown] {
        assert_eq!(client.session(&gateway, &token).await.unwrap_err().kind(), "no_session");
        assert_eq!(client.renew(&gateway, &token).await.unwrap_err().kind(), "no_session");
    }
}

#[tokio::test]
async fn a_claim_is_resumed_by_its_id() {
    let real = RealGateway::start("ws").await;
    let (client, gateway) = (Client::new(), real.gateway());
    let code = real.code(None);
    let claim = Claim::new(&code).unwrap();
    let first = client.claim(&claim).await.unwrap().token;
    let id = client.session(&gateway, &first).await.unwrap().id;

    // As after a restart.
    let again = Claim::new(&code).unwrap().with_id(claim.id().clone());
    let second = client.claim(&again).await.unwrap().token;
    assert_eq!(client.session(&gateway, &second).await.unwrap().id, id);
    assert_eq!(client.session(&gateway, &first).await.unwrap_err().kind(), "no_session");

    let replay = client.claim(&Claim::new(&code).unwrap()).await.unwrap_err();
    assert!(
        matches!(replay, ClientError::Refused { refusal: Refusal::Replayed, .. }),
        "{replay:?}"
    );
    assert_eq!(client.session(&gateway, &second).await.unwrap_err().kind(), "no_session");
}

/// The head of a request about a session, as the gateway receives it.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_session_request_has_the_path_of_the_gateway_and_only_the_token() {
    let gateway = Fake::new(vec![Box::new(|mut stream| {
        let head = head(&mut stream);
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        Some(head.into())
    })]);
    let url = format!("ws://127.0.0.1:{}/ana/pair", gateway.port);
    let token = SessionToken::parse("session-token-1").unwrap();
    Client::new().end(&Gateway::parse(&url).unwrap(), &token).await.unwrap();
    let port = gateway.port;
    let head = gateway.claims().remove(0).unwrap();
    let expected = format!(
        "DELETE /ana/session HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\
         authorization: Bearer session-token-1\r\n\r\n"
    );
    assert_eq!(head.as_str().unwrap(), expected);
}

#[tokio::test]
async fn invalid_answers_about_a_session_have_a_kind() {
    let response = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    for (response, kind) in [
        (response("200 OK", r#"{"session_id":"0011223344556677"}"#), "bad_answer"),
        (response("200 OK", "<html>"), "bad_answer"),
        (response("401 Unauthorized", ""), "bad_answer"),
        (response("404 Not Found", r#"{"error":"not_found"}"#), "bad_answer"),
        (response("302 Found", ""), "bad_answer"),
        (response("401 Unauthorized", r#"{"error":"no_session","message":"no"}"#), "no_session"),
        (response("503 No", r#"{"error":"unavailable","message":"not now"}"#), "unreachable"),
        (response("502 Bad Gateway", "<html>"), "unreachable"),
        (String::new(), "unreachable"),
    ] {
        let gateway = Fake::new(vec![Box::new({
            let response = response.clone();
            move |mut stream| {
                head(&mut stream);
                stream.write_all(response.as_bytes()).unwrap();
                None
            }
        })]);
        let url = Gateway::parse(&format!("http://127.0.0.1:{}/pair", gateway.port)).unwrap();
        let token = SessionToken::parse("session-token-1").unwrap();
        let error = Client::new().renew(&url, &token).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{response}: {error:?}");
        assert!(
            !format!("{error:?} {}", error_chain(&error)).contains(token.as_str()),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_session_has_ended_only_if_the_gateway_confirms_it() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ] {
        let gateway = Fake::new(vec![Box::new(|mut stream| {
            head(&mut stream);
            stream.write_all(response.as_bytes()).unwrap();
            None
        })]);
        let url = Gateway::parse(&format!("http://127.0.0.1:{}/pair", gateway.port)).unwrap();
        let token = SessionToken::parse("session-token-1").unwrap();
        let error = Client::new().end(&url, &token).await.unwrap_err();
        assert_eq!(error.kind(), "bad_answer", "{response}: {error:?}");
    }
}

#[tokio::test]
async fn a_silent_gateway_times_out() {
    use tokio::io::AsyncReadExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/pair", listener.local_addr().unwrap());
    let gateway = Gateway::parse(&url).unwrap();
    let token = SessionToken::parse("session-token-1").unwrap();
    let client = Client::new().with_timeout(Duration::from_secs(3));
    let silence = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        // From here on, the clock advances while all tasks wait.
        tokio::time::pause();
        stream.read_u8().await
    };
    let (outcome, end) = tokio::join!(client.renew(&gateway, &token), silence);
    let error = outcome.unwrap_err();
    let limit = Duration::from_secs(3);
    assert!(
        matches!(error, ClientError::TimedOut { step: Step::Answer, limit: l, .. } if l == limit)
    );
    assert!(end.is_err(), "the connection was closed");
}
