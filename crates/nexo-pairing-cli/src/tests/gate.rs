//! The output of a gate.

use super::*;

#[tokio::test]
async fn an_event_without_a_sender_is_admitted_on_a_known_account() {
    let machine =
        Machine::new("pairing: { accounts: [{ channel: telegram, account: cody_nexo_bot }] }");
    let input =
        br#"{"topic":"plugin.inbound.telegram.cody_nexo_bot","payload":{"kind":"connected"}}
{"topic":"plugin.inbound.telegram.other_bot","payload":{"kind":"connected"}}"#;
    let (exit, lines, _) = machine.run("gate --open", input).await;
    assert_eq!(exit, Exit::Done);
    assert_eq!((&lines[0]["decision"], &lines[0]["reason"]), (&json!("admit"), &json!("notice")));
    let (decision, reason) = (&lines[1]["decision"], &lines[1]["reason"]);
    assert_eq!((decision, reason), (&json!("drop"), &json!("unknown_account")));
    let input = br#"{"topic":"plugin.inbound.Tele Gram.bot","payload":{"kind":"connected"}}"#;
    let (exit, lines, _) = machine.run("gate --open", input).await;
    assert_eq!((exit, &lines[0]["error"]["line"]), (Exit::Refused, &json!(1)));
}

#[tokio::test]
async fn names_of_strangers_are_escaped_in_json_too() {
    let machine = Machine::new(PAIRING);
    let input = "{\"channel\":\"whatsapp\",\"account\":\"personal\",\"from\":\"5491155556666@c.us\",\
         \"meta\":{\"push_name\":\"A\u{9b}2J\u{202e}na\u{7f}\"}}\n\
         {\"channel\":\"whatsapp\",\"account\":\"personal\",\"from\":\"\u{9b}\u{202e}\"}";
    let (_, gate, _) = machine.run_raw("gate", input.as_bytes()).await;
    let (_, list, _) = machine.run_raw("list", b"").await;
    for text in [&gate, &list] {
        assert!(!text.contains(['\u{9b}', '\u{202e}', '\u{7f}']), "{text}");
    }
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["pending"][0]["meta"]["push_name"], "A\u{9b}2J\u{202e}na\u{7f}");
}

#[tokio::test]
async fn an_invalid_id_is_shown_in_part() {
    let machine = Machine::new(PAIRING);
    let id = "é".repeat(500);
    let line = format!("{{\"channel\":\"whatsapp\",\"account\":\"personal\",\"from\":\"x{id}\"}}");
    let (_, lines, _) = machine.run("gate", line.leak().as_bytes()).await;
    assert_eq!(lines[0]["reason"], "not_pairable");
    assert_eq!(lines[0]["sender"], format!("x{}", "é".repeat(127)));
}

#[tokio::test]
async fn a_dry_run_reports_that_it_decides_on_a_copy() {
    let machine = Machine::new("{}");
    let (_, _, stderr) = machine.run_raw("gate --open --dry-run", ANA).await;
    assert!(stderr.starts_with("nexo-pair gate: dry run: deciding on a copy of "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
}
