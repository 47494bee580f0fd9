//! A database file that is put in place of another under a running gate, or taken away.

use std::fs;

use nexo_pairing_tests::{Gate, Home, message, wait_for};
use serde_json::{Value, json};

const ANA: &str = "+5491155556666";
const EVA: &str = "+5491155557777";

fn line(from: &str) -> Value {
    message("whatsapp", "personal", from)
}

/// Says it until there is an answer of this kind: a decision, its reason or an error.
fn say_until(gate: &mut Gate, from: &str, kind: &str) {
    wait_for(kind, || {
        let answers = gate.say(&line(from));
        let answer = &answers[0];
        let told = [&answer["decision"], &answer["reason"], &answer["error"]["kind"]];
        told.iter().any(|told| **told == kind).then_some(())
    });
}

#[test]
fn a_backup_that_is_moved_into_place_is_noticed() {
    let home = Home::configured("gate:\n  mode: allowlist");
    home.json(&["seed", "whatsapp", "personal", ANA]);
    let mut gate = home.gate(&[]);
    for round in 0..3 {
        let backup = home.beside(&format!("backup_{round}.db"));
        assert_eq!(
            home.json(&["backup", backup.to_str().unwrap()]),
            json!({"backup": backup.to_str().unwrap()})
        );
        // What came after the backup is in the file and in its WAL.
        home.json(&["seed", "whatsapp", "personal", EVA]);
        say_until(&mut gate, EVA, "admit");

        fs::rename(&backup, home.database()).unwrap();
        // Between the two files nobody is admitted whom the backup does not grant; once he is
        // refused by the backup, that stays.
        say_until(&mut gate, EVA, "not_allowed");
        assert_eq!(gate.ask(&line(EVA))["reason"], "not_allowed");
        assert_eq!(gate.ask(&line(ANA))["decision"], "admit");

        // What is done from then on is done to the backup, and seen.
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
fn without_its_database_a_gate_admits_nobody_until_it_is_back() {
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
    // It stays away: no other process, and no gate either, makes an empty one in its place.
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
fn a_file_that_is_no_database_admits_nobody() {
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
