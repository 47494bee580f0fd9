//! The shapes in which messages come in, and what is refused.

use nexo_pairing_core::Inbound;
use nexo_pairing_gate::{EventError, InboundEvent};
use serde_json::{Value, json};

fn parse(json: &Value) -> Result<InboundEvent, EventError> {
    InboundEvent::parse(json.to_string().as_bytes())
}

fn message(json: &Value) -> Inbound {
    match parse(json).unwrap() {
        InboundEvent::Message(inbound) => inbound,
        other => panic!("{other:?}"),
    }
}

fn event(topic: &str, payload: &Value) -> Value {
    json!({ "id": "b2c1f7de-9f4f-4f6a-9f57-0d0a7f1d3c11", "timestamp": "2026-01-01T00:00:00Z",
        "topic": topic, "source": "plugin.whatsapp", "session_id": null, "payload": payload })
}

#[test]
fn the_short_form_needs_a_channel_and_a_sender() {
    let inbound = message(&json!({ "channel": "irc", "from": "nick" }));
    assert_eq!((inbound.channel.as_str(), inbound.account.as_str()), ("irc", "default"));
    assert_eq!((inbound.raw_sender.as_str(), inbound.is_group), ("nick", false));
    let inbound = message(&json!({ "channel": "irc", "account": "a", "from": "nick", "alt": ["b"],
        "text": "hi", "is_group": true, "meta": { "name": "N" } }));
    assert_eq!((inbound.account.as_str(), inbound.is_group), ("a", true));
    assert_eq!((inbound.alt, inbound.meta), (vec!["b".to_owned()], json!({ "name": "N" })));
}

#[test]
fn an_event_is_of_the_channel_and_account_of_its_topic() {
    let payload = json!({ "kind": "message", "from": "549@c.us", "text": "hi", "is_group": true,
        "alt": "1@lid", "push_name": "Ana", "channel": "spoof", "account": "spoof" });
    let inbound = message(&event("plugin.inbound.whatsapp.personal", &payload));
    assert_eq!((inbound.channel.as_str(), inbound.account.as_str()), ("whatsapp", "personal"));
    assert_eq!((inbound.raw_sender.as_str(), inbound.is_group), ("549@c.us", true));
    assert_eq!(inbound.alt, ["1@lid"]);
    assert_eq!(inbound.meta, json!({ "push_name": "Ana" }));
    let inbound = message(&event("plugin.inbound.whatsapp", &payload));
    assert_eq!(inbound.account, "default");
}

#[test]
fn an_event_of_the_plugin_itself_passes() {
    for kind in [
        "connected",
        "disconnected",
        "reconnecting",
        "qr",
        "pairing_success",
        "credentials_expired",
        "bridge_timeout",
        "chat_membership",
    ] {
        let parsed =
            parse(&event("plugin.inbound.whatsapp", &json!({ "kind": kind, "text": null })));
        assert!(matches!(parsed, Ok(InboundEvent::Notice { .. })), "{kind}: {parsed:?}");
    }
}

#[test]
fn an_event_without_a_sender_that_carries_a_message_does_not_pass() {
    for payload in [
        json!({ "kind": "message", "text": "hi" }),
        json!({ "kind": "connected", "text": "hi" }),
        json!({ "kind": "qr", "media": {} }),
        json!({ "kind": "connected", "media_path": "/x" }),
        json!({ "kind": "connected", "local_path": "/x" }),
        json!({ "kind": "connected", "caption": "x" }),
        json!({ "kind": "connected", "message": "x" }),
        json!({ "kind": "connected", "media_url": "x" }),
        json!({ "kind": "connected", "image_url": "x" }),
        json!({ "kind": "connected", "content": { "text": "x" } }),
        json!({ "kind": "connected", "anything": { "text": "x" } }),
        json!({ "kind": "connected", "anything": ["x"] }),
        json!({ "kind": "unheard_of" }),
        json!({ "from": null }),
        json!({}),
    ] {
        let parsed = parse(&event("plugin.inbound.whatsapp", &payload));
        assert!(matches!(parsed, Err(EventError::NoSender)), "{payload}: {parsed:?}");
    }
    assert!(matches!(parse(&json!({ "channel": "irc" })), Err(EventError::NoSender)));
    assert!(matches!(
        parse(&json!({ "channel": "irc", "kind": "connected" })),
        Err(EventError::NoSender)
    ));
}

#[test]
fn an_event_of_the_plugin_itself_with_a_sender_is_screened_like_any_message() {
    let payload = json!({ "kind": "connected", "from": "549@c.us" });
    assert_eq!(message(&event("plugin.inbound.whatsapp", &payload)).raw_sender, "549@c.us");
}

#[test]
fn topics_that_are_no_inbound_topics_are_refused() {
    for topic in [
        "",
        "whatsapp",
        "plugin.outbound.whatsapp",
        "plugin.inbound.",
        "plugin.inbound.whatsapp.",
        "plugin.inbound..personal",
        "plugin.inbound.whatsapp.personal.pairing.qr",
        "xplugin.inbound.whatsapp",
    ] {
        let parsed = parse(&event(topic, &json!({ "from": "1" })));
        assert!(matches!(parsed, Err(EventError::Topic { .. })), "{topic}: {parsed:?}");
    }
}

#[test]
fn wrong_types_are_named() {
    for (json, field) in [
        (json!([]), "the line"),
        (json!("x"), "the line"),
        (json!({ "from": "1" }), "channel"),
        (json!({ "channel": 1, "from": "1" }), "channel"),
        (json!({ "channel": "a", "account": [], "from": "1" }), "account"),
        (json!({ "channel": "a", "from": 1 }), "from"),
        (json!({ "channel": "a", "from": {} }), "from"),
        (json!({ "channel": "a", "from": ["1"] }), "from"),
        (json!({ "channel": "a", "from": "1", "is_group": "true" }), "is_group"),
        (json!({ "channel": "a", "from": "1", "alt": 1 }), "alt"),
        (json!({ "channel": "a", "from": "1", "alt": ["b", 1] }), "alt"),
        (json!({ "payload": {} }), "topic"),
        (json!({ "topic": 1, "payload": {} }), "topic"),
        (json!({ "topic": "plugin.inbound.a" }), "payload"),
        (json!({ "topic": "plugin.inbound.a", "payload": "x" }), "payload"),
    ] {
        match parse(&json) {
            Err(EventError::Field { field: named, .. }) => assert_eq!(named, field, "{json}"),
            other => panic!("{json}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_json_is_refused_however_it_looks() {
    let deep = "[".repeat(100_000);
    for bytes in [&b""[..], b"{", b"nul", b"\xff\xfe", b"{\"channel\":\"a\xff\"}", deep.as_bytes()]
    {
        assert!(matches!(InboundEvent::parse(bytes), Err(EventError::Json(_))));
    }
}

#[test]
fn each_kind_of_error_has_a_name_for_programs() {
    for (line, kind) in [
        ("{", "invalid_json"),
        ("[]", "invalid_field"),
        (r#"{"topic":"x","payload":{}}"#, "invalid_topic"),
        (r#"{"channel":"a"}"#, "no_sender"),
    ] {
        assert_eq!(InboundEvent::parse(line.as_bytes()).unwrap_err().kind(), kind);
    }
}
