//! `nexo-pair log` finds what an operator looks for among many entries.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nexo_pairing_tests::{Home, Server, claim_elsewhere};
use serde_json::Value;

fn events(home: &Home, args: &[&str]) -> Vec<Value> {
    let log = home.json(&[&["log"], args].concat());
    log["events"].as_array().unwrap().clone()
}

fn actions(home: &Home, args: &[&str]) -> Vec<String> {
    let action = |event: Value| event["action"].as_str().unwrap().to_owned();
    events(home, args).into_iter().map(action).collect()
}

/// So many entries of strangers that no page shows the earlier ones.
fn bury(home: &Home) {
    home.sqlite(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO pairing_audit(at, actor, action, channel, account_id, sender_id)
            SELECT unixepoch(), 'gate', 'expire', 'whatsapp', 'personal', '+' || i FROM n",
    );
}

#[test]
fn the_theft_is_found_in_the_middle_of_a_flood() {
    let home = Home::new();
    let server = Server::start(&home, &[]);
    let start = ["start", "--public-url", &server.url("ws"), "--for-device", "phone"];
    bury(&home);
    let payload = home.json(&start)["payload"].as_str().unwrap().to_owned();
    let (_, claimed) = claim_elsewhere(&payload);
    assert_eq!(claimed.code, 0, "{claimed:?}");
    let (_, thief) = claim_elsewhere(&payload);
    assert_eq!(thief.error()["kind"], "replayed");
    bury(&home);

    assert!(!actions(&home, &["--limit", "10000"]).contains(&"replay".to_owned()));
    let found = ["session_issued", "replay"];
    assert_eq!(actions(&home, &["--device", "phone"]), found);
    let replay = events(&home, &["--action", "replay", "--since", "1h"]).remove(0);
    assert_eq!(replay["detail"]["revoked"], true);
    assert_eq!(actions(&home, &["--device", replay["detail"]["session"].as_str().unwrap()]), found);
    assert_eq!(actions(&home, &["--device", "phone", "--until", "1h"]), [""; 0]);
    assert_eq!(actions(&home, &["--sender", "+77"]), ["expire", "expire"]);
    assert_eq!(actions(&home, &["--sender", "+77", "--channel", "telegram"]), [""; 0]);
}

#[test]
fn pages_follow_each_other_by_their_cursor() {
    let home = Home::new();
    let _ = home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    for _ in 0..25 {
        let _ = home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
    }
    let mut found = Vec::new();
    let mut before = i64::MAX.to_string();
    loop {
        let page = home.json(&["log", "--action", "seed", "--limit", "10", "--before", &before]);
        found.extend(
            page["events"].as_array().unwrap().iter().rev().map(|event| event["seq"].clone()),
        );
        // Entries written meanwhile are on no page.
        let _ = home.json(&["seed", "whatsapp", "personal", "+5491155556666"]);
        let Some(next) = page["before"].as_i64() else { break };
        before = next.to_string();
    }
    assert_eq!(found, (1..=26).rev().collect::<Vec<i64>>());
    let page = home.run(&["log", "--limit", "3"]);
    assert!(page.stdout.contains("older entries: --before "), "{page:?}");
}

#[test]
fn an_invalid_time_is_rejected_with_valid_examples() {
    let home = Home::new();
    for bad in ["yesterday", "2027-02-30", ""] {
        let (code, error) = home.error(&["log", "--since", bad]);
        assert_eq!((code, &error["kind"]), (2, &"usage".into()), "{error}");
        assert!(error["message"].as_str().unwrap().contains("2027-01-31T08:00:00Z"), "{error}");
    }
}
