//! Limits against malicious clients.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Answer, Running, World, answer, claim, connect_from, exchange, frame, is_closed, post, request,
    take_all_files, upgrade, websocket_answer, websocket_frames,
};

/// Short, so that tests are fast; long enough for a slow machine.
const PATIENCE: Duration = Duration::from_millis(500);

async fn impatient(world: &World) -> Running {
    let mut options = world.options();
    options.handshake_timeout = PATIENCE;
    options.idle_timeout = PATIENCE;
    Running::start(options).await
}

#[tokio::test]
async fn a_silent_client_is_dropped_in_time() {
    let world = World::new().await;
    let server = impatient(&world).await;
    let (began, mut stream) = (Instant::now(), server.connect().await);
    assert!(is_closed(&mut stream).await);
    assert!(began.elapsed() >= PATIENCE - Duration::from_millis(50));
}

#[tokio::test]
async fn headers_sent_one_byte_at_a_time_are_dropped_in_time() {
    let world = World::new().await;
    let server = impatient(&world).await;
    let (began, mut stream) = (Instant::now(), server.connect().await);
    for byte in "GET /session HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat(b'x')) {
        if stream.write_u8(byte).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(began.elapsed() < 20 * PATIENCE);
    }
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn a_claim_that_does_not_arrive_times_out() {
    let world = World::new().await;
    let server = impatient(&world).await;
    let claim = post(&claim(&world.code()));
    let cut = exchange(server.connect().await, &claim[..claim.len() - 1]).await;
    assert_eq!(cut.error(), (408, "timeout".to_owned()));

    let mut stream = server.connect().await;
    stream.write_all(upgrade().as_bytes()).await.unwrap();
    let (told, close) = websocket_answer(&mut stream).await;
    assert_eq!((told.unwrap()["error"].as_str(), close), (Some("timeout"), Some(1008)));
}

#[tokio::test]
async fn a_connection_serves_several_requests_and_is_dropped_when_idle() {
    let world = World::new().await;
    let server = impatient(&world).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        let healthz = request("GET", "/healthz", &[], "").replace("Connection: close\r\n", "");
        stream.write_all(healthz.as_bytes()).await.unwrap();
    }
    let answers = answer(&mut stream).await;
    assert_eq!(answers.status, 200);
    assert_eq!(answers.body.matches("HTTP/1.1 200").count(), 1, "{answers:?}");
}

#[tokio::test]
async fn oversized_requests_are_rejected() {
    let world = World::new().await;
    let server = world.serve().await;
    let token = world.code().bootstrap_token;
    let claim = |length: usize| {
        let claim = serde_json::json!({ "bootstrap_token": token, "x": "" }).to_string();
        claim.replace("\"\"", &format!("\"{}\"", "x".repeat(length - claim.len())))
    };
    let too_large = (413, "too_large".to_owned());
    assert_eq!(server.post(&claim(4097)).await.error(), too_large);
    assert_eq!(server.post(&claim(60_000)).await.error(), too_large);
    let chunked = "POST /pair HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                   Transfer-Encoding: chunked\r\n\r\n"
        .to_owned();
    let body = format!("1001\r\n{}\r\n0\r\n\r\n", claim(4097));
    assert_eq!(server.send(&(chunked + &body)).await.error(), too_large);
    for sent in [
        frame(0x81, claim(4097).as_bytes()),
        [frame(0x01, &[b'x'; 4096]), frame(0x80, b"x")].concat(),
        [0x81, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff].into(), // only announced
    ] {
        let told = frames(&server, &[sent]).await;
        assert_eq!(told, (Some("too_large".to_owned()), Some(1009)));
    }
    let head = request("GET", "/session", &[("X", &"x".repeat(20_000))], "");
    assert_eq!(server.send(&head).await.status, 431);
    let head = request("GET", "/session", &[("X", "x"); 99], "");
    assert_eq!(server.send(&head).await.status, 431);
    let head = request("GET", "/session", &[("X", "x"); 98], "");
    assert_eq!(server.send(&head).await.status, 401);
    // The largest allowed.
    assert_eq!(server.post(&claim(4096)).await.status, 200);
}

#[tokio::test]
async fn a_request_that_is_not_http_1_is_rejected_and_the_preface_of_http_2_is_not_answered() {
    let world = World::new().await;
    let server = world.serve().await;
    for sent in ["hello\r\n\r\n", "GET /healthz HTTP/2.0\r\n\r\n", "\0\0\0\0\r\n\r\n"] {
        let answer = server.send(sent).await;
        assert_eq!((answer.status, answer.body.as_str()), (400, ""), "{sent:?}");
    }
    let mut stream = server.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The client sends more than is read, so the connection may be reset.
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
}

/// Sends frames and returns the reply.
async fn frames(server: &Running, frames: &[Vec<u8>]) -> (Option<String>, Option<u16>) {
    let mut stream = server.connect().await;
    stream.write_all(&[upgrade().into_bytes(), frames.concat()].concat()).await.unwrap();
    let (told, close) = websocket_answer(&mut stream).await;
    let told = told.map(|told| told["error"].as_str().unwrap_or("none").to_owned());
    (told, close)
}

#[tokio::test]
async fn a_claim_may_arrive_in_fragments_with_pings_between_them() {
    let world = World::new().await;
    let server = world.serve().await;
    let claim = claim(&world.code());
    let (first, rest) = claim.split_at(40);
    let (second, third) = rest.split_at(1);
    let parts = [
        frame(0x89, b"are you there"),
        frame(0x01, first.as_bytes()),
        frame(0x00, second.as_bytes()),
        frame(0x8a, b""),
        frame(0x80, third.as_bytes()),
    ];
    assert_eq!(frames(&server, &parts).await, (Some("none".to_owned()), Some(1000)));
}

#[tokio::test]
async fn frames_that_are_not_a_claim_close_the_websocket() {
    let world = World::new().await;
    let server = world.serve().await;
    let malformed = Some("malformed".to_owned());
    let protocol = (None, Some(1002));
    let binary = [frame(0x82, claim(&world.code()).as_bytes())];
    assert_eq!(frames(&server, &binary).await, (malformed.clone(), Some(1003)));
    assert_eq!(frames(&server, &[frame(0x81, b"\xff")]).await, (malformed.clone(), Some(1007)));
    let many = 8192 / frame(0x00, b"").len() + 1;
    let pings = vec![frame(0x89, b""); many];
    assert_eq!(frames(&server, &pings).await, (malformed.clone(), Some(1008)));
    let crumbs = [vec![frame(0x01, b"")], vec![frame(0x00, b""); many]].concat();
    assert_eq!(frames(&server, &crumbs).await, (malformed, Some(1008)));
    for wrong in [
        frame(0x80, b"x"),                               // goes on, but nothing began
        [frame(0x01, b"x"), frame(0x81, b"x")].concat(), // begins again
        [0x81, 1, b'x'].into(),                          // not masked
        frame(0xc1, b"x"),                               // compressed
        frame(0x83, b"x"),                               // of no kind
    ] {
        assert_eq!(frames(&server, &[wrong]).await, protocol);
    }
    // A close frame is answered with a close frame.
    let goodbye = frame(0x88, &1001_u16.to_be_bytes());
    assert_eq!(frames(&server, &[goodbye]).await, (None, Some(1001)));
    assert_eq!(world.live_sessions().await, 0);
}

#[tokio::test]
async fn a_slow_claim_in_time_is_accepted() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut stream = server.connect().await;
    let sent = [upgrade().into_bytes(), frame(0x81, claim(&world.code()).as_bytes())].concat();
    for byte in sent {
        stream.write_u8(byte).await.unwrap();
        stream.flush().await.unwrap();
    }
    let (told, close) = websocket_answer(&mut stream).await;
    assert!(told.unwrap()["session_token"].is_string());
    assert_eq!(close, Some(1000));
    assert_eq!(websocket_frames(&mut stream).await, (None, None));
}

#[tokio::test]
async fn the_oldest_idle_connection_is_evicted() {
    let world = World::new().await;
    let mut options = world.options();
    options.max_connections = 3;
    let server = Running::start(options).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(server.connect().await);
    }
    assert_eq!(server.post(&claim(&world.code())).await.status, 200);
    assert!(is_closed(&mut idle[0]).await);
    // The others are still there.
    for stream in idle.drain(1..) {
        let answer: Answer = exchange(stream, &request("GET", "/healthz", &[], "")).await;
        assert_eq!(answer.status, 200);
    }
}

/// The connections would stay open for the whole test, so the client does not wait for them.
#[tokio::test]
async fn a_good_client_is_answered_despite_two_thousand_idle_connections() {
    take_all_files();
    let world = World::new().await;
    let mut options = world.options();
    options.handshake_timeout = Duration::from_secs(60 * 60);
    let handshake_timeout = options.handshake_timeout;
    let server = Running::start(options).await;
    let mut idle: Vec<TcpStream> = Vec::new();
    for number in 0..2000 {
        idle.push(connect_from("127.0.0.2", server.address).await);
        if number % 500 == 499 {
            assert_eq!(server.post(&claim(&world.code())).await.status, 200, "{number}");
        }
    }
    tokio::time::pause();
    tokio::time::advance(handshake_timeout).await;
    for stream in &mut idle {
        assert!(is_closed(stream).await);
    }
}

#[tokio::test]
async fn a_websocket_that_does_not_close_holds_no_slot_that_another_client_needs() {
    let world = World::new().await;
    let mut options = world.options();
    options.max_connections = 2;
    let server = Running::start(options).await;
    let mut lingering = Vec::new();
    for source in ["127.0.0.2", "127.0.0.3"] {
        let mut stream = connect_from(source, server.address).await;
        let claim = frame(0x81, b"no claim");
        stream.write_all(&[upgrade().into_bytes(), claim].concat()).await.unwrap();
        let mut answer = Vec::new();
        // Up to the server's close frame, which is not answered.
        while !answer.ends_with(&[0x88, 2, 0x03, 0xe8]) {
            answer.push(stream.read_u8().await.unwrap());
        }
        lingering.push(stream);
    }
    for _ in 0..10 {
        assert_eq!(server.post(&claim(&world.code())).await.status, 200);
    }
}
