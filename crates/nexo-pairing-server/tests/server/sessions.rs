//! Sessions over HTTP.

use std::sync::Arc;
use std::time::Duration;

use nexo_pairing_core::{Actor, SessionBackend, SessionId};
use nexo_pairing_engine::EngineOptions;
use nexo_pairing_memory::open_memory;
use nexo_pairing_server::Settings;
use serde_json::json;

use crate::support::{Running, World, bearer, claim, request};

#[tokio::test]
async fn a_server_works_with_a_store_in_memory() {
    let world = World::new().await;
    let engine = EngineOptions::default().with_clock(world.clock.clone());
    let store = open_memory(engine);
    let mut options = world.options();
    options.backend = Arc::new(store.clone());
    let server = Running::start(options).await;
    let code = world.code();
    let token = server.post(&claim(&code)).await.text("session_token");
    assert_eq!(server.session(&token).await.text("device_label"), "Ana's phone");
    assert_eq!(server.send(&bearer("POST", "/session/renew", &token)).await.status, 200);
    assert_eq!(server.send(&request("GET", "/healthz", &[], "")).await.status, 200);
    assert_eq!(store.list_sessions(false).await.unwrap().len(), 1);
    assert_eq!(world.live_sessions().await, 0, "none of it is in the file");
    // Another client has the code, too.
    assert_eq!(server.post(&claim(&code)).await.error(), (409, "replayed".to_owned()));
    assert_eq!(server.session(&token).await.status, 401);
}

async fn token(world: &World, server: &Running) -> String {
    server.post(&claim(&world.code())).await.text("session_token")
}

#[tokio::test]
async fn a_session_is_described_in_the_body_and_in_headers() {
    let world = World::new().await;
    let server = world.serve().await;
    let code = world.code_for(Some("Ana's télefono 📱"));
    let claimed = server.post(&claim(&code)).await;
    let answer = server.session(&claimed.text("session_token")).await;
    assert_eq!(answer.status, 200);
    let mut expected = claimed.json();
    expected.as_object_mut().unwrap().remove("session_token");
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.header("x-pairing-session"), expected["session_id"].as_str());
    assert_eq!(answer.header("x-pairing-profile"), Some("companion-v1"));
    let label = "Ana%27s%20t%C3%A9lefono%20%F0%9F%93%B1";
    assert_eq!(answer.header("x-pairing-device-label"), Some(label));
    assert_eq!(answer.header("x-pairing-expires-at"), Some("2027-01-16T08:00:00Z"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn without_a_label_its_header_is_empty_and_overwrites_the_clients_own() {
    let world = World::new().await;
    let server = world.serve().await;
    let claimed = server.post(&claim(&world.code_for(None))).await;
    let answer = server.session(&claimed.text("session_token")).await;
    assert_eq!(answer.header("x-pairing-device-label"), Some(""));
    assert_eq!(answer.json()["device_label"], json!(null));
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let world = World::new().await;
    let server = world.serve().await;
    let token = token(&world, &server).await;
    let answer = server.send(&bearer("HEAD", "/session", &token)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("x-pairing-profile"), Some("companion-v1"));
    assert_eq!(server.send(&bearer("HEAD", "/session", "no-such-token")).await.status, 401);
}

#[tokio::test]
async fn a_request_without_a_live_session_is_unauthorized() {
    let world = World::new().await;
    let server = world.serve().await;
    for (method, path) in [("GET", "/session"), ("POST", "/session/renew"), ("DELETE", "/session")]
    {
        let answer = server.send(&request(method, path, &[], "")).await;
        assert_eq!(answer.error(), (401, "no_session".to_owned()), "{method} {path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        for wrong in ["no-such-token", "x", &"x".repeat(300)] {
            let answer = server.send(&bearer(method, path, wrong)).await;
            assert_eq!(answer.error(), (401, "no_session".to_owned()), "{method} {path} {wrong}");
            let told = answer.header("www-authenticate");
            assert_eq!(told, Some("Bearer error=\"invalid_token\""));
            assert_eq!(answer.header("x-pairing-session"), None);
        }
    }
}

#[tokio::test]
async fn a_session_ends_when_it_expires() {
    let world = World::new().await;
    let server = world.serve().await;
    let token = token(&world, &server).await;
    world.clock.advance(Duration::from_hours(24) - Duration::from_secs(1));
    assert_eq!(server.session(&token).await.status, 200);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(server.session(&token).await.status, 401);
}

#[tokio::test]
async fn a_session_is_renewed_up_to_its_end() {
    let world = World::new().await;
    let settings = Settings::default()
        .with_session_ttl(Duration::from_secs(3600))
        .with_renew_for(Duration::from_secs(2 * 3600));
    let server = world.serve().await;
    server.handle.set(settings);
    let token = token(&world, &server).await;
    let renew = bearer("POST", "/session/renew", &token);
    for (minutes, expires_at) in [(30, "2027-01-15T09:30:00Z"), (50, "2027-01-15T10:00:00Z")] {
        world.clock.advance(Duration::from_mins(minutes));
        let answer = server.send(&renew).await;
        assert_eq!((answer.status, answer.text("expires_at").as_str()), (200, expires_at));
        assert_eq!(answer.header("x-pairing-expires-at"), Some(expires_at));
    }
    world.clock.advance(Duration::from_mins(40));
    assert_eq!(server.send(&renew).await.status, 401);
}

#[tokio::test]
async fn a_device_logs_out_once() {
    let world = World::new().await;
    let server = world.serve().await;
    let token = token(&world, &server).await;
    let end = bearer("DELETE", "/session", &token);
    let answer = server.send(&end).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(server.session(&token).await.status, 401);
    assert_eq!(server.send(&end).await.status, 401);
}

#[tokio::test]
async fn a_session_revoked_by_another_process_is_rejected_with_the_next_request() {
    let world = World::new().await;
    let (first, store) = (world.serve().await, world.another_store().await);
    let mut options = world.options();
    options.backend = Arc::new(world.another_store().await);
    let second = Running::start(options).await;
    let token = token(&world, &first).await;
    let answer = second.session(&token).await;
    assert_eq!(answer.status, 200);
    let id = SessionId::parse(&answer.text("session_id")).unwrap();
    store.revoke_session(&id, &Actor::cli()).await.unwrap().unwrap();
    assert_eq!(first.session(&token).await.status, 401);
    assert_eq!(second.session(&token).await.status, 401);
}

#[tokio::test]
async fn a_device_is_recorded_as_seen() {
    let world = World::new().await;
    let server = world.serve().await;
    let token = token(&world, &server).await;
    for _ in 0..3 {
        assert_eq!(server.session(&token).await.status, 200);
    }
    // Writes of devices run one after the other, so this one comes last.
    let renewed = server.send(&bearer("POST", "/session/renew", &token)).await;
    assert_eq!(renewed.status, 200);
    let seen = world.store.list_sessions(false).await.unwrap()[0].last_seen_at.unwrap();
    assert_eq!(seen.unix_timestamp(), 1_800_000_000);
}
