//! Lost answers.

use super::*;

/// Closes the connection at once.
fn hanging_up() -> Serve {
    Box::new(|_| None)
}

#[tokio::test]
async fn a_claim_that_is_cut_off_anywhere_is_repeated_unchanged() {
    let half = |text: &str| text.as_bytes()[..text.len() / 2].to_vec();
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{SESSION}", SESSION.len());
    let by_websocket: Vec<Serve> = vec![
        hanging_up(),
        over_websocket(|_| {}),
        over_websocket(|socket| socket.get_mut().write_all(&[0x81]).unwrap()),
        over_websocket(|socket| socket.get_mut().write_all(&[0x81, 9, b'{', b'"']).unwrap()),
        saying(SESSION),
    ];
    let over_http: Vec<Serve> = vec![
        hanging_up(),
        over_http(""),
        over_http(half("HTTP/1.1 200 OK\r\n")),
        over_http(whole.as_bytes()[..whole.len() - 1].to_vec()),
        over_http(whole),
    ];
    for (scheme, connections) in [("ws", by_websocket), ("http", over_http)] {
        let gateway = Fake::new(connections);
        let session = claim_at_once(&gateway.code(scheme)).await.unwrap();
        assert_eq!(session.token.as_str(), "session-token-1");
        let claims: Vec<Value> = gateway.claims().into_iter().flatten().collect();
        assert_eq!(claims.len(), 4, "{scheme}");
        assert!(claims.iter().all(|claim| claim == &claims[0]), "{scheme}");
    }
}

#[tokio::test]
async fn a_claim_is_repeated_when_the_gateway_is_busy_or_closes_the_socket() {
    let unavailable = r#"{"error":"unavailable","message":"not now","retry_after":1}"#;
    let gateway = Fake::new(vec![
        saying(unavailable),
        over_websocket(|socket| socket.close(None).unwrap()),
        saying(SESSION),
    ]);
    assert!(claim_at_once(&gateway.code("ws")).await.is_ok());
    let body = format!("HTTP/1.1 503 No\r\nContent-Length: {}\r\n\r\n", unavailable.len());
    let gateway = Fake::new(vec![
        over_http(body + unavailable),
        over_http("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        over_http(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{SESSION}", SESSION.len())),
    ]);
    assert!(claim_at_once(&gateway.code("http")).await.is_ok());
}

#[tokio::test]
async fn after_the_last_retry_the_answer_is_lost() {
    // Of five attempts, the last finds no gateway.
    let hang_up = || over_websocket(|_| {});
    let gateway = Fake::new(vec![hang_up(), hang_up(), hang_up(), hang_up()]);
    let error = claim_at_once(&gateway.code("ws")).await.err().unwrap();
    assert!(matches!(error, ClientError::Lost { .. }), "{error:?}");
    assert_eq!(error.kind(), "unreachable");
    assert_eq!(gateway.claims().len(), 4);
}

#[tokio::test]
async fn an_expired_code_is_not_repeated() {
    let gateway = Fake::new(vec![over_websocket(|_| {})]);
    let mut code = gateway.code("ws");
    code.expires_at = OffsetDateTime::UNIX_EPOCH;
    let error = claim_at_once(&code).await.err().unwrap();
    assert!(matches!(error, ClientError::Lost { .. }), "{error:?}");
    assert_eq!(gateway.claims().len(), 1);
}
