//! A database file that is replaced or removed under a running gate.

use std::fs;

use nexo_pairing_tests::{Gate, Home, message, wait_for};
use serde_json::{Value, json};

const ANA: &str = "+5491155556666";
const EVA: &str = "+5491155557777";

fn line(from: &str) -> Value {
    message("whatsapp", "personal", from)
}

/// Repeats the message until the answer has this decision, reason or error.
fn say_until(gate: &mut Gate, from: &str, kind: &str) {
    wait_for(kind, || {
        let answers = gate.send(&line(from));
        let answer = &answers[0];
        let reply = [&answer["decision"], &answer["reason"], &answer["error"]["kind"]];
        reply.iter().any(|reply| **reply == kind).then_some(())
    });
}

#[test]
fn a_backup_moved_into_place_is_noticed() {
    let home = Home::configured("gate:\n  mode: allowlist");
    home.json(&["seed", "whatsapp", "personal", ANA]);
    let mut gate = home.gate(&[]);
    for round in 0..3 {
        let backup = home.beside(&format!("backup_{round}.db"));
        assert_eq!(
            home.json(&["backup", backup.to_str().unwrap()]),
            json!({"backup": backup.to_str().unwrap()})
        );
        // Changes after the backup are in the file and in its WAL.
        home.json(&["seed", "whatsapp", "personal", EVA]);
        say_until(&mut gate, EVA, "admit");

        fs::rename(&backup, home.database()).unwrap();
        // Between the two files no sender is admitted without a grant in the backup; once the backup
        // rejects a sender, that does not change.
        say_until(&mut gate, EVA, "not_allowed");
        assert_eq!(gate.ask(&line(EVA))["reason"], "not_allowed");
        assert_eq!(gate.ask(&line(ANA))["decision"], "admit");

        // Later changes go to the backup, and are seen.
        home.json(&["revoke", &format!("whatsapp:{ANA}")]);
        say_until(&mut gate, ANA, "not_allowed");
        home.json(&["seed", "whatsapp", "personal", ANA]);
        say_until(&mut gate, ANA, "admit");
    }
    let output = gate.end();
    assert_eq!(home.sqlite("PRAGMA integrity_check").trim(), "ok");
    let listed = home.json(&["list", "--all"]);
    assert_eq!(listed["allow"].as_array().unwrap().len(), 1, "{listed} {output:?}");
}

#[test]
fn a_gate_without_its_database_admits_no_one_until_it_is_back() {
    let home = Home::configured("gate:\n  mode: allowlist");
    home.json(&["seed", "whatsapp", "personal", ANA]);
    let mut gate = home.gate(&[]);
    assert_eq!(gate.ask(&line(ANA))["decision"], "admit");

    let away = home.beside("away.db");
    fs::rename(home.database(), &away).unwrap();
    wait_for("an error", || {
        let answer = gate.ask(&line(ANA));
        answer.get("error").is_some().then_some(())
    });
    // It stays missing: neither another process nor a gate creates an empty one in its place.
    for _ in 0..20 {
        let answer = gate.ask(&line(ANA));
        assert_eq!(answer["error"]["kind"], "stale", "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(home.database().to_str().unwrap()), "{message}");
    }
    assert!(!home.database().exists());

    fs::rename(&away, home.database()).unwrap();
    say_until(&mut gate, ANA, "admit");
    let output = gate.end();
    assert_eq!(output.code, 1, "lines were not decided");
}

#[test]
fn a_file_that_is_not_a_database_admits_no_one() {
    let home = Home::configured("gate:\n  mode: allowlist");
    home.json(&["seed", "whatsapp", "personal", ANA]);
    let mut gate = home.gate(&[]);
    assert_eq!(gate.ask(&line(ANA))["decision"], "admit");
    let (other, away) = (home.beside("other.txt"), home.beside("away.db"));
    fs::write(&other, "This is a letter to my landlord. ".repeat(1000)).unwrap();
    fs::rename(home.database(), &away).unwrap();
    fs::rename(&other, home.database()).unwrap();
    say_until(&mut gate, ANA, "stale");
    assert_eq!(gate.ask(&line(ANA))["error"]["kind"], "stale");
    fs::rename(&away, home.database()).unwrap();
    say_until(&mut gate, ANA, "admit");
}
