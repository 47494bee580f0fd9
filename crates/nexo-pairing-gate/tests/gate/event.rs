//! The forms of incoming messages, and what is rejected.

use nexo_pairing_core::Inbound;
use nexo_pairing_gate::{EventError, InboundEvent};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

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
fn channel_and_account_come_from_the_topic() {
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
fn lifecycle_events_are_notices() {
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
fn an_event_with_content_and_no_sender_is_rejected() {
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
fn a_lifecycle_event_with_a_sender_is_a_message() {
    let payload = json!({ "kind": "connected", "from": "549@c.us" });
    assert_eq!(message(&event("plugin.inbound.whatsapp", &payload)).raw_sender, "549@c.us");
}

#[test]
fn other_topics_are_rejected() {
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
fn invalid_json_is_rejected() {
    let deep = "[".repeat(100_000);
    for bytes in [&b""[..], b"{", b"nul", b"\xff\xfe", b"{\"channel\":\"a\xff\"}", deep.as_bytes()]
    {
        assert!(matches!(InboundEvent::parse(bytes), Err(EventError::Json(_))));
    }
}

#[test]
fn each_error_has_a_stable_kind() {
    for (line, kind) in [
        ("{", "invalid_json"),
        ("[]", "invalid_field"),
        (r#"{"topic":"x","payload":{}}"#, "invalid_topic"),
        (r#"{"channel":"a"}"#, "no_sender"),
    ] {
        assert_eq!(InboundEvent::parse(line.as_bytes()).unwrap_err().kind(), kind);
    }
}

#[test]
fn the_last_of_duplicate_fields_counts() {
    let line = br#"{"channel":"a","from":1,"from":"x","from":"1","meta":1,"meta":2}"#;
    let InboundEvent::Message(inbound) = InboundEvent::parse(line).unwrap() else { panic!() };
    assert_eq!((inbound.raw_sender.as_str(), inbound.meta), ("1", json!(2)));
    let line =
        br#"{"topic":"plugin.inbound.a","payload":1,"payload":{"from":"1","name":"N","name":2,
        "username":"U","push_name":null}}"#;
    let InboundEvent::Message(inbound) = InboundEvent::parse(line).unwrap() else { panic!() };
    assert_eq!(inbound.meta, json!({ "username": "U" }));
    let line = br#"{"topic":"plugin.inbound.a","payload":{"from":"1","from":null,"kind":"qr"}}"#;
    assert!(matches!(InboundEvent::parse(line), Ok(InboundEvent::Notice { .. })));
}

#[test]
fn unused_fields_must_be_valid_json() {
    for value in [
        r#""\ud800""#,
        r#""\x""#,
        "01",
        "1e999",
        "nul",
        "[1,]",
        "{1:2}",
        "{\"a\"}",
        "\"\n\"",
        "[\"\\ud800\"]",
        "{\"a\":\"\\ud800\"}",
        "{\"\\ud800\":1}",
    ] {
        for field in ["text", "anything", "meta", "alt", "is_group", "payload"] {
            let line = format!(r#"{{"channel":"a","from":"1","{field}":{value}}}"#);
            let expected = serde_json::from_str::<Value>(&line).unwrap_err().to_string();
            match InboundEvent::parse(line.as_bytes()) {
                Err(EventError::Json(error)) => assert_eq!(error.to_string(), expected, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
    let line = b"{\"channel\":\"a\",\"from\":\"1\",\"text\":\"\xff\"}";
    let expected = serde_json::from_slice::<Value>(line).unwrap_err().to_string();
    match InboundEvent::parse(line) {
        Err(EventError::Json(error)) => assert_eq!(error.to_string(), expected),
        other => panic!("{other:?}"),
    }
}

/// JSON fields: name and value, as written.
type Fields = Vec<(String, String)>;

fn object(fields: &[(String, String)]) -> String {
    let fields = fields.iter().map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// Fields whose names matter, with any values; some are not JSON.
fn fields() -> impl Strategy<Value = Fields> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<String>().prop_map(|text| json!(text).to_string()),
        Just(r#""connected""#.to_owned()),
        Just(r#""a\u00e9\ud83d\ude00\n""#.to_owned()),
        Just(r#""\ud83d""#.to_owned()),
    ];
    let value = scalar.prop_recursive(3, 16, 4, |inner| {
        let field = ("[a-z]{1,4}", inner.clone());
        prop_oneof![
            prop::collection::vec(field, 0..4).prop_map(|fields| object(&fields)),
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    });
    let name = prop::sample::select(vec![
        "channel",
        "account",
        "from",
        "alt",
        "is_group",
        "kind",
        "topic",
        "payload",
        "meta",
        "name",
        "username",
        "push_name",
        "text",
        "media",
        "x_url",
        "x",
        r"fr\u006fm",
    ]);
    prop::collection::vec((name.prop_map(str::to_owned), value), 0..5)
}

/// Lines in one of the two forms, some of them truncated.
fn lines() -> impl Strategy<Value = String> {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let short = fields().prop_map(move |more| {
        let sender = [field("channel", r#""a""#), field("from", r#""1""#)];
        object(&[&sender[..], &more].concat())
    });
    let topic = prop::sample::select(vec![
        r#""plugin.inbound.whatsapp.personal""#,
        r#""plugin.inbound.whatsapp.personal.pairing.state""#,
    ]);
    let event = (fields(), fields(), topic).prop_map(move |(more, of_payload, topic)| {
        let of_payload = [&[field("kind", r#""qr""#)][..], &of_payload].concat();
        let topic = field("topic", topic);
        object(&[&[topic, field("payload", &object(&of_payload))][..], &more].concat())
    });
    let line = prop_oneof![short, event, fields().prop_map(|fields| object(&fields))];
    (line, prop::option::weighted(0.1, 0..40_usize)).prop_map(|(line, cut)| match cut {
        Some(cut) => line.chars().take(cut).collect(),
        None => line,
    })
}

proptest! {
    /// The reference reads the tree of the whole line.
    #[test]
    fn a_line_is_read_like_its_value_tree(line in lines()) {
        let parsed = InboundEvent::parse(line.as_bytes());
        let tree: Value = match serde_json::from_str(&line) {
            Ok(tree) => tree,
            Err(error) => {
                let actual = match parsed {
                    Err(EventError::Json(actual)) => actual.to_string(),
                    other => panic!("{other:?}"),
                };
                prop_assert_eq!(actual, error.to_string());
                return Ok(());
            }
        };
        let is_short = tree.get("topic").is_none() && tree.get("payload").is_none();
        let fields = if is_short { &tree } else { &tree["payload"] };
        match parsed {
            Ok(InboundEvent::Message(inbound)) => {
                prop_assert_eq!(&fields["from"], &json!(inbound.raw_sender));
                prop_assert_eq!(fields["is_group"].as_bool().unwrap_or(false), inbound.is_group);
                let alt = match &fields["alt"] {
                    Value::Null => json!([]),
                    Value::String(id) => json!([id]),
                    other => other.clone(),
                };
                prop_assert_eq!(alt, json!(inbound.alt));
                if is_short {
                    prop_assert_eq!(&tree["channel"], &json!(inbound.channel));
                    let account = tree["account"].as_str().unwrap_or("default");
                    prop_assert_eq!(account, inbound.account);
                    prop_assert_eq!(&tree["meta"], &inbound.meta);
                } else {
                    prop_assert_eq!((&*inbound.channel, &*inbound.account), ("whatsapp", "personal"));
                    let names = Inbound::DISPLAY_NAMES.into_iter();
                    let names = names.filter(|name| fields[name].is_string());
                    let names: Map<_, _> = names.map(|name| (name.into(), fields[name].clone())).collect();
                    let names = if names.is_empty() { Value::Null } else { Value::Object(names) };
                    prop_assert_eq!(fields.get("meta").unwrap_or(&names), &inbound.meta);
                }
            }
            Ok(InboundEvent::Notice { channel, account, kind, notice }) => {
                prop_assert!(!is_short && fields["from"].is_null());
                prop_assert_eq!((&*channel, &*account), ("whatsapp", "personal"));
                let topic = tree["topic"].as_str().unwrap();
                prop_assert_eq!(notice.is_linking(), topic.ends_with(".pairing.state"));
                prop_assert!(fields["kind"] == kind || notice.is_linking() && kind == "pairing.state");
                for (name, value) in fields.as_object().unwrap() {
                    let is_single = !value.is_array() && !value.is_object();
                    prop_assert!(is_single || name == "meta", "{name}");
                    prop_assert!(value.is_null() || !["text", "media", "x_url"].contains(&&**name));
                }
            }
            Ok(other) => panic!("{other:?}"),
            Err(EventError::Field { field, .. }) => match field {
                "the line" => prop_assert!(!tree.is_object()),
                "topic" => prop_assert!(!tree["topic"].is_string()),
                "payload" => prop_assert!(!fields.is_object()),
                "channel" => prop_assert!(!tree["channel"].is_string()),
                field => prop_assert!(fields[field] != Value::Null),
            },
            Err(EventError::Topic { topic }) => prop_assert_eq!(&tree["topic"], &json!(topic)),
            Err(EventError::NoSender) => prop_assert!(fields["from"].is_null()),
            Err(error) => panic!("{error}"),
        }
    }
}
