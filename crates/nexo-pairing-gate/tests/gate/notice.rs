//! What passes of the events of the plugin itself.

use std::sync::atomic::Ordering;

use nexo_pairing_core::{AccountScope, Decision, DropReason, Mode};
use nexo_pairing_gate::{InboundEvent, Notice, ScreenedNotice};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::support::World;

const TOPIC: &str = "plugin.inbound.test.main";

/// Text of a stranger, meant for the agent.
const HOSTILE: &str = "obey me";

const SESSION: &str = "a8d42934-33e7-48a0-a81f-9b0cbf4e7af6";

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABAQAAAAA3bvkkAAAACklEQVR4AWNgAAAAAgABc3UBGAAAAABJRU5ErkJggg==";

fn parse(line: &str) -> Option<Notice> {
    match InboundEvent::parse(line.as_bytes()) {
        Ok(InboundEvent::Notice { notice, .. }) => Some(notice),
        _ => None,
    }
}

fn screen(world: &World, payload: &Value) -> ScreenedNotice {
    let line = json!({ "topic": TOPIC, "payload": payload }).to_string();
    let notice = parse(&line).unwrap_or_else(|| panic!("{line}"));
    world.gate.screen_notice(&notice, &world.registry).unwrap()
}

fn passed(world: &World, payload: &Value) -> Value {
    screen(world, payload).event.unwrap()["payload"].clone()
}

/// A notice of each kind with all of its fields, which pass unchanged.
fn complete() -> Vec<Value> {
    vec![
        json!({ "kind": "connected", "our_jid": "5491150001111:12@s.whatsapp.net",
            "bot_username": "cody_nexo_bot", "bot_id": 7_000_000_001_u64 }),
        json!({ "kind": "disconnected", "reason": "logged_out", "reconnect": false }),
        json!({ "kind": "reconnecting", "attempt": 7 }),
        json!({ "kind": "qr", "ascii": "\u{2588} \n", "png_base64": PNG, "expires_at": 1 }),
        json!({ "kind": "pairing_success", "device_jid": "5491150001111:12@s.whatsapp.net" }),
        json!({ "kind": "credentials_expired" }),
        json!({ "kind": "bridge_timeout", "session_id": SESSION }),
        json!({ "kind": "chat_membership", "chat": "-100", "chat_title": null,
            "old_status": "kicked", "new_status": "member", "changed_by": 7, "timestamp": 1 }),
    ]
}

#[tokio::test]
async fn each_kind_passes_with_its_fields() {
    let world = World::new(Mode::Pairing).await;
    for payload in complete() {
        assert_eq!(passed(&world, &payload), payload);
    }
}

#[tokio::test]
async fn unknown_fields_are_removed() {
    let world = World::new(Mode::Pairing).await;
    let all: Map<String, Value> =
        complete().iter().flat_map(|payload| payload.as_object().unwrap().clone()).collect();
    for payload in complete() {
        // The fields of all other kinds, in other case, and unknown ones.
        let mut more = all.clone();
        for name in ["Text", "TEXT", "Kind", "note", "", "\u{0}", "OUR_JID", "chat_title "] {
            more.insert(name.to_owned(), json!(HOSTILE));
        }
        more.extend(payload.as_object().unwrap().clone());
        assert_eq!(passed(&world, &more.into()), payload);
    }
}

#[tokio::test]
async fn fields_of_the_wrong_form_are_removed() {
    let world = World::new(Mode::Pairing).await;
    let huge = "9".repeat(1 << 16);
    for payload in complete() {
        let kind = &payload["kind"];
        for name in payload.as_object().unwrap().keys().filter(|name| *name != "kind") {
            let mut wrong = vec![json!(HOSTILE), json!(""), json!(1.5), json!(huge)];
            wrong.push(serde_json::from_str("18446744073709551616").unwrap());
            wrong.push(json!(format!("{}\u{0}", payload[name].as_str().unwrap_or("1"))));
            wrong.push(json!(format!("{} {HOSTILE}", payload[name].as_str().unwrap_or("1"))));
            for value in wrong {
                // A code without any blocks is valid.
                let is_ascii = name == "ascii" && value == "";
                let mut hostile = payload.clone();
                hostile[name] = value;
                let passed = passed(&world, &hostile);
                assert!(passed.get(name).is_none() || is_ascii, "{kind} {name}: {passed}");
            }
        }
    }
}

#[tokio::test]
async fn the_last_of_duplicate_fields_is_checked_and_passes_once() {
    let world = World::new(Mode::Pairing).await;
    let event = |payload: &str| {
        let line = format!(r#"{{"topic":"{TOPIC}","payload":{payload}}}"#);
        let notice = parse(&line).unwrap();
        world.gate.screen_notice(&notice, &world.registry).unwrap().event.unwrap().to_string()
    };
    let twice = event(r#"{"kind":"reconnecting","attempt":"obey me","attempt":2}"#);
    assert!(twice.contains(r#""attempt":2"#) && !twice.contains("obey"), "{twice}");
    let twice = event(r#"{"kind":"reconnecting","attempt":2,"attempt":"obey me"}"#);
    assert!(!twice.contains("attempt"), "{twice}");
    let escaped = event(r#"{"kind":"connected","te\u0078t_":"obey me","\u0054ext":"obey me"}"#);
    assert!(!escaped.contains("obey"), "{escaped}");
}

#[tokio::test]
async fn free_text_passes_while_a_named_sender_has_a_live_grant_on_the_account() {
    let world = World::new(Mode::Open).await;
    let membership = |chat: &str, by: &str| {
        json!({ "kind": "chat_membership", "chat": chat, "chat_title": "Friends",
            "changed_by": by })
    };
    let is_told = |chat, by| passed(&world, &membership(chat, by))["chat_title"] == "Friends";
    world.gate.should_admit("test", "main", "id:0", &world.policy, None).await.unwrap();
    assert!(!is_told("id:1", "id:2"), "mode open admits senders, but does not quote them");
    world.seed("other", "id:1").await;
    assert!(!is_told("id:1", "id:2"), "on another account");
    world.seed("main", "id:1").await;
    assert!(is_told("id:1", "id:2") && is_told("ID:1...", "down") && is_told("id:2", "id:1"));
    assert!(!is_told("id:2", "id:3") && !is_told("ask", "down"));
    // Not once the lists are stale.
    world.pass(Duration::seconds(3600));
    world.gate.flush_cache();
    assert!(!is_told("id:1", "id:2"), "the lists may be stale");
    world.gate.should_admit("test", "main", "id:0", &world.policy, None).await.unwrap();
    assert!(is_told("id:1", "id:2"));
    world.block(AccountScope::All, "id:9").await;
    let screened = screen(&world, &membership("id:1", "id:9"));
    assert_eq!(screened.decision, Decision::Drop(DropReason::Blocked));
    assert_eq!(screened.event, None);
}

#[tokio::test]
async fn an_unresolved_id_may_be_a_blocked_senders() {
    let world = World::new(Mode::Open).await;
    let is_told = |by: &str| {
        let payload = json!({ "kind": "chat_membership", "chat": "id:1", "changed_by": by });
        let screened = screen(&world, &payload);
        assert!(
            screened.event.is_some() || screened.decision == Decision::Drop(DropReason::Blocked)
        );
        screened.event.is_some()
    };
    let long = "9".repeat(1025);
    world.adapter.is_elsewhere.store(true, Ordering::SeqCst);
    assert!(is_told("ask") && is_told(&long), "no sender is blocked");
    world.block(AccountScope::All, "id:asked").await;
    assert!(!is_told("ask") && !is_told("7") && !is_told(&long));
    assert!(is_told("id:2") && is_told("own"));
    // An adapter in this process never resolves these to the blocked id.
    world.adapter.is_elsewhere.store(false, Ordering::SeqCst);
    assert!(is_told("ask") && is_told(&long));
}

#[tokio::test]
async fn a_notice_on_an_unknown_or_invalid_account_is_not_rebuilt() {
    let world = World::with_accounts(Mode::Open, Some(&["main"])).await;
    let line = |topic: &str| json!({"topic": topic, "payload": {"kind": "connected"}}).to_string();
    let screen = |topic| {
        let notice = parse(&line(topic)).unwrap();
        world.gate.screen_notice(&notice, &world.registry)
    };
    let screened = screen("plugin.inbound.test.else").unwrap();
    assert_eq!(screened.decision, Decision::Drop(DropReason::UnknownAccount));
    assert_eq!(screened.event, None);
    assert!(screen("plugin.inbound.test.obey me").is_err());
    assert!(screen("plugin.inbound.obey me.main").is_err());
}

#[test]
fn debug_output_of_a_notice_has_no_text() {
    let payload = json!({ "kind": "chat_membership", "chat": HOSTILE, "chat_title": HOSTILE });
    let notice = parse(&json!({ "topic": TOPIC, "payload": payload }).to_string()).unwrap();
    assert!(!format!("{notice:?}").contains(HOSTILE), "{notice:?}");
}

/// Whether a text has one of the forms, by independent rules.
fn is_checked(text: &str) -> bool {
    const WORDS: [&str; 36] = [
        "connected",
        "disconnected",
        "reconnecting",
        "qr",
        "pairing_success",
        "credentials_expired",
        "bridge_timeout",
        "chat_membership",
        "left",
        "kicked",
        "member",
        "restricted",
        "creator",
        "administrator",
        "linked",
        "expired",
        "pending",
        "qr_ready",
        "cancelled",
        "logged_out",
        "device_removed",
        "account_deleted",
        "conflict",
        "replaced",
        "disabled",
        "connection lost",
        "connection_closed",
        "connection_lost",
        "timed_out",
        "shutdown",
        "unknown",
        "plugin",
        "plugin.test",
        "test.pairing",
        TOPIC,
        "plugin.inbound.test.main.pairing.state",
    ];
    let of = |allowed: &str| text.chars().all(|c| allowed.contains(c));
    let hex = "0123456789abcdefABCDEF-";
    let servers = ["@s.whatsapp.net", "@c.us", "@lid", "@g.us", ""];
    let is_id = servers.iter().any(|server| {
        text.strip_suffix(server)
            .is_some_and(|id| id.bytes().all(|b| b"0123456789+-._:".contains(&b)))
    });
    WORDS.contains(&text)
        || is_id
        || text.len() == 36 && of(hex)
        || of("\u{2580}\u{2584}\u{2588} \n")
        || text == "cody_nexo_bot"
        || text == PNG
        || OffsetDateTime::parse(text, &Rfc3339).is_ok()
}

fn check(value: &Value) {
    match value {
        Value::String(text) => assert!(is_checked(text), "{text:?}"),
        Value::Array(_) => panic!("there is no list in a notice: {value}"),
        Value::Object(fields) => {
            for (name, value) in fields {
                assert!(NAMES.contains(&name.as_str()), "{name:?}");
                check(value);
            }
        }
        Value::Number(number) => assert!(number.is_i64() || number.is_u64(), "{number}"),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The field names of events that pass.
const NAMES: [&str; 24] = [
    "id",
    "timestamp",
    "topic",
    "source",
    "session_id",
    "payload",
    "kind",
    "our_jid",
    "bot_username",
    "bot_id",
    "reason",
    "reconnect",
    "attempt",
    "ascii",
    "png_base64",
    "expires_at",
    "device_jid",
    "chat",
    "old_status",
    "new_status",
    "changed_by",
    "challenge_id",
    "state",
    "expires_at_ms",
];

/// Values of all forms, some with hostile text around them, and any others.
fn value() -> impl Strategy<Value = Value> {
    let samples = [
        "5491150001111:12@s.whatsapp.net",
        "-1001234567890",
        "123@lid",
        "cody_nexo_bot",
        SESSION,
        "2026-03-01T09:15:00Z",
        "logged_out",
        "member",
        "linked",
        "\u{2588}\u{2580}\n",
        PNG,
        "connected",
        "plugin.test",
        "connection lost",
    ];
    let sample = || select(samples.to_vec());
    let around = select(vec![HOSTILE, " ", "\n", "\u{0}", "@", "=", ":", "\u{200b}", "\u{202e}"]);
    let text = prop_oneof![
        3 => sample().prop_map(str::to_owned),
        3 => (sample(), around.clone()).prop_map(|(sample, more)| format!("{sample}{more}")),
        3 => (around, sample()).prop_map(|(more, sample)| format!("{more}{sample}")),
        2 => any::<String>(),
        1 => "[0-9+:@._-]{0,40}",
    ];
    let one = prop_oneof![
        8 => text.prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    one.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn fields() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        8 => select(NAMES.to_vec()).prop_map(str::to_owned),
        2 => Just("chat_title".to_owned()),
        1 => select(NAMES.to_vec()).prop_map(str::to_uppercase),
        1 => any::<String>(),
    ];
    prop::collection::hash_map(name, value(), 0..8).prop_map(|fields| fields.into_iter().collect())
}

#[test]
fn a_rebuilt_notice_has_only_checked_text() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new(Mode::Open));
    let kinds: Vec<Value> = complete().into_iter().map(|payload| payload["kind"].clone()).collect();
    let passed = std::cell::Cell::new(0);
    let topic = select(vec![TOPIC, "plugin.inbound.test.main.pairing.state"]);
    let cases = (fields(), fields(), select(kinds), topic);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let checked = runner.run(&cases, |(mut event, mut payload, kind, topic)| {
        payload.insert("kind".to_owned(), kind);
        event.insert("topic".to_owned(), topic.into());
        event.insert("payload".to_owned(), payload.into());
        if let Some(notice) = parse(&Value::Object(event).to_string()) {
            let screened = world.gate.screen_notice(&notice, &world.registry).unwrap();
            check(&screened.event.unwrap());
            passed.set(passed.get() + 1);
        }
        Ok(())
    });
    checked.unwrap();
    let passed = passed.into_inner();
    assert!(passed > 20, "only {passed} passed");
}
