//! A block applies to the sender and, while it exists, to every unreadable id.

use nexo_pairing_tests::Home;
use serde_json::{Value, json};

const FRIEND: &str = "5491155556666@c.us";

const BLOCKED: &str = "whatsapp:+5491155550002";

fn line(channel: &str, from: &str, alt: &Value) -> Value {
    json!({"channel": channel, "account": "personal", "from": from, "alt": alt, "text": "hi"})
}

/// Lines with an id that has no canonical form.
fn unreadable() -> Vec<Value> {
    let long = "9".repeat(1025);
    let many: Vec<String> = (0..9).map(|n| format!("549115555000{n}@c.us")).collect();
    vec![
        line("whatsapp", "5491155550002@elsewhere.example", &Value::Null),
        line("whatsapp", "5491155550002@c.us@c.us", &Value::Null),
        line("whatsapp", "5491155550002@c.us\u{0}", &Value::Null),
        line("whatsapp", "", &Value::Null),
        line("whatsapp", &long, &Value::Null),
        line("whatsapp", FRIEND, &json!("5491155550002@elsewhere.example")),
        line("whatsapp", FRIEND, &json!(["123456789012345@lid", "?"])),
        line("whatsapp", FRIEND, &json!(long)),
        line("whatsapp", FRIEND, &json!(many)),
    ]
}

#[test]
fn while_a_block_exists_unreadable_ids_are_dropped_in_every_mode() {
    for mode in ["open", "allowlist", "pairing"] {
        let home = Home::configured(&format!("gate: {{ mode: {mode} }}"));
        home.json(&["seed", "whatsapp", "personal", FRIEND]);
        // On another account of the channel: the id may belong to the same sender.
        home.json(&["block", BLOCKED, "--account", "work"]);
        let mut gate = home.gate(&[]);
        for line in unreadable() {
            let answer = gate.ask(&line);
            let reply = (&answer["decision"], &answer["reason"]);
            assert_eq!(reply, (&json!("drop"), &json!("blocked")), "{mode}: {line}: {answer}");
        }
        let friend = line("whatsapp", FRIEND, &json!(["", "123456789012345@lid"]));
        assert_eq!(
            gate.ask(&friend)["decision"],
            "admit",
            "{mode}: all ids of the sender are readable"
        );
        // The block does not apply to another channel.
        let other = gate.send(&line("telegram", "@somebody", &Value::Null)).remove(0);
        assert_ne!(other["reason"], "blocked", "{mode}: {other}");
    }
}

#[test]
fn without_a_block_unreadable_ids_are_treated_as_before() {
    for (mode, decision) in [("open", "admit"), ("allowlist", "drop"), ("pairing", "drop")] {
        let home = Home::configured(&format!("gate: {{ mode: {mode} }}"));
        home.json(&["block", BLOCKED]);
        home.json(&["unblock", BLOCKED]);
        home.json(&["block", "telegram:777888999"]);
        let mut gate = home.gate(&[]);
        let answer = gate.ask(&unreadable()[0]);
        assert_eq!(answer["decision"], decision, "{mode}: {answer}");
        assert_ne!(answer["reason"], "blocked", "{mode}: {answer}");
    }
}

#[test]
fn a_block_never_applies_to_the_channels_own_accounts() {
    let home = Home::configured("gate: { mode: open }");
    home.json(&["block", "telegram:777888999"]);
    home.json(&["block", BLOCKED]);
    let mut gate = home.gate(&[]);
    for (channel, own) in [
        ("telegram", "777000"),
        ("telegram", "1087968824"),
        ("telegram", "136817688"),
        ("whatsapp", "0@c.us"),
        ("whatsapp", "0@s.whatsapp.net"),
    ] {
        assert_eq!(gate.ask(&line(channel, own, &Value::Null))["decision"], "admit", "{own}");
    }
    let (known, unknown) = (json!("777000"), json!("0777000"));
    assert_eq!(gate.ask(&line("telegram", "123456789", &known))["decision"], "admit");
    assert_eq!(gate.ask(&line("telegram", "123456789", &unknown))["reason"], "blocked");
}

#[test]
fn a_new_block_applies_to_unreadable_ids_at_once() {
    let home = Home::configured("gate: { mode: open }");
    let mut gate = home.gate(&[]);
    let unreadable = &unreadable()[0];
    let before = gate.ask(unreadable);
    assert_eq!(before["decision"], "admit");
    home.json(&["block", BLOCKED]);
    let after = gate.send_until_not(&before, unreadable).remove(0);
    assert_eq!(after["reason"], "blocked", "{after}");
    home.json(&["unblock", BLOCKED]);
    assert_eq!(gate.send_until_not(&after, unreadable).remove(0)["decision"], "admit");
}

#[test]
fn raw_is_rejected_if_the_adapter_makes_another_id_of_it() {
    let home = Home::configured("gate: { mode: open }");
    let jid = "5491155550002@s.whatsapp.net";
    for args in [
        &["block", &format!("whatsapp:{jid}"), "--raw"][..],
        &["seed", "whatsapp", "personal", jid, "--raw"],
        &["revoke", &format!("whatsapp:{jid}"), "--raw"],
        &["unblock", &format!("whatsapp:{jid}"), "--raw"],
        &["forget", &format!("whatsapp:{jid}"), "--raw"],
    ] {
        let (code, error) = home.error(args);
        assert_eq!((code, &error["kind"]), (1, &json!("sender_refused")), "{args:?}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("+5491155550002"), "it names the canonical id: {message}");
        let hint = error["hint"].as_str().unwrap();
        let command = format!("leave out --raw: nexo-pair {}", args[0]);
        assert!(hint.starts_with(&command) && hint.ends_with("+5491155550002"), "{hint}");
    }
    // An id that the adapter leaves unchanged may be meant exactly.
    home.json(&["block", "whatsapp:+5491155550002", "--raw"]);
}

#[test]
fn raw_is_rejected_if_the_adapter_makes_no_id_of_it() {
    let home = Home::configured("gate: { mode: open }");
    let long = format!("whatsapp:+{}", "9".repeat(1025));
    for person in [
        "whatsapp:5491155551112@C.US",
        "whatsapp:+5491155551113 ",
        "whatsapp:5491155551114@hosted",
        "whatsapp:status@broadcast",
        "whatsapp:+549115555\u{200b}1115",
        "whatsapp:",
        "telegram:0123456",
        "telegram:@Name",
        "telegram:777000",
        &long,
    ] {
        let (channel, id) = person.split_once(':').unwrap();
        for args in [
            &["block", person, "--raw"][..],
            &["block", person, "--raw", "--account", "personal"],
            &["seed", channel, "personal", id, "--raw"],
            &["revoke", person, "--raw"],
            &["unblock", person, "--raw"],
            &["forget", person, "--raw"],
        ] {
            if id.is_empty() && args[0] != "seed" {
                continue;
            }
            let (code, error) = home.error(args);
            assert_eq!((code, &error["kind"]), (1, &json!("sender_refused")), "{args:?}: {error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("would match no message"), "{args:?}: {message}");
            let hint = error["hint"].as_str().unwrap();
            assert!(hint.contains("without --raw"), "{args:?}: {hint}");
        }
    }
    assert!(!home.database().exists(), "a rejected command leaves nothing behind");
}

#[test]
fn raw_on_a_plugins_channel_reports_that_the_plugin_was_not_asked() {
    let home = Home::configured("adapters: [{ channel: signal, prefix: plugin.signal }]");
    for args in [&["block", "signal:ana", "--raw"][..], &["seed", "signal", "main", "bob", "--raw"]]
    {
        let output = home.run(args);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(output.stderr.contains("was not asked"), "{args:?}: {output:?}");
    }
    // No adapter changes these.
    assert_eq!(home.run(&["block", "irc:ana", "--raw"]).stderr, "");
    assert_eq!(home.run(&["block", "whatsapp:+5491155550002", "--raw"]).stderr, "");
}

#[test]
fn a_stored_raw_id_matches_itself() {
    let home = Home::configured("gate: { mode: open }");
    home.json(&["block", "whatsapp:+5491155550002"]);
    home.json(&["seed", "whatsapp", "personal", "+5491155550003"]);
    let odd = "5491155550002@s.whatsapp.net";
    // As earlier versions wrote them with --raw.
    home.sqlite(&format!("UPDATE pairing_blocked SET sender_id = '{odd}'"));
    home.sqlite("UPDATE pairing_allow_from SET sender_id = '5491155550003@c.us'");
    let revoked = home.json(&["revoke", "whatsapp:5491155550003@c.us", "--raw"]);
    assert_eq!(revoked["revoked"][0]["sender_id"], "5491155550003@c.us");
    let unblocked = home.json(&["unblock", &format!("whatsapp:{odd}"), "--raw"]);
    assert_eq!(unblocked["unblocked"][0]["sender_id"], odd, "{unblocked}");
    let forgotten = home.json(&["forget", "whatsapp:5491155550003@c.us", "--raw"]);
    assert_eq!(forgotten["forgotten"][0]["sender_id"], "5491155550003@c.us", "{forgotten}");

    // The adapter rejects it.
    home.json(&["seed", "telegram", "bot", "123456"]);
    home.sqlite(
        "UPDATE pairing_allow_from SET sender_id = '@User_Name' WHERE channel = 'telegram'",
    );
    let person = "telegram:@User_Name";
    for (command, result) in
        [("block", "blocked"), ("unblock", "unblocked"), ("forget", "forgotten")]
    {
        let done = home.json(&[command, person, "--raw"]);
        assert_eq!(done[result][0]["sender_id"], "@User_Name", "{command}: {done}");
    }
    assert_eq!(home.error(&["block", person, "--raw"]).1["kind"], "sender_refused");
}

#[test]
fn explain_covers_unreadable_ids() {
    let home = Home::configured("gate: { mode: open }");
    let args = ["explain", "whatsapp", "personal", "5491155551114@hosted"];
    assert_eq!(home.error(&args).1["kind"], "sender_refused");
    home.json(&["block", BLOCKED, "--account", "work"]);
    let reply = home.json(&args);
    assert_eq!((&reply["decision"], &reply["rule"]), (&json!("drop"), &json!(3)), "{reply}");
    home.json(&["unblock", BLOCKED]);
    assert_eq!(home.error(&args).1["kind"], "sender_refused");
}
