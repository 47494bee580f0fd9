//! How a server starts, reloads and shuts down.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nexo_pairing_core::SetupCode;
use nexo_pairing_server::{MetricsOptions, Server, ServerError};
use nexo_pairing_setup::SetupCodeIssuer;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::support::{
    Running, World, answer, bearer, claim, exchange, is_closed, post, request, upgrade,
};

#[tokio::test]
async fn a_shutdown_finishes_requests_in_progress_and_accepts_no_more() {
    let world = World::new().await;
    let mut server = world.serve().await;
    let mut idle = server.connect().await;
    let mut begun = server.connect().await;
    let claim = post(&claim(&world.code()));
    let (first, rest) = claim.split_at(claim.len() - 10);
    begun.write_all(first.as_bytes()).await.unwrap();
    // Answered only after the earlier connection was accepted.
    assert_eq!(server.send(&request("GET", "/healthz", &[], "")).await.status, 200);
    server.end();
    assert!(is_closed(&mut idle).await);
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
    begun.write_all(rest.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut begun).await.status, 200);
    timeout(Duration::from_secs(5), &mut server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_websocket_does_not_delay_a_shutdown() {
    let world = World::new().await;
    let mut options = world.options();
    options.handshake_timeout = Duration::from_millis(500);
    let mut server = Running::start(options).await;
    let mut stream = server.connect().await;
    stream.write_all(upgrade().as_bytes()).await.unwrap();
    assert_eq!(server.send(&request("GET", "/healthz", &[], "")).await.status, 200);
    server.end();
    timeout(Duration::from_secs(5), &mut server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_its_connections() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut idle = server.connect().await;
    // Answered only after the earlier connection was accepted.
    assert_eq!(server.send(&request("GET", "/healthz", &[], "")).await.status, 200);
    server.task.abort();
    assert!(is_closed(&mut idle).await);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut options = world.options();
    options.listen = server.address;
    let error = Server::bind(options).await.unwrap_err();
    assert!(matches!(error, ServerError::Listen { address, .. } if address == server.address));
    assert_eq!(error.to_string(), format!("failed to listen on {}", server.address));
}

#[tokio::test]
async fn metrics_are_served_at_their_own_address_only() {
    let world = World::new().await;
    let mut options = world.options();
    let listen = "127.0.0.1:0".parse().unwrap();
    options.metrics = Some(MetricsOptions::new(listen, || "pairing_things 1\n".to_owned()));
    let server = Server::bind(options).await.unwrap();
    let metrics = server.metrics_addr().unwrap();
    let server = Running::run(server);
    let ask = async |path: &str| {
        let stream = tokio::net::TcpStream::connect(metrics).await.unwrap();
        exchange(stream, &request("GET", path, &[], "")).await
    };
    let answer = ask("/metrics").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "pairing_things 1\n"));
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(ask("/session").await.status, 404);
    assert_eq!(server.send(&request("GET", "/metrics", &[], "")).await.status, 404);
}

fn issue(issuer: &SetupCodeIssuer) -> SetupCode {
    let minute = Duration::from_secs(60);
    issuer.issue("wss://nexo.example.com/pair", "companion-v1", minute, None).unwrap()
}

/// Claims a code of another process's issuer until it is accepted.
async fn is_taken_in_time(world: &World, server: &Running, code: &SetupCode) {
    let began = Instant::now();
    loop {
        let answer = server.post(&claim(code)).await;
        if answer.status == 200 {
            return;
        }
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(began.elapsed() < Duration::from_secs(2), "the new key was not read");
        // So that it is not throttled for its failures.
        world.clock.advance(Duration::from_millis(10));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test]
async fn a_key_rotated_by_another_process_is_known_within_two_seconds() {
    let world = World::new().await;
    let server = world.serve().await;
    let other = world.another_issuer();
    other.rotate().unwrap();
    is_taken_in_time(&world, &server, &issue(&other)).await;
}

#[tokio::test]
async fn a_key_that_cannot_be_read_leaves_the_previous_one_in_use() {
    let world = World::new().await;
    let server = world.serve().await;
    let code = world.code();
    let key = world.path("pairing.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(world.issuer.reload().is_err());
    assert_eq!(server.post(&claim(&code)).await.status, 200);
}

#[tokio::test]
async fn claims_are_rejected_for_now_while_the_store_is_overloaded() {
    let world = World::new().await;
    let server = world.serve().await;
    let token = server.post(&claim(&world.code())).await.text("session_token");
    let session = world.store.list_sessions(false).await.unwrap()[0].id.clone();
    let mut lock = Command::new("sqlite3");
    lock.args(["-batch", "-init", "/dev/null"]).arg(world.path("pairing.db"));
    let mut lock = lock.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    lock.stdin.as_mut().unwrap().write_all(b"BEGIN IMMEDIATE; SELECT 'held';\n").unwrap();
    let mut line = String::new();
    BufReader::new(lock.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();

    // As many as may wait, beside those that the writer has already taken.
    let mut waiting = Vec::new();
    loop {
        let mut touch = Box::pin(world.store.touch(&session, None));
        tokio::select! {
            biased;
            refused = &mut touch => {
                assert_eq!(refused.unwrap_err().kind(), "overloaded");
                if waiting.len() > 1024 {
                    break;
                }
            }
            () = tokio::task::yield_now() => waiting.push(touch),
        }
    }
    let claim = post(&claim(&world.code()));
    for request in [claim, bearer("POST", "/session/renew", &token)] {
        let answer = server.send(&request).await;
        assert_eq!(answer.error(), (503, "unavailable".to_owned()));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // A look-up needs no lock.
    assert_eq!(server.session(&token).await.status, 200);
    lock.kill().unwrap();
    lock.wait().unwrap();
    for touch in waiting {
        touch.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_without_its_store_is_not_healthy() {
    let world = World::new().await;
    let server = world.serve().await;
    let healthz = request("GET", "/healthz", &[], "");
    let answer = server.send(&healthz).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"ok"}"#));
    let token = server.post(&claim(&world.code())).await.text("session_token");
    let code = world.code();
    for name in ["pairing.db", "pairing.db-wal", "pairing.db-shm"] {
        fs::write(world.path(name), "this is no database").unwrap();
    }
    // The result is cached for a second.
    assert_eq!(server.send(&healthz).await.status, 200);
    world.clock.advance(Duration::from_secs(1));
    let answer = server.send(&healthz).await;
    assert_eq!(answer.error(), (503, "unavailable".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(server.session(&token).await.error(), (503, "unavailable".to_owned()));
    let answer = server.post(&claim(&code)).await;
    assert_eq!(answer.error(), (503, "unavailable".to_owned()));
    assert!(!answer.body.contains("database"), "{answer:?}");
}
