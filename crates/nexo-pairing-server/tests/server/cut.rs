//! A claim interrupted at any byte leaves no session, or one that its claim id gets again.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Running, World, claim, claim_with_id, frame, post, upgrade};

/// Repeats an interrupted claim; there must be exactly one session for it.
async fn is_had_again(world: &World, server: &Running, claim: &str, sessions: usize, cut: usize) {
    // A peer that repeats a claim more than ten times a minute is throttled.
    world.clock.advance(std::time::Duration::from_secs(10));
    let answer = server.post(claim).await;
    assert_eq!(answer.status, 200, "cut at {cut}: {answer:?}");
    assert_eq!(server.session(&answer.text("session_token")).await.status, 200, "cut at {cut}");
    assert_eq!(world.live_sessions().await, sessions, "cut at {cut}");
}

/// Sends only the first bytes of a request, for each number of them.
async fn cut_what_is_sent(request: impl Fn(&str) -> Vec<u8>) {
    let world = World::new().await;
    let server = world.serve().await;
    let length = request(&claim_with_id(&world.code())).len();
    for cut in 0..=length {
        let claim = claim_with_id(&world.code());
        let mut stream = server.connect().await;
        stream.write_all(&request(&claim)[..cut]).await.unwrap();
        drop(stream);
        is_had_again(&world, &server, &claim, cut + 1, cut).await;
    }
}

/// Reads only the first bytes of a response, for each number of them.
async fn cut_what_comes_back(request: impl Fn(&str) -> Vec<u8>) {
    let world = World::new().await;
    let server = world.serve().await;
    for cut in 0.. {
        let claim = claim_with_id(&world.code());
        let mut stream = server.connect().await;
        stream.write_all(&request(&claim)).await.unwrap();
        let is_whole = stream.read_exact(&mut vec![0; cut]).await.is_err();
        drop(stream);
        is_had_again(&world, &server, &claim, cut + 1, cut).await;
        if is_whole {
            assert!(cut > 100, "there was no answer");
            break;
        }
    }
}

fn by_post(claim: &str) -> Vec<u8> {
    post(claim).into_bytes()
}

fn by_websocket(claim: &str) -> Vec<u8> {
    let goodbye = frame(0x88, &1000_u16.to_be_bytes());
    [upgrade().into_bytes(), frame(0x81, claim.as_bytes()), goodbye].concat()
}

#[tokio::test]
async fn an_interrupted_request_loses_nothing() {
    cut_what_is_sent(by_post).await;
}

#[tokio::test]
async fn an_interrupted_websocket_loses_nothing() {
    cut_what_is_sent(by_websocket).await;
}

#[tokio::test]
async fn an_interrupted_response_can_be_repeated() {
    cut_what_comes_back(by_post).await;
}

#[tokio::test]
async fn an_interrupted_reply_over_a_websocket_can_be_repeated() {
    cut_what_comes_back(by_websocket).await;
}

#[tokio::test]
async fn an_interrupted_claim_without_a_claim_id_gives_at_most_one_session() {
    let world = World::new().await;
    let server = world.serve().await;
    let without = claim(&world.code());
    let mut stream = server.connect().await;
    stream.write_all(post(&without).as_bytes()).await.unwrap();
    stream.read_u8().await.unwrap();
    drop(stream);
    let again = server.post(&without).await;
    assert_eq!(again.error(), (409, "replayed".to_owned()));
    assert_eq!(world.live_sessions().await, 0);
}
