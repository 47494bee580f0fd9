//! Bad input: its error, and what it must not cost.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nexo_pairing::PairingCode;
use nexo_pairing_tests::{Home, message};
use serde_json::{Value, json};

/// A home where `from` has a request on `whatsapp/personal`, and its code.
fn home_with_a_request(from: &str) -> (Home, String) {
    let home = Home::new();
    let code = request(&home, from);
    (home, code)
}

/// A stranger writes to `whatsapp/personal`; returns their code.
fn request(home: &Home, from: &str) -> String {
    let line = message("whatsapp", "personal", from).to_string();
    let output = home.run_with(&["gate", "--auto-challenge"], line);
    let code = output.lines()[0]["code"].as_str().map(str::to_owned);
    code.unwrap_or_else(|| panic!("{output:?}"))
}

fn kind_of(home: &Home, args: &[&str]) -> String {
    let (code, error) = home.error(args);
    assert_eq!(code, 1, "{args:?}: {error}");
    error["kind"].as_str().unwrap().to_owned()
}

#[test]
fn an_id_that_the_adapter_rejects_is_named_with_the_reason() {
    let home = Home::new();
    for (channel, id) in [
        ("whatsapp", "12036304@g.us"),
        ("whatsapp", "nonsense"),
        ("whatsapp", ""),
        ("whatsapp", "+549\u{7}1155556666"),
        ("telegram", "777000"),
        ("telegram", "'; DROP TABLE pairing_allow_from; --"),
    ] {
        let person = format!("{channel}:{id}");
        let mut commands = vec![
            vec!["seed", channel, "personal", id],
            vec!["seed", channel, "personal", "1194292426", id],
        ];
        if !id.is_empty() {
            commands.extend([vec!["revoke", &person], vec!["block", &person]]);
        }
        for args in commands {
            let (exit, error) = home.error(&args);
            assert_eq!((exit, &error["kind"]), (1, &json!("sender_refused")), "{args:?}: {error}");
            let message = error["message"].as_str().unwrap();
            let shown = id.replace('\u{7}', "\\u{7}");
            assert!(message.contains(&format!("`{shown}`")), "{args:?}: {message}");
            assert!(message.contains("not a pairable sender"), "{args:?}: {message}");
            let reply = home.run(&args);
            assert_eq!((reply.code, reply.stdout.as_str()), (1, ""));
            assert!(reply.stderr.starts_with("error: ") && reply.stderr.contains(&shown));
        }
    }
    assert!(!home.database().exists(), "a rejected command leaves nothing behind");
}

#[test]
fn explain_names_an_id_that_the_adapter_rejects_with_the_reason() {
    let home = Home::new();
    for mode in ["open", "allowlist", "pairing"] {
        home.configure(&format!("gate:\n  mode: {mode}"));
        for (channel, id) in [("whatsapp", "12036304@g.us"), ("telegram", "777000")] {
            let (exit, error) = home.error(&["explain", channel, "personal", id]);
            assert_eq!((exit, &error["kind"]), (1, &json!("sender_refused")), "{mode}: {error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(id) && message.contains("not a pairable sender"), "{message}");
        }
    }
    assert!(!home.database().exists());
}

#[test]
fn a_stored_id_matches_itself_whatever_the_adapter_returns() {
    let home = Home::new();
    // As earlier versions wrote it with --raw.
    home.json(&["seed", "telegram", "bot", "123456"]);
    home.sqlite("UPDATE pairing_allow_from SET sender_id = '@User_Name'");
    let mut gate = home.gate(&["--auto-challenge"]);
    assert_eq!(gate.ask(&message("telegram", "bot", "@User_Name"))["reason"], "not_pairable");
    let listed = home.json(&["list", "--all"]);
    assert_eq!(listed["allow"][0]["sender_id"], "@User_Name");
    let revoked = home.json(&["revoke", "telegram:@User_Name"]);
    assert_eq!(revoked["revoked"][0]["sender_id"], "@User_Name");
    home.json(&["block", "telegram:@User_Name"]);
    assert_eq!(kind_of(&home, &["revoke", "telegram:@user_name"]), "sender_refused");
}

#[test]
fn a_channel_without_an_adapter_takes_raw_ids_only() {
    let home = Home::new();
    let (exit, error) = home.error(&["seed", "irc", "libera", "Ana"]);
    assert_eq!((exit, &error["kind"]), (1, &json!("no_adapter")), "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("irc"), "{message}");
    assert!(message.contains("telegram") && message.contains("whatsapp"), "{message}");
    assert!(error["hint"].as_str().unwrap().contains("--raw"), "{error}");
    assert!(!home.database().exists());

    home.json(&["seed", "irc", "libera", "Ana[m]", "--raw"]);
    assert_eq!(home.sqlite("SELECT sender_id FROM pairing_allow_from"), "Ana[m]\n");
}

#[test]
fn a_line_of_a_channel_without_an_adapter_is_decided_by_the_id_as_given() {
    let home = Home::new();
    home.json(&["seed", "irc", "libera", "Ana[m]", "--raw"]);
    let mut gate = home.gate(&["--auto-challenge"]);
    assert_eq!(gate.ask(&message("irc", "libera", "Ana[m]"))["decision"], "admit");
    let answer = gate.ask(&message("irc", "libera", "ana[m]"));
    assert_eq!(answer["decision"], "challenge", "{answer}");
    let code = answer["code"].as_str().unwrap().to_owned();
    let output = gate.end();
    assert_eq!(output.code, 0);
    assert!(output.stderr.contains("no code was sent on irc/libera"), "{output:?}");
    assert!(!output.stderr.contains(&code));
    // The operator can list it and pass on the code.
    assert_eq!(home.json(&["list"])["pending"][0]["code"], code);
    assert_eq!(home.json(&["approve", &code])["sender_id"], "ana[m]");
}

#[test]
fn a_code_is_accepted_however_it_was_pasted() {
    let full_width = |c: char| char::from_u32(u32::from(c) + 0xfee0).unwrap();
    let home = Home::new();
    let spellings: [fn(&str) -> Vec<String>; 7] = [
        |code| vec![code.to_lowercase()],
        |code| vec![format!("{}-{}", &code[..4], &code[4..])],
        |code| vec![code[..4].to_owned(), code[4..].to_owned()],
        |code| vec![code.chars().map(|c| format!(" {c} ")).collect()],
        |code| vec![code.chars().map(|c| format!("{c}\u{200b}\u{feff}")).collect()],
        |code| vec![format!("[{}\u{2013}{}]", &code[..4], &code[4..])],
        |code| vec![code.to_owned()],
    ];
    for (number, spelling) in spellings.iter().enumerate() {
        let sender = format!("+549115555{number:04}");
        let code = request(&home, &sender);
        let mut words = spelling(&code);
        if number == 6 {
            words = vec![code.chars().map(full_width).collect()];
        }
        let args: Vec<&str> =
            std::iter::once("approve").chain(words.iter().map(|w| &**w)).collect();
        assert_eq!(home.json(&args)["sender_id"], sender, "{args:?}");
    }
}

#[test]
fn a_typing_mistake_costs_no_attempt() {
    const ALPHABET: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let (home, code) = home_with_a_request("+5491155556666");
    let mut typed = Vec::new();
    for index in 0..code.len() {
        let value = ALPHABET.find(&code[index..=index]).unwrap();
        let other = &ALPHABET[(value + 7) % 32..][..1];
        typed.push(format!("{}{other}{}", &code[..index], &code[index + 1..]));
    }
    for index in 1..code.len() {
        let (a, b) = (&code[index - 1..index], &code[index..=index]);
        if a != b {
            typed.push(format!("{}{b}{a}{}", &code[..index - 1], &code[index + 1..]));
        }
    }
    for wrong in typed.iter().map(String::as_str).chain(["", "K7M9", "K7M9-PQ2X-K7M9", "0OI1"]) {
        assert_eq!(kind_of(&home, &["approve", wrong]), "mistyped_code", "{wrong:?}");
    }
    let attempts = "SELECT count(*) FROM pairing_attempts WHERE kind <> 'mistyped'";
    assert_eq!(home.sqlite(attempts), "0\n");
    assert_eq!(home.json(&["approve", &code])["sender_id"], "+5491155556666");
}

#[test]
fn unusable_codes_have_distinct_errors() {
    let home = Home::new();
    let approved = request(&home, "+5491155550001");
    home.json(&["approve", &approved]);
    let rejected = request(&home, "+5491155550002");
    home.json(&["reject", &rejected]);
    let expired = request(&home, "+5491155550003");
    home.sqlite(
        "UPDATE pairing_pending SET created_at = created_at - 7200, expires_at = expires_at - 7200",
    );
    for command in ["approve", "reject"] {
        for (code, kind, sender) in [
            (&approved, "already_approved", "+5491155550001"),
            (&rejected, "already_rejected", "+5491155550002"),
            (&expired, "expired", "+5491155550003"),
        ] {
            let (exit, error) = home.error(&[command, code]);
            assert_eq!((exit, &error["kind"]), (1, &json!(kind)), "{error}");
            assert!(error["message"].as_str().unwrap().contains(sender), "{error}");
        }
    }
    assert_eq!(kind_of(&home, &["approve", unknown(0).as_str()]), "unknown_code");
}

/// An unknown code, with a valid check character.
fn unknown(number: u8) -> PairingCode {
    PairingCode::from_random([number, 30, 30, 30, 30, 30, 30])
}

#[test]
fn the_fifth_unknown_code_locks_out_in_every_process() {
    let (home, code) = home_with_a_request("+5491155550001");
    let used = request(&home, "+5491155550002");
    home.json(&["approve", &used]);
    // These cost nothing.
    for _ in 0..6 {
        assert_eq!(kind_of(&home, &["approve", &used]), "already_approved");
    }
    for left in (1..5).rev() {
        let (exit, error) = home.error(&["approve", unknown(left).as_str()]);
        assert_eq!((exit, &error["kind"]), (1, &json!("unknown_code")), "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("{left} more wrong codes")), "{message}");
    }
    let fifth = unknown(9);
    for code in [fifth.as_str(), code.as_str(), used.as_str()] {
        for command in ["approve", "reject"] {
            let (exit, error) = home.error(&[command, code]);
            assert_eq!((exit, &error["kind"]), (1, &json!("locked_out")), "{error}");
            let message = error["message"].as_str().unwrap();
            let remaining = message.split_whitespace().rev().nth(1).unwrap();
            let remaining: u32 = remaining.parse().unwrap();
            assert!((500..=600).contains(&remaining), "{message}");
            assert!(error["hint"].as_str().unwrap().contains("nexo-pair unlock cli"), "{error}");
        }
    }
    // It ends after ten minutes.
    home.sqlite("UPDATE pairing_attempts SET at = at - 590");
    let (_, error) = home.error(&["approve", &code]);
    assert!(error["message"].as_str().unwrap().contains("for another "), "{error}");
    home.sqlite("UPDATE pairing_attempts SET at = at - 10");
    assert_eq!(kind_of(&home, &["approve", fifth.as_str()]), "unknown_code");

    // Or when an operator lifts it, which is logged.
    for _ in 0..4 {
        let _ = home.error(&["approve", fifth.as_str()]);
    }
    assert_eq!(kind_of(&home, &["approve", &code]), "locked_out");
    assert_eq!(home.json(&["unlock", "cli"]), json!({"unlocked": true}));
    assert_eq!(home.json(&["approve", &code])["sender_id"], "+5491155550001");
    let log = home.json(&["log"]);
    let actions = log["events"].as_array().unwrap().iter().map(|event| &event["action"]);
    let actions: Vec<&Value> = actions.collect();
    assert_eq!(actions.iter().filter(|action| **action == "lockout").count(), 2, "{actions:?}");
    assert_eq!(actions[actions.len() - 2..], ["unlock", "approve"]);
}

#[test]
fn mistakes_in_arguments_and_configuration_are_usage_errors() {
    let home = Home::new();
    for args in [
        &["list", "--colour"][..],
        &["approve"],
        &["seed", "Whats App", "personal", "1194292426"],
        &["seed", "whatsapp", "per.sonal", "1194292426"],
        &["approve", "K7M9-PQ2X", "--for", "soon"],
        &["block", "somebody"],
        &["log", "--limit", "0"],
    ] {
        let (exit, error) = home.error(args);
        assert_eq!(exit, 2, "{args:?}: {error}");
        assert!(error["kind"].is_string() && error["message"].is_string(), "{args:?}: {error}");
    }
    home.configure("gate:\n  max_pendin: 3");
    for args in [&["list"][..], &["gate"], &["seed", "whatsapp", "personal", "1194292426"]] {
        let (exit, error) = home.error(args);
        assert_eq!((exit, &error["kind"]), (2, &json!("config")), "{args:?}: {error}");
        let message = error["message"].as_str().unwrap();
        for part in ["max_pendin`", "did you mean `pairing.gate.max_pending`", "pairing.yaml"] {
            assert!(message.contains(part), "{message}");
        }
    }
    assert!(!home.database().exists());
}

#[test]
fn what_does_not_exist_cannot_be_undone() {
    let home = Home::new();
    for (args, kind) in [
        (["revoke", "whatsapp:+5491155556666"], "nothing_to_revoke"),
        (["unblock", "whatsapp:+5491155556666"], "nothing_to_unblock"),
        (["forget", "whatsapp:+5491155556666"], "nothing_to_forget"),
    ] {
        assert_eq!(kind_of(&home, &args), kind);
    }
    let output = home.run(&["unlock", "cli", "--json"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert_eq!(output.error()["kind"], "nothing_to_unlock");
    assert!(!home.database().exists());
}

#[test]
fn an_unreadable_line_is_one_error_and_the_next_is_answered() {
    let home = Home::new();
    let good = message("whatsapp", "personal", "5491155556666@c.us").to_string().into_bytes();
    let long = [b"{\"from\":\"".to_vec(), vec![b'x'; 10_000_000], b"\"}".to_vec()].concat();
    let deep = [vec![b'['; 500_000], vec![b']'; 500_000]].concat();
    let bad: [(&[u8], &str); 9] = [
        (b"not JSON", "invalid_json"),
        (b"[]", "invalid_field"),
        (b"null", "invalid_field"),
        (br#"{"channel":"whatsapp","account":"personal","text":"hi"}"#, "no_sender"),
        (br#"{"channel":"whatsapp","from":5491155556666}"#, "invalid_field"),
        (br#"{"channel":"Whats App","from":"5491155556666"}"#, "invalid"),
        (b"{\"channel\":\"whatsapp\",\"from\":\"\xff\xfe\"}", "invalid_json"),
        (&long, "too_long"),
        (&deep, "invalid_json"),
    ];
    let mut gate = home.gate(&["--open"]);
    for (line, kind) in bad {
        gate.write([line, b"\n", &good, b"\n"].concat());
        let error = gate.read();
        assert_eq!(error["error"]["kind"], kind, "{error}");
        assert_eq!(gate.read()["decision"], "admit", "{kind}");
    }
    assert!(gate.memory() < 100_000, "{} kB", gate.memory());
    let output = gate.end();
    assert_eq!((output.code, output.stderr.as_str()), (1, ""));
}

#[test]
fn strange_ids_are_rejected_or_stored_exactly() {
    let huge = "9".repeat(10_000);
    let injection = "'; DROP TABLE pairing_pending; --";
    let home = Home::new();
    let mut gate = home.gate(&["--auto-challenge"]);
    for (channel, id) in [
        ("whatsapp", ""),
        ("whatsapp", injection),
        ("whatsapp", huge.as_str()),
        ("irc", ""),
        ("irc", "a\nb"),
        ("irc", "a\u{0}b"),
        ("irc", "\u{1b}[2J"),
        ("irc", huge.as_str()),
    ] {
        let answer = gate.ask(&message(channel, "default", id));
        assert_eq!(answer["reason"], "not_pairable", "{channel} {id:.20}: {answer}");
    }
    let exact = [injection, "%s%n{}$(reboot)`id`\\", "ñ\u{202e}名前 \"<b>"];
    for id in exact {
        let answer = gate.ask(&message("irc", "default", id));
        assert_eq!((&answer["decision"], &answer["sender"]), (&json!("challenge"), &json!(id)));
    }
    let listed = home.json(&["list"]);
    let listed = listed["pending"].as_array().unwrap().iter().map(|request| &request["sender_id"]);
    assert_eq!(listed.collect::<Vec<_>>(), exact);
    for id in exact {
        home.json(&["block", &format!("irc:{id}"), "--raw", "--reason", "'; DROP TABLE x; --"]);
    }
    for id in ["a\nb", "", huge.as_str()] {
        assert_eq!(kind_of(&home, &["seed", "irc", "default", id, "--raw"]), "sender_refused");
    }
    // Control characters are not printed on a terminal.
    let table = home.run(&["list", "--all"]).stdout;
    assert!(table.contains(injection) && !table.contains('\u{202e}'), "{table}");
    assert_eq!(
        home.sqlite("PRAGMA integrity_check; SELECT count(*) FROM pairing_blocked"),
        "ok\n3\n"
    );
}
