//! Claims by WebSocket.

use tungstenite::Message;

use super::*;

#[tokio::test]
async fn a_claim_is_sent_answered_and_the_socket_is_closed() {
    let gateway = Fake::new(vec![over_websocket(|socket| {
        socket.send(SESSION.into()).unwrap();
        assert!(socket.read().unwrap().is_close());
    })]);
    let code = gateway.code("ws");
    let session = claim_at_once(&code).await.unwrap();
    assert_eq!(session.token.as_str(), "session-token-1");
    assert_eq!(session.device_label.as_deref(), Some("phone"));
    let claim = gateway.claims().remove(0).unwrap();
    assert_eq!(claim["bootstrap_token"], code.bootstrap_token);
}

#[tokio::test]
async fn a_gateway_of_0_1_8_says_less() {
    let gateway = Fake::new(vec![saying(r#"{"session_token":"session-token-1"}"#)]);
    let session = claim_at_once(&gateway.code("ws")).await.unwrap();
    assert_eq!(session.token.as_str(), "session-token-1");
    assert_eq!((session.profile, session.expires_at), (None, None));
    let gateway = Fake::new(vec![saying(r#"{"error":"token replayed, or so"}"#)]);
    let (kind, text) = refusal(&gateway.code("ws")).await;
    assert!(kind == "refused" && text.contains("token replayed, or so"), "{text}");
}

#[tokio::test]
async fn a_replay_is_reported_as_such() {
    let gateway = Fake::new(vec![saying(
        r#"{"error":"replayed","message":"the setup code was already used"}"#,
    )]);
    let error = claim_at_once(&gateway.code("ws")).await.err().unwrap();
    assert_eq!(error.kind(), "replayed");
    assert!(error.to_string().ends_with("the setup code was already used"), "{error}");
    assert!(matches!(error, ClientError::Refused { refusal: Refusal::Replayed, .. }), "{error:?}");
}

#[tokio::test]
async fn a_refusal_before_the_websocket_is_read() {
    let gateway = Fake::new(vec![Box::new(|mut stream| {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            text.push(byte[0]);
        }
        let body = r#"{"error":"throttled","message":"wait","retry_after":7}"#;
        let length = body.len();
        let answer = format!("HTTP/1.1 429 No\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).unwrap();
        None
    })]);
    assert_eq!(refusal(&gateway.code("ws")).await.0, "throttled");
}

#[tokio::test]
async fn a_fragmented_answer_is_reassembled() {
    let gateway = Fake::new(vec![over_websocket(|socket| {
        let (first, rest) = SESSION.split_at(20);
        let stream = socket.get_mut();
        stream.write_all(&[0x01, 20]).unwrap();
        stream.write_all(first.as_bytes()).unwrap();
        stream.write_all(&[0x8a, 0, 0x89, 2, b'h', b'i']).unwrap();
        stream.write_all(&[0x80, u8::try_from(rest.len()).unwrap()]).unwrap();
        stream.write_all(rest.as_bytes()).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong("hi".into()));
    })]);
    assert_eq!(claim_at_once(&gateway.code("ws")).await.unwrap().token.as_str(), "session-token-1");
}

#[tokio::test]
async fn invalid_frames_are_refused() {
    let large = vec![b' '; MAX_ANSWER_BYTES + 1];
    let pieces = [&[0x01, 126, 0x10, 0][..], &large[1..], &[0x80, 1, b' ']].concat();
    for (frames, expected) in [
        ([&[0x81, 126, 0x10, 1][..], &large].concat(), "more than 4096 bytes"),
        (pieces, "more than 4096 bytes"),
        (vec![0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "more than 4096 bytes"),
        (vec![0x82, 2, b'{', b'}'], "binary"),
        (vec![0x80, 2, b'{', b'}'], "WebSocket frames are invalid"),
        (vec![0x01, 1, b'{', 0x81, 1, b'}'], "WebSocket frames are invalid"),
        (vec![0x83, 0], "WebSocket frames are invalid"),
        (vec![0xc1, 2, b'{', b'}'], "WebSocket frames are invalid"),
        (vec![0x81, 0x82, 0, 0, 0, 0, b'{', b'}'], "WebSocket frames are invalid"),
        (vec![0x09, 0], "WebSocket frames are invalid"),
        (vec![0x89, 126, 0, 126], "WebSocket frames are invalid"),
        (vec![0x81, 2, 0xff, 0xfe], "WebSocket frames are invalid"),
        (vec![0x81, 2, b'{', b'['], "not the JSON"),
    ] {
        let gateway = Fake::new(vec![over_websocket(move |socket| {
            socket.get_mut().write_all(&frames).unwrap();
            // Until the client has closed the connection.
            let _ = socket.read();
        })]);
        let (kind, text) = refusal(&gateway.code("ws")).await;
        assert!(kind == "bad_answer" && text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test]
async fn a_wrong_accept_key_is_refused() {
    let gateway = Fake::new(vec![Box::new(|mut stream| {
        stream.read_exact(&mut [0; 16]).unwrap();
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            )
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        None
    })]);
    let (kind, text) = refusal(&gateway.code("ws")).await;
    assert!(kind == "bad_answer" && text.contains("handshake"), "{text}");
}
