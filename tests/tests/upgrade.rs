//! A database of 0.1.8 is upgraded in place, and 0.1.8 can still use it. One of an earlier
//! 0.2.0 is upgraded, and kept as it was.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;

use nexo_pairing::PairingStore;
use nexo_pairing_tests::{EARLIER_DATABASE, Home, message, sqlite};
use serde_json::{Value, json};

#[test]
fn all_seven_grants_are_kept_unchanged() {
    let home = Home::with_old_database();
    let expected = [
        ("telegram", "cody_nexo_bot", "1194292426", "seed", false),
        ("telegram", "cody_nexo_bot", "@user_name", "seed", false),
        ("whatsapp", "personal", "+5491155556666", "seed", false),
        ("whatsapp", "personal", "+573001112222", "seed", false),
        ("whatsapp", "personal", "+573009998888", "seed", true),
        ("whatsapp", "work", "+14155550101", "cli", false),
        ("whatsapp", "work", "+5491155556666", "seed", false),
    ];
    let grant = |(channel, account, sender, via, is_revoked): (_, _, _, _, bool)| {
        json!({
            "channel": channel, "account_id": account, "sender_id": sender,
            "approved_at": "2026-11-23T00:10:48Z", "approved_via": via, "expires_at": null,
            "revoked_at": is_revoked.then_some("2026-11-23T00:10:48Z"), "note": null,
        })
    };
    let expected: Vec<Value> = expected.into_iter().map(grant).collect();
    let listing = || home.json(&["list", "--all", "--include-revoked"]);
    let before = listing();
    assert_eq!(before, json!({"pending": [], "allow": expected, "blocked": []}));
    assert_eq!(home.sqlite("PRAGMA journal_mode").trim(), "delete", "a list upgrades nothing");

    // A command that writes upgrades the file.
    home.json(&["seed", "whatsapp", "personal", "+5491155550000"]);
    assert_eq!(home.sqlite("PRAGMA journal_mode").trim(), "wal");
    home.json(&["revoke", "whatsapp:+5491155550000"]);
    let mut after = listing();
    let grants = after["allow"].as_array_mut().unwrap();
    grants.retain(|grant| grant["sender_id"] != "+5491155550000");
    assert_eq!(after, before);
}

/// Whenever an upgrade is killed, the next command completes it, and the copy is whole.
#[test]
fn a_killed_upgrade_is_resumed() {
    let moments = ["pairing.db.before-v4.partial", "pairing.db.before-v4", "pairing.db-wal"];
    for moment in moments {
        let home = Home::new();
        fs::create_dir(home.path().join("state")).unwrap();
        fs::copy(EARLIER_DATABASE, home.database()).unwrap();
        // So large that copy and upgrade take a while.
        home.sqlite(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 50000)
            INSERT INTO pairing_audit(at, actor, action, detail_json)
                SELECT x, 'device', 'session_ended', json_object('session', hex(x)) FROM n",
        );
        let entries = home.sqlite("SELECT count(*) FROM pairing_audit");
        let reached = home.path().join("state").join(moment);
        let mut upgrading = home.command(&["block", "whatsapp:+5491155550009"]).spawn().unwrap();
        // A command that ends too early to be killed must satisfy the same assertions.
        while !reached.exists() && upgrading.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        upgrading.kill().unwrap();
        upgrading.wait().unwrap();

        home.json(&["block", "whatsapp:+5491155550010"]);
        let names = fs::read_dir(home.path().join("state")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["pairing.db", "pairing.db.before-v4", "pairing.db.lock"], "{moment}");
        let copied = "SELECT max(version) FROM refinery_schema_history;
            SELECT count(*) FROM pairing_audit; PRAGMA integrity_check";
        let copy = home.database().with_extension("db.before-v4");
        assert_eq!(sqlite(&copy, copied), format!("3\n{entries}ok\n"), "{moment}");
        assert_eq!(home.sqlite("PRAGMA integrity_check"), "ok\n", "{moment}");
        assert!(home.json(&["list", "--all"])["blocked"].as_array().unwrap().len() >= 2);
    }
}

#[test]
fn the_gate_decides_by_the_rows_of_0_1_8() {
    let home = Home::with_old_database();
    let mut gate = home.gate(&["--auto-challenge"]);
    for (channel, account, from, decision) in [
        ("whatsapp", "personal", "5491155556666@c.us", "admit"),
        ("whatsapp", "work", "5491155556666@c.us", "admit"),
        ("whatsapp", "work", "+14155550101", "admit"),
        ("whatsapp", "personal", "+14155550101", "challenge"),
        ("whatsapp", "personal", "573009998888@c.us", "challenge"),
        ("telegram", "cody_nexo_bot", "1194292426", "admit"),
    ] {
        let answer = &gate.send(&message(channel, account, from))[0];
        assert_eq!(answer["decision"], decision, "{answer}");
    }
}

#[tokio::test]
async fn the_two_old_requests_are_expired_and_counted() {
    let home = Home::with_old_database();
    let store = PairingStore::open(home.database()).await.unwrap();
    assert_eq!(store.purge_expired().await.unwrap(), 2);
    assert_eq!(store.purge_expired().await.unwrap(), 0, "each is counted once");
    drop(store);

    let log = home.json(&["log"]);
    let expired = |event: &&Value| event["action"] == "expire";
    let expired = log["events"].as_array().unwrap().iter().filter(expired);
    let mut senders: Vec<&str> =
        expired.map(|event| event["sender_id"].as_str().unwrap()).collect();
    senders.sort_unstable();
    assert_eq!(senders, ["+14155550100", "777888999"]);

    // Codes without a check character are looked up before they are called mistyped.
    for code in ["SKLFPMTQ", "mk7u-m3hc"] {
        let (exit, error) = home.error(&["approve", code]);
        assert_eq!((exit, &error["kind"]), (1, &json!("expired")), "{error}");
    }
}

#[test]
fn a_valid_code_of_0_1_8_can_be_approved() {
    let home = Home::with_old_database();
    home.sqlite("UPDATE pairing_pending SET created_at = strftime('%s', 'now') - 60");
    let approved = home.json(&["approve", "sklf-pmtq"]);
    assert_eq!(approved["sender_id"], "+14155550100");
}

/// The statements of `nexo-pairing-0.1.8/src/store.rs`, unchanged.
#[test]
fn the_statements_of_0_1_8_work_on_an_upgraded_file() {
    let home = Home::with_old_database();
    let mut gate = home.gate(&["--auto-challenge"]);
    let sqlx = |sql: &str, bound: &[&str]| {
        let parameters = bound.iter().enumerate();
        let set = |(index, value)| format!(".parameter set ?{} {value:?}\n", index + 1);
        let parameters: String = parameters.map(set).collect();
        bound_sqlite(&home, &format!(".parameter init\n{parameters}{sql};\n"))
    };
    let now = &now();

    // `open`
    sqlx(
        "CREATE TABLE IF NOT EXISTS pairing_pending (\
            channel    TEXT NOT NULL,\
            account_id TEXT NOT NULL,\
            sender_id  TEXT NOT NULL,\
            code       TEXT NOT NULL,\
            created_at INTEGER NOT NULL,\
            meta_json  TEXT NOT NULL DEFAULT '{}',\
            PRIMARY KEY (channel, account_id, sender_id)\
        )",
        &[],
    );
    sqlx("CREATE INDEX IF NOT EXISTS idx_pairing_pending_code ON pairing_pending(code)", &[]);
    sqlx(
        "CREATE TABLE IF NOT EXISTS pairing_allow_from (\
            channel       TEXT NOT NULL,\
            account_id    TEXT NOT NULL,\
            sender_id     TEXT NOT NULL,\
            approved_at   INTEGER NOT NULL,\
            approved_via  TEXT NOT NULL DEFAULT 'cli',\
            revoked_at    INTEGER,\
            PRIMARY KEY (channel, account_id, sender_id)\
        )",
        &[],
    );

    // `upsert_pending`
    let ana = ["'whatsapp'", "'personal'", "'+14155550199'"];
    let cutoff = format!("{now} - 3600");
    let counted = sqlx(
        "SELECT channel, COUNT(*) FROM pairing_pending WHERE created_at < ? GROUP BY channel",
        &[&cutoff],
    );
    assert_eq!(counted, "telegram|1\nwhatsapp|1\n");
    sqlx("DELETE FROM pairing_pending WHERE created_at < ?", &[&cutoff]);
    let found = sqlx(
        "SELECT code FROM pairing_pending WHERE channel = ? AND account_id = ? AND sender_id = ?",
        &ana,
    );
    assert_eq!(found, "");
    let counted = sqlx(
        "SELECT COUNT(*) FROM pairing_pending WHERE channel = ? AND account_id = ?",
        &ana[..2],
    );
    assert_eq!(counted, "0\n");
    assert_eq!(sqlx("SELECT code FROM pairing_pending", &[]), "");
    let insert = "INSERT INTO pairing_pending(channel, account_id, sender_id, code, created_at, meta_json) VALUES(?, ?, ?, ?, ?, ?)";
    sqlx(insert, &[ana[0], ana[1], ana[2], "'ABCDEFGH'", now, "'null'"]);

    // The gate knows the request that 0.1.8 made.
    let write = message("whatsapp", "personal", "14155550199@c.us");
    let answer = |kind: &str| json!({"decision": "drop", "reason": kind});
    let answers = gate.send_until_not(&answer("pending_full"), &write);
    assert_eq!(answers[0]["reason"], "already_challenged", "{answers:?}");

    // `list_pending`
    let listed = sqlx(
        "SELECT channel, account_id, sender_id, code, created_at, meta_json FROM pairing_pending WHERE channel = ? ORDER BY created_at",
        &ana[..1],
    );
    assert_eq!(listed, format!("whatsapp|personal|+14155550199|ABCDEFGH|{now}|null\n"));

    // `approve`
    let found = sqlx(
        "SELECT channel, account_id, sender_id, created_at FROM pairing_pending WHERE code = ?",
        &["'ABCDEFGH'"],
    );
    assert_eq!(found, format!("whatsapp|personal|+14155550199|{now}\n"));
    let approve = "INSERT INTO pairing_allow_from(channel, account_id, sender_id, approved_at, approved_via, revoked_at) VALUES(?, ?, ?, ?, 'cli', NULL) ON CONFLICT(channel, account_id, sender_id) DO UPDATE SET revoked_at = NULL, approved_at = excluded.approved_at, approved_via = excluded.approved_via";
    sqlx(approve, &[ana[0], ana[1], ana[2], now]);
    sqlx("DELETE FROM pairing_pending WHERE code = ?", &["'ABCDEFGH'"]);
    let answers = gate.send_until_not(&answer("already_challenged"), &write);
    assert_eq!(answers[0]["decision"], "admit", "{answers:?}");

    // `is_allowed`, `list_allow`
    let is_allowed = "SELECT 1 FROM pairing_allow_from WHERE channel = ? AND account_id = ? AND sender_id = ? AND revoked_at IS NULL";
    assert_eq!(sqlx(is_allowed, &ana), "1\n");
    let listed = sqlx(
        "SELECT channel, account_id, sender_id, approved_at, approved_via, revoked_at \
         FROM pairing_allow_from WHERE revoked_at IS NULL AND channel = ? ORDER BY channel, account_id, sender_id",
        &["'telegram'"],
    );
    assert_eq!(listed.lines().count(), 2, "{listed}");

    // `revoke`
    sqlx(
        "UPDATE pairing_allow_from SET revoked_at = ? WHERE channel = ? AND sender_id = ? AND revoked_at IS NULL",
        &[now, ana[0], ana[2]],
    );
    let answers = gate.send_until_not(&json!({"decision": "admit"}), &write);
    assert_eq!(answers[0]["decision"], "challenge", "{answers:?}");

    // `seed`
    let seed = "INSERT INTO pairing_allow_from(channel, account_id, sender_id, approved_at, approved_via, revoked_at) VALUES(?, ?, ?, ?, 'seed', NULL) ON CONFLICT(channel, account_id, sender_id) DO UPDATE SET revoked_at = NULL";
    sqlx(seed, &[ana[0], ana[1], ana[2], now]);
    let answers = gate.send_until_not(&answer("already_challenged"), &write);
    assert_eq!(answers[0]["decision"], "admit", "{answers:?}");

    // 0.1.8 knows neither blocks nor expiry, but it respects revocations.
    home.json(&["block", "whatsapp:+14155550199"]);
    assert_eq!(sqlx(is_allowed, &ana), "");

    // `refresh_pending_gauge`
    let gauge = "SELECT channel, COUNT(*) FROM pairing_pending GROUP BY channel";
    assert_eq!(sqlx(gauge, &[]), "");
    assert_eq!(home.sqlite("PRAGMA integrity_check").trim(), "ok");
}

/// Runs lines of the program `sqlite3`, its own commands among them.
fn bound_sqlite(home: &Home, lines: &str) -> String {
    let script = home.beside("script.sql");
    std::fs::write(&script, lines).unwrap();
    home.sqlite(&format!(".read '{}'", script.display()))
}

fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs().to_string()
}
