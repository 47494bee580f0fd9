//! Invalid replies.

use std::time::Duration;

use futures_util::StreamExt;
use nexo_pairing_core::PairingChannelAdapter;
use nexo_pairing_nats::PluginAdapter;
use nexo_pairing_nats_server::NatsServer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{bus, client, listener, plugin_options, say, within};

/// The results of an adapter that is asked for `+1` while another client sends these replies, one after
/// the other.
async fn answered(
    wrong: Vec<Vec<u8>>,
    by: fn(&Value) -> String,
) -> Vec<Result<Option<String>, String>> {
    let server = NatsServer::start();
    let mut requests = listener(&server, "plugin.signal.pairing.normalize_sender").await;
    let liar = client(&server).await;
    let mut results = Vec::new();
    for answer in wrong {
        let mut options = plugin_options();
        options.timeout = Duration::from_millis(300);
        let adapter = PluginAdapter::new(bus(&server).await, options).unwrap();
        let lies = async {
            let request = within(requests.next()).await.unwrap();
            let body: Value = serde_json::from_slice(&request.payload).unwrap();
            let subject = match by(&body) {
                reply if reply.is_empty() => request.reply.unwrap().to_string(),
                reply_to => reply_to,
            };
            let id = body["payload"]["id"].as_str().unwrap();
            let bytes = match String::from_utf8(answer) {
                Ok(text) => text.replace("<id>", id).into(),
                Err(no_text) => no_text.into_bytes().into(),
            };
            liar.publish(subject, bytes).await.unwrap();
        };
        let (said, ()) = tokio::join!(adapter.resolve_sender("+1"), lies);
        results.push(said.map_err(|error| format!("{error:?}")));
        assert_eq!(adapter.normalize_sender("+1"), None, "an invalid reply was cached");
    }
    results
}

fn lies() -> Vec<Vec<u8>> {
    let huge = json!({"normalized": "+1", "padding": "x".repeat(100_000)}).to_string();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let texts = [
        "",
        "nonsense",
        "null",
        "[]",
        r#""+1""#,
        "{}",
        r#"{"normalized": 1}"#,
        r#"{"normalized": {"a": 1}}"#,
        r#"{"normalized": "a\u0000b"}"#,
        r#"{"normalized": "a\nb"}"#,
        r#"{"normalized": ""}"#,
        r#"{"ok": true}"#,
        r#"{"stream": "EVENTS", "seq": 7}"#,
        &huge,
        &deep,
    ];
    let mut lies: Vec<_> = texts.iter().map(|lie| lie.as_bytes().to_vec()).collect();
    lies.push(b"\xff\xfe{\"normalized\": \"+1\"}".to_vec());
    lies
}

#[tokio::test]
async fn invalid_replies_are_ignored() {
    for said in answered(lies(), |_| String::new()).await {
        said.unwrap_err();
    }
}

#[tokio::test]
async fn invalid_replies_in_events_are_ignored() {
    let wrap = |lie: Vec<u8>| {
        [br#"{"payload": {"id": "<id>", "payload": "#, lie.as_slice(), b"}}"].concat()
    };
    let mut wrapped: Vec<_> = lies().into_iter().map(wrap).collect();
    let other = json!({"payload": {"id": Uuid::new_v4(), "payload": {"normalized": "+1"}}});
    wrapped.push(other.to_string().into_bytes());
    wrapped.push(b"{\"payload\": {\"payload\": {\"normalized\": \"+1\"}}}".to_vec());
    wrapped.push(b"{\"payload\": {\"id\": 7, \"payload\": {\"normalized\": \"+1\"}}}".to_vec());
    let reply_to = |body: &Value| body["payload"]["reply_to"].as_str().unwrap().to_owned();
    for said in answered(wrapped, reply_to).await {
        said.unwrap_err();
    }
}

#[tokio::test]
async fn a_valid_reply_after_invalid_ones_counts() {
    let server = NatsServer::start();
    let mut requests = listener(&server, "plugin.signal.pairing.normalize_sender").await;
    let both = client(&server).await;
    let adapter = PluginAdapter::new(bus(&server).await, plugin_options()).unwrap();
    let answers = async {
        let request = within(requests.next()).await.unwrap();
        let reply = request.reply.unwrap();
        // A stream that records all messages acknowledges the request.
        for answer in [r#"{"stream": "ALL", "seq": 1}"#, "nonsense", r#"{"normalized": "+1"}"#] {
            both.publish(reply.clone(), answer.into()).await.unwrap();
        }
    };
    let (said, ()) = tokio::join!(adapter.resolve_sender("+1"), answers);
    assert_eq!(said.unwrap().as_deref(), Some("+1"));
}

#[tokio::test]
async fn a_late_reply_is_ignored() {
    let server = NatsServer::start();
    let mut requests = listener(&server, "plugin.signal.pairing.normalize_sender").await;
    let mut options = plugin_options();
    options.timeout = Duration::from_millis(100);
    let bus = bus(&server).await;
    let adapter = PluginAdapter::new(bus.clone(), options).unwrap();
    adapter.resolve_sender("+1").await.unwrap_err();
    let reply = within(requests.next()).await.unwrap().reply.unwrap();
    say(&server, reply, r#"{"normalized": "+666"}"#).await;
    bus.flush().await.unwrap();
    assert_eq!(adapter.normalize_sender("+1"), None);
}

#[tokio::test]
async fn any_sender_id_is_only_a_value() {
    let server = NatsServer::start();
    let mut requests = listener(&server, "plugin.signal.pairing.normalize_sender").await;
    let adapter = PluginAdapter::new(bus(&server).await, plugin_options()).unwrap();
    for raw in ["*", ">", "a b", "\r\nPUB evil 0\r\n\r\n", "\u{0}", "\"}", &"x".repeat(1024)] {
        let answer = async {
            let request = within(requests.next()).await.unwrap();
            let body: Value = serde_json::from_slice(&request.payload).unwrap();
            assert_eq!(body["raw"], raw);
            assert_eq!(body["payload"]["payload"]["raw"], raw);
            say(&server, request.reply.unwrap(), r#"{"normalized": null}"#).await;
        };
        let (said, ()) = tokio::join!(adapter.resolve_sender(raw), answer);
        assert_eq!(said.unwrap(), None);
    }
}
