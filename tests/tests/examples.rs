//! The examples of the documents.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nexo_pairing_tests::Home;
use serde_json::Value;

const INBOUND: &str = include_str!("../../docs/examples/inbound.jsonl");

/// The decision on each line of `docs/examples/inbound.jsonl`.
const EXPECTED: [(&str, &str, &str, &str); 14] = [
    ("notice", "whatsapp", "personal", "-"),
    ("notice", "telegram", "cody_nexo_bot", "-"),
    ("challenge", "whatsapp", "personal", "+5491155556666"),
    ("already_challenged", "whatsapp", "personal", "+5491155556666"),
    ("not_direct", "whatsapp", "personal", "+5491155557777"),
    ("challenge", "whatsapp", "personal", "lid:123456789012345"),
    ("already_challenged", "whatsapp", "personal", "+573001112222"),
    ("notice", "telegram", "cody_nexo_bot", "-"),
    ("challenge", "telegram", "cody_nexo_bot", "1194292426"),
    ("already_challenged", "telegram", "cody_nexo_bot", "1194292426"),
    ("not_direct", "telegram", "cody_nexo_bot", "777888999"),
    ("already_challenged", "telegram", "cody_nexo_bot", "1194292426"),
    ("notice", "whatsapp", "personal", "-"),
    ("challenge", "whatsapp", "work", "+5491155556666"),
];

#[test]
fn the_gate_accepts_the_example_events_of_plugins() {
    let home = Home::new();
    let output = home.run_with(&["gate", "--auto-challenge"], INBOUND);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let answers = output.answers();
    let is_outbound = |answer: &&Value| answer.get("outbound").is_some();
    let reply: Vec<_> = answers.iter().filter(|answer| !is_outbound(answer)).map(summary).collect();
    assert_eq!(reply, EXPECTED);
    let sent = answers.iter().filter(is_outbound);
    let sent: Vec<(&str, &str)> = sent.map(|answer| receiver(&answer["outbound"])).collect();
    assert_eq!(
        sent,
        [
            ("plugin.outbound.whatsapp.personal", "+5491155556666"),
            ("plugin.outbound.whatsapp.personal", "123456789012345@lid"),
            ("plugin.outbound.telegram.cody_nexo_bot", "1194292426"),
            ("plugin.outbound.whatsapp.work", "+5491155556666"),
        ]
    );
    // The display name that helps the operator recognise the sender.
    let listed = home.json(&["list"]);
    let pending = listed["pending"].as_array().unwrap().iter();
    let names: Vec<String> = pending.map(|request| request["meta"].to_string()).collect();
    let telegram = r#"{"username":"ana_example"}"#;
    assert_eq!(names, ["null", "null", telegram, r#"{"push_name":"Ana"}"#]);
}

fn summary(answer: &Value) -> (&str, &str, &str, &str) {
    let text = |field: &str| answer[field].as_str().unwrap_or("-");
    let what = answer["reason"].as_str().unwrap_or(text("decision"));
    (what, text("channel"), text("account"), text("sender"))
}

fn receiver(outbound: &Value) -> (&str, &str) {
    (outbound["topic"].as_str().unwrap(), outbound["payload"]["to"].as_str().unwrap())
}
