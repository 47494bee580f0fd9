//! Claims over HTTP.

use super::*;

fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_claim_is_posted_and_answered() {
    let gateway = Fake::new(vec![over_http(response("200 OK", SESSION))]);
    let code = gateway.code("http");
    let session = claim_at_once(&code).await.unwrap();
    assert_eq!(session.token.as_str(), "session-token-1");
    assert_eq!(session.profile.as_deref(), Some("companion-v1"));
    assert_eq!(session.expires_at.map(OffsetDateTime::unix_timestamp), Some(1_893_553_445));
    let claim = gateway.claims().remove(0).unwrap();
    assert_eq!(claim["bootstrap_token"], code.bootstrap_token);
    assert_eq!(claim["device_label"], "phone");
}

#[tokio::test]
async fn a_refusal_keeps_its_kind() {
    for (status, body, kind, text) in [
        ("401 Unauthorized", r#"{"error":"invalid_signature"}"#, "invalid_signature", ""),
        ("401 Unauthorized", r#"{"error":"expired","message":"too late"}"#, "expired", "too late"),
        ("409 Conflict", r#"{"error":"replayed"}"#, "replayed", ""),
        ("409 Conflict", r#"{"error":"cancelled"}"#, "cancelled", ""),
        ("429 Too Many Requests", r#"{"error":"throttled","retry_after":7}"#, "throttled", ""),
        ("400 Bad Request", r#"{"error":"malformed"}"#, "malformed", ""),
        ("200 OK", r#"{"error":"bad token\u001b[2J"}"#, "refused", "bad token\\u{1b}[2J"),
    ] {
        let gateway = Fake::new(vec![over_http(response(status, body))]);
        let error = claim_at_once(&gateway.code("http")).await.err().unwrap();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_may_have_a_retry_time() {
    for (retry_after, expected) in [("7", Some(7)), ("\"7\"", None), ("-1", None), ("null", None)] {
        let body = format!(r#"{{"error":"throttled","retry_after":{retry_after}}}"#);
        let gateway = Fake::new(vec![over_http(response("429 Too Many Requests", &body))]);
        let error = claim_at_once(&gateway.code("http")).await.err().unwrap();
        let ClientError::Refused { refusal, retry_after, .. } = error else { panic!("{error:?}") };
        let expected = (Refusal::Throttled, expected.map(Duration::from_secs));
        assert_eq!((refusal, retry_after), expected);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_a_gateways_is_reported() {
    let long = response("200 OK", &" ".repeat(MAX_ANSWER_BYTES + 1));
    let chunk = " ".repeat(MAX_ANSWER_BYTES);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n{chunk}\r\n1\r\n \r\n0\r\n\r\n"
    );
    for (response, text) in [
        (response("404 Not Found", "<html>"), "its status is 404 Not Found"),
        (response("404 Not Found", r#"{"error":"not_found"}"#), "its status is 404 Not Found"),
        (response("200 OK", "<html>"), "not the JSON of a gateway"),
        (response("200 OK", "{}"), "neither `session_token` nor `error`"),
        (response("200 OK", r#"{"session_token":"short"}"#), "session token is malformed"),
        (response("200 OK", r#"{"session_token":"line\nline"}"#), "session token is malformed"),
        (response("500 Oops", SESSION), "its status is 500"),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "its answer is not HTTP"),
        (long, "more than 4096 bytes"),
        (chunked, "more than 4096 bytes"),
    ] {
        let gateway = Fake::new(vec![over_http(response)]);
        let error = claim_at_once(&gateway.code("http")).await.err().unwrap();
        assert_eq!(error.kind(), "bad_answer", "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("http://{}/pair", elsewhere.local_addr().unwrap());
    for scheme in ["http", "ws"] {
        for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
            let redirect =
                format!("HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            let gateway = Fake::new(vec![Box::new(move |mut stream| {
                let mut head = [0; 16];
                stream.read_exact(&mut head).unwrap();
                stream.write_all(redirect.as_bytes()).unwrap();
                // The rest of the request: closing before it is read would discard the answer.
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
                None
            })]);
            let (kind, text) = refusal(&gateway.code(scheme)).await;
            assert!(kind == "bad_answer" && text.contains(&format!("redirects to {to}")), "{text}");
        }
    }
    elsewhere.set_nonblocking(true).unwrap();
    assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_silent_gateway_is_not_waited_for_for_ever() {
    use tokio::io::AsyncReadExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let code = code(&format!("http://{}/pair", listener.local_addr().unwrap()));
    let gateway = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"\"phone\"}") {
            text.push(stream.read_u8().await.unwrap());
        }
        // From here on, the clock advances while all tasks wait.
        tokio::time::pause();
        stream.read_u8().await
    };
    let (outcome, end) = tokio::join!(claim_at_once(&code), gateway);
    let error = outcome.err().unwrap();
    assert!(matches!(error, ClientError::TimedOut { step: Step::Answer, .. }), "{error:?}");
    assert!(end.is_err(), "the connection was closed");
}
