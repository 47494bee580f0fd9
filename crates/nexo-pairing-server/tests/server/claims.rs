//! Replies to claims, over both transports.

use std::net::TcpStream;
use std::time::Duration;

use nexo_pairing_core::{Actor, Cancellation, ManualClock};
use nexo_pairing_setup::{IssuerOptions, SetupCodeIssuer};
use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{Running, World, claim, claim_with_id, post, request, upgrade_with};

#[tokio::test]
async fn a_claim_in_a_request_gives_a_session() {
    let world = World::new().await;
    let server = world.serve().await;
    let answer = server.post(&claim(&world.code())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let session = &world.store.list_sessions(false).await.unwrap()[0];
    let told = answer.json();
    let expected = json!({
        "session_token": told["session_token"],
        "session_id": session.id.as_str(),
        "profile": "companion-v1",
        "device_label": "Ana's phone",
        "issued_at": "2027-01-15T08:00:00Z",
        "expires_at": "2027-01-16T08:00:00Z",
        "renew_until": "2027-02-14T08:00:00Z",
    });
    assert_eq!(told, expected);
    assert_eq!(server.session(&answer.text("session_token")).await.status, 200);
}

#[tokio::test]
async fn a_claim_over_a_websocket_gives_a_session_to_any_client() {
    let world = World::new().await;
    let server = world.serve().await;
    let (claim, address) = (claim(&world.code()), server.address);
    let client = tokio::task::spawn_blocking(move || {
        let stream = TcpStream::connect(address).unwrap();
        let url = format!("ws://{address}/pair");
        let (mut socket, response) = tungstenite::client(url, stream).unwrap();
        assert_eq!(response.status(), 101);
        socket.send(Message::text(claim)).unwrap();
        let answer = socket.read().unwrap().into_text().unwrap();
        let Message::Close(Some(close)) = socket.read().unwrap() else { panic!("no close") };
        (serde_json::from_str::<Value>(&answer).unwrap(), close.code)
    });
    let (answer, close) = client.await.unwrap();
    assert_eq!(close, CloseCode::Normal);
    assert_eq!(answer["profile"], "companion-v1");
    let token = answer["session_token"].as_str().unwrap();
    assert_eq!(server.session(token).await.status, 200);
}

#[tokio::test]
async fn the_devices_own_label_is_used_if_the_operator_gave_none() {
    let world = World::new().await;
    let server = world.serve().await;
    for (code, label) in [(world.code(), "Ana's phone"), (world.code_for(None), "Pixel 9")] {
        let token = code.bootstrap_token;
        let claim = json!({ "bootstrap_token": token, "device_label": "Pixel 9" });
        assert_eq!(server.post(&claim.to_string()).await.json()["device_label"], label);
    }
}

/// A claim, and the status and the kind of its error.
async fn refused_claims(world: &World) -> Vec<(String, u16, &'static str)> {
    let token = |token: &str| json!({ "bootstrap_token": token }).to_string();
    let with = |field: &str, value: &str| {
        let token = world.code().bootstrap_token;
        json!({ "bootstrap_token": token, field: value }).to_string()
    };
    let minute = Duration::from_secs(60);

    let expired = world.code();
    world.clock.advance(Duration::from_secs(60));
    let used = world.code();
    let redemption =
        nexo_pairing_core::Redemption::new(world.issuer.verify(&used.bootstrap_token).unwrap());
    world.store.redeem(redemption).await.unwrap();
    let cancelled = world.code();
    let done = world
        .store
        .cancel(&world.issuer.verify(&cancelled.bootstrap_token).unwrap(), &Actor::cli())
        .await
        .unwrap();
    assert_eq!(done, Cancellation::Cancelled);

    let stranger = SetupCodeIssuer::open_with(world.path("stranger.key"), {
        IssuerOptions::default().with_clock(world.clock.clone())
    });
    let strange = stranger.unwrap().issue("wss://x", "companion-v1", minute, None).unwrap();
    let good = world.code().bootstrap_token;
    let (claims, signature) = good.split_once('.').unwrap();
    let (other_claims, _) = strange.bootstrap_token.split_once('.').unwrap();
    let forged = format!("{other_claims}.{signature}");

    vec![
        (String::new(), 400, "malformed"),
        ("hello".into(), 400, "malformed"),
        ("[]".into(), 400, "malformed"),
        ("{}".into(), 400, "malformed"),
        (token(""), 400, "malformed"),
        (token(claims), 400, "malformed"),
        (token(&format!("{good} ")), 400, "malformed"),
        (with("claim_id", "short"), 400, "malformed"),
        (with("claim_id", "has spaces and is long enough"), 400, "malformed"),
        (with("device_label", "a\u{7}b"), 400, "malformed"),
        (with("device_label", &"x".repeat(129)), 400, "malformed"),
        (token(&forged), 401, "invalid_signature"),
        (token(&strange.bootstrap_token), 401, "invalid_signature"),
        (claim(&expired), 401, "expired"),
        (claim(&used), 409, "replayed"),
        (claim_with_id(&used), 409, "replayed"),
        (claim(&cancelled), 409, "cancelled"),
    ]
}

/// Resets the rate limit, however many claims failed.
fn forget_failures(clock: &ManualClock) {
    let now = nexo_pairing_core::Clock::now(clock);
    clock.advance(Duration::from_secs(60));
    clock.set(now);
}

#[tokio::test]
async fn every_error_of_a_request_has_its_status_and_its_kind() {
    let world = World::new().await;
    let server = world.serve().await;
    let claims = refused_claims(&world).await;
    let before = world.store.list_sessions(true).await.unwrap().len();
    for (claim, status, kind) in claims {
        forget_failures(&world.clock);
        let answer = server.post(&claim).await;
        assert_eq!(answer.error(), (status, kind.to_owned()), "{claim}");
        assert!(!answer.text("message").is_empty());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(world.store.list_sessions(true).await.unwrap().len(), before);
}

#[tokio::test]
async fn every_error_over_a_websocket_has_its_kind() {
    let world = World::new().await;
    let server = world.serve().await;
    for (claim, _, kind) in refused_claims(&world).await {
        forget_failures(&world.clock);
        let (answer, close) = server.websocket(&claim).await;
        let answer = answer.unwrap();
        assert_eq!((answer["error"].as_str(), close), (Some(kind), Some(1000)), "{claim}");
        assert!(answer["message"].is_string() && answer.get("session_token").is_none());
    }
}

#[tokio::test]
async fn a_claim_repeated_with_its_claim_id_gets_a_new_token_and_voids_the_previous_one() {
    let world = World::new().await;
    let server = world.serve().await;
    let claim = claim_with_id(&world.code());
    let (first, second) = (server.post(&claim).await, server.websocket(&claim).await.0.unwrap());
    assert_eq!(first.json()["session_id"], second["session_id"]);
    assert_eq!(server.session(&first.text("session_token")).await.status, 401);
    assert_eq!(server.session(second["session_token"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_request_that_is_not_a_claim_is_rejected() {
    let world = World::new().await;
    let server = world.serve().await;
    let claim = claim(&world.code());
    let text = [("Content-Type", "text/plain")];
    for (request, status, kind) in [
        (request("POST", "/pair", &[], &claim), 415, "not_json"),
        (request("POST", "/pair", &text, &claim), 415, "not_json"),
        (request("GET", "/pair", &[], ""), 426, "upgrade_required"),
        (request("PUT", "/pair", &[], &claim), 405, "method_not_allowed"),
        (request("POST", "/session", &[], ""), 405, "method_not_allowed"),
        (request("GET", "/session/renew", &[], ""), 405, "method_not_allowed"),
        (request("GET", "/", &[], ""), 404, "not_found"),
        (request("GET", "/metrics", &[], ""), 404, "not_found"),
        (request("GET", "/pair/", &[], ""), 404, "not_found"),
    ] {
        let answer = server.send(&request).await;
        assert_eq!(answer.error(), (status, kind.to_owned()), "{request}");
    }
    let answer = server.send(&request("PUT", "/session", &[], "")).await;
    assert_eq!(answer.header("allow"), Some("GET,HEAD,DELETE"));
    // The claim is still valid.
    let json = [("Content-Type", "Application/JSON; charset=utf-8")];
    assert_eq!(server.send(&request("POST", "/pair", &json, &claim)).await.status, 200);
}

#[tokio::test]
async fn a_web_page_may_claim_only_if_its_origin_is_allowed() {
    let world = World::new().await;
    let mut options = world.options();
    options.settings.allowed_origins = vec!["https://nexo.example.com".to_owned()];
    let server = Running::start(options).await;
    let claim = claim(&world.code());
    for origin in ["https://evil.example", "null"] {
        let upgrade = upgrade_with(&format!("Origin: {origin}\r\nConnection: close\r\n"));
        let answer = server.send(&upgrade).await;
        assert_eq!(answer.error(), (403, "origin_not_allowed".to_owned()));
        let post = post(&claim).replace("Host: x", &format!("Host: x\r\nOrigin: {origin}"));
        assert_eq!(server.send(&post).await.status, 403);
    }
    let post = post(&claim).replace("Host: x", "Host: x\r\nOrigin: https://nexo.example.com");
    assert_eq!(server.send(&post).await.status, 200);
}
