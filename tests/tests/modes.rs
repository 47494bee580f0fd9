//! How each mode treats strangers, and that a dry run changes nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nexo_pairing_tests::{Home, Output, files_below, message};
use serde_json::{Value, json};

/// All kinds of strangers, as lines.
const STRANGERS: &str = r#"{"channel":"whatsapp","account":"personal","from":"5491155550001@c.us"}
{"channel":"whatsapp","account":"personal","from":"123456789012345@lid","alt":"5491155550002@c.us"}
{"channel":"whatsapp","account":"personal","from":"5491155550003@c.us","is_group":true}
{"channel":"telegram","account":"cody_nexo_bot","from":"777888999"}
{"channel":"telegram","account":"cody_nexo_bot","from":"-1001234567890"}
{"channel":"whatsapp","account":"personal","from":"5491155550001@c.us"}
{"channel":"irc","account":"libera","from":"somebody"}
"#;

fn decisions(answers: &[Value]) -> Vec<&str> {
    let is_decision = |answer: &Value| answer.get("decision").is_some();
    let named = |answer: &Value| match &answer["reason"] {
        Value::Null => answer["decision"].as_str().unwrap().to_owned(),
        reason => reason.as_str().unwrap().to_owned(),
    };
    let names = answers.iter().filter(|answer| is_decision(answer)).map(named);
    names.map(|name| &*name.leak()).collect()
}

#[test]
fn mode_allowlist_sends_no_code() {
    for args in [&["gate", "--json"][..], &["gate", "--auto-challenge"]] {
        let home = Home::configured("gate:\n  mode: allowlist\n  challenge_cooldown_secs: 10");
        let output = home.run_with(args, STRANGERS);
        assert_eq!((output.code, output.stderr.lines().count()), (0, 1));
        assert!(output.stderr.contains("a new database was created"), "{}", output.stderr);
        assert_eq!(decisions(&output.answers()), ["not_allowed"; 7]);
        assert!(!output.stdout.contains("code") && !output.stdout.contains("outbound"));
        assert_eq!(home.sqlite("SELECT count(*) FROM pairing_pending"), "0\n");
    }
}

#[test]
fn mode_allowlist_does_not_repeat_codes_of_another_mode() {
    let home = Home::configured("gate:\n  mode: pairing\n  challenge_cooldown_secs: 10");
    let line = r#"{"channel":"whatsapp","account":"personal","from":"5491155550001@c.us"}"#;
    let output = home.run_with(&["gate"], line);
    assert_eq!(decisions(&output.answers()), ["challenge"]);
    home.sqlite("UPDATE pairing_pending SET last_challenged_at = last_challenged_at - 60");

    home.configure("gate:\n  mode: allowlist");
    let output = home.run_with(&["gate"], line);
    assert_eq!(decisions(&output.answers()), ["not_allowed"]);
    assert!(!output.stdout.contains("code") && !output.stdout.contains("outbound"));

    home.configure("gate:\n  mode: pairing\n  challenge_cooldown_secs: 10");
    let output = home.run_with(&["gate"], line);
    assert_eq!(decisions(&output.answers()), ["challenge"], "its request existed all the time");
}

#[test]
fn mode_allowlist_admits_senders_on_the_list() {
    let home = Home::configured("gate:\n  mode: allowlist");
    home.json(&["seed", "whatsapp", "personal", "5491155550001@c.us"]);
    home.json(&["seed", "telegram", "cody_nexo_bot", "-1001234567890"]);
    let output = home.run_with(&["gate"], STRANGERS);
    let (no, yes) = ("not_allowed", "admit");
    assert_eq!(decisions(&output.answers()), [yes, no, no, no, yes, yes, no]);
}

#[test]
fn mode_open_admits_every_sender_who_is_not_blocked() {
    // Without a configuration, as the operator explicitly asks.
    let home = Home::new();
    let output = home.run_with(&["gate", "--open"], STRANGERS);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(decisions(&output.answers()), ["admit"; 7]);
    assert_eq!(home.sqlite("SELECT count(*) FROM pairing_pending"), "0\n");

    home.json(&["block", "whatsapp:+5491155550002"]);
    let output = home.run_with(&["gate", "--open"], STRANGERS);
    let admit = "admit";
    assert_eq!(
        decisions(&output.answers()),
        [admit, "blocked", admit, admit, admit, admit, admit],
        "blocked under the other id, too"
    );
}

#[test]
fn mode_pairing_sends_no_challenge_in_groups() {
    let home = Home::configured("gate:\n  mode: pairing");
    let output = home.run_with(&["gate"], STRANGERS);
    assert_eq!(
        decisions(&output.answers()),
        [
            "challenge",
            "challenge",
            "not_direct",
            "challenge",
            "not_direct",
            "already_challenged",
            "challenge",
        ]
    );
}

#[test]
fn each_account_has_its_configured_mode() {
    let home = Home::configured(
        "gate:
  mode: pairing
  language: es
accounts:
  - { channel: whatsapp, account: personal }
  - { channel: whatsapp, account: work, mode: allowlist }
  - { channel: telegram, account: cody_nexo_bot, mode: open }",
    );
    let mut gate = home.gate(&["--auto-challenge"]);
    let mut say = |channel, account| gate.send(&message(channel, account, "5491155550001"));
    let answers = say("whatsapp", "personal");
    assert_eq!(answers[0]["decision"], "challenge", "{answers:?}");
    let text = answers[1]["outbound"]["payload"]["text"].as_str().unwrap();
    assert!(text.starts_with("Tu código de emparejamiento es "), "{text}");
    for (channel, account, expected) in [
        ("whatsapp", "work", json!(["drop", "not_allowed"])),
        ("telegram", "cody_nexo_bot", json!(["admit", null])),
        ("whatsapp", "forgotten", json!(["drop", "unknown_account"])),
        ("irc", "personal", json!(["drop", "unknown_account"])),
    ] {
        let answers = say(channel, account);
        assert_eq!(answers.len(), 1, "{answers:?}");
        let reply = json!([answers[0]["decision"], answers[0]["reason"]]);
        assert_eq!(reply, expected, "{channel}/{account}");
    }
}

#[test]
fn auto_challenge_applies_to_accounts_without_a_mode() {
    let home = Home::new();
    let line = message("whatsapp", "personal", "5491155550001").to_string();
    let decide = |home: &Home, args: &[&str]| {
        let output = home.run_with(&[&["gate", "--dry-run"], args].concat(), &line);
        decisions(&output.answers())[0].to_owned()
    };
    assert_eq!(decide(&home, &["--open"]), "admit");
    assert_eq!(decide(&home, &["--auto-challenge"]), "challenge");
    // 0.1.8's name of the mode.
    home.configure("gate:\n  auto_challenge: true");
    assert_eq!(decide(&home, &[]), "challenge");
    for mode in ["open", "allowlist"] {
        home.configure(&format!("gate:\n  mode: {mode}"));
        let expected = if mode == "open" { "admit" } else { "not_allowed" };
        assert_eq!(decide(&home, &["--auto-challenge"]), expected, "{mode}");
    }
}

/// Homes in the three states that a dry run may find.
fn homes() -> [(&'static str, Home); 3] {
    let fresh = Home::new();
    fresh.json(&["seed", "whatsapp", "personal", "5491155550009"]);
    assert_eq!(fresh.run_with(&["gate", "--auto-challenge"], STRANGERS).code, 0);
    [("empty", Home::new()), ("with a database", fresh), ("of 0.1.8", Home::with_old_database())]
}

#[test]
fn a_dry_run_writes_nothing_at_all() {
    for (what, home) in homes() {
        let before = files_below(&home.path());
        let output = home.run_with(&["gate", "--auto-challenge", "--dry-run"], STRANGERS);
        assert_eq!(output.code, 0, "{what}: {output:?}");
        assert!(output.stderr.contains("deciding on a copy of"), "{what}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{what}: {output:?}");
        // It shows who would be challenged, without a code, which no one could use.
        let answers = output.answers();
        assert_eq!(answers.len(), 7, "{what}: {output:?}");
        let known = what == "with a database";
        let expected = if known { "already_challenged" } else { "challenge" };
        assert_eq!(decisions(&answers)[0], expected, "{what}");
        assert!(!output.stdout.contains("code") && !output.stdout.contains("outbound"), "{what}");
        assert_eq!(files_below(&home.path()), before, "{what}");
    }
}

#[test]
fn a_dry_run_writes_nothing_beside_a_running_gate() {
    let (_, home) = homes().into_iter().nth(1).unwrap();
    let mut gate = home.gate(&["--auto-challenge"]);
    gate.send(&message("whatsapp", "work", "5491155550001"));
    let contents = || home.sqlite(".dump");
    let before = contents();
    let output = home.run_with(&["gate", "--auto-challenge", "--dry-run"], STRANGERS);
    assert_eq!(output.code, 0);
    assert_eq!(contents(), before);
    assert_eq!(gate.ask(&message("whatsapp", "personal", "5491155550009"))["decision"], "admit");
}

#[test]
fn read_only_commands_write_nothing() {
    for (what, home) in homes() {
        let before = files_below(&home.path());
        for args in [
            &["list", "--all", "--include-revoked"][..],
            &["log"],
            &["explain", "whatsapp", "personal", "5491155550001@c.us"],
            &["config"],
            &["doctor"],
            &["completions", "bash"],
        ] {
            let mut command = home.command(args);
            command.env("NEXO_PAIRING_GATE__MODE", "pairing");
            let output = Output::of(command);
            assert!(!output.stdout.is_empty(), "{what}, {args:?}: {output:?}");
            assert_eq!(files_below(&home.path()), before, "{what}, {args:?}");
        }
    }
}
