//! Messages of strangers and broken plugins on the bus: none reaches a subject that it does not belong
//! to, and none stops the gate.

use std::collections::BTreeSet;

use nexo_pairing_nats_server::NatsServer;
use nexo_pairing_tests::Home;
use serde_json::{Value, json};

use crate::support::{Heard, Rude, connect, event, message, send_message, start};

const PERSONAL: &str = "plugin.inbound.whatsapp.personal";
const ANA: &str = "5491155556666@c.us";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_message_reaches_a_foreign_subject() {
    let server = NatsServer::with(|_| "max_payload: 4MB".to_owned());
    let home = Home::configured("gate: { mode: pairing }");
    home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    let everything = Heard::on(&server, ">").await;
    let rejected = Heard::on(&server, "pairing.rejected").await;
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gate = start(&home, &server, &[]);

    let mut rude = Rude::connect(&server);
    let hostile = hostile();
    for (subject, payload, _) in &hostile {
        rude.publish(subject, payload);
    }
    rude.flush();
    let bus = connect(&server).await;
    send_message(&bus, "whatsapp.personal", ANA, "the only good one").await;

    assert_eq!(admitted.wait_for_texts(1), ["the only good one"]);
    let reply = rejected.wait_for_json(hostile.len());
    for ((subject, payload, reason), (_, reply)) in hostile.iter().zip(&reply) {
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(200)]);
        assert_eq!(reply["reason"], *reason, "{subject}: {shown}: {reply}");
        assert_eq!((&reply["subject"], &reply["bytes"]), (&json!(subject), &json!(payload.len())));
        assert!(reply["message"].as_str().is_some_and(|text| text.len() < 500), "{reply}");
        assert!(!reply.to_string().contains("malice"), "the text is not repeated: {reply}");
    }

    gate.signal(rustix::process::Signal::TERM);
    let ended = gate.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    let all = hostile.len() + 1;
    let reply =
        format!("{all} messages taken, 1 admitted, 0 challenged, 0 dropped, {} rej", all - 1);
    assert!(ended.stderr.contains(&reply), "{reply}: {}", ended.stderr);
    let written: BTreeSet<String> = everything
        .wait_for(2 * all)
        .into_iter()
        .map(|(subject, _)| subject)
        .filter(|subject| !subject.contains("plugin.inbound") && !subject.starts_with("_INBOX."))
        .collect();
    let expected = ["pairing.admitted.whatsapp.personal", "pairing.rejected"];
    assert_eq!(written, expected.map(str::to_owned).into());
}

/// Subjects, messages, and why they are rejected. The sender of all of them is admitted.
fn hostile() -> Vec<(String, Vec<u8>, &'static str)> {
    let of = |topic: &str| message(topic, ANA, "malice").to_string().into_bytes();
    let payload = |payload: Value| event(PERSONAL, payload).to_string().into_bytes();
    let mut all: Vec<(&str, Vec<u8>, &'static str)> = vec![
        // The topic contradicts the subject.
        (PERSONAL, of("plugin.inbound.whatsapp.*"), "topic_mismatch"),
        (PERSONAL, of("plugin.inbound.whatsapp.>"), "topic_mismatch"),
        (PERSONAL, of("plugin.inbound.whatsapp.a b"), "topic_mismatch"),
        (PERSONAL, of("plugin.inbound.whatsapp.work"), "topic_mismatch"),
        (PERSONAL, of("plugin.inbound.telegram.personal"), "topic_mismatch"),
        (PERSONAL, of("plugin.inbound.whatsapp"), "topic_mismatch"),
        (PERSONAL, of("plugin.inbound.whatsapp.personal.x"), "invalid_topic"),
        (PERSONAL, of("plugin.inbound.whatsapp."), "invalid_topic"),
        (PERSONAL, of("pairing.admitted.whatsapp.personal"), "invalid_topic"),
        (PERSONAL, of("plugin.outbound.whatsapp.personal"), "invalid_topic"),
        (PERSONAL, of(&"x".repeat(100_000)), "invalid_topic"),
        (
            PERSONAL,
            json!({"channel": "whatsapp", "account": "*", "from": ANA}).to_string().into(),
            "topic_mismatch",
        ),
    ];
    // The subject itself is hostile, and the topic agrees.
    for subject in [
        "plugin.inbound.whatsapp.*",
        "plugin.inbound.whatsapp.>",
        "plugin.inbound.*.personal",
        "plugin.inbound.*",
        "plugin.inbound.>",
        "plugin.inbound.whatsapp.a.b",
        "plugin.inbound.WhatsApp.personal",
        "plugin.inbound.whatsapp.é",
        "plugin.inbound.-x",
    ] {
        all.push((subject, of(subject), "invalid_subject"));
    }
    for from in [json!(5_491_155_556_666_u64), json!({"id": ANA}), json!([ANA]), json!(true)] {
        let said = json!({"kind": "message", "from": from, "text": "malice"});
        all.push((PERSONAL, payload(said), "invalid_field"));
    }
    for invalid in [
        json!({"kind": "message", "text": "malice"}),
        json!({"kind": "message", "from": null, "text": "malice"}),
        json!({"kind": "connected", "text": "malice"}),
    ] {
        all.push((PERSONAL, payload(invalid), "no_sender"));
    }
    for (bytes, reason) in [
        (b"".to_vec(), "invalid_json"),
        (b"\xff\xfe\x00malice".to_vec(), "invalid_json"),
        (b"[1]".to_vec(), "invalid_field"),
        (vec![b'['; 1 << 20], "invalid_json"),
        ([of(PERSONAL), vec![b' '; 1 << 20]].concat(), "too_long"),
    ] {
        all.push((PERSONAL, bytes, reason));
    }
    all.into_iter().map(|(subject, bytes, reason)| (subject.to_owned(), bytes, reason)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_message_of_a_megabyte_passes_unchanged() {
    let server = NatsServer::start();
    let home = Home::new();
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let _gate = start(&home, &server, &["--open"]);
    let mut long = message(PERSONAL, ANA, "").to_string();
    // White space is significant, and is kept.
    long.insert_str(1, &" ".repeat((1 << 20) - long.len()));
    let mut rude = Rude::connect(&server);
    rude.publish(PERSONAL, long.as_bytes());
    rude.flush();
    let [(subject, bytes)] = &admitted.wait_for(1)[..] else { panic!("one message") };
    assert_eq!(subject, "pairing.admitted.whatsapp.personal");
    assert!(bytes == long.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn impossible_senders_are_dropped_and_the_gate_continues() {
    let server = NatsServer::start();
    let home = Home::configured("gate: { mode: pairing }");
    home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    let others = Heard::on(&server, "plugin.outbound.>").await;
    let admitted = Heard::on(&server, "pairing.admitted.>").await;
    let gate = start(&home, &server, &[]);
    let bus = connect(&server).await;
    for from in ["", "*", ">", "a.b c", "\u{0}", "5491155556666\n@c.us", &"9".repeat(100_000)] {
        send_message(&bus, "whatsapp.personal", from, "malice").await;
    }
    // Strangers are not challenged in a group.
    let group = json!({"kind": "message", "from": "5491155550001@c.us", "is_group": true});
    crate::support::publish(&bus, PERSONAL, &event(PERSONAL, group)).await;
    send_message(&bus, "whatsapp.personal", ANA, "good").await;
    assert_eq!(admitted.wait_for_texts(1), ["good"]);
    gate.signal(rustix::process::Signal::TERM);
    let ended = gate.wait();
    assert!(ended.stderr.contains("1 admitted, 0 challenged, 8 dropped, 0 rejected"), "{ended:?}");
    assert_eq!((ended.code, others.count()), (0, 0));
}
