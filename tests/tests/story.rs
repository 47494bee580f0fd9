//! The main use, from an empty folder to an admitted sender and back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nexo_pairing_tests::{Home, message};
use serde_json::{Value, json};

#[test]
fn from_an_empty_home_to_an_admitted_sender_and_back() {
    let home = Home::new();
    let mut gate = home.gate(&["--auto-challenge"]);
    let sender = "+5491155556666";
    let says = |account: &str| message("whatsapp", account, "5491155556666@c.us");
    let decided = |decision: &str, account: &str| {
        json!({
            "decision": decision, "channel": "whatsapp", "account": account, "sender": sender,
        })
    };
    let dropped = |reason: &str, account: &str| {
        let mut answer = decided("drop", account);
        answer["reason"] = reason.into();
        answer
    };

    // The stranger is challenged, and the text goes to the channel's topic.
    let answers = gate.send(&says("personal"));
    let code = challenged(&answers, "personal", sender);

    // Again at once.
    assert_eq!(unnumbered(gate.ask(&says("personal"))), dropped("already_challenged", "personal"));

    // The operator types the code in lower case and with a hyphen.
    let (left, right) = code.split_at(4);
    let typed = format!("{left}-{right}").to_lowercase();
    let approved = home.run(&["approve", &typed, "--json"]);
    assert_eq!((approved.code, approved.stderr.as_str()), (0, ""), "{approved:?}");
    assert_eq!(approved.json()["sender_id"], sender);
    assert_eq!(approved.json()["account_id"], "personal");

    // The same sender, from now on, and in other spellings.
    let answers =
        gate.send_until_not(&dropped("already_challenged", "personal"), &says("personal"));
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(unnumbered(answers[0].clone()), decided("admit", "personal"));
    for from in ["+5491155556666", "5491155556666:3@s.whatsapp.net", "5491155556666@c.us"] {
        let answer = gate.ask(&message("whatsapp", "personal", from));
        assert_eq!(unnumbered(answer), decided("admit", "personal"), "{from}");
    }

    // A grant on one account does not apply to another.
    let answers = gate.send(&says("work"));
    let other = challenged(&answers, "work", sender);
    assert_ne!(other, code);

    // A revocation takes effect at once, in the running gate.
    let revoked = home.json(&["revoke", "whatsapp:5491155556666@c.us"]);
    let key = json!({"channel": "whatsapp", "account_id": "personal", "sender_id": sender});
    assert_eq!(revoked, json!({ "revoked": [key] }));
    let answers = gate.send_until_not(&decided("admit", "personal"), &says("personal"));
    let new = challenged(&answers, "personal", sender);
    assert_ne!(new, code);

    // A block drops the sender, on every account, and creates no new code.
    home.json(&["block", "whatsapp:5491155556666@c.us"]);
    let answers =
        gate.send_until_not(&dropped("already_challenged", "personal"), &says("personal"));
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(unnumbered(answers[0].clone()), dropped("blocked", "personal"));
    for account in ["personal", "work", "some_other"] {
        assert_eq!(unnumbered(gate.ask(&says(account))), dropped("blocked", account));
    }
    assert_eq!(home.json(&["list"])["pending"], json!([]));

    let output = gate.end();
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (0, "", ""));

    // The log has everything in order.
    let log = home.json(&["log"]);
    let reply: Vec<Vec<&str>> = log["events"].as_array().unwrap().iter().map(summary).collect();
    assert_eq!(
        reply,
        [
            ["config", "mode", "-", "-", "-"],
            ["gate", "request", "whatsapp", "personal", sender],
            ["cli", "approve", "whatsapp", "personal", sender],
            ["gate", "request", "whatsapp", "work", sender],
            ["cli", "revoke", "whatsapp", "personal", sender],
            ["gate", "request", "whatsapp", "personal", sender],
            ["cli", "block", "whatsapp", "*", sender],
        ]
    );
    // For people, too: one line each, below the headings.
    let log = home.run(&["log"]);
    let actions = log.stdout.lines().skip(2).map(|line| line.split_whitespace().nth(4));
    let actions: Vec<&str> = actions.flatten().take(6).collect();
    assert_eq!(actions, ["request", "approve", "request", "revoke", "request", "block"]);
}

/// Reads a challenge and, right after it, its text on the channel's outbound topic; returns the code.
fn challenged(answers: &[Value], account: &str, sender: &str) -> String {
    let code = answers[0]["code"].as_str().unwrap_or_else(|| panic!("no code: {answers:?}"));
    let decision = json!({
        "decision": "challenge", "channel": "whatsapp", "account": account, "sender": sender,
        "code": code, "line": answers[0]["line"],
    });
    let text = &answers[1]["outbound"]["payload"]["text"];
    let outbound = json!({"outbound": {
        "topic": format!("plugin.outbound.whatsapp.{account}"),
        "payload": {"kind": "text", "to": sender, "text": text},
    }, "line": answers[0]["line"]});
    assert_eq!(answers, [decision, outbound]);
    let (left, right) = code.split_at(4);
    assert!(text.as_str().unwrap().contains(&format!("{left}-{right}")), "{text}");
    code.to_owned()
}

/// An answer without the number of its line.
fn unnumbered(mut answer: Value) -> Value {
    let line = answer.as_object_mut().and_then(|fields| fields.remove("line"));
    assert!(line.is_some(), "{answer}");
    answer
}

fn summary(event: &Value) -> Vec<&str> {
    let fields = ["actor", "action", "channel", "account_id", "sender_id"];
    fields.map(|field| event[field].as_str().unwrap_or("-")).to_vec()
}
