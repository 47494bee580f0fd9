//! Rate limits, and the peer that they apply to.

use std::net::IpAddr;
use std::time::Duration;

use nexo_pairing_core::{PeerAddress, SessionToken};
use nexo_pairing_server::Settings;

use crate::support::{
    Answer, Running, World, bearer, claim, claim_with_id, connect_from, exchange, frame, post,
    read_head, upgrade, websocket_frames,
};
use tokio::io::AsyncWriteExt;

const BAD: &str = r#"{"bootstrap_token":"nonsense.nonsense"}"#;

async fn fail(server: &Running, times: usize) {
    for _ in 0..times {
        assert_eq!(server.post(BAD).await.status, 400);
    }
}

async fn from(source: &str, server: &Running, claim: &str) -> Answer {
    exchange(connect_from(source, server.address).await, &post(claim)).await
}

#[tokio::test]
async fn a_peer_waits_after_ten_failures_and_no_other_does() {
    let world = World::new().await;
    let server = world.serve().await;
    fail(&server, 10).await;
    let good = claim(&world.code());
    let answer = server.post(&good).await;
    assert_eq!(answer.error(), (429, "throttled".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(answer.json()["retry_after"], 60);
    // A WebSocket handshake is rejected as well.
    let upgrade = upgrade().replace("Connection: Upgrade", "Connection: Upgrade, close");
    assert_eq!(server.send(&upgrade).await.status, 429);
    assert_eq!(from("127.0.0.2", &server, &good).await.status, 200);

    let later = world.code();
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(server.post(&claim(&later)).await.header("retry-after"), Some("1"));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(server.post(&claim(&world.code())).await.status, 200);
}

#[tokio::test]
async fn a_websocket_opened_before_is_throttled_too() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut stream = server.connect().await;
    stream.write_all(upgrade().as_bytes()).await.unwrap();
    read_head(&mut stream).await;
    fail(&server, 10).await;
    stream.write_all(&frame(0x81, claim(&world.code()).as_bytes())).await.unwrap();
    let (told, close) = websocket_frames(&mut stream).await;
    let told = told.unwrap();
    assert_eq!((told["error"].as_str(), close), (Some("throttled"), Some(1000)));
    assert_eq!(told["retry_after"], 60);
    assert_eq!(world.live_sessions().await, 0);
}

#[tokio::test]
async fn a_peer_that_repeats_its_claim_too_often_waits_too() {
    let world = World::new().await;
    let server = world.serve().await;
    let claim = claim_with_id(&world.code());
    // The first claim gives the session, ten more give it again.
    for number in 0..11 {
        assert_eq!(server.post(&claim).await.status, 200, "{number}");
    }
    assert_eq!(server.post(&claim).await.error(), (429, "throttled".to_owned()));
    assert_eq!(world.live_sessions().await, 1);
}

#[tokio::test]
async fn a_throttled_peer_can_still_check_sessions() {
    let world = World::new().await;
    let server = world.serve().await;
    let token = server.post(&claim(&world.code())).await.text("session_token");
    fail(&server, 10).await;
    assert_eq!(server.session(&token).await.status, 200);
}

fn forwarded(claim: &str, by: &str) -> String {
    post(claim).replace("Host: x", &format!("Host: x\r\nX-Forwarded-For: {by}"))
}

#[tokio::test]
async fn the_clients_of_a_trusted_proxy_are_distinguished() {
    let world = World::new().await;
    let server = world.serve().await;
    let settings = Settings::default().with_trusted_proxies(vec!["127.0.0.0/8".parse().unwrap()]);
    server.handle.set(settings);
    for number in 0..10 {
        // Entries before the last address can be forged by the client.
        let answer = server.send(&forwarded(BAD, &format!("10.0.0.{number}, 192.0.2.1"))).await;
        assert_eq!(answer.status, 400);
    }
    let good = claim(&world.code());
    assert_eq!(server.send(&forwarded(&good, "192.0.2.2, 192.0.2.1")).await.status, 429);
    assert_eq!(server.send(&forwarded(&good, "192.0.2.1, 192.0.2.2")).await.status, 200);
}

#[tokio::test]
async fn an_untrusted_client_cannot_name_another() {
    let world = World::new().await;
    let server = world.serve().await;
    for number in 0..10 {
        server.send(&forwarded(BAD, &format!("192.0.2.{number}"))).await;
    }
    let good = claim(&world.code());
    assert_eq!(server.send(&forwarded(&good, "192.0.2.100")).await.status, 429);
}

#[tokio::test]
async fn claims_and_sessions_store_the_address_of_their_client() {
    let world = World::new().await;
    let server = world.serve().await;
    // The proxy is 127.0.0.1; no other client may name another one.
    let settings = Settings::default().with_trusted_proxies(vec!["127.0.0.1".parse().unwrap()]);
    server.handle.set(settings);
    let from = async |source: &str, request: &str, by: &str| {
        let header = format!("Host: x\r\nX-Forwarded-For: {by}");
        let stream = connect_from(source, server.address).await;
        exchange(stream, &request.replace("Host: x", &header)).await
    };
    let peers = async |token: &str| {
        // After the writes of the earlier requests.
        let ttl = Duration::from_secs(60);
        let token = SessionToken::parse(token).unwrap();
        let session = world.store.renew_session(&token, ttl).await.unwrap().unwrap();
        [session.claim_peer, session.last_peer].map(|peer| peer.map(PeerAddress::ip))
    };
    let [client, other, direct]: [IpAddr; 3] =
        ["192.0.2.1", "2001:db8::1", "127.0.0.2"].map(|address| address.parse().unwrap());

    let claimed = from("127.0.0.1", &post(&claim(&world.code())), "192.0.2.1").await;
    let token = claimed.text("session_token");
    assert_eq!(peers(&token).await, [Some(client), None]);
    from("127.0.0.1", &bearer("GET", "/session", &token), "198.51.100.7, 2001:db8::1").await;
    assert_eq!(peers(&token).await, [Some(client), Some(other)]);
    world.clock.advance(Duration::from_mins(1));
    from("127.0.0.2", &bearer("POST", "/session/renew", &token), "192.0.2.1").await;
    assert_eq!(peers(&token).await, [Some(client), Some(direct)]);

    let claimed = from("127.0.0.2", &post(&claim(&world.code())), "192.0.2.1").await;
    assert_eq!(peers(&claimed.text("session_token")).await, [Some(direct), None]);
}
